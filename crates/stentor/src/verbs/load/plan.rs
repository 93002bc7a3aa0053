//! The arguments of `load`, and the plan they become: every mistake is found before anything is sent.

use std::fs::File;
use std::io::Read;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::path::{Path, PathBuf};
use std::str::FromStr;
use std::thread;
use std::time::Duration;

use stentor_core::casing::Case;
use stentor_core::endpoint::{Host, PORT_DEFAULT, Place, Target, Transport};
use stentor_core::load::framing::EndOfReply;
use stentor_core::load::payload::Source;
use stentor_core::load::verify::Pattern;
use stentor_core::load::{self, Condition, DEPTH_MAX, Framing, Limit, Pace, Payload, Verify};
use stentor_core::moment::Moment;
use stentor_core::units::{Amount, Span};
use stentor_os::failure::Failure;
use stentor_os::signal::Interrupts;

use super::Args;
use crate::complaint::Complaint;
use crate::drive::impair::Beside;
use crate::drive::load::outcome::Config;
use crate::drive::load::{Peer, Plan};
use crate::drive::race::{self, Options};
use crate::drive::reach::{self, Family};
use crate::verbs::link::Link;
use crate::verbs::seed;

/// The longest run, ramp, warm-up, wait and interval: a week.
const SPAN_MAX: Duration = Duration::from_secs(7 * 24 * 3600);
/// The fastest schedule: one request each nanosecond.
const RATE_MAX: u64 = 1_000_000_000;
/// The longest request and the longest file of requests.
const LENGTH_MAX: u64 = 16 << 20;
/// The longest datagram's payload: 65,535 less 20 of the IPv4 header and 8 of UDP's.
const DATAGRAM_MAX: u64 = 65_507;
/// The longest reply over a stream, unless requests are longer: the capitals of a text may have
/// three times its bytes.
const REPLY_MAX: usize = 4 << 20;
/// Requests under way on all connections together: their memory is taken before the run.
const UNDER_WAY_MAX: u64 = 4 << 20;
/// Lines of the course, each of which keeps its latencies.
const INTERVALS_MAX: u128 = 2000;
/// Lines of the course, if nobody says otherwise.
const INTERVALS_USUAL: u64 = 300;

/// When requests are sent: `1000`, `10k`, `10k/s`, or `max`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Rate {
    /// So many requests a second.
    PerSecond(u64),
    /// As many as the service answers.
    Max,
}

impl FromStr for Rate {
    type Err = String;

    fn from_str(written: &str) -> Result<Rate, String> {
        if written == "max" {
            return Ok(Rate::Max);
        }
        let number = written.strip_suffix("/s").unwrap_or(written);
        match number.parse::<Amount>() {
            Ok(Amount(0)) => Err("no requests a second never ends; the least is 1".to_owned()),
            Ok(Amount(rate)) if rate > RATE_MAX => {
                Err("a request each nanosecond, 1G, is the most that can be told apart".to_owned())
            }
            Ok(Amount(rate)) => Ok(Rate::PerSecond(rate)),
            Err(_) => Err("requests per second such as 250, 10k or 1M, or max".to_owned()),
        }
    }
}

/// What the arguments mean, before a name is resolved.
#[derive(Debug)]
pub(super) struct Wish {
    family: Family,
    transport: Transport,
    place: Place,
    plan: load::Plan,
    duration: Option<Duration>,
    conditions: Vec<Condition>,
    config: Config,
    link: Option<Link>,
}

impl Wish {
    /// What was asked for, as the reports tell it.
    pub(super) fn config(&self) -> &Config {
        &self.config
    }

