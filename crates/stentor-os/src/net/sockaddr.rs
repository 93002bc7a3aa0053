//! An address as the kernel has it in memory: the bytes of `struct sockaddr` (ip(7), ipv6(7)).

use std::io;
use std::net::SocketAddr;
use std::os::fd::AsFd;

use socket2::{SockAddr, SockRef};

/// The bytes that bind(2) and connect(2) are given for `address`.
pub fn given(address: SocketAddr) -> Vec<u8> {
    bytes(&SockAddr::from(address))
}

/// The bytes that getsockname(2) writes for `socket`.
pub fn local(socket: impl AsFd) -> io::Result<Vec<u8>> {
    Ok(bytes(&SockRef::from(&socket.as_fd()).local_addr()?))
}

fn bytes(address: &SockAddr) -> Vec<u8> {
    // The length that the kernel (or From) stored covers only initialised bytes.
    let length = usize::try_from(address.len()).unwrap_or_default();
    let start = address.as_ptr().cast::<u8>();
    // SAFETY: `address` owns a sockaddr_storage, zeroed when made, of which `len` bytes hold the
    // address; it lives and is not written to for the length of this call.
    unsafe { std::slice::from_raw_parts(start, length) }.to_vec()
}

#[cfg(test)]
mod tests {
    use std::net::UdpSocket;

    use super::*;

    #[test]
    fn the_port_stands_in_network_order() {
        let given = given("127.0.0.1:12000".parse().unwrap());
        assert_eq!(given[2..8], [0x2e, 0xe0, 127, 0, 0, 1]);
        let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
        let port = socket.local_addr().unwrap().port();
        assert_eq!(local(&socket).unwrap()[2..4], port.to_be_bytes());
    }
}
