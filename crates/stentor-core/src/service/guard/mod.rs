//! The guard against loops of datagrams: two services that answer whatever they get, and one
//! forged datagram between them, talk for ever (CERT CA-1996-01, CVE-2024-2169).
//!
//! No field of a datagram tells a service from a client, but a loop repeats itself. Only two
//! signs count, so that a client whose datagrams differ, at whatever rate, is never slowed:
//!
//! - the answer is what was asked (an upper-case service got upper case);
//! - the payload, or our own answer, comes again from the same address and port, within a second
//!   of the last datagram from there.
//!
//! Such datagrams are rationed in two ways. Of one address and port at most [`REPEATS`] repetitions
//! are answered: with the forged datagram and two answers before the first repetition that makes
//! 1 + 9 + 9 datagrams before silence, on any path with a round trip below a second; on a longer
//! one a loop turns less than once a second. And all of one address (IPv4) or /64 (IPv6, as hosts
//! choose the rest of it freely: RFC 8981) share a bucket: 20 at once, then 10 a second. Who goes
//! on beyond either ration is muted: for 1 s, twice as long each time up to 64 s, and as long again
//! without offence makes it forgotten. A mute holds only for datagrams with one of the signs. So
//! a client that says the same again and again, from one port and faster than once a second, has 8
//! or 9 answers and then a pause.
//!
//! Many forged datagrams at once go round as a circle, of which no payload comes again before all the
//! others have. Such a circle is found by waiting for one of them (`circle`), and then every datagram
//! from there is remembered; once they have gone round some four times, and hardly a new one among
//! them, they are repetitions as well. So of N forged datagrams some 10 N are answered (in trains 40 N), and a client
//! that tries again, or says some things often beside others, is none.
//!
//! Datagrams that the kernel coalesced into one buffer, and of which none is an answer to itself,
//! are judged by the first of them, until their sender repeats itself.
//!
//! Two services that halve (`half`) need up to 17 datagrams more, to come down to an empty one.
//! What it cannot see: a peer that changes what it sends each time, such as by a counter, without
//! giving our answer back; that looks like a client.

mod circle;
mod table;
#[cfg(test)]
mod tests;

use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use self::circle::{Circle, Known};
use self::table::{Entry, Table};
use crate::moment::Moment;
use crate::seed::{Dice, Seed};

/// Counted datagrams of one source that are answered at once.
pub const BURST: u32 = 20;
/// The time in which one of them is forgiven: 10 a second.
pub const REFILL: Duration = Duration::from_millis(100);
/// Refusals for want of a token that lead to a mute.
pub const REFUSALS: u8 = 20;
/// How often a repeated payload is answered again, from one address and port.
pub const REPEATS: u8 = 7;
/// After so long a payload is no repetition any more; the round trip of a loop is shorter.
pub const QUIET: Duration = Duration::from_secs(1);
/// The longest mute, in seconds; the first lasts 1 s.
pub const MUTE_MAX_S: u8 = 64;

/// Sources whose buckets are kept apart, and pairs of source and port whose payloads are.
const BUCKETS: usize = 2048;
const FLOWS: usize = 4096;

/// Payloads and answers remembered of one address and port.
const SEEN: usize = 8;

/// What the guard may be told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Settings {
    /// Hides from strangers which sources share a place in the table.
    pub seed: Seed,
}

/// All that is remembered of who sent what: fixed tables of less than 640 KiB.
#[derive(Clone, Debug)]
pub struct Guard {
    secret: u64,
    buckets: Table<Bucket>,
    flows: Table<Flow>,
    /// What flows said in which something seems to go round.
    known: Known,
}

/// What one address or /64 may still have answered.
///
/// The tokens are kept as the moment at which none is missing any more (GCRA, ITU-T I.371).
#[derive(Clone, Copy, Debug, Default)]
struct Bucket {
    full_at: Moment,
    refusals: u8,
    mute: Mute,
}

/// What one address and port said last.
#[derive(Clone, Copy, Debug, Default)]
struct Flow {
    at: Moment,
    /// Tags of payloads and answers of late; 0 is none.
    seen: [u32; SEEN],
    /// How many places of it have been taken.
    taken: u8,
    circle: Circle,
    repeats: u8,
    repeated_at: Moment,
    mute: Mute,
}

