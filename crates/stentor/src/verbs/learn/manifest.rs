//! The lesson `manifest`: an origin's manifest over a plain socket, line by line, and then a player
//! that picks chunks by it while the link becomes slow and fast again.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, sync_channel};
use std::time::Duration;

use stentor_core::endpoint::Transport;
use stentor_core::link::Spec;
use stentor_core::manifest::hls::{self, Playlist};
use stentor_core::manifest::rates_bps;
use stentor_core::seed::Seed;
use stentor_core::units::BitRate;
use stentor_core::video::abr::Rule;
use stentor_core::video::buffer::Policy;
use stentor_core::video::film::Film;
use stentor_core::video::player::{Chooser, Retries};
use stentor_core::video::session::What;
use url::Url;

use super::evidence::count;
use super::stage::{Stage, Stop};
use crate::complaint::{Complaint, Exit};
use crate::drive::impair::{Beside, beside};
use crate::drive::reach::Family;
use crate::drive::serve::{Address, Wanted};
use crate::drive::tls::Trust;
use crate::drive::video::origin::{self, Catalogue, Exchange, Limits, Source};
use crate::drive::video::outcome::Outcome;
use crate::drive::video::play::script::Found;
use crate::drive::video::play::web::Way;
use crate::drive::video::play::{News, Plan, Session};
use crate::report::json::video::serve as requests;
use crate::report::video::origin::folder_page;

/// The qualities of the lesson's film, far enough apart that a link is for one of them or not.
const RATES: [BitRate; 3] = [BitRate(200_000), BitRate(500_000), BitRate(1_200_000)];
const CHUNK: Duration = Duration::from_millis(400);
const CHUNKS: usize = 19;
/// How much the player buffers at most.
const BUFFER: Duration = Duration::from_secs(2);
/// The link is slow for the chunks from the first of these on, up to the second.
const SLOW: [usize; 2] = [6, 11];
const FAST_LINK: &str = "delay=5ms,rate=20Mbit";
/// Enough for the lowest quality, and for no other.
const SLOW_LINK: &str = "delay=5ms,rate=400kbit";
/// How many chunks the player looks back on: after as many it knows a link anew.
const MEMORY: usize = 5;
const SEED: Seed = Seed(24);
const PATIENCE: Duration = Duration::from_secs(5);

pub(super) fn play(stage: &mut Stage<'_>) -> Result<(), Stop> {
    let film = Film::even(&RATES, CHUNK, CHUNKS).map_err(|error| unsound(&error))?;
    let (running, exchanges, target) = start(&film)?;
    let outcome = (|| {
        manifest(stage, target)?;
        let first = playlist(stage, target)?;
        chunk(stage, target, &film, &first)?;
        // What was asked for by hand is not the player's.
        let by_hand = exchanges.try_iter().count();
        let played = pick(stage, target)?;
        judge(stage, &film, &played, &exchanges, by_hand)
    })();
    running.abort();
    let ended = running.finish();
    outcome?;
    ended.map_err(Stop::Refused)?;
    Ok(())
}

/// The origin of `stentor video serve` inside this process, with its log.
fn start(film: &Film) -> Result<(origin::Running, Receiver<Exchange>, SocketAddr), Stop> {
    let (log, exchanges) = sync_channel(1 << 10);
    let catalogue = Catalogue::new(film.clone()).map_err(|error| unsound(&error))?;
    let loopback = Address::Tcp(SocketAddr::from(([127, 0, 0, 1], 0)));
    let plan = origin::Plan {
        addresses: vec![Wanted { address: loopback, optional: false }],
        source: Source::Film(Arc::new(catalogue)),
        pages: BTreeMap::new(),
        requests: requests::lines,
        queues: requests::queues,
        listing: folder_page,
        rate: None,
        faults: Vec::new(),
        seed: SEED,
        limits: Limits::new(1024),
        log,
    };
    let running = origin::start(plan)?;
    let target = running.addresses.first().copied();
    let target = target.ok_or_else(|| unsound(&"it listens nowhere"))?;
    Ok((running, exchanges, target))
}

