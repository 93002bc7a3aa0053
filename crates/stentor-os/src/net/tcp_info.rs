//! What the kernel knows of a TCP connection (TCP_INFO, tcp(7)); Linux alone.

use std::io;
use std::mem;
use std::os::fd::{AsFd, AsRawFd};
use std::time::Duration;

/// The facts of one connection at the moment they were asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TcpInfo {
    /// Where in its life the connection is.
    pub state: State,
    /// Smoothed round trip time (RFC 6298), in the kernel's microseconds.
    pub rtt: Duration,
    /// Its variation.
    pub rtt_variation: Duration,
    /// Maximum segment size for sending, in bytes.
    pub segment_bytes_max: u32,
    /// Congestion window, in segments.
    pub congestion_window: u32,
    /// Segments sent a second time, over the whole connection.
    pub retransmitted: u32,
    /// What newer kernels add (Linux 4.6); `None` before.
    pub counters: Option<Counters>,
    /// The windows of both directions (Linux 6.2); `None` before.
    pub windows: Option<Windows>,
}

/// How much each end lets the other send, as last said; 0 stops it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Windows {
    /// What the peer offers to us, in bytes.
    pub peer_bytes: u32,
    /// What we offer to the peer, in bytes.
    pub own_bytes: u32,
    /// How long the peer's window, and nothing else, has kept us from sending.
    pub held_back: Duration,
}

/// Totals of one connection (RFC 4898).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Counters {
    /// Bytes sent that the peer has acknowledged; its SYN and FIN count one each.
    pub bytes_acknowledged: u64,
    /// Bytes received from the peer; its FIN counts one.
    pub bytes_received: u64,
    /// Segments sent, with SYN, ACK and FIN.
    pub segments_out: u32,
    /// Segments received.
    pub segments_in: u32,
    /// Segments received that carried data.
    pub data_segments_in: u32,
    /// Segments sent that carried data.
    pub data_segments_out: u32,
    /// The smallest round trip seen.
    pub rtt_min: Duration,
}

/// The states of a TCP connection (RFC 9293, section 3.3.2), numbered as Linux does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[allow(missing_docs, reason = "the names are the documentation")]
pub enum State {
    Established,
    SynSent,
    SynReceived,
    FinWait1,
    FinWait2,
    TimeWait,
    Closed,
    CloseWait,
    LastAck,
    Listen,
    Closing,
    /// A number this program does not know.
    Other(u8),
}

impl State {
    fn of(number: u8) -> State {
        match number {
            1 => State::Established,
            2 => State::SynSent,
            3 => State::SynReceived,
            4 => State::FinWait1,
            5 => State::FinWait2,
            6 => State::TimeWait,
            7 => State::Closed,
            8 => State::CloseWait,
            9 => State::LastAck,
            10 => State::Listen,
            11 => State::Closing,
            other => State::Other(other),
        }
    }

    /// The name in the words of RFC 9293: `ESTABLISHED`, `FIN-WAIT-2`.
    pub fn name(self) -> &'static str {
        match self {
            State::Established => "ESTABLISHED",
            State::SynSent => "SYN-SENT",
            State::SynReceived => "SYN-RECEIVED",
            State::FinWait1 => "FIN-WAIT-1",
            State::FinWait2 => "FIN-WAIT-2",
            State::TimeWait => "TIME-WAIT",
            State::Closed => "CLOSED",
            State::CloseWait => "CLOSE-WAIT",
            State::LastAck => "LAST-ACK",
            State::Listen => "LISTEN",
            State::Closing => "CLOSING",
            State::Other(_) => "unknown",
        }
    }
}

/// `struct tcp_info` of linux/tcp.h as far as it is read here; libc's ends at `total_retrans`.
#[repr(C)]
#[derive(Default)]
struct Raw {
    /// state, ca_state, retransmits, probes, backoff, options, window scales, flags
    bytes: [u8; 8],
    /// rto, ato, snd_mss, rcv_mss
    segment: [u32; 4],
    /// unacked, sacked, lost, retrans, fackets
    packets: [u32; 5],
    /// last_data_sent, last_ack_sent, last_data_recv, last_ack_recv
    last: [u32; 4],
    pmtu: u32,
    rcv_ssthresh: u32,
    rtt: u32,
    rttvar: u32,
    snd_ssthresh: u32,
    snd_cwnd: u32,
    advmss: u32,
    reordering: u32,
    rcv_rtt: u32,
    rcv_space: u32,
    total_retrans: u32,
    pacing_rate: u64,
    max_pacing_rate: u64,
    bytes_acked: u64,
    bytes_received: u64,
    segs_out: u32,
    segs_in: u32,
    notsent_bytes: u32,
    min_rtt: u32,
    data_segs_in: u32,
    data_segs_out: u32,
    delivery_rate: u64,
    busy_time: u64,
    rwnd_limited: u64,
    sndbuf_limited: u64,
    delivered: u32,
    delivered_ce: u32,
    bytes_sent: u64,
    bytes_retrans: u64,
    dsack_dups: u32,
    reord_seen: u32,
    rcv_ooopack: u32,
    snd_wnd: u32,
    rcv_wnd: u32,
    rehash: u32,
}

/// Where the fields end that Linux 4.6 has.
const COUNTED: usize = mem::offset_of!(Raw, delivery_rate);
/// Where those end that Linux 6.2 has.
const WINDOWED: usize = mem::offset_of!(Raw, rehash);

