//! Packets of an interface as the kernel sees them (packet(7)); Linux alone.
//!
//! A thread of its own empties a ring shared with the kernel and hands each packet on, whole or
//! cut, with the kernel's time stamp. Dissection is left to others.

mod ring;

use std::fmt;
use std::io;
use std::os::fd::{AsFd, AsRawFd, FromRawFd, OwnedFd};
use std::os::unix::net::UnixStream;
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use crate::net::poll::{Watch, wait};
use ring::Ring;

/// What to capture.
#[derive(Clone, Debug)]
pub struct Options {
    /// The interface's name: `lo`.
    pub interface: String,
    /// Bytes kept of each packet.
    pub bytes_max: u32,
    /// Memory shared with the kernel; what arrives when it is full is dropped, and counted.
    pub ring_bytes: usize,
}

/// A packet.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Packet {
    /// When the kernel received it, on CLOCK_REALTIME.
    pub realtime_ns: u64,
    /// Its length on the wire.
    pub length: u32,
    /// Which way it went.
    pub direction: Direction,
    /// Its first bytes, from the link layer's header on.
    pub bytes: Vec<u8>,
}

/// Which way a packet went (packet(7), sll_pkttype). On `lo` each is both sent and received; only
/// its receipt is reported.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Direction {
    /// Received, for this machine or for many.
    In,
    /// Sent by this machine.
    Out,
    /// Of others, seen by chance.
    Passing,
}

/// What a capture came to.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Totals {
    /// Packets handed on.
    pub packets: u64,
    /// Packets dropped because the ring was full (PACKET_STATISTICS).
    pub dropped: u64,
    /// Whether every packet that was on its way when the capture was stopped has been handed on.
    /// Known on `lo` only.
    pub complete: bool,
}

/// A step on the way to a capture.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Step {
    /// socket(AF_PACKET). EPERM: no CAP_NET_RAW here.
    Socket,
    /// The interface's number (ENODEV: there is none of that name).
    Interface,
    /// A socket option; its name in packet(7) or socket(7).
    Option(&'static str),
    /// Mapping the ring (mmap(2)).
    Map,
    /// bind(2) to the interface.
    Bind,
    /// The thread that reads.
    Thread,
}

/// The step at which the system refused.
#[derive(Debug)]
pub struct Refusal {
    /// What was tried.
    pub step: Step,
    /// What the kernel said.
    pub error: io::Error,
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let step = match self.step {
            Step::Socket => "socket(AF_PACKET)",
            Step::Interface => "number of the interface",
            Step::Option(name) => name,
            Step::Map => "mmap of the ring",
            Step::Bind => "bind to the interface",
            Step::Thread => "thread",
        };
        write!(f, "{step}: {}", crate::failure::describe(&self.error))
    }
}

impl std::error::Error for Refusal {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        Some(&self.error)
    }
}

fn at(step: Step) -> impl Fn(io::Error) -> Refusal {
    move |error| Refusal { step, error }
}

/// The EtherType reserved for experiments (IEEE 802, RFC 5342): that of our markers.
const MARKER_TYPE: [u8; 2] = [0x88, 0xb5];
/// Enough for the slowest machine to hand a packet from one end of `lo` to the other.
const MARKERS_WITHIN: Duration = Duration::from_secs(2);

/// A capture under way; dropped, it ends without its last packets.
#[derive(Debug)]
pub struct Capture {
    socket: Arc<OwnedFd>,
    index: i32,
    loopback: bool,
    /// Tells the thread to end.
    stop: UnixStream,
    cookie: [u8; 8],
    /// Hears from the thread of each marker, by its number.
    markers: std::sync::mpsc::Receiver<u16>,
    thread: Option<JoinHandle<io::Result<Totals>>>,
}

impl Capture {
    /// Starts to capture; `sink` is called for each packet, in order, on a thread of its own.
    pub fn start(
        options: &Options,
        sink: impl FnMut(Packet) + Send + 'static,
    ) -> Result<Capture, Refusal> {
        let socket = open()?;
        let index = index_of(&options.interface).map_err(at(Step::Interface))?;
        let loopback = options.interface == "lo";
        if loopback {
            let ignore = libc::PACKET_IGNORE_OUTGOING;
            set(&socket, libc::SOL_PACKET, ignore, &1_i32.to_ne_bytes(), "PACKET_IGNORE_OUTGOING")?;
        }
        cut(&socket, options.bytes_max)?;
        let ring = Ring::map(&socket, options.ring_bytes)?;
        bind(&socket, index).map_err(at(Step::Bind))?;
        let (stop, stopped) = UnixStream::pair().map_err(at(Step::Thread))?;
        let (heard, markers) = std::sync::mpsc::channel();
        let socket = Arc::new(socket);
        // Tells our markers from those of another capture.
        let cookie = crate::clock::stamp().monotonic_ns ^ u64::from(std::process::id()) << 40;
        let cookie = cookie.to_ne_bytes();
        let reader = Reader { socket: socket.clone(), ring, stopped, cookie, heard, sink };
        let thread = std::thread::Builder::new().name("capture".to_owned());
        let thread = thread.spawn(move || reader.run()).map_err(at(Step::Thread))?;
        Ok(Capture { socket, index, loopback, stop, cookie, markers, thread: Some(thread) })
    }

