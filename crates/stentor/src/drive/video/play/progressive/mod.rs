//! Progressive play: one GET of a whole film, read byte by byte into a buffer that plays it evenly.
//!
//! What is not read is the point: when the application's buffer is full, nothing is, the kernel's fills
//! up, TCP offers a window of 0, and the sender is held to what is played. When the buffer begins,
//! freezes and is full follows by arithmetic from the moments at which bytes were read
//! (`fluid::Buffer` of core), whenever this loop looks. HTTP is hyper's, through a `gate` that decides how
//! much it may read; the two buffers are looked at by `gauge`. Manifests are left to the player of
//! chunks, and predictions to core.

mod gate;
mod gauge;
mod session;
#[cfg(test)]
mod tests;

use std::cell::RefCell;
use std::net::SocketAddr;
use std::os::fd::{AsFd, OwnedFd};
use std::rc::Rc;
use std::time::Duration;

use http_body_util::Empty;
use hyper::Request;
use hyper::body::{Bytes, Incoming};
use hyper::header::{CONTENT_LENGTH, HOST};
use socket2::Socket;
use stentor_core::units::BitRate;
use stentor_core::video::buffer;
use stentor_core::video::columns::{Column, columns};
use stentor_core::video::film::Film;
use stentor_core::video::session::{Event, What};
use stentor_os::failure::Failure;
use stentor_os::signal::Interrupts;
use tokio::net::{TcpStream, UnixStream};

use self::gate::{Gate, Key};
use self::gauge::Gauge;
use self::session::{Began, Session};
use super::News;
use crate::complaint::{Complaint, Exit};
use crate::drive::http::{Client, Inbox};
use crate::drive::race::{self, now};
use crate::drive::video::outcome::Outcome;

/// What is played, from where, and how.
#[derive(Clone, Debug)]
pub struct Plan {
    /// Where to connect: the origin, or the near end of a link that leads to it.
    pub addresses: Vec<SocketAddr>,
    /// Whom to ask: `127.0.0.1:12080`.
    pub authority: String,
    /// What to ask for: `/0/film.mp4`.
    pub path: String,
    /// The film: how long it plays, and how large its chunks are.
    pub film: Film,
    /// Which quality the file is of.
    pub quality: usize,
    /// How much is buffered, and when playing begins.
    pub policy: buffer::Policy,
    /// `SO_RCVBUF`: what the kernel may keep beside that, in bytes, before it doubles it (socket(7)).
    pub receive_buffer_bytes: Option<usize>,
    /// How long nothing may come while there is room for it, and the longest wait for a connection.
    pub silence_max: Duration,
    /// Between two looks at the buffers.
    pub sample_every: Duration,
}

/// Whom a session tells of itself, and whom it asks.
pub struct Company<'a> {
    /// What ends it early; `None` leaves signals to their default.
    pub interrupts: Option<&'a Interrupts>,
    /// Hears what happens.
    pub news: &'a mut dyn FnMut(News<'_>),
    /// Says what the server's kernel holds of what the server wrote (`SIOCOUTQ`), if it is known.
    pub server: &'a mut dyn FnMut() -> Option<u64>,
}

impl std::fmt::Debug for Company<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Company").field("interrupts", &self.interrupts).finish_non_exhaustive()
    }
}

/// Plays it to its end, or until something ends it; blocks, and makes a runtime of its own.
///
/// # Errors
/// No connection (exit 3); an answer that is no film (1); a signal before the first byte (130). What
/// happens later is the outcome's trouble.
pub fn play(plan: &Plan, company: &mut Company<'_>) -> Result<Outcome, Complaint> {
    let options = race::Options {
        timeout: plan.silence_max,
        source_port: None,
        interrupts: company.interrupts,
    };
    let prepare = |socket: &Socket| match plan.receive_buffer_bytes {
        Some(bytes) => socket.set_recv_buffer_size(bytes),
        None => Ok(()),
    };
    let raced = race::connect_with(&plan.addresses, options, &prepare)?;
    let failed = |error| Failure::new("fcntl", format!("tcp {}", raced.peer), error);
    raced.socket.set_nonblocking(true).map_err(failed)?;
    let given = raced.socket.recv_buffer_size().unwrap_or(0);
    let watched = raced.socket.as_fd().try_clone_to_owned().map_err(failed)?;
    let failed = |error| Failure::new("start", "the async runtime", error);
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let work = async {
        let stream = TcpStream::from_std(raced.socket.into()).map_err(failed)?;
        let signal = Signal::new(company.interrupts).map_err(failed)?;
        let exchange = Exchange { plan, signal, receive_buffer_bytes: given as u64 };
        exchange.run(stream, watched, company).await
    };
    runtime.map_err(failed)?.block_on(work)
}

/// Fluid, chunk-aware and measured, beside one another: of an outcome of [`play`]; `None` of another.
pub fn compare(outcome: &Outcome, quality: usize) -> Option<[Column; 3]> {
    let seen = outcome.account.progressive?;
    let buffer = |event: &Event| {
        let What::Buffer(what) = event.what else { return None };
        Some(buffer::Event { at: event.at, what })
    };
    let measured: Vec<buffer::Event> = outcome.events.iter().filter_map(buffer).collect();
    let arrival = BitRate(seen.arrival_bps.max(1));
    let film_bytes = seen.film_bytes;
    columns(&outcome.film, quality, film_bytes, arrival, &outcome.policy, &measured)
}

