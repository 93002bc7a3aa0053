//! The arguments of `impair`, and the proxies they become.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::time::Duration;

use stentor_core::endpoint::{Host, Place, Target, Transport};
use stentor_core::link::{Scenario, Spec};
use stentor_core::seed::Seed;
use stentor_os::failure::errno_name;

use super::{Args, scenario};
use crate::complaint::{Complaint, Exit};
use crate::drive::impair::{self, Handle, Id, Proxy, Refusal, Rules};
use crate::drive::reach::{self, Family};
use crate::report::impair::Title;
use crate::report::json::impair::Config;
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
    upstream: Vec<SocketAddr>,
    /// Which transports, each with what is done to it at first.
    rules: Vec<(Transport, Rules)>,
    spec: Spec,
    pub(super) scenario: Option<Scenario>,
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
pub(super) fn rules(transport: Transport, spec: &Spec) -> Result<Rules, Complaint> {
    let traces = impair::traces(spec)?;
    let rules = match transport {
        Transport::Udp => Rules::units(spec, traces),
        Transport::Tcp | Transport::Unix => Rules::stream(spec, traces),
    };
    rules.map_err(|error| Complaint::usage(error.to_string(), ""))
}

impl Plan {
    pub(super) fn read(args: &Args) -> Result<Plan, Complaint> {
        let (listen, target) = match (args.words.as_slice(), args.command.is_empty()) {
            ([listen, target], _) => (listen.as_str(), target),
            ([target], false) => ("127.0.0.1:0", target),
            _ => {
                let next = "Write stentor impair 8000 127.0.0.1:12000 --link delay=20ms.";
                let what = "impair takes two addresses: where clients come in, and where it leads";
                return Err(Complaint::usage(what, next));
            }
        };
        let listen = place(listen, "LISTEN")?;
        let to = place(target, "TARGET")?;
        let transports = transports(args, [listen.0, to.0])?;
        let upstream = resolve(&to.1, to.2)?;
        let listen = resolve(&listen.1, listen.2)?.into_iter().next();
        let listen = listen.unwrap_or(SocketAddr::from((Ipv4Addr::LOCALHOST, 0)));

        let spec = spec(args)?;
        let scenario = args.scenario.as_deref().map(|path| scenario::read(path, &spec));
        let scenario = scenario.transpose()?;
        let settings = || {
            let turns = scenario.iter().flat_map(Scenario::settings);
            std::iter::once(&spec).chain(turns)
        };
        let (mut possible, mut notices, mut refused) = (Vec::new(), Vec::new(), None);
        for transport in &transports {
            let first = rules(*transport, &spec);
            let all = settings().try_for_each(|spec| rules(*transport, spec).map(drop));
            match all.and(first) {
                Ok(rules) => possible.push((*transport, rules)),
                Err(complaint) => {
                    let name = transport.to_string().to_uppercase();
                    notices.push(format!("without {name}: {}", complaint.what));
                    refused = Some(complaint);
                }
            }
        }
        match refused {
            Some(complaint) if possible.is_empty() || complaint.exit != Exit::Usage => {
                return Err(complaint);
            }
            _ => {}
        }
        let seed = seed::given_or_fresh(args.seed);
        let target = target.clone();
        Ok(Plan { listen, target, upstream, rules: possible, spec, scenario, seed, notices })
    }

    /// Opens the proxies, all on one port.
    pub(super) fn open(&self, handle: &Handle) -> Result<Vec<Opened>, Complaint> {
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

    pub(super) fn config(&self, opened: &[Opened]) -> Config {
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
        }
    }
}

/// `--link`, changed by `--up` and `--down`.
fn spec(args: &Args) -> Result<Spec, Complaint> {
    let mut spec = args.link.clone().unwrap_or_default();
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
