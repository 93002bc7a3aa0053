//! Recorded links: Mahimahi's delivery opportunities, and tables of time and bandwidth.
//!
//! Reading the file is left to the roof; what the records mean for a unit is in `transmitter`.

use std::str::FromStr;
use std::sync::Arc;
use std::time::Duration;

use thiserror::Error;

use super::knobs::RATE_MAX;
use crate::units::BitRate;

/// What one line of a Mahimahi trace lets through, in bytes.
pub const OPPORTUNITY_BYTES: u64 = 1500;
/// The most lines that are read: an hour at 12 Gbit/s in Mahimahi's format takes 3.6 million.
pub const TRACE_LINES_MAX: usize = 4 << 20;
/// The latest time in a trace: a hundred years, which also leaves room for dates since 1970.
const TIME_MAX_S: u64 = 100 * 366 * 24 * 3600;

/// How fast a link was, at every time since the run began; after its end it begins again.
///
/// Two formats, told apart by the number of columns of the first line:
/// - Mahimahi (Netravali et al., "Mahimahi: Accurate Record-and-Replay for HTTP", USENIX ATC 2015):
///   one whole number of milliseconds in each line, never decreasing; each line is one opportunity
///   for 1500 bytes, which is wasted if nothing waits; the last stamp is the period.
/// - `time bandwidth`: seconds and Mbit/s; the bandwidth holds from the time of the line before up
///   to its own, and the first line says where time begins (the simulator of Mao et al., "Neural
///   Adaptive Video Streaming with Pensieve", SIGCOMM 2017).
///
/// Empty lines and those that begin with `#` are passed over. A clone shares the records.
#[derive(Clone, Debug, PartialEq)]
pub enum Trace {
    /// Delivery opportunities.
    Opportunities(Opportunities),
    /// Time and bandwidth.
    Table(Table),
}

/// The opportunities of a Mahimahi trace.
#[derive(Clone, Debug, PartialEq)]
pub struct Opportunities {
    /// Milliseconds; never empty, never decreasing, and the last is above 0.
    pub(super) stamps_ms: Arc<[u64]>,
}

/// A table of bandwidths; something passes in every period.
#[derive(Clone, Debug, PartialEq)]
pub struct Table {
    pub(super) rows: Arc<[Row]>,
}

/// A stretch of time with one bandwidth.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Row {
    /// When it ends, in nanoseconds since the table began.
    pub(super) end_ns: u64,
    /// How fast it is, in bit/s.
    pub(super) bps: u64,
    /// What has passed at its end, in 10^-9 bit since the table began.
    pub(super) passed: u128,
}

/// Why a trace was not understood.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum TraceError {
    /// A line that is not what the first line promised.
    #[error("line {line}: {written:?} is not {wanted}")]
    Line {
        /// From 1.
        line: usize,
        /// What stands there, at most 40 characters of it.
        written: String,
        /// What should.
        wanted: &'static str,
    },
    /// Time goes backwards.
    #[error("line {line}: {written:?} goes back in time; lines stand in the order of their times")]
    Backwards {
        /// From 1.
        line: usize,
        /// What stands there, at most 40 characters of it.
        written: String,
    },
    /// No line, or a period of no length.
    #[error(
        "the trace lasts no time: it needs a last stamp above 0 (Mahimahi), or two lines with \
         different times (time bandwidth)"
    )]
    NoTime,
    /// Nothing would ever pass.
    #[error("the trace lets nothing through: every bandwidth is 0")]
    NoBandwidth,
    /// More lines than are read.
    #[error("the trace has more than {TRACE_LINES_MAX} lines: cut it, it is repeated anyway")]
    TooLong,
}

impl Trace {
    /// After which time it begins again, in nanoseconds; above 0.
    pub fn period_ns(&self) -> u64 {
        match self {
            Trace::Opportunities(known) => known.period_ns(),
            Trace::Table(table) => table.period_ns(),
        }
    }

