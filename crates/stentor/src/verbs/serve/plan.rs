//! The arguments of `serve`, and the plan they become.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::num::NonZeroUsize;
use std::path::PathBuf;

use clap::ValueEnum;
use stentor_core::endpoint::{Host, PORT_DEFAULT, Place, Target, Transport};
use stentor_core::service::fault::{Fault, Faults};
use stentor_core::service::guard::Settings;
use stentor_core::service::{Case, Contract, Service};
use stentor_core::units::Span;

use crate::complaint::{Complaint, Exit};
use crate::drive::serve::{Address, Mode, Plan, Wanted};
use crate::report::log;
use crate::verbs::seed;

/// The arguments of `serve`.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Port, for TCP and UDP; 0 takes a free one
    #[arg(short, long, default_value_t = PORT_DEFAULT)]
    port: u16,
    /// Where to listen: an address, ADDRESS:PORT, tcp://A:P, udp://A:P or unix:PATH (repeatable)
    /// [default: 127.0.0.1 and ::1]
    #[arg(short, long, value_name = "ADDRESS")]
    bind: Vec<String>,
    /// Listen on every interface, for other machines to use
    #[arg(long, conflicts_with = "bind")]
    pub(super) public: bool,
    /// Only TCP
    #[arg(short, long, conflicts_with = "udp")]
    tcp: bool,
    /// Only UDP
    #[arg(short, long)]
    udp: bool,
    /// What to answer: upper (the stream), sentence (one read, one answer, close), half (of one
    /// read), echo, discard
    #[arg(long, default_value_t = Service::Upper, value_name = "SERVICE")]
    service: Service,
    /// Which letters have capitals
    #[arg(long, value_enum, default_value_t = Letters::Unicode)]
    case: Letters,
    /// How connections are carried
    #[arg(long, value_enum, default_value_t = Mode::Reactor)]
    mode: Mode,
    /// Threads of the reactor [default: one for each core]
    #[arg(long, value_name = "N")]
    threads: Option<NonZeroUsize>,
    /// Finished connections that may wait for accept, all threads together (listen(2)); the kernel
    /// caps it at net.core.somaxconn [default: 1024]
    #[arg(long, value_name = "N")]
    backlog: Option<u32>,
    /// Do something wrong on purpose, to test clients: split, drip, stall=1s/4s, silent, rst, dup,
    /// late=300ms, truncate; each with a probability, as in rst:10% (repeatable)
    #[arg(long, value_name = "FAULT", value_delimiter = ',')]
    fault: Vec<Fault>,
    /// From which the faults' chance follows [default: a new one, printed]
    #[arg(long, value_name = "N")]
    seed: Option<u64>,
    /// Connections open at once; the others wait in the backlog [default: descriptors - 64]
    #[arg(long, value_name = "N")]
    max_conns: Option<NonZeroUsize>,
    /// Close a connection without traffic after this time [default: 300s]
    #[arg(long, value_name = "TIME")]
    idle: Option<Span>,
    /// Wait this long for the client's FIN after ours [default: 60s]
    #[arg(long, value_name = "TIME")]
    after_fin: Option<Span>,
    /// Close a connection whose client takes none of its answer for this time [default: 30s]
    #[arg(long, value_name = "TIME")]
    write_stall: Option<Span>,
    /// After SIGINT or SIGTERM answer what has arrived, for at most this time [default: 25s]
    #[arg(long, value_name = "TIME")]
    drain: Option<Span>,
    /// Mute sources that repeat themselves as a loop of two services would (UDP)
    #[arg(long, value_enum, default_value_t = Switch::On, value_name = "SWITCH")]
    udp_mute: Switch,
    /// End after the first connection, or the first answered datagram
    #[arg(short = '1', long)]
    once: bool,
    /// The form of the log on standard error
    #[arg(long, value_enum, default_value_t = log::Form::Human)]
    pub(super) log: log::Form,
    /// Log what happens; twice: each connection
    #[arg(short, long, action = clap::ArgAction::Count)]
    pub(super) verbose: u8,
    /// No ready line and no summary
    #[arg(short, long)]
    pub(super) quiet: bool,
    /// The summary as one JSON object (schema stentor.serve/1) on standard output
    #[arg(short = 'J', long)]
    pub(super) json: bool,
}

/// [`Case`] as the command line spells it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Letters {
    /// Every letter that Unicode gives a capital
    Unicode,
    /// a to z
    Ascii,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Switch {
    On,
    Off,
}

