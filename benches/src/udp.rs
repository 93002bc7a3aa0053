//! Datagrams in numbers: a flood from a plain sender, and bursts of a sender that lets the kernel
//! cut its buffers (UDP_SEGMENT), each against a server that takes and answers one at a time.
//!
//! One client with a window of unanswered datagrams, the same for all: what it cannot get rid of it
//! does not send. It takes answers coalesced (UDP_GRO), so that it costs less than what it measures.
//! Rivals take turns; a fresh server each time, because the same program differs between starts.

use std::fmt::Write;
use std::net::{SocketAddr, UdpSocket};
use std::os::fd::AsFd;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use stentor_os::net::option::set_int;

use crate::figures::{median, yes};
use crate::program::Server;
use crate::watch;

const ROUNDS: usize = 9;
const ROUNDS_QUICK: usize = 3;
const TURN: Duration = Duration::from_millis(500);

/// Of linux/udp.h: the level and two of its options.
const SOL_UDP: i32 = 17;
const UDP_SEGMENT: i32 = 103;
const UDP_GRO: i32 = 104;
/// No answer for so long: what is still out is lost.
const LOST_AFTER: PollTimeout = PollTimeout::from(20_u8);

/// One way to send.
struct Way {
    name: &'static str,
    /// Bytes of a datagram.
    size: usize,
    /// Datagrams that the kernel cuts from one buffer; 1: plain sends.
    burst: usize,
    /// Datagrams that may be unanswered.
    window: usize,
    /// How many times the other server's rate is wanted.
    wanted: f64,
}

const WAYS: &[Way] = &[
    Way { name: "plain", size: 32, burst: 1, window: 128, wanted: 0.95 },
    Way { name: "plain", size: 1200, burst: 1, window: 64, wanted: 0.95 },
    Way { name: "bursts of 64", size: 32, burst: 64, window: 512, wanted: 20.0 },
    Way { name: "bursts of 50", size: 1200, burst: 50, window: 300, wanted: 5.0 },
];

/// What one rival did.
#[derive(Default)]
struct Tally {
    rates: Vec<f64>,
    cpu_ns: Vec<f64>,
    lost: u64,
    wrong: u64,
}

/// Measures and renders the table, in Markdown.
pub(crate) fn measure(quick: bool) -> Result<String, String> {
    let rounds = if quick { ROUNDS_QUICK } else { ROUNDS };
    let mut table = format!(
        "One client, medians of {rounds} turns of {} ms each. CPU is the server's, for each \
         datagram answered.\n\n\
         | sender | bytes | server | answers/s | to recvfrom/sendto | wanted | CPU, ns | CPU to \
         recvfrom/sendto | lost | every answer right |\n|---|---|---|---|---|---|---|---|---|---|\n",
        TURN.as_millis()
    );
    for way in WAYS {
        let (mut ours, mut plain) = (Tally::default(), Tally::default());
        for _ in 0..rounds {
            let server = Server::start(&["-p", "0", "-u", "--threads", "1"])?;
            let before = watch::cpu_ns(server.pid())?;
            let answered = ours.turn(server.address()?, way)?;
            ours.spent(watch::cpu_ns(server.pid())?.saturating_sub(before), answered);
            server.end()?;
            let server = OneByOne::start()?;
            let answered = plain.turn(server.address, way)?;
            plain.spent(server.end()?, answered);
        }
        let rate = median(plain.rates.clone());
        let cpu = median(plain.cpu_ns.clone());
        row(&mut table, way, "serve", &ours, (rate, cpu, Some(way.wanted)))?;
        row(&mut table, way, "recvfrom/sendto", &plain, (rate, cpu, None))?;
    }
    Ok(table)
}

fn row(
    table: &mut String,
    way: &Way,
    server: &str,
    tally: &Tally,
    (reference, reference_cpu, wanted): (f64, f64, Option<f64>),
) -> Result<(), String> {
    let (rate, cpu) = (median(tally.rates.clone()), median(tally.cpu_ns.clone()));
    let wanted = wanted.map_or("-".to_owned(), |wanted| {
        format!("{wanted}: {}", yes(rate >= wanted * reference))
    });
    writeln!(
        table,
        "| {} | {} | {server} | {rate:.0} | {:.2} | {wanted} | {cpu:.0} | {:.2} | {} | {} |",
        way.name,
        way.size,
        rate / reference,
        cpu / reference_cpu,
        tally.lost,
        yes(tally.wrong == 0),
    )
    .map_err(|error| error.to_string())
}

impl Tally {
    /// One turn against the server at `address`; returns how many answers came.
    fn turn(&mut self, address: SocketAddr, way: &Way) -> Result<u64, String> {
        let failed = |error: std::io::Error| format!("the sender: {error}");
        let outcome = Client::new(address, way).and_then(Client::run).map_err(failed)?;
        self.rates.push(outcome.answered as f64 / outcome.took.as_secs_f64());
        self.lost += outcome.lost;
        self.wrong += outcome.wrong;
        Ok(outcome.answered)
    }