/// Asks the kernel about a connection. ENOPROTOOPT or EOPNOTSUPP if the socket is not TCP.
pub fn tcp_info(socket: impl AsFd) -> io::Result<TcpInfo> {
    let mut raw = Raw::default();
    let mut length = libc::socklen_t::try_from(mem::size_of::<Raw>()).map_err(io::Error::other)?;
    // SAFETY: the kernel writes at most `length` bytes into `raw`, a plain C struct of that size
    // for which every bit pattern is valid; the descriptor is borrowed for the call.
    let result = unsafe {
        libc::getsockopt(
            socket.as_fd().as_raw_fd(),
            libc::IPPROTO_TCP,
            libc::TCP_INFO,
            (&raw mut raw).cast(),
            &mut length,
        )
    };
    if result != 0 {
        return Err(io::Error::last_os_error());
    }
    let written = usize::try_from(length).unwrap_or(0);
    if written < mem::offset_of!(Raw, pacing_rate) {
        return Err(io::Error::other(format!("TCP_INFO of only {written} bytes")));
    }
    let us = |microseconds: u32| Duration::from_micros(microseconds.into());
    let counters = (written >= COUNTED).then(|| Counters {
        bytes_acknowledged: raw.bytes_acked,
        bytes_received: raw.bytes_received,
        segments_out: raw.segs_out,
        segments_in: raw.segs_in,
        data_segments_in: raw.data_segs_in,
        data_segments_out: raw.data_segs_out,
        rtt_min: us(raw.min_rtt),
    });
    let windows = (written >= WINDOWED).then(|| Windows {
        peer_bytes: raw.snd_wnd,
        own_bytes: raw.rcv_wnd,
        held_back: Duration::from_micros(raw.rwnd_limited),
    });
    let [state, ..] = raw.bytes;
    let [_, _, segment_bytes_max, _] = raw.segment;
    Ok(TcpInfo {
        state: State::of(state),
        rtt: us(raw.rtt),
        rtt_variation: us(raw.rttvar),
        segment_bytes_max,
        congestion_window: raw.snd_cwnd,
        retransmitted: raw.total_retrans,
        counters,
        windows,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::{Read, Write};
    use std::net::{Shutdown, TcpListener, TcpStream, UdpSocket};

    #[test]
    fn the_layout_is_the_kernels() {
        assert_eq!(mem::offset_of!(Raw, rtt), 68);
        assert_eq!(mem::offset_of!(Raw, total_retrans), 100);
        assert_eq!(mem::offset_of!(Raw, bytes_acked), 120);
        assert_eq!(COUNTED, 160);
        assert_eq!(mem::offset_of!(Raw, rwnd_limited), 176);
        assert_eq!(mem::offset_of!(Raw, snd_wnd), 228);
        assert_eq!(WINDOWED, 236);
    }

    #[test]
    fn a_peer_that_does_not_read_closes_its_window() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let mut sender = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
        let (mut reader, _) = listener.accept().unwrap();
        let windows = |stream: &TcpStream| tcp_info(stream).unwrap().windows;
        let Some(before) = windows(&sender) else {
            eprintln!("skipped: this kernel does not tell of windows (Linux 6.2 does)");
            return;
        };
        assert!(before.peer_bytes > 0 && before.own_bytes > 0, "{before:?}");
        sender.set_nonblocking(true).unwrap();
        let (block, mut written) = ([0; 65536], 0);
        while windows(&sender).unwrap().peer_bytes > 0 {
            written += sender.write(&block).unwrap_or(0);
        }
        assert_eq!(windows(&reader).unwrap().own_bytes, 0);
        // What the sender was held back for is read to the last byte, and the window opens.
        sender.set_nonblocking(false).unwrap();
        sender.shutdown(Shutdown::Write).unwrap();
        assert_eq!(io::copy(&mut reader, &mut io::sink()).unwrap(), written as u64);
        assert!(windows(&reader).unwrap().own_bytes > 0);
    }

    #[test]
    fn a_sentence_is_counted_and_its_states_are_seen() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        assert_eq!(tcp_info(&listener).unwrap().state, State::Listen);
        let mut client = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
        let (mut server, _) = listener.accept().unwrap();
        client.write_all(b"hello").unwrap();
        let mut five = [0; 5];
        server.read_exact(&mut five).unwrap();
        server.write_all(b"HELLO").unwrap();
        client.read_exact(&mut five).unwrap();
        let info = tcp_info(&client).unwrap();
        assert_eq!(info.state.name(), "ESTABLISHED");
        let counters = info.counters.unwrap();
        assert_eq!((counters.data_segments_out, counters.data_segments_in), (1, 1));
        assert_eq!(counters.bytes_received, 5);
        // SYN, ACK, data at least.
        assert!(counters.segments_out >= 3, "{counters:?}");
        assert!(info.rtt > Duration::ZERO && info.segment_bytes_max > 0, "{info:?}");
        server.shutdown(Shutdown::Write).unwrap();
        assert_eq!(client.read(&mut five).unwrap(), 0);
        assert_eq!(tcp_info(&client).unwrap().state, State::CloseWait);
    }

    #[test]
    fn a_datagram_socket_has_no_connection() {
        assert!(tcp_info(UdpSocket::bind("127.0.0.1:0").unwrap()).is_err());
    }
}