#[derive(Clone, Copy, Debug, Default)]
struct Mute {
    until: Moment,
    span_s: u8,
}

impl Guard {
    /// Opens a guard that has seen nobody.
    pub fn new(settings: Settings) -> Guard {
        let secret = Dice::new(settings.seed, "guard").bits();
        Guard {
            secret,
            buckets: Table::new(BUCKETS),
            flows: Table::new(FLOWS),
            known: Known::default(),
        }
    }

    /// Says whether a datagram may be answered; `told` and `answer` are the [`fingerprint`]s of
    /// its payload and of the answer.
    pub fn handle(&mut self, now: Moment, source: SocketAddr, told: u64, answer: u64) -> bool {
        let (address, pair) = self.keys(source);
        let (flow, flow_shared) = self.flows.entry(now, pair);
        let mut repeated = flow.note(now, tag(told), tag(answer));
        if !repeated && flow.circle.meets(now, tag(told)) {
            let known = self.known.note(now, flow.circle.key(pair ^ told));
            repeated = flow.circle.closes(known);
        }
        if !repeated && told != answer {
            return true;
        }
        // A flood may fill a table. Its newcomers then share a ration, but are never muted, so that
        // they are served again as soon as the flood is over.
        let (bucket, shared) = self.buckets.entry(now, address);
        if flow.mute.is_on(now) || bucket.mute.is_on(now) {
            return false;
        }
        if repeated && !flow.may_repeat(now, flow_shared) {
            return false;
        }
        bucket.take(now) || {
            bucket.refuse(now, shared);
            false
        }
    }

    /// Says whether several datagrams that came together may be answered without a look at each;
    /// `told` and `answer` are of the first, and the answer to each differs from its question.
    /// If not, nothing is lost: each can still be handled by itself.
    ///
    /// As long as a sender has not been seen to repeat itself, one of them stands for all: a loop
    /// in which they go round together brings the first one back as well, and from then on each
    /// is looked at. So it lives one turn longer, and a client's burst costs what one datagram does.
    pub fn handle_train(
        &mut self,
        now: Moment,
        source: SocketAddr,
        told: u64,
        answer: u64,
    ) -> bool {
        let (_, pair) = self.keys(source);
        let (flow, shared) = self.flows.entry(now, pair);
        !shared
            && !flow.is_busy(now)
            && !flow.note(now, tag(told), tag(answer))
            && !flow.circle.meets(now, tag(told))
    }

    /// What stands for a source in the two tables: its address, and that with the port.
    fn keys(&self, source: SocketAddr) -> (u64, u64) {
        let address = mix(source_key(source.ip()) ^ self.secret);
        (address, mix(address ^ u64::from(source.port())))
    }
}

impl Bucket {
    /// Takes a token if one is there.
    fn take(&mut self, now: Moment) -> bool {
        let from = self.full_at.max(now);
        if from == now {
            self.refusals = 0;
        }
        let after = from + REFILL;
        let enough = after.since(now) <= REFILL * BURST;
        if enough {
            self.full_at = after;
        }
        enough
    }

    fn refuse(&mut self, now: Moment, shared: bool) {
        self.refusals = self.refusals.saturating_add(1);
        if self.refusals >= REFUSALS && !shared {
            self.refusals = 0;
            self.mute.strike(now);
        }
    }
}

impl Flow {
    /// Remembers a payload and its answer; says whether the payload was known.
    fn note(&mut self, now: Moment, told: u32, answer: u32) -> bool {
        if now.since(self.at) >= QUIET && !self.mute.is_on(now) {
            (self.seen, self.taken, self.circle) = ([0; SEEN], 0, Circle::default());
        }
        self.at = now;
        let repeated = self.seen.contains(&told);
        if !repeated {
            self.remember(now, told);
        }
        if !self.seen.contains(&answer) {
            self.remember(now, answer);
        }
        repeated
    }

    /// Puts a tag into a random place once none is free: a few loops at once are caught in time,
    /// where the oldest place would always be overwritten just before it is needed. Many are a
    /// circle.
    fn remember(&mut self, now: Moment, tag: u32) {
        let random = || usize::try_from(mix(now.as_nanos() ^ u64::from(tag)) % SEEN as u64);
        let place = match usize::from(self.taken) {
            SEEN.. => random().unwrap_or_default(),
            free => {
                self.taken += 1;
                free
            }
        };
        if let Some(place) = self.seen.get_mut(place) {
            *place = tag;
        }
    }

