//! The origin's end of a film over UDP: one thread, one socket for each address, a stream for each
//! player.

use std::collections::{BTreeMap, VecDeque};
use std::hash::{BuildHasher, RandomState};
use std::io;
use std::net::{SocketAddr, UdpSocket};
use std::os::fd::AsFd;
use std::os::unix::net::UnixStream;
use std::sync::Arc;
use std::thread::{self, JoinHandle};
use std::time::Duration;

use socket2::{Domain, Socket, Type};
use stentor_core::moment::Moment;
use stentor_core::seed::{Dice, Seed};
use stentor_core::units::BitRate;
use stentor_core::video::film::Film;
use stentor_core::video::mp4;
use stentor_core::video::rtp::schedule::{Output, PAYLOAD_MAX, Packet, Schedule};
use stentor_core::video::rtp::words::{Answer, Description, Request};
use stentor_core::video::rtp::{Control, Report};
use stentor_os::failure::Failure;
use stentor_os::net::poll::{self, Watch};

use super::{DATAGRAM_MAX, now};

/// The most players at once.
pub const STREAMS_MAX: usize = 64;
/// How long a token is good, at least; at most twice as long.
const TOKEN_LIFE: Duration = Duration::from_secs(30);
/// How often a player's reports are passed on, at most.
const TELL_EVERY: Duration = Duration::from_millis(500);
/// Packets of one stream before the others have their turn.
const PACKETS_PER_TURN: usize = 32;
/// Datagrams that are read before packets have their turn.
const READS_PER_TURN: usize = 64;

/// What is sent, and from where.
#[derive(Debug)]
pub struct Plan {
    /// The film.
    pub film: Arc<Film>,
    /// The addresses, with their ports.
    pub addresses: Vec<SocketAddr>,
    /// The book's x; `None`: as fast as it is played.
    pub rate: Option<BitRate>,
    /// From which the streams' names and first numbers follow.
    pub seed: Seed,
}

/// What happens to a stream.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum News {
    /// A player has proved its address, and its film begins.
    Began(Description),
    /// A player says how it goes.
    Told(Report),
    /// It is over: so many packets and bytes of film were sent, and how it ended.
    Ended {
        /// Packets that the kernel took.
        packets: u64,
        /// Packets that it did not take.
        refused: u64,
        /// Bytes of film in those that it took.
        bytes: u64,
        /// Why it is over.
        how: Ended,
    },
}

/// How a stream ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ended {
    /// The whole film was sent.
    Whole,
    /// The player said goodbye.
    Goodbye,
    /// Nothing was heard of the player.
    Silence,
    /// The origin has ended.
    Origin,
}

/// Is told what happens to the stream of which player, from 0, the lowest, quality.
pub type Listener = Box<dyn FnMut(SocketAddr, usize, News) + Send>;

/// A sender that is up. It ends when this is dropped.
#[derive(Debug)]
pub struct Running {
    end: Option<UnixStream>,
    thread: Option<JoinHandle<()>>,
}

/// Binds the addresses and waits for players.
///
/// # Errors
/// The first address that cannot be had.
pub fn start(plan: Plan, listener: Listener) -> Result<Running, Failure> {
    let mut sockets = Vec::new();
    for address in &plan.addresses {
        let named =
            |operation| move |error| Failure::new(operation, format!("udp {address}"), error);
        let socket = Socket::new(Domain::for_address(*address), Type::DGRAM, None);
        let socket = socket.map_err(named("socket"))?;
        if address.is_ipv6() {
            // Every address of IPv4 may be another socket's.
            socket.set_only_v6(true).map_err(named("setsockopt IPV6_V6ONLY"))?;
        }
        socket.bind(&(*address).into()).map_err(named("bind"))?;
        socket.set_nonblocking(true).map_err(named("fcntl"))?;
        sockets.push(socket.into());
    }
    let failed = |error: io::Error| Failure::new("clone", "the thread of RTP", error);
    let (end, ends) = UnixStream::pair().map_err(failed)?;
    let loops = Loop {
        plan,
        sockets,
        streams: BTreeMap::new(),
        whole: VecDeque::new(),
        secret: RandomState::new(),
        begun: 0,
        listener,
    };
    let thread = thread::Builder::new().name("rtp".to_owned());
    let thread = thread.spawn(move || loops.run(&ends)).map_err(failed)?;
    Ok(Running { end: Some(end), thread: Some(thread) })
}

