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
    let data = (&raw mut setting).cast();
    let mut request = request(libc::__c_anonymous_ifr_ifru { ifru_data: data });
    control(socket, SIOCETHTOOL, &mut request)
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
