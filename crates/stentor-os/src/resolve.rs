//! Names to addresses by the system's resolver (getaddrinfo(3)), in the order it gives them.

use std::io;
use std::net::{SocketAddr, ToSocketAddrs};

/// All addresses of `name` for a stream to `port`, in the resolver's order (RFC 6724), without
/// duplicates. The error's text is the resolver's own.
pub fn addresses(name: &str, port: u16) -> io::Result<Vec<SocketAddr>> {
    let mut addresses: Vec<SocketAddr> = Vec::new();
    for address in (name, port).to_socket_addrs()? {
        if !addresses.contains(&address) {
            addresses.push(address);
        }
    }
    Ok(addresses)
}
