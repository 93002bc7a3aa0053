//! HTTP at a player's end: connections that are kept, redirects, ranges, and bodies that are counted.
//!
//! What is fetched is left to the caller, and so is what a failure means to the session. A connection
//! whose reply was not read to its end is closed: HTTP/1.1 has no other way to give a download up.

use std::cell::{Cell, RefCell};
use std::collections::{BTreeMap, BTreeSet};
use std::error::Error as _;
use std::fmt;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::os::fd::{AsFd, OwnedFd};
use std::rc::Rc;
use std::time::Duration;

use http_body_util::{BodyExt, Empty};
use hyper::body::{Bytes, Incoming};
use hyper::client::conn::http1::{Builder, Connection, SendRequest};
use hyper::header::{
    ACCEPT, CONTENT_LENGTH, CONTENT_TYPE, HOST, HeaderValue, LOCATION, RANGE, TRANSFER_ENCODING,
    USER_AGENT,
};
use hyper::{Request, Response};
use hyper_util::rt::TokioIo;
use stentor_core::endpoint::Host;
use stentor_core::manifest::ByteRange;
use stentor_os::failure::{Failure, describe};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio::time::timeout;
use tokio_rustls::rustls::pki_types::ServerName;
use url::Url;

use crate::complaint::{Complaint, Exit};
use crate::drive::http::carry;
use crate::drive::race;
use crate::drive::reach::{self, Family};
use crate::drive::tls::{self, Tls, Trust};

/// The most redirects that are followed for one request.
pub const REDIRECTS_MAX: usize = 10;
/// The most connections that wait for their next request.
const IDLE_MAX: usize = 4;
/// How much of a body that nobody wants is read, so that its connection can be kept.
const DRAIN_MAX_BYTES: u64 = 64 * 1024;
/// What hyper reads at once, in bytes.
const READ_BYTES: usize = 16 * 1024;

/// How origins are reached.
#[derive(Clone, Debug)]
pub struct Way {
    /// After how much silence a request is given up, and how long a connection may take.
    pub silence_max: Duration,
    /// Which addresses are used.
    pub family: Family,
    /// Whose certificates are believed.
    pub trust: Trust,
    /// Where known hosts and ports are: those that have answered, and those behind a link.
    pub peers: BTreeMap<(String, u16), SocketAddr>,
}

/// Why something could not be fetched.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fault {
    /// Whether there was no connection at all.
    pub unreachable: bool,
    /// The status that the server answered, where that is the fault.
    pub status: Option<u16>,
    /// What was asked of whom, and what happened.
    pub what: String,
    /// What to do about it.
    pub next: String,
}

impl From<Fault> for Complaint {
    fn from(fault: Fault) -> Complaint {
        let exit = if fault.unreachable { Exit::Environment } else { Exit::Bad };
        Complaint::new(exit, fault.what, fault.next)
    }
}

impl Fault {
    /// A fault of what came from `url`.
    pub fn of(url: &Url, what: impl fmt::Display, next: &str) -> Fault {
        let what = format!("{url}: {what}");
        Fault { unreachable: false, status: None, what, next: next.to_owned() }
    }
}

trait Stream: AsyncRead + AsyncWrite + Unpin {}
impl<S: AsyncRead + AsyncWrite + Unpin> Stream for S {}

type Io = TokioIo<Box<dyn Stream>>;
type Key = (bool, String, u16);

/// A connection to an origin.
struct Line {
    key: Key,
    sender: SendRequest<Empty<Bytes>>,
    connection: Option<Connection<Io, Empty<Bytes>>>,
    socket: Option<Rc<OwnedFd>>,
    used: bool,
}

/// A client of any number of origins, with the connections that it keeps.
pub struct Web {
    way: Way,
    peers: RefCell<BTreeMap<(String, u16), SocketAddr>>,
    tls: RefCell<Option<Rc<Tls>>>,
    idle: RefCell<Vec<Line>>,
    opened: Cell<u64>,
    /// Whether sockets can be asked what they hold.
    watched: bool,
}

