//! The kernel's tables of interfaces, addresses and routes (rtnetlink(7)), of the network namespace
//! in which the line to them was opened; wherever its thread goes later.
//!
//! By messages, and not by /proc/sys, which containers mount read-only; no command outside this
//! program is run. Which addresses and routes there should be is left to the roof.

use std::io;
use std::net::IpAddr;
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd};

/// A line to the kernel's tables.
#[derive(Debug)]
pub struct Tables {
    socket: OwnedFd,
}

/// An address, or a block of them: `10.0.0.1/24`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Prefix {
    /// The address.
    pub address: IpAddr,
    /// How many of its first bits name the block.
    pub bits: u8,
}

/// A route to a block of addresses over an interface without a gateway.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Route {
    /// Where to.
    pub to: Prefix,
    /// The number of the interface.
    pub interface: u32,
    /// The source address of what is sent without one.
    pub source: Option<IpAddr>,
    /// In the table of this system's own addresses, which is asked first (ip-rule(8)), instead of
    /// the main one.
    pub local: bool,
}

/// What went over an interface.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counters {
    /// Packets handed to the device, and taken from it.
    pub sent: u64,
    /// Packets that came in from it.
    pub received: u64,
    /// Packets dropped on the way to the device: its queue was full.
    pub send_dropped: u64,
    /// Packets dropped on the way in.
    pub receive_dropped: u64,
}

/// linux/if_link.h and linux/ip.h, which libc has not, or not on every C library.
const IFLA_MTU: u16 = 4;
const IFLA_TXQLEN: u16 = 13;
const IFLA_STATS64: u16 = 23;
const IFLA_AF_SPEC: u16 = 26;
const IFLA_INET_CONF: u16 = 1;
const IFLA_INET6_ADDR_GEN_MODE: u16 = 8;
const IN6_ADDR_GEN_MODE_NONE: u8 = 1;
const IPV4_DEVCONF_ROUTE_LOCALNET: u16 = 26;
const IFA_ADDRESS: u16 = 1;
const IFA_LOCAL: u16 = 2;
/// No duplicate address detection (RFC 4862, section 5.4): nobody else is on the wire.
const IFA_F_NODAD: u8 = 2;

/// The largest answer: an interface with all its attributes takes some 2 KiB.
const ANSWER_BYTES: usize = 1 << 15;

impl Tables {
    /// Opens a line to the tables of this thread's network namespace.
    pub fn open() -> io::Result<Tables> {
        let kind = libc::SOCK_RAW | libc::SOCK_CLOEXEC;
        // SAFETY: takes numbers only.
        let socket = unsafe { libc::socket(libc::AF_NETLINK, kind, libc::NETLINK_ROUTE) };
        if socket < 0 {
            return Err(io::Error::last_os_error());
        }
        // SAFETY: the kernel just gave us this descriptor, and nothing else owns it.
        Ok(Tables { socket: unsafe { OwnedFd::from_raw_fd(socket) } })
    }

    /// Sets an interface up, with an MTU in bytes and room for `queue` packets that wait for it.
    pub fn set_up(&self, interface: u32, mtu: u32, queue: u32) -> io::Result<()> {
        let up = u32::try_from(libc::IFF_UP).map_err(io::Error::other)?;
        let mut message = Message::link(interface, up);
        message.attribute(IFLA_MTU, &mtu.to_ne_bytes());
        message.attribute(IFLA_TXQLEN, &queue.to_ne_bytes());
        self.ask(message).map(drop)
    }

    /// Lets addresses of 127.0.0.0/8 come and go over an interface (ip-sysctl: route_localnet).
    pub fn route_loopback_addresses(&self, interface: u32) -> io::Result<()> {
        let inet = u16::try_from(libc::AF_INET).map_err(io::Error::other)?;
        let mut message = Message::link(interface, 0);
        message.nested(IFLA_AF_SPEC, |families| {
            families.nested(inet, |family| {
                family.nested(IFLA_INET_CONF, |settings| {
                    settings.attribute(IPV4_DEVCONF_ROUTE_LOCALNET, &1_u32.to_ne_bytes());
                });
            });
        });
        self.ask(message).map(drop)
    }

    /// Lets an interface have no IPv6 address that it was not given, so that the kernel does not
    /// look for routers on it. EAFNOSUPPORT: the system has no IPv6.
    pub fn no_address_of_its_own(&self, interface: u32) -> io::Result<()> {
        let inet6 = u16::try_from(libc::AF_INET6).map_err(io::Error::other)?;
        let mut message = Message::link(interface, 0);
        message.nested(IFLA_AF_SPEC, |families| {
            families.nested(inet6, |family| {
                family.attribute(IFLA_INET6_ADDR_GEN_MODE, &[IN6_ADDR_GEN_MODE_NONE]);
            });
        });
        self.ask(message).map(drop)
    }

    /// Gives an interface an address, and with it the route to its block.
    pub fn add_address(&self, interface: u32, prefix: Prefix) -> io::Result<()> {
        self.address(libc::RTM_NEWADDR, interface, prefix)
    }

