//! How much of everything a server gives away before it protects itself.
//!
//! Only figures and the rule for sizes of reads are here; the drivers keep the times and counts.

use std::time::Duration;

use crate::casing::SPILL_TAKEN_MAX;

/// Nothing sent and nothing received for so long: the connection is closed.
pub const IDLE: Duration = Duration::from_secs(300);
/// After our FIN the client may take so long to send its own.
pub const AFTER_FIN: Duration = Duration::from_secs(60);
/// A client that takes not one byte of its answer for so long is closed.
pub const WRITE_STALL: Duration = Duration::from_secs(30);
/// After the first signal to end, what has arrived is answered for so long.
pub const DRAIN: Duration = Duration::from_secs(25);
/// Descriptors left for listeners, logs and the like: connections get the others.
pub const DESCRIPTORS_KEPT: u64 = 64;
/// Connections that wait to be accepted, per listener (the kernel caps it: listen(2)).
pub const BACKLOG: u32 = 1024;

/// Bytes of one read, usually.
pub const READ: usize = 64 << 10;
/// Bytes of one read after one that filled its buffer, of text that may grow.
pub const READ_BULK: usize = HELD_MAX + CASING_PIECE - 3 * CASING_PIECE;
/// Bytes of one read after one that filled its buffer and was answered in place: twice as much at
/// once takes a fifth less of the processor.
pub const READ_PLAIN: usize = 256 << 10;
/// Bytes of one read while [`STALLED_MANY`] bytes wait for clients that do not read.
pub const READ_SHORT: usize = 16 << 10;
/// Bytes stalled in all connections together from which reads are short.
pub const STALLED_MANY: u64 = 32 << 20;
/// Bytes of one read while [`STALLED_MOST`] bytes wait.
pub const READ_SCARCE: usize = 4 << 10;
/// Bytes stalled in all connections together from which reads are scarce: so that a thousand
/// clients who never read, whatever they write, pin less than 64 MiB.
pub const STALLED_MOST: u64 = 48 << 20;
/// The most bytes of ours that a client who never reads can pin.
///
/// At worst one read is kept less the piece that was turned, and the answer of that piece, which
/// may have grown threefold: 128 - 64 + 192 KiB. Plain text does not grow: 256 KiB. Only who turns
/// within one read from plain text to the two letters that grow threefold pins half as much again,
/// once.
pub const HELD_MAX: usize = 256 << 10;
/// The most non-ASCII input that is turned to upper case in one piece.
pub const CASING_PIECE: usize = SPILL_TAKEN_MAX;

/// The limits of a server; the default of each is the constant beside it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Without traffic either way: [`IDLE`].
    pub idle: Duration,
    /// From our FIN to the client's: [`AFTER_FIN`].
    pub after_fin: Duration,
    /// Without a byte of the answer taken: [`WRITE_STALL`].
    pub write_stall: Duration,
    /// From the first signal to the end: [`DRAIN`].
    pub drain: Duration,
    /// Connections open at once; see [`connections`].
    pub connections: usize,
    /// Connections open at once from one IPv4 address or one IPv6 /64; `None`: no such limit.
    pub connections_per_source: Option<usize>,
    /// Connections that wait to be accepted: [`BACKLOG`].
    pub backlog: u32,
}

impl Limits {
    /// The defaults of a process that may have `descriptors` open (getrlimit(2)).
    pub fn new(descriptors: u64) -> Limits {
        Limits {
            idle: IDLE,
            after_fin: AFTER_FIN,
            write_stall: WRITE_STALL,
            drain: DRAIN,
            connections: connections(descriptors),
            connections_per_source: None,
            backlog: BACKLOG,
        }
    }
}

/// The connections of a process that may have `descriptors` open: all but 64, and at least one.
pub fn connections(descriptors: u64) -> usize {
    usize::try_from(descriptors.saturating_sub(DESCRIPTORS_KEPT)).unwrap_or(usize::MAX).max(1)
}

/// The size in bytes of the next read.
///
/// `filled`: the last read of this connection filled its buffer, so that more is waiting.
/// `plain`: that read was answered in place.
/// `stalled`: bytes that wait, in all connections, for clients that do not read.
#[inline]
pub fn read_size(filled: bool, plain: bool, stalled: u64) -> usize {
    match (filled, plain) {
        _ if stalled >= STALLED_MOST => READ_SCARCE,
        _ if stalled >= STALLED_MANY => READ_SHORT,
        (true, true) => READ_PLAIN,
        (true, false) => READ_BULK,
        (false, _) => READ,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_grow_in_bulk_and_shrink_when_much_is_stalled() {
        let check = |filled, plain, stalled, expected: usize| {
            let size = read_size(filled, plain, stalled);
            assert_eq!(size, expected << 10, "{filled} {plain} {stalled}");
        };
        check(false, false, 0, 64);
        check(false, true, 0, 64);
        check(true, false, 0, 128);
        check(true, true, 0, 256);
        check(true, true, (32 << 20) - 1, 256);
        check(true, true, 32 << 20, 16);
        check(false, false, (48 << 20) - 1, 16);
        check(false, true, u64::MAX, 4);
    }

    #[test]
    fn a_client_that_never_reads_pins_no_more_than_its_share() {
        for (filled, stalled) in [(false, 0), (true, 0), (true, STALLED_MANY)] {
            let read = read_size(filled, false, stalled);
            let piece = read.min(CASING_PIECE);
            assert!(read - piece + 3 * piece <= HELD_MAX);
            // What is answered in place does not grow.
            assert!(read_size(filled, true, stalled) <= HELD_MAX);
        }
    }

    #[test]
    fn connections_leave_descriptors_for_the_rest() {
        assert_eq!(connections(1024), 960);
        assert_eq!(connections(64), 1);
        assert_eq!(connections(0), 1);
        assert_eq!(Limits::new(20_000).connections, 19_936);
    }
}
