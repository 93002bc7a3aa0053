//! What an origin says: its addresses, a line for each request, and its sum.

use std::fmt::Write as _;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::time::UNIX_EPOCH;

use stentor_core::video::film::Film;

use super::player;
use crate::drive::video::origin::{Ended, Exchange, Totals};

/// What there is of a film, by path, and in words.
fn places(film: &Film) -> Vec<(String, String)> {
    let last = film.qualities().saturating_sub(1);
    let qualities = match last {
        0 => "the film as one file".to_owned(),
        last => format!("quality 0 of 0 to {last} as one file"),
    };
    [
        ("/", "the page"),
        ("/master.m3u8", "HLS"),
        ("/manifest.mpd", "DASH"),
        ("/0/film.mp4", &qualities),
        ("/film.json", "rates and sizes of the chunks"),
        ("/requests", "what was asked for"),
    ]
    .map(|(path, what)| (path.to_owned(), what.to_owned()))
    .into()
}

/// The address to give to a client on this machine.
fn base(address: SocketAddr) -> String {
    let here = match address.ip() {
        IpAddr::V4(Ipv4Addr::UNSPECIFIED) => Ipv4Addr::LOCALHOST.into(),
        IpAddr::V6(Ipv6Addr::UNSPECIFIED) => Ipv6Addr::LOCALHOST.into(),
        ip => ip,
    };
    format!("http://{}", SocketAddr::new(here, address.port()))
}

/// The addresses of a film, one on each line, to be copied.
pub fn film_ready(address: SocketAddr, film: &Film) -> String {
    ready(address, &places(film))
}

fn ready(address: SocketAddr, places: &[(String, String)]) -> String {
    let base = base(address);
    let width = places.iter().map(|(path, _)| path.chars().count()).max().unwrap_or(0);
    let line = |(path, what): &(String, String)| format!("{base}{path:width$}  {what}\n");
    places.iter().map(line).collect()
}

/// The page that plays a film, with links to what else there is of it.
pub fn film_page(film: &Film) -> String {
    let places: Vec<_> = places(film).into_iter().filter(|(path, _)| path != "/").collect();
    player::page("/master.m3u8", Some("/film.json"), &places)
}

/// The line of a request, for people, without its end.
pub fn line(exchange: &Exchange) -> String {
    let since = exchange.time.duration_since(UNIX_EPOCH).unwrap_or_default();
    let (seconds, ms) = (since.as_secs() % 86_400, since.subsec_millis());
    let (hour, minute, second) = (seconds / 3600, seconds / 60 % 60, seconds % 60);
    let Exchange { peer, status, sent_bytes, length_bytes, .. } = exchange;
    let mut line = format!(
        "{hour:02}:{minute:02}:{second:02}.{ms:03} {peer} {} {} {status} {sent_bytes} of \
         {length_bytes} bytes in {:.3} s",
        shown(&exchange.method),
        shown(&exchange.path),
        exchange.duration.as_secs_f64(),
    );
    if let Some((first, last)) = exchange.range {
        _ = write!(line, ", range {first}-{last}");
    }
    _ = write!(line, ", {}", exchange.ended.name());
    if let Some(fault) = &exchange.fault {
        _ = write!(line, " (fault {fault})");
    }
    line
}

/// A word of a stranger, for a terminal: nothing in it moves the cursor.
fn shown(word: &str) -> String {
    word.chars().map(|c| if c.is_control() { '\u{fffd}' } else { c }).collect()
}

/// What an origin came to, as a short block; a line without anything to tell is left out.
pub fn summary(totals: &Totals) -> String {
    let ended = Ended::ALL.iter().map(|ended| ended.name()).zip(totals.ended);
    let ended: Vec<String> = ended
        .filter(|(_, count)| *count > 0)
        .map(|(name, count)| format!("{count} {name}"))
        .collect();
    let mut text = format!("requests     {}", totals.requests);
    if !ended.is_empty() {
        _ = write!(text, " = {}", ended.join(" + "));
    }
    _ = writeln!(
        text,
        "; {} connections, {} bytes of bodies sent",
        totals.connections, totals.sent_bytes
    );
    let [.., client, server] = totals.classes;
    let lines = [
        (client + server, format!("errors       {client} with 4xx, {server} with 5xx")),
        (totals.faults, format!("faults       struck {} answers", totals.faults)),
        (totals.bad, format!("no requests  {} connections did not speak HTTP/1.1", totals.bad)),
        (totals.slow, format!("too slow     {} requests did not come in time", totals.slow)),
        (totals.unlogged, format!("not logged   {} requests, for want of time", totals.unlogged)),
    ];
    for (_, line) in lines.iter().filter(|(count, _)| *count > 0) {
        _ = writeln!(text, "{line}");
    }
    text
}
