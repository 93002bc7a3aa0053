//! The plainest client: asks, waits, and checks every byte of the answer.

use std::io::{self, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::{Duration, Instant};

use crate::figures::Latencies;

/// How long an answer may take before the measurement is given up.
pub(crate) const PATIENCE: Duration = Duration::from_secs(10);

/// Raises this bench's own limit of descriptors, and returns it.
pub(crate) fn descriptors() -> Result<usize, String> {
    let most = stentor_os::limits::raise_descriptors()
        .map_err(|error| format!("getrlimit RLIMIT_NOFILE: {error}"))?;
    Ok(usize::try_from(most).unwrap_or(usize::MAX))
}

/// Connects; small requests are sent at once.
pub(crate) fn connect(address: SocketAddr) -> Result<TcpStream, String> {
    let open = || -> io::Result<TcpStream> {
        let stream = TcpStream::connect_timeout(&address, PATIENCE)?;
        stream.set_nodelay(true)?;
        stream.set_read_timeout(Some(PATIENCE))?;
        stream.set_write_timeout(Some(PATIENCE))?;
        Ok(stream)
    };
    open().map_err(|error| format!("connect {address}: {error}"))
}

/// Asks and checks the answer; how long it took.
pub(crate) fn ask(stream: &mut TcpStream, question: &str) -> Result<Duration, String> {
    let expected = question.to_uppercase();
    let mut answer = vec![0; expected.len()];
    let from = Instant::now();
    stream.write_all(question.as_bytes()).map_err(|error| format!("send: {error}"))?;
    stream.read_exact(&mut answer).map_err(|error| format!("no answer: {error}"))?;
    let took = from.elapsed();
    match answer == expected.as_bytes() {
        true => Ok(took),
        false => Err(format!("{:?} instead of {expected:?}", String::from_utf8_lossy(&answer))),
    }
}

/// Connects `count` clients one after the other, each of which asks once and stays.
pub(crate) fn many(address: SocketAddr, count: usize) -> Result<Vec<TcpStream>, String> {
    let speak = |number: usize| {
        let mut stream = connect(address)?;
        ask(&mut stream, &format!("client {number} of {count}\n"))?;
        Ok(stream)
    };
    (0..count).map(speak).collect()
}

/// Asks without a pause for `span`.
pub(crate) fn ping_pong(stream: &mut TcpStream, span: Duration) -> Result<Latencies, String> {
    let mut latencies = Latencies::default();
    let from = Instant::now();
    while from.elapsed() < span {
        latencies.record(ask(stream, "how long does an answer take?\n")?);
    }
    Ok(latencies)
}