    /// Finds the address, of several the first that can be connected to; and puts the link before
    /// it, which lasts as long as it is kept.
    ///
    /// # Errors
    /// A name that has no address (exit 3), or none that answers; a link that makes no sense (2); a
    /// signal (130).
    pub(super) fn resolve(
        mut self,
        interrupts: &Interrupts,
    ) -> Result<(Plan, Option<(Link, Beside)>), Complaint> {
        let timeout = self.plan.timeout;
        let peer = match (self.place, self.transport) {
            (Place::Path(path), _) => Peer::Unix(PathBuf::from(path)),
            (Place::Inet(host, port), transport) => {
                let found = reach::resolve(&host, port, self.family, timeout, Some(interrupts))?;
                match (transport, found.as_slice()) {
                    (Transport::Udp, [first, ..]) => Peer::Udp(*first),
                    (Transport::Tcp | Transport::Unix, [only]) => Peer::Tcp(*only),
                    (_, several) => {
                        let interrupts = Some(interrupts);
                        let options = Options { timeout, source_port: None, interrupts };
                        Peer::Tcp(race::connect(several, options)?.peer)
                    }
                }
            }
        };
        let (peer, link) = match self.link {
            None => (peer, None),
            Some(link) => {
                let (transport, target) = match &peer {
                    Peer::Tcp(address) => (Transport::Tcp, vec![*address]),
                    Peer::Udp(address) => (Transport::Udp, vec![*address]),
                    Peer::Unix(_) => (Transport::Unix, Vec::new()),
                };
                let beside = link.before(transport, &target)?;
                let near = match transport {
                    Transport::Udp => Peer::Udp(beside.address),
                    Transport::Tcp | Transport::Unix => Peer::Tcp(beside.address),
                };
                (near, Some((link, beside)))
            }
        };
        self.config.peer = Some(match &peer {
            Peer::Tcp(address) | Peer::Udp(address) => address.to_string(),
            Peer::Unix(path) => path.display().to_string(),
        });
        let plan = Plan {
            peer,
            load: self.plan,
            duration: self.duration,
            conditions: self.conditions,
            config: self.config,
        };
        Ok((plan, link))
    }
}

/// Whether a run that ends lasts longer than its warm-up.
fn outlasts(ends: Option<Duration>, warmup: Duration) -> Result<(), Complaint> {
    let Some(duration) = ends.filter(|duration| warmup >= *duration) else { return Ok(()) };
    let what = format!("--warmup {}: the run ends after {}", Span(warmup), Span(duration));
    Err(Complaint::usage(what, "Leave something to measure: a longer -d."))
}

/// Bytes of a request of this source; of a template those of its text.
fn length(source: &Source) -> usize {
    match source {
        Source::Fixed(bytes) => bytes.len(),
        Source::Template(text) => text.len(),
        Source::Letters(length) => *length,
    }
}

impl Args {
    /// What these arguments mean.
    ///
    /// # Errors
    /// Whatever is wrong with them (exit 2), or with the file of requests (exit 3).
    pub(super) fn wish(&self) -> Result<Wish, Complaint> {
        let (target, transport) = self.target()?;
        let (connections, threads) = self.workers()?;
        let (pace, pace_words) = self.pace()?;
        let (duration, limit) = self.limit()?;
        let timeout = span("-w", self.timeout)?;
        let warmup = self.warmup.map_or(Ok(Duration::ZERO), |warmup| span("--warmup", warmup))?;
        outlasts(duration.or_else(|| lasts(pace, limit)), warmup)?;
        let framing = self.framing(transport)?;
        if self.greeting && transport == Transport::Udp {
            let what = "--greeting over UDP, where nobody can speak before it was asked";
            return Err(Complaint::usage(what, "Leave it out."));
        }
        let depth = self.depth(transport, pace, connections)?;
        let verify = verify(&self.verify)?;
        let seed = seed::given_or_fresh(self.seed);
        let (source, source_words) = self.source(&framing)?;
        let payload = Payload::new(&source, &framing, &verify, depth, seed)
            .map_err(|error| Complaint::usage(error.to_string(), ""))?;
        let length = length(&source);
        let conditions = conditions(&self.fail_if)?;
        let config = Config {
            target: Target { transport: Some(transport), place: target.place.clone() },
            peer: None,
            connections,
            threads,
            pace,
            duration,
            count: limit.count,
            warmup,
            length,
            payload: source_words,
            framing: self.framing.clone().unwrap_or_else(|| usual_framing(transport).to_owned()),
            verify: self.verify.clone(),
            depth,
            reconnect: self.reconnect.map(|Amount(every)| every),
            greeting: self.greeting,
            timeout,
            interval: self.interval(duration, pace_words)?,
            seed,
            fail_if: self.fail_if.clone(),
            link: self.link.as_ref().map(|words| words.spec.to_string()),
        };
        let link = self.link.clone().map(|words| Link::of(words, seed));
        let plan = load::Plan {
            pace,
            limit,
            start: Moment::START,
            warmup,
            framing,
            payload,
            depth,
            timeout,
            reconnect_every: self.reconnect()?,
            greeting: self.greeting,
            reply_max: REPLY_MAX.max(length.saturating_mul(3)),
            seed,
        };
        let family = self.family();
        Ok(Wish {
            family,
            transport,
            place: target.place,
            plan,
            duration,
            conditions,
            config,
            link,
        })
    }

