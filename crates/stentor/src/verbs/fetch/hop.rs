//! One hop: resolve, connect, TLS, one request, one reply; each part timed and witnessed.
//!
//! Where to go next is left to [`super::engine`], the words for failures to [`super::trouble`].

use std::cell::RefCell;
use std::net::{IpAddr, SocketAddr, TcpStream as StdStream};
use std::rc::Rc;

use http_body_util::Empty;
use hyper::body::{Body as _, Bytes, Incoming};
use hyper::header::{CONTENT_LENGTH, HOST, HeaderMap, HeaderValue, LOCATION, TRANSFER_ENCODING};
use hyper::{Request, Response, Version};
use stentor_core::endpoint::{Host, Transport};
use stentor_core::timeline::{Lane, What, excerpt};
use stentor_os::failure::{Failure, errno_name};
use stentor_os::signal::Interrupts;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio::runtime::Runtime;
use tokio_rustls::client::TlsStream;
use tokio_rustls::rustls::pki_types::ServerName;

use super::account::{Head, Hop, Phase, authority};
use super::engine::{Deliver, Piece};
use super::plan::{Plan, Show};
use super::{redirect, trouble};
use crate::complaint::Complaint;
use crate::drive::http::{Client, Inbox, Patience};
use crate::drive::race::{self, Outcome, now};
use crate::drive::reach;
use crate::drive::tls::Tls;
use crate::drive::wire::{Tap, Transfers, Wire};

/// How much of a redirect's own body the raw view waits for.
const REDIRECT_BODY_MAX_BYTES: u64 = 64 * 1024;

/// What a hop is carried out with.
#[derive(Clone, Copy)]
pub(super) struct Leg<'a> {
    pub(super) plan: &'a Plan,
    pub(super) interrupts: Option<&'a Interrupts>,
    pub(super) runtime: &'a Runtime,
}

