//! One direction of a TCP connection: sequence numbers become places in a stream of bytes.
//!
//! Places are sequence numbers less the initial one, unwrapped to 64 bits: the SYN is at 0, the first
//! byte of data at 1 (RFC 9293, section 3.4). Which call put the bytes there is left to
//! [`super::matcher`].

use std::collections::BTreeMap;
use std::ops::Range;

use super::header::{Flags, Tcp};
use crate::moment::Moment;

/// What kind of segment it is, seen from its own direction.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Kind {
    /// Begins the connection.
    Syn,
    /// Bytes that were not sent before, at least some of them.
    Data,
    /// Only bytes (or a SYN, or a FIN) that were sent before.
    Retransmission,
    /// A FIN without bytes.
    Fin,
    /// A reset.
    Rst,
    /// An acknowledgement of something new.
    Ack,
    /// The same acknowledgement with a wider window.
    WindowUpdate,
    /// The same acknowledgement again.
    DuplicateAck,
    /// Asks a silent end whether it is there: one sequence number back (RFC 9293, section 3.8.4).
    KeepAlive,
    /// Asks whether a closed window has opened (RFC 9293, section 3.8.6.1).
    WindowProbe,
}

/// A segment in its place.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Placed {
    /// Sequence number less the initial one, unwrapped.
    pub sequence: u64,
    /// Bytes of payload, by the lengths in the headers.
    pub length: u32,
    /// What kind it is.
    pub kind: Kind,
    /// Whether a FIN stands at its end.
    pub fin: bool,
    /// The window it offers, in bytes; none when the scale is not known.
    pub window: Option<u32>,
    /// What it acknowledges: sequence less the *other* direction's initial one, unwrapped.
    pub acknowledgment: Option<u64>,
}

impl Placed {
    /// The bytes of data it carries, the first byte of the stream being 0.
    pub fn bytes(&self) -> Range<u64> {
        // A keep-alive may carry the byte before the next, even the SYN's place: no byte of data.
        let start = self.sequence.saturating_sub(1);
        if self.sequence == 0 && self.kind != Kind::Syn {
            return 0..0;
        }
        let start = if self.kind == Kind::Syn { 0 } else { start };
        start..start + u64::from(self.length)
    }
}

/// One direction: what was sent so far.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Stream {
    /// The initial sequence number.
    isn: Option<u32>,
    /// Whether it was told (by the SYN, or the SYN-ACK that acknowledged it) and not just taken from
    /// the first segment seen.
    proved: bool,
    /// The window scale its SYN told; none if that was not seen.
    scale: Option<u8>,
    /// One past the highest place seen; what a new segment would begin with.
    next: u64,
    covered: Covered,
    /// The place of the FIN.
    fin: Option<u64>,
    /// What this direction last acknowledged of the other, and the window it offered then.
    last_ack: Option<(u64, Option<u32>)>,
    /// Periods in which this end offered a window of 0: from, to.
    closed: Vec<(Moment, Option<Moment>)>,
    /// Ranges of bytes that were sent more than once, as they came.
    again: Covered,
}

impl Stream {
    /// Whether places count from the true beginning of the stream.
    pub fn is_proved(&self) -> bool {
        self.proved
    }

    /// Whether anything was seen of it.
    pub fn began(&self) -> bool {
        self.isn.is_some()
    }

    /// The initial sequence number, if told.
    pub fn isn(&self) -> Option<u32> {
        self.isn.filter(|_| self.proved)
    }

    /// How many bytes were seen or are known to have been sent: the highest place.
    pub fn length(&self) -> u64 {
        self.fin.unwrap_or(self.next).saturating_sub(1)
    }

    /// The offset at which the stream ends: where the FIN stands.
    pub fn end(&self) -> Option<u64> {
        self.fin.map(|place| place.saturating_sub(1))
    }

    /// Periods in which this end offered a window of 0.
    pub fn closed_windows(&self) -> &[(Moment, Option<Moment>)] {
        &self.closed
    }

    /// Whether any of these bytes were sent more than once.
    pub fn sent_again(&self, bytes: &Range<u64>) -> bool {
        self.again.touches(bytes)
    }

    /// Learns the initial sequence number from the acknowledgement of the SYN.
    pub fn acknowledged_syn(&mut self, acknowledgment: u32) {
        if self.isn.is_none() {
            self.begin(acknowledgment.wrapping_sub(1), true);
        }
    }

    fn begin(&mut self, isn: u32, proved: bool) {
        self.isn = Some(isn);
        self.proved = proved;
        self.next = 1;
    }

    /// The place of a sequence number: of those 2^32 apart the one nearest to the highest seen.
    /// None if it lies before the beginning.
    fn place(&self, sequence: u32) -> Option<u64> {
        let distance = sequence.wrapping_sub(self.isn?).wrapping_sub(low(self.next));
        let ahead = i64::from(distance.cast_signed());
        self.next.checked_add_signed(ahead)
    }

