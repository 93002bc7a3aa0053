//! UDP sockets that know to which address each datagram came, and answer from it.
//!
//! Many datagrams per call (recvmmsg(2), UDP_GRO, UDP_SEGMENT) where the system has it; quinn-udp
//! does the rest. What to answer is left to the machines of core.

use std::io::{self, IoSliceMut};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::os::fd::{AsRawFd, RawFd};

use quinn_udp::{BATCH_SIZE, RecvMeta, Transmit, UdpSocketState};
use socket2::{Socket, Type};

use crate::failure::Failure;
use crate::net::listener;

/// Room for one datagram, or for as many as the kernel coalesced into one buffer (udp(7)).
const BUFFER: usize = 64 * 1024;

/// A bound UDP socket that does not block.
#[derive(Debug)]
pub struct Datagrams {
    socket: Socket,
    state: UdpSocketState,
}

impl Datagrams {
    /// Binds a UDP socket to `address`; `shared` as in [`listener::Listen`].
    pub fn bind(address: SocketAddr, shared: bool) -> Result<Datagrams, Failure> {
        let named =
            |operation| move |error| Failure::new(operation, format!("udp {address}"), error);
        let socket =
            listener::bound(address, Type::DGRAM, shared).map_err(|(op, e)| named(op)(e))?;
        let state =
            UdpSocketState::new((&socket).into()).map_err(named("setsockopt IP_PKTINFO"))?;
        allow_fragments(&socket, address).map_err(named("setsockopt IP_MTU_DISCOVER"))?;
        Ok(Datagrams { socket, state })
    }

    /// Binds a UDP socket to a free port and connects it to `peer`: only its datagrams come in,
    /// and an ICMP refusal is an error of the next call (udp(7)).
    pub fn connect(peer: SocketAddr) -> Result<Datagrams, Failure> {
        let named = |operation| move |error| Failure::new(operation, format!("udp {peer}"), error);
        let any: IpAddr = match peer {
            SocketAddr::V4(_) => Ipv4Addr::UNSPECIFIED.into(),
            SocketAddr::V6(_) => Ipv6Addr::UNSPECIFIED.into(),
        };
        let datagrams = Datagrams::bind(SocketAddr::new(any, 0), false)?;
        datagrams.socket.connect(&peer.into()).map_err(named("connect"))?;
        Ok(datagrams)
    }

    /// The address it is bound to (getsockname(2)).
    pub fn local(&self) -> io::Result<SocketAddr> {
        listener::local(&self.socket)
    }

    /// Receives what has come, up to a batch; WouldBlock if nothing has.
    pub fn receive(&self, batch: &mut Batch) -> io::Result<()> {
        batch.filled = 0;
        let mut chunks = batch.storage.chunks_mut(BUFFER);
        let mut buffers: [IoSliceMut<'_>; BATCH_SIZE] =
            std::array::from_fn(|_| IoSliceMut::new(chunks.next().unwrap_or_default()));
        batch.filled = self.state.recv((&self.socket).into(), &mut buffers, &mut batch.metas)?;
        Ok(())
    }

    /// Sends one datagram to `to`, from `from` if the socket is bound to a wildcard address.
    ///
    /// EMSGSIZE when it is longer than a datagram may be.
    pub fn send(&self, from: Option<IpAddr>, to: SocketAddr, contents: &[u8]) -> io::Result<()> {
        let transmit =
            Transmit { destination: to, ecn: None, contents, segment_size: None, src_ip: from };
        self.state.try_send((&self.socket).into(), &transmit)
    }

    /// How many datagrams one call of [`Datagrams::send_many`] may carry (UDP_SEGMENT, udp(7)):
    /// 1 where the system or the network card cannot cut them, which a refusal may have shown.
    pub fn many_max(&self) -> usize {
        self.state.max_gso_segments()
    }

    /// Sends `contents` to `to` as datagrams of `length` bytes each, the last with what is left.
    ///
    /// EMSGSIZE or EINVAL when `length` is more than the path carries unfragmented, or when there
    /// are more than [`Datagrams::many_max`]; then nothing was sent.
    pub fn send_many(&self, to: SocketAddr, contents: &[u8], length: usize) -> io::Result<()> {
        let segment_size = Some(length);
        let transmit =
            Transmit { destination: to, ecn: None, contents, segment_size, src_ip: None };
        self.state.try_send((&self.socket).into(), &transmit)
    }
}

impl AsRawFd for Datagrams {
    fn as_raw_fd(&self) -> RawFd {
        self.socket.as_raw_fd()
    }
}

/// Lets datagrams above the path's MTU travel in fragments again (ip(7), ipv6(7)): quinn-udp
/// forbids that for QUIC's sake, which would refuse 65,507 bytes on any real network.
#[cfg(target_os = "linux")]
fn allow_fragments(socket: &Socket, address: SocketAddr) -> io::Result<()> {
    use crate::net::option::set_int;
    use std::os::fd::AsFd;
    let socket = socket.as_fd();
    set_int(socket, libc::IPPROTO_IP, libc::IP_MTU_DISCOVER, libc::IP_PMTUDISC_DONT)?;
    if address.is_ipv6() {
        let level = libc::IPPROTO_IPV6;
        set_int(socket, level, libc::IPV6_MTU_DISCOVER, libc::IPV6_PMTUDISC_DONT)?;
        set_int(socket, level, libc::IPV6_DONTFRAG, 0)?;
    }
    Ok(())
}

#[cfg(not(target_os = "linux"))]
fn allow_fragments(_socket: &Socket, _address: SocketAddr) -> io::Result<()> {
    Ok(())
}

/// Where received datagrams are put: 2 MiB, of which the kernel maps what is written.
#[derive(Debug)]
pub struct Batch {
    storage: Vec<u8>,
    metas: [RecvMeta; BATCH_SIZE],
    filled: usize,
}

impl Default for Batch {
    fn default() -> Batch {
        Batch {
            storage: vec![0; BATCH_SIZE * BUFFER],
            metas: [RecvMeta::default(); BATCH_SIZE],
            filled: 0,
        }
    }
}

/// Datagrams of one sender, coalesced by the kernel or just one.
#[derive(Debug)]
pub struct Received<'a> {
    /// Who sent them.
    pub source: SocketAddr,
    /// The address of ours they were sent to, where the system tells (IP_PKTINFO, ip(7)).
    pub local: Option<IpAddr>,
    /// Their bytes, one after the other.
    bytes: &'a mut [u8],
    /// The length of each but the last, which may be shorter.
    stride: usize,
}

