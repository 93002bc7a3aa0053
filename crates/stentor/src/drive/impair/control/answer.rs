//! Answers of the control server: codes, content types and error texts of Toxiproxy 2.12.

use std::io;

use hyper::StatusCode;
use serde::Serialize;
use stentor_os::failure::{Failure, errno_name};

use super::body::Unread;
use crate::drive::impair::Refusal;

/// An answer, before it is HTTP.
#[derive(Debug)]
pub(super) struct Answer {
    pub(super) status: StatusCode,
    pub(super) content: &'static str,
    pub(super) body: Vec<u8>,
}

/// What could not be done: a status and its text.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Problem {
    pub(super) status: StatusCode,
    pub(super) text: String,
}

/// Texts that carry nothing of the request.
#[derive(Clone, Copy, Debug)]
pub(super) struct Fixed(StatusCode, &'static str);

const JSON: &str = "application/json";
const TEXT: &str = "text/plain; charset=utf-8";

impl Problem {
    pub(super) const PROXY_NOT_FOUND: Fixed = Fixed(StatusCode::NOT_FOUND, "proxy not found");
    pub(super) const PROXY_EXISTS: Fixed = Fixed(StatusCode::CONFLICT, "proxy already exists");
    pub(super) const TOXIC_NOT_FOUND: Fixed = Fixed(StatusCode::NOT_FOUND, "toxic not found");
    pub(super) const TOXIC_EXISTS: Fixed = Fixed(StatusCode::CONFLICT, "toxic already exists");
    pub(super) const KIND: Fixed = Fixed(StatusCode::BAD_REQUEST, "invalid toxic type");
    pub(super) const STREAM: Fixed =
        Fixed(StatusCode::BAD_REQUEST, "stream was invalid, can be either upstream or downstream");

    pub(super) fn new(status: StatusCode, text: impl Into<String>) -> Problem {
        Problem { status, text: text.into() }
    }

    /// A field that must be there; `at` is the number of the proxy in a list.
    pub(super) fn missing(field: &str, at: Option<usize>) -> Problem {
        let at = at.map_or(String::new(), |number| format!(" at proxy {number}"));
        Problem::new(StatusCode::BAD_REQUEST, format!("missing required field: {field}{at}"))
    }

    /// An address that could not be listened on, in the words of Go's net.
    pub(super) fn listen(transport: &str, address: &str, what: &str) -> Problem {
        let text = format!("listen {transport}{}{address}: {what}", gap(address));
        Problem::new(StatusCode::INTERNAL_SERVER_ERROR, text)
    }

    fn text(&self) -> Error<'_> {
        Error { error: &self.text, status: self.status.as_u16() }
    }
}

const fn gap(address: &str) -> &'static str {
    if address.is_empty() { "" } else { " " }
}

impl From<Fixed> for Problem {
    fn from(Fixed(status, text): Fixed) -> Problem {
        Problem::new(status, text)
    }
}

impl From<Unread> for Problem {
    fn from(Unread(what): Unread) -> Problem {
        Problem::new(StatusCode::BAD_REQUEST, format!("bad request body: {what}"))
    }
}

impl From<Refusal> for Problem {
    fn from(refusal: Refusal) -> Problem {
        match refusal {
            Refusal::System(Failure { operation, address, error }) => {
                let more = match errno_name(&error).as_deref() {
                    Some("EMFILE") => "; every proxy and connection takes one: raise ulimit -n",
                    Some(_) | None => "",
                };
                let what = format!("{operation}: {}{more}", words(&error));
                let (transport, place) = address.split_once(' ').unwrap_or(("tcp", &address));
                Problem::listen(transport, place, &what)
            }
            Refusal::Knob(error) => Unread(error.to_string()).into(),
            Refusal::Over => Problem::new(StatusCode::INTERNAL_SERVER_ERROR, refusal.to_string()),
        }
    }
}

/// The kernel's words in lower case, as Go and its clients know them.
fn words(error: &io::Error) -> String {
    let text = stentor_os::failure::describe(error);
    text.split(" (").next().unwrap_or_default().to_owned()
}

/// The body of an error.
#[derive(Debug, Serialize)]
pub(super) struct Error<'a> {
    error: &'a str,
    status: u16,
}

/// The body of an answer to /populate.
#[derive(Debug, Serialize)]
pub(super) struct Populated<'a, P> {
    #[serde(flatten)]
    pub(super) error: Option<Error<'a>>,
    pub(super) proxies: Vec<P>,
}

impl<'a, P> Populated<'a, P> {
    pub(super) fn new(proxies: Vec<P>, problem: Option<&'a Problem>) -> Populated<'a, P> {
        Populated { error: problem.map(Problem::text), proxies }
    }
}

fn json(value: &impl Serialize) -> Vec<u8> {
    // Maps with keys that are text, numbers that are finite: this cannot fail.
    serde_json::to_vec(value).unwrap_or_default()
}

impl Answer {
    pub(super) fn json(status: StatusCode, value: &impl Serialize) -> Answer {
        Answer { status, content: JSON, body: json(value) }
    }

    /// Done, and nothing to say.
    pub(super) const fn done() -> Answer {
        Answer { status: StatusCode::NO_CONTENT, content: "", body: Vec::new() }
    }

    pub(super) fn version(version: &str) -> Answer {
        let quoted = serde_json::Value::from(version);
        let body = format!("{{\"version\": {quoted}}}\n").into_bytes();
        Answer { status: StatusCode::OK, content: "application/json;charset=utf-8", body }
    }

    pub(super) fn metrics(text: String) -> Answer {
        // The text format of Prometheus.
        let content = "text/plain; version=0.0.4; charset=utf-8";
        Answer { status: StatusCode::OK, content, body: text.into_bytes() }
    }

    pub(super) fn no_page() -> Answer {
        Answer::text(StatusCode::NOT_FOUND, "404 page not found\n")
    }

    pub(super) const fn wrong_method() -> Answer {
        Answer { status: StatusCode::METHOD_NOT_ALLOWED, content: "", body: Vec::new() }
    }

    pub(super) fn no_browsers() -> Answer {
        Answer::text(StatusCode::FORBIDDEN, "User agent not allowed\n")
    }

    fn text(status: StatusCode, text: &str) -> Answer {
        Answer { status, content: TEXT, body: text.as_bytes().to_vec() }
    }
}

impl From<Problem> for Answer {
    fn from(problem: Problem) -> Answer {
        // Toxiproxy calls its errors text, and ends them with a line feed (Go's http.Error).
        let mut body = json(&problem.text());
        body.push(b'\n');
        Answer { status: problem.status, content: TEXT, body }
    }
}
