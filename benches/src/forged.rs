//! A datagram forged between two services (CERT CA-1996-01, CVE-2024-2169): how many datagrams go
//! to and fro before there is silence, and whether an honest client is still served.
//!
//! Forged with a raw socket where that is allowed (CAP_NET_RAW); otherwise a relay stands between
//! the two, as each other's address, and forwards what they say.

use std::fmt::Write as _;
use std::io;
use std::net::{IpAddr, Ipv4Addr, SocketAddr, UdpSocket};
use std::time::{Duration, Instant};

use serde_json::Value;
use socket2::{Domain, Protocol, SockAddr, Socket, Type};

use crate::figures::yes;
use crate::naive::Naive;
use crate::notice;
use crate::program::Server;

/// How long each loop is watched.
const WATCHED: Duration = Duration::from_secs(5);
const WATCHED_QUICK: Duration = Duration::from_secs(1);
/// Datagrams until silence, the forged one among them.
const DATAGRAMS_MAX: u64 = 20;
/// An honest question, whose answer is itself: what a loop looks like, asked once.
const HONEST: &[u8] = b"HELLO";
const PAYLOADS: &[&str] = &["hello", "HELLO", ""];

/// One end of a loop.
enum End {
    Stentor(Server),
    Naive(Naive),
}

/// Who is at the two ends.
#[derive(Clone, Copy, PartialEq)]
enum Pair {
    TwoOfOurs,
    OneProcess,
    OursAndNaive,
    TwoNaive,
    TwoUnguarded,
}

impl Pair {
    const ALL: [Pair; 5] =
        [Pair::TwoOfOurs, Pair::OneProcess, Pair::OursAndNaive, Pair::TwoNaive, Pair::TwoUnguarded];

    fn name(self) -> &'static str {
        match self {
            Pair::TwoOfOurs => "two of ours",
            Pair::OneProcess => "two ports of one of ours",
            Pair::OursAndNaive => "ours and a naive one",
            Pair::TwoNaive => "two naive ones",
            Pair::TwoUnguarded => "two of ours, `--udp-mute off`",
        }
    }

    /// Those that show what would be, and demand nothing.
    fn is_warning(self) -> bool {
        matches!(self, Pair::TwoNaive | Pair::TwoUnguarded)
    }
}

/// Measures and renders the table, in Markdown.
pub(crate) fn measure(quick: bool) -> Result<String, String> {
    let span = if quick { WATCHED_QUICK } else { WATCHED };
    let forger = Forger::new();
    if forger.is_none() {
        notice("no raw socket (CAP_NET_RAW): a relay between the two stands in for the forgery");
    }
    let way = if forger.is_some() { "a raw socket" } else { "a relay" };
    let mut table = format!(
        "One datagram forged by {way}, then {} s of watching; two loops without a guard for \
         comparison.\n\n\
         | between | payload | datagrams, the forged one included | at most 20 | \"HELLO\" still \
         answered |\n|---|---|---|---|---|\n",
        span.as_secs(),
    );
    for pair in Pair::ALL {
        for &payload in PAYLOADS {
            if pair.is_warning() && payload != "hello" {
                continue;
            }
            row(&mut table, pair, payload, forger.as_ref(), span)?;
        }
    }
    Ok(table)
}