impl Leg<'_> {
    /// Carries the hop out and fills it in as far as it comes.
    pub(super) fn run(
        self,
        hop: &mut Hop,
        tls: &mut Option<Tls>,
        deliver: &mut Deliver<'_>,
    ) -> Result<(), Complaint> {
        if hop.url.scheme() == "https" && tls.is_none() {
            // Reading the system's certificates takes longer than a handshake: not in its time.
            *tls = Some(Tls::new(&self.plan.trust)?);
        }
        self.resolve(hop)?;
        // The link lives as long as the hop.
        let beside = match &self.plan.link {
            Some(link) => Some((link, link.before(Transport::Tcp, &hop.addresses)?)),
            None => None,
        };
        let near: Vec<SocketAddr> = beside.iter().map(|(_, beside)| beside.address).collect();
        let socket = self.connect(hop, if near.is_empty() { None } else { Some(&near) })?;
        let wire = Rc::new(RefCell::new(Wire::new(std::mem::take(&mut hop.conversation))));
        let tls = tls.as_ref().filter(|_| hop.url.scheme() == "https");
        let work = self.talk(hop, socket, Rc::clone(&wire), tls, deliver);
        let outcome = self.runtime.block_on(work);
        let mut wire = wire.take();
        wire.finish();
        (hop.reads, hop.writes, hop.closed) = (wire.reads, wire.writes, wire.closed);
        hop.conversation = wire.conversation;
        hop.conversation.call(now(), Lane::Client, "close", "", "0");
        let sent = told("sent", &hop.writes, "send");
        hop.conversation.verdicts.extend([sent, told("received", &hop.reads, "recv")]);
        let Some((link, beside)) = beside else { return outcome };
        hop.conversation.verdicts.push(link.told(&beside));
        outcome.map_err(|complaint| link.explain(&beside, complaint))
    }

    fn resolve(self, hop: &mut Hop) -> Result<(), Complaint> {
        let host = match hop.url.host() {
            Some(url::Host::Ipv4(address)) => Host::Address(IpAddr::V4(address)),
            Some(url::Host::Ipv6(address)) => Host::Address(IpAddr::V6(address)),
            Some(url::Host::Domain(name)) => Host::Name(name.to_owned()),
            None => return Err(Complaint::usage(format!("{} has no host", hop.url), "")),
        };
        let port = hop.url.port_or_known_default().unwrap_or(80);
        let Plan { family, silence_max, .. } = *self.plan;
        let began = now();
        let found = reach::resolve(&host, port, family, silence_max, self.interrupts);
        if let Host::Name(name) = &host {
            hop.phases.resolve = Some(Phase { began, ended: now() });
            let outcome = match &found {
                Ok(addresses) => listed(addresses),
                Err(complaint) => complaint.what.clone(),
            };
            hop.conversation.call(began, Lane::Client, "getaddrinfo", name.clone(), outcome);
        }
        hop.addresses = found?;
        Ok(())
    }

    /// Connects to the addresses of the hop, or to the near end of a link that leads to them.
    fn connect(self, hop: &mut Hop, near: Option<&[SocketAddr]>) -> Result<StdStream, Complaint> {
        let options = race::Options {
            timeout: self.plan.silence_max,
            source_port: None,
            interrupts: self.interrupts,
        };
        let began = now();
        let raced = race::connect(near.unwrap_or(&hop.addresses), options);
        hop.phases.connect = Some(Phase { began, ended: now() });
        let raced = raced.map_err(|mut complaint| {
            let what = complaint.what.clone();
            hop.conversation.witness(now(), Lane::Client, What::Note(what));
            if complaint.what.contains("ECONNREFUSED") {
                complaint.next = "The machine answers, but no web server listens on that port: \
                                  check the port, or start the server."
                    .to_owned();
            }
            complaint
        })?;
        for attempt in &raced.attempts {
            let outcome = match &attempt.outcome {
                Outcome::Connected => "0".to_owned(),
                Outcome::Failed(failure) => errno_name(&failure.error).unwrap_or_default(),
                Outcome::Abandoned => "abandoned".to_owned(),
            };
            let address = attempt.address.to_string();
            hop.conversation.call(attempt.began, Lane::Client, "connect", address, outcome);
        }
        hop.attempts = raced.attempts;
        hop.peer = Some(raced.peer);
        hop.local = raced.socket.local_addr().ok().and_then(|address| address.as_socket());
        if let Some(local) = hop.local {
            hop.conversation.client = format!("client {local}");
        }
        hop.conversation.server = format!("server {}", raced.peer);
        let fail = |error| Failure::new("fcntl", format!("tcp {}", raced.peer), error);
        raced.socket.set_nonblocking(true).map_err(fail)?;
        Ok(raced.socket.into())
    }

    /// Speaks over the connection: TLS if asked for, then HTTP.
    async fn talk(
        self,
        hop: &mut Hop,
        socket: StdStream,
        wire: Rc<RefCell<Wire>>,
        tls: Option<&Tls>,
        deliver: &mut Deliver<'_>,
    ) -> Result<(), Complaint> {
        let fail = |error| Failure::new("watch", "the connection", error);
        let silence_max = self.plan.silence_max;
        let patience =
            Patience::new(Rc::clone(&wire), silence_max, self.interrupts).map_err(fail)?;
        let stream = Tap::new(TcpStream::from_std(socket).map_err(fail)?, Rc::clone(&wire));
        let inbox = Rc::new(RefCell::new(Inbox::new(self.plan.show == Show::Raw)));
        let exchange = Exchange { leg: self, patience, inbox: Rc::clone(&inbox), wire };
        let outcome = match tls {
            None => exchange.run(hop, stream, deliver).await,
            Some(tls) => {
                let stream = exchange.secure(hop, tls, stream).await?;
                exchange.run(hop, stream, deliver).await
            }
        };
        // Even of a reply that could not be read the raw view shows what came.
        exchange.drain(deliver)?;
        outcome
    }
}

/// One request and its reply over a connection that stands.
struct Exchange<'a> {
    leg: Leg<'a>,
    patience: Patience,
    inbox: Rc<RefCell<Inbox>>,
    wire: Rc<RefCell<Wire>>,
}

