//! The arguments of `impair`, and the proxies they become.

use std::collections::BTreeSet;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::time::Duration;

use stentor_core::endpoint::{Host, Place, Target, Transport};
use stentor_core::link::{Scenario, Spec};
use stentor_core::seed::Seed;
use stentor_os::failure::errno_name;

use super::{Args, scenario};
use crate::complaint::{Complaint, Exit};
use crate::drive::impair::control::{Control, Given};
use crate::drive::impair::{Handle, Id, Proxy, Recorded, Refusal, Rules};
use crate::drive::reach::{self, Family};
use crate::report::impair::Title;
use crate::report::json::impair::Config;
use crate::verbs::link::names_preset;
use crate::verbs::seed;

/// How long a name may take to resolve.
const RESOLVE_MAX: Duration = Duration::from_secs(10);
/// Ports tried until one is free for both transports.
const PORT_TRIES: usize = 32;

/// What `impair` is to do.
#[derive(Debug)]
pub(super) struct Plan {
    listen: SocketAddr,
    target: String,
    host: (Host, u16),
    upstream: Vec<SocketAddr>,
    rules: Carried,
    spec: Spec,
    /// Whether it is a preset's, of which streams carry what they can.
    pub(super) preset: bool,
    pub(super) scenario: Option<Scenario>,
    /// The recorded links that the words of this run name.
    pub(super) recorded: Recorded,
    pub(super) seed: Seed,
    /// What a person should know before it begins.
    pub(super) notices: Vec<String>,
}

/// A proxy that is open.
#[derive(Debug)]
pub(super) struct Opened {
    pub(super) id: Id,
    pub(super) transport: Transport,
    pub(super) address: SocketAddr,
    pub(super) title: Title,
}

/// What a link's words mean for a transport, with its recorded links read.
/// Of a preset a stream carries what it can; the words of the rest are named.
pub(super) fn rules(
    transport: Transport,
    spec: &Spec,
    preset: bool,
    recorded: &mut Recorded,
) -> Result<(Rules, Vec<&'static str>), Complaint> {
    let traces = recorded.traces(spec)?;
    let rules = match transport {
        Transport::Udp => Rules::units(spec, traces).map(|rules| (rules, Vec::new())),
        Transport::Tcp | Transport::Unix if preset => Rules::stream_of(spec, traces),
        Transport::Tcp | Transport::Unix => {
            Rules::stream(spec, traces).map(|rules| (rules, Vec::new()))
        }
    };
    rules.map_err(|error| Complaint::usage(error.to_string(), ""))
}

impl Plan {
    pub(super) fn read(args: &Args) -> Result<Plan, Complaint> {
        let Some((listen, target)) = addresses(args)? else {
            return Plan::without_proxies(args);
        };
        let Ends { listen, host, upstream, transports } = ends(args, listen, target)?;
        let spec = spec(args)?;
        let mut preset = args.link.as_ref().is_some_and(|words| words.preset)
            || [&args.up, &args.down].into_iter().flatten().any(|words| names_preset(words));
        let mut scenario = None;
        if let Some(path) = &args.scenario {
            let (read, named) = scenario::read(path, &spec)?;
            scenario = Some(read);
            preset |= named;
        }
        let mut recorded = Recorded::default();
        let turns = scenario.iter().flat_map(Scenario::settings);
        let settings: Vec<&Spec> = std::iter::once(&spec).chain(turns).collect();
        let (possible, notices) = possible(&transports, &settings, preset, &mut recorded)?;
        let seed = seed::given_or_fresh(args.seed);
        let target = target.clone();
        Ok(Plan {
            listen,
            target,
            host,
            upstream,
            rules: possible,
            spec,
            preset,
            scenario,
            recorded,
            seed,
            notices,
        })
    }

    /// Only what the control server opens.
    fn without_proxies(args: &Args) -> Result<Plan, Complaint> {
        let links = [args.link.is_some(), args.up.is_some(), args.down.is_some()];
        if links.contains(&true) || args.scenario.is_some() || args.tcp || args.udp {
            let what = "--link, --up, --down, --scenario, -t and -u are for LISTEN and TARGET";
            return Err(Complaint::usage(what, "Proxies of the control server have toxics."));
        }
        Ok(Plan {
            listen: SocketAddr::from((Ipv4Addr::LOCALHOST, 0)),
            target: String::new(),
            host: (Host::Address(Ipv4Addr::LOCALHOST.into()), 0),
            upstream: Vec::new(),
            rules: Vec::new(),
            spec: Spec::default(),
            preset: false,
            recorded: Recorded::default(),
            scenario: None,
            seed: seed::given_or_fresh(args.seed),
            notices: Vec::new(),
        })
    }

