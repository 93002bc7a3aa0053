//! sendmmsg(2), with UDP_SEGMENT and the address to send from as control messages (cmsg(3)).

use std::ffi::c_int;
use std::io;
use std::net::IpAddr;
use std::os::fd::{AsRawFd, BorrowedFd};

use socket2::SockAddr;

use super::{SendBatch, Train};

/// Trains handed over in one call.
const TRAINS_PER_CALL: usize = 64;
/// Room for the control messages of one train, in words: 24 bytes for a u16, 40 for in6_pktinfo.
const CONTROL_WORDS: usize = 8;

/// One by one, where the kernel does not take a train.
type Singly<'a> = &'a mut dyn FnMut(Option<IpAddr>, std::net::SocketAddr, &[u8]) -> io::Result<()>;

/// Sends all of `batch`. `segment_max` is the longest segment that the kernel has not refused to
/// cut: it is lowered when one is refused, and such datagrams go through `singly`. Returns how
/// many trains were refused for being trains.
pub(in crate::net) fn send(
    socket: BorrowedFd<'_>,
    batch: &mut SendBatch<'_>,
    segment_max: &mut usize,
    singly: Singly<'_>,
) -> u64 {
    let trains = std::mem::take(&mut batch.trains);
    let mut singly = singly;
    let (mut rest, mut refused) = (trains.as_slice(), 0);
    while let [train, after @ ..] = rest {
        let fits = |train: &&Train| train.count == 1 || train.segment <= *segment_max;
        let together = rest.iter().take(TRAINS_PER_CALL).take_while(fits).count();
        if together == 0 || (rest.len() == 1 && train.count == 1) {
            // One datagram alone needs none of what follows.
            batch.send_train_singly(train, &mut singly);
            rest = after;
            continue;
        }
        match send_some(socket, batch, rest.get(..together).unwrap_or_default()) {
            Ok(sent) => rest = rest.get(sent.max(1)..).unwrap_or_default(),
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => {
                if let Some(most) = after_refusal(&error, train) {
                    *segment_max = (*segment_max).min(most);
                    refused += 1;
                    batch.send_train_singly(train, &mut singly);
                } else {
                    batch.refuse(train);
                }
                rest = after;
            }
        }
    }
    batch.trains = trains;
    refused
}

/// What an error says about trains: the longest segment still worth trying. `None`: nothing, the
/// datagrams would have failed one by one as well.
///
/// As net/ipv4/udp.c has it: EIO where the checksum cannot be left to the device, EINVAL (later
/// EMSGSIZE) where a segment does not fit the path's MTU.
fn after_refusal(error: &io::Error, train: &Train) -> Option<usize> {
    match error.raw_os_error().filter(|_| train.count > 1) {
        Some(libc::EIO | libc::EOPNOTSUPP | libc::ENOPROTOOPT) => Some(0),
        Some(libc::EINVAL | libc::EMSGSIZE) => Some(train.segment - 1),
        _ => None,
    }
}

/// Hands `trains` over in one call; returns how many the kernel took.
fn send_some(socket: BorrowedFd<'_>, batch: &SendBatch<'_>, trains: &[Train]) -> io::Result<usize> {
    let addresses: Vec<SockAddr> = trains.iter().map(|train| SockAddr::from(train.to)).collect();
    let mut controls = vec![[0_u64; CONTROL_WORDS]; trains.len()];
    let mut parts: Vec<libc::iovec> = Vec::with_capacity(batch.lots.len());
    let mut headers: Vec<libc::mmsghdr> = Vec::with_capacity(trains.len());
    for ((train, address), control) in trains.iter().zip(&addresses).zip(&mut controls) {
        let first = parts.len();
        add_parts(&mut parts, first, batch, train);
        // SAFETY: all zeros are a valid header: null pointers, each of length 0.
        let mut header: libc::msghdr = unsafe { std::mem::zeroed() };
        header.msg_name = address.as_ptr().cast_mut().cast();
        header.msg_namelen = address.len();
        // Which part is the first is filled in below, when the list no longer moves.
        header.msg_iovlen = parts.len() - first;
        add_control(&mut header, control, train);
        headers.push(libc::mmsghdr { msg_hdr: header, msg_len: 0 });
    }
    let mut rest = parts.as_mut_slice();
    for header in &mut headers {
        header.msg_hdr.msg_iov = rest.as_mut_ptr();
        rest = rest.get_mut(header.msg_hdr.msg_iovlen..).unwrap_or_default();
    }
    let count = u32::try_from(headers.len()).unwrap_or(u32::MAX);
    // SAFETY: each header points to an address, parts and control messages of the lengths beside
    // them, in lists that live until the end of this function and are no longer changed; the parts
    // point into `batch`, which is borrowed; the kernel only reads them (sendmmsg(2)) and writes
    // `msg_len`.
    let sent = unsafe { libc::sendmmsg(socket.as_raw_fd(), headers.as_mut_ptr(), count, 0) };
    usize::try_from(sent).map_err(|_| io::Error::last_os_error())
}