impl Exchange<'_> {
    async fn secure<S: AsyncRead + AsyncWrite + Unpin>(
        &self,
        hop: &mut Hop,
        tls: &Tls,
        stream: S,
    ) -> Result<TlsStream<S>, Complaint> {
        self.wire.borrow_mut().encrypted();
        let name = match hop.url.host() {
            Some(url::Host::Ipv4(address)) => ServerName::from(IpAddr::V4(address)),
            Some(url::Host::Ipv6(address)) => ServerName::from(IpAddr::V6(address)),
            Some(url::Host::Domain(name)) => ServerName::try_from(name.to_owned())
                .map_err(|error| Complaint::usage(format!("{name}: {error}"), ""))?,
            None => return Err(Complaint::usage(format!("{} has no host", hop.url), "")),
        };
        let began = now();
        let shaken = self.patience.wait(tls.handshake(name, stream)).await;
        hop.phases.tls = Some(Phase { began, ended: now() });
        let (stream, secured) = match shaken {
            Ok(Ok(done)) => done,
            Ok(Err(error)) => return Err(trouble::unsecured(hop, &error)),
            Err(halt) => return Err(trouble::halted(hop, halt, "in the TLS handshake")),
        };
        let words = format!("{}, {}", secured.version, secured.cipher);
        self.wire.borrow_mut().note(Lane::Client, words);
        if let Some(finding) = &secured.excused {
            hop.warnings.push(format!("taken with --insecure: {finding}"));
        }
        hop.tls = Some(secured);
        Ok(stream)
    }

    async fn run<S: AsyncRead + AsyncWrite + Unpin>(
        &self,
        hop: &mut Hop,
        stream: S,
        deliver: &mut Deliver<'_>,
    ) -> Result<(), Complaint> {
        let request = self.request(hop)?;
        let began = now();
        let opened = Client::open(stream, Rc::clone(&self.inbox)).await;
        let mut client = opened.map_err(|error| self.broken(hop, &error))?;
        let reply = self.patience.wait(client.send(request)).await;
        let first = self.inbox.borrow().first;
        hop.phases.first_byte = Some(Phase { began, ended: first.unwrap_or_else(now) });
        hop.phases.body = first.map(|began| Phase { began, ended: now() });
        let reply = match reply {
            Ok(Ok(reply)) => reply,
            Ok(Err(error)) => return Err(self.broken(hop, &error)),
            Err(halt) => return Err(trouble::halted(hop, halt, "waiting for the reply")),
        };
        let outcome = self.reply(hop, &mut client, reply, deliver).await;
        hop.phases.body = first.map(|began| Phase { began, ended: now() });
        outcome
    }

    fn request(&self, hop: &Hop) -> Result<Request<Empty<Bytes>>, Complaint> {
        let unfit = |error: &dyn std::error::Error| {
            Complaint::usage(format!("{} cannot be asked for: {error}", hop.url), "")
        };
        let path = match hop.url.query() {
            Some(query) => format!("{}?{query}", hop.url.path()),
            None => hop.url.path().to_owned(),
        };
        let plan = self.leg.plan;
        let mut headers = HeaderMap::new();
        let host = HeaderValue::from_str(&authority(&hop.url)).map_err(|error| unfit(&error))?;
        headers.insert(HOST, host);
        for name in plan.headers.keys() {
            headers.remove(name);
            for value in plan.headers.get_all(name) {
                headers.append(name, value.clone());
            }
        }
        let request = Request::builder().method(plan.method()).uri(path).body(Empty::new());
        let mut request = request.map_err(|error| unfit(&error))?;
        *request.headers_mut() = headers;
        Ok(request)
    }

    async fn reply<S: AsyncRead + AsyncWrite + Unpin>(
        &self,
        hop: &mut Hop,
        client: &mut Client<S>,
        reply: Response<Incoming>,
        deliver: &mut Deliver<'_>,
    ) -> Result<(), Complaint> {
        let bytes = self.inbox.borrow().head().to_vec();
        let plan = self.leg.plan;
        let mut head = head(&reply, bytes);
        // These have no body, whatever length they name (RFC 9112, section 6.3).
        if plan.show == Show::Head || matches!(head.status, 204 | 304) {
            head.announced_bytes = None;
        }
        if hop.tls.is_some() {
            let line = head.bytes.split(|byte| *byte == b'\n').next().unwrap_or_default();
            let seen = excerpt(line.trim_ascii_end());
            self.wire.borrow_mut().note(Lane::Client, format!("inside: {seen}"));
        }
        if plan.show == Show::Head {
            deliver(Piece::Bytes(&head.bytes))?;
        }
        let status = head.status;
        hop.head = Some(head);
        if plan.redirects_max.is_some() {
            let location = reply.headers().get(LOCATION).map(HeaderValue::as_bytes);
            hop.redirect = redirect::target(&hop.url, status, location)
                .map_err(|words| trouble::bad(hop, &words, "--no-redirect shows the reply."))?;
        }
        let outcome = self.body(hop, client, reply.into_body(), deliver).await;
        // Nobody asked for the body of a redirect: that it broke off is no trouble.
        if hop.redirect.is_some() && !trouble::is_interrupt(&outcome) { Ok(()) } else { outcome }
    }

    async fn body<S: AsyncRead + AsyncWrite + Unpin>(
        &self,
        hop: &mut Hop,
        client: &mut Client<S>,
        mut body: Incoming,
        deliver: &mut Deliver<'_>,
    ) -> Result<(), Complaint> {
        let show = self.leg.plan.show;
        let limit = match (&hop.redirect, show) {
            (None, _) => u64::MAX,
            (Some(_), Show::Raw) => REDIRECT_BODY_MAX_BYTES,
            (Some(_), Show::Body | Show::Head) => 0,
        };
        while hop.body_bytes < limit && !body.is_end_stream() {
            let piece = match self.patience.wait(client.piece(&mut body)).await {
                Ok(None) => break,
                Ok(Some(Ok(piece))) => piece,
                Ok(Some(Err(error))) => return Err(self.broken(hop, &error)),
                Err(halt) => return Err(trouble::halted(hop, halt, "in the body")),
            };
            let Some(data) = piece.data_ref() else { continue };
            let length = u64::try_from(data.len()).unwrap_or(u64::MAX);
            hop.body_bytes = hop.body_bytes.saturating_add(length);
            match show {
                Show::Body => deliver(Piece::Bytes(data))?,
                Show::Raw => self.drain(deliver)?,
                Show::Head => {}
            }
        }
        Ok(())
    }

    /// Hands on what the raw view has not shown yet.
    fn drain(&self, deliver: &mut Deliver<'_>) -> Result<(), Complaint> {
        let raw = std::mem::take(&mut self.inbox.borrow_mut().raw);
        if raw.is_empty() { Ok(()) } else { deliver(Piece::Bytes(&Vec::from(raw))) }
    }

    fn broken(&self, hop: &Hop, error: &hyper::Error) -> Complaint {
        let closed = self.wire.borrow().closed.is_some();
        trouble::broken(hop, error, &self.inbox.borrow().beginning, closed)
    }
}

