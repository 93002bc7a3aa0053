//! What the words of the command line come to, carried out: where the film is, who chooses, what is in
//! between, and how many play.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use stentor_core::endpoint::{Host, Transport};
use stentor_core::moment::Moment;
use stentor_core::seed::Seed;
use stentor_core::video::abr::{self, Rule, RuleError};
use stentor_core::video::buffer::Policy;
use stentor_core::video::film::Film;
use stentor_core::video::network::Network;
use stentor_core::video::player::{Chooser, Retries};
use stentor_os::failure::Failure;
use stentor_os::signal::Interrupts;
use url::Url;

use super::Args;
use super::choosers::{self, Program};
use super::conditions::Conditions;
use super::output::Outputs;
use super::stream;
use crate::complaint::{Complaint, Exit};
use crate::drive::impair::Beside;
use crate::drive::reach::{self, Family};
use crate::drive::tls::Trust;
use crate::drive::video::outcome::{Config, Fetch, Outcome};
use crate::drive::video::play::counsel::Counsel;
use crate::drive::video::play::script::{Found, Script};
use crate::drive::video::play::web::Way;
use crate::drive::video::play::{Plan, Session, crowd};
use crate::report::video::play::Known;
use crate::verbs::link::Link;
use crate::verbs::seed;
use crate::verbs::video::film;

/// The origin's port, unless another is given.
pub(super) const PORT: u16 = 12080;
/// With how much film playing begins, unless it is said.
const START: Duration = Duration::from_secs(4);
/// The pause before a download that failed is repeated.
const PAUSE: Duration = Duration::from_millis(500);
/// The most players of one run: a socket each.
const CLIENTS_MAX: u64 = 20_000;

/// What was asked for, before anything is reached.
#[derive(Debug)]
pub(super) struct Wish {
    pub(super) config: Config,
    pub(super) url: Url,
    /// Whether the URL is the whole of what was written, not an origin.
    pub(super) exact: bool,
    pub(super) way: Way,
    pub(super) film: Option<Film>,
    link: Option<Link>,
    clients: Option<usize>,
    conditions: Conditions,
    retries: Retries,
}

/// Runs it.
pub(super) fn run(args: &Args) -> Result<Exit, Complaint> {
    let mut outputs = Outputs::open(args)?;
    let wish = match Wish::read(args) {
        Ok(wish) => wish,
        Err(complaint) => return outputs.failed(None, complaint),
    };
    match wish.carry_out(args, &mut outputs) {
        Ok(Done::One(played)) => {
            let (config, outcome) = *played;
            let failed = wish.conditions.met(std::slice::from_ref(&outcome));
            outputs.finish(&config, &outcome, &failed)
        }
        Ok(Done::Many(outcomes, took)) => {
            let failed = wish.conditions.met(&outcomes);
            outputs.finish_all(&wish.config, &outcomes, took, &failed)
        }
        Err(complaint) => outputs.failed(Some(&wish.config), complaint),
    }
}

/// What came of it.
pub(super) enum Done {
    /// With what was played in the end: of an origin, the file of a quality.
    One(Box<(Config, Outcome)>),
    /// And how long all of them took.
    Many(Vec<Outcome>, Duration),
}

/// Why nothing chooses, by the flag that asked for it.
fn unruly(args: &Args, error: &RuleError) -> Complaint {
    let flag = if args.quality.is_some() { "--quality" } else { "--rule" };
    Complaint::usage(format!("{flag}: {error}"), "")
}