    /// Takes the next segment of this direction in the order of the capture; `other` is the opposite
    /// direction. None if its numbers make no sense here.
    pub fn feed(
        &mut self,
        at: Moment,
        tcp: &Tcp,
        length: u32,
        other: &mut Stream,
    ) -> Option<Placed> {
        let syn = tcp.flags.has(Flags::SYN);
        if syn && !self.proved {
            self.begin(tcp.sequence, true);
            self.next = 0;
            self.scale = Some(tcp.options.window_scale.unwrap_or(0).min(14));
        } else if self.isn.is_none() {
            self.begin(tcp.sequence.wrapping_sub(1), false);
        }
        if syn && tcp.flags.has(Flags::ACK) {
            other.acknowledged_syn(tcp.acknowledgment);
        }
        let sequence = self.place(tcp.sequence)?;
        let acknowledgment = tcp.flags.has(Flags::ACK).then(|| other.place(tcp.acknowledgment));
        let mut placed = Placed {
            sequence,
            length,
            kind: Kind::Ack,
            fin: tcp.flags.has(Flags::FIN),
            window: self.window(tcp, other),
            acknowledgment: acknowledgment.flatten(),
        };
        placed.kind = self.kind(tcp, &placed, other);
        self.remember(at, tcp, &placed);
        Some(placed)
    }

    /// The window in bytes: not scaled in a SYN, and only if both SYNs had the option (RFC 7323).
    fn window(&self, tcp: &Tcp, other: &Stream) -> Option<u32> {
        let window = u32::from(tcp.window);
        if window == 0 || tcp.flags.has(Flags::SYN) {
            return Some(window);
        }
        let (ours, theirs) = (self.scale?, other.scale?);
        Some(if ours == 0 || theirs == 0 { window << ours.min(theirs) } else { window << ours })
    }

    fn kind(&self, tcp: &Tcp, placed: &Placed, other: &Stream) -> Kind {
        if tcp.flags.has(Flags::RST) {
            return Kind::Rst;
        }
        if tcp.flags.has(Flags::SYN) {
            let first = self.next == 0;
            return if first { Kind::Syn } else { Kind::Retransmission };
        }
        let window_closed = other.last_ack.is_some_and(|(_, window)| window == Some(0));
        let one_back = placed.sequence.checked_add(1) == Some(self.next) && self.next > 0;
        // Linux probes without bytes; one byte again is a retransmission like any other.
        if one_back && placed.length == 0 && !placed.fin {
            return if window_closed { Kind::WindowProbe } else { Kind::KeepAlive };
        }
        if placed.length > 0 {
            let bytes = placed.bytes();
            let old = self.covered.contains(&bytes) && (!placed.fin || self.fin.is_some());
            return if old { Kind::Retransmission } else { Kind::Data };
        }
        if placed.fin {
            return if self.fin.is_some() { Kind::Retransmission } else { Kind::Fin };
        }
        match (self.last_ack, placed.acknowledgment) {
            (Some((last, before)), Some(now)) if last == now => match (before, placed.window) {
                (Some(before), Some(window)) if window > before => Kind::WindowUpdate,
                (Some(before), Some(window)) if window < before => Kind::Ack,
                _ => Kind::DuplicateAck,
            },
            _ => Kind::Ack,
        }
    }

    fn remember(&mut self, at: Moment, tcp: &Tcp, placed: &Placed) {
        if placed.kind == Kind::Rst {
            return;
        }
        let bytes = placed.bytes();
        if !bytes.is_empty() && !matches!(placed.kind, Kind::KeepAlive | Kind::WindowProbe) {
            if self.covered.touches(&bytes) {
                self.again.add(bytes.clone());
            }
            self.covered.add(bytes);
        }
        let after = placed.sequence
            + u64::from(placed.length)
            + u64::from(tcp.flags.has(Flags::SYN))
            + u64::from(placed.fin);
        self.next = self.next.max(after);
        if placed.fin && self.fin.is_none() {
            self.fin = Some(after.saturating_sub(1));
        }
        if placed.window == Some(0) {
            if self.closed.last().is_none_or(|(_, to)| to.is_some()) {
                self.closed.push((at, None));
            }
        } else if tcp.window != 0
            && let Some((_, to @ None)) = self.closed.last_mut()
        {
            *to = Some(at);
        }
        if let Some(acknowledgment) = placed.acknowledgment {
            self.last_ack = Some((acknowledgment, placed.window));
        }
    }
}

/// The lower half.
#[expect(clippy::cast_possible_truncation, reason = "sequence numbers are modulo 2^32")]
fn low(place: u64) -> u32 {
    place as u32
}

/// A set of places as ranges that neither touch nor overlap; few, since streams have few holes.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Covered(BTreeMap<u64, u64>);

impl Covered {
    /// Adds a range; gives the part of it that was new, from its first new place to its last.
    pub(super) fn add_new(&mut self, range: &Range<u64>) -> Option<Range<u64>> {
        let mut new = range.clone();
        if let Some((_, &to)) = self.0.range(..=new.start).next_back() {
            new.start = new.start.max(to);
        }
        if let Some((&from, &to)) = self.0.range(..new.end).next_back()
            && to >= new.end
        {
            new.end = new.end.min(from);
        }
        self.add(range.clone());
        (new.start < new.end).then_some(new)
    }

    fn add(&mut self, range: Range<u64>) {
        let (mut start, mut end) = (range.start, range.end);
        while let Some((&from, &to)) = self.0.range(..=end).next_back() {
            if to < start {
                break;
            }
            self.0.remove(&from);
            start = start.min(from);
            end = end.max(to);
        }
        self.0.insert(start, end);
    }

    fn contains(&self, range: &Range<u64>) -> bool {
        let before = self.0.range(..=range.start).next_back();
        before.is_some_and(|(_, to)| *to >= range.end)
    }

    fn touches(&self, range: &Range<u64>) -> bool {
        let before = self.0.range(..range.end).next_back();
        before.is_some_and(|(_, to)| *to > range.start)
    }
}

#[cfg(test)]
mod tests;
