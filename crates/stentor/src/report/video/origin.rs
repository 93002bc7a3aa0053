//! What an origin says: its addresses, a line for each request, and its sum.

use std::ffi::OsStr;
use std::fmt::Write as _;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::time::UNIX_EPOCH;

use stentor_core::video::film::Film;

use super::player::PLAYER;
use crate::drive::video::origin::{Ended, Exchange, Listing, Totals};
use crate::report::svg::escape;

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
        ("/queues", "what waited at the server"),
    ]
    .map(|(path, what)| (path.to_owned(), what.to_owned()))
    .into()
}

/// What other players may ask for.
pub fn film_places(film: &Film) -> Vec<(String, String)> {
    places(film).into_iter().filter(|(path, _)| path != "/").collect()
}

/// The address to give to a client on this machine.
fn base(address: SocketAddr) -> String {
    let here = match address.ip() {
        IpAddr::V4(Ipv4Addr::UNSPECIFIED) => Ipv4Addr::LOCALHOST.into(),
        IpAddr::V6(Ipv6Addr::UNSPECIFIED) => Ipv6Addr::LOCALHOST.into(),
        ip @ (IpAddr::V4(_) | IpAddr::V6(_)) => ip,
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

/// The addresses of a folder, one on each line, to be copied: as many manifests as fit a screen.
pub fn folder_ready(address: SocketAddr, listing: &Listing) -> String {
    const SHOWN: usize = 16;
    let mut places = vec![("/".to_owned(), "the manifests in this folder".to_owned())];
    let manifests = listing.manifests.iter().take(SHOWN);
    places.extend(manifests.map(|path| (format!("/{}", reference(path)), kind(path).to_owned())));
    places.push(("/requests".to_owned(), "what was asked for".to_owned()));
    places.push(("/queues".to_owned(), "what waited at the server".to_owned()));
    ready(address, &places)
}

/// The page of a folder, which is at `path`: links to the manifests in it and below it.
pub fn folder_page(path: &[u8], listing: &Listing) -> String {
    let title = format!("Manifests in {}", String::from_utf8_lossy(path));
    let here = reference(Path::new(OsStr::from_bytes(path)));
    let place = |manifest: &PathBuf| {
        let (reference, kind) = (reference(manifest), kind(manifest));
        let text = format!("{} ({kind})", manifest.display());
        let mut place = format!("<a href=\"{reference}\">{}</a>", escape(&text));
        if kind == "HLS" {
            let playlist = here.clone() + &reference;
            let playlist = playlist.replace('%', "%25");
            let _ = write!(place, " <a href=\"{PLAYER}?playlist={playlist}\">play it here</a>");
        }
        place
    };
    let places: Vec<String> = listing.manifests.iter().map(place).collect();
    let mut more = String::new();
    if places.is_empty() {
        more = "No .m3u8 or .mpd is in this folder. Files are served by their paths.".to_owned();
    }
    if listing.cut {
        more += " There are too many files to look at all of them.";
    }
    page(&title, &places, &more)
}

/// What a manifest is.
fn kind(path: &Path) -> &'static str {
    if path.extension().is_some_and(|extension| extension == "mpd") { "DASH" } else { "HLS" }
}

/// A relative path as a reference (RFC 3986, 4.2): everything is escaped but what never needs it.
fn reference(path: &Path) -> String {
    let mut text = String::new();
    for byte in path.as_os_str().as_bytes() {
        match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' | b'/' => {
                text.push(char::from(*byte));
            }
            byte => _ = write!(text, "%{byte:02X}"),
        }
    }
    text
}

/// A page of places, which are HTML already, and a sentence.
fn page(title: &str, places: &[String], more: &str) -> String {
    let mut text = format!(
        "<!DOCTYPE html>\n<html lang=\"en\"><head><meta charset=\"utf-8\">\n\
         <meta name=\"viewport\" content=\"width=device-width\"><title>stentor video serve</title>\n\
         <style>:root{{color-scheme:light dark;font-family:sans-serif}}body{{margin:2rem}}\
         li{{margin:.4rem 0}}</style></head>\n<body><h1>{}</h1><ul>\n",
        escape(title)
    );
    for place in places {
        _ = writeln!(text, "<li>{place}</li>");
    }
    _ = writeln!(text, "</ul><p>{}</p></body></html>", escape(more.trim()));
    text
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