/// Asks for a path over a socket of the lesson's own; the reply's head and body.
fn by_hand(
    stage: &mut Stage<'_>,
    target: SocketAddr,
    path: &str,
) -> Result<(String, Vec<u8>), Stop> {
    let client = stage.connected("client", target)?;
    let request = format!("GET {path} HTTP/1.1\r\nHost: {target}\r\nConnection: close\r\n\r\n");
    stage.send(&client, request.as_bytes())?;
    let mut reply = Vec::new();
    loop {
        let part = stage.recv(&client, 64 * 1024)?;
        if part.is_empty() {
            break;
        }
        reply.extend_from_slice(&part);
    }
    stage.close(client)?;
    let end = reply.windows(4).position(|window| window == b"\r\n\r\n");
    let head = end.and_then(|end| reply.get(..end)).unwrap_or_default();
    let body = end.and_then(|end| reply.get(end + 4..)).unwrap_or_default();
    Ok((String::from_utf8_lossy(head).into_owned(), body.to_vec()))
}

fn manifest(stage: &mut Stage<'_>, target: SocketAddr) -> Result<(), Stop> {
    stage.step(
        "The manifest is asked for over a plain socket.",
        "It is a text like any page; nothing but its media type says that it is about a film.",
    )?;
    let (head, body) = by_hand(stage, target, "/master.m3u8")?;
    let kind = head.lines().find_map(|line| line.strip_prefix("Content-Type: "));
    let kind = kind.or(head.lines().find_map(|line| line.strip_prefix("content-type: ")));
    stage.fact("Content-Type", kind.unwrap_or("none"))?;
    let text = String::from_utf8_lossy(&body).into_owned();
    explained(stage, &text, usize::MAX)?;
    let tracks = match hls::read(&text) {
        Ok(Playlist::Multivariant(film)) => film.tracks,
        Ok(Playlist::Media(_)) | Err(_) => Vec::new(),
    };
    let declared: Vec<u64> = tracks.iter().map(|track| track.peak_bps).collect();
    let rates: Vec<u64> = RATES.iter().map(|rate| rate.0).collect();
    stage.claim(
        "It names every quality with its bit rate, and no chunk yet.",
        declared == rates && tracks.iter().all(|track| track.segments.is_empty()),
        format!("{declared:?} bit/s"),
    )
}

fn playlist(stage: &mut Stage<'_>, target: SocketAddr) -> Result<String, Stop> {
    stage.step(
        "The playlist of the lowest quality is asked for.",
        "Each quality has a list of its own: the chunks in their order, and how long each plays.",
    )?;
    let (_, body) = by_hand(stage, target, "/0/playlist.m3u8")?;
    let text = String::from_utf8_lossy(&body).into_owned();
    explained(stage, &text, 10)?;
    let track = match hls::read(&text) {
        Ok(Playlist::Media(media)) => media.track,
        Ok(Playlist::Multivariant(_)) | Err(_) => Default::default(),
    };
    let length = track.length();
    let first = track.segments.first().map(|segment| segment.resource.uri.clone());
    stage.claim(
        "It has the address of every chunk, and together they are the film.",
        track.segments.len() == CHUNKS && length == film_length(),
        format!("{} of {} s", count(track.segments.len(), "chunk"), length.as_secs_f64()),
    )?;
    first.ok_or_else(|| unsound(&"its first playlist names no chunk"))
}

/// How long the lesson's film plays.
fn film_length() -> Duration {
    (0..CHUNKS).map(|_| CHUNK).sum()
}

fn chunk(
    stage: &mut Stage<'_>,
    target: SocketAddr,
    film: &Film,
    reference: &str,
) -> Result<(), Stop> {
    stage.step(
        "The first chunk is asked for by the address in the playlist.",
        "A reference is relative to the playlist that names it.",
    )?;
    let base = Url::parse(&format!("http://{target}/0/playlist.m3u8"));
    let url = base.and_then(|base| base.join(reference)).map_err(|error| unsound(&error))?;
    stage.fact("reference, and what it means there", format!("{reference}, {}", url.path()))?;
    let (_, body) = by_hand(stage, target, url.path())?;
    let bytes = body.len() as u64;
    let (rate, _) = rates_bps(&[(bytes, CHUNK)], 1);
    stage.claim(
        "It has as many bytes as its quality's bit rate asks for.",
        bytes == film.bytes(0, 0) && rate == RATES.first().map_or(0, |rate| rate.0),
        format!("{bytes} bytes that play {} s: {rate} bit/s", CHUNK.as_secs_f64()),
    )
}

