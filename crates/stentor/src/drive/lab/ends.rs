//! The two networks: their interfaces, addresses and routes.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::sync::Arc;

use stentor_os::namespace::{self, Kind, Network, Prefix, Refusal, Route, Step, Tables, Wire};
use stentor_os::privilege;
use stentor_os::tun::Tun;

use crate::complaint::Complaint;
use crate::drive::trace::no_link;

/// The server's addresses on the link. Its 127.0.0.1 is reached from the client's end, too.
pub const SERVER: (Ipv4Addr, Ipv6Addr) =
    (Ipv4Addr::new(10, 0, 0, 1), Ipv6Addr::new(0xfd00, 0, 0, 0, 0, 0, 0, 1));
/// The client's addresses on the link. To a server on 127.0.0.1 it is 127.0.0.2.
pub const CLIENT: (Ipv4Addr, Ipv6Addr) =
    (Ipv4Addr::new(10, 0, 0, 2), Ipv6Addr::new(0xfd00, 0, 0, 0, 0, 0, 0, 2));

/// Of whom the other end thinks when it says 127.0.0.1: the server, as programs expect that were
/// written for one machine. IPv6 has no way to say so: the kernel takes ::1 from no wire.
const LOOPBACK: [Ipv4Addr; 2] = [Ipv4Addr::LOCALHOST, Ipv4Addr::new(127, 0, 0, 2)];

/// The interface's name, at both ends.
const INTERFACE: &str = "lab";
/// As on Ethernet.
pub(super) const MTU_BYTES: u32 = 1500;
/// Packets that the kernel keeps for us while we are not running. The link has queues of its own,
/// and this one must not decide anything.
const KERNEL_QUEUE: u32 = 10_000;

/// Which end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Role {
    Server,
    Client,
}

/// One end of the link.
#[derive(Debug)]
pub(super) struct End {
    pub(super) network: Arc<Network>,
    pub(super) tun: Tun,
    pub(super) tables: Tables,
}

/// Two networks that are joined by nothing yet.
#[derive(Debug)]
pub struct Lab {
    pub(super) server: End,
    pub(super) client: End,
    without_ipv6: Option<String>,
}

impl Lab {
    /// Makes both networks and moves this process into the client's.
    ///
    /// The process must have one thread: namespaces are entered before any other exists. There is
    /// no way back.
    ///
    /// # Errors
    /// The step that the system refuses, with its remedy.
    pub fn enter() -> Result<Lab, Complaint> {
        let kind = if privilege::may_unshare() { Kind::Network } else { Kind::UserAndNetwork };
        let made = || -> Result<Lab, Refusal> {
            let (server, _) = End::make(kind, Role::Server)?;
            // Whatever the first took, this process has every right in it now.
            let (client, without_ipv6) = End::make(Kind::Network, Role::Client)?;
            Ok(Lab { server, client, without_ipv6 })
        };
        made().map_err(|refusal| no_link(refusal.step.name(), refusal))
    }

    /// Whether [`Lab::enter`] would work; tried in a child.
    ///
    /// # Errors
    /// As [`Lab::enter`].
    pub fn possible() -> Result<(), Complaint> {
        let refused = privilege::probe().lab_link;
        refused.map_err(|refusal| no_link(refusal.step.name(), refusal))
    }

    /// The network of the server: for programs and threads that shall be there.
    pub fn server(&self) -> &Arc<Network> {
        &self.server.network
    }

    /// The network of the client.
    pub fn client(&self) -> &Arc<Network> {
        &self.client.network
    }

    /// Why there is no IPv6 on the link, if there is none.
    pub fn without_ipv6(&self) -> Option<&str> {
        self.without_ipv6.as_deref()
    }
}

fn at(step: Step) -> impl Fn(std::io::Error) -> Refusal {
    move |error| Refusal { step, error }
}

impl End {
    /// Makes an end in a new network, in which this process then is; and says why it has no IPv6.
    fn make(kind: Kind, role: Role) -> Result<(End, Option<String>), Refusal> {
        namespace::enter(kind, Wire::Ethernet)?;
        let network = Arc::new(Network::current()?);
        let tun = Tun::make(INTERFACE)?;
        let tables = Tables::open().map_err(at(Step::OpenTables))?;
        let interface = tun.index();
        let quiet = tables.no_address_of_its_own(interface);
        tables
            .route_loopback_addresses(interface)
            .and_then(|()| tables.set_up(interface, MTU_BYTES, KERNEL_QUEUE))
            .map_err(at(Step::TunUp))?;
        let (v4, v6) = if role == Role::Server { SERVER } else { CLIENT };
        let add = |address, bits| tables.add_address(interface, Prefix { address, bits });
        add(v4.into(), 24).map_err(at(Step::TunAddress))?;
        // Switched off for the machine, perhaps; the link is worth having without it.
        let six = quiet.and_then(|()| add(v6.into(), 64));
        let six = six.err().map(|error| stentor_os::failure::describe(&error));
        loopback_goes_over(&tables, interface, role)?;
        Ok((End { network, tun, tables }, six))
    }
}

/// Lets 127.0.0.1 mean the server at both ends, and 127.0.0.2 the client: servers and clients that
/// were written for one machine need no other address.
fn loopback_goes_over(tables: &Tables, interface: u32, role: Role) -> Result<(), Refusal> {
    let [server, client] = LOOPBACK.map(IpAddr::from);
    let (own, other) = if role == Role::Server { (server, client) } else { (client, server) };
    if role == Role::Client {
        let lo = namespace::number_of("lo").map_err(at(Step::TunAddress))?;
        tables
            .remove_address(lo, Prefix { address: server, bits: 8 })
            .and_then(|()| tables.add_address(lo, Prefix { address: own, bits: 8 }))
            .map_err(at(Step::TunAddress))?;
    }
    let to = Prefix { address: other, bits: 32 };
    let route = Route { to, interface, source: Some(own), local: true };
    tables.add_route(route).map_err(at(Step::TunRoute))
}
