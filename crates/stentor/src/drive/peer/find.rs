//! Announces this peer by mDNS and looks for others (RFC 6762, RFC 6763), in the daemon thread of
//! `mdns-sd` and one that hands over what it finds.
//!
//! What it finds is a stranger's word: every field is bounded and checked here.

use std::io::{self, Read, Write};
use std::net::{IpAddr, SocketAddr, SocketAddrV6};
use std::os::fd::{AsFd, BorrowedFd};
use std::os::unix::net::UnixStream;
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::thread;
use std::time::Duration;

use mdns_sd::{
    DaemonEvent, IfKind, ResolvedService, ScopedIp, ServiceDaemon, ServiceEvent, ServiceInfo,
};
use stentor_core::connect;
use stentor_core::peer::{Id, Name};

/// The type of the service: at most 15 letters (RFC 6763, section 7.2).
pub const SERVICE: &str = "_stentor-peer._tcp.local.";
/// Addresses of one found peer that are taken.
const ADDRESSES_MAX: usize = 8;
/// Findings that wait to be taken; more are dropped, and announced again by mDNS.
const WAITING_MAX: usize = 64;
/// How long the farewell of the announcement may take.
const GOODBYE: Duration = Duration::from_secs(1);

/// On which interfaces to announce and to look.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Scope {
    /// The loopback interface alone: other programs of this machine.
    Loopback,
    /// The interface that has this address.
    Interface(IpAddr),
    /// Every interface.
    Everywhere,
}

impl Scope {
    /// Whether somebody found there may be dialled at `address`.
    fn takes(self, address: &SocketAddr) -> bool {
        match self {
            Scope::Loopback => address.ip().is_loopback(),
            Scope::Interface(_) | Scope::Everywhere => {
                let ip = address.ip();
                !ip.is_unspecified() && !ip.is_multicast()
            }
        }
    }
}

/// What discovery has to say.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Finding {
    Found { key: String, id: Option<Id>, name: Option<Name>, addresses: Vec<SocketAddr> },
    Gone(String),
    Trouble(String),
}

/// An announcement and a search, until dropped.
pub(super) struct Finder {
    daemon: ServiceDaemon,
    findings: Receiver<Finding>,
    bell: UnixStream,
}

impl Finder {
    /// Announces `name` with `id` at `port`, and looks for others.
    pub(super) fn start(scope: Scope, id: Id, name: &Name, port: u16) -> io::Result<Finder> {
        let failed = |error: mdns_sd::Error| io::Error::other(error.to_string());
        let daemon = ServiceDaemon::new().map_err(failed)?;
        let kinds = match scope {
            Scope::Loopback => vec![IfKind::LoopbackV4],
            Scope::Interface(address) => vec![IfKind::Addr(address)],
            Scope::Everywhere => Vec::new(),
        };
        if !kinds.is_empty() {
            daemon.disable_interface(IfKind::All).map_err(failed)?;
            daemon.enable_interface(kinds).map_err(failed)?;
        }
        let info = info(scope, id, name, port).map_err(failed)?;
        let troubles = daemon.monitor().map_err(failed)?;
        let events = daemon.browse(SERVICE).map_err(failed)?;
        daemon.register(info).map_err(failed)?;
        let (bell, ringer) = UnixStream::pair()?;
        bell.set_nonblocking(true)?;
        let (sender, findings) = sync_channel(WAITING_MAX);
        let other = (sender.clone(), ringer.try_clone()?);
        thread::Builder::new().name("found".into()).spawn(move || {
            while let Ok(event) = events.recv() {
                hand_over(finding(scope, event), &sender, &ringer);
            }
        })?;
        thread::Builder::new().name("mdns trouble".into()).spawn(move || {
            while let Ok(event) = troubles.recv() {
                if let DaemonEvent::Error(error) = event {
                    hand_over(Some(Finding::Trouble(error.to_string())), &other.0, &other.1);
                }
            }
        })?;
        Ok(Finder { daemon, findings, bell })
    }

    /// Rings when there is a finding.
    pub(super) fn watch(&self) -> BorrowedFd<'_> {
        self.bell.as_fd()
    }

    /// What was found since the last call.
    pub(super) fn findings(&mut self) -> Vec<Finding> {
        // Only that it rang matters.
        let _ = self.bell.read(&mut [0; 128]);
        self.findings.try_iter().take(WAITING_MAX).collect()
    }
}

impl Drop for Finder {
    /// Tells the others that this peer is gone (RFC 6762, section 10.1), if the daemon still lives.
    fn drop(&mut self) {
        if let Ok(done) = self.daemon.shutdown() {
            let _ = done.recv_timeout(GOODBYE);
        }
    }
}

fn hand_over(finding: Option<Finding>, sender: &SyncSender<Finding>, mut ringer: &UnixStream) {
    if let Some(finding) = finding
        && sender.try_send(finding).is_ok()
    {
        let _ = ringer.write_all(b"!");
    }
}

fn info(scope: Scope, id: Id, name: &Name, port: u16) -> mdns_sd::Result<ServiceInfo> {
    let written = id.to_string();
    let instance = format!("{name} {written}");
    let host = format!("stentor-{written}.local.");
    let words = [("id", written.as_str()), ("name", name.as_str()), ("v", "1")];
    match scope {
        Scope::Loopback => {
            ServiceInfo::new(SERVICE, &instance, &host, "127.0.0.1", port, &words[..])
        }
        Scope::Interface(address) => {
            ServiceInfo::new(SERVICE, &instance, &host, address, port, &words[..])
        }
        Scope::Everywhere => {
            Ok(ServiceInfo::new(SERVICE, &instance, &host, "", port, &words[..])?
                .enable_addr_auto())
        }
    }
}

fn finding(scope: Scope, event: ServiceEvent) -> Option<Finding> {
    if let ServiceEvent::ServiceResolved(service) = event {
        return found(scope, &service);
    }
    let ServiceEvent::ServiceRemoved(_, key) = event else { return None };
    Some(Finding::Gone(key))
}

fn found(scope: Scope, service: &ResolvedService) -> Option<Finding> {
    let addresses: Vec<SocketAddr> = service
        .addresses
        .iter()
        .filter_map(|address| at(address, service.port))
        .filter(|address| scope.takes(address))
        .collect();
    // A set has no order; the same set must always give the same list.
    let mut sorted = addresses;
    sorted.sort();
    sorted.truncate(ADDRESSES_MAX);
    Some(Finding::Found {
        key: service.fullname.clone(),
        id: service.get_property_val_str("id").and_then(Id::parse),
        name: service.get_property_val_str("name").and_then(Name::parse),
        addresses: connect::order(&sorted),
    })
    .filter(|_| service.port != 0 && !sorted.is_empty())
}

fn at(address: &ScopedIp, port: u16) -> Option<SocketAddr> {
    match address {
        ScopedIp::V4(v4) => Some(SocketAddr::new(IpAddr::V4(*v4.addr()), port)),
        // A link-local address means nothing without its interface (RFC 4007, section 6).
        ScopedIp::V6(v6) => {
            Some(SocketAddrV6::new(*v6.addr(), port, 0, v6.scope_id().index).into())
        }
        _ => None,
    }
}
