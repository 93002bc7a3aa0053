//! The proxies of `impair`: what they add when nothing is impaired, what an idle connection costs,
//! and whether delay, rate and loss are what was asked for.
//!
//! The added round trip stands beside that of a plain relay in C, and of Toxiproxy where it is on
//! PATH; all are measured in turns, so that a busy machine is busy for all of them.

mod proxy;

use std::fmt::Write as _;
use std::io::{ErrorKind, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream, UdpSocket};
use std::time::{Duration, Instant};

use crate::figures::{median, yes};
use crate::program::Server;
use crate::{client, notice, watch};
use proxy::{Impair, Relay, Toxiproxy};

/// Ours may add so many times what the relay adds: 0.85 of Toxiproxy's added round trip, of which
/// the relay has 0.72.
const RELAY_RATIO_MAX: f64 = 0.85 / 0.72;
/// A tenth of the 46 kB that an idle connection costs Toxiproxy.
const IDLE_BYTES_MAX: u64 = 4_600;
const IDLE: usize = 5_000;
const DELAY: Duration = Duration::from_millis(20);
const RATE_BPS: f64 = 10e6;
/// Payload of a datagram: with its headers below any MTU.
const DATAGRAM: usize = 1_200;
const LOSS: f64 = 0.01;
const LOSS_DATAGRAMS: u32 = 100_000;
/// Standard deviations of a normal distribution that hold 99.9 %.
const SIGMAS: f64 = 3.2905;

/// Measures and renders the tables, in Markdown.
pub(crate) fn measure(quick: bool) -> Result<String, String> {
    client::descriptors()?;
    let mut text = String::new();
    round_trips(&mut text, quick)?;
    idle(&mut text)?;
    delay(&mut text, quick)?;
    rates(&mut text, quick)?;
    loss(&mut text)?;
    Ok(text)
}

fn said(error: impl ToString) -> String {
    error.to_string()
}

/// The added round trip of each proxy, in turns.
fn round_trips(text: &mut String, quick: bool) -> Result<(), String> {
    let (rounds, span) = if quick { (5, 100) } else { (21, 400) };
    let server = Server::start(&["-p", "0"])?;
    let target = server.address()?;
    let ours = Impair::start(&["-t", "0", &target.to_string()])?;
    let relay = Relay::start(target)?;
    let toxiproxy = Toxiproxy::start(target)?;
    let mut ways = vec![("direct", target), ("stentor impair", ours.address)];
    ways.extend(relay.as_ref().map(|relay| ("C relay", relay.address)));
    ways.extend(toxiproxy.as_ref().map(|toxiproxy| ("Toxiproxy", toxiproxy.address)));
    let mut streams = Vec::new();
    for (_, address) in &ways {
        streams.push((client::connect(*address)?, Vec::new()));
    }
    for _ in 0..rounds {
        for (stream, medians) in &mut streams {
            let mut asked = client::ping_pong(stream, Duration::from_millis(span))?;
            let [middle] = asked.percentiles_us([50]);
            medians.push(middle);
        }
    }
    let mut results = Vec::new();
    for ((name, _), (_, medians)) in ways.iter().zip(streams) {
        results.push((*name, median(medians)));
    }
    let of = |wanted: &str| results.iter().find(|(name, _)| *name == wanted).map(|(_, us)| *us);
    let direct = of("direct").unwrap_or_default();
    let _ = writeln!(
        text,
        "Round trips of one small question through proxies that change nothing, medians of \
         {rounds} turns of {span} ms each.\n\n| way | round trip, us | added, us |\n|---|---|---|"
    );
    for (name, us) in &results {
        let _ = writeln!(text, "| {name} | {us:.1} | {:.1} |", us - direct);
    }
    let added = |name: &str| of(name).map(|us| us - direct);
    let ours = added("stentor impair").unwrap_or_default();
    for (name, most) in [("C relay", RELAY_RATIO_MAX), ("Toxiproxy", 0.85)] {
        if let Some(other) = added(name) {
            let (ratio, met) = (ours / other, yes(ours / other <= most));
            let _ = writeln!(text, "\nours / {name}: {ratio:.2}; at most {most:.2}: {met}");
        }
    }
    text.push('\n');
    Ok(())
}

