//! Film over UDP: RTP's packets and reports (RFC 3550), the words that ask for a film, and when each
//! packet leaves.
//!
//! [`words`] is how a player asks, and proves that it is where it says before anything is sent;
//! [`schedule`] is the sender's machine. When what arrives is played is left to [`super::playout`],
//! sockets to the roof.

pub mod schedule;
pub mod words;

use std::time::Duration;

use thiserror::Error;

/// Bytes of a header without contributing sources (RFC 3550, 5.1).
pub const HEADER_BYTES: usize = 12;
/// Bytes of a receiver's report with one block (RFC 3550, 6.4.2).
pub const REPORT_BYTES: usize = 32;
/// Ticks of a timestamp in a second: those of every video format (RFC 3551, section 5).
pub const CLOCK_HZ: u32 = 90_000;
/// The payload type of what is sent: a dynamic one (RFC 3551, section 3).
pub const PAYLOAD_TYPE: u8 = 96;

const VERSION: u8 = 2;
const RECEIVER_REPORT: u8 = 201;
const GOODBYE: u8 = 203;
/// Why an origin leaves before its film ends (RFC 3550, 6.6): with its length before it, two
/// words.
const REASON: &[u8; 7] = b"stopped";

/// The header of a packet, as far as a player needs it (RFC 3550, 5.1).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Header {
    /// Here: the last packet of a chunk.
    pub marker: bool,
    /// What the payload is.
    pub payload_type: u8,
    /// Counts packets, and goes round.
    pub sequence: u16,
    /// When its film plays, in ticks of [`CLOCK_HZ`], from any beginning.
    pub timestamp: u32,
    /// Whose stream it is (SSRC).
    pub source: u32,
}

/// Why a datagram is no packet of RTP or RTCP.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum PacketError {
    /// It ends before what it says it has.
    #[error("{found} bytes, and the packet says it has {needed}")]
    Short {
        /// How many there are.
        found: usize,
        /// How many it takes.
        needed: usize,
    },
    /// Another version, or nothing of the kind.
    #[error("version {0} of RTP: this is version 2")]
    Version(u8),
    /// A packet of RTCP that is not expected here.
    #[error("an RTCP packet of type {0}")]
    Kind(u8),
    /// More padding than payload.
    #[error("{0} bytes of padding, more than there are")]
    Padding(u8),
}

impl Header {
    /// The header as it is sent.
    pub fn to_bytes(self) -> [u8; HEADER_BYTES] {
        let second = u8::from(self.marker) << 7 | (self.payload_type & 0x7f);
        let [s0, s1] = self.sequence.to_be_bytes();
        let [t0, t1, t2, t3] = self.timestamp.to_be_bytes();
        let [c0, c1, c2, c3] = self.source.to_be_bytes();
        [VERSION << 6, second, s0, s1, t0, t1, t2, t3, c0, c1, c2, c3]
    }

    /// Reads a packet: its header, and its payload without sources, extension and padding.
    ///
    /// # Errors
    /// What is cut short, or of another version.
    pub fn read(packet: &[u8]) -> Result<(Header, &[u8]), PacketError> {
        let mut rest = Rest(packet, packet.len());
        let [first, second] = rest.take()?;
        if first >> 6 != VERSION {
            return Err(PacketError::Version(first >> 6));
        }
        let sequence = u16::from_be_bytes(rest.take()?);
        let timestamp = u32::from_be_bytes(rest.take()?);
        let source = u32::from_be_bytes(rest.take()?);
        rest.skip(usize::from(first & 0x0f) * 4)?;
        if first & 0x10 != 0 {
            let [_, _, high, low] = rest.take()?;
            rest.skip(usize::from(u16::from_be_bytes([high, low])) * 4)?;
        }
        let mut payload = rest.0;
        if first & 0x20 != 0 {
            let padding = payload.last().copied().unwrap_or(0);
            let kept = payload.len().checked_sub(usize::from(padding)).filter(|_| padding > 0);
            let kept = kept.ok_or(PacketError::Padding(padding))?;
            payload = payload.get(..kept).unwrap_or_default();
        }
        let (marker, payload_type) = (second & 0x80 != 0, second & 0x7f);
        Ok((Header { marker, payload_type, sequence, timestamp, source }, payload))
    }
}

/// What a player says of a stream from time to time: a receiver's report of one block (RFC 3550,
/// 6.4.2). Without it a sender stops.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Report {
    /// Who says it.
    pub reporter: u32,
    /// Of whose stream.
    pub source: u32,
    /// Lost since the last report, in 256ths.
    pub lost_share: u8,
    /// Lost since the beginning; 24 bits with a sign are sent, since duplicates count against it.
    pub lost: i32,
    /// The highest number that came, with how often it went round.
    pub highest: u32,
    /// The jitter of arrivals, in ticks of [`CLOCK_HZ`].
    pub jitter: u32,
}

/// What RTCP says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Control {
    /// A receiver's report.
    Report(Report),
    /// A receiver's report without a block: this one is there, and nothing has come yet.
    Present(u32),
    /// This source has ended (RFC 3550, 6.6).
    Goodbye(u32),
    /// This source has ended before its time: a goodbye with a reason, whatever it says.
    Stopped(u32),
}

