//! How many segments a connection has sent and received, as the kernel counts them (TCP_INFO).

use std::fmt;

use stentor_os::failure::Failure;

use super::calls::Door;
use super::stage::Stop;

/// Segments of one end of a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Segments {
    pub(super) outgoing: u32,
    pub(super) incoming: u32,
    /// Of both, those that carried data.
    pub(super) data: u32,
}

impl Segments {
    /// All of them.
    pub(super) fn packets(self) -> usize {
        (self.outgoing + self.incoming) as usize
    }

    /// What came since `earlier`.
    pub(super) fn since(self, earlier: Segments) -> Segments {
        Segments {
            outgoing: self.outgoing.saturating_sub(earlier.outgoing),
            incoming: self.incoming.saturating_sub(earlier.incoming),
            data: self.data.saturating_sub(earlier.data),
        }
    }

    /// Both together.
    pub(super) fn and(self, other: Segments) -> Segments {
        Segments {
            outgoing: self.outgoing + other.outgoing,
            incoming: self.incoming + other.incoming,
            data: self.data + other.data,
        }
    }
}

impl fmt::Display for Segments {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} out, {} in; {} with data", self.outgoing, self.incoming, self.data)
    }
}

/// The segments of the connection of `door` so far.
#[cfg(target_os = "linux")]
pub(super) fn segments(door: &Door) -> Result<Segments, Stop> {
    let info = stentor_os::net::tcp_info::tcp_info(door)
        .map_err(|error| not_counted(&Failure::new("getsockopt", "TCP_INFO", error).to_string()))?;
    let counters = info.counters.ok_or_else(|| not_counted("TCP_INFO has no counters here"))?;
    Ok(Segments {
        outgoing: counters.segments_out,
        incoming: counters.segments_in,
        data: counters.data_segments_out + counters.data_segments_in,
    })
}

/// The segments of the connection of `door`: this system does not count them.
#[cfg(not(target_os = "linux"))]
pub(super) fn segments(_door: &Door) -> Result<Segments, Stop> {
    let failure = Failure::new("getsockopt", "TCP_INFO", std::io::ErrorKind::Unsupported.into());
    Err(not_counted(&failure.to_string()))
}

fn not_counted(what: &str) -> Stop {
    Stop::Impossible {
        what: what.to_owned(),
        next: "The segments of a connection are counted by Linux 4.6 and later.".to_owned(),
    }
}
