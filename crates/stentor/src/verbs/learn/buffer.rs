//! The lesson `buffer`: stored video over a slow and a fast network, its two buffers, and who drops.

mod film_server;
mod picture;

use std::net::SocketAddr;
use std::time::Duration;

use stentor_core::endpoint;
use stentor_core::link::Spec;
use stentor_core::seed::Seed;
use stentor_core::units::BitRate;
use stentor_core::video::buffer::{Policy, What as Said};
use stentor_core::video::film::Film;
use stentor_core::video::predict::{Course, Fluid};
use stentor_core::video::session::What;
use stentor_os::failure::Failure;
use stentor_os::net::queues;

use self::film_server::{FilmServer, Served};
use super::calls::{Transport, anywhere};
use super::stage::{Stage, Stop};
use crate::complaint::Complaint;
use crate::drive::impair::beside;
use crate::drive::video::outcome::{Outcome, Progressive};
use crate::drive::video::play::progressive::{Company, Plan, compare, play as play_film};

/// R: 1 MB/s.
const PLAYOUT: BitRate = BitRate(8_000_000);
/// x of the slow network: half of it.
const SLOW: &str = "down:rate=4Mbit";
const SLOW_BPS: f64 = 4e6;
const CHUNK: Duration = Duration::from_millis(100);
/// What the kernels at both ends may keep, before they double it (socket(7)).
const SOCKET_BYTES: usize = 64 << 10;
const SILENCE_MAX: Duration = Duration::from_secs(5);
/// Datagrams of the last step, and their size.
const DATAGRAMS: u32 = 500;
const DATAGRAM_BYTES: usize = 1000;
const SEED: Seed = Seed(23);

pub(super) fn play(stage: &mut Stage<'_>) -> Result<(), Stop> {
    slow(stage)?;
    fast(stage)?;
    datagrams(stage)
}

/// A film of so many chunks, and how much of it is kept: B and Q, in playing time.
fn film(chunks: usize, buffer: Duration, start: Duration) -> Result<(Film, Policy), Stop> {
    let refused = |words: String| Stop::Refused(Complaint::usage(words, ""));
    let film = Film::even(&[PLAYOUT], CHUNK, chunks).map_err(|e| refused(e.to_string()))?;
    let policy = Policy::new(buffer, start, start).map_err(|e| refused(e.to_string()))?;
    Ok((film, policy))
}

/// x < R: Q/x is half a second, Q/(R-x) as well.
fn slow(stage: &mut Stage<'_>) -> Result<(), Stop> {
    stage.step(
        "The network is slow: film arrives at x = 0.5 MB/s and is played at R = 1 MB/s.",
        "One GET for the whole film, read byte by byte. Playing begins with Q = 250 kB, and after \
         a freeze it waits for Q again.",
    )?;
    let ms = Duration::from_millis;
    let (film, policy) = film(13, ms(10_000), ms(250))?;
    let server = FilmServer::start(bytes(&film), SOCKET_BYTES)?;
    let spec: Spec = SLOW.parse().map_err(|error| {
        Stop::Refused(Complaint::usage(format!("the link {SLOW}: {error}"), ""))
    })?;
    let link = beside((&spec, false), SEED, endpoint::Transport::Tcp, &[server.address()]);
    let link = link.map_err(Stop::Refused)?;
    let outcome = fetch(stage, (film, policy), link.address, &server)?;
    server.finish()?;
    let seen = seen(&outcome);
    let [fluid, chunks, measured] = columns(&outcome)?;
    let formula = formula(seen);
    stage.fact("start-up Q/x", beside_formula(formula.start_up_s(), measured.start_up_s))?;
    if let Course::Freezes { plays_s, freezes_s } = formula.course() {
        let first = measured.freezes.first();
        let played = first.zip(measured.start_up_s).map(|(freeze, start_s)| freeze.at_s - start_s);
        stage.fact("then plays Q/(R-x)", beside_formula(plays_s, played))?;
        let froze = first.map(|freeze| freeze.length_s);
        stage.fact("then freezes Q/x", beside_formula(freezes_s, froze))?;
    }
    let count = fluid.freezes.len();
    let words = |count: usize| super::evidence::count(count, "freeze");
    stage.fact("formula; chunks of 100 ms", {
        format!("{}; {}", words(count), words(chunks.freezes.len()))
    })?;
    stage.claim(
        "It begins, freezes and goes on as often as the formula says, and plays to the end.",
        measured.freezes.len() == count
            && count > 0
            && order(&outcome).last() == Some(&Said::Ended),
        told(&outcome),
    )?;
    stage.claim(
        "A freeze loses nothing: every byte was played.",
        seen.received_bytes == seen.film_bytes && outcome.metrics.played == outcome.film.length(),
        format!("{} of {} bytes", seen.received_bytes, seen.film_bytes),
    )
}

