//! The lab link against the kernel's own TCP: what is lost is sent again and nothing else, and a
//! round trip takes what was configured.
//!
//! Each case runs in a child of its own, since private networks want a process of one thread.

use std::fmt::Write as _;
use std::io::{self, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::os::unix::net::UnixStream;

use socket2::SockRef;
use stentor::drive::lab::{Carried, Lab, Running, Settings};
use stentor_core::link::Spec;
use stentor_core::seed::Seed;
use stentor_os::clock;
use stentor_os::net::tcp_info::{TcpInfo, tcp_info};
use stentor_os::process::fork_into;

use crate::figures::yes;

/// Loss in one direction: that of the data. The kernel's default may be another congestion control,
/// such as BBR, which sends on whatever is lost.
const CASES: [(&str, f64); 4] = [("reno", 0.01), ("reno", 0.03), ("cubic", 0.01), ("cubic", 0.03)];
/// Short, so that much is sent: with loss p a round sends some 1.2/sqrt(p) segments.
const DELAY: &str = "delay=2ms";
/// Segments of 1448 bytes.
const SEGMENTS: u64 = 20_000;
const SEGMENTS_QUICK: u64 = 3_000;
const SEGMENT_BYTES: u64 = 1448;

/// Round trips asked for, in milliseconds.
const ROUND_TRIPS_MS: [u32; 3] = [10, 40, 100];
/// So many that the smoothed round trip has forgotten its beginning (RFC 6298: 7/8 stay each time).
const EXCHANGES: usize = 60;

/// Measures and renders the result, in Markdown.
pub(super) fn measure(quick: bool) -> Result<String, String> {
    Lab::possible().map_err(|complaint| complaint.to_string())?;
    let segments = if quick { SEGMENTS_QUICK } else { SEGMENTS };
    let mut report = String::from(
        "| congestion control | loss injected | packets the link lost | data segments sent | sent \
         again | rate | off by | within 3 sigma |\n|---|---:|---:|---:|---:|---:|---:|---|\n",
    );
    for (number, (control, loss)) in CASES.into_iter().enumerate() {
        let seed = u64::try_from(number).unwrap_or(0) + 1;
        let [lost, sent, again] = apart(|| bulk(control, loss, seed, segments))?;
        let rate = again / sent;
        let sigmas = (rate - loss) / (loss * (1.0 - loss) / sent).sqrt();
        let _ = writeln!(
            report,
            "| {control} | {:.2} % | {lost} | {sent} | {again} | {:.2} % | {sigmas:+.1} sigma | {} |",
            loss * 100.0,
            rate * 100.0,
            yes(sigmas.abs() <= 3.0),
        );
    }
    report.push_str(
        "\n| round trip configured | smoothed by the kernel | deliveries late by, mean | at worst | \
         within 1 ms |\n|---:|---:|---:|---:|---|\n",
    );
    for configured in ROUND_TRIPS_MS {
        let [smoothed, mean, worst] = apart(|| ping(configured))?;
        let _ = writeln!(
            report,
            "| {configured} ms | {smoothed:.2} ms | {mean:.0} us | {worst:.0} us | {} |",
            yes((smoothed - f64::from(configured)).abs() <= 1.0),
        );
    }
    Ok(report)
}

/// Three figures of a case.
type Figures = [f64; 3];

/// Runs a case in a child, and brings its figures back.
fn apart(case: impl FnOnce() -> Result<Figures, String>) -> Result<Figures, String> {
    let failed = |error: io::Error| error.to_string();
    let (mut ours, theirs) = UnixStream::pair().map_err(failed)?;
    let child = fork_into(&[], || {
        let words = match case() {
            Ok([one, two, three]) => format!("{one} {two} {three}"),
            Err(error) => error,
        };
        i32::from((&theirs).write_all(words.as_bytes()).is_err())
    });
    let child = child.map_err(failed)?;
    drop(theirs);
    let mut words = String::new();
    let read = ours.read_to_string(&mut words);
    child.wait().and(read).map_err(failed)?;
    let figures: Vec<f64> = words.split(' ').filter_map(|word| word.parse().ok()).collect();
    figures.try_into().map_err(|_| words)
}

fn begin(words: &str, seed: u64) -> Result<Running, String> {
    let lab = Lab::enter().map_err(|complaint| complaint.to_string())?;
    let spec: Spec = words.parse().map_err(|error| format!("{words}: {error}"))?;
    let settings = Settings::of(&spec, Seed(seed)).map_err(|complaint| complaint.to_string())?;
    lab.begin(settings, clock::stamp(), None).map_err(|complaint| complaint.to_string())
}

/// A connection from the client's network to the server's: its two ends.
fn connected(link: &Running) -> Result<(TcpStream, TcpStream), String> {
    let failed = |error: io::Error| error.to_string();
    link.server().enter().map_err(|refusal| refusal.to_string())?;
    let listener = TcpListener::bind("10.0.0.1:0").map_err(failed)?;
    link.client().enter().map_err(|refusal| refusal.to_string())?;
    let to = listener.local_addr().map_err(failed)?;
    let client = TcpStream::connect(to).map_err(failed)?;
    let (server, _) = listener.accept().map_err(failed)?;
    Ok((client, server))
}

/// Packets lost by the link, data segments sent, segments sent again.
fn bulk(control: &str, loss: f64, seed: u64, segments: u64) -> Result<Figures, String> {
    let failed = |error: io::Error| error.to_string();
    let link = begin(&format!("{DELAY},up:loss={}%", loss * 100.0), seed)?;
    let (client, server) = connected(&link)?;
    SockRef::from(&client)
        .set_tcp_congestion(control.as_bytes())
        .map_err(|error| format!("TCP_CONGESTION {control}: {error}"))?;
    let bytes = segments * SEGMENT_BYTES;
    let info = std::thread::scope(|scope| -> Result<TcpInfo, String> {
        let reader = scope.spawn(|| io::copy(&mut &server, &mut io::sink()));
        io::copy(&mut io::repeat(b'x').take(bytes), &mut &client).map_err(failed)?;
        client.shutdown(std::net::Shutdown::Write).map_err(failed)?;
        let read = reader.join().map_err(|_| "the reader panicked")?.map_err(failed)?;
        if read != bytes {
            return Err(format!("{read} of {bytes} bytes arrived"));
        }
        tcp_info(&client).map_err(failed)
    })?;
    let Carried { up, .. } = link.stop().map_err(|complaint| complaint.to_string())?;
    let sent = info.counters.ok_or("TCP_INFO without counters: Linux before 4.6")?;
    let figures = [up.link.lost, sent.data_segments_out.into(), info.retransmitted.into()];
    Ok(figures.map(|figure| figure as f64))
}

/// The smoothed round trip in milliseconds, and how late the link was, mean and worst, in
/// microseconds.
fn ping(round_trip_ms: u32) -> Result<Figures, String> {
    let failed = |error: io::Error| error.to_string();
    let link = begin(&format!("delay={}us", round_trip_ms * 500), 1)?;
    let (mut client, mut server) = connected(&link)?;
    client.set_nodelay(true).and_then(|()| server.set_nodelay(true)).map_err(failed)?;
    let mut byte = [0];
    for _ in 0..EXCHANGES {
        client.write_all(&byte).map_err(failed)?;
        server.read_exact(&mut byte).map_err(failed)?;
        server.write_all(&byte).map_err(failed)?;
        client.read_exact(&mut byte).map_err(failed)?;
    }
    let smoothed = tcp_info(&client).map_err(failed)?.rtt.as_secs_f64() * 1e3;
    let Carried { lateness, .. } = link.stop().map_err(|complaint| complaint.to_string())?;
    let us = |nanoseconds: u64| nanoseconds as f64 / 1e3;
    Ok([smoothed, us(lateness.mean_ns()), us(lateness.worst_ns)])
}