impl fmt::Debug for Web {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Web").field("way", &self.way).field("opened", &self.opened).finish()
    }
}

/// The head of a reply, and its body on the way.
pub struct Reply {
    /// Where it came from, after redirects.
    pub url: Url,
    /// How long the body will be, if that is known.
    pub length: Option<u64>,
    /// What it says it is.
    pub kind: Option<String>,
    /// The socket, to be asked what it holds.
    pub socket: Option<Rc<OwnedFd>>,
    line: Line,
    body: Incoming,
    bytes: u64,
    silence_max: Duration,
}

impl fmt::Debug for Reply {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Reply").field("url", &self.url).field("length", &self.length).finish()
    }
}

impl Web {
    /// A client; with `watched` each connection costs one more descriptor.
    pub fn new(way: Way, watched: bool) -> Web {
        Web {
            peers: RefCell::new(way.peers.clone()),
            way,
            tls: RefCell::default(),
            idle: RefCell::default(),
            opened: Cell::new(0),
            watched,
        }
    }

    /// How many connections were opened.
    pub fn opened(&self) -> u64 {
        self.opened.get()
    }

    /// How origins are reached by now: those that answered are known.
    pub fn way(&self) -> Way {
        Way { peers: self.peers.borrow().clone(), ..self.way.clone() }
    }

    /// Asks for `url`, or for a range of its bytes, and follows redirects.
    ///
    /// # Errors
    /// No connection, no answer in time, a status that is no success, redirects without end, and a
    /// server that ignores ranges.
    pub async fn get(&self, url: &Url, range: Option<ByteRange>) -> Result<Reply, Fault> {
        let mut url = url.clone();
        let mut visited = BTreeSet::new();
        loop {
            let (line, reply) = self.ask(&url, range).await?;
            let status = reply.status().as_u16();
            let location = reply.headers().get(LOCATION).map(HeaderValue::as_bytes);
            let (301 | 302 | 303 | 307 | 308, Some(location)) = (status, location) else {
                return self.taken(url, range, line, reply).await;
            };
            let next = redirected(&url, location)?;
            let rest = self.reply(url.clone(), line, reply);
            self.drain(rest).await;
            visited.insert(url.clone());
            let loops = visited.contains(&next);
            if loops || visited.len() > REDIRECTS_MAX {
                let why = if loops { "where we have been: a loop" } else { "after ten others" };
                let what = format!("redirects to {next}, {why}");
                return Err(Fault::of(&url, what, "The origin's configuration is at fault."));
            }
            url = next;
        }
    }

    /// Judges a reply that is no redirect.
    async fn taken(
        &self,
        url: Url,
        range: Option<ByteRange>,
        line: Line,
        reply: Response<Incoming>,
    ) -> Result<Reply, Fault> {
        let status = reply.status();
        let reply = self.reply(url, line, reply);
        match (status.as_u16(), range) {
            (206, Some(_)) | (200, None) => Ok(reply),
            (200, Some(_)) => Err(Fault::of(
                &reply.url,
                "the server ignores ranges: it answered 200 with the whole file",
                "Serve the folder with something that knows Range (RFC 9110, 14), such as \
                 stentor video serve FOLDER.",
            )),
            (code, _) => {
                let what = format!("the server answered {status}");
                let mut fault = Fault::of(&reply.url, what, "");
                fault.status = Some(code);
                self.drain(reply).await;
                Err(fault)
            }
        }
    }

    fn reply(&self, url: Url, line: Line, reply: Response<Incoming>) -> Reply {
        let text = |name| reply.headers().get(name).and_then(|value| value.to_str().ok());
        let chunked = reply.headers().contains_key(TRANSFER_ENCODING);
        let length = text(CONTENT_LENGTH).filter(|_| !chunked);
        Reply {
            url,
            length: length.and_then(|length| length.trim().parse().ok()),
            kind: text(CONTENT_TYPE).map(str::to_owned),
            socket: line.socket.clone(),
            line,
            body: reply.into_body(),
            bytes: 0,
            silence_max: self.way.silence_max,
        }
    }