impl Wish {
    fn read(args: &Args) -> Result<Wish, Complaint> {
        let (url, exact) = target(args)?;
        let policy = policy(args)?;
        let seed = args.seed.map_or(film::SEED, Seed);
        let film = args.film.as_deref().map(|written| film::read(written, seed)).transpose()?;
        let link = args.link.clone().map(|words| Link::of(words, seed::given_or_fresh(args.seed)));
        if args.fetch == Some(Fetch::Progressive) {
            stream::refuse_choosers(args)?;
        }
        if let Some(rule) = &args.rule {
            abr::check_name(rule).map_err(|error| unruly(args, &error))?;
        }
        let clients = match args.clients.map(|clients| clients.0) {
            Some(count @ 1..=CLIENTS_MAX) => usize::try_from(count).ok(),
            Some(count) => {
                let what = format!("--clients {count}: 1 to {CLIENTS_MAX} are possible");
                return Err(Complaint::usage(what, ""));
            }
            None => None,
        };
        let config = Config {
            source: url.to_string(),
            fetch: args.fetch.unwrap_or_default(),
            chooser: choosers::name(args),
            policy,
            film: args.film.clone(),
            link: link.as_ref().map(|link| link.spec.to_string()),
            seed: link.as_ref().map(|link| link.seed.0).or(args.seed),
            silence_max: args.timeout.0,
        };
        let way = Way {
            silence_max: args.timeout.0,
            family: match (args.ipv4, args.ipv6) {
                (true, _) => Family::V4,
                (_, true) => Family::V6,
                (false, false) => Family::Any,
            },
            trust: if args.insecure { Trust::Anyone } else { Trust::System },
            peers: BTreeMap::new(),
        };
        let conditions = Conditions::read(&args.fail_if)?;
        let retries = Retries { times: args.retries, pause: PAUSE };
        Ok(Wish { config, url, exact, way, film, link, clients, conditions, retries })
    }

    fn carry_out(&self, args: &Args, outputs: &mut Outputs) -> Result<Done, Complaint> {
        let fail = |error| Failure::new("sigaction", "SIGINT and SIGTERM", error);
        let interrupts = Interrupts::install().map_err(fail)?;
        let mut way = self.way.clone();
        let beside = self.put_link(&mut way, &interrupts)?;
        let played = self.play(args, outputs, way, &interrupts);
        let Some((link, beside)) = self.link.as_ref().zip(beside) else { return played };
        let told = link.told(&beside);
        match played.map_err(|complaint| link.explain(&beside, complaint))? {
            Done::One(mut played) => {
                let (_, outcome) = &mut *played;
                if let Some(known) = known_of(&beside, outcome) {
                    outputs.knows(known);
                }
                outcome.account.warnings.push(told);
                Ok(Done::One(played))
            }
            Done::Many(mut outcomes, took) => {
                if let Some(outcome) = outcomes.first_mut() {
                    outcome.account.warnings.push(told);
                }
                Ok(Done::Many(outcomes, took))
            }
        }
    }

    /// Puts the link before the origin: all that goes to its host and port goes through it.
    fn put_link(
        &self,
        way: &mut Way,
        interrupts: &Interrupts,
    ) -> Result<Option<Beside>, Complaint> {
        let Some(link) = &self.link else { return Ok(None) };
        let (name, port) = place(&self.url)?;
        let family = self.way.family;
        let timeout = self.way.silence_max;
        let addresses = reach::resolve(&name, port, family, timeout, Some(interrupts))?;
        let beside = link.before(Transport::Tcp, &addresses)?;
        let host = self.url.host_str().unwrap_or_default().to_owned();
        way.peers.insert((host, port), beside.address);
        Ok(Some(beside))
    }

