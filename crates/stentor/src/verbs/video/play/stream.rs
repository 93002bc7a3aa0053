//! Progressive play: which file it is, how long that plays, and what its origin says of its own buffer.
//!
//! The playing itself is in `drive::video::play::progressive`.

use stentor_core::video::film::Film;
use stentor_os::signal::Interrupts;
use url::Url;

use super::Args;
use super::output::Outputs;
use super::plan::{Done, Wish, place};
use super::queues;
use crate::complaint::{Complaint, Exit};
use crate::drive::reach;
use crate::drive::video::outcome::{Config, Fetch};
use crate::drive::video::play::script::Looked;
use crate::drive::video::play::web::Way;
use crate::drive::video::play::{Session, progressive};
use crate::report::json::video::film as json_film;

/// Between two looks at the buffers.
const SAMPLE_EVERY: std::time::Duration = std::time::Duration::from_millis(20);

/// Refuses what chooses among qualities, and what plays many times: one file is one quality.
///
/// # Errors
/// One of them was asked for (exit 2).
pub(super) fn refuse_choosers(args: &Args) -> Result<(), Complaint> {
    let asked = [
        ("--rule", args.rule.is_some(), CHOOSES),
        ("--abr", args.abr.is_some(), CHOOSES),
        ("--manual", args.manual, CHOOSES),
        ("--clients", args.clients.is_some(), "--fetch chunked plays as many as are wanted."),
    ];
    match asked.into_iter().find(|(_, asked, _)| *asked) {
        None => Ok(()),
        Some((flag, _, next)) => {
            let what = format!("{flag}: progressive play fetches one file, of one quality");
            Err(Complaint::usage(what, next))
        }
    }
}

const CHOOSES: &str = "--quality N says which quality of an origin.";

impl Wish {
    /// Plays the file that is meant: of an origin, or of a manifest of one, the file of a quality.
    pub(super) fn stream(
        &self,
        args: &Args,
        outputs: &mut Outputs,
        way: &Way,
        interrupts: &Interrupts,
    ) -> Result<Done, Complaint> {
        refuse_tls(&self.url)?;
        let mut url = self.url.clone();
        let mut quality = args.quality.unwrap_or(0);
        if self.exact {
            // What lies behind the link is looked at without it: nothing of that counts.
            match Session::new(self.way.clone(), interrupts)?.look(&url)? {
                Looked::File(url) => return self.stream_of(&url, args, outputs, way, interrupts),
                Looked::Manifest(kind) => {
                    self.film_of_origin(&url, interrupts).map_err(|_| no_file(&url, kind))?;
                    quality = args.quality.or_else(|| quality_of(&url)).unwrap_or(0);
                }
            }
        }
        url.set_path(&format!("/{quality}/film.mp4"));
        url.set_query(None);
        self.stream_of(&url, args, outputs, way, interrupts)
    }

    /// Plays the file at `url`.
    pub(super) fn stream_of(
        &self,
        url: &Url,
        args: &Args,
        outputs: &mut Outputs,
        way: &Way,
        interrupts: &Interrupts,
    ) -> Result<Done, Complaint> {
        refuse_tls(url)?;
        let film = match self.film.clone() {
            Some(film) => film,
            None => self.film_of_origin(url, interrupts)?,
        };
        let named =
            quality_of(url).filter(|quality| args.film.is_none() || *quality < film.qualities());
        let quality = args.quality.or(named).unwrap_or(0);
        if let Some(other) = named.filter(|named| *named != quality && args.film.is_none()) {
            let what =
                format!("{url} is quality {other}, and --quality {quality} asks for another");
            return Err(Complaint::usage(
                what,
                "Leave one of them out: HOST:PORT names an origin.",
            ));
        }
        if quality >= film.qualities() {
            let what = format!("--quality {quality}: the film has {} qualities", film.qualities());
            return Err(Complaint::usage(what, "They are counted from 0."));
        }
        let plan = self.file(url, film, quality, args, way, interrupts)?;
        outputs.streams();
        let mut company = progressive::Company {
            interrupts: Some(interrupts),
            news: &mut |news| outputs.tell(news, false),
            server: &mut || None,
        };
        let mut outcome = progressive::play(&plan, &mut company)?;
        if quality_of(url).is_some() && !outcome.interrupted {
            let mut url = url.clone();
            url.set_path("/queues");
            // Another server has none, and what the player saw is whole without it.
            let told = Session::new(self.way.clone(), interrupts)?.text(&url, queues::BYTES_MAX);
            told.iter().for_each(|told| queues::put(told, &plan.path, &mut outcome.samples));
        }
        let config = Config {
            source: url.to_string(),
            fetch: Fetch::Progressive,
            chooser: format!("fixed:{quality}"),
            ..self.config.clone()
        };
        Ok(Done::One(Box::new((config, outcome))))
    }

