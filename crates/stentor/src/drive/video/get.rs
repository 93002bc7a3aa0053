//! Gets what stored video is made of, one thing after another: manifests, initializations, segments
//! and parts of them, over HTTP/1.1 connections that are kept while the server keeps them.
//!
//! It blocks, follows redirects, and bounds every wait and every body. What a reply is worth is left
//! to its caller: only what is no reply at all is a complaint (exit 3, or 130 for a signal).

use std::cell::RefCell;
use std::fmt;
use std::net::IpAddr;
use std::rc::Rc;
use std::time::Duration;

use http_body_util::Empty;
use hyper::body::{Body as _, Bytes, Incoming};
use hyper::header::{CONTENT_LENGTH, HOST, HeaderMap, HeaderName, LOCATION, RANGE};
use hyper::{Request, Response};
use stentor_core::endpoint::Host;
use stentor_core::manifest::ByteRange;
use stentor_core::timeline::Conversation;
use stentor_os::failure::Failure;
use stentor_os::signal::Interrupts;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio::runtime::{Builder, Runtime};
use tokio_rustls::rustls::pki_types::ServerName;
use url::Url;

use crate::complaint::{Complaint, Exit};
use crate::drive::http::{Client, Halt, Inbox, Patience};
use crate::drive::race;
use crate::drive::reach::{self, Family};
use crate::drive::tls::{self, Tls, Trust};
use crate::drive::wire::{Tap, Wire};

/// How many redirects are followed for one thing.
pub const REDIRECTS_MAX: usize = 10;

/// What came.
#[derive(Debug)]
pub struct Got {
    /// Where it was in the end.
    pub url: Url,
    /// How many redirects led there.
    pub redirects: usize,
    /// The status of the last reply.
    pub status: u16,
    /// Its head.
    pub headers: HeaderMap,
    /// Its body, at most as much as was asked for.
    pub body: Vec<u8>,
    /// What Content-Length announced, in bytes.
    pub announced: Option<u64>,
    /// How the body ended.
    pub end: End,
}

/// How a body ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum End {
    /// It came whole.
    Whole,
    /// The connection ended before it did.
    Cut,
    /// It was longer than what was asked for.
    Long,
}

impl Got {
    /// A header's value as text, if it is there.
    pub fn header(&self, name: HeaderName) -> Option<&str> {
        self.headers.get(name).and_then(|value| value.to_str().ok())
    }
}

/// Gets things, and keeps the connection to the last server.
pub struct Getter<'a> {
    runtime: Runtime,
    silence_max: Duration,
    interrupts: Option<&'a Interrupts>,
    tls: Option<Tls>,
    kept: Option<Kept>,
    /// How many connections were made.
    pub connections: u64,
    /// How many requests were sent.
    pub requests: u64,
}

impl fmt::Debug for Getter<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Getter").field("requests", &self.requests).finish_non_exhaustive()
    }
}

trait Stream: AsyncRead + AsyncWrite + Unpin {}

impl<S: AsyncRead + AsyncWrite + Unpin> Stream for S {}

/// A connection that stands.
struct Kept {
    origin: url::Origin,
    client: Client<Box<dyn Stream>>,
    patience: Patience,
}

/// Why a reply did not come.
enum Failed {
    /// The server has closed a connection that was kept: a new one may do.
    Closed,
    Complaint(Complaint),
}

impl From<Complaint> for Failed {
    fn from(complaint: Complaint) -> Failed {
        Failed::Complaint(complaint)
    }
}

