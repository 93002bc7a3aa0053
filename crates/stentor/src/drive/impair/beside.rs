//! A worse way to one target, inside this process: what `--link` puts before a verb's own sockets.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use stentor_core::endpoint::Transport;
use stentor_core::link::{Spec, Trace};
use stentor_core::seed::Seed;

use super::recorded::traces;
use super::{Counts, Handle, Id, Proxy, Refusal, Rules, Running, start};
use crate::complaint::{Complaint, Exit};

/// A proxy of our own before a target. It ends when this is dropped.
#[derive(Debug)]
pub struct Beside {
    running: Running,
    id: Id,
    /// Where to connect instead of the target.
    pub address: SocketAddr,
    /// Words of the link that a stream cannot carry.
    pub left_out: Vec<&'static str>,
    /// The recorded link from the target, where the words name one; it runs from the moment at which
    /// this one was made.
    pub down: Option<Trace>,
}

/// Puts a link before the addresses of a target, which are tried in this order; of a preset a stream
/// carries what it can.
///
/// # Errors
/// Words that mean nothing for this transport (exit 2), a recorded link that cannot be read, and
/// what the system refuses.
pub fn beside(
    (spec, preset): (&Spec, bool),
    seed: Seed,
    transport: Transport,
    target: &[SocketAddr],
) -> Result<Beside, Complaint> {
    let mut left_out = Vec::new();
    let recorded = traces(spec)?;
    let [_, down] = recorded.clone();
    let rules = match transport {
        Transport::Tcp if preset => Rules::stream_of(spec, recorded).map(|(rules, without)| {
            left_out = without;
            rules
        }),
        Transport::Tcp => Rules::stream(spec, recorded),
        Transport::Udp => Rules::units(spec, recorded),
        Transport::Unix => {
            let what = "--link leads over TCP or UDP, and the target is a unix socket";
            return Err(Complaint::usage(what, "Let the server listen on an address, too."));
        }
    };
    let rules = rules.map_err(|error| Complaint::usage(format!("--link: {error}"), ""))?;
    let loopback: IpAddr = match target.first() {
        Some(SocketAddr::V6(_)) => Ipv6Addr::LOCALHOST.into(),
        Some(SocketAddr::V4(_)) | None => Ipv4Addr::LOCALHOST.into(),
    };
    let running = start(seed, None)?;
    let proxy = Proxy {
        name: "link".to_owned(),
        listen: SocketAddr::new(loopback, 0),
        upstream: target.to_vec(),
        rules,
        lookup: None,
    };
    let (id, address) = running.handle().open(proxy)?;
    Ok(Beside { running, id, address, left_out, down })
}

impl Beside {
    /// What the link has done so far; `None` when the thread has ended.
    pub fn counts(&self) -> Option<Counts> {
        self.handle().counts(self.id).ok().flatten()
    }

    /// Makes the link of a stream another one, also for what is under way.
    ///
    /// # Errors
    /// Words that mean nothing for a stream (exit 2); the link has ended.
    pub fn change(&self, spec: &Spec) -> Result<(), Complaint> {
        let rules = Rules::stream(spec, traces(spec)?);
        let rules = rules.map_err(|error| Complaint::usage(format!("--link: {error}"), ""))?;
        Ok(self.handle().set(self.id, rules)?)
    }

    /// What changes it.
    pub const fn handle(&self) -> &Handle {
        self.running.handle()
    }
}

impl From<Refusal> for Complaint {
    fn from(refusal: Refusal) -> Complaint {
        match refusal {
            Refusal::System(failure) => failure.into(),
            Refusal::Knob(error) => Complaint::usage(error.to_string(), ""),
            Refusal::Over => Complaint::new(Exit::Environment, refusal.to_string(), ""),
        }
    }
}