    /// How the file at `url` is played.
    fn file(
        &self,
        url: &Url,
        film: Film,
        quality: usize,
        args: &Args,
        way: &Way,
        interrupts: &Interrupts,
    ) -> Result<progressive::Plan, Complaint> {
        let (name, port) = place(url)?;
        let host = url.host_str().unwrap_or_default().to_owned();
        let addresses = match way.peers.get(&(host.clone(), port)) {
            Some(peer) => vec![*peer],
            None => reach::resolve(&name, port, way.family, way.silence_max, Some(interrupts))?,
        };
        Ok(progressive::Plan {
            addresses,
            authority: url.port().map_or(host.clone(), |port| format!("{host}:{port}")),
            path: url[url::Position::BeforePath..url::Position::AfterQuery].to_owned(),
            film,
            quality,
            policy: self.config.policy,
            receive_buffer_bytes: args
                .receive_buffer
                .map(|bytes| usize::try_from(bytes.0).unwrap_or(usize::MAX)),
            silence_max: way.silence_max,
            sample_every: SAMPLE_EVERY,
        })
    }

    /// What the origin of `url` says that it plays; it is asked before anything counts, and without a
    /// link.
    fn film_of_origin(&self, url: &Url, interrupts: &Interrupts) -> Result<Film, Complaint> {
        let unknown = |why: String| {
            let what = format!("how long {url} plays is not known: {why}");
            let next = "--film FILE|PRESET says it: how long each chunk plays, and its size.";
            Complaint::usage(what, next)
        };
        let mut told = url.clone();
        told.set_path("/film.json");
        told.set_query(None);
        let session = Session::new(self.way.clone(), interrupts)?;
        let text = session.text(&told, json_film::BYTES_MAX).map_err(|complaint| {
            if complaint.exit == Exit::Bad { unknown(complaint.what) } else { complaint }
        })?;
        let odd = |error: &dyn std::error::Error| unknown(format!("{told}: {error}"));
        let numbers = json_film::Numbers::read(&text).map_err(|error| odd(&error))?;
        numbers.film().map_err(|error| odd(&error))
    }
}

/// Which quality an origin has at this address: `/2/film.mp4`, `/2/playlist.m3u8`.
fn quality_of(url: &Url) -> Option<usize> {
    let (quality, name) = url.path().strip_prefix('/')?.split_once('/')?;
    matches!(name, "film.mp4" | "playlist.m3u8").then(|| quality.parse().ok())?
}

fn refuse_tls(url: &Url) -> Result<(), Complaint> {
    match url.scheme() {
        "http" => Ok(()),
        _ => {
            let what = format!("{url}: progressive play looks into TCP's buffers");
            Err(Complaint::usage(what, "Over TLS they hold records: ask for http."))
        }
    }
}

/// Why a manifest is not played as one file.
fn no_file(url: &Url, kind: &str) -> Complaint {
    let what = format!("{url} is {kind}, and progressive play fetches one file");
    let next = "Its server has no /film.json, as an origin has (stentor video serve): name an MP4 file, \
                or leave --fetch progressive out.";
    Complaint::usage(what, next)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_origins_addresses_say_their_quality() {
        let check = |path: &str, expected: Option<usize>| {
            let url = Url::parse(&format!("http://origin.example{path}")).unwrap();
            assert_eq!(quality_of(&url), expected, "{path}");
        };
        check("/2/film.mp4", Some(2));
        check("/0/playlist.m3u8?x=1", Some(0));
        check("/master.m3u8", None);
        check("/2/3.m4s", None);
        check("/-1/film.mp4", None);
        check("/a/2/film.mp4", None);
        check("/film.mp4", None);
    }
}
