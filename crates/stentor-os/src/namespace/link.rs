//! The loopback interface: up, and with the manners of a wire (netdevice(7), linux/ethtool.h).
//!
//! By ioctl: no command outside this program is run.

use std::io;
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd};

use super::{Refusal, Step, at};

/// How the loopback interface cuts what is sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Wire {
    /// As Ethernet does: at most 1500 bytes a packet, cut before they are seen.
    Ethernet,
    /// As the kernel sets it up: 65536 bytes, large segments left whole.
    Raw,
}

const ETHERNET_MTU_BYTES: libc::c_int = 1500;
const ETHTOOL_SET_TSO: u32 = 0x1f;
const ETHTOOL_SET_GSO: u32 = 0x24;
const ETHTOOL_SET_GRO: u32 = 0x2c;

const ETHTOOL_GET_STRINGS: u32 = 0x1b;
const ETHTOOL_GET_STRING_COUNTS: u32 = 0x37;
const ETHTOOL_SET_FEATURES: u32 = 0x3b;
/// The set of strings that names the features, and how long each name is.
const FEATURE_NAMES: u32 = 4;
const NAME_BYTES: usize = 32;

/// `struct ethtool_value`.
#[repr(C)]
struct Setting {
    command: u32,
    data: u32,
}

pub(super) fn prepare_loopback(wire: Wire) -> Result<(), Refusal> {
    let socket = control_socket().map_err(at(Step::ControlSocket))?;
    if wire == Wire::Ethernet {
        set_mtu(&socket, ETHERNET_MTU_BYTES).map_err(at(Step::LoopbackMtu))?;
        // Checksums stay: lo has no switch for them, and leaves them half computed.
        for command in [ETHTOOL_SET_TSO, ETHTOOL_SET_GSO, ETHTOOL_SET_GRO] {
            switch_off(&socket, command).map_err(at(Step::LoopbackOffloads))?;
        }
        // UDP_SEGMENT has no number of its own, only a name; kernels before 4.18 do not know it.
        switch_off_by_name(&socket, b"tx-udp-segmentation").map_err(at(Step::LoopbackOffloads))?;
    }
    set_up(&socket).map_err(at(Step::LoopbackUp))
}

fn control_socket() -> io::Result<OwnedFd> {
    // SAFETY: takes numbers only.
    let socket = unsafe { libc::socket(libc::AF_INET, libc::SOCK_DGRAM | libc::SOCK_CLOEXEC, 0) };
    if socket < 0 {
        return Err(io::Error::last_os_error());
    }
    // SAFETY: the kernel just gave us this descriptor, and nothing else owns it.
    Ok(unsafe { OwnedFd::from_raw_fd(socket) })
}

fn request(content: libc::__c_anonymous_ifr_ifru) -> libc::ifreq {
    // SAFETY: a plain C struct, for which all zeros is a valid value.
    let mut request: libc::ifreq = unsafe { std::mem::zeroed() };
    for (place, letter) in request.ifr_name.iter_mut().zip(b"lo") {
        *place = libc::c_char::from_ne_bytes([*letter]);
    }
    request.ifr_ifru = content;
    request
}

fn control(socket: &OwnedFd, number: libc::c_ulong, request: &mut libc::ifreq) -> io::Result<()> {
    // The parameter's type differs between C libraries.
    let number = libc::Ioctl::try_from(number).map_err(io::Error::other)?;
    // SAFETY: each request used here reads and writes one ifreq, which lives for the call; where
    // it carries a pointer, its maker keeps what it points to alive.
    let result = unsafe { libc::ioctl(socket.as_raw_fd(), number, &raw mut *request) };
    if result == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
}

fn set_mtu(socket: &OwnedFd, bytes: libc::c_int) -> io::Result<()> {
    let mut request = request(libc::__c_anonymous_ifr_ifru { ifru_mtu: bytes });
    control(socket, libc::SIOCSIFMTU, &mut request)
}

fn switch_off(socket: &OwnedFd, command: u32) -> io::Result<()> {
    let mut setting = Setting { command, data: 0 };
    ethtool(socket, (&raw mut setting).cast())
}

/// `command` points to the structure of an ethtool command, alive and as long as it says.
fn ethtool(socket: &OwnedFd, command: *mut libc::c_char) -> io::Result<()> {
    let mut request = request(libc::__c_anonymous_ifr_ifru { ifru_data: command });
    control(socket, SIOCETHTOOL, &mut request)
}

/// Switches a feature off if the kernel knows its name (linux/ethtool.h, ETHTOOL_SFEATURES).
fn switch_off_by_name(socket: &OwnedFd, name: &[u8]) -> io::Result<()> {
    // struct ethtool_sset_info: command, padding, a mask of sets of two words, a count for each.
    let mut counts = [ETHTOOL_GET_STRING_COUNTS, 0, 0, 0, 0];
    // A 64-bit mask, in two words.
    let low = if cfg!(target_endian = "little") { 2 } else { 3 };
    if let Some(mask) = counts.get_mut(low) {
        *mask = 1 << FEATURE_NAMES;
    }
    ethtool(socket, counts.as_mut_ptr().cast())?;
    let [.., count] = counts;
    let bytes = usize::try_from(count).map_err(io::Error::other)? * NAME_BYTES;
    // struct ethtool_gstrings: command, set, count, names.
    let mut names = vec![ETHTOOL_GET_STRINGS, FEATURE_NAMES, count];
    let heading = names.len();
    names.resize(heading + bytes / size_of::<u32>(), 0);
    ethtool(socket, names.as_mut_ptr().cast())?;
    let text: Vec<u8> = names.iter().skip(heading).flat_map(|word| word.to_ne_bytes()).collect();
    let called = |text: &[u8]| text.split(|byte| *byte == 0).next() == Some(name);
    let Some(bit) = text.chunks(NAME_BYTES).position(called) else { return Ok(()) };
    // struct ethtool_sfeatures: command, count of blocks; a block: valid, requested.
    let blocks = count.div_ceil(u32::BITS);
    let mut change = vec![ETHTOOL_SET_FEATURES, blocks];
    for block in 0..blocks {
        let bit = u32::try_from(bit).map_err(io::Error::other)?;
        let here = bit / u32::BITS == block;
        change.extend([if here { 1 << (bit % u32::BITS) } else { 0 }, 0]);
    }
    ethtool(socket, change.as_mut_ptr().cast())
}

/// linux/sockios.h; libc has it for Android alone.
const SIOCETHTOOL: libc::c_ulong = 0x8946;

fn set_up(socket: &OwnedFd) -> io::Result<()> {
    let mut request = request(libc::__c_anonymous_ifr_ifru { ifru_flags: 0 });
    control(socket, libc::SIOCGIFFLAGS, &mut request)?;
    // SAFETY: SIOCGIFFLAGS has just written this member of the union.
    let flags = unsafe { request.ifr_ifru.ifru_flags };
    let up = libc::c_short::try_from(libc::IFF_UP).map_err(io::Error::other)?;
    request.ifr_ifru = libc::__c_anonymous_ifr_ifru { ifru_flags: flags | up };
    control(socket, libc::SIOCSIFFLAGS, &mut request)
}