fn row(
    table: &mut String,
    pair: Pair,
    payload: &str,
    forger: Option<&Forger>,
    span: Duration,
) -> Result<(), String> {
    let (ends, [one, other]) = open(pair)?;
    let span = if pair.is_warning() { Duration::from_secs(1) } else { span };
    // A relay's ends have other addresses than the ports of the process, which is the point there.
    if forger.is_none() && pair == Pair::OneProcess {
        notice("SKIPPED: two ports of one process need a raw socket");
        return Ok(());
    }
    match forger {
        Some(forger) => {
            forger.forge(one, other, payload.as_bytes())?;
            std::thread::sleep(span);
        }
        None => relay(one, other, payload.as_bytes(), span)?,
    }
    let honest = [one, other].map(is_answered);
    let mut total = 0;
    let mut answers = 0;
    for end in ends {
        let (came, replied) = end.counts()?;
        total += came;
        answers += replied;
    }
    let asked = u64::try_from(honest.len()).unwrap_or_default();
    let served = honest.iter().filter(|answered| **answered).count() as u64;
    // Each datagram of the loop came to one of the two; so did the honest ones.
    let datagrams = total.saturating_sub(asked);
    let most = if pair == Pair::OneProcess { 1 } else { DATAGRAMS_MAX };
    let verdict = match pair {
        _ if pair.is_warning() => "(no guard)".to_owned(),
        Pair::OneProcess => {
            let none = answers.saturating_sub(served) == 0;
            format!("{}, none answered", yes(datagrams <= most && none))
        }
        Pair::TwoOfOurs | Pair::OursAndNaive | Pair::TwoNaive | Pair::TwoUnguarded => {
            yes(datagrams <= most).to_owned()
        }
    };
    let payload = if payload.is_empty() { "(empty)" } else { payload };
    let honest = yes(honest.iter().all(|answered| *answered));
    writeln!(table, "| {} | {payload} | {datagrams} | {verdict} | {honest} |", pair.name())
        .map_err(|error| error.to_string())
}

/// Starts both ends; the addresses between which the datagram is forged.
fn open(pair: Pair) -> Result<(Vec<End>, [SocketAddr; 2]), String> {
    let ours = |more: &[&str]| -> Result<End, String> {
        let port = ["-u", "--json", "-b", "udp://127.0.0.1:0"];
        Ok(End::Stentor(Server::start(&[&port, more].concat())?))
    };
    let ends = match pair {
        Pair::TwoOfOurs => vec![ours(&[])?, ours(&[])?],
        Pair::OneProcess => {
            let [one, other] = free_ports()?.map(|address| format!("udp://{address}"));
            vec![End::Stentor(Server::start(&["--json", "-b", &one, "-b", &other])?)]
        }
        Pair::OursAndNaive => vec![ours(&[])?, End::Naive(Naive::start()?)],
        Pair::TwoNaive => vec![End::Naive(Naive::start()?), End::Naive(Naive::start()?)],
        Pair::TwoUnguarded => {
            let off = ["--udp-mute", "off"];
            vec![ours(&off)?, ours(&off)?]
        }
    };
    let addresses: Vec<SocketAddr> = ends.iter().flat_map(End::addresses).collect();
    match addresses.try_into() {
        Ok(both) => Ok((ends, both)),
        Err(others) => Err(format!("two addresses are needed, not {others:?}")),
    }
}

/// Two ports that were free a moment ago; who takes one meanwhile makes `serve` fail, loudly.
fn free_ports() -> Result<[SocketAddr; 2], String> {
    let failed = |error: io::Error| format!("bind udp 127.0.0.1:0: {error}");
    // Both are held before either is given back, or they would be one.
    let one = UdpSocket::bind("127.0.0.1:0").map_err(failed)?;
    let other = UdpSocket::bind("127.0.0.1:0").map_err(failed)?;
    Ok([one.local_addr().map_err(failed)?, other.local_addr().map_err(failed)?])
}

impl End {
    fn addresses(&self) -> Vec<SocketAddr> {
        match self {
            End::Stentor(server) => server.addresses.clone(),
            End::Naive(naive) => vec![naive.address],
        }
    }

    /// Ends it; datagrams that came, and that it answered.
    fn counts(self) -> Result<(u64, u64), String> {
        let server = match self {
            // It answers all that come.
            End::Naive(naive) => return Ok((naive.answered(), naive.answered())),
            End::Stentor(server) => server,
        };
        let said = server.end()?;
        let summary: Value =
            serde_json::from_str(&said).map_err(|error| format!("the summary: {error}"))?;
        let count = |name: &str| {
            let value = summary.pointer(&format!("/result/datagrams/{name}"));
            value.and_then(Value::as_u64).ok_or_else(|| format!("the summary has no {name}"))
        };
        Ok((count("received")?, count("replies")?))
    }
}