impl Control {
    /// The packet as it is sent.
    pub fn to_bytes(self) -> Vec<u8> {
        match self {
            Control::Goodbye(source) => {
                let mut packet = vec![VERSION << 6 | 1, GOODBYE, 0, 1];
                packet.extend(source.to_be_bytes());
                packet
            }
            Control::Stopped(source) => {
                let mut packet = vec![VERSION << 6 | 1, GOODBYE, 0, 3];
                packet.extend(source.to_be_bytes());
                // The reason's length.
                packet.push(7);
                packet.extend(REASON);
                packet
            }
            Control::Present(reporter) => {
                let mut packet = vec![VERSION << 6, RECEIVER_REPORT, 0, 1];
                packet.extend(reporter.to_be_bytes());
                packet
            }
            Control::Report(report) => {
                let mut packet = vec![VERSION << 6 | 1, RECEIVER_REPORT, 0, 7];
                packet.extend(report.reporter.to_be_bytes());
                let [_, l0, l1, l2] = report.lost.clamp(-(1 << 23), (1 << 23) - 1).to_be_bytes();
                packet.extend(report.source.to_be_bytes());
                packet.extend([report.lost_share, l0, l1, l2]);
                packet.extend(report.highest.to_be_bytes());
                packet.extend(report.jitter.to_be_bytes());
                // No sender's report has come: both fields about it are zero.
                packet.extend([0; 8]);
                packet
            }
        }
    }

    /// Reads the first packet of a datagram of RTCP.
    ///
    /// # Errors
    /// What is cut short, of another version, or of another kind.
    pub fn read(packet: &[u8]) -> Result<Control, PacketError> {
        let mut rest = Rest(packet, packet.len());
        let [first, kind, _, _] = rest.take()?;
        if first >> 6 != VERSION {
            return Err(PacketError::Version(first >> 6));
        }
        match kind {
            GOODBYE => {
                let source = u32::from_be_bytes(rest.take()?);
                // Of several sources the first one counts; what follows them is the reason.
                let more = usize::from(first & 0x1f).saturating_sub(1);
                rest.skip(4 * more)?;
                let reasoned = rest.0.first().is_some_and(|length| *length > 0);
                Ok(if reasoned { Control::Stopped(source) } else { Control::Goodbye(source) })
            }
            RECEIVER_REPORT => {
                let reporter = u32::from_be_bytes(rest.take()?);
                if first & 0x1f == 0 {
                    return Ok(Control::Present(reporter));
                }
                let source = u32::from_be_bytes(rest.take()?);
                let [lost_share, l0, l1, l2] = rest.take()?;
                let highest = u32::from_be_bytes(rest.take()?);
                let jitter = u32::from_be_bytes(rest.take()?);
                rest.skip(8)?;
                // The sign of 24 bits becomes that of 32.
                let lost = i32::from_be_bytes([l0, l1, l2, 0]) >> 8;
                let report = Report { reporter, source, lost_share, lost, highest, jitter };
                Ok(Control::Report(report))
            }
            other => Err(PacketError::Kind(other)),
        }
    }

    /// Whether a datagram is of RTCP rather than RTP, where both share a port (RFC 5761, section 4).
    pub fn is_one(packet: &[u8]) -> bool {
        packet.get(1).is_some_and(|kind| (192..=223).contains(kind))
    }
}

/// What of a packet was not read yet, and how long it was.
struct Rest<'a>(&'a [u8], usize);

impl Rest<'_> {
    fn take<const N: usize>(&mut self) -> Result<[u8; N], PacketError> {
        let (taken, rest) = self.0.split_first_chunk::<N>().ok_or_else(|| self.short(N))?;
        self.0 = rest;
        Ok(*taken)
    }

    fn skip(&mut self, bytes: usize) -> Result<(), PacketError> {
        self.0 = self.0.get(bytes..).ok_or_else(|| self.short(bytes))?;
        Ok(())
    }

    fn short(&self, wanted: usize) -> PacketError {
        PacketError::Short { found: self.1, needed: self.1 - self.0.len() + wanted }
    }
}

/// How long a number of ticks is.
pub fn span_of(ticks: u64) -> Duration {
    let (seconds, rest) = (ticks / u64::from(CLOCK_HZ), ticks % u64::from(CLOCK_HZ));
    Duration::from_secs(seconds) + Duration::from_nanos(rest * 1_000_000_000 / u64::from(CLOCK_HZ))
}

/// How many ticks a time is, as timestamps have it: they go round.
pub fn ticks_of(time: Duration) -> u32 {
    let ticks = time.as_nanos() * u128::from(CLOCK_HZ) / 1_000_000_000;
    u32::try_from(ticks % (1 << 32)).unwrap_or(0)
}

/// Follows a number of few bits around: what it is without going round, nearest to the greatest so
/// far. Numbers count from `first`, which is 0.
#[derive(Clone, Copy, Debug)]
pub struct Unwrap {
    first: u64,
    bits: u32,
    greatest: u64,
}