    /// Takes an address from an interface.
    pub fn remove_address(&self, interface: u32, prefix: Prefix) -> io::Result<()> {
        self.address(libc::RTM_DELADDR, interface, prefix)
    }

    fn address(&self, kind: u16, interface: u32, prefix: Prefix) -> io::Result<()> {
        let mut message = Message::new(kind);
        let flags = if prefix.address.is_ipv6() { IFA_F_NODAD } else { 0 };
        // struct ifaddrmsg: family, length of the prefix, flags, scope, interface.
        message.bytes.extend([family(prefix.address)?, prefix.bits, flags, 0]);
        message.bytes.extend(interface.to_ne_bytes());
        message.address(IFA_LOCAL, prefix.address);
        message.address(IFA_ADDRESS, prefix.address);
        self.ask(message).map(drop)
    }

    /// Adds a route.
    pub fn add_route(&self, route: Route) -> io::Result<()> {
        let table = if route.local { libc::RT_TABLE_LOCAL } else { libc::RT_TABLE_MAIN };
        let mut message = Message::new(libc::RTM_NEWROUTE);
        // struct rtmsg: family, lengths of destination and source, TOS, table, who made it, scope,
        // kind; flags.
        let (protocol, scope) = (libc::RTPROT_BOOT, libc::RT_SCOPE_LINK);
        let to = route.to;
        message.bytes.extend([family(to.address)?, to.bits, 0, 0, table, protocol, scope]);
        message.bytes.extend([libc::RTN_UNICAST, 0, 0, 0, 0]);
        message.address(libc::RTA_DST, to.address);
        message.attribute(libc::RTA_OIF, &route.interface.to_ne_bytes());
        if let Some(source) = route.source {
            message.address(libc::RTA_PREFSRC, source);
        }
        self.ask(message).map(drop)
    }

    /// What went over an interface until now.
    pub fn counters(&self, interface: u32) -> io::Result<Counters> {
        let mut message = Message::link(interface, 0);
        message.kind(libc::RTM_GETLINK);
        let answer = self.ask(message)?;
        // nlmsghdr and ifinfomsg, 16 bytes each.
        let found = attributes(answer.get(32..).unwrap_or_default())
            .find(|(kind, _)| *kind == IFLA_STATS64);
        let Some((_, stats)) = found else { return Err(io::Error::other("no IFLA_STATS64")) };
        // struct rtnl_link_stats64 begins: rx and tx packets, bytes, errors, dropped.
        let number = |place: usize| {
            let eight = stats.get(place * 8..).and_then(|rest| rest.first_chunk());
            eight.map_or(0, |eight| u64::from_ne_bytes(*eight))
        };
        Ok(Counters {
            received: number(0),
            sent: number(1),
            receive_dropped: number(6),
            send_dropped: number(7),
        })
    }

    /// Sends a question and gives back the answer, whole; of one that only asks for an action the
    /// kernel's word that it was done.
    fn ask(&self, message: Message) -> io::Result<Vec<u8>> {
        let question = message.finish()?;
        // SAFETY: the buffer lives for the call and has the length given.
        let sent = unsafe {
            let (data, length) = (question.as_ptr().cast(), question.len());
            libc::send(self.socket.as_raw_fd(), data, length, 0)
        };
        if sent < 0 {
            return Err(io::Error::last_os_error());
        }
        let mut answer = vec![0_u8; ANSWER_BYTES];
        // SAFETY: the buffer lives for the call and has the length given.
        let read = unsafe {
            let (data, length) = (answer.as_mut_ptr().cast(), answer.len());
            libc::recv(self.socket.as_raw_fd(), data, length, 0)
        };
        let read = usize::try_from(read).map_err(|_| io::Error::last_os_error())?;
        answer.truncate(read);
        // struct nlmsghdr: length, kind, flags, number, port; struct nlmsgerr: -errno.
        let kind = answer.get(4..).and_then(|rest| rest.first_chunk());
        let kind = kind.map(|two| i32::from(u16::from_ne_bytes(*two)));
        if kind != Some(libc::NLMSG_ERROR) {
            return Ok(answer);
        }
        let errno = answer.get(16..).and_then(|rest| rest.first_chunk());
        match errno.map(|four| i32::from_ne_bytes(*four)) {
            Some(0) => Ok(answer),
            Some(errno) => Err(io::Error::from_raw_os_error(errno.saturating_neg())),
            None => Err(io::Error::from(io::ErrorKind::UnexpectedEof)),
        }
    }
}

fn family(address: IpAddr) -> io::Result<u8> {
    let family = if address.is_ipv4() { libc::AF_INET } else { libc::AF_INET6 };
    u8::try_from(family).map_err(io::Error::other)
}