    /// Ends the capture once every packet sent before the call has been handed on.
    ///
    /// On `lo` that is known by markers: a packet of ours from each processor, behind whatever
    /// waits in its queue. On other interfaces nothing of ours may be sent; there what has arrived
    /// by now is handed on.
    pub fn stop(mut self) -> io::Result<Totals> {
        let complete = self.loopback && self.fence().unwrap_or(false);
        self.stop.shutdown(std::net::Shutdown::Both)?;
        let Some(thread) = self.thread.take() else { return Ok(Totals::default()) };
        let totals =
            thread.join().map_err(|_| io::Error::other("the capture thread panicked"))??;
        Ok(Totals { complete, ..totals })
    }

    /// Whether the markers of all processors came back.
    fn fence(&self) -> io::Result<bool> {
        let mut missing = Vec::new();
        let before = affinity()?;
        for number in 0..libc::CPU_SETSIZE {
            let Ok(processor) = usize::try_from(number) else { continue };
            // SAFETY: the number is below the set's size.
            if unsafe { libc::CPU_ISSET(processor, &before) } && pin(processor).is_ok() {
                let number = u16::try_from(number).map_err(io::Error::other)?;
                self.mark(number)?;
                missing.push(number);
            }
        }
        restore(&before)?;
        let until = Instant::now() + MARKERS_WITHIN;
        while !missing.is_empty() {
            let left = until.saturating_duration_since(Instant::now());
            match self.markers.recv_timeout(left) {
                Ok(number) => missing.retain(|other| *other != number),
                Err(_) => return Ok(false),
            }
        }
        Ok(true)
    }

    fn mark(&self, number: u16) -> io::Result<()> {
        let mut frame = vec![0_u8; 12];
        frame.extend(MARKER_TYPE);
        frame.extend(self.cookie);
        frame.extend(number.to_be_bytes());
        let to = link_address(self.index);
        let size = libc::socklen_t::try_from(size_of_val(&to)).map_err(io::Error::other)?;
        // SAFETY: the buffer and the address live for the call and have the sizes given.
        let sent = unsafe {
            let (data, length) = (frame.as_ptr().cast(), frame.len());
            libc::sendto(self.socket.as_raw_fd(), data, length, 0, (&raw const to).cast(), size)
        };
        if sent < 0 { Err(io::Error::last_os_error()) } else { Ok(()) }
    }
}

impl Drop for Capture {
    fn drop(&mut self) {
        // Ends the thread if `stop` has not; it owns all it uses.
        drop(self.stop.shutdown(std::net::Shutdown::Both));
    }
}

struct Reader<S> {
    socket: Arc<OwnedFd>,
    ring: Ring,
    stopped: UnixStream,
    cookie: [u8; 8],
    heard: std::sync::mpsc::Sender<u16>,
    sink: S,
}

impl<S: FnMut(Packet)> Reader<S> {
    fn run(mut self) -> io::Result<Totals> {
        let mut packets = 0;
        loop {
            let Reader { ring, cookie, heard, sink, .. } = &mut self;
            let handed = ring.take(|packet| match marker(&packet.bytes, *cookie) {
                Some(number) => {
                    // Nobody listens any more once enough markers have come.
                    let _ = heard.send(number);
                }
                None => {
                    packets += 1;
                    sink(packet);
                }
            });
            if handed {
                continue;
            }
            let mut watches = [
                Watch::new(self.socket.as_fd(), true, false),
                Watch::new(self.stopped.as_fd(), true, false),
            ];
            wait(&mut watches, None)?;
            let [arrived, stopped] = watches;
            if stopped.readable && !arrived.readable {
                let dropped = ring::dropped(&self.socket)?;
                return Ok(Totals { packets, dropped, complete: false });
            }
        }
    }
}

/// The number of a marker, if it is one of ours. Packets that were cut short are none.
fn marker(bytes: &[u8], cookie: [u8; 8]) -> Option<u16> {
    let rest = bytes.get(12..)?.strip_prefix(&MARKER_TYPE)?.strip_prefix(&cookie)?;
    let number = rest.first_chunk()?;
    Some(u16::from_be_bytes(*number))
}

/// Whether this process may open a packet socket here.
pub fn permitted() -> Result<(), Refusal> {
    open().map(drop)
}