    /// A table of stretches: how long each lasts, and how fast the link is in it.
    ///
    /// # Errors
    /// When nothing would ever pass, no time at all, or too many stretches.
    pub fn of_stretches(
        stretches: impl IntoIterator<Item = (Duration, BitRate)>,
    ) -> Result<Trace, TraceError> {
        let (mut rows, mut end_ns, mut passed): (Vec<Row>, u64, u128) = (Vec::new(), 0, 0);
        for (length, rate) in stretches {
            let length = u64::try_from(length.as_nanos()).unwrap_or(u64::MAX);
            end_ns = end_ns.saturating_add(length).min(TIME_MAX_S * 1_000_000_000);
            let begin = rows.last().map_or(0, |row| row.end_ns);
            let bps = rate.0.min(RATE_MAX.0);
            passed += u128::from(end_ns - begin) * u128::from(bps);
            if end_ns > begin {
                rows.push(Row { end_ns, bps, passed });
            }
            if rows.len() > TRACE_LINES_MAX {
                return Err(TraceError::TooLong);
            }
        }
        table_of(rows).map(Trace::Table)
    }

    /// What it lets through in the mean, in bit/s.
    pub fn mean_bps(&self) -> f64 {
        let bits = match self {
            Trace::Opportunities(known) => {
                known.stamps_ms.len() as f64 * OPPORTUNITY_BYTES as f64 * 8.0
            }
            Trace::Table(table) => table.passed() as f64 / 1e9,
        };
        bits * 1e9 / self.period_ns() as f64
    }
}

impl Opportunities {
    pub(super) fn period_ns(&self) -> u64 {
        self.stamps_ms.last().map_or(1, |last| last * 1_000_000)
    }
}

impl Table {
    pub(super) fn period_ns(&self) -> u64 {
        self.rows.last().map_or(1, |row| row.end_ns)
    }

    /// What passes in one period, in 10^-9 bit.
    pub(super) fn passed(&self) -> u128 {
        self.rows.last().map_or(1, |row| row.passed)
    }
}

impl FromStr for Trace {
    type Err = TraceError;

    fn from_str(text: &str) -> Result<Trace, TraceError> {
        let lines = text.lines().enumerate().map(|(index, line)| (index + 1, line.trim()));
        let lines = lines.filter(|(_, line)| !line.is_empty() && !line.starts_with('#'));
        if lines.clone().nth(TRACE_LINES_MAX).is_some() {
            return Err(TraceError::TooLong);
        }
        let first = lines.clone().next().ok_or(TraceError::NoTime)?;
        match first.1.split_whitespace().count() {
            1 => opportunities(lines).map(Trace::Opportunities),
            _ => table(lines).map(Trace::Table),
        }
    }
}

/// As much of a line as an error shows.
fn shown(line: &str) -> String {
    line.chars().take(40).collect()
}

fn opportunities<'a>(
    lines: impl Iterator<Item = (usize, &'a str)>,
) -> Result<Opportunities, TraceError> {
    let wanted = "a whole number of milliseconds, such as 250 (Mahimahi)";
    let mut stamps: Vec<u64> = Vec::new();
    for (line, written) in lines {
        let digits = written.bytes().all(|byte| byte.is_ascii_digit());
        let stamp = written.parse::<u64>().ok().filter(|ms| digits && *ms <= TIME_MAX_S * 1000);
        let stamp =
            stamp.ok_or_else(|| TraceError::Line { line, written: shown(written), wanted })?;
        if stamps.last().is_some_and(|before| stamp < *before) {
            return Err(TraceError::Backwards { line, written: shown(written) });
        }
        stamps.push(stamp);
    }
    match stamps.last() {
        None | Some(0) => Err(TraceError::NoTime),
        Some(_) => Ok(Opportunities { stamps_ms: stamps.into() }),
    }
}

fn table<'a>(lines: impl Iterator<Item = (usize, &'a str)>) -> Result<Table, TraceError> {
    let wanted = "two numbers, seconds and Mbit/s, such as 0.5 4.2";
    let mut begin: Option<u64> = None;
    let mut rows: Vec<Row> = Vec::new();
    for (line, written) in lines {
        let (at, bps) = row(written).ok_or_else(|| TraceError::Line {
            line,
            written: shown(written),
            wanted,
        })?;
        let begin = *begin.get_or_insert(at);
        let before = rows.last().copied().unwrap_or(Row { end_ns: 0, bps: 0, passed: 0 });
        let length = at.checked_sub(begin + before.end_ns);
        let length =
            length.ok_or_else(|| TraceError::Backwards { line, written: shown(written) })?;
        if length > 0 {
            let passed = before.passed + u128::from(length) * u128::from(bps);
            rows.push(Row { end_ns: before.end_ns + length, bps, passed });
        }
    }
    table_of(rows)
}