    fn play(
        &self,
        args: &Args,
        outputs: &mut Outputs,
        way: Way,
        interrupts: &Interrupts,
    ) -> Result<Done, Complaint> {
        if self.config.fetch == Fetch::Progressive {
            return self.stream(args, outputs, &way, interrupts);
        }
        let session = Session::new(way, interrupts)?;
        let script = match session.find(&self.url)? {
            Found::Script(_) if args.receive_buffer.is_some() => {
                let what =
                    "--receive-buffer: chunks are fetched, and a full buffer does not ask for them";
                return Err(Complaint::usage(
                    what,
                    "--fetch progressive leaves film in the kernel.",
                ));
            }
            Found::Script(script) => *script,
            Found::File { url } if args.fetch.is_none() && self.clients.is_none() => {
                stream::refuse_choosers(args)?;
                return self.stream_of(&url, args, outputs, &session.way(), interrupts);
            }
            Found::File { url } => {
                let what = format!("{url} is one MP4 file, which has no chunks");
                return Err(Complaint::usage(what, "--fetch progressive plays it."));
            }
        };
        let script = match &self.film {
            Some(film) => script
                .with_sizes_of(film.clone())
                .map_err(|what| Complaint::usage(what, "--film describes what the origin has."))?,
            None => script,
        };
        match self.clients {
            Some(clients) => self.crowd(args, outputs, &session, script, clients, interrupts),
            None => {
                let plan = self.plan(args, &script.film)?;
                let mut tell = |news: crate::drive::video::play::News<'_>| {
                    outputs.tell(news, args.manual);
                };
                let outcome = session.play(Arc::new(script), plan, &mut tell)?;
                Ok(Done::One(Box::new((self.config.clone(), outcome))))
            }
        }
    }

    fn plan(&self, args: &Args, film: &Film) -> Result<Plan, Complaint> {
        let (chooser, counsel) = match &args.abr {
            Some(command) => {
                let mut program = Program::start(command, self.way.silence_max)?;
                let counsel = Counsel::new(Box::new(move |asked| program.ask(asked)), true)?;
                (Chooser::Outside, Some(counsel))
            }
            None if args.manual => {
                (Chooser::Outside, Some(Counsel::new(choosers::person(), false)?))
            }
            None => (Chooser::Rule(self.rule(args, film)?), None),
        };
        Ok(Plan { policy: self.config.policy, chooser, counsel, retries: self.retries })
    }

    fn rule(&self, args: &Args, film: &Film) -> Result<Rule, Complaint> {
        Rule::named(&self.config.chooser, film).map_err(|error| unruly(args, &error))
    }

    fn crowd(
        &self,
        args: &Args,
        outputs: &mut Outputs,
        session: &Session<'_>,
        script: Script,
        clients: usize,
        interrupts: &Interrupts,
    ) -> Result<Done, Complaint> {
        let chunk = script.film.duration(0);
        let plan = crowd::Plan {
            rule: self.rule(args, &script.film)?,
            script: Arc::new(script),
            way: session.way(),
            clients,
            stagger: args.stagger.map_or(chunk, |stagger| stagger.0),
            policy: self.config.policy,
            retries: self.retries,
            threads: None,
        };
        let ran = crowd::run(&plan, interrupts, &mut |standing| outputs.stands(standing))?;
        Ok(Done::Many(ran.players, ran.took))
    }
}

/// The host and the port of a URL.
pub(super) fn place(url: &Url) -> Result<(Host, u16), Complaint> {
    let host = match url.host() {
        Some(url::Host::Ipv4(address)) => Some(Host::Address(address.into())),
        Some(url::Host::Ipv6(address)) => Some(Host::Address(address.into())),
        Some(url::Host::Domain(name)) => Some(Host::Name(name.to_owned())),
        None => None,
    };
    let place = host.zip(url.port_or_known_default());
    place.ok_or_else(|| Complaint::usage(format!("{url} has no host"), ""))
}

/// How much is buffered, and when playing begins.
pub(super) fn policy(args: &Args) -> Result<Policy, Complaint> {
    let buffer = args.buffer.0;
    let start = args.start.map_or(START.min(buffer), |start| start.0);
    let resume = args.resume.map_or(start, |resume| resume.0);
    Policy::new(buffer, start, resume).map_err(|error| {
        Complaint::usage(error.to_string(), "-B, -Q and --resume say these times.")
    })
}

/// What a recorded link before the origin let through while a session ran over it.
fn known_of(beside: &Beside, outcome: &Outcome) -> Option<Known> {
    let network = Network::recorded(beside.down.clone()?, Duration::ZERO).ok()?;
    let ahead = outcome.account.began.since(Moment::START);
    Some(Known::recorded(&network.beginning_at(ahead), outcome.end))
}

