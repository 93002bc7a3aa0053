//! The account of a fetch: what was seen on each hop, as plain data. Rendering is left to reports.

use std::net::SocketAddr;
use std::time::Duration;

use stentor_core::moment::Moment;
use stentor_core::timeline::Conversation;
use url::Url;

use crate::complaint::Complaint;
use crate::drive::race::Attempt;
use crate::drive::tls::Secured;
use crate::drive::wire::Transfers;

/// What came of a plan, however it ended.
#[derive(Debug)]
pub struct Report {
    /// When the run began.
    pub began: Moment,
    /// When it ended.
    pub ended: Moment,
    /// Each request, the redirected ones included; empty if nothing was tried.
    pub hops: Vec<Hop>,
    /// Why it did not end well; a status of 400 or more counts.
    pub trouble: Option<Complaint>,
}

/// One request to one server.
#[derive(Debug)]
pub struct Hop {
    /// What was asked for.
    pub url: Url,
    /// How long each part took.
    pub phases: Phases,
    /// The addresses of the host, in the resolver's order.
    pub addresses: Vec<SocketAddr>,
    /// The race for a connection; empty if all failed.
    pub attempts: Vec<Attempt>,
    /// Our end of the connection.
    pub local: Option<SocketAddr>,
    /// The server's end.
    pub peer: Option<SocketAddr>,
    /// What the TLS handshake agreed on; `None` for http.
    pub tls: Option<Secured>,
    /// The head of the reply.
    pub head: Option<Head>,
    /// How many bytes of body came, after the chunks were joined.
    pub body_bytes: u64,
    /// Every read of the socket.
    pub reads: Transfers,
    /// Every write.
    pub writes: Transfers,
    /// When the server ended the connection, if that was seen.
    pub closed: Option<Moment>,
    /// Where the reply sends us, if that is followed.
    pub redirect: Option<Url>,
    /// What a person should know although it went on.
    pub warnings: Vec<String>,
    /// All of it, to be drawn.
    pub conversation: Conversation,
}

/// The head of a reply.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Head {
    /// `HTTP/1.1`.
    pub version: String,
    /// 100 to 999.
    pub status: u16,
    /// The server's own words for the status; may be empty.
    pub reason: String,
    /// Names in lower case, values as text, in the order they came (of equal names).
    pub headers: Vec<(String, String)>,
    /// The length of body that Content-Length announced; `None` also where no body follows.
    pub announced_bytes: Option<u64>,
    /// Whether the body comes in chunks (RFC 9112, section 7.1).
    pub chunked: bool,
    /// The head as it came, its empty line included.
    pub bytes: Vec<u8>,
}

/// A stretch of time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Phase {
    /// Its first moment.
    pub began: Moment,
    /// Its last moment.
    pub ended: Moment,
}

impl Phase {
    /// How long it took.
    pub fn took(self) -> Duration {
        self.ended.since(self.began)
    }
}

/// The parts of a hop, in their order; `None` for one that was not reached or not needed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Phases {
    /// From the question for the name to its addresses.
    pub resolve: Option<Phase>,
    /// From the first connect to a connection.
    pub connect: Option<Phase>,
    /// The TLS handshake.
    pub tls: Option<Phase>,
    /// From the request to the first byte of the reply.
    pub first_byte: Option<Phase>,
    /// From the first byte of the reply, its head included, to the last.
    pub body: Option<Phase>,
}

impl Phases {
    /// The parts with their names.
    pub fn named(&self) -> [(&'static str, Option<Phase>); 5] {
        [
            ("resolve", self.resolve),
            ("connect", self.connect),
            ("tls", self.tls),
            ("first byte", self.first_byte),
            ("body", self.body),
        ]
    }

    /// From the beginning of the first part to the end of the last.
    pub fn total(&self) -> Option<Phase> {
        let reached = self.named().into_iter().filter_map(|(_, phase)| phase);
        reached.reduce(|all, phase| Phase {
            began: all.began.min(phase.began),
            ended: all.ended.max(phase.ended),
        })
    }
}

impl Hop {
    /// A hop of which nothing is known yet.
    pub(super) fn new(url: Url) -> Hop {
        let conversation = Conversation::new("client", format!("server {}", authority(&url)));
        Hop {
            url,
            phases: Phases::default(),
            addresses: Vec::new(),
            attempts: Vec::new(),
            local: None,
            peer: None,
            tls: None,
            head: None,
            body_bytes: 0,
            reads: Transfers::default(),
            writes: Transfers::default(),
            closed: None,
            redirect: None,
            warnings: Vec::new(),
            conversation,
        }
    }

    /// How much of the body came: `12 of 100 bytes`, or `12 bytes` when none were announced.
    pub fn progress(&self) -> String {
        match self.head.as_ref().and_then(|head| head.announced_bytes) {
            Some(announced) => format!("{} of {announced} bytes", self.body_bytes),
            None => format!("{} bytes", self.body_bytes),
        }
    }
}

/// The host and, if it is not the scheme's own, the port: what the Host header says
/// (RFC 9110, section 7.2).
pub(super) fn authority(url: &Url) -> String {
    let host = url.host_str().unwrap_or_default();
    match url.port() {
        Some(port) => format!("{host}:{port}"),
        None => host.to_owned(),
    }
}