    /// Reads what is left of a short body, and keeps the connection.
    async fn drain(&self, mut reply: Reply) {
        while reply.bytes < DRAIN_MAX_BYTES {
            match reply.piece().await {
                Ok(Some(_)) => {}
                Ok(None) => return self.keep(reply),
                Err(_) => return,
            }
        }
    }

    /// Takes back the connection of a reply that was read to its end.
    pub fn keep(&self, reply: Reply) {
        let mut idle = self.idle.borrow_mut();
        if reply.line.connection.is_some() && idle.len() < IDLE_MAX {
            idle.push(Line { used: true, ..reply.line });
        }
    }

    /// Sends one request, over a connection that is kept if there is one. The server may have closed
    /// it while it was idle: then it is sent over another (RFC 9112, section 9.3.1).
    async fn ask(
        &self,
        url: &Url,
        range: Option<ByteRange>,
    ) -> Result<(Line, Response<Incoming>), Fault> {
        let key = key(url)?;
        loop {
            let mut line = match self.kept(&key).await {
                Some(line) => line,
                None => self.open(url, key.clone()).await?,
            };
            let asked = line.sender.send_request(request(url, range)?);
            let answer = timeout(self.way.silence_max, carry(&mut line.connection, asked)).await;
            match answer {
                Ok(Ok(reply)) => return Ok((line, reply)),
                Ok(Err(error)) if line.used && is_closed(&error) => {}
                Ok(Err(error)) => return Err(Fault::of(url, broken(&error), "")),
                Err(_) => {
                    let what = format!("no answer for {:?}", self.way.silence_max);
                    return Err(Fault::of(url, what, "-w waits longer."));
                }
            }
        }
    }

    /// A kept connection that still stands.
    async fn kept(&self, key: &Key) -> Option<Line> {
        loop {
            let mut line = self.idle_to(key)?;
            let ready = carry(&mut line.connection, line.sender.ready());
            if let Ok(Ok(())) = timeout(self.way.silence_max, ready).await
                && line.connection.is_some()
            {
                return Some(line);
            }
        }
    }

    fn idle_to(&self, key: &Key) -> Option<Line> {
        let mut idle = self.idle.borrow_mut();
        let place = idle.iter().position(|line| line.key == *key)?;
        Some(idle.swap_remove(place))
    }

    async fn open(&self, url: &Url, key: Key) -> Result<Line, Fault> {
        let (stream, socket) = self.connect(url, &key).await?;
        let stream: Box<dyn Stream> = match key.0 {
            false => Box::new(stream),
            true => self.secure(url, stream).await?,
        };
        let made = Builder::new().max_buf_size(READ_BYTES).handshake(TokioIo::new(stream)).await;
        let (sender, connection) = made.map_err(|error| Fault::of(url, broken(&error), ""))?;
        self.opened.set(self.opened.get() + 1);
        Ok(Line { key, sender, connection: Some(connection), socket, used: false })
    }