impl<'a> Getter<'a> {
    /// Prepares; nothing is connected yet. `silence_max` bounds every wait.
    ///
    /// # Errors
    /// The async runtime cannot start.
    pub fn new(
        silence_max: Duration,
        interrupts: Option<&'a Interrupts>,
    ) -> Result<Getter<'a>, Complaint> {
        let runtime = Builder::new_current_thread().enable_all().build();
        let runtime = runtime.map_err(|error| Failure::new("start", "the async runtime", error))?;
        Ok(Getter {
            runtime,
            silence_max,
            interrupts,
            tls: None,
            kept: None,
            connections: 0,
            requests: 0,
        })
    }

    /// Gets `url`, or some bytes of it; at most `body_max` bytes of body are kept.
    ///
    /// # Errors
    /// No connection, no reply in time, no HTTP, too many redirects (exit 3); a signal (130).
    pub fn get(
        &mut self,
        url: &Url,
        range: Option<ByteRange>,
        body_max: usize,
    ) -> Result<Got, Complaint> {
        let mut url = url.clone();
        for redirects in 0..=REDIRECTS_MAX {
            let mut got = self.ask(&url, range, body_max)?;
            let location = got.headers.get(LOCATION).map(|value| value.as_bytes().to_vec());
            let (301 | 302 | 303 | 307 | 308, Some(location)) = (got.status, location) else {
                (got.url, got.redirects) = (url, redirects);
                return Ok(got);
            };
            let location = String::from_utf8_lossy(&location).into_owned();
            let next =
                url.join(&location).ok().filter(|next| matches!(next.scheme(), "http" | "https"));
            let next = next.ok_or_else(|| {
                refused(format!("{url} redirects to {location:?}, which is no address of HTTP"))
            })?;
            url = next;
        }
        Err(refused(format!("{url}: more than {REDIRECTS_MAX} redirects led there")))
    }

    fn ask(
        &mut self,
        url: &Url,
        range: Option<ByteRange>,
        body_max: usize,
    ) -> Result<Got, Complaint> {
        let reused = self.kept.as_ref().is_some_and(|kept| kept.origin == url.origin());
        let mut kept = match self.kept.take().filter(|_| reused) {
            Some(kept) => kept,
            None => self.connect(url)?,
        };
        let mut outcome = self.exchange(&mut kept, url, range, body_max);
        if reused && matches!(outcome, Err(Failed::Closed)) {
            kept = self.connect(url)?;
            outcome = self.exchange(&mut kept, url, range, body_max);
        }
        match outcome {
            Ok((got, open)) => {
                self.kept = open.then_some(kept);
                Ok(got)
            }
            Err(Failed::Complaint(complaint)) => Err(complaint),
            Err(Failed::Closed) => {
                Err(refused(format!("{url}: the server closed the connection without a reply")))
            }
        }
    }

    fn connect(&mut self, url: &Url) -> Result<Kept, Complaint> {
        let host = match url.host() {
            Some(url::Host::Ipv4(address)) => Host::Address(IpAddr::V4(address)),
            Some(url::Host::Ipv6(address)) => Host::Address(IpAddr::V6(address)),
            Some(url::Host::Domain(name)) => Host::Name(name.to_owned()),
            None => return Err(Complaint::usage(format!("{url} has no host"), "")),
        };
        let port = url.port_or_known_default().unwrap_or(80);
        let (timeout, interrupts) = (self.silence_max, self.interrupts);
        let addresses = reach::resolve(&host, port, Family::Any, timeout, interrupts)?;
        let options = race::Options { timeout, source_port: None, interrupts };
        let raced = race::connect(&addresses, options)?;
        self.connections += 1;
        let fail = |error| Failure::new("watch", format!("tcp {}", raced.peer), error);
        raced.socket.set_nonblocking(true).map_err(fail)?;
        if url.scheme() == "https" && self.tls.is_none() {
            self.tls = Some(Tls::new(&Trust::System)?);
        }
        let tls = self.tls.as_ref().filter(|_| url.scheme() == "https");
        let wire = Rc::new(RefCell::new(Wire::new(Conversation::default())));
        self.runtime.block_on(async {
            let patience = Patience::new(Rc::clone(&wire), timeout, interrupts).map_err(fail)?;
            let stream = TcpStream::from_std(raced.socket.into()).map_err(fail)?;
            let stream = Tap::new(stream, wire);
            let stream: Box<dyn Stream> = match tls {
                None => Box::new(stream),
                Some(tls) => Box::new(secured(url, tls, stream, &patience).await?),
            };
            let opened = Client::open(stream, Rc::new(RefCell::new(Inbox::new(false)))).await;
            let client = opened.map_err(|error| refused(format!("{url}: {error}")))?;
            Ok(Kept { origin: url.origin(), client, patience })
        })
    }

    fn exchange(
        &mut self,
        kept: &mut Kept,
        url: &Url,
        range: Option<ByteRange>,
        body_max: usize,
    ) -> Result<(Got, bool), Failed> {
        let request = request(url, range)?;
        self.requests += 1;
        self.runtime.block_on(async {
            let reply = kept.patience.wait(kept.client.send(request)).await;
            let reply = match reply {
                Ok(Ok(reply)) => reply,
                Ok(Err(error)) if closed(&error) => return Err(Failed::Closed),
                Ok(Err(error)) => return Err(refused(format!("{url}: {error}")).into()),
                Err(halt) => return Err(halted(url, halt).into()),
            };
            let got = body(kept, url, reply, body_max).await?;
            let open = got.end == End::Whole
                && matches!(kept.patience.wait(kept.client.ready()).await, Ok(true));
            Ok((got, open))
        })
    }
}