    fn family(&self) -> Family {
        match (self.ipv4, self.ipv6) {
            (true, _) => Family::V4,
            (_, true) => Family::V6,
            (false, false) => Family::Any,
        }
    }

    fn target(&self) -> Result<(Target, Transport), Complaint> {
        if self.target.is_some() && self.port.is_some() {
            let next = "-p is the port of the default host, 127.0.0.1: write HOST:PORT, or -p.";
            return Err(Complaint::usage("-p beside a target that has its port", next));
        }
        let target = self.target.clone().unwrap_or_else(|| {
            let host: IpAddr =
                if self.ipv6 { Ipv6Addr::LOCALHOST.into() } else { Ipv4Addr::LOCALHOST.into() };
            let port = self.port.unwrap_or(PORT_DEFAULT);
            Target { transport: None, place: Place::Inet(Host::Address(host), port) }
        });
        let transport = match (target.transport, self.udp) {
            (None, true) | (Some(Transport::Udp), _) => Transport::Udp,
            (None, false) => Transport::Tcp,
            (Some(other), false) => other,
            (Some(other), true) => {
                let what = format!("-u asks for UDP, and {target} for {other}");
                return Err(Complaint::usage(what, "Leave one of them out."));
            }
        };
        if matches!(target.place, Place::Inet(_, 0)) {
            return Err(Complaint::usage("port 0: nothing can be reached there", ""));
        }
        Ok((target, transport))
    }

    /// Connections and threads; whether there are descriptors for them is found later.
    fn workers(&self) -> Result<(usize, usize), Complaint> {
        let cores = thread::available_parallelism().map_or(1, usize::from);
        let connections = at_least_one("-c", self.connections)?;
        let threads =
            self.threads.map_or(Ok(cores), |threads| at_least_one("--threads", threads))?;
        Ok((connections, threads.min(connections).min(1024)))
    }

    /// When requests are due, and of how long a stretch that speaks.
    fn pace(&self) -> Result<(Pace, Option<u64>), Complaint> {
        let rate = match self.rate {
            Rate::PerSecond(rate) => rate,
            Rate::Max => {
                let given = [(self.ramp.is_some(), "--ramp"), (self.poisson, "--poisson")];
                return match given.iter().find(|(given, _)| *given) {
                    Some((_, flag)) => Err(Complaint::usage(
                        format!("{flag} with -r max, which has no rate"),
                        "Give the rate: -r 1000.",
                    )),
                    None => Ok((Pace::Max, None)),
                };
            }
        };
        let per_second = rate as f64;
        let pace = match (self.ramp, self.poisson) {
            (Some(_), true) => {
                let next = "Leave one of them out.";
                return Err(Complaint::usage("--ramp with --poisson", next));
            }
            (Some(ramp), false) => {
                Pace::Ramp { from: 0.0, to: per_second, over: span("--ramp", ramp)? }
            }
            (None, true) => Pace::Poisson(per_second),
            (None, false) => Pace::Constant(per_second),
        };
        Ok((pace, Some(rate)))
    }

    fn limit(&self) -> Result<(Option<Duration>, Limit), Complaint> {
        let count = match self.count {
            Some(Amount(0)) => {
                return Err(Complaint::usage(
                    "-n 0: no request has no result",
                    "The least is -n 1.",
                ));
            }
            count => count.map(|Amount(count)| count),
        };
        let duration = match (self.duration, count) {
            (Some(duration), _) => Some(span("-d", duration)?),
            (None, Some(_)) => None,
            (None, None) => Some(Duration::from_secs(10)),
        };
        Ok((duration, Limit { count, until: None }))
    }