    async fn connect(
        &self,
        url: &Url,
        (_, host, port): &Key,
    ) -> Result<(TcpStream, Option<Rc<OwnedFd>>), Fault> {
        let known = self.peers.borrow().get(&(host.clone(), *port)).copied();
        let silence_max = self.way.silence_max;
        let stream = match known {
            Some(peer) => {
                let connected = timeout(silence_max, TcpStream::connect(peer)).await;
                let connected = connected.unwrap_or_else(|_| Err(io::ErrorKind::TimedOut.into()));
                let failure = |error| Failure::new("connect", format!("tcp {peer}"), error);
                connected.map_err(|error| unreachable(url, failure(error).into()))?
            }
            None => {
                let (name, port, family) = (named(url)?, *port, self.way.family);
                let race = move || -> Result<race::Raced, Complaint> {
                    let addresses = reach::resolve(&name, port, family, silence_max, None)?;
                    let timeout = silence_max;
                    let options = race::Options { timeout, source_port: None, interrupts: None };
                    race::connect(&addresses, options)
                };
                let raced = tokio::task::spawn_blocking(race).await;
                let raced = raced.map_err(|error| Fault::of(url, error, ""))?;
                let raced = raced.map_err(|complaint| unreachable(url, complaint))?;
                self.peers.borrow_mut().insert((host.clone(), port), raced.peer);
                let system = |error| Fault::of(url, describe(&error), "");
                raced.socket.set_nonblocking(true).map_err(system)?;
                TcpStream::from_std(raced.socket.into()).map_err(system)?
            }
        };
        let _ = stream.set_nodelay(true);
        let copy = || stream.as_fd().try_clone_to_owned().ok().map(Rc::new);
        let socket = if self.watched { copy() } else { None };
        Ok((stream, socket))
    }

    async fn secure(&self, url: &Url, stream: TcpStream) -> Result<Box<dyn Stream>, Fault> {
        let refused = |what: String, next: &str| Fault {
            unreachable: true,
            ..Fault::of(url, format_args!("TLS: {what}"), next)
        };
        let known = self.tls.borrow().clone();
        let tls = match known {
            Some(tls) => tls,
            None => {
                let made = Tls::new(&self.way.trust);
                let tls = Rc::new(made.map_err(|error| refused(error.what, &error.next))?);
                Rc::clone(self.tls.borrow_mut().insert(tls))
            }
        };
        let name = match url.host() {
            Some(url::Host::Ipv4(address)) => ServerName::from(IpAddr::V4(address)),
            Some(url::Host::Ipv6(address)) => ServerName::from(IpAddr::V6(address)),
            Some(url::Host::Domain(name)) => ServerName::try_from(name.to_owned())
                .map_err(|error| refused(error.to_string(), ""))?,
            None => return Err(refused("the URL has no host".to_owned(), "")),
        };
        match timeout(self.way.silence_max, tls.handshake(name, stream)).await {
            Ok(Ok((stream, _))) => Ok(Box::new(stream)),
            Ok(Err(error)) => {
                let (what, next) = tls::explain(&error).unwrap_or_else(|| (describe(&error), ""));
                Err(refused(what, next))
            }
            Err(_) => Err(refused("no answer in time".to_owned(), "-w waits longer.")),
        }
    }
}

impl Reply {
    /// The next piece of the body; `None` at its end.
    ///
    /// # Errors
    /// Silence, and a connection that ended before the body did.
    pub async fn piece(&mut self) -> Result<Option<Bytes>, Fault> {
        loop {
            let frame = carry(&mut self.line.connection, self.body.frame());
            let Ok(frame) = timeout(self.silence_max, frame).await else {
                let what =
                    format!("nothing came for {:?}, after {}", self.silence_max, self.came());
                return Err(Fault::of(&self.url, what, "-w waits longer."));
            };
            match frame {
                None => return Ok(None),
                Some(Ok(frame)) => {
                    let Ok(data) = frame.into_data() else { continue };
                    self.bytes = self.bytes.saturating_add(data.len() as u64);
                    return Ok(Some(data));
                }
                Some(Err(error)) if is_closed(&error) => {
                    let what = format!("the server closed the connection after {}", self.came());
                    return Err(Fault::of(&self.url, what, ""));
                }
                Some(Err(error)) => {
                    let what = format!("{}, after {}", broken(&error), self.came());
                    return Err(Fault::of(&self.url, what, ""));
                }
            }
        }
    }

    /// How much has come: `12 of 100 bytes`.
    pub fn came(&self) -> String {
        match self.length {
            Some(length) => format!("{} of {length} bytes", self.bytes),
            None => format!("{} bytes", self.bytes),
        }
    }

