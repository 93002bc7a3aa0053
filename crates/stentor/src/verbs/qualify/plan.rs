//! From arguments to a plan: every mistake is found before anything is sent.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::time::Duration;

use stentor_core::endpoint::{Host, PORT_DEFAULT, Place, Target, Transport};
use stentor_core::link::stream::StreamKnobs;
use stentor_core::link::{Knobs, Spec};
use stentor_core::units::{BitRate, Probability, Span};
use stentor_os::signal::Interrupts;

use super::Args;
use crate::complaint::Complaint;
use crate::drive::impair::Beside;
use crate::drive::qualify::Plan;
use crate::drive::reach::{self, Family};
use crate::report::qualify::Head;
use crate::verbs::link::Link;
use crate::verbs::seed;

/// The shortest and the longest measurement: below, nothing is sure; above, it is monitoring.
const DURATION_MIN: Duration = Duration::from_secs(1);
const DURATION_MAX: Duration = Duration::from_secs(600);
/// The longest wait.
const TIMEOUT_MAX: Duration = Duration::from_secs(60);
/// The least and the greatest cap.
const CAP_MIN: BitRate = BitRate(10_000);
const CAP_MAX: BitRate = BitRate(10_000_000_000);
/// The cap, unless given: what no one's line is flooded by, and what this machine bears.
const CAP_USUAL: BitRate = BitRate(100_000_000);
const CAP_LOOPBACK: BitRate = BitRate(1_000_000_000);

/// What the arguments mean, before a name is resolved.
#[derive(Debug)]
pub(super) struct Wish {
    /// What was asked for, as the reports tell it.
    pub(super) config: Head,
    family: Family,
    host: Host,
    port: u16,
    cap: Option<BitRate>,
    link: Option<Link>,
}

/// A plan, and the links that lie before the target while it is carried out.
#[derive(Debug)]
pub(super) struct Ready {
    pub(super) plan: Plan,
    links: Vec<(Beside, Link)>,
    notes: Vec<String>,
    peer: String,
}

/// What is known of the way only after it was gone.
#[derive(Debug)]
pub(super) struct Told {
    peer: String,
    cap_bps: f64,
    links: Vec<String>,
    notes: Vec<String>,
}

impl Wish {
    /// What the arguments mean.
    ///
    /// # Errors
    /// Whatever is wrong with them (exit 2).
    pub(super) fn read(args: &Args) -> Result<Wish, Complaint> {
        let (host, port, chosen) = target(args)?;
        let udp = chosen != Some(Transport::Tcp);
        let tcp = chosen != Some(Transport::Udp);
        let within = |flag: &str, span: Span, least: Duration, most: Duration| match (least..=most)
            .contains(&span.0)
        {
            true => Ok(span.0),
            false => Err(Complaint::usage(
                format!("{flag} {span}"),
                format!("From {} to {}.", Span(least), Span(most)),
            )),
        };
        let duration = within("-d", args.duration, DURATION_MIN, DURATION_MAX)?;
        let timeout = within("-w", args.timeout, Duration::from_millis(10), TIMEOUT_MAX)?;
        if let Some(cap) = args.cap.filter(|cap| *cap < CAP_MIN || *cap > CAP_MAX) {
            let next = format!("From {CAP_MIN} to {CAP_MAX}.");
            return Err(Complaint::usage(format!("--cap {cap}"), next));
        }
        let family = match (args.ipv4, args.ipv6) {
            (true, _) => Family::V4,
            (_, true) => Family::V6,
            (false, false) => Family::Any,
        };
        let link = args.link.link();
        let config = Head {
            target: Place::Inet(host.clone(), port).to_string(),
            udp,
            tcp,
            duration,
            timeout,
            seed: link.as_ref().map_or_else(|| seed::given_or_fresh(None), |link| link.seed),
            link: link.as_ref().map(|link| link.spec.to_string()),
            applications: args.applications.clone(),
            limits: args.limits.clone(),
            ..Head::default()
        };
        Ok(Wish { config, family, host, port, cap: args.cap, link })
    }