/// Shows a playlist, and what its lines say, as far as there is room.
fn explained(stage: &mut Stage<'_>, text: &str, lines_max: usize) -> Result<(), Stop> {
    for line in text.lines().take(lines_max) {
        if let Some(("#EXT-X-STREAM-INF", attributes)) = line.split_once(':') {
            quality(stage, attributes)?;
            continue;
        }
        let says = match line.split(':').next().unwrap_or_default() {
            "#EXTM3U" => "this is a playlist",
            "#EXT-X-VERSION" => "the version of the rules it follows",
            "#EXT-X-INDEPENDENT-SEGMENTS" => "each chunk can be played without the one before",
            "#EXT-X-TARGETDURATION" => "no chunk plays longer than so many seconds",
            "#EXT-X-MEDIA-SEQUENCE" => "the number of the first chunk",
            "#EXT-X-PLAYLIST-TYPE" => "the list will not change",
            "#EXT-X-MAP" => "what a decoder needs before any chunk",
            "#EXTINF" => "how many seconds the next chunk plays",
            reference if reference.ends_with(".m3u8") => "where that quality's own list is",
            _ => "where it is",
        };
        stage.fact(line, says)?;
    }
    let more = text.lines().count().saturating_sub(lines_max);
    if more > 0 {
        stage.fact("...", format!("{} more", count(more, "line")))?;
    }
    Ok(())
}

/// Shows what a tag says of a quality, attribute by attribute; none of the lesson's has a comma.
fn quality(stage: &mut Stage<'_>, attributes: &str) -> Result<(), Stop> {
    stage.fact("#EXT-X-STREAM-INF:", "a quality, and what is to be known of it")?;
    for attribute in attributes.split(',') {
        let says = match attribute.split('=').next().unwrap_or_default() {
            "BANDWIDTH" => "its peak bit rate, in bit/s",
            "AVERAGE-BANDWIDTH" => "its average bit rate",
            "CODECS" => "how its pictures are coded",
            "RESOLUTION" => "their size",
            _ => "something else",
        };
        stage.fact(&format!("  {attribute}"), says)?;
    }
    Ok(())
}

/// Plays the film over a link that is slow in its middle.
fn pick(stage: &mut Stage<'_>, target: SocketAddr) -> Result<Outcome, Stop> {
    stage.step(
        "A player picks, by the throughput of its last five chunks and by its buffer (rule mpc).",
        "The link has 20 Mbit/s, from chunk 6 on 400 kbit/s, and from chunk 11 on 20 Mbit/s again.",
    )?;
    let link = link(FAST_LINK, target)?;
    let url = Url::parse(&format!("http://{target}/master.m3u8")).map_err(|e| unsound(&e))?;
    let peers = BTreeMap::from([((target.ip().to_string(), target.port()), link.address)]);
    let way = Way { silence_max: PATIENCE, family: Family::Any, trust: Trust::System, peers };
    let policy = Policy::new(BUFFER, CHUNK, CHUNK).map_err(|error| unsound(&error))?;
    let outcome = stage.interruptible(|interrupts| {
        let session = Session::new(way, interrupts)?;
        let Found::Script(script) = session.find(&url)? else {
            return Err(Complaint::new(Exit::Bad, format!("{url} is no manifest"), ""));
        };
        let rule = Rule::named("mpc", &script.film);
        let rule = rule.map_err(|error| Complaint::usage(error.to_string(), ""))?;
        let plan = Plan {
            policy,
            chooser: Chooser::Rule(rule),
            counsel: None,
            retries: Retries { times: 0, pause: Duration::ZERO },
        };
        session.play(Arc::from(script), plan, &mut |news| weather(&news, &link))
    })?;
    if outcome.interrupted {
        return Err(Stop::Interrupted);
    }
    if let Some(trouble) = &outcome.trouble {
        let (what, next) = (trouble.what.clone(), trouble.next.clone());
        return Err(Stop::Contradicted { what, next });
    }
    stage.fact("link, and its seed", format!("{FAST_LINK}, then {SLOW_LINK} --seed {}", SEED.0))?;
    Ok(outcome)
}

