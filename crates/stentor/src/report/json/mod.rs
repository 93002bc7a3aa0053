//! Reports as JSON: versioned mirror types, one file per verb; the inner types know nothing of it.
//!
//! Within a version keys are only added. Units stand in the names of the keys; times are whole
//! nanoseconds.

pub mod fetch;

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use serde::Serialize;

use crate::complaint::{Complaint, Exit};

/// What every report holds, however the run ended.
#[derive(Debug, Serialize)]
pub struct Envelope<C, R> {
    /// `stentor.VERB/VERSION`.
    pub schema: &'static str,
    /// The version of the program.
    pub version: &'static str,
    /// The command line.
    pub argv: Vec<String>,
    /// The machine it ran on.
    pub host: Machine,
    /// When, in UTC (RFC 3339).
    pub started: String,
    /// Whether the exit code is 0.
    pub ok: bool,
    /// As the shell sees it.
    pub exit_code: u8,
    /// Why it is not 0.
    pub error: Option<Trouble>,
    /// What was asked for; `None` if the arguments made no sense.
    pub config: Option<C>,
    /// What came of it; `None` if nothing was tried.
    pub result: Option<R>,
    /// What a person should know although it went on.
    pub warnings: Vec<String>,
}

/// The kind of machine.
#[derive(Debug, Serialize)]
pub struct Machine {
    /// `linux`, `macos`.
    pub system: &'static str,
    /// `x86_64`, `aarch64`.
    pub architecture: &'static str,
}

/// A complaint.
#[derive(Debug, Serialize)]
pub struct Trouble {
    /// What was tried, where, and what went wrong.
    pub what: String,
    /// What to do next; may be empty.
    pub next: String,
}

impl<C: Serialize, R: Serialize> Envelope<C, R> {
    /// A report of a run that began at `started` and ended with `trouble` or well.
    pub fn new(
        schema: &'static str,
        started: SystemTime,
        trouble: Option<&Complaint>,
        config: Option<C>,
        result: Option<R>,
    ) -> Envelope<C, R> {
        let exit_code = trouble.map_or(Exit::Good, |complaint| complaint.exit) as u8;
        let words = trouble.map(|complaint| Trouble {
            what: complaint.what.clone(),
            next: complaint.next.clone(),
        });
        Envelope {
            schema,
            version: env!("CARGO_PKG_VERSION"),
            argv: std::env::args_os().map(|word| word.to_string_lossy().into_owned()).collect(),
            host: Machine { system: std::env::consts::OS, architecture: std::env::consts::ARCH },
            started: rfc3339(started.duration_since(UNIX_EPOCH).unwrap_or_default()),
            ok: exit_code == 0,
            exit_code,
            error: words,
            config,
            result,
            warnings: Vec::new(),
        }
    }

    /// The report as text, with a line break at its end. Complaint: it cannot be written as JSON.
    pub fn text(&self) -> Result<String, Complaint> {
        let text = serde_json::to_string_pretty(self).map_err(|error| {
            Complaint::new(Exit::Impossible, format!("write JSON: {error}"), "")
        })?;
        Ok(text + "\n")
    }
}

/// A time since 1970 in UTC, to the millisecond: `2026-01-31T23:59:59.000Z` (RFC 3339).
fn rfc3339(since: Duration) -> String {
    let (days, second) = (since.as_secs() / 86_400, since.as_secs() % 86_400);
    // Days to a date, counting years from March so that the leap day is the last of its year:
    // Howard Hinnant, "chrono-Compatible Low-Level Date Algorithms", civil_from_days.
    let shifted = days + 719_468;
    let (era, day_of_era) = (shifted / 146_097, shifted % 146_097);
    let year_of_era =
        (day_of_era - day_of_era / 1_460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let from_march = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * from_march + 2) / 5 + 1;
    let month = if from_march < 10 { from_march + 3 } else { from_march - 9 };
    let year = era * 400 + year_of_era + u64::from(month <= 2);
    let (hour, minute) = (second / 3_600, second % 3_600 / 60);
    let milliseconds = since.subsec_millis();
    let second = second % 60;
    format!("{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}.{milliseconds:03}Z")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dates_are_those_of_the_calendar() {
        let check = |seconds: u64, expected: &str| {
            assert_eq!(rfc3339(Duration::from_secs(seconds)), expected);
        };
        // The right-hand sides are those of date -u -d @SECONDS.
        check(0, "1970-01-01T00:00:00.000Z");
        check(951_782_399, "2000-02-28T23:59:59.000Z");
        check(951_782_400, "2000-02-29T00:00:00.000Z");
        check(1_709_164_800, "2024-02-29T00:00:00.000Z");
        check(4_107_542_400, "2100-03-01T00:00:00.000Z");
        check(1_798_761_599, "2026-12-31T23:59:59.000Z");
    }
}
