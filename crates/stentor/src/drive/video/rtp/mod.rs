//! A film over UDP, both ends: [`sender`] is the origin's, on a thread of its own, [`receiver`] the
//! player's.
//!
//! What leaves when, what is played when and what the datagrams say is decided in
//! `stentor_core::video`'s `rtp` and `playout`.

pub mod receiver;
pub mod sender;

use stentor_core::moment::Moment;

/// The longest datagram that is read: whatever comes is no longer than what is sent here, or no
/// matter.
const DATAGRAM_MAX: usize = 2048;

/// The present, on the clock of this process.
fn now() -> Moment {
    Moment::from_nanos(stentor_os::clock::nanoseconds())
}