    /// Finds the address, and puts the link before it.
    ///
    /// # Errors
    /// A name that has no address (exit 3); a link that means nothing (2); a signal (130).
    pub(super) fn resolve(self, interrupts: &Interrupts) -> Result<Ready, Complaint> {
        let Head { timeout, duration, seed, udp, tcp, .. } = self.config;
        let found = reach::resolve(&self.host, self.port, self.family, timeout, Some(interrupts))?;
        let local = found.iter().all(|address| address.ip().is_loopback());
        let cap = self.cap.unwrap_or(if local { CAP_LOOPBACK } else { CAP_USUAL });
        let peers: Vec<String> = found.iter().map(SocketAddr::to_string).collect();
        let plan = Plan {
            udp: found.first().copied().filter(|_| udp),
            tcp: if tcp { found.clone() } else { Vec::new() },
            duration,
            timeout,
            cap_bps: cap.0 as f64,
            seed,
        };
        let peer = peers.join(", ");
        let mut ready = Ready { plan, links: Vec::new(), notes: Vec::new(), peer };
        if let Some(link) = &self.link {
            ready.lead(link, Transport::Udp, &found)?;
            ready.lead(link, Transport::Tcp, &found)?;
        }
        Ok(ready)
    }
}

impl Ready {
    /// Leads one transport through the link, as far as its words mean something there.
    fn lead(
        &mut self,
        link: &Link,
        transport: Transport,
        found: &[SocketAddr],
    ) -> Result<(), Complaint> {
        let wanted = match transport {
            Transport::Udp => self.plan.udp.is_some(),
            Transport::Tcp | Transport::Unix => !self.plan.tcp.is_empty(),
        };
        if !wanted {
            return Ok(());
        }
        let spec = meant(&link.spec, transport);
        if spec != link.spec {
            let shown = if spec.is_plain() { "nothing of it".to_owned() } else { spec.to_string() };
            self.notes.push(match transport {
                Transport::Udp => {
                    format!("the link does to datagrams: {shown}; the rest is for streams alone")
                }
                Transport::Tcp | Transport::Unix => format!(
                    "the link does to streams: {shown}; a proxy of TCP cannot lose or reorder \
                     segments, so what loss costs TCP is not in its figures (loss-as-delay=1% is a \
                     model of it)"
                ),
            });
        }
        let link = Link { spec, ..link.clone() };
        let opened = link.before(transport, found)?;
        match transport {
            Transport::Udp => self.plan.udp = Some(opened.address),
            Transport::Tcp | Transport::Unix => self.plan.tcp = vec![opened.address],
        }
        self.links.push((opened, link));
        Ok(())
    }

    /// What is known now that it is over.
    pub(super) fn told(&self) -> Told {
        Told {
            peer: self.peer.clone(),
            cap_bps: self.plan.cap_bps,
            links: self.links.iter().map(|(beside, link)| link.told(beside)).collect(),
            notes: self.notes.clone(),
        }
    }
}

impl Head {
    /// With what is known only after the way was gone.
    pub(super) fn behind(self, told: Told) -> Head {
        let Told { peer, cap_bps, links, notes } = told;
        Head { peer: Some(peer), cap_bps, links, notes, ..self }
    }
}

/// The words of a link that mean something to one transport.
fn meant(spec: &Spec, transport: Transport) -> Spec {
    let way = |knobs: &Knobs| match transport {
        Transport::Udp => Knobs { stream: StreamKnobs::default(), ..knobs.clone() },
        Transport::Tcp | Transport::Unix => Knobs {
            loss: Probability(0.0),
            burst: None,
            every: None,
            duplicate: Probability(0.0),
            reorder: Probability(0.0),
            queue: None,
            slots: None,
            ..knobs.clone()
        },
    };
    Spec { up: way(&spec.up), down: way(&spec.down) }
}

fn target(args: &Args) -> Result<(Host, u16, Option<Transport>), Complaint> {
    if args.target.is_some() && args.port.is_some() {
        let next = "-p is the port of the default host, 127.0.0.1: write HOST:PORT, or -p.";
        return Err(Complaint::usage("-p beside a target that has its port", next));
    }
    let flag = match (args.tcp, args.udp) {
        (true, _) => Some(Transport::Tcp),
        (_, true) => Some(Transport::Udp),
        (false, false) => None,
    };
    let Some(Target { transport, place }) = args.target.clone() else {
        let host: IpAddr =
            if args.ipv6 { Ipv6Addr::LOCALHOST.into() } else { Ipv4Addr::LOCALHOST.into() };
        return Ok((Host::Address(host), args.port.unwrap_or(PORT_DEFAULT), flag));
    };
    let Place::Inet(host, port) = place else {
        let what = "a unix socket is no path through a network";
        return Err(Complaint::usage(what, "Give HOST:PORT."));
    };
    if port == 0 {
        return Err(Complaint::usage("port 0: nothing can be reached there", ""));
    }
    match (flag, transport) {
        (Some(flag), Some(written)) if flag != written => Err(Complaint::usage(
            format!("the flags ask for {flag}, and the target for {written}"),
            "Leave one of them out.",
        )),
        (flag, written) => Ok((host, port, flag.or(written))),
    }
}