/// Memory of the proxy for each connection that asked once and stays.
fn idle(text: &mut String) -> Result<(), String> {
    let server = Server::start(&["-p", "0"])?;
    let proxy = Impair::start(&["-t", "0", &server.address()?.to_string()])?;
    drop(client::many(proxy.address, 64)?);
    let before = watch::memory(proxy.pid(), "VmRSS")?;
    let clients = client::many(proxy.address, IDLE)?;
    let grown = watch::memory(proxy.pid(), "VmRSS")?.saturating_sub(before);
    let each = grown / clients.len() as u64;
    let _ = writeln!(
        text,
        "{} idle connections: {each} bytes of memory each; at most {IDLE_BYTES_MAX}: {}\n",
        clients.len(),
        yes(each <= IDLE_BYTES_MAX)
    );
    Ok(())
}

/// How exact a delay is.
fn delay(text: &mut String, quick: bool) -> Result<(), String> {
    let span = Duration::from_secs(if quick { 2 } else { 10 });
    let server = Server::start(&["-p", "0"])?;
    let target = server.address()?.to_string();
    let plain = Impair::start(&["-t", "0", &target])?;
    let late = Impair::start(&["-t", "0", &target, "--down", "delay=20ms"])?;
    let mut stream = client::connect(plain.address)?;
    let [base] = client::ping_pong(&mut stream, span / 10)?.percentiles_us([50]);
    let mut stream = client::connect(late.address)?;
    let mut asked = client::ping_pong(&mut stream, span)?;
    let count = asked.len();
    let [middle, most] = asked.percentiles_us([50, 99]);
    let wanted = base + DELAY.as_secs_f64() * 1e6;
    drop(stream);
    let report = late.end()?;
    let own = |key: &str| {
        let told = report.pointer(&format!("/result/streams/0/late/{key}"));
        told.and_then(serde_json::Value::as_f64).unwrap_or(-1e3) / 1e3
    };
    let _ = writeln!(
        text,
        "delay=20ms, {count} round trips beside the undelayed one of {base:.1} us: later than asked \
         for by {:.1} us (median), {:.1} us (p99); by its own account {:.1} us on average, {:.1} us \
         at worst\n",
        middle - wanted,
        most - wanted,
        own("mean_ns"),
        own("max_ns")
    );
    Ok(())
}

fn rates(text: &mut String, quick: bool) -> Result<(), String> {
    let span = Duration::from_secs(if quick { 2 } else { 10 });
    let most = if quick { 0.03 } else { 0.01 };
    for (name, bps) in [("TCP", stream_rate(span)?), ("UDP", datagram_rate(span)?)] {
        let off = bps / RATE_BPS - 1.0;
        let met = yes(off.abs() <= most);
        let _ = writeln!(
            text,
            "rate=10Mbit over {} s of {name}: {:.4} Mbit/s, {:+.2} %; within {:.0} %: {met}\n",
            span.as_secs(),
            bps / 1e6,
            off * 100.0,
            most * 100.0
        );
    }
    Ok(())
}

/// Bits per second that came within `span`, from the first piece on.
fn arriving(
    span: Duration,
    mut come: impl FnMut() -> std::io::Result<usize>,
) -> Result<f64, String> {
    // What came before is what the link owed at the beginning.
    come().map_err(said)?;
    let (begin, mut bytes) = (Instant::now(), 0);
    loop {
        bytes += come().map_err(said)?;
        let took = begin.elapsed();
        if took >= span {
            return Ok(bytes as f64 * 8.0 / took.as_secs_f64());
        }
    }
}

fn stream_rate(span: Duration) -> Result<f64, String> {
    let listener = TcpListener::bind("127.0.0.1:0").map_err(said)?;
    let target = listener.local_addr().map_err(said)?.to_string();
    let proxy = Impair::start(&["-t", "0", &target, "--up", "rate=10Mbit"])?;
    let mut near = TcpStream::connect(proxy.address).map_err(said)?;
    let (mut far, _) = listener.accept().map_err(said)?;
    far.set_read_timeout(Some(client::PATIENCE)).map_err(said)?;
    // Ends when the proxy does, at the latest.
    let feeder = std::thread::spawn(move || while near.write_all(&[b'x'; 16_384]).is_ok() {});
    let mut buffer = vec![0; 65_536];
    let bps = arriving(span, || far.read(&mut buffer));
    drop((far, proxy));
    feeder.join().map_err(|_| "the sender failed".to_owned())?;
    bps
}