/// x > R: both buffers fill, and the window closes.
fn fast(stage: &mut Stage<'_>) -> Result<(), Stop> {
    stage.step(
        "The network is fast: nothing is between the server and the player.",
        "The application keeps B = 500 kB and then reads only what it has played. What it does not \
         read stays in the kernel, until TCP has no window left to offer.",
    )?;
    let ms = Duration::from_millis;
    let (film, policy) = film(20, ms(500), ms(100))?;
    let server = FilmServer::start(bytes(&film), SOCKET_BYTES)?;
    let outcome = fetch(stage, (film, policy), server.address(), &server)?;
    let served = server.finish()?;
    let seen = seen(&outcome);
    stage.figure(&picture::lines(&outcome))?;
    let full = order(&outcome).contains(&Said::Full);
    stage.fact("the application's buffer", {
        let [fluid, _, measured] = columns(&outcome)?;
        let at = |at_s: Option<f64>| at_s.map_or("never".to_owned(), |s| format!("{s:.3} s"));
        format!("full at {}, by the formula at {}", at(measured.full_s), at(fluid.full_s))
    })?;
    stage.claim(
        "The application's buffer fills, and is never over-full.",
        full && outcome.samples.iter().all(|at| at.buffered_bytes <= seen.capacity_bytes),
        told(&outcome),
    )?;
    held(stage, &outcome, served)?;
    stage.claim(
        "Nothing is dropped: what the server wrote is what the player read.",
        served.written == seen.received_bytes && seen.received_bytes == seen.film_bytes,
        format!("{} written, {} read", served.written, seen.received_bytes),
    )
}

/// What TCP says of the time in which the player did not read.
fn held(stage: &mut Stage<'_>, outcome: &Outcome, served: Served) -> Result<(), Stop> {
    let most = |of: fn(&crate::drive::video::outcome::Sample) -> Option<u64>| {
        outcome.samples.iter().filter_map(of).max().unwrap_or(0)
    };
    let receiver = most(|sample| sample.socket_bytes);
    let sender = most(|sample| sample.server_bytes);
    stage.fact("player's socket (SIOCINQ)", format!("at most {receiver} bytes"))?;
    stage.fact("server's socket (SIOCOUTQ)", format!("at most {sender} bytes"))?;
    // Older kernels do not tell of windows: then what both sockets hold is the evidence.
    let told = outcome.samples.iter().any(|sample| sample.window_bytes.is_some());
    let closed = outcome.samples.iter().filter(|sample| sample.window_bytes == Some(0)).count();
    let (held, seen) = if told {
        let held = format!("{:.3} s for the window", served.held_back.as_secs_f64());
        stage.fact("server waited (TCP_INFO)", held)?;
        let samples = outcome.samples.len();
        let held = closed > 0 && served.held_back > Duration::ZERO;
        (held, format!("window 0 in {closed} of {samples} samples"))
    } else {
        (receiver > 0 && sender > 0, "both sockets are full".to_owned())
    };
    stage.claim("TCP offers a window of 0, and the server's kernel waits for it.", held, seen)
}

