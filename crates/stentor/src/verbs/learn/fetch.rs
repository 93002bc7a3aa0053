//! The lesson `fetch`: a web page is fetched as in the lecture, and then by this program's own
//! engine, from a small server of the lesson.

use std::io::{self, Read, Write};
use std::net::{IpAddr, Ipv4Addr, SocketAddr, TcpListener};
use std::thread;

use socket2::SockRef;
use stentor_os::failure::{Failure, describe};
use stentor_os::resolve;

use super::calls::PATIENCE;
use super::evidence::count;
use super::stage::{Stage, Stop};
use crate::complaint::Complaint;
use crate::drive::race::Outcome;
use crate::verbs::fetch::{Hop, Plan, Report};

/// More than one read of the lecture's client (2000 bytes), and than one of ours.
const BODY_BYTES: usize = 200_000;
/// What the lecture's client takes.
const ROOM: usize = 2000;

pub(super) fn play(stage: &mut Stage<'_>) -> Result<(), Stop> {
    let address = resolve_name(stage)?;
    let failed = |error| Failure::new("listen", format!("tcp {address}"), error);
    let listener = TcpListener::bind(SocketAddr::new(address, 0)).map_err(failed)?;
    SockRef::from(&listener).set_read_timeout(Some(PATIENCE)).map_err(failed)?;
    let target = listener.local_addr().map_err(failed)?;
    thread::scope(|scope| {
        // One connection after the other; each of its waits is bounded.
        let server = scope.spawn(|| {
            let first = target.is_ipv4().then(|| answer(&listener));
            first.transpose().and_then(|_| answer(&listener))
        });
        if target.is_ipv4() {
            by_hand(stage, target)?;
        }
        let report = by_engine(stage, target)?;
        let request = server.join().map_err(|_| lost())?;
        let request = request.map_err(|error| Failure::new("accept", target, error))?;
        account(stage, target, &report, &request)
    })
}

fn resolve_name(stage: &mut Stage<'_>) -> Result<IpAddr, Stop> {
    stage.step(
        "The name localhost is resolved.",
        "Sockets know only addresses. A name may have several, of two versions of IP; a client \
         tries them in turn.",
    )?;
    let found = resolve::addresses("localhost", 80);
    let shown = |found: &Vec<SocketAddr>| count(found.len(), "address");
    let found = stage.call("client", "getaddrinfo", "\"localhost\"", "localhost", found, shown)?;
    for address in &found {
        stage.fact("address", address.ip())?;
    }
    let local = IpAddr::V4(Ipv4Addr::LOCALHOST);
    let chosen = found.iter().map(SocketAddr::ip).find(|ip| *ip == local);
    let chosen = chosen.or_else(|| found.first().map(SocketAddr::ip));
    stage.claim(
        "The name has at least one address, all of this machine.",
        !found.is_empty() && found.iter().all(|address| address.ip().is_loopback()),
        count(found.len(), "address"),
    )?;
    Ok(chosen.unwrap_or(local))
}

fn by_hand(stage: &mut Stage<'_>, target: SocketAddr) -> Result<(), Stop> {
    stage.step(
        "The lecture's client: connect, GET, one read of at most 2000 bytes, close.",
        "http without a port means port 80, where no server need run on this machine: the lesson's \
         own has another.",
    )?;
    let client = stage.connected("client", target)?;
    stage.send(&client, format!("GET / HTTP/1.1\r\nHost: {target}\r\n\r\n").as_bytes())?;
    let part = stage.recv(&client, ROOM)?;
    let ok = part.starts_with(b"HTTP/1.1 200 ");
    stage.claim(
        "The reply begins with HTTP/1.1 200, and one read is not all of it.",
        ok && part.len() <= ROOM,
        format!("{} bytes of more than {BODY_BYTES}", part.len()),
    )?;
    stage.close(client)?;
    Ok(())
}

fn by_engine(stage: &mut Stage<'_>, target: SocketAddr) -> Result<Report, Stop> {
    let url = format!("http://localhost:{}/", target.port());
    stage.step(
        &format!("stentor fetch {url}"),
        "The same phases, each to its end: resolve, connect, first byte, body.",
    )?;
    let plan = Plan::new(&url).map_err(unexpected)?;
    let mut report = crate::verbs::fetch::fetch(&plan, None, &mut |_| Ok(()));
    if let Some(complaint) = report.trouble.take() {
        return Err(unexpected(complaint));
    }
    Ok(report)
}

