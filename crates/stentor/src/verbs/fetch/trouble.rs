//! The words for what went wrong with a connection that stood, and the next step.

use std::error::Error;
use std::io;

use stentor_core::timeline::excerpt;
use stentor_os::failure::describe;

use super::account::Hop;
use crate::complaint::{Complaint, Exit};
use crate::drive::http::{HEAD_MAX_BYTES, HEADERS_MAX, Halt};
use crate::drive::tls;

/// A reply that is no good (exit 1).
pub(super) fn bad(hop: &Hop, words: &str, next: &str) -> Complaint {
    Complaint::new(Exit::Bad, format!("{}: {words}", place(hop)), next)
}

/// `http://example.org/ at 192.0.2.1:80`.
fn place(hop: &Hop) -> String {
    match hop.peer {
        Some(peer) => format!("{} at {peer}", hop.url),
        None => hop.url.to_string(),
    }
}

/// Whether the person ended it.
pub(super) fn is_interrupt(outcome: &Result<(), Complaint>) -> bool {
    outcome.as_ref().is_err_and(|complaint| complaint.exit == Exit::Interrupted)
}

/// A wait that was given up `during` a part of the hop: silence is exit 1, a signal exit 130.
///
/// Silence before the connection is secured is exit 3: there was no connection to use yet.
pub(super) fn halted(hop: &Hop, halt: Halt, during: &str) -> Complaint {
    let came = match hop.head {
        Some(_) => format!(", after {}", hop.progress()),
        None => String::new(),
    };
    match halt {
        Halt::Interrupted => Complaint::new(
            Exit::Interrupted,
            format!("{}: interrupted {during}{came}", place(hop)),
            "",
        ),
        Halt::Silence(span) => {
            let unsecured = hop.url.scheme() == "https" && hop.tls.is_none();
            let exit = if unsecured { Exit::Environment } else { Exit::Bad };
            let what = format!("{}: nothing came for {span:?} {during}{came}", place(hop));
            Complaint::new(exit, what, "-w waits longer.")
        }
    }
}

/// A TLS handshake that failed (exit 3).
pub(super) fn unsecured(hop: &Hop, error: &io::Error) -> Complaint {
    let (words, next) = match tls::explain(error) {
        Some(found) => found,
        None if error.kind() == io::ErrorKind::UnexpectedEof => (
            "the server closed the connection during the handshake".to_owned(),
            "If the port speaks plain HTTP, use http://.",
        ),
        None => (describe(error), ""),
    };
    Complaint::new(Exit::Environment, format!("TLS with {}: {words}", place(hop)), next)
}

/// A reply that hyper could not read to its end (exit 1).
///
/// `beginning` is what came first of it; `closed` is whether the server ended the connection.
pub(super) fn broken(hop: &Hop, error: &hyper::Error, beginning: &[u8], closed: bool) -> Complaint {
    let kernel = causes(error).find_map(|cause| {
        cause.downcast_ref::<io::Error>().filter(|error| error.raw_os_error().is_some())
    });
    if hop.head.is_some() {
        return cut(hop, error, kernel, closed);
    }
    let came = beginning.len();
    if let Some(error) = kernel {
        let words = format!("{}, after {came} bytes of the reply", describe(error));
        return bad(hop, &words, "");
    }
    // hyper has a question for this only where it is a server.
    if told(error) == "message head is too large" {
        let kibi = HEAD_MAX_BYTES / 1024;
        let words = format!("the head of the reply is over {kibi} KiB or {HEADERS_MAX} lines");
        return bad(hop, &words, "--raw shows what came.");
    }
    if error.is_parse() {
        return unread(hop, error, beginning);
    }
    if came == 0 {
        let words = "the server closed the connection without a reply";
        return bad(hop, words, "If the port speaks TLS, use https://.");
    }
    if closed {
        let words = format!("the connection ended in the head of the reply, after {came} bytes");
        return bad(hop, &words, "--raw shows what came.");
    }
    bad(hop, &told(error), "")
}

/// A head that is not HTTP, or not well-formed.
fn unread(hop: &Hop, error: &hyper::Error, beginning: &[u8]) -> Complaint {
    if beginning.starts_with(b"HTTP/1.") && !error.is_parse_version_h2() {
        let words = format!("the head of the reply is malformed: {}", told(error));
        return bad(hop, &words, "--raw shows what came.");
    }
    // A TLS alert (RFC 8446, section 5.1): the port wanted a handshake, not a request.
    if beginning.starts_with(&[21, 3]) {
        return bad(hop, "the port speaks TLS, not plain HTTP", "Use https://.");
    }
    let words = format!("the reply is not HTTP/1: it begins with \"{}\"", excerpt(beginning));
    bad(hop, &words, "--raw shows what came.")
}

/// A body that broke off.
fn cut(hop: &Hop, error: &hyper::Error, kernel: Option<&io::Error>, closed: bool) -> Complaint {
    let chunked = hop.head.as_ref().is_some_and(|head| head.chunked);
    let progress = hop.progress();
    let words = match kernel {
        Some(error) => format!("{}, after {progress} of the body", describe(error)),
        None if closed && chunked => {
            format!("the body is incomplete: {progress}, and the last chunk never came")
        }
        None if closed => format!("the body is incomplete: {progress}"),
        None => format!("the body is malformed after {progress}: {}", told(error)),
    };
    bad(hop, &words, "")
}

/// An error and what caused it, outermost first.
fn causes(error: &hyper::Error) -> impl Iterator<Item = &(dyn Error + 'static)> {
    let outermost: &(dyn Error + 'static) = error;
    std::iter::successors(Some(outermost), |error: &&(dyn Error + 'static)| (*error).source())
}

/// The words of the innermost cause, which knows the most.
fn told(error: &hyper::Error) -> String {
    causes(error).last().map(ToString::to_string).unwrap_or_default()
}
