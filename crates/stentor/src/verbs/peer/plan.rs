//! The arguments of `peer`, and the plan they become.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::time::Duration;

use stentor_core::connect;
use stentor_core::endpoint::{Place, Target, Transport};
use stentor_core::peer::{Id, Name, Settings};
use stentor_core::seed::{Dice, Seed};
use stentor_core::units::Span;
use stentor_os::signal::Interrupts;

use crate::complaint::Complaint;
use crate::drive::peer::{Plan, Scope};
use crate::drive::reach::{self, Family};
use crate::report::json;
use crate::verbs::seed;

/// How long an address is tried, unless told otherwise.
const PATIENCE: Duration = Duration::from_secs(10);

/// The arguments of `peer`.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// The other's address, HOST:PORT, as it shows it; without one: whom mDNS finds
    #[arg(value_name = "ADDRESS")]
    address: Option<Target>,
    /// What this peer is called, at most 32 bytes [default: peer- and 4 digits of its id]
    #[arg(short, long, value_name = "NAME", value_parser = name)]
    name: Option<Name>,
    /// Port to listen on; 0 takes a free one
    #[arg(short, long, default_value_t = 0)]
    port: u16,
    /// Address to listen on [default: 127.0.0.1]
    #[arg(short, long, value_name = "ADDRESS")]
    listen: Option<IpAddr>,
    /// Listen on every interface, and be found there, by other machines
    #[arg(long, conflicts_with = "listen")]
    pub(super) public: bool,
    /// Talk only to the peer of this name
    #[arg(long, value_name = "NAME", value_parser = name)]
    find: Option<Name>,
    /// Neither announce this peer by mDNS nor look for others
    #[arg(long)]
    no_mdns: bool,
    /// Wait for the next peer when one has left
    #[arg(short, long)]
    keep: bool,
    /// How long ADDRESS is tried [default: 10s]
    #[arg(short = 'w', long, value_name = "TIME")]
    timeout: Option<Span>,
    /// From which this peer's id follows [default: a new one]
    #[arg(long, value_name = "N")]
    seed: Option<u64>,
    /// Only lines and errors
    #[arg(short, long)]
    pub(super) quiet: bool,
    /// One JSON object (schema stentor.peer/1) instead of the other's lines
    #[arg(short = 'J', long)]
    pub(super) json: bool,
}

fn name(written: &str) -> Result<Name, String> {
    Name::parse(written)
        .ok_or_else(|| "a name has 1 to 32 bytes, no spaces and no control characters".to_owned())
}

impl Args {
    /// The seed of this run.
    pub(super) fn seed(&self) -> Seed {
        seed::given_or_fresh(self.seed)
    }

    /// The plan these arguments mean; names are resolved.
    pub(super) fn plan(&self, seed: Seed, interrupts: &Interrupts) -> Result<Plan, Complaint> {
        let patience = self.timeout.map_or(PATIENCE, |span| span.0);
        if patience.is_zero() {
            let what = "-w 0s would give up before it began";
            return Err(Complaint::usage(what, "Give a time, such as -w 10s."));
        }
        let id = Id(Dice::new(seed, "peer id").bits());
        let digits = id.to_string();
        let called = format!("peer-{}", digits.get(..4).unwrap_or_default());
        let given = self.name.clone().or_else(|| Name::parse(&called));
        let Some(name) = given else {
            return Err(Complaint::usage("this peer has no name", "Give one with --name."));
        };
        let target = self.target(patience, interrupts)?;
        // Whoever dials an address knows whom it wants; nobody else needs to be found.
        let found = target.is_empty() && !self.no_mdns;
        let wanted = self.find.clone();
        Ok(Plan {
            settings: Settings { id, name, keep: self.keep, patience, wanted },
            listen: self.listen(),
            scope: found.then(|| self.scope()),
            target,
        })
    }

    fn target(
        &self,
        patience: Duration,
        interrupts: &Interrupts,
    ) -> Result<Vec<SocketAddr>, Complaint> {
        let Some(target) = &self.address else { return Ok(Vec::new()) };
        let refused = |what: &str| {
            Complaint::usage(format!("{target}: {what}"), "Write HOST:PORT, as the other shows it.")
        };
        match (&target.place, target.transport) {
            (Place::Inet(_, 0), _) => Err(refused("nobody listens on port 0")),
            (Place::Inet(host, port), None | Some(Transport::Tcp)) => {
                let found = reach::resolve(host, *port, Family::Any, patience, Some(interrupts))?;
                Ok(connect::order(&found))
            }
            (Place::Inet(..) | Place::Path(_), _) => Err(refused("peers talk over TCP")),
        }
    }

    fn listen(&self) -> Vec<SocketAddr> {
        let addresses: Vec<IpAddr> = match (self.public, self.listen) {
            (true, _) => vec![Ipv4Addr::UNSPECIFIED.into(), Ipv6Addr::UNSPECIFIED.into()],
            (false, Some(address)) => vec![address],
            (false, None) => vec![Ipv4Addr::LOCALHOST.into()],
        };
        addresses.into_iter().map(|address| SocketAddr::new(address, self.port)).collect()
    }

    fn scope(&self) -> Scope {
        match self.listen {
            _ if self.public => Scope::Everywhere,
            Some(address) if address.is_unspecified() => Scope::Everywhere,
            Some(address) if !address.is_loopback() => Scope::Interface(address),
            Some(_) | None => Scope::Loopback,
        }
    }

    /// The plan as JSON shows it; the addresses come when they are had.
    pub(super) fn config(&self, plan: &Plan, seed: Seed) -> json::peer::Config {
        json::peer::Config {
            target: self.address.as_ref().map(ToString::to_string),
            listen: Vec::new(),
            name: plan.settings.name.to_string(),
            id: plan.settings.id.to_string(),
            seed: seed.0,
            mdns: plan.scope.map(|scope| match scope {
                Scope::Loopback => "loopback",
                Scope::Interface(_) => "interface",
                Scope::Everywhere => "everywhere",
            }),
            find: plan.settings.wanted.as_ref().map(ToString::to_string),
            keep: plan.settings.keep,
            timeout_ns: u64::try_from(plan.settings.patience.as_nanos()).unwrap_or(u64::MAX),
        }
    }
}