    fn framing(&self, transport: Transport) -> Result<Framing, Complaint> {
        let written = self.framing.as_deref().unwrap_or_else(|| usual_framing(transport));
        let framing = match written.split_once(':') {
            None if written == "line" => Framing::Line,
            None if written == "length16" => Framing::Length16,
            None if written == "length32" => Framing::Length32,
            None if written == "datagram" => Framing::Datagram,
            Some(("regex", pattern)) => {
                let parsed = EndOfReply::parse(pattern);
                let refused = |error| Complaint::usage(format!("--framing: {error}"), "");
                Framing::EndOfReply(parsed.map_err(refused)?)
            }
            _ => {
                let what = format!("--framing {written}: no such framing");
                let next = "One of line, length16, length32, datagram, regex:EXPRESSION.";
                return Err(Complaint::usage(what, next));
            }
        };
        match (transport, framing == Framing::Datagram) {
            (Transport::Udp, false) => Err(Complaint::usage(
                format!(
                    "--framing {written} over UDP, where each datagram is a message of its own"
                ),
                "Leave --framing out.",
            )),
            (Transport::Tcp | Transport::Unix, true) => Err(Complaint::usage(
                format!("--framing datagram over {transport}, which has no datagrams"),
                "Choose line, length16, length32 or regex:EXPRESSION; or -u.",
            )),
            (Transport::Udp, true) | (Transport::Tcp | Transport::Unix, false) => Ok(framing),
        }
    }

    fn depth(
        &self,
        transport: Transport,
        pace: Pace,
        connections: usize,
    ) -> Result<usize, Complaint> {
        // A datagram that was lost keeps its place until its time is up; so that at a rate it does
        // not hold up those behind it, there are more places.
        let usual = if transport == Transport::Udp && !pace.is_closed() { 64 } else { 1 };
        let depth = self.depth.map_or(Ok(usual), |depth| at_least_one("--depth", depth))?;
        let all = u64::try_from(depth.saturating_mul(connections)).unwrap_or(u64::MAX);
        if depth > DEPTH_MAX || all > UNDER_WAY_MAX {
            let what = format!("--depth {depth} on {connections} connections");
            let next = format!(
                "At most {DEPTH_MAX} requests are under way on one connection, and \
                 {UNDER_WAY_MAX} on all of them."
            );
            return Err(Complaint::usage(what, next));
        }
        Ok(depth)
    }

    fn reconnect(&self) -> Result<Option<u64>, Complaint> {
        match self.reconnect {
            Some(Amount(0)) => {
                let what = "--reconnect 0: a connection for no request";
                Err(Complaint::usage(what, "--reconnect 1 opens one for each request."))
            }
            every => Ok(every.map(|Amount(every)| every)),
        }
    }

    /// What is sent, and its words in the reports.
    fn source(&self, framing: &Framing) -> Result<(Source, String), Complaint> {
        if let Some(path) = &self.payload {
            return Ok((Source::Fixed(file(path)?), format!("file {}", path.display())));
        }
        if let Some(template) = &self.template {
            return Ok((Source::Template(template.clone()), format!("template {template}")));
        }
        let (frame, most) = match framing {
            Framing::Line => (1, LENGTH_MAX),
            Framing::EndOfReply(_) => (0, LENGTH_MAX),
            Framing::Length16 => (2, 65_537),
            Framing::Length32 => (4, LENGTH_MAX),
            Framing::Datagram => (0, DATAGRAM_MAX),
        };
        let length = self.length.0;
        if length < frame + 1 || length > most {
            let what = format!("-l {length}: a request has {} to {most} bytes here", frame + 1);
            let next = match framing {
                Framing::Datagram => {
                    "A datagram holds at most 65,507: 65,535 of an IPv4 packet, less 20 of its \
                     header and 8 of the UDP header. TCP has no such limit: leave out -u."
                }
                Framing::Line | Framing::EndOfReply(_) | Framing::Length16 | Framing::Length32 => {
                    ""
                }
            };
            return Err(Complaint::usage(what, next));
        }
        let body = usize::try_from(length - frame).unwrap_or(usize::MAX);
        Ok((Source::Letters(body), "generated".to_owned()))
    }

