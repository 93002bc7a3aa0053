//! UDP sockets that know to which address each datagram came, and answer from it.
//!
//! Many datagrams per call (recvmmsg(2), UDP_GRO, UDP_SEGMENT) where the system has it; quinn-udp
//! does the rest. What to answer is left to the machines of core.

use std::io::{self, IoSliceMut};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, RawFd};

use quinn_udp::{BATCH_SIZE, RecvMeta, Transmit, UdpSocketState};
use socket2::{Socket, Type};

use crate::failure::Failure;
use crate::net::listener;
use crate::net::send_batch::SendBatch;

/// Room for one datagram, or for as many as the kernel coalesced into one buffer (udp(7)).
///
/// More than 64 KiB, so that short datagrams at the beginning of each do not all fall into the
/// same set of the processor's caches.
const BUFFER: usize = 64 * 1024 + 320;

/// A bound UDP socket that does not block.
#[derive(Debug)]
pub struct Datagrams {
    socket: Socket,
    state: UdpSocketState,
    /// The longest segment that the kernel has not refused to cut from a longer buffer.
    segment_max: usize,
    trains_refused: u64,
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
        tell_only_the_needed(&socket, address).map_err(named("setsockopt IP_RECVTOS"))?;
        let segment_max = if state.max_gso_segments() > 1 { usize::MAX } else { 0 };
        Ok(Datagrams { socket, state, segment_max, trains_refused: 0 })
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

    /// Asks for room for so many bytes that have come and are not yet received (SO_RCVBUF,
    /// socket(7)), and says how many there are now. The kernel gives no more than
    /// net.core.rmem_max; Linux counts its own bookkeeping as well and doubles what it gives.
    pub fn ask_room(&self, bytes: usize) -> io::Result<usize> {
        self.socket.set_recv_buffer_size(bytes)?;
        self.room()
    }

    /// For how many bytes there is room that have come and are not yet received.
    pub fn room(&self) -> io::Result<usize> {
        self.socket.recv_buffer_size()
    }

    /// Receives what has come, up to a batch; WouldBlock if nothing has.
    ///
    /// Returns whether the batch was filled: if not, nothing more was there, and what comes later
    /// is a new event.
    pub fn receive(&self, batch: &mut Batch) -> io::Result<bool> {
        batch.filled = 0;
        let mut chunks = batch.storage.chunks_mut(BUFFER);
        let mut buffers: [IoSliceMut<'_>; BATCH_SIZE] =
            std::array::from_fn(|_| IoSliceMut::new(chunks.next().unwrap_or_default()));
        batch.filled = self.state.recv((&self.socket).into(), &mut buffers, &mut batch.metas)?;
        // Elsewhere one call brings one, whatever more there is.
        Ok(batch.filled == BATCH_SIZE || cfg!(not(target_os = "linux")))
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
    /// One call, whose error is the caller's to judge: for a client that is to stop where the
    /// kernel does. A server's [`Datagrams::send_batch`] is for many peers, none of which is to
    /// wait for another: there, what the kernel refuses is dropped and the rest goes on.
    ///
    /// EMSGSIZE or EINVAL when `length` is more than the path carries unfragmented, or when there
    /// are more than [`Datagrams::many_max`]; then nothing was sent.
    pub fn send_many(&self, to: SocketAddr, contents: &[u8], length: usize) -> io::Result<()> {
        let segment_size = Some(length);
        let transmit =
            Transmit { destination: to, ecn: None, contents, segment_size, src_ip: None };
        self.state.try_send((&self.socket).into(), &transmit)
    }

    /// Sends all of `batch`, in as few calls as the system allows; each datagram arrives as it
    /// would have by [`Datagrams::send`]. [`SendBatch::outcomes`] tells which were refused.
    pub fn send_batch(&mut self, batch: &mut SendBatch<'_>) {
        let (socket, state) = (&self.socket, &self.state);
        let mut singly = |from: Option<IpAddr>, to: SocketAddr, contents: &[u8]| {
            let transmit =
                Transmit { destination: to, ecn: None, contents, segment_size: None, src_ip: from };
            state.try_send(socket.into(), &transmit)
        };
        #[cfg(target_os = "linux")]
        {
            let (fd, most) = (socket.as_fd(), &mut self.segment_max);
            self.trains_refused += super::send_batch::send(fd, batch, most, &mut singly);
        }
        #[cfg(not(target_os = "linux"))]
        batch.send_singly(&mut singly);
    }

    /// How often the kernel refused to cut a buffer into datagrams, which then went one by one.
    pub fn trains_refused(&self) -> u64 {
        self.trains_refused
    }
}

impl AsFd for Datagrams {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.socket.as_fd()
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

/// Spares the kernel to tell, with each datagram, what nobody here asks for: when it came, its
/// traffic class, and, where the socket has one address only, to which it was sent.
#[cfg(target_os = "linux")]
fn tell_only_the_needed(socket: &Socket, address: SocketAddr) -> io::Result<()> {
    use crate::net::option::set_int;
    let socket = socket.as_fd();
    set_int(socket, libc::SOL_SOCKET, libc::SO_TIMESTAMPNS, 0)?;
    let (level, class, arrival) = match address {
        SocketAddr::V4(_) => (libc::IPPROTO_IP, libc::IP_RECVTOS, libc::IP_PKTINFO),
        SocketAddr::V6(_) => (libc::IPPROTO_IPV6, libc::IPV6_RECVTCLASS, libc::IPV6_RECVPKTINFO),
    };
    set_int(socket, level, class, 0)?;
    if !address.ip().is_unspecified() {
        set_int(socket, level, arrival, 0)?;
    }
    Ok(())
}

#[cfg(not(target_os = "linux"))]
fn tell_only_the_needed(_socket: &Socket, _address: SocketAddr) -> io::Result<()> {
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
    /// The address of ours they were sent to, where the socket has several and the system tells
    /// (IP_PKTINFO, ip(7)).
    pub local: Option<IpAddr>,
    /// Their bytes, one after the other.
    pub bytes: &'a mut [u8],
    /// The length of each but the last, which may be shorter.
    pub stride: usize,
}

impl Batch {
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
