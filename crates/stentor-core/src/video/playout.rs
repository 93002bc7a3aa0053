//! When film that comes over UDP is played, and what came too late for it.
//!
//! Nothing is asked for again: a packet that is not there when its turn comes is as good as lost. A
//! longer play-out delay saves more of them, and shows everything later; [`Played::late_share`] is
//! that bargain as a curve. Moments of sending are those of the packets' timestamps: the two clocks
//! need not agree, and every delay counts from that of the first packet.

use std::time::Duration;

use crate::measure::{Arrival, Jitter, Sequence};
use crate::moment::Moment;

/// How much an estimate keeps at each packet (Ramjee, Kurose, Towsley and Schulzrinne, "Adaptive
/// playout mechanisms for packetized audio applications", INFOCOM 1994, algorithm 1).
const KEPT: f64 = 0.998_002;
/// How many deviations above the mean delay are waited for (the same paper).
const DEVIATIONS: f64 = 4.0;
/// The delay of an adaptive player before there is an estimate, which the first chunk gives.
pub const ADAPTIVE_START: Duration = Duration::from_millis(200);
/// The longest play-out delay.
pub const DELAY_MAX: Duration = Duration::from_secs(3600);
/// How far behind the greatest number an arrival may be to be told from a duplicate.
const WINDOW: usize = 1 << 14;
/// Of how many packets the curve is made, at most: those of an hour at 9 Mbit/s.
const TRANSITS_MAX: usize = 1 << 22;

/// How long after its arrival the first packet is played, and all others accordingly.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Delay {
    /// Always so long.
    Fixed(Duration),
    /// By what was met so far, decided anew for each chunk.
    Adaptive,
}

/// What becomes of a packet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fate {
    /// It waits so long, and is played.
    InTime(Duration),
    /// Its turn was so long ago.
    Late(Duration),
    /// It had come before, or is too old to be told.
    Again,
}

/// A packet as it arrives.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Packet {
    /// Counts packets from 0, without going round.
    pub number: u64,
    /// When it is played, from the film's beginning.
    pub plays: Duration,
    /// Whether it is the last of its chunk.
    pub marker: bool,
}

/// The machine of a player over UDP.
#[derive(Clone, Debug)]
pub struct Playout {
    delay: Delay,
    sequence: Sequence,
    jitter: Jitter,
    /// When the first packet arrived, less when it is played: in nanoseconds, of two clocks.
    base_ns: Option<i128>,
    mean_ns: f64,
    deviation_ns: f64,
    /// From where in the film on which delay holds: of the last two chunks, the older first.
    delays: [(Duration, Duration); 2],
    /// Whether the next packet in order begins a chunk.
    turn: bool,
    furthest: Duration,
    /// One more than the greatest number that has come.
    next: u64,
    transits_ns: Vec<i64>,
    played: Played,
}

/// What a player over UDP came to.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Played {
    /// How many packets were sent.
    pub sent: u64,
    /// Of these, how many came in time.
    pub in_time: u64,
    /// How many came too late.
    pub late: u64,
    /// How many did not come; sent = in time + late + lost.
    pub lost: u64,
    /// Arrivals beyond the first of their number, or too old to be told.
    pub again: u64,
    /// First arrivals after a greater number (RFC 4737).
    pub reordered: u64,
    /// The jitter of RFC 3550, 6.4.1, at the end.
    pub jitter: Duration,
    /// The shortest and the longest play-out delay that was used.
    pub delays: Option<(Duration, Duration)>,
    /// How much longer than the first packet each one took that came, the shortest first; in
    /// nanoseconds.
    transits_ns: Vec<i64>,
}

impl Playout {
    /// Waits for the first packet.
    pub fn new(delay: Delay) -> Playout {
        let start = match delay {
            Delay::Fixed(delay) => delay.min(DELAY_MAX),
            Delay::Adaptive => ADAPTIVE_START,
        };
        Playout {
            delay,
            sequence: Sequence::new(WINDOW),
            jitter: Jitter::default(),
            base_ns: None,
            mean_ns: 0.0,
            deviation_ns: 0.0,
            delays: [(Duration::ZERO, start); 2],
            turn: false,
            furthest: Duration::ZERO,
            next: 0,
            transits_ns: Vec::new(),
            played: Played { delays: Some((start, start)), ..Played::default() },
        }
    }