/// The URL that is meant, and whether it was written as such.
fn target(args: &Args) -> Result<(Url, bool), Complaint> {
    let port = args.port.unwrap_or(PORT);
    let written = match args.target.as_deref() {
        None => return parsed(&format!("http://127.0.0.1:{port}/master.m3u8"), false),
        Some(written) => written,
    };
    if written.contains('/') {
        let scheme = if written.contains("://") { "" } else { "http://" };
        let (mut url, _) = parsed(&format!("{scheme}{written}"), true)?;
        // What an origin says of itself first: the address of its page.
        let page = url.path() == "/" && url.query().is_none();
        if page {
            url.set_path("/master.m3u8");
        }
        return Ok((url, !page));
    }
    let (url, _) = parsed(&format!("http://{written}/master.m3u8"), false)?;
    match url.port() {
        Some(_) => Ok((url, false)),
        None => parsed(&format!("http://{written}:{PORT}/master.m3u8"), false),
    }
}

fn parsed(written: &str, exact: bool) -> Result<(Url, bool), Complaint> {
    let refused = |why: String| {
        let next = "A target is http://HOST[:PORT]/PATH, https://..., or HOST:PORT of an origin.";
        Complaint::usage(format!("{written}: {why}"), next)
    };
    let mut url = Url::parse(written).map_err(|error| refused(error.to_string()))?;
    if !matches!(url.scheme(), "http" | "https") {
        return Err(refused(format!("{} is neither http nor https", url.scheme())));
    }
    url.set_fragment(None);
    Ok((url, exact))
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::Parser;

    #[derive(Debug, Parser)]
    struct Line {
        #[command(flatten)]
        args: Args,
    }

    fn args(words: &str) -> Args {
        Line::parse_from(std::iter::once("play").chain(words.split_whitespace())).args
    }

    #[test]
    fn targets_are_read_as_people_write_them() {
        let check = |words: &str, expected: &str, exact: bool| {
            let read = target(&args(words)).map(|(url, exact)| (url.to_string(), exact));
            assert_eq!(read.unwrap(), (expected.to_owned(), exact), "{words}");
        };
        check("", "http://127.0.0.1:12080/master.m3u8", false);
        check("-p 8080", "http://127.0.0.1:8080/master.m3u8", false);
        check("localhost:99", "http://localhost:99/master.m3u8", false);
        check("origin.example", "http://origin.example:12080/master.m3u8", false);
        check("[::1]:99", "http://[::1]:99/master.m3u8", false);
        check("http://127.0.0.1:99/", "http://127.0.0.1:99/master.m3u8", false);
        check("http://a.example", "http://a.example/master.m3u8", false);
        check("localhost:99/", "http://localhost:99/master.m3u8", false);
        check("http://a.example/?film=1", "http://a.example/?film=1", true);
        check("a.example/x.mpd?y=1#z", "http://a.example/x.mpd?y=1", true);
        check("https://a.example/x.m3u8", "https://a.example/x.m3u8", true);
        for wrong in ["ftp://a.example/", "http://", "a:b:c"] {
            assert_eq!(target(&args(wrong)).unwrap_err().exit, Exit::Usage, "{wrong}");
        }
    }

    #[test]
    fn policies_fall_back_on_what_is_given() {
        let check = |words: &str, expected: (u64, u64, u64)| {
            let policy = policy(&args(words)).unwrap();
            let read = (policy.capacity(), policy.start(), policy.resume());
            let (capacity, start, resume) = expected;
            assert_eq!(
                read,
                (
                    Duration::from_secs(capacity),
                    Duration::from_secs(start),
                    Duration::from_secs(resume)
                ),
                "{words}"
            );
        };
        check("", (25, 4, 4));
        check("-B 2s", (2, 2, 2));
        check("-Q 6s", (25, 6, 6));
        check("-Q 6s --resume 1s", (25, 6, 1));
        assert!(policy(&args("-B 3s -Q 4s")).is_err());
        assert!(policy(&args("-B 0s")).is_err());
    }
}