    /// What the control server has to know of a proxy of ours.
    pub(super) fn given(&self, opened: &[Opened]) -> Vec<Given> {
        let given = |(one, (_, rules)): (&Opened, &(Transport, Rules))| Given {
            name: one.transport.to_string(),
            id: one.id,
            transport: one.transport,
            listen: one.address,
            target: one.title.target.clone(),
            upstream: self.host.clone(),
            rules: rules.clone(),
            link: self.spec.to_string(),
        };
        // They were opened in the order of their rules.
        opened.iter().zip(&self.rules).map(given).collect()
    }

    /// Opens the proxies, all on one port.
    pub(super) fn open(&self, handle: &Handle) -> Result<Vec<Opened>, Complaint> {
        if self.rules.is_empty() {
            return Ok(Vec::new());
        }
        for _ in 0..PORT_TRIES {
            let mut opened: Vec<Opened> = Vec::new();
            let mut taken = None;
            for (transport, rules) in &self.rules {
                let port = opened.first().map_or(self.listen.port(), |first| first.address.port());
                let proxy = Proxy {
                    name: transport.to_string(),
                    listen: SocketAddr::new(self.listen.ip(), port),
                    upstream: self.upstream.clone(),
                    rules: rules.clone(),
                    lookup: None,
                };
                match handle.open(proxy) {
                    Ok((id, address)) => opened.push(Opened {
                        id,
                        transport: *transport,
                        address,
                        title: Title {
                            transport: *transport,
                            listen: address,
                            target: self.target.clone(),
                            link: self.spec.to_string(),
                        },
                    }),
                    Err(refusal) => {
                        taken = Some(refusal);
                        break;
                    }
                }
            }
            let again = match &taken {
                None => return Ok(opened),
                // The free port of one transport is another program's on the other.
                Some(Refusal::System(failure)) => {
                    self.listen.port() == 0
                        && !opened.is_empty()
                        && errno_name(&failure.error).as_deref() == Some("EADDRINUSE")
                }
                Some(Refusal::Knob(_) | Refusal::Over) => false,
            };
            for one in opened {
                handle.close(one.id)?;
            }
            if let (false, Some(refusal)) = (again, taken) {
                return Err(refusal.into());
            }
        }
        let what = format!("{PORT_TRIES} ports were free for one transport, none for both");
        Err(Complaint::new(Exit::Environment, what, "Choose a port, or -t or -u alone."))
    }

    pub(super) fn config(&self, opened: &[Opened], control: Option<&Control>) -> Config {
        Config {
            listen: opened
                .iter()
                .map(|one| format!("{}://{}", one.transport, one.address))
                .collect(),
            target: self.target.clone(),
            upstream: self.upstream.iter().map(ToString::to_string).collect(),
            link: self.spec.to_string(),
            scenario: self.scenario.is_some(),
            seed: self.seed.0,
            control: control.map(|control| control.address.to_string()),
            programs: Vec::new(),
        }
    }
}

/// Where clients come in, and where it leads; `None`: the control server opens all proxies.
fn addresses(args: &Args) -> Result<Option<(&str, &String)>, Complaint> {
    let next = match (args.words.as_slice(), &args.control) {
        ([listen, target], _) => return Ok(Some((listen, target))),
        ([target], None) if !args.command.is_empty() => return Ok(Some(("127.0.0.1:0", target))),
        ([], Some(_)) => return Ok(None),
        (_, None) => "Write stentor impair 8000 127.0.0.1:12000 --link delay=20ms.",
        (_, Some(_)) => {
            "--control takes the word behind it as its ADDRESS: write it last, or \
             --control=ADDRESS."
        }
    };
    let what = "impair takes two addresses: where clients come in, and where it leads";
    Err(Complaint::usage(what, next))
}

/// The two ends of the way, found.
struct Ends {
    listen: SocketAddr,
    host: (Host, u16),
    upstream: Vec<SocketAddr>,
    transports: Vec<Transport>,
}

fn ends(args: &Args, listen: &str, target: &str) -> Result<Ends, Complaint> {
    let (near, host, port) = place(listen, "LISTEN")?;
    let listen = resolve(&host, port)?.into_iter().next();
    let listen = listen.unwrap_or(SocketAddr::from((Ipv4Addr::LOCALHOST, 0)));
    let (far, host, port) = place(target, "TARGET")?;
    let transports = transports(args, [near, far])?;
    let upstream = resolve(&host, port)?;
    if let Some(own) = upstream.iter().find(|upstream| leads_back(listen, **upstream)) {
        let what = format!("TARGET {own} is where clients come in: it would lead to itself");
        return Err(Complaint::usage(what, "Give LISTEN another port, or 0 for a free one."));
    }
    Ok(Ends { listen, host: (host, port), upstream, transports })
}

