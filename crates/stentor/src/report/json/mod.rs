//! The JSON of every verb: one object, valid also when the run failed.
//!
//! Here is what all share; the mirror of each verb's result is in a file of its own. Keys are
//! only added within a version; units stand in their names.

pub mod fetch;
pub mod impair;
pub mod learn;
pub mod load;
pub mod peer;
pub mod qualify;
pub mod schema;
pub mod send;
pub mod serve;
pub mod video;

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use schemars::JsonSchema;
use serde::Serialize;

use crate::complaint::Exit;

/// The one object that `--json` prints.
#[derive(Debug, Serialize, JsonSchema)]
pub struct Envelope<C, R> {
    /// Name and version of the form: `stentor.send/1`.
    pub schema: &'static str,
    /// Version of the program.
    pub version: &'static str,
    /// The command line; bytes that are not UTF-8 are replaced.
    pub argv: Vec<String>,
    /// The machine.
    pub host: Host,
    /// When the run began, in UTC (RFC 3339).
    pub started: String,
    /// Whether the exit code is 0.
    pub ok: bool,
    /// The exit code of the run.
    pub exit_code: u8,
    /// What went wrong, as it is said on standard error.
    pub error: Option<String>,
    /// What was asked for, defaults filled in; `null` if it was not understood.
    pub config: Option<C>,
    /// What was found; `null` if it did not come to that.
    pub result: Option<R>,
    /// What a reader should know besides.
    pub warnings: Vec<String>,
}

/// The machine of a run.
#[derive(Debug, Serialize, JsonSchema)]
pub struct Host {
    os: &'static str,
    arch: &'static str,
    kernel: Option<String>,
    cpus: Option<usize>,
}

impl Host {
    fn this() -> Host {
        let kernel = std::fs::read_to_string("/proc/sys/kernel/osrelease").ok();
        Host {
            os: std::env::consts::OS,
            arch: std::env::consts::ARCH,
            kernel: kernel.map(|kernel| kernel.trim().to_owned()),
            cpus: std::thread::available_parallelism().ok().map(Into::into),
        }
    }
}

impl<C: Serialize, R: Serialize> Envelope<C, R> {
    /// An envelope of this run and machine, still without config and result.
    pub fn new(
        schema: &'static str,
        started: SystemTime,
        exit: Exit,
        error: Option<String>,
    ) -> Envelope<C, R> {
        Envelope {
            schema,
            version: env!("CARGO_PKG_VERSION"),
            argv: std::env::args_os().map(|word| word.to_string_lossy().into_owned()).collect(),
            host: Host::this(),
            started: utc(started),
            ok: exit == Exit::Good,
            exit_code: exit.code(),
            error,
            config: None,
            result: None,
            warnings: Vec::new(),
        }
    }

    /// Lets a run that had come to something end in another way: `error` is everything that is said.
    pub fn fails(&mut self, exit: Exit, error: String) {
        (self.ok, self.exit_code) = (false, exit.code());
        self.error = Some(error);
    }

    /// The object as text, indented, with a newline at its end.
    pub fn text(&self) -> String {
        // Plain structs with string keys cannot fail to serialise.
        serde_json::to_string_pretty(self).unwrap_or_default() + "\n"
    }
}

/// A time in whole nanoseconds, as every key that ends in `_ns` has it.
pub(crate) fn ns(time: Duration) -> u64 {
    u64::try_from(time.as_nanos()).unwrap_or(u64::MAX)
}

/// `2026-01-31T12:00:00.123Z` (RFC 3339, section 5.6), in the Gregorian calendar.
pub(in crate::report) fn utc(time: SystemTime) -> String {
    let since = time.duration_since(UNIX_EPOCH).unwrap_or_default();
    let (mut days, seconds) = (since.as_secs() / 86_400, since.as_secs() % 86_400);
    let leap = |year: u64| {
        year.is_multiple_of(4) && (!year.is_multiple_of(100) || year.is_multiple_of(400))
    };
    let mut year = 1970;
    while days >= 365 + u64::from(leap(year)) {
        days -= 365 + u64::from(leap(year));
        year += 1;
    }
    let mut month = 1;
    for length in [31, 28 + u64::from(leap(year)), 31, 30, 31, 30, 31, 31, 30, 31, 30] {
        if days < length {
            break;
        }
        days -= length;
        month += 1;
    }
    let (hour, minute, second) = (seconds / 3600, seconds / 60 % 60, seconds % 60);
    let (day, ms) = (days + 1, since.subsec_millis());
    format!("{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}.{ms:03}Z")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_written_as_rfc_3339_says() {
        let check = |ms: u64, expected| {
            assert_eq!(utc(UNIX_EPOCH + Duration::from_millis(ms)), expected);
        };
        check(0, "1970-01-01T00:00:00.000Z");
        check(951_782_400_000, "2000-02-29T00:00:00.000Z");
        check(951_868_800_001, "2000-03-01T00:00:00.001Z");
        check(1_735_689_599_999, "2024-12-31T23:59:59.999Z");
        check(4_107_542_400_000, "2100-03-01T00:00:00.000Z");
    }
}
