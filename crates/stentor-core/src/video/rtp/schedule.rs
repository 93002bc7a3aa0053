//! When each packet of a film leaves: one after the other, evenly at the rate at which its chunk is
//! played, or at another.

use std::time::Duration;

use super::words::Description;
use super::{Header, PAYLOAD_TYPE, ticks_of};
use crate::moment::Moment;
use crate::units::BitRate;
use crate::video::film::Film;

/// The most film in a packet, in bytes: with all headers it passes every IPv6 link unfragmented
/// (RFC 8200, section 5), with room for a tunnel.
pub const PAYLOAD_MAX: u64 = 1200;
/// A player that has said nothing for so long has gone.
pub const SILENCE_MAX: Duration = Duration::from_secs(5);

/// One packet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Packet {
    /// Its header.
    pub header: Header,
    /// Of which chunk it carries something, from 0.
    pub chunk: usize,
    /// From which of its bytes on.
    pub offset: u64,
    /// How many bytes of film follow.
    pub payload_bytes: usize,
}

/// What the driver does next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Output {
    /// Send this.
    Send(Packet),
    /// Come back then.
    Wait(Moment),
    /// Everything was sent.
    Done,
    /// The player has gone: nothing was heard of it for [`SILENCE_MAX`].
    Gone,
}

/// The sender's machine.
#[derive(Clone, Debug)]
pub struct Schedule {
    quality: usize,
    rate: Option<BitRate>,
    begun: Moment,
    heard: Moment,
    source: u32,
    sequence: u16,
    timestamp: u32,
    /// The next packet: its chunk, how much of that was sent, and when the chunk plays.
    chunk: usize,
    offset: u64,
    chunk_at: Duration,
    sent_bytes: u64,
}

impl Schedule {
    /// Begins at `now`: each packet leaves when it is played, or evenly at `rate` (the book's x).
    /// `luck` gives the stream its name and its first numbers.
    pub fn new(quality: usize, rate: Option<BitRate>, luck: u64, now: Moment) -> Schedule {
        let [a, b, c, d, e, f, g, h] = luck.to_be_bytes();
        Schedule {
            quality,
            rate,
            begun: now,
            heard: now,
            source: u32::from_be_bytes([a, b, c, d]),
            sequence: u16::from_be_bytes([e, f]),
            timestamp: u32::from_be_bytes([g, h, a, b]),
            chunk: 0,
            offset: 0,
            chunk_at: Duration::ZERO,
            sent_bytes: 0,
        }
    }

    /// What the player is told before the first packet.
    pub fn description(&self, film: &Film) -> Description {
        let sizes = film.chunks().iter().filter_map(|chunk| chunk.bytes.get(self.quality));
        Description {
            source: self.source,
            sequence: self.sequence,
            timestamp: self.timestamp,
            packets: sizes.clone().map(|bytes| bytes.div_ceil(PAYLOAD_MAX)).sum(),
            bytes: sizes.sum(),
            length: film.length(),
        }
    }

    /// The player has said that it is there.
    pub fn heard(&mut self, now: Moment) {
        self.heard = self.heard.max(now);
    }

    /// The stream's name (SSRC).
    pub fn source(&self) -> u32 {
        self.source
    }

    /// What is next.
    pub fn poll(&mut self, film: &Film, now: Moment) -> Output {
        if now.since(self.heard) >= SILENCE_MAX {
            return Output::Gone;
        }
        let size = film.bytes(self.chunk, self.quality);
        if size == 0 {
            return Output::Done;
        }
        let plays = self.chunk_at + part(film.duration(self.chunk), self.offset, size);
        let due = self.begun
            + match self.rate {
                Some(rate) => part(Duration::from_secs(8), self.sent_bytes, rate.0.max(1)),
                None => plays,
            };
        if due > now {
            return Output::Wait(due.min(self.heard + SILENCE_MAX));
        }
        let bytes = (size - self.offset).min(PAYLOAD_MAX);
        let header = Header {
            marker: self.offset + bytes == size,
            payload_type: PAYLOAD_TYPE,
            sequence: self.sequence,
            timestamp: self.timestamp.wrapping_add(ticks_of(plays)),
            source: self.source,
        };
        let (chunk, offset) = (self.chunk, self.offset);
        self.sequence = self.sequence.wrapping_add(1);
        self.offset += bytes;
        self.sent_bytes += bytes;
        if header.marker {
            self.chunk_at += film.duration(self.chunk);
            self.chunk += 1;
            self.offset = 0;
        }
        let payload_bytes = usize::try_from(bytes).unwrap_or(0);
        Output::Send(Packet { header, chunk, offset, payload_bytes })
    }
}