fn account(
    stage: &mut Stage<'_>,
    target: SocketAddr,
    report: &Report,
    request: &str,
) -> Result<(), Stop> {
    let Some(hop) = report.hops.first() else { return stage.claim("It was tried.", false, "not") };
    for attempt in &hop.attempts {
        let outcome = match &attempt.outcome {
            Outcome::Connected => "connected".to_owned(),
            Outcome::Failed(failure) => describe(&failure.error),
            Outcome::Abandoned => "abandoned for a faster one".to_owned(),
        };
        stage.fact(&format!("tried {}", attempt.address), outcome)?;
    }
    stage.show(&hop.conversation)?;
    stage.claim(
        "The connection leads to the server, from a port that the kernel chose.",
        hop.peer == Some(target) && hop.local.is_some_and(|local| local.port() != 0),
        format!("{} - {target}", hop.local.map_or_else(String::new, |local| local.to_string())),
    )?;
    let lines: Vec<_> = request.lines().collect();
    stage.fact("the server was asked", lines.join(" | "))?;
    let host = format!("localhost:{}", target.port());
    stage.claim(
        "A request is text: GET, the headers with Host, and an empty line that ends it.",
        lines.first() == Some(&"GET / HTTP/1.1")
            && lines.iter().any(|line| line.eq_ignore_ascii_case(&format!("host: {host}")))
            && request.ends_with("\r\n\r\n"),
        format!("{} lines", lines.len()),
    )?;
    phases(stage, hop)?;
    let announced = hop.head.as_ref().and_then(|head| head.announced_bytes);
    stage.claim(
        "The reply is read in pieces until Content-Length is reached: all of it came.",
        hop.reads.count > 1
            && announced == Some(hop.body_bytes)
            && hop.body_bytes == BODY_BYTES as u64,
        format!("{} in {} reads", hop.progress(), hop.reads.count),
    )
}

/// The order of the phases: the claim is about order, the times are told beside it.
fn phases(stage: &mut Stage<'_>, hop: &Hop) -> Result<(), Stop> {
    let mut reached = Vec::new();
    for (name, phase) in hop.phases.named() {
        if let Some(phase) = phase {
            stage.fact(name, format!("{:.3} ms", phase.took().as_secs_f64() * 1000.0))?;
            reached.push((name, phase));
        }
    }
    let names: Vec<_> = reached.iter().map(|(name, _)| *name).collect();
    let ordered = reached.windows(2).all(|pair| match pair {
        [(_, earlier), (_, later)] => earlier.ended <= later.began,
        _ => true,
    });
    stage.claim(
        "No phase begins before the one before it has ended.",
        ordered && names == ["resolve", "connect", "first byte", "body"],
        names.join(", "),
    )
}

/// The lesson's server: reads one request, sends a page, closes. Returns the request.
fn answer(listener: &TcpListener) -> io::Result<String> {
    let (mut stream, _) = listener.accept()?;
    stream.set_read_timeout(Some(PATIENCE))?;
    stream.set_write_timeout(Some(PATIENCE))?;
    let mut request = Vec::new();
    let mut room = [0; 1024];
    while !request.ends_with(b"\r\n\r\n") {
        let count = stream.read(&mut room)?;
        if count == 0 {
            break;
        }
        request.extend_from_slice(room.get(..count).unwrap_or_default());
    }
    let head = format!(
        "HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nContent-Length: {BODY_BYTES}\r\n\
         Connection: close\r\n\r\n"
    );
    let body = vec![b'a'; BODY_BYTES];
    // The lecture's client goes after one read: then the rest has no taker, and that is no error.
    let _ = stream.write_all(head.as_bytes()).and_then(|()| stream.write_all(&body));
    Ok(String::from_utf8_lossy(&request).into_owned())
}

fn lost() -> Stop {
    let what = "the lesson's server ended in an unforeseen way".to_owned();
    Stop::Contradicted { what, next: String::new() }
}

fn unexpected(complaint: Complaint) -> Stop {
    Stop::Contradicted { what: complaint.what, next: complaint.next }
}