impl Unwrap {
    /// Of sequence numbers (16 bits) or timestamps (32) that begin with `first`.
    pub fn new(first: u64, bits: u32) -> Unwrap {
        Unwrap { first, bits, greatest: 0 }
    }

    /// What a number stands for; `None` before the first.
    pub fn feed(&mut self, number: u64) -> Option<u64> {
        let round = 1_u64 << self.bits;
        let place = number.wrapping_sub(self.first) % round;
        let base = self.greatest - self.greatest % round;
        let near = [base.checked_sub(round), Some(base), base.checked_add(round)];
        let near = near.into_iter().flatten().filter_map(|base| base.checked_add(place));
        let nearest = near.min_by_key(|number| number.abs_diff(self.greatest))?;
        // Far ahead at the beginning is a little before it.
        if nearest > self.greatest && nearest - self.greatest > round / 2 {
            return None;
        }
        self.greatest = self.greatest.max(nearest);
        Some(nearest)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn headers_are_those_of_the_rfc() {
        let header =
            Header { marker: true, payload_type: 96, sequence: 0x1234, timestamp: 5, source: 6 };
        let packet = header.to_bytes();
        assert_eq!(packet, [0x80, 0xe0, 0x12, 0x34, 0, 0, 0, 5, 0, 0, 0, 6]);
        assert_eq!(Header::read(&packet), Ok((header, [].as_slice())));
        // One source, an extension of one word, two bytes of padding.
        let odd = [
            0xb1, 0xe0, 0x12, 0x34, 0, 0, 0, 5, 0, 0, 0, 6, 9, 9, 9, 9, 0, 0, 0, 1, 8, 8, 8, 8, 7,
            0, 2,
        ];
        assert_eq!(Header::read(&odd), Ok((header, [7].as_slice())));
        let refused = |packet: &[u8], error| assert_eq!(Header::read(packet), Err(error));
        refused(b"", PacketError::Short { found: 0, needed: 2 });
        refused(&odd[..14], PacketError::Short { found: 14, needed: 16 });
        refused(&[0x40; 12], PacketError::Version(1));
        refused(&[&[0xa0; 12][..], &[3]].concat(), PacketError::Padding(3));
        refused(&[&[0xa0; 12][..], &[0]].concat(), PacketError::Padding(0));
    }

    #[test]
    fn reports_and_goodbyes_are_those_of_the_rfc() {
        let report = Report {
            reporter: 1,
            source: 2,
            lost_share: 3,
            lost: -4,
            highest: 0x1_0005,
            jitter: 6,
        };
        let others = [Control::Present(1), Control::Goodbye(0xdead), Control::Stopped(0xdead)];
        for control in [Control::Report(report)].into_iter().chain(others) {
            let packet = control.to_bytes();
            assert_eq!(Control::read(&packet), Ok(control));
            assert!(Control::is_one(&packet));
            let words = usize::from(packet[3]) + 1;
            assert_eq!(packet.len(), words * 4, "the length counts words, less one");
        }
        assert_eq!(Control::Report(report).to_bytes().len(), REPORT_BYTES);
        // Two sources and a reason of one letter; a length of none is no reason.
        let two = [0x82, 203, 0, 3, 0, 0, 0, 1, 0, 0, 0, 2, 1, b'x', 0, 0];
        assert_eq!(Control::read(&two), Ok(Control::Stopped(1)));
        assert_eq!(Control::read(&[0x81, 203, 0, 2, 0, 0, 0, 1, 0]), Ok(Control::Goodbye(1)));
        assert_eq!(
            Control::read(&two[..8]),
            Err(PacketError::Short { found: 8, needed: 12 }),
            "a second source that is not there"
        );
        assert_eq!(Control::read(&[0x80, 200, 0, 0]), Err(PacketError::Kind(200)));
        let header =
            Header { marker: true, payload_type: 96, sequence: 0, timestamp: 0, source: 0 };
        assert!(!Control::is_one(&header.to_bytes()));
    }

    #[test]
    fn numbers_are_followed_around() {
        let mut unwrap = Unwrap::new(65_534, 16);
        let given = [65_534, 65_535, 1, 0, 2, 65_535].map(|number| unwrap.feed(number));
        assert_eq!(given, [Some(0), Some(1), Some(3), Some(2), Some(4), Some(1)]);
        assert_eq!(unwrap.feed(65_533), None, "one before the first");
        let mut unwrap = Unwrap::new(0, 16);
        for round in 0..200_000_u64 {
            assert_eq!(unwrap.feed(round % 65_536), Some(round));
        }
    }

    #[test]
    fn ticks_are_times() {
        assert_eq!(span_of(90_001), Duration::new(1, 11_111));
        assert_eq!(ticks_of(Duration::from_secs(2)), 180_000);
        assert_eq!(ticks_of(Duration::from_secs(1 << 32)), 0);
    }

    proptest! {
        #[test]
        fn nothing_that_arrives_is_fatal(packet in proptest::collection::vec(any::<u8>(), 0..80)) {
            if let Ok((_, payload)) = Header::read(&packet) {
                prop_assert!(payload.len() + HEADER_BYTES <= packet.len());
            }
            let _ = Control::read(&packet);
        }
    }
}