fn datagram_rate(span: Duration) -> Result<f64, String> {
    let sink = sink()?;
    let target = sink.local_addr().map_err(said)?.to_string();
    let proxy = Impair::start(&["-u", "0", &target, "--up", "rate=10Mbit"])?;
    let near = connected(proxy.address)?;
    let (stop, stopped) = std::sync::mpsc::channel::<()>();
    let feeder = std::thread::spawn(move || {
        // Twice what the link carries: what waits before it is always enough.
        let pause = Duration::from_secs_f64(DATAGRAM as f64 * 8.0 * 8.0 / (2.0 * RATE_BPS));
        while stopped.recv_timeout(pause) == Err(std::sync::mpsc::RecvTimeoutError::Timeout) {
            for _ in 0..8 {
                // What the system refuses is only one less.
                let _ = near.send(&[b'x'; DATAGRAM]);
            }
        }
    });
    let mut buffer = [0; 2_048];
    let bps = arriving(span, || sink.recv(&mut buffer));
    drop(stop);
    feeder.join().map_err(|_| "the sender failed".to_owned())?;
    bps
}

/// How many of many datagrams are lost.
fn loss(text: &mut String) -> Result<(), String> {
    let sink = sink()?;
    let target = sink.local_addr().map_err(said)?.to_string();
    let proxy = Impair::start(&["-u", "0", &target, "--up", "loss=1%", "--seed", "1"])?;
    let near = connected(proxy.address)?;
    sink.set_nonblocking(true).map_err(said)?;
    let (mut come, mut buffer) = (0, [0; 64]);
    let mut receive = || -> Result<(), String> {
        loop {
            match sink.recv(&mut buffer) {
                Ok(_) => come += 1,
                Err(error) if error.kind() == ErrorKind::WouldBlock => return Ok(()),
                Err(error) => return Err(said(error)),
            }
        }
    };
    for number in 0..LOSS_DATAGRAMS {
        near.send(&number.to_le_bytes()).map_err(said)?;
        if number % 50 == 0 {
            // So that no socket's buffer is ever full: what is lost is lost by the link.
            std::thread::sleep(Duration::from_micros(100));
            receive()?;
        }
    }
    std::thread::sleep(Duration::from_millis(200));
    receive()?;
    let report = proxy.end()?;
    let count = |path: &str| {
        let told = report.pointer(&format!("/result/datagrams/0/{path}"));
        told.and_then(serde_json::Value::as_u64).unwrap_or(u64::MAX)
    };
    let (taken, lost) = (count("up/taken"), count("up/lost"));
    // What the sink's own socket drops on a busy machine is no loss of the link's.
    let delivered = count("up/delivered");
    let whole = taken == u64::from(LOSS_DATAGRAMS) && delivered + lost == taken;
    if !whole {
        notice(&format!(
            "of {LOSS_DATAGRAMS} datagrams {taken} were taken ({} dropped by the system before), \
             {lost} lost, {delivered} delivered, {come} came",
            count("unread")
        ));
    }
    let expected = taken as f64 * LOSS;
    let around = SIGMAS * (expected * (1.0 - LOSS)).sqrt();
    let met = yes((lost as f64 - expected).abs() <= around && whole);
    let _ = writeln!(
        text,
        "loss=1% of {taken} datagrams: {lost} lost; {expected:.0} +- {around:.0} (99.9 %): {met}"
    );
    Ok(())
}

fn sink() -> Result<UdpSocket, String> {
    let socket = UdpSocket::bind("127.0.0.1:0").map_err(said)?;
    socket.set_read_timeout(Some(client::PATIENCE)).map_err(said)?;
    Ok(socket)
}

fn connected(address: SocketAddr) -> Result<UdpSocket, String> {
    let socket = sink()?;
    socket.connect(address).map_err(said)?;
    Ok(socket)
}
