//! `--control`: proxies by HTTP, from the arguments to the report.

use std::fs::File;
use std::io::Read;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::time::Duration;

use stentor_core::endpoint::{Place, Target};
use stentor_core::link::Spec;
use stentor_core::seed::Seed;
use stentor_os::failure::Failure;
use stentor_os::limits;

use super::Args;
use super::plan::{Opened, Plan};
use crate::complaint::{Complaint, Exit};
use crate::drive::impair::control::body::{self, ProxyBody};
use crate::drive::impair::control::{self, Control, Options, Seen, Unpopulated};
use crate::drive::impair::{Counts, Handle, Rules};
use crate::drive::reach::{self, Family};
use crate::report::impair::Title;

/// Where clients of Toxiproxy expect it.
pub(super) const ADDRESS: &str = "localhost:8474";
/// The version of Toxiproxy whose API this is, and whose it is (semver.org, build metadata).
pub(super) const VERSION: &str = concat!("2.12.0+stentor.", env!("CARGO_PKG_VERSION"));
/// The longest configuration that is read, in bytes.
const FILE_MAX: u64 = 64 << 20;
/// How long the name of the control address may take to resolve.
const RESOLVE_MAX: Duration = Duration::from_secs(10);

/// The proxies of `--config`, whose seed is the run's unless `--seed` says another.
pub(super) fn config(args: &Args, plan: &mut Plan) -> Result<Vec<ProxyBody>, Complaint> {
    let Some(path) = &args.config else { return Ok(Vec::new()) };
    let named = |error| Failure::new("open", path.display().to_string(), error);
    let mut bytes = Vec::new();
    let file = File::open(path).map_err(named)?;
    let read = file.take(FILE_MAX + 1).read_to_end(&mut bytes).map_err(named)?;
    let refused = |what: String| {
        let next = "It is a list of proxies, [{\"name\": \"web\", \"listen\": \"localhost:8000\", \
                    \"upstream\": \"localhost:80\"}], or {\"seed\": 7, \"proxies\": [...]}.";
        Complaint::usage(format!("{}: {what}", path.display()), next)
    };
    if read as u64 > FILE_MAX {
        return Err(refused(format!("longer than {} MiB", FILE_MAX >> 20)));
    }
    let config = body::config(&bytes).map_err(|body::Unread(what)| refused(what))?;
    if let (Some(seed), None) = (config.seed, args.seed) {
        plan.seed = Seed(seed);
    }
    Ok(config.proxies)
}

/// Starts the control server, if one is asked for, with all its proxies open.
pub(super) fn start(
    args: &Args,
    plan: &Plan,
    handle: &Handle,
    opened: &[Opened],
    proxies: Vec<ProxyBody>,
) -> Result<Option<Control>, Complaint> {
    let Some(written) = &args.control else { return Ok(None) };
    // Each proxy and each end of a connection takes a descriptor. A command keeps its own limit: for
    // it the limit is raised when it has been started.
    if args.command.is_empty() {
        limits::raise_descriptors()
            .map_err(|error| Failure::new("setrlimit", "RLIMIT_NOFILE", error))?;
    }
    let options = Options {
        address: address(written)?,
        version: args.version_string.clone(),
        metrics: args.metrics,
    };
    let bound = control::bind(options, handle, plan.given(opened))?;
    let named = |what: &str| {
        let path = args.config.as_deref().unwrap_or_else(|| "".as_ref());
        format!("{}: {what}", path.display())
    };
    bound.populate(proxies).map_err(|unpopulated| match unpopulated {
        Unpopulated::Wrong(what) => Complaint::usage(named(&what), ""),
        Unpopulated::Refused(what) => Complaint::new(Exit::Environment, named(&what), ""),
    })?;
    Ok(Some(bound.start()?))
}

/// `localhost:8474`, `0.0.0.0:8474`, or a port alone, which is on this machine.
fn address(written: &str) -> Result<SocketAddr, Complaint> {
    if let Ok(port) = written.parse() {
        return Ok(SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), port));
    }
    let refused = |what: String| {
        let next = "Write --control, --control=8474 or --control=127.0.0.1:8474.";
        Complaint::usage(format!("--control {written}: {what}"), next)
    };
    let target: Target = written.parse().map_err(|error| refused(format!("{error}")))?;
    match (target.transport, target.place) {
        (None, Place::Inet(host, port)) => {
            let found = reach::resolve(&host, port, Family::Any, RESOLVE_MAX, None)?;
            // Clients look for localhost on IPv4, as Toxiproxy listens there.
            let v4 = found.iter().find(|address| address.is_ipv4()).or(found.first());
            v4.copied().ok_or_else(|| refused("the name has no address".to_owned()))
        }
        (Some(_), _) | (None, Place::Path(_)) => Err(refused("it is HTTP over TCP".to_owned())),
    }
}

/// Turns the knobs of a proxy of the command line, whatever toxics it has by now.
pub(super) fn turn(
    control: &Control,
    one: &Opened,
    rules: Rules,
    spec: &Spec,
) -> Result<(), Complaint> {
    let set = control.regive(&one.transport.to_string(), rules, spec.to_string());
    set.map_err(|what| Complaint::usage(format!("scenario: {what}"), "Remove the toxic."))
}

/// Ends the control server and its proxies; what each did.
pub(super) fn ended(control: Control) -> Vec<(Title, Counts)> {
    let told = |seen: Seen| {
        let Seen { name, transport, listen, upstream, counts } = seen;
        (Title { transport, listen, target: upstream, link: name }, counts)
    };
    control.end().into_iter().map(told).collect()
}