impl Args {
    /// The plan these arguments mean.
    pub(super) fn plan(&self) -> Result<Plan, Complaint> {
        let mut plan = Plan::loopback(self.port)?;
        if self.public {
            plan.addresses = self.everywhere(true);
        }
        if !self.bind.is_empty() {
            plan.addresses.clear();
            for written in &self.bind {
                for wanted in self.wanted(written)? {
                    let named = |known: &Wanted| known.address == wanted.address;
                    if !plan.addresses.iter().any(named) {
                        plan.addresses.push(wanted);
                    }
                }
            }
        }
        plan.addresses.retain(|wanted| match wanted.address {
            Address::Tcp(_) => !self.udp,
            Address::Udp(_) => !self.tcp,
            Address::Unix(_) => true,
        });
        if plan.addresses.is_empty() {
            let next = "Drop -t or -u, or the tcp:// or udp:// that contradicts it.";
            return Err(Complaint::usage("these arguments leave no address to listen on", next));
        }
        let case = match self.case {
            Letters::Unicode => Case::Unicode,
            Letters::Ascii => Case::Ascii,
        };
        plan.contract = Contract { service: self.service, case };
        plan.faults = Faults::new(self.fault.iter().copied())
            .map_err(|error| Complaint::usage(error.to_string(), ""))?;
        plan.seed = seed::given_or_fresh(self.seed);
        plan.mode = self.mode;
        plan.once = self.once;
        if let Some(threads) = self.threads {
            plan.threads = threads.get();
        }
        // Not a constant: whoever knows the seed can choose which sources share a place.
        plan.guard = (self.udp_mute == Switch::On).then_some(Settings { seed: plan.seed });
        self.set_limits(&mut plan)?;
        Ok(plan)
    }

    fn set_limits(&self, plan: &mut Plan) -> Result<(), Complaint> {
        let limits = &mut plan.limits;
        let set = |limit: &mut std::time::Duration, given: Option<Span>| {
            *limit = given.map_or(*limit, |span| span.0);
        };
        set(&mut limits.idle, self.idle);
        set(&mut limits.after_fin, self.after_fin);
        set(&mut limits.write_stall, self.write_stall);
        set(&mut limits.drain, self.drain);
        limits.backlog = self.backlog.unwrap_or(limits.backlog);
        if let Some(most) = self.max_conns {
            if most.get() > limits.connections {
                let possible = limits.connections;
                return Err(Complaint::new(
                    Exit::Impossible,
                    format!("--max-conns {most}: this process may have {possible} connections"),
                    format!("Raise the limit of descriptors first: ulimit -n {}.", most.get() + 64),
                ));
            }
            limits.connections = most.get();
        }
        for (name, limit) in [("--write-stall", limits.write_stall), ("--idle", limits.idle)] {
            if limit.is_zero() {
                let what = format!("{name} 0s would close every connection");
                return Err(Complaint::usage(what, "To wait for ever in practice, give 10000h."));
            }
        }
        Ok(())
    }

    /// Both transports on every interface; IPv6 where there is any.
    fn everywhere(&self, optional: bool) -> Vec<Wanted> {
        let v4 = self.both(IpAddr::V4(Ipv4Addr::UNSPECIFIED), self.port, false);
        v4.into_iter().chain(self.both(Ipv6Addr::UNSPECIFIED.into(), self.port, optional)).collect()
    }

    fn both(&self, address: IpAddr, port: u16, optional: bool) -> Vec<Wanted> {
        let address = SocketAddr::new(address, port);
        let addresses = [Address::Tcp(address), Address::Udp(address)];
        addresses.map(|address| Wanted { address, optional }).into()
    }

    /// What one `-b` asks for.
    fn wanted(&self, written: &str) -> Result<Vec<Wanted>, Complaint> {
        if let Ok(address) = written.trim_matches(['[', ']']).parse::<IpAddr>() {
            return Ok(self.both(address, self.port, false));
        }
        let refused = |error: String| {
            let next = "Write -b 127.0.0.1, -b '[::1]:8080', -b udp://0.0.0.0:53 or -b unix:PATH.";
            Complaint::usage(format!("-b {written}: {error}"), next)
        };
        let target: Target = match written.parse() {
            Ok(target) => target,
            Err(error) if written.contains([':', '/']) => return Err(refused(error.to_string())),
            Err(_) => Target {
                transport: None,
                place: Place::Inet(
                    written.parse::<Host>().map_err(|error| refused(error.to_string()))?,
                    self.port,
                ),
            },
        };
        let (host, port) = match target.place {
            Place::Path(path) => {
                let address = Address::Unix(PathBuf::from(path));
                return Ok(vec![Wanted { address, optional: false }]);
            }
            Place::Inet(host, port) => (host, port),
        };
        let addresses = match host {
            Host::Address(address) => vec![address],
            Host::Name(name) => addresses(&name, port)?,
        };
        // Of a name with several addresses (localhost) some may be of a family that is not here.
        let optional = addresses.len() > 1;
        let wanted = addresses.into_iter().flat_map(|address| self.both(address, port, optional));
        Ok(wanted
            .filter(|wanted| match (&wanted.address, target.transport) {
                (Address::Tcp(_), Some(Transport::Udp)) => false,
                (Address::Udp(_), Some(Transport::Tcp)) => false,
                (Address::Tcp(_) | Address::Udp(_) | Address::Unix(_), _) => true,
            })
            .collect())
    }
}

fn addresses(name: &str, port: u16) -> Result<Vec<IpAddr>, Complaint> {
    match stentor_os::resolve::addresses(name, port) {
        Ok(found) => Ok(found.into_iter().map(|address| address.ip()).collect()),
        Err(error) => Err(Complaint::new(
            Exit::Environment,
            format!("resolve {name}: {error}"),
            "Give an address of this machine instead: ip address lists them.",
        )),
    }
}
