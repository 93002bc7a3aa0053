//! The addresses of this machine's interfaces (getifaddrs(3)).

use std::io;
use std::net::Ipv4Addr;

use nix::ifaddrs::getifaddrs;
use nix::net::if_::InterfaceFlags;

/// An interface that is up, with one of its IPv4 addresses.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Interface {
    /// Its name: `lo`, `eth0`.
    pub name: String,
    /// One of its addresses; an interface with two stands in the list twice.
    pub address: Ipv4Addr,
}

/// Every IPv4 address of every interface that is up, in the kernel's order.
pub fn ipv4() -> io::Result<Vec<Interface>> {
    let mut found = Vec::new();
    for entry in getifaddrs()? {
        if !entry.flags.contains(InterfaceFlags::IFF_UP) {
            continue;
        }
        if let Some(address) = entry.address.as_ref().and_then(|address| address.as_sockaddr_in()) {
            found.push(Interface { name: entry.interface_name, address: address.ip() });
        }
    }
    Ok(found)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_loopback_interface_is_among_them() {
        let all = ipv4().unwrap();
        assert!(all.iter().any(|interface| interface.address == Ipv4Addr::LOCALHOST), "{all:?}");
    }
}