/// Nobody reads, over UDP.
fn datagrams(stage: &mut Stage<'_>) -> Result<(), Stop> {
    stage.step(
        "The same over UDP: a socket that nobody reads.",
        "UDP has no window: the kernel takes every datagram from the sender, and the receiver's \
         kernel throws away what does not fit.",
    )?;
    let receiver = stage.socket("player", Transport::Udp)?;
    stage.bind(&receiver, anywhere())?;
    let set = receiver.options().set_recv_buffer_size(SOCKET_BYTES);
    let given = format!("{}, SO_RCVBUF, {SOCKET_BYTES}", receiver.number());
    stage.call("player", "setsockopt", given, "udp", set, |()| "0".to_owned())?;
    let sender = stage.socket("server", Transport::Udp)?;
    let (mut sent, mut failed) = (0, 0);
    for number in 0..DATAGRAMS {
        let mut datagram = [0; DATAGRAM_BYTES];
        if let Some(first) = datagram.first_chunk_mut() {
            *first = number.to_be_bytes();
        }
        match sender.options().send_to(&datagram, &receiver.local().into()) {
            Ok(_) => sent += 1,
            Err(_) => failed += 1,
        }
    }
    stage.fact("sendto", format!("{sent} took their datagram, {failed} failed"))?;
    let dropped = queues::dropped(&receiver);
    let dropped = dropped.map_err(|error| Failure::new("getsockopt", "SO_MEMINFO", error))?;
    stage.nonblocking(&receiver)?;
    let (mut room, mut read, mut last) = ([0; DATAGRAM_BYTES], 0, 0);
    while std::io::Read::read(&mut receiver.options(), &mut room).is_ok() {
        let [first, second, third, fourth, ..] = room;
        (read, last) = (read + 1, u32::from_be_bytes([first, second, third, fourth]));
    }
    stage.fact("read afterwards", format!("{read}, the last is number {last}"))?;
    stage.fact("dropped (SO_MEMINFO)", dropped)?;
    stage.claim(
        "The sender hears nothing of it: every sendto succeeds.",
        sent == DATAGRAMS && failed == 0,
        format!("{sent} of {DATAGRAMS}"),
    )?;
    stage.claim(
        "What does not fit is dropped: sent = read + dropped.",
        dropped > 0 && read + dropped == u64::from(sent),
        format!("{read} + {dropped} of {sent}"),
    )?;
    stage.close(sender)?;
    stage.close(receiver)?;
    Ok(())
}

/// Plays a film from `address` to its end.
fn fetch(
    stage: &mut Stage<'_>,
    (film, policy): (Film, Policy),
    address: SocketAddr,
    server: &FilmServer,
) -> Result<Outcome, Stop> {
    let plan = Plan {
        addresses: vec![address],
        authority: address.to_string(),
        path: "/film.mp4".to_owned(),
        film,
        quality: 0,
        policy,
        receive_buffer_bytes: Some(SOCKET_BYTES),
        silence_max: SILENCE_MAX,
        sample_every: Duration::from_millis(10),
    };
    let outcome = stage.interruptible(|interrupts| {
        let (mut news, mut look) =
            (|_: crate::drive::video::play::News<'_>| {}, || server.unsent());
        let company =
            &mut Company { interrupts: Some(interrupts), news: &mut news, server: &mut look };
        play_film(&plan, company)
    })?;
    if outcome.interrupted {
        return Err(Stop::Interrupted);
    }
    match outcome.trouble {
        None => Ok(outcome),
        Some(trouble) => Err(Stop::Contradicted { what: trouble.what, next: trouble.next }),
    }
}

fn bytes(film: &Film) -> u64 {
    (0..film.chunks().len()).map(|chunk| film.bytes(chunk, 0)).sum()
}

fn seen(outcome: &Outcome) -> Progressive {
    outcome.account.progressive.unwrap_or_default()
}

fn columns(outcome: &Outcome) -> Result<[stentor_core::video::columns::Column; 3], Stop> {
    compare(outcome, 0).ok_or_else(|| {
        let what = "the film has no bytes".to_owned();
        Stop::Contradicted { what, next: String::new() }
    })
}

/// The book's numbers, with the rate that the link was asked for.
fn formula(seen: Progressive) -> Fluid {
    Fluid {
        arrival_bps: SLOW_BPS,
        playout_bps: seen.playout_bps as f64,
        start_bits: seen.start_bytes as f64 * 8.0,
        buffer_bits: seen.capacity_bytes as f64 * 8.0,
    }
}

fn beside_formula(formula_s: f64, measured_s: Option<f64>) -> String {
    let measured = measured_s.map_or("never".to_owned(), |s| format!("{s:.3} s"));
    format!("{measured}, by the formula {formula_s:.3} s")
}

/// What happened to the buffer, in order.
fn order(outcome: &Outcome) -> Vec<Said> {
    let said = outcome.events.iter().filter_map(|event| {
        let What::Buffer(said) = event.what else { return None };
        Some(said)
    });
    said.collect()
}

fn told(outcome: &Outcome) -> String {
    let word = |said: &Said| match said {
        Said::Started => "begins",
        Said::Stalled => "freezes",
        Said::Resumed => "goes on",
        Said::Full => "full",
        Said::Room => "room",
        Said::Ended => "ends",
    };
    order(outcome).iter().map(word).collect::<Vec<_>>().join(", ")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::complaint::Exit;
    use crate::verbs::learn::stage::rehearse;

    #[test]
    fn what_does_not_fit_is_dropped_and_counted() {
        let (shown, record, exit) = rehearse(datagrams);
        assert_eq!(exit, Exit::Good, "{shown}");
        assert_eq!(record.claims.len(), 2);
    }
}