    fn interval(
        &self,
        duration: Option<Duration>,
        rate: Option<u64>,
    ) -> Result<Duration, Complaint> {
        // A run that ends with its count lasts about so long; without a rate nobody knows.
        let by_count = || {
            let (Amount(count), rate) = (self.count?, rate?);
            Some(Duration::from_secs(count / rate.max(1)))
        };
        let about = duration.or_else(by_count).unwrap_or_default();
        let Some(given) = self.interval else {
            return Ok(Duration::from_secs(about.as_secs().div_ceil(INTERVALS_USUAL).max(1)));
        };
        let interval = span("--interval", given)?;
        let lines = about.as_nanos() / interval.as_nanos().max(1);
        if interval < Duration::from_millis(10) || lines > INTERVALS_MAX {
            let what = format!("--interval {given}: {lines} lines");
            let next = format!("At least 10 ms, and at most {INTERVALS_MAX} in a run.");
            return Err(Complaint::usage(what, next));
        }
        Ok(interval)
    }
}

/// How long a run of a count at a constant rate lasts.
fn lasts(pace: Pace, limit: Limit) -> Option<Duration> {
    match (pace, limit.count) {
        (Pace::Constant(rate), Some(count)) => {
            Duration::try_from_secs_f64(count as f64 / rate).ok()
        }
        (Pace::Constant(_) | Pace::Poisson(_) | Pace::Ramp { .. } | Pace::Max, _) => None,
    }
}

fn usual_framing(transport: Transport) -> &'static str {
    match transport {
        Transport::Udp => "datagram",
        Transport::Tcp | Transport::Unix => "line",
    }
}

fn verify(written: &str) -> Result<Verify, Complaint> {
    match written.split_once(':') {
        None if written == "upper" => Ok(Verify::Upper(Case::Unicode)),
        None if written == "echo" => Ok(Verify::Echo),
        None if written == "off" => Ok(Verify::Off),
        Some(("regex", pattern)) => Pattern::parse(pattern)
            .map(Verify::Pattern)
            .map_err(|error| Complaint::usage(format!("--verify: {error}"), "")),
        _ => Err(Complaint::usage(
            format!("--verify {written}: no such check"),
            "One of upper, echo, regex:EXPRESSION, off.",
        )),
    }
}

pub(super) fn conditions(written: &[String]) -> Result<Vec<Condition>, Complaint> {
    let parse = |written: &String| {
        let parsed = written.parse::<Condition>();
        parsed.map_err(|error| Complaint::usage(format!("--fail-if: {error}"), ""))
    };
    written.iter().map(parse).collect()
}

/// The contents of a file of requests, without the line feed at its end.
fn file(path: &Path) -> Result<Vec<u8>, Complaint> {
    let failed = |error| Failure::new("read", path.display(), error);
    // A device has no length beforehand, and may have no end.
    let mut contents = Vec::new();
    let file = File::open(path).map_err(failed)?;
    file.take(LENGTH_MAX + 1).read_to_end(&mut contents).map_err(failed)?;
    if contents.len() as u64 > LENGTH_MAX {
        let what = format!("--payload {}: too long for a request", path.display());
        return Err(Complaint::usage(what, format!("At most {LENGTH_MAX} bytes.")));
    }
    if contents.ends_with(b"\n") {
        contents.pop();
    }
    Ok(contents)
}

fn at_least_one(flag: &str, Amount(number): Amount) -> Result<usize, Complaint> {
    match usize::try_from(number) {
        Ok(0) => Err(Complaint::usage(format!("{flag} 0"), "The least is 1.")),
        Ok(number) if number <= 10_000_000 => Ok(number),
        Ok(_) | Err(_) => Err(Complaint::usage(format!("{flag} {number}"), "At most 10M.")),
    }
}

fn span(flag: &str, Span(span): Span) -> Result<Duration, Complaint> {
    if span.is_zero() || span > SPAN_MAX {
        let what = format!("{flag} {}", Span(span));
        return Err(Complaint::usage(what, "More than nothing, and at most a week (168h)."));
    }
    Ok(span)
}
