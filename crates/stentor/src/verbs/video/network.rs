//! What a film is simulated over: a trace in one of the forms of the field, or a steady rate.

use std::time::Duration;

use stentor_core::link::{RATE_MAX, Trace};
use stentor_core::units::{BitRate, Span};
use stentor_core::video::network::Network;
use thiserror::Error;

use super::file;
use crate::complaint::Complaint;
use crate::report::json::video::Malformed;
use crate::report::json::video::network::Periods;

/// The longest file that is read, in bytes.
const BYTES_MAX: u64 = 64 << 20;

/// What a file of a network holds.
const FORM: &str = "A network is JSON (an array of periods with duration_ms, bandwidth_kbps and \
                    latency_ms), a table of seconds and Mbit/s, Mahimahi's stamps in milliseconds, or a \
                    rate such as 2Mbit.";

/// A network as it was found in a file.
#[derive(Clone, Debug, PartialEq)]
pub enum Found {
    /// The reference's JSON, which has latencies of its own.
    Periods(Periods),
    /// A table or Mahimahi's stamps, without latency.
    Trace(Trace),
}

/// Why bytes are no network.
#[derive(Clone, Debug, PartialEq, Error)]
pub enum NoNetwork {
    /// Not text at all.
    #[error("line {line}: byte {byte:#04x} is no text; is the file compressed, or a picture?")]
    Binary {
        /// From 1.
        line: usize,
        /// The first that is not.
        byte: u8,
    },
    /// Nothing but space.
    #[error("there is nothing in it but space")]
    Blank,
    /// It looks like JSON, and is not a network's.
    #[error(transparent)]
    Json(#[from] Malformed),
    /// It looks like a trace, and is none.
    #[error(transparent)]
    Trace(#[from] stentor_core::link::TraceError),
}

/// Understands a network by its content: JSON begins with a bracket, everything else is a trace.
///
/// # Errors
/// What is none of the forms, with the line.
pub fn understand(bytes: &[u8]) -> Result<Found, NoNetwork> {
    let text = std::str::from_utf8(bytes).map_err(|error| {
        let good = bytes.get(..error.valid_up_to()).unwrap_or_default();
        let line = 1 + good.iter().filter(|byte| **byte == b'\n').count();
        let byte = bytes.get(error.valid_up_to()).copied().unwrap_or_default();
        NoNetwork::Binary { line, byte }
    })?;
    // A mark that some editors put before everything else.
    let text = text.strip_prefix('\u{feff}').unwrap_or(text);
    match text.trim_start().chars().next() {
        None => Err(NoNetwork::Blank),
        Some('[' | '{') => Ok(Found::Periods(Periods::read(text.as_bytes())?)),
        Some(_) => Ok(Found::Trace(text.parse()?)),
    }
}

/// The network that a person means: a rate, a file in one of the forms, or standard input as `-`.
/// `latency` is what a request costs where the form does not say it.
///
/// # Errors
/// A file that cannot be read (exit 3), is no network, lets nothing through, or has latencies of its own
/// and is given another (2).
pub(super) fn read(written: &str, latency: Option<Span>) -> Result<Network, Complaint> {
    let refused = |what: String| Complaint::usage(format!("--sim {written}: {what}"), FORM);
    let span = latency.map_or(Duration::ZERO, |span| span.0);
    let network = if let Ok(rate) = written.parse::<BitRate>() {
        if rate > RATE_MAX {
            return Err(refused(format!("at most {RATE_MAX} is simulated")));
        }
        Network::steady(rate, span)
    } else {
        match (understand(&bytes(written)?).map_err(|error| refused(error.to_string()))?, latency) {
            (Found::Periods(_), Some(latency)) => {
                let what = format!("--latency {latency}: this network has latencies of its own");
                let next = "Leave it out, or change latency_ms in the file.";
                return Err(Complaint::usage(format!("--sim {written}: {what}"), next));
            }
            (Found::Periods(periods), None) => periods.network(),
            (Found::Trace(trace), _) => Network::recorded(trace, span),
        }
    };
    network.map_err(|error| refused(error.to_string()))
}

/// The periods of a network in the reference's own form, which is the only one that it reads.
///
/// # Errors
/// A file that cannot be read (exit 3), or is something else (2).
pub(super) fn periods(written: &str) -> Result<Periods, Complaint> {
    let form = "The reference reads JSON alone: an array of periods with duration_ms, \
                bandwidth_kbps and latency_ms.";
    let refused = |what: String| Complaint::usage(format!("--sim {written}: {what}"), form);
    if written.parse::<BitRate>().is_ok() {
        return Err(refused("this is a rate, not the name of a file".to_owned()));
    }
    match understand(&bytes(written)?).map_err(|error| refused(error.to_string()))? {
        Found::Periods(periods) => Ok(periods),
        Found::Trace(_) => Err(refused("this is a trace in another form".to_owned())),
    }
}

fn bytes(written: &str) -> Result<Vec<u8>, Complaint> {
    file::read("--sim", written, BYTES_MAX, FORM)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refused(bytes: &[u8]) -> String {
        understand(bytes).unwrap_err().to_string()
    }

    #[test]
    fn the_form_is_known_by_the_content() {
        let json = b"\xef\xbb\xbf\n [{\"duration_ms\":1,\"bandwidth_kbps\":1,\"latency_ms\":1}]";
        assert!(matches!(understand(json), Ok(Found::Periods(_))));
        assert!(matches!(understand(b"0 1\n1 2"), Ok(Found::Trace(Trace::Table(_)))));
        assert!(matches!(understand(b"# a\n1\n2"), Ok(Found::Trace(Trace::Opportunities(_)))));
    }

    #[test]
    fn what_is_none_is_refused_with_its_line() {
        let check = |bytes: &[u8], said: &str| {
            let error = refused(bytes);
            assert!(error.contains(said), "{error}");
        };
        check(b" \n\t", "nothing in it but space");
        check(b"\x1f\x8b\x08", "line 1: byte 0x8b is no text; is the file compressed");
        check(b"1\n2\n\xff", "line 3: byte 0xff");
        check(b"{\"segment_duration_ms\": 1}", "line 1, column");
        check(b"1\n-2\n", "line 2: \"-2\" is not a whole number");
        check(b"0 1\n1 nan\n", "line 2: \"1 nan\" is not two numbers");
        check(b"0 1\n1 -1\n", "line 2: \"1 -1\" is not two numbers");
        check(b"0 0\n1 0\n", "lets nothing through");
        check(b"\0\0\0\0", "line 1: \"\\0\\0\\0\\0\" is not");
        check(&[b'9'; 100], "line 1: \"9999999999999999999999999999999999999999\" is not");
    }

    #[test]
    fn a_rate_is_a_network_and_latency_goes_with_forms_that_have_none() {
        let at = |ms: u64| stentor_core::moment::Moment::from_nanos(ms * 1_000_000);
        let network = read("8kbit", Some(Span(Duration::from_millis(100)))).unwrap();
        assert_eq!((network.begins(at(0)), network.arrives(at(100), 500)), (at(100), at(600)));
        let said = read("0bit", None).unwrap_err().to_string();
        assert!(said.contains("--sim 0bit: the trace lets nothing through"), "{said}");
        let said = read("9000Gbit", None).unwrap_err().to_string();
        assert!(said.contains("at most 1000Gbit"), "{said}");
        let said = read("2Mbit", Some(Span(Duration::from_secs(4000)))).unwrap_err().to_string();
        assert!(said.contains("at most an hour"), "{said}");
        let missing = read("/nowhere/trace", None).unwrap_err();
        assert!(missing.to_string().contains("(ENOENT)"), "{missing}");
        assert_eq!(missing.exit, crate::complaint::Exit::Environment);
    }
}