async fn secured<S: AsyncRead + AsyncWrite + Unpin>(
    url: &Url,
    tls: &Tls,
    stream: S,
    patience: &Patience,
) -> Result<impl Stream + use<S>, Complaint> {
    let name = ServerName::try_from(url.host_str().unwrap_or_default().to_owned())
        .map_err(|error| Complaint::usage(format!("{url}: {error}"), ""))?;
    match patience.wait(tls.handshake(name, stream)).await {
        Ok(Ok((stream, _))) => Ok(stream),
        Ok(Err(error)) => {
            let (words, next) = match tls::explain(&error) {
                Some((words, next)) => (words.to_string(), next),
                None => (error.to_string(), ""),
            };
            Err(Complaint::new(Exit::Environment, format!("TLS with {url}: {words}"), next))
        }
        Err(halt) => Err(halted(url, halt)),
    }
}

fn request(url: &Url, range: Option<ByteRange>) -> Result<Request<Empty<Bytes>>, Complaint> {
    let path = match url.query() {
        Some(query) => format!("{}?{query}", url.path()),
        None => url.path().to_owned(),
    };
    let host = url.host_str().unwrap_or_default();
    let host = url.port().map_or(host.to_owned(), |port| format!("{host}:{port}"));
    let mut request = Request::builder().uri(path).header(HOST, host);
    if let Some(ByteRange { offset, length }) = range {
        let last = offset.saturating_add(length.saturating_sub(1));
        request = request.header(RANGE, format!("bytes={offset}-{last}"));
    }
    let unfit = |error| Complaint::usage(format!("{url} cannot be asked for: {error}"), "");
    request.body(Empty::new()).map_err(unfit)
}

async fn body(
    kept: &mut Kept,
    url: &Url,
    reply: Response<Incoming>,
    body_max: usize,
) -> Result<Got, Failed> {
    let announced = reply.headers().get(CONTENT_LENGTH);
    let announced = announced.and_then(|value| value.to_str().ok()?.trim().parse().ok());
    let status = reply.status().as_u16();
    let headers = reply.headers().clone();
    let mut incoming = reply.into_body();
    let (mut bytes, mut end) = (Vec::new(), End::Whole);
    while !incoming.is_end_stream() {
        let data = match kept.patience.wait(kept.client.piece(&mut incoming)).await {
            Ok(None) => break,
            Ok(Some(Ok(frame))) => frame.into_data().unwrap_or_default(),
            Ok(Some(Err(_))) => {
                end = End::Cut;
                break;
            }
            Err(halt) => return Err(halted(url, halt).into()),
        };
        let room = body_max.saturating_sub(bytes.len());
        bytes.extend(data.iter().take(room));
        if data.len() > room {
            end = End::Long;
            break;
        }
    }
    Ok(Got { url: url.clone(), redirects: 0, status, headers, body: bytes, announced, end })
}

/// Whether the server had ended the connection before it read the request.
fn closed(error: &hyper::Error) -> bool {
    error.is_closed() || error.is_canceled() || error.is_incomplete_message()
}

fn refused(what: String) -> Complaint {
    Complaint::new(Exit::Environment, what, "")
}

fn halted(url: &Url, halt: Halt) -> Complaint {
    match halt {
        Halt::Interrupted => Complaint::new(Exit::Interrupted, format!("{url}: interrupted"), ""),
        Halt::Silence(span) => {
            let what = format!("{url}: nothing came for {span:?}");
            Complaint::new(Exit::Environment, what, "-w waits longer.")
        }
    }
}