/// The part of `whole` that is `bytes` of `size`.
fn part(whole: Duration, bytes: u64, size: u64) -> Duration {
    let ns = whole.as_nanos() * u128::from(bytes) / u128::from(size.max(1));
    Duration::from_nanos(u64::try_from(ns).unwrap_or(u64::MAX))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::seed::{Dice, Seed};
    use crate::video::film::Plan;

    fn film() -> Film {
        Plan::preset("ladder").unwrap().generate(&mut Dice::new(Seed(1), "film")).unwrap()
    }

    /// Sends all, and gives each packet with the moment at which it left.
    fn sent(schedule: &mut Schedule, film: &Film) -> Vec<(Moment, Packet)> {
        let (mut now, mut sent) = (Moment::START, Vec::new());
        loop {
            schedule.heard(now);
            match schedule.poll(film, now) {
                Output::Send(packet) => sent.push((now, packet)),
                Output::Wait(until) => now = until,
                Output::Done => return sent,
                Output::Gone => panic!("gone"),
            }
        }
    }

    #[test]
    fn everything_leaves_in_order_when_it_is_played() {
        let film = film();
        for luck in [0, u64::MAX, 0x1234_5678_9abc_def0] {
            let mut schedule = Schedule::new(2, None, luck, Moment::START);
            let told = schedule.description(&film);
            let sent = sent(&mut schedule, &film);
            assert_eq!(sent.len() as u64, told.packets);
            let bytes: usize = sent.iter().map(|(_, packet)| packet.payload_bytes).sum();
            assert_eq!(bytes as u64, told.bytes);
            let markers = sent.iter().filter(|(_, packet)| packet.header.marker).count();
            assert_eq!(markers, film.chunks().len());
            for (number, (left, Packet { header, .. })) in sent.iter().enumerate() {
                let expected = u64::from(told.sequence) + number as u64;
                assert_eq!(u64::from(header.sequence), expected % 65_536);
                let ticks = header.timestamp.wrapping_sub(told.timestamp);
                let plays = super::super::span_of(ticks.into());
                let early = left.since(Moment::START).saturating_sub(plays);
                assert!(early < Duration::from_micros(12), "within a tick: {early:?}");
            }
            let (last, _) = sent.last().unwrap();
            assert!(last.since(Moment::START) < film.length());
        }
    }

    #[test]
    fn at_a_rate_it_leaves_evenly() {
        let film = film();
        let mut schedule = Schedule::new(0, Some(BitRate(1_000_000)), 1, Moment::START);
        let mut bytes = 0_u64;
        for (left, packet) in sent(&mut schedule, &film) {
            let due = Duration::from_nanos(bytes * 8_000);
            assert_eq!(left.since(Moment::START), due);
            bytes += packet.payload_bytes as u64;
        }
    }

    #[test]
    fn who_says_nothing_gets_nothing_more() {
        let film = film();
        let mut schedule = Schedule::new(0, None, 1, Moment::START);
        let (mut now, mut packets) = (Moment::START, 0);
        loop {
            match schedule.poll(&film, now) {
                Output::Send(_) => packets += 1,
                Output::Wait(until) => now = until,
                Output::Gone => break,
                Output::Done => panic!("the whole film without a word"),
            }
        }
        assert_eq!(now, Moment::START + SILENCE_MAX);
        assert!(packets > 10);
    }
}