    fn spent(&mut self, cpu_ns: u64, answered: u64) {
        self.cpu_ns.push(cpu_ns as f64 / answered.max(1) as f64);
    }
}

struct Outcome {
    answered: u64,
    lost: u64,
    wrong: u64,
    took: Duration,
}

/// Sends and counts.
struct Client<'a> {
    socket: UdpSocket,
    way: &'a Way,
    out: Vec<u8>,
    number: u64,
    unanswered: usize,
}

impl Client<'_> {
    fn new(address: SocketAddr, way: &Way) -> std::io::Result<Client<'_>> {
        let socket = UdpSocket::bind("127.0.0.1:0")?;
        socket.connect(address)?;
        socket.set_nonblocking(true)?;
        set_int(socket.as_fd(), SOL_UDP, UDP_GRO, 1)?;
        if way.burst > 1 {
            let size = i32::try_from(way.size).unwrap_or(i32::MAX);
            set_int(socket.as_fd(), SOL_UDP, UDP_SEGMENT, size)?;
        }
        let out = vec![b'q'; way.size * way.burst];
        Ok(Client { socket, way, out, number: 0, unanswered: 0 })
    }

    fn run(mut self) -> std::io::Result<Outcome> {
        let mut outcome = Outcome { answered: 0, lost: 0, wrong: 0, took: Duration::ZERO };
        let mut buffer = vec![0; 65_536];
        let begun = Instant::now();
        while begun.elapsed() < TURN {
            while self.unanswered + self.way.burst <= self.way.window && self.send()? {}
            let mut readable = [PollFd::new(self.socket.as_fd(), PollFlags::POLLIN)];
            if poll(&mut readable, LOST_AFTER)? == 0 {
                outcome.lost += self.unanswered as u64;
                self.unanswered = 0;
            }
            while let Ok(size) = self.socket.recv(&mut buffer) {
                let answers = buffer.get(..size).unwrap_or_default();
                let count = size / self.way.size;
                let right = size % self.way.size == 0 && !answers.iter().any(u8::is_ascii_lowercase);
                outcome.wrong += u64::from(!right);
                outcome.answered += count as u64;
                self.unanswered = self.unanswered.saturating_sub(count);
            }
        }
        outcome.took = begun.elapsed();
        Ok(outcome)
    }

    /// Sends a burst, each datagram with a number of its own: repetitions would be taken for a
    /// loop. False: the kernel takes no more now.
    fn send(&mut self) -> std::io::Result<bool> {
        for datagram in self.out.chunks_exact_mut(self.way.size) {
            self.number += 1;
            for (place, letter) in datagram.iter_mut().enumerate().take(16) {
                let nibble = (self.number >> (4 * place)) & 0xF;
                *letter = b'a' + u8::try_from(nibble).unwrap_or_default();
            }
        }
        match self.socket.send(&self.out) {
            Ok(_) => {
                self.unanswered += self.way.burst;
                Ok(true)
            }
            Err(error) if error.kind() == std::io::ErrorKind::WouldBlock => Ok(false),
            Err(error) => Err(error),
        }
    }
}

/// A server of two calls, as a first program of sockets has it.
struct OneByOne {
    address: SocketAddr,
    over: Arc<AtomicBool>,
    thread: JoinHandle<std::io::Result<u64>>,
}

impl OneByOne {
    fn start() -> Result<OneByOne, String> {
        let failed = |error: std::io::Error| format!("recvfrom/sendto: {error}");
        let socket = UdpSocket::bind("127.0.0.1:0").map_err(failed)?;
        // How long it may take to notice that it is over.
        socket.set_read_timeout(Some(Duration::from_millis(50))).map_err(failed)?;
        let address = socket.local_addr().map_err(failed)?;
        let over = Arc::new(AtomicBool::new(false));
        let ending = Arc::clone(&over);
        let thread = std::thread::spawn(move || {
            let mut buffer = vec![0; 65_536];
            while !ending.load(Ordering::Relaxed) {
                let Ok((count, source)) = socket.recv_from(&mut buffer) else { continue };
                let answer = buffer.get_mut(..count).unwrap_or_default();
                answer.make_ascii_uppercase();
                socket.send_to(answer, source)?;
            }
            let account = std::fs::read_to_string("/proc/thread-self/schedstat")?;
            let spent = account.split_whitespace().next().and_then(|ns| ns.parse().ok());
            Ok(spent.unwrap_or_default())
        });
        Ok(OneByOne { address, over, thread })
    }

    /// Ends it, and returns how long it was on a processor, in nanoseconds.
    fn end(self) -> Result<u64, String> {
        self.over.store(true, Ordering::Relaxed);
        let spent = self.thread.join().map_err(|_| "recvfrom/sendto: it panicked".to_owned())?;
        spent.map_err(|error| format!("recvfrom/sendto: {error}"))
    }
}