fn open() -> Result<OwnedFd, Refusal> {
    // Protocol 0: nothing arrives until it is bound.
    // SAFETY: takes numbers only.
    let socket = unsafe { libc::socket(libc::AF_PACKET, libc::SOCK_RAW | libc::SOCK_CLOEXEC, 0) };
    if socket < 0 {
        return Err(at(Step::Socket)(io::Error::last_os_error()));
    }
    // SAFETY: the kernel just gave us this descriptor, and nothing else owns it.
    Ok(unsafe { OwnedFd::from_raw_fd(socket) })
}

fn index_of(name: &str) -> io::Result<i32> {
    let index = nix::net::if_::if_nametoindex(name)?;
    i32::try_from(index).map_err(io::Error::other)
}

/// Cuts packets in the kernel: a filter (socket(7), SO_ATTACH_FILTER) that answers with a length.
/// Markers must survive it whole.
fn cut(socket: &OwnedFd, bytes_max: u32) -> Result<(), Refusal> {
    let bytes = bytes_max.max(64);
    let code = u16::try_from(libc::BPF_RET | libc::BPF_K).unwrap_or_default();
    let line = libc::sock_filter { code, jt: 0, jf: 0, k: bytes };
    let program = libc::sock_fprog { len: 1, filter: (&raw const line).cast_mut() };
    set_value(socket, libc::SOL_SOCKET, libc::SO_ATTACH_FILTER, &program)
        .map_err(at(Step::Option("SO_ATTACH_FILTER")))
}

fn set(
    socket: &OwnedFd,
    level: libc::c_int,
    name: libc::c_int,
    value: &[u8; 4],
    words: &'static str,
) -> Result<(), Refusal> {
    set_value(socket, level, name, value).map_err(at(Step::Option(words)))
}

/// Sets an option whose value is a C structure, or bytes.
fn set_value<T>(
    socket: &OwnedFd,
    level: libc::c_int,
    name: libc::c_int,
    value: &T,
) -> io::Result<()> {
    let size = libc::socklen_t::try_from(size_of::<T>()).map_err(io::Error::other)?;
    let at = std::ptr::from_ref(value).cast();
    // SAFETY: pointer and size describe `value`, which outlives the call, as does what it points
    // to.
    let result = unsafe { libc::setsockopt(socket.as_raw_fd(), level, name, at, size) };
    if result == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
}

fn link_address(index: i32) -> libc::sockaddr_ll {
    // SAFETY: a plain C struct, for which all zeros is a valid value.
    let mut address: libc::sockaddr_ll = unsafe { std::mem::zeroed() };
    address.sll_family = u16::try_from(libc::AF_PACKET).unwrap_or_default();
    address.sll_protocol = u16::try_from(libc::ETH_P_ALL).unwrap_or_default().to_be();
    address.sll_ifindex = index;
    address.sll_halen = 6;
    address
}

fn bind(socket: &OwnedFd, index: i32) -> io::Result<()> {
    let address = link_address(index);
    let size = libc::socklen_t::try_from(size_of_val(&address)).map_err(io::Error::other)?;
    // SAFETY: the address lives for the call and has the size given.
    let result = unsafe { libc::bind(socket.as_raw_fd(), (&raw const address).cast(), size) };
    if result == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
}

/// The processors this thread may run on.
fn affinity() -> io::Result<libc::cpu_set_t> {
    // SAFETY: a plain C struct, for which all zeros is a valid value.
    let mut set: libc::cpu_set_t = unsafe { std::mem::zeroed() };
    // SAFETY: the kernel writes one set, through a pointer that lives for the call.
    let result = unsafe { libc::sched_getaffinity(0, size_of_val(&set), &raw mut set) };
    if result == 0 { Ok(set) } else { Err(io::Error::last_os_error()) }
}

fn pin(processor: usize) -> io::Result<()> {
    // SAFETY: a plain C struct, for which all zeros is a valid value.
    let mut set: libc::cpu_set_t = unsafe { std::mem::zeroed() };
    // SAFETY: the number comes from a set of the same size.
    unsafe { libc::CPU_SET(processor, &mut set) };
    restore(&set)
}

fn restore(set: &libc::cpu_set_t) -> io::Result<()> {
    // SAFETY: the kernel reads one set, through a pointer that lives for the call.
    let result = unsafe { libc::sched_setaffinity(0, size_of_val(set), set) };
    if result == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_our_own_markers_are_taken_out() {
        let cookie = *b"12345678";
        let mut frame = vec![0; 12];
        frame.extend(MARKER_TYPE);
        frame.extend(cookie);
        frame.extend([1, 2]);
        assert_eq!(marker(&frame, cookie), Some(0x0102));
        assert_eq!(marker(&frame, *b"12345679"), None);
        for length in 0..frame.len() {
            assert_eq!(marker(&frame[..length], cookie), None);
        }
    }
}