    /// Takes an arrival.
    pub fn handle(&mut self, now: Moment, packet: Packet) -> Fate {
        let sent = Moment::START + packet.plays;
        let transit_ns = i128::from(now.as_nanos()) - i128::from(sent.as_nanos());
        let base_ns = *self.base_ns.get_or_insert(transit_ns);
        let transit_ns = i64::try_from(transit_ns - base_ns).unwrap_or(i64::MAX);
        if self.turn && packet.number >= self.next {
            self.turn_to(packet.plays);
        }
        let delay_ns = i64::try_from(self.delay_of(packet.plays).as_nanos()).unwrap_or(i64::MAX);
        let spare_ns = delay_ns.saturating_sub(transit_ns);
        match self.sequence.feed(packet.number, spare_ns >= 0) {
            Arrival::Duplicate | Arrival::Forgotten => return Fate::Again,
            Arrival::InOrder | Arrival::Reordered => {}
        }
        self.next = self.next.max(packet.number.saturating_add(1));
        self.jitter.feed(sent, now);
        self.learn(transit_ns as f64);
        if self.transits_ns.len() < TRANSITS_MAX {
            self.transits_ns.push(transit_ns);
        }
        self.furthest = self.furthest.max(packet.plays);
        self.turn |= packet.marker;
        let spare = Duration::from_nanos(spare_ns.unsigned_abs());
        if spare_ns >= 0 { Fate::InTime(spare) } else { Fate::Late(spare) }
    }

    /// How much film waits to be played: up to the furthest that has come.
    pub fn level(&self, now: Moment) -> Duration {
        let Some(base_ns) = self.base_ns else { return Duration::ZERO };
        let delay = self.delay_of(self.furthest);
        let turn_ns = (self.furthest + delay).as_nanos().cast_signed() + base_ns;
        let left_ns = turn_ns - i128::from(now.as_nanos());
        Duration::from_nanos(u64::try_from(left_ns.max(0)).unwrap_or(u64::MAX))
    }

    /// The jitter so far.
    pub fn jitter(&self) -> Duration {
        self.jitter.value()
    }

    /// How many different packets have come, and one more than the greatest number of them.
    pub fn progress(&self) -> (u64, u64) {
        (self.sequence.arrived(), self.next)
    }

    /// What it came to, of `sent` packets.
    pub fn finish(mut self, sent: u64) -> Played {
        self.transits_ns.sort_unstable();
        let in_time = self.sequence.arrived() - self.sequence.late();
        Played {
            sent,
            in_time,
            late: self.sequence.late(),
            lost: sent.saturating_sub(self.sequence.arrived()),
            again: self.sequence.duplicates() + self.sequence.forgotten(),
            reordered: self.sequence.reordered(),
            jitter: self.jitter.value(),
            delays: self.base_ns.and(self.played.delays),
            transits_ns: self.transits_ns,
        }
    }

    /// The delay of what plays then.
    fn delay_of(&self, plays: Duration) -> Duration {
        let [(_, before), (from, now)] = self.delays;
        if plays >= from { now } else { before }
    }

    /// A chunk begins: an adaptive player decides anew.
    fn turn_to(&mut self, plays: Duration) {
        self.turn = false;
        if self.delay != Delay::Adaptive {
            return;
        }
        let seconds = (self.mean_ns + DEVIATIONS * self.deviation_ns) / 1e9;
        let delay = Duration::try_from_secs_f64(seconds.max(0.0)).unwrap_or(DELAY_MAX);
        let delay = delay.min(DELAY_MAX);
        let [_, last] = self.delays;
        self.delays = [last, (plays, delay)];
        let (least, most) = self.played.delays.unwrap_or((delay, delay));
        self.played.delays = Some((least.min(delay), most.max(delay)));
    }

    /// Until there are as many packets as the filter remembers, all of them count alike.
    fn learn(&mut self, transit_ns: f64) {
        let share = (1.0 - KEPT).max(1.0 / self.sequence.arrived().max(1) as f64);
        self.mean_ns += share * (transit_ns - self.mean_ns);
        let deviation_ns = (transit_ns - self.mean_ns).abs();
        self.deviation_ns += share * (deviation_ns - self.deviation_ns);
    }
}

impl Played {
    /// The part of all packets that a player with this fixed delay would not have had in time, 0 to
    /// 1: lost on the way, or late.
    pub fn late_share(&self, delay: Duration) -> f64 {
        let delay_ns = i64::try_from(delay.as_nanos()).unwrap_or(i64::MAX);
        let in_time = self.transits_ns.partition_point(|transit| *transit <= delay_ns);
        // Of what the curve knows, as many as of all that came.
        let come = (self.in_time + self.late) as f64;
        let known = self.transits_ns.len().max(1) as f64;
        let share = 1.0 - in_time as f64 / known * come / (self.sent.max(1)) as f64;
        share.clamp(0.0, 1.0)
    }

    /// The shortest fixed delay with which at most `share` of the packets would have been missing;
    /// `None` if even the longest would not do.
    pub fn delay_for(&self, share: f64) -> Option<Duration> {
        let delay = |transit: &i64| Duration::from_nanos(u64::try_from(*transit).unwrap_or(0));
        let place =
            self.transits_ns.partition_point(|transit| self.late_share(delay(transit)) > share);
        self.transits_ns.get(place).map(delay)
    }