    /// How many bytes of the body have come.
    pub fn bytes(&self) -> u64 {
        self.bytes
    }
}

fn key(url: &Url) -> Result<Key, Fault> {
    match (url.host_str(), url.port_or_known_default()) {
        (Some(host), Some(port)) => Ok((url.scheme() == "https", host.to_owned(), port)),
        _ => Err(Fault::of(url, "the URL has no host", "")),
    }
}

fn named(url: &Url) -> Result<Host, Fault> {
    match url.host() {
        Some(url::Host::Ipv4(address)) => Ok(Host::Address(address.into())),
        Some(url::Host::Ipv6(address)) => Ok(Host::Address(address.into())),
        Some(url::Host::Domain(name)) => Ok(Host::Name(name.to_owned())),
        None => Err(Fault::of(url, "the URL has no host", "")),
    }
}

/// No connection: the words of the system, and for which URL.
fn unreachable(url: &Url, complaint: Complaint) -> Fault {
    let next = match complaint.what.contains("ECONNREFUSED") {
        true => "Nothing listens there: start the origin first (stentor video serve), or check \
                 the port."
            .to_owned(),
        false => complaint.next,
    };
    Fault { unreachable: true, next, ..Fault::of(url, complaint.what, "") }
}

fn request(url: &Url, range: Option<ByteRange>) -> Result<Request<Empty<Bytes>>, Fault> {
    let path = match url.query() {
        Some(query) => format!("{}?{query}", url.path()),
        None => url.path().to_owned(),
    };
    let authority = match (url.host_str(), url.port()) {
        (Some(host), Some(port)) => format!("{host}:{port}"),
        (host, _) => host.unwrap_or_default().to_owned(),
    };
    let mut request = Request::builder()
        .uri(path)
        .header(HOST, authority)
        .header(USER_AGENT, concat!("stentor/", env!("CARGO_PKG_VERSION")))
        .header(ACCEPT, "*/*");
    if let Some(ByteRange { offset, length }) = range {
        let last = offset.saturating_add(length.saturating_sub(1));
        request = request.header(RANGE, format!("bytes={offset}-{last}"));
    }
    request.body(Empty::new()).map_err(|error| Fault::of(url, error, ""))
}

fn redirected(url: &Url, location: &[u8]) -> Result<Url, Fault> {
    let location = String::from_utf8_lossy(location);
    let mut next = url
        .join(&location)
        .map_err(|error| Fault::of(url, format_args!("redirects to {location:?}: {error}"), ""))?;
    if !matches!(next.scheme(), "http" | "https") {
        let what = format!("redirects to {next}, which is neither http nor https");
        return Err(Fault::of(url, what, ""));
    }
    next.set_fragment(None);
    let _ = next.set_username("");
    let _ = next.set_password(None);
    Ok(next)
}

/// Whether the server closed the connection, in the middle or before its answer.
fn is_closed(error: &hyper::Error) -> bool {
    let reset = |error: &io::Error| {
        use io::ErrorKind::{BrokenPipe, ConnectionReset, UnexpectedEof};
        matches!(error.kind(), BrokenPipe | ConnectionReset | UnexpectedEof)
    };
    let by_system = error.source().and_then(|cause| cause.downcast_ref::<io::Error>());
    error.is_incomplete_message()
        || error.is_closed()
        || error.is_canceled()
        || by_system.is_some_and(reset)
}

/// What happened to a connection, in words.
fn broken(error: &hyper::Error) -> String {
    if let Some(error) = error.source().and_then(|cause| cause.downcast_ref::<io::Error>()) {
        return describe(error);
    }
    if error.is_incomplete_message() || error.is_closed() || error.is_canceled() {
        return "the server closed the connection without an answer".to_owned();
    }
    match error.is_parse() {
        true => format!("the answer is no HTTP/1: {error}"),
        false => error.to_string(),
    }
}