/// The person's ^C, within a runtime.
struct Signal(Option<UnixStream>);

impl Signal {
    fn new(interrupts: Option<&Interrupts>) -> std::io::Result<Signal> {
        // The signals' pipe is a pair of Unix sockets; a second descriptor of it is ours to watch.
        let watch =
            |held: &Interrupts| UnixStream::from_std(held.as_fd().try_clone_to_owned()?.into());
        interrupts.map(watch).transpose().map(Signal)
    }

    async fn came(&self) {
        match &self.0 {
            Some(pipe) if pipe.readable().await.is_ok() => {}
            Some(_) | None => std::future::pending().await,
        }
    }
}

/// One request over one connection.
struct Exchange<'a> {
    plan: &'a Plan,
    signal: Signal,
    receive_buffer_bytes: u64,
}

type Connection = Client<Gate<TcpStream>>;

impl Exchange<'_> {
    async fn run(
        &self,
        stream: TcpStream,
        watched: OwnedFd,
        company: &mut Company<'_>,
    ) -> Result<Outcome, Complaint> {
        let inbox = Rc::new(RefCell::new(Inbox::new(false)));
        let (gate, key) = Gate::new(stream);
        let opened = Client::open(gate, Rc::clone(&inbox)).await;
        let mut client = opened.map_err(|error| self.broken(&error))?;
        let epoch = now();
        let (announced, body) = self.ask(&mut client).await?;
        let first = inbox.borrow().first.unwrap_or_else(now).since(epoch);
        let gauge = Gauge::new(watched, self.plan.sample_every);
        let began = Began { epoch, first, announced };
        let Some(mut session) = Session::new(self.plan, self.url(), began, gauge) else {
            let what = format!("GET {}: its {announced:?} bytes are no film", self.url());
            return Err(Complaint::new(Exit::Bad, what, ""));
        };
        session.begin(company);
        self.carry(&mut session, &mut client, body, &key, company).await;
        Ok(session.end(self.receive_buffer_bytes, company))
    }

    /// Asks for the film: the announced length, and the body.
    async fn ask(&self, client: &mut Connection) -> Result<(Option<u64>, Incoming), Complaint> {
        let Plan { authority, path, silence_max, .. } = self.plan;
        let url = self.url();
        let unfit = |error| Complaint::usage(format!("{url} cannot be asked for: {error}"), "");
        let request = Request::get(path).header(HOST, authority).body(Empty::<Bytes>::new());
        let request = request.map_err(unfit)?;
        let reply = tokio::select! {
            biased;
            () = self.signal.came() => {
                let what = format!("interrupted while asking for {url}");
                return Err(Complaint::new(Exit::Interrupted, what, ""));
            }
            reply = client.send(request) => reply.map_err(|error| self.broken(&error))?,
            () = tokio::time::sleep(*silence_max) => {
                let what = format!("GET {url}: no answer within {silence_max:?}");
                return Err(Complaint::new(Exit::Bad, what, "-w waits longer."));
            }
        };
        if reply.status() != hyper::StatusCode::OK {
            let what = format!("GET {url}: the server answered {}", reply.status());
            let next = "Progressive play wants the address of one whole file, such as /0/film.mp4 \
                        of an origin (stentor video serve).";
            return Err(Complaint::new(Exit::Bad, what, next));
        }
        let length = reply.headers().get(CONTENT_LENGTH).and_then(|value| value.to_str().ok());
        Ok((length.and_then(|length| length.parse().ok()), reply.into_body()))
    }

    fn url(&self) -> String {
        format!("http://{}{}", self.plan.authority, self.plan.path)
    }

    fn broken(&self, error: &hyper::Error) -> Complaint {
        let mut what = format!("GET {}: {error}", self.url());
        let mut source = std::error::Error::source(error);
        while let Some(inner) = source {
            what = format!("{what}: {inner}");
            source = inner.source();
        }
        Complaint::new(Exit::Bad, what, "stentor fetch shows what the server answers.")
    }

    /// Reads while there is room, until the last picture was shown.
    async fn carry(
        &self,
        session: &mut Session<'_>,
        client: &mut Connection,
        mut body: Incoming,
        key: &Key,
        company: &mut Company<'_>,
    ) {
        while !session.look(company) {
            let wanted = session.wanted();
            key.allow(wanted);
            let pause = session.wake().since(session.now());
            tokio::select! {
                biased;
                () = self.signal.came() => return session.interrupt(),
                piece = client.piece(&mut body), if wanted > 0 => match piece {
                    Some(Ok(frame)) => {
                        let bytes = frame.data_ref().map_or(0, Bytes::len);
                        session.take(bytes as u64, wanted, company);
                    }
                    Some(Err(error)) => session.cut(self.broken(&error).what),
                    None => session.finish(),
                },
                () = tokio::time::sleep(pause) => {}
            }
        }
    }
}