/// Transports, each with what is done to it at first.
type Carried = Vec<(Transport, Rules)>;

/// Which of the transports can do all that the settings will ever ask for, each with the rules of the
/// first; and what to say of the others, and of what a preset asks of streams in vain.
fn possible(
    transports: &[Transport],
    settings: &[&Spec],
    preset: bool,
    recorded: &mut Recorded,
) -> Result<(Carried, Vec<String>), Complaint> {
    let (mut possible, mut notices, mut refused) = (Vec::new(), Vec::new(), None);
    for transport in transports {
        let (mut first, mut left_out) = (None, BTreeSet::new());
        let meant: Result<(), Complaint> = settings.iter().try_for_each(|spec| {
            let (rules, words) = rules(*transport, spec, preset, recorded)?;
            left_out.extend(words);
            first.get_or_insert(rules);
            Ok(())
        });
        match meant {
            Ok(()) => {
                possible.extend(first.map(|rules| (*transport, rules)));
                if !left_out.is_empty() {
                    let words: Vec<&str> = left_out.into_iter().collect();
                    notices.push(format!("TCP cannot carry this link's {}", words.join(", ")));
                }
            }
            Err(complaint) => {
                let name = transport.to_string().to_uppercase();
                notices.push(format!("without {name}: {}", complaint.what));
                refused = Some(complaint);
            }
        }
    }
    match refused {
        Some(complaint) if complaint.exit != Exit::Usage => Err(complaint),
        Some(complaint) if transports.len() == 1 => Err(complaint),
        Some(_) if possible.is_empty() => {
            let next = "Leave one of them out, or start an impair for each transport.";
            Err(Complaint::usage(notices.join("; "), next))
        }
        Some(_) | None => Ok((possible, notices)),
    }
}

/// Whether what leaves for `upstream` comes in at `listen` again.
fn leads_back(listen: SocketAddr, upstream: SocketAddr) -> bool {
    let (ours, theirs) = (listen.ip(), upstream.ip());
    let loopback = |ip: IpAddr| ip.is_loopback() || ip.is_unspecified();
    let same = ours == theirs || ours.is_unspecified() && loopback(theirs);
    listen.port() == upstream.port() && ours.is_ipv4() == theirs.is_ipv4() && same
}

/// `--link`, changed by `--up` and `--down`.
pub(super) fn spec(args: &Args) -> Result<Spec, Complaint> {
    let mut spec = args.link.clone().unwrap_or_default().spec;
    for (name, words) in [("up", &args.up), ("down", &args.down)] {
        let Some(words) = words else { continue };
        let directed: Vec<String> = words.split(',').map(|word| format!("{name}:{word}")).collect();
        let refused = |error| Complaint::usage(format!("--{name} {words}: {error}"), "");
        spec = spec.with(&directed.join(",")).map_err(refused)?;
    }
    Ok(spec)
}

/// A place on the command line: the transport if it names one, the host and the port.
fn place(written: &str, what: &str) -> Result<(Option<Transport>, Host, u16), Complaint> {
    let loopback = Host::Address(IpAddr::V4(Ipv4Addr::LOCALHOST));
    if let Ok(port) = written.parse() {
        return Ok((None, loopback, port));
    }
    let target: Target = written.parse().map_err(|error| {
        let next = "Write 127.0.0.1:8000, tcp://127.0.0.1:8000, udp://[::1]:8000, or a port alone.";
        Complaint::usage(format!("{what} {written}: {error}"), next)
    })?;
    match target.place {
        Place::Inet(host, port) => Ok((target.transport, host, port)),
        Place::Path(path) => {
            let what = format!("{what} unix:{path}: impair is for TCP and UDP");
            Err(Complaint::usage(what, "Let the server listen on an address, too."))
        }
    }
}

fn transports(args: &Args, named: [Option<Transport>; 2]) -> Result<Vec<Transport>, Complaint> {
    let chosen = match (args.tcp, args.udp) {
        (true, _) => Some(Transport::Tcp),
        (_, true) => Some(Transport::Udp),
        _ => None,
    };
    let mut words = named.into_iter().flatten().chain(chosen);
    let Some(first) = words.next() else { return Ok(vec![Transport::Tcp, Transport::Udp]) };
    if words.all(|word| word == first) {
        return Ok(vec![first]);
    }
    let what = "the transports of LISTEN, TARGET, -t and -u contradict each other";
    Err(Complaint::usage(what, "impair leads TCP to TCP and UDP to UDP."))
}

fn resolve(host: &Host, port: u16) -> Result<Vec<SocketAddr>, Complaint> {
    reach::resolve(host, port, Family::Any, RESOLVE_MAX, None)
}