    /// The slowest packet's delay beyond that of the first.
    pub fn slowest(&self) -> Duration {
        let slowest = self.transits_ns.last().copied().unwrap_or(0);
        Duration::from_nanos(u64::try_from(slowest).unwrap_or(0))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::seed::{Dice, Seed};

    fn ms(ms: u64) -> Duration {
        Duration::from_millis(ms)
    }

    /// Packets of 10 ms, in chunks of a second; `transits_ms` is what each took, 0 that it was lost.
    fn play(delay: Delay, transits_ms: &[u64]) -> (Vec<Fate>, Played) {
        let mut playout = Playout::new(delay);
        let mut arrivals: Vec<(Moment, Packet)> = Vec::new();
        for (number, transit_ms) in (0..).zip(transits_ms).filter(|(_, transit)| **transit > 0) {
            let plays = ms(number * 10);
            let packet = Packet { number, plays, marker: number % 100 == 99 };
            // The player's clock is an hour ahead.
            arrivals.push((Moment::START + plays + ms(*transit_ms + 3_600_000), packet));
        }
        arrivals.sort_by_key(|(at, _)| *at);
        let fates = arrivals.iter().map(|(at, packet)| playout.handle(*at, *packet)).collect();
        (fates, playout.finish(transits_ms.len() as u64))
    }

    #[test]
    fn a_packet_is_in_time_or_late_by_the_delay_of_the_first() {
        let (fates, played) = play(Delay::Fixed(ms(20)), &[5, 5, 25, 26, 4]);
        // They arrive in the order 0, 1, 4, 2, 3: 20, 20, 21 and 0 ms ahead, and 1 ms late.
        let in_time = |time| Fate::InTime(ms(time));
        assert_eq!(fates, [in_time(20), in_time(20), in_time(21), in_time(0), Fate::Late(ms(1))]);
        assert_eq!((played.sent, played.in_time, played.late, played.lost), (5, 4, 1, 0));
        assert_eq!(played.delays, Some((ms(20), ms(20))));
        assert_eq!(played.slowest(), ms(21));
        assert_eq!(played.delay_for(0.2), Some(ms(20)));
        assert_eq!(played.delay_for(0.0), Some(ms(21)));
    }

    #[test]
    fn what_comes_again_counts_apart() {
        let mut playout = Playout::new(Delay::Fixed(ms(10)));
        let packet = |number| Packet { number, plays: ms(number), marker: false };
        let at = Moment::START + ms(100);
        assert_eq!(playout.level(at), Duration::ZERO);
        assert_eq!(playout.handle(at, packet(0)), Fate::InTime(ms(10)));
        assert_eq!(playout.handle(at, packet(0)), Fate::Again);
        assert_eq!(playout.handle(at, packet(3)), Fate::InTime(ms(13)));
        assert_eq!(playout.level(at), ms(13));
        assert_eq!(playout.level(at + ms(20)), Duration::ZERO);
        assert_eq!(playout.progress(), (2, 4));
        let played = playout.finish(5);
        assert_eq!((played.in_time, played.again, played.lost), (2, 1, 3));
    }

    #[test]
    fn the_curve_says_what_a_fixed_delay_would_have_come_to() {
        for seed in 0..200 {
            let mut dice = Dice::new(Seed(seed), "transits");
            let transit = |dice: &mut Dice| match dice.chance(0.05) {
                true => 0,
                false => 1 + dice.below(40) + if dice.chance(0.1) { dice.below(200) } else { 0 },
            };
            let transits: Vec<u64> = (0..500).map(|_| transit(&mut dice)).collect();
            let (_, curve) = play(Delay::Fixed(ms(0)), &transits);
            for delay in [0, 1, 10, 30, 100, 500] {
                let (_, played) = play(Delay::Fixed(ms(delay)), &transits);
                assert_eq!(played.in_time + played.late + played.lost, played.sent, "seed {seed}");
                let missing = (played.late + played.lost) as f64 / played.sent as f64;
                let told = curve.late_share(ms(delay));
                assert!((missing - told).abs() < 1e-9, "seed {seed}, {delay} ms: {missing} {told}");
            }
        }
    }

    #[test]
    fn an_adaptive_player_waits_longer_where_it_must_and_no_longer() {
        let mut dice = Dice::new(Seed(5), "transits");
        let mut transit = |most| 10 + dice.below(most);
        let calm: Vec<u64> = (0..4000).map(|_| transit(2)).collect();
        let rough: Vec<u64> = (0..4000).map(|_| transit(80)).collect();
        let (_, played) = play(Delay::Adaptive, &calm);
        let (least, most) = played.delays.unwrap();
        assert!(least < ms(10) && most == ADAPTIVE_START, "{least:?} {most:?}");
        let worse = [&calm[..], &rough[..]].concat();
        let (_, adaptive) = play(Delay::Adaptive, &worse);
        let (_, fixed) = play(Delay::Fixed(least), &worse);
        assert!(adaptive.late * 10 < fixed.late, "{} {}", adaptive.late, fixed.late);
        assert!(adaptive.delays.unwrap().0 < ms(10));
    }

    #[test]
    fn nothing_came_at_all() {
        let played = Playout::new(Delay::Adaptive).finish(3);
        assert_eq!((played.lost, played.delays, played.delay_for(0.5)), (3, None, None));
        assert!((played.late_share(ms(1)) - 1.0).abs() < 1e-12);
    }
}