/// What hyper read in the head, and the words it leaves out.
fn head(reply: &Response<Incoming>, bytes: Vec<u8>) -> Head {
    let line = bytes.split(|byte| *byte == b'\n').next().unwrap_or_default();
    // "HTTP/1.1 200 OK": the reason is whatever follows the second space; it may be empty.
    let reason = line.splitn(3, |byte| *byte == b' ').nth(2).unwrap_or_default();
    let reason = String::from_utf8_lossy(reason).chars().filter(|c| !c.is_control()).collect();
    let text = |value: &HeaderValue| String::from_utf8_lossy(value.as_bytes()).into_owned();
    let headers =
        reply.headers().iter().map(|(name, value)| (name.to_string(), text(value))).collect();
    let chunked = reply.headers().get(TRANSFER_ENCODING).is_some();
    let announced = reply.headers().get(CONTENT_LENGTH).filter(|_| !chunked);
    Head {
        version: if reply.version() == Version::HTTP_10 { "HTTP/1.0" } else { "HTTP/1.1" }.into(),
        status: reply.status().as_u16(),
        reason,
        headers,
        announced_bytes: announced.and_then(|value| value.to_str().ok()?.trim().parse().ok()),
        chunked,
        bytes,
    }
}

/// `201 bytes received = 3 recv`: a stream has no messages, only bytes (RFC 9293, section 2.2).
fn told(verb: &str, transfers: &Transfers, call: &str) -> String {
    format!("{} bytes {verb} = {} {call}", transfers.bytes, transfers.count)
}

fn listed(addresses: &[SocketAddr]) -> String {
    let shown: Vec<String> = addresses.iter().map(ToString::to_string).collect();
    shown.join(", ")
}