impl Batch {
    /// Whether the last call of [`Datagrams::receive`] filled it, so that there may be more.
    pub fn is_full(&self) -> bool {
        self.filled == BATCH_SIZE
    }

    /// What the last call of [`Datagrams::receive`] brought.
    pub fn received(&mut self) -> impl Iterator<Item = Received<'_>> {
        let chunks = self.storage.chunks_mut(BUFFER);
        chunks.zip(&self.metas).take(self.filled).map(|(chunk, meta)| Received {
            source: meta.addr,
            local: meta.dst_ip,
            bytes: chunk.get_mut(..meta.len).unwrap_or_default(),
            stride: meta.stride,
        })
    }
}

impl Received<'_> {
    /// Each datagram in the order of arrival; an empty one counts as one.
    pub fn datagrams(&mut self) -> impl Iterator<Item = &mut [u8]> {
        let empty = self.bytes.is_empty().then_some(<&mut [u8]>::default());
        empty.into_iter().chain(self.bytes.chunks_mut(self.stride.max(1)))
    }
}

#[cfg(all(test, target_os = "linux"))]
mod tests {
    use std::net::UdpSocket;
    use std::os::fd::AsFd;

    use super::*;
    use crate::net::poll::{Watch, wait};

    fn readable(datagrams: &Datagrams) -> io::Result<()> {
        wait(&mut [Watch::new(datagrams.socket.as_fd(), true, false)], None)
    }

    #[test]
    fn a_burst_goes_out_in_one_call_and_comes_in_whole() {
        let far = Datagrams::bind(SocketAddr::from(([127, 0, 0, 1], 0)), false).unwrap();
        let near = Datagrams::connect(far.local().unwrap()).unwrap();
        if near.many_max() < 4 {
            eprintln!("SKIPPED: this system has no UDP_SEGMENT");
            return;
        }
        near.send_many(far.local().unwrap(), b"onetwotresfo", 3).unwrap();
        let (mut batch, mut come) = (Batch::default(), Vec::new());
        while come.len() < 4 {
            readable(&far).unwrap();
            far.receive(&mut batch).unwrap();
            for mut received in batch.received() {
                come.extend(received.datagrams().map(|datagram| datagram.to_vec()));
            }
        }
        assert_eq!(come, [b"one".to_vec(), b"two".to_vec(), b"tre".to_vec(), b"sfo".to_vec()]);
    }

    #[test]
    fn a_connected_socket_hears_that_nobody_listens() {
        let gone = UdpSocket::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
        let near = Datagrams::connect(gone).unwrap();
        near.send(None, gone, b"anybody?").unwrap();
        readable(&near).unwrap();
        let error = near.receive(&mut Batch::default()).unwrap_err();
        assert_eq!(error.raw_os_error(), Some(libc::ECONNREFUSED));
    }
}