fn spec(words: &str) -> Result<Spec, Complaint> {
    words.parse().map_err(|error| Complaint::usage(format!("the link {words}: {error}"), ""))
}

fn link(words: &str, target: SocketAddr) -> Result<Beside, Stop> {
    let spec = spec(words).map_err(Stop::Refused)?;
    beside((&spec, false), SEED, Transport::Tcp, &[target]).map_err(Stop::Refused)
}

/// Changes the link when the player asks for the first chunk of a stretch: it is not time that says
/// so, but the player's own place in the film.
fn weather(news: &News<'_>, link: &Beside) {
    let News::Event(event) = news else { return };
    let What::Requested { chunk, .. } = event.what else { return };
    let [slow, fast] = SLOW;
    let words = match chunk {
        chunk if chunk == slow => SLOW_LINK,
        chunk if chunk == fast => FAST_LINK,
        _ => return,
    };
    // A link that has ended makes the download fail, which is told.
    _ = spec(words).and_then(|spec| link.change(&spec));
}

/// What the player asked for, by the origin's log.
fn judge(
    stage: &mut Stage<'_>,
    film: &Film,
    played: &Outcome,
    exchanges: &Receiver<Exchange>,
    by_hand: usize,
) -> Result<(), Stop> {
    stage.step(
        "The origin's log: what was asked for, in its order.",
        "The server knows nothing of buffers and qualities: it only answers.",
    )?;
    let asked: Vec<Exchange> = exchanges.try_iter().collect();
    stage.fact("requests by hand before", by_hand)?;
    for exchange in &asked {
        let sent = format!("{} {} bytes", exchange.status, exchange.sent_bytes);
        stage.fact(&format!("{} {}", exchange.method, exchange.path), sent)?;
    }
    let first = asked.first().map(|exchange| exchange.path.as_str());
    stage.claim(
        "The manifest was asked for before any chunk.",
        first == Some("/master.m3u8"),
        first.unwrap_or("nothing was asked for"),
    )?;
    let chunks: Vec<(usize, usize)> = asked.iter().filter_map(|one| numbers(&one.path)).collect();
    let qualities: Vec<usize> = chunks.iter().map(|(quality, _)| *quality).collect();
    stage.claim(
        "Every chunk was asked for once, in its order, each in a quality of the client's choice.",
        chunks.iter().map(|(_, chunk)| *chunk).eq(0..CHUNKS),
        format!("qualities {qualities:?}"),
    )?;
    let [slow, fast] = SLOW;
    let of = |from: usize, to: usize| qualities.get(from..to).unwrap_or_default();
    let top = film.qualities() - 1;
    // What it knows of a link comes from the chunks that came over it.
    let (high, low, again) = (of(1, slow), of(fast - 1, fast), of(fast + MEMORY, CHUNKS));
    stage.claim(
        "Over the fast link it asked for the highest quality.",
        high.contains(&top),
        format!("chunks 1 to {}: {high:?}", slow - 1),
    )?;
    stage.claim(
        "Over the slow link it learnt to ask for less.",
        !low.is_empty() && low.iter().all(|quality| *quality < top),
        format!("chunk {}: {low:?}", fast - 1),
    )?;
    stage.claim(
        "When the link was fast again, it asked for the highest quality again.",
        again.contains(&top),
        format!("chunks {} to {}: {again:?}", fast + MEMORY, CHUNKS - 1),
    )?;
    let all = played.film.chunks().len();
    stage.fact("played", format!("{}, stops: {}", count(all, "chunk"), played.metrics.stalls))
}

/// The quality and the number in a chunk's path: `/2/13.m4s`.
fn numbers(path: &str) -> Option<(usize, usize)> {
    let (quality, name) = path.strip_prefix('/')?.split_once('/')?;
    Some((quality.parse().ok()?, name.strip_suffix(".m4s")?.parse().ok()?))
}

fn unsound(error: &dyn std::fmt::Display) -> Stop {
    let what = format!("the lesson's own film cannot be served: {error}");
    Stop::Contradicted { what, next: String::new() }
}