/// Whether an honest client, from a port of its own, is answered.
fn is_answered(address: SocketAddr) -> bool {
    let ask = || -> io::Result<bool> {
        let socket = UdpSocket::bind("127.0.0.1:0")?;
        socket.set_read_timeout(Some(Duration::from_secs(1)))?;
        socket.send_to(HONEST, address)?;
        let mut answer = [0; 64];
        let (count, source) = socket.recv_from(&mut answer)?;
        Ok(source == address && answer.get(..count) == Some(HONEST))
    };
    ask().unwrap_or(false)
}

/// Stands between the two as each other's address until there is silence, or `span` is over.
fn relay(one: SocketAddr, other: SocketAddr, payload: &[u8], span: Duration) -> Result<(), String> {
    let forward = || -> io::Result<()> {
        let (as_one, as_other) = (UdpSocket::bind("127.0.0.1:0")?, UdpSocket::bind("127.0.0.1:0")?);
        as_one.set_read_timeout(Some(span))?;
        as_other.set_read_timeout(Some(span))?;
        let mut buffer = vec![0; 65_536];
        let from = Instant::now();
        as_one.send_to(payload, other)?;
        while from.elapsed() < span {
            let count = as_one.recv(&mut buffer)?;
            as_other.send_to(buffer.get(..count).unwrap_or_default(), one)?;
            let count = as_other.recv(&mut buffer)?;
            as_one.send_to(buffer.get(..count).unwrap_or_default(), other)?;
        }
        Ok(())
    };
    match forward() {
        Err(error) if error.kind() != io::ErrorKind::WouldBlock => Err(format!("relay: {error}")),
        _ => Ok(()),
    }
}

/// A raw socket, on which the header of IPv4 is written by hand (raw(7), IPPROTO_RAW).
struct Forger {
    socket: Socket,
}

impl Forger {
    fn new() -> Option<Forger> {
        const IPPROTO_RAW: i32 = 255;
        let socket = Socket::new(Domain::IPV4, Type::RAW, Some(Protocol::from(IPPROTO_RAW)));
        socket.ok().map(|socket| Forger { socket })
    }

    /// Sends one datagram that claims to come from `from`.
    fn forge(&self, from: SocketAddr, to: SocketAddr, payload: &[u8]) -> Result<(), String> {
        let packet = packet(from, to, payload).ok_or("forged is only over IPv4")?;
        let to = SockAddr::from(SocketAddr::new(to.ip(), 0));
        self.socket
            .send_to(&packet, &to)
            .map(|_| ())
            .map_err(|error| format!("send a raw datagram: {error}"))
    }
}

/// A datagram with its headers (RFC 791, RFC 768); the kernel fills in the checksum of IP, and
/// that of UDP may be left out.
fn packet(from: SocketAddr, to: SocketAddr, payload: &[u8]) -> Option<Vec<u8>> {
    const HEADERS_LEN: usize = 28;
    let (IpAddr::V4(from_ip), IpAddr::V4(to_ip)) = (from.ip(), to.ip()) else { return None };
    let length = u16::try_from(HEADERS_LEN + payload.len()).ok()?;
    let mut packet = Vec::with_capacity(usize::from(length));
    // Version 4 and 5 words of header; no service; 64 hops; protocol 17.
    packet.extend([0x45, 0]);
    packet.extend(length.to_be_bytes());
    packet.extend([0, 0, 0, 0, 64, 17, 0, 0]);
    packet.extend(Ipv4Addr::octets(&from_ip));
    packet.extend(Ipv4Addr::octets(&to_ip));
    packet.extend(from.port().to_be_bytes());
    packet.extend(to.port().to_be_bytes());
    packet.extend((length - 20).to_be_bytes());
    packet.extend([0, 0]);
    packet.extend(payload);
    Some(packet)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_forged_datagram_has_both_headers() {
        let packet =
            packet("127.0.0.1:4660".parse().unwrap(), "127.0.0.2:12000".parse().unwrap(), b"hi");
        let expected = [
            0x45, 0, 0, 30, 0, 0, 0, 0, 64, 17, 0, 0, 127, 0, 0, 1, 127, 0, 0, 2, // IPv4
            0x12, 0x34, 0x2e, 0xe0, 0, 10, 0, 0, b'h', b'i', // UDP
        ];
        assert_eq!(packet.as_deref(), Some(&expected[..]));
    }
}