fn table_of(rows: Vec<Row>) -> Result<Table, TraceError> {
    match rows.last() {
        None => Err(TraceError::NoTime),
        Some(row) if row.passed == 0 => Err(TraceError::NoBandwidth),
        Some(_) => Ok(Table { rows: rows.into() }),
    }
}

/// Reads `seconds Mbit/s` as nanoseconds and bit/s.
#[allow(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "both ranges are checked; the fraction of a nanosecond or a bit means nothing"
)]
fn row(written: &str) -> Option<(u64, u64)> {
    let mut columns = written.split_whitespace().map(|column| column.parse::<f64>().ok());
    let (seconds, megabits) = (columns.next()??, columns.next()??);
    let fits = columns.next().is_none()
        && (0.0..=TIME_MAX_S as f64).contains(&seconds)
        && (0.0..=RATE_MAX.0 as f64 / 1e6).contains(&megabits);
    fits.then_some(((seconds * 1e9).round() as u64, (megabits * 1e6).round() as u64))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn check(text: &str, expected: &str) {
        let read = match text.parse::<Trace>() {
            Ok(Trace::Opportunities(known)) => format!("{:?}", known.stamps_ms),
            Ok(Trace::Table(table)) => {
                let row = |row: &Row| format!("{}:{}", row.end_ns / 1_000_000, row.bps);
                table.rows.iter().map(row).collect::<Vec<_>>().join(" ")
            }
            Err(error) => error.to_string(),
        };
        assert!(read.starts_with(expected), "{text:?}: {read}");
    }

    #[test]
    fn traces_are_read() {
        check("1\n1\n5\n", "[1, 1, 5]");
        check("0\n\n# a remark\r\n7", "[0, 7]");
        check("0\n0", "the trace lasts no time");
        check("", "the trace lasts no time");
        check("5\n4", "line 2: \"4\" goes back in time");
        check("5\n6 7", "line 2: \"6 7\" is not a whole number");
        check("-5", "line 1: \"-5\" is not a whole number");
        check("+5", "line 1: \"+5\" is not a whole number");
        check("99999999999999999999", "line 1: \"99999999999999999999\" is not a whole number");
        check("0 9\n0.5 2\n2 0.5", "500:2000000 2000:500000");
        check("100 9\n100.5\t2\n", "500:2000000");
        check("0 1", "the trace lasts no time");
        check("0 1\n1 0", "the trace lets nothing through");
        check("1 1\n0.5 1", "line 2: \"0.5 1\" goes back in time");
        check("0 1\n1 x", "line 2: \"1 x\" is not two numbers");
        check("0 1\n1 nan", "line 2: \"1 nan\" is not two numbers");
        check("0 1\n1 1 1", "line 2: \"1 1 1\" is not two numbers");
        check("0 1\n1 1e9", "line 2: \"1 1e9\" is not two numbers");
    }

    #[test]
    fn stretches_are_a_table() {
        let ms = Duration::from_millis;
        let of = |rows: &[(u64, u64)]| {
            Trace::of_stretches(rows.iter().map(|(length, bps)| (ms(*length), BitRate(*bps))))
        };
        assert_eq!(of(&[(500, 2_000_000), (0, 7), (1500, 500_000)]), "0 9\n0.5 2\n2 0.5".parse());
        assert_eq!(of(&[]), Err(TraceError::NoTime));
        assert_eq!(of(&[(0, 5)]), Err(TraceError::NoTime));
        assert_eq!(of(&[(9, 0)]), Err(TraceError::NoBandwidth));
    }

    #[test]
    fn the_mean_is_what_passes_in_a_period() {
        let mean = |text: &str| text.parse::<Trace>().unwrap().mean_bps();
        assert_eq!(mean("1\n2\n3\n"), 12e6);
        assert_eq!(mean("0 0\n1 3\n3 0"), 1e6);
    }

    proptest! {
        #[test]
        fn reading_never_panics(text in "[0-9 .\n#e-]{0,60}") {
            if let Ok(trace) = text.parse::<Trace>() {
                prop_assert!(trace.period_ns() > 0 && trace.mean_bps() > 0.0);
            }
        }
    }
}