/// The attributes of an answer (struct rtattr: length with this header, kind; aligned to 4).
fn attributes(mut bytes: &[u8]) -> impl Iterator<Item = (u16, &[u8])> {
    std::iter::from_fn(move || {
        let (length, kind) = (bytes.first_chunk::<2>()?, bytes.get(2..)?.first_chunk::<2>()?);
        let (length, kind) = (u16::from_ne_bytes(*length).into(), u16::from_ne_bytes(*kind));
        let content = bytes.get(4..length)?;
        bytes = bytes.get(length.next_multiple_of(4)..).unwrap_or_default();
        Some((kind, content))
    })
}

/// A question under way.
struct Message {
    bytes: Vec<u8>,
}

impl Message {
    fn new(kind: u16) -> Message {
        let mut message = Message { bytes: vec![0; 16] };
        message.kind(kind);
        message
    }

    /// About an interface, whose flags `flags` are to be set (struct ifinfomsg: family, type, index,
    /// flags, which of them change).
    fn link(interface: u32, flags: u32) -> Message {
        let mut message = Message::new(libc::RTM_NEWLINK);
        message.bytes.extend([0; 4]);
        message.bytes.extend(interface.to_ne_bytes());
        message.bytes.extend(flags.to_ne_bytes());
        message.bytes.extend(flags.to_ne_bytes());
        message
    }

    fn kind(&mut self, kind: u16) {
        if let Some(place) = self.bytes.get_mut(4..6) {
            place.copy_from_slice(&kind.to_ne_bytes());
        }
    }

    fn attribute(&mut self, kind: u16, content: &[u8]) {
        self.nested(kind, |message| message.bytes.extend(content));
    }

    fn address(&mut self, kind: u16, address: IpAddr) {
        match address {
            IpAddr::V4(address) => self.attribute(kind, &address.octets()),
            IpAddr::V6(address) => self.attribute(kind, &address.octets()),
        }
    }

    /// An attribute made of attributes.
    fn nested(&mut self, kind: u16, fill: impl FnOnce(&mut Message)) {
        let began = self.bytes.len();
        self.bytes.extend([0, 0]);
        self.bytes.extend(kind.to_ne_bytes());
        fill(self);
        // A question of ours has some hundred bytes.
        let length = u16::try_from(self.bytes.len() - began).unwrap_or(u16::MAX);
        if let Some(place) = self.bytes.get_mut(began..began + 2) {
            place.copy_from_slice(&length.to_ne_bytes());
        }
        self.bytes.resize(self.bytes.len().next_multiple_of(4), 0);
    }

    fn finish(mut self) -> io::Result<Vec<u8>> {
        let length = u32::try_from(self.bytes.len()).map_err(io::Error::other)?;
        let kind = self.bytes.get(4..).and_then(|rest| rest.first_chunk());
        let asks = kind.is_some_and(|two| u16::from_ne_bytes(*two) == libc::RTM_GETLINK);
        let adds = kind.is_some_and(|two| {
            [libc::RTM_NEWADDR, libc::RTM_NEWROUTE].contains(&u16::from_ne_bytes(*two))
        });
        // A question is answered anyway; an action only if asked to.
        let mut flags = libc::NLM_F_REQUEST;
        flags |= if asks { 0 } else { libc::NLM_F_ACK };
        flags |= if adds { libc::NLM_F_CREATE | libc::NLM_F_EXCL } else { 0 };
        let flags = u16::try_from(flags).map_err(io::Error::other)?;
        let (length, flags) = (length.to_ne_bytes(), flags.to_ne_bytes());
        for (place, byte) in self.bytes.iter_mut().zip(length) {
            *place = byte;
        }
        if let Some(place) = self.bytes.get_mut(6..8) {
            place.copy_from_slice(&flags);
        }
        Ok(self.bytes)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn attributes_nest_and_come_back() {
        let mut message = Message::link(7, 1);
        message.nested(26, |outer| {
            outer.nested(2, |inner| inner.attribute(1, &[9]));
        });
        let bytes = message.finish().unwrap();
        let outer: Vec<_> = attributes(&bytes[32..]).collect();
        assert_eq!(outer.len(), 1);
        let (kind, inside) = outer[0];
        assert_eq!(kind, 26);
        let (kind, inside) = attributes(inside).next().unwrap();
        assert_eq!(kind, 2);
        assert_eq!(attributes(inside).next().unwrap(), (1, &[9][..]));
        assert_eq!(
            usize::try_from(u32::from_ne_bytes(*bytes.first_chunk().unwrap())),
            Ok(bytes.len())
        );
    }

    #[test]
    fn attributes_cut_short_are_none() {
        for bytes in [&[][..], &[8, 0], &[8, 0, 1, 0], &[3, 0, 1, 0], &[8, 0, 1, 0, 1, 2, 3]] {
            assert_eq!(attributes(bytes).next(), None, "{bytes:?}");
        }
    }

    #[test]
    fn the_loopback_interface_has_counters_and_a_number_of_nobody_has_none() {
        let tables = Tables::open().unwrap();
        let lo = nix::net::if_::if_nametoindex("lo").unwrap();
        tables.counters(lo).unwrap();
        let error = tables.counters(u32::MAX >> 1).unwrap_err();
        assert_eq!(error.raw_os_error(), Some(libc::ENODEV));
    }
}
