//! Recorded links: Mahimahi's delivery opportunities, and tables of time and bandwidth.

use std::str::FromStr;

use thiserror::Error;

/// What one line of a Mahimahi trace lets through, in bytes.
pub const OPPORTUNITY_BYTES: u64 = 1500;

/// How fast a link was, at every time; after its end it begins again.
///
/// Two formats, told apart by the number of columns of the first line:
/// - Mahimahi (Netravali et al., "Mahimahi: Accurate Record-and-Replay for HTTP", USENIX ATC 2015):
///   one whole number of milliseconds in each line, never decreasing; each line is one opportunity
///   for 1500 bytes, which is wasted if nothing waits; the last stamp is the period.
/// - `time bandwidth`: seconds and Mbit/s; the bandwidth holds from the time of the line before up
///   to its own, and the first line says where time begins (Mao et al., "Neural Adaptive Video
///   Streaming with Pensieve", SIGCOMM 2017). Empty lines and those that begin with `#` are passed
///   over.
#[derive(Clone, Debug, PartialEq)]
pub enum Trace {
    /// Milliseconds of the opportunities; never empty, and the last is above 0.
    Opportunities(Vec<u64>),
    /// Lengths in nanoseconds and rates in bit/s; both sums are above 0.
    Table(Vec<(u64, u64)>),
}

/// Why a trace was not understood.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum TraceError {
    /// A line that is not what the first line promised.
    #[error("line {line}: {written:?} is not {wanted}")]
    Line {
        /// From 1.
        line: usize,
        /// What stands there.
        written: String,
        /// What should.
        wanted: &'static str,
    },
    /// Time goes backwards.
    #[error("line {line}: time goes back from {before} to {after}")]
    Backwards {
        /// From 1.
        line: usize,
        /// The time of the line before.
        before: String,
        /// The time of this line.
        after: String,
    },
    /// No line, or a period of no length.
    #[error("the trace lasts no time: its last stamp must be above 0")]
    NoTime,
    /// Nothing would ever pass.
    #[error("the trace lets nothing through: every bandwidth is 0")]
    NoBandwidth,
    /// More lines than are read.
    #[error("the trace has more than {0} lines")]
    TooLong(usize),
}

impl FromStr for Trace {
    type Err = TraceError;

    fn from_str(_text: &str) -> Result<Trace, TraceError> {
        Err(TraceError::NoTime)
    }
}