/// Adds where a train's bytes are: one part for all that lie one behind the other.
fn add_parts(parts: &mut Vec<libc::iovec>, first: usize, batch: &SendBatch<'_>, train: &Train) {
    let mut end = std::ptr::null();
    for (_, contents) in batch.of(train) {
        match parts.get_mut(first..).and_then(<[libc::iovec]>::last_mut) {
            Some(part) if contents.as_ptr() == end => part.iov_len += contents.len(),
            _ => parts.push(libc::iovec {
                iov_base: contents.as_ptr().cast_mut().cast(),
                iov_len: contents.len(),
            }),
        }
        end = contents.as_ptr_range().end;
    }
}

/// Lets `header` tell how a train is to be cut, and from which address it is sent.
fn add_control(header: &mut libc::msghdr, room: &mut [u64; CONTROL_WORDS], train: &Train) {
    header.msg_control = room.as_mut_ptr().cast();
    header.msg_controllen = 0;
    if train.count > 1 {
        let segment = u16::try_from(train.segment).unwrap_or(u16::MAX);
        push_control(header, libc::SOL_UDP, libc::UDP_SEGMENT, segment);
    }
    match train.from {
        None => {}
        Some(IpAddr::V4(from)) => {
            let source = libc::in_addr { s_addr: u32::from_ne_bytes(from.octets()) };
            let info = libc::in_pktinfo {
                ipi_ifindex: 0,
                ipi_spec_dst: source,
                ipi_addr: libc::in_addr { s_addr: 0 },
            };
            push_control(header, libc::IPPROTO_IP, libc::IP_PKTINFO, info);
        }
        Some(IpAddr::V6(from)) => {
            let source = libc::in6_addr { s6_addr: from.octets() };
            let info = libc::in6_pktinfo { ipi6_addr: source, ipi6_ifindex: 0 };
            push_control(header, libc::IPPROTO_IPV6, libc::IPV6_PKTINFO, info);
        }
    }
}

/// Appends a control message; `header` has room for it.
fn push_control<T: Copy>(header: &mut libc::msghdr, level: c_int, kind: c_int, value: T) {
    let size = u32::try_from(size_of::<T>()).unwrap_or(u32::MAX);
    let used = header.msg_controllen;
    // SAFETY: these only compute sizes (cmsg(3)).
    let (space, len) = unsafe { (libc::CMSG_SPACE(size), libc::CMSG_LEN(size)) };
    let space = usize::try_from(space).unwrap_or(usize::MAX);
    if used.saturating_add(space) > CONTROL_WORDS * size_of::<u64>() {
        // Never with the two messages above; without one, the kernel would say so.
        return;
    }
    // SAFETY: `msg_control` points to CONTROL_WORDS aligned words, of which `used` bytes are
    // filled and `space` more are free, as was just tested; CMSG_SPACE keeps each message aligned.
    unsafe {
        let message = header.msg_control.cast::<u8>().add(used).cast::<libc::cmsghdr>();
        (*message).cmsg_level = level;
        (*message).cmsg_type = kind;
        (*message).cmsg_len = usize::try_from(len).unwrap_or_default();
        libc::CMSG_DATA(message).cast::<T>().write_unaligned(value);
    }
    header.msg_controllen = used + space;
}