    /// Counts a repetition; strange datagrams in between do not whitewash it, only quiet does.
    fn may_repeat(&mut self, now: Moment, shared: bool) -> bool {
        if now.since(self.repeated_at) >= QUIET {
            self.repeats = 0;
        }
        self.repeated_at = now;
        if self.repeats < REPEATS {
            self.repeats += 1;
            return true;
        }
        if !shared {
            self.repeats = 0;
            self.mute.strike(now);
        }
        false
    }
}

impl Mute {
    fn is_on(&self, now: Moment) -> bool {
        now < self.until
    }

    /// Whether the next mute would be longer than the first.
    fn is_remembered(&self, now: Moment) -> bool {
        now < self.until + Duration::from_secs(self.span_s.into())
    }

    fn strike(&mut self, now: Moment) {
        let longer = self.span_s.saturating_mul(2).min(MUTE_MAX_S);
        self.span_s = if self.is_remembered(now) { longer } else { 1 };
        self.until = now + Duration::from_secs(self.span_s.into());
    }
}

impl Entry for Bucket {
    fn is_busy(&self, now: Moment) -> bool {
        now < self.full_at || self.mute.is_remembered(now)
    }

    fn last_used(&self) -> Moment {
        self.full_at
    }
}

impl Entry for Flow {
    fn is_busy(&self, now: Moment) -> bool {
        (self.repeats > 0 && now.since(self.repeated_at) < QUIET)
            || (self.circle.is_suspected() && now.since(self.at) < QUIET)
            || self.mute.is_remembered(now)
    }

    fn last_used(&self) -> Moment {
        self.at
    }
}

/// Tells payloads apart: equal payloads have equal fingerprints, others hardly ever.
///
/// Not secret and not safe against forgery, and it need not be: who forges a collision is taken
/// for a loop of his own. Four lanes keep it near the speed of memory.
pub fn fingerprint(payload: &[u8]) -> u64 {
    const FACTOR: u64 = 0x9e37_79b9_7f4a_7c15; // 2^64 / golden ratio, as in SplitMix64
    let step = |lane: u64, word: &[u8]| {
        let mut bytes = [0; 8];
        bytes.iter_mut().zip(word).for_each(|(to, from)| *to = *from);
        (lane.rotate_left(23) ^ u64::from_le_bytes(bytes)).wrapping_mul(FACTOR)
    };
    let mut lanes = [1_u64, 2, 3, 4];
    let mut blocks = payload.chunks_exact(32);
    for block in blocks.by_ref() {
        for (lane, word) in lanes.iter_mut().zip(block.chunks_exact(8)) {
            *lane = step(*lane, word);
        }
    }
    for (lane, word) in lanes.iter_mut().zip(blocks.remainder().chunks(8)) {
        *lane = step(*lane, word);
    }
    lanes.into_iter().fold(payload.len() as u64, |hash, lane| mix(hash ^ lane))
}

/// The finisher of SplitMix64 (Steele, Lea, Flood 2014): every bit of `word` moves every bit.
fn mix(word: u64) -> u64 {
    let word = (word ^ (word >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let word = (word ^ (word >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    word ^ (word >> 31)
}

/// The short form kept in a table; never 0, which stands for none.
fn tag(fingerprint: u64) -> u32 {
    u32::try_from(fingerprint >> 32).unwrap_or(u32::MAX).max(1)
}

/// What stands for a source wherever sources are told apart: an IPv4 address whole, of an IPv6
/// address the /64, since a host chooses the rest of it freely (RFC 8981).
///
/// IPv4 takes its place in ff00::/8: those are groups, and nothing comes from a group (RFC 4291,
/// section 2.7).
pub fn source_key(address: IpAddr) -> u64 {
    match address.to_canonical() {
        IpAddr::V4(v4) => 0xff00_0000_0000_0000 | u64::from(v4.to_bits()),
        IpAddr::V6(v6) => u64::try_from(v6.to_bits() >> 64).unwrap_or_default(),
    }
}