impl Drop for Running {
    fn drop(&mut self) {
        // Closing our end is what the thread waits for.
        drop(self.end.take());
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

/// A player's stream.
struct Stream {
    socket: usize,
    quality: usize,
    told: Description,
    schedule: Schedule,
    /// When its player's report was passed on last.
    told_at: Option<Moment>,
    /// The chunk that is being sent.
    chunk: Option<(usize, mp4::Chunk)>,
    packets: u64,
    refused: u64,
    bytes: u64,
}

struct Loop {
    plan: Plan,
    sockets: Vec<UdpSocket>,
    streams: BTreeMap<SocketAddr, Stream>,
    /// The latest that were sent whole, whose players may not know it yet.
    whole: VecDeque<(SocketAddr, u32)>,
    secret: RandomState,
    begun: u64,
    listener: Listener,
}

impl Loop {
    /// Until the other end of `ends` is closed.
    fn run(mut self, ends: &UnixStream) {
        loop {
            let wait = self.send_what_is_due();
            let mut watches: Vec<Watch<'_>> =
                self.sockets.iter().map(|socket| Watch::new(socket.as_fd(), true, false)).collect();
            watches.push(Watch::new(ends.as_fd(), true, false));
            // poll(2) on sockets of our own fails only for want of memory: then there is nothing to
            // wait for either.
            if poll::wait(&mut watches, wait).is_err() {
                thread::yield_now();
            }
            if watches.last().is_some_and(|end| end.readable) {
                break;
            }
            let ready: Vec<bool> = watches.iter().map(|watch| watch.readable).collect();
            drop(watches);
            for (number, _) in ready.into_iter().enumerate().filter(|(_, ready)| *ready) {
                self.hear(number);
            }
        }
        for (peer, stream) in std::mem::take(&mut self.streams) {
            self.say(stream.socket, peer, Control::Stopped(stream.schedule.source()));
            self.tell_the_end(peer, &stream, Ended::Origin);
        }
    }

    /// Sends every packet whose time has come; how long there is nothing to do.
    fn send_what_is_due(&mut self) -> Option<Duration> {
        let mut next: Option<Moment> = None;
        let mut over = Vec::new();
        for (peer, stream) in &mut self.streams {
            let Some(socket) = self.sockets.get(stream.socket) else { continue };
            for turn in 0.. {
                let now = now();
                if turn == PACKETS_PER_TURN {
                    next = Some(now);
                    break;
                }
                match stream.schedule.poll(&self.plan.film, now) {
                    Output::Send(packet) => stream.send(socket, *peer, &self.plan.film, packet),
                    Output::Wait(until) => {
                        next = Some(next.map_or(until, |next| next.min(until)));
                        break;
                    }
                    Output::Done => {
                        over.push((*peer, Ended::Whole));
                        break;
                    }
                    Output::Gone => {
                        over.push((*peer, Ended::Silence));
                        break;
                    }
                }
            }
        }
        for (peer, how) in over {
            self.end(peer, how);
        }
        next.map(|next| next.since(now()))
    }

    fn hear(&mut self, number: usize) {
        let mut datagram = [0; DATAGRAM_MAX];
        for _ in 0..READS_PER_TURN {
            let Some(socket) = self.sockets.get(number) else { return };
            // An error here is what ICMP said of an earlier packet: its stream ends by silence.
            let Ok((count, peer)) = socket.recv_from(&mut datagram) else { return };
            let datagram = datagram.get(..count).unwrap_or_default();
            if Control::is_one(datagram) {
                self.hear_control(number, peer, datagram);
            } else if let Ok(request) = Request::read(datagram) {
                let answer = self.answer(number, peer, request);
                let Some(socket) = self.sockets.get(number) else { return };
                // What does not get there is asked for again.
                let _ = socket.send_to(&answer.to_bytes(), peer);
            }
        }
    }

    /// Who knows the name of a stream had it from us, at its player's address: anybody can write
    /// that address into a datagram.
    fn hear_control(&mut self, number: usize, peer: SocketAddr, datagram: &[u8]) {
        let Ok(control) = Control::read(datagram) else { return };
        let Some(stream) = self.streams.get_mut(&peer) else {
            self.answer_late(number, peer, control);
            return;
        };
        let (ours, now) = (stream.schedule.source(), now());
        match control {
            Control::Report(report) if report.source == ours => {
                stream.schedule.heard(now);
                if stream.told_at.is_none_or(|at| now.since(at) >= TELL_EVERY) {
                    stream.told_at = Some(now);
                    (self.listener)(peer, stream.quality, News::Told(report));
                }
            }
            Control::Present(player) if player == !ours => stream.schedule.heard(now),
            Control::Goodbye(player) | Control::Stopped(player) if player == !ours => {
                self.end(peer, Ended::Goodbye);
            }
            Control::Report(_)
            | Control::Present(_)
            | Control::Goodbye(_)
            | Control::Stopped(_) => {}
        }
    }

    /// A player whose goodbye was lost, or who plays what was sent before this origin began, still
    /// reports: it hears the end again, which is shorter than its report.
    fn answer_late(&self, number: usize, peer: SocketAddr, control: Control) {
        let Control::Report(Report { source, .. }) = control else { return };
        let goodbye = match self.whole.contains(&(peer, source)) {
            true => Control::Goodbye(source),
            false => Control::Stopped(source),
        };
        self.say(number, peer, goodbye);
    }

    fn answer(&mut self, number: usize, peer: SocketAddr, request: Request) -> Answer {
        // Asked again: the answer was lost on its way.
        if let Some(stream) = self.streams.get(&peer) {
            return Answer::Film(stream.told);
        }
        let age = now().as_nanos() / u64::try_from(TOKEN_LIFE.as_nanos()).unwrap_or(u64::MAX);
        let token = |age: u64| self.secret.hash_one((peer, age));
        let good = [age, age.saturating_sub(1)].map(token).map(Some);
        if !good.contains(&request.token) {
            return Answer::Token(token(age));
        }
        if request.quality >= self.plan.film.qualities() {
            let highest = self.plan.film.qualities() - 1;
            return Answer::Refused(format!("the film has qualities 0 to {highest}"));
        }
        if self.streams.len() >= STREAMS_MAX {
            return Answer::Refused(format!("{STREAMS_MAX} players are here already"));
        }
        let luck = Dice::new(self.plan.seed, &format!("rtp/{}", self.begun)).bits();
        self.begun += 1;
        let schedule = Schedule::new(request.quality, self.plan.rate, luck, now());
        let told = schedule.description(&self.plan.film);
        let quality = request.quality;
        self.streams.insert(peer, Stream::new(number, quality, told, schedule));
        (self.listener)(peer, quality, News::Began(told));
        Answer::Film(told)
    }

    fn end(&mut self, peer: SocketAddr, how: Ended) {
        let Some(stream) = self.streams.remove(&peer) else { return };
        if how == Ended::Whole {
            let source = stream.schedule.source();
            self.say(stream.socket, peer, Control::Goodbye(source));
            self.whole.truncate(STREAMS_MAX - 1);
            self.whole.push_front((peer, source));
        }
        self.tell_the_end(peer, &stream, how);
    }

    fn say(&self, number: usize, peer: SocketAddr, control: Control) {
        let Some(socket) = self.sockets.get(number) else { return };
        // Who does not get it reports once more, or ends by the count of packets, or by silence.
        let _ = socket.send_to(&control.to_bytes(), peer);
    }

    fn tell_the_end(&mut self, peer: SocketAddr, stream: &Stream, how: Ended) {
        let Stream { packets, refused, bytes, .. } = *stream;
        (self.listener)(peer, stream.quality, News::Ended { packets, refused, bytes, how });
    }
}

impl Stream {
    fn new(socket: usize, quality: usize, told: Description, schedule: Schedule) -> Stream {
        let (packets, refused, bytes) = (0, 0, 0);
        let (told_at, chunk) = (None, None);
        Stream { socket, quality, told, schedule, told_at, chunk, packets, refused, bytes }
    }

    fn send(&mut self, socket: &UdpSocket, peer: SocketAddr, film: &Film, packet: Packet) {
        let mut datagram = Vec::with_capacity(DATAGRAM_MAX);
        datagram.extend(packet.header.to_bytes());
        self.fill(&mut datagram, film, packet);
        match socket.send_to(&datagram, peer) {
            Ok(_) => {
                self.packets += 1;
                self.bytes += packet.payload_bytes as u64;
            }
            // No room, or no way: over UDP that is a loss.
            Err(_) => self.refused += 1,
        }
    }

    /// The bytes of the film that a packet carries: of the chunk as the origin serves it over HTTP.
    fn fill(&mut self, datagram: &mut Vec<u8>, film: &Film, packet: Packet) {
        if self.chunk.as_ref().is_none_or(|(number, _)| *number != packet.chunk) {
            // A film whose pictures do not fit is not served at all; zeros would fill it as well.
            let drawn = mp4::chunk(film, packet.chunk, self.quality);
            let empty = mp4::Chunk { head: Vec::new(), padding_bytes: 0 };
            self.chunk = Some((packet.chunk, drawn.unwrap_or(empty)));
        }
        let offset = usize::try_from(packet.offset).unwrap_or(usize::MAX);
        let head = self.chunk.as_ref().and_then(|(_, chunk)| chunk.head.get(offset..));
        let drawn = head.unwrap_or_default().iter().take(packet.payload_bytes);
        let end = datagram.len() + packet.payload_bytes;
        datagram.extend(drawn);
        datagram.resize(end, 0);
    }
}

const _: () = assert!(PAYLOAD_MAX < DATAGRAM_MAX as u64 - 12);
