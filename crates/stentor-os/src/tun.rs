//! A network interface whose packets come to this program, and leave it (TUN; Linux,
//! Documentation/networking/tuntap).
//!
//! What the kernel sends through it is read, one IP packet at a time, whole and with finished
//! checksums; what is written arrives there as if from a wire. Addresses and routes are given by
//! [`crate::namespace::Tables`].

use std::fs::OpenOptions;
use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd, RawFd};
use std::os::unix::fs::OpenOptionsExt;

use crate::namespace::{Refusal, Step, at};

/// The device that makes such interfaces.
const DEVICE: &str = "/dev/net/tun";

/// An interface of ours; it is gone when this is dropped.
///
/// It stays in the network namespace in which it was made, and is read and written from any.
#[derive(Debug)]
pub struct Tun {
    device: OwnedFd,
    index: u32,
}

impl Tun {
    /// Makes an interface in this thread's network namespace, without addresses and not yet up.
    ///
    /// Needs CAP_NET_ADMIN there, and the right to open the device file.
    pub fn make(name: &str) -> Result<Tun, Refusal> {
        let device = OpenOptions::new()
            .read(true)
            .write(true)
            .custom_flags(libc::O_NONBLOCK)
            .open(DEVICE)
            .map_err(at(Step::OpenTun))?;
        attach(device.as_raw_fd(), name).map_err(at(Step::MakeTun))?;
        let index = nix::net::if_::if_nametoindex(name);
        let index = index.map_err(|errno| at(Step::MakeTun)(errno.into()))?;
        Ok(Tun { device: device.into(), index })
    }

    /// The number of the interface in its namespace.
    pub fn index(&self) -> u32 {
        self.index
    }

    /// Reads the next packet that the kernel sent; WouldBlock: none waits. One longer than the
    /// buffer loses its end.
    pub fn read(&self, packet: &mut [u8]) -> io::Result<usize> {
        Ok(nix::unistd::read(&self.device, packet)?)
    }

    /// Lets a packet arrive. EINVAL: it does not begin like one of IPv4 or IPv6. EIO: the interface
    /// is not up.
    pub fn write(&self, packet: &[u8]) -> io::Result<usize> {
        Ok(nix::unistd::write(&self.device, packet)?)
    }
}

fn attach(device: RawFd, name: &str) -> io::Result<()> {
    // SAFETY: a plain C struct, for which all zeros is a valid value.
    let mut request: libc::ifreq = unsafe { std::mem::zeroed() };
    // The last place stays zero: it ends the name.
    if name.len() >= request.ifr_name.len() {
        return Err(io::Error::from_raw_os_error(libc::ENAMETOOLONG));
    }
    for (place, letter) in request.ifr_name.iter_mut().zip(name.bytes()) {
        *place = libc::c_char::from_ne_bytes([letter]);
    }
    let flags =
        libc::c_short::try_from(libc::IFF_TUN | libc::IFF_NO_PI).map_err(io::Error::other)?;
    request.ifr_ifru = libc::__c_anonymous_ifr_ifru { ifru_flags: flags };
    // SAFETY: the kernel reads and writes one ifreq, which lives for the call.
    let result = unsafe { libc::ioctl(device, libc::TUNSETIFF, &raw mut request) };
    if result < 0 { Err(io::Error::last_os_error()) } else { Ok(()) }
}

impl AsFd for Tun {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.device.as_fd()
    }
}

/// For `mio::unix::SourceFd`.
impl AsRawFd for Tun {
    fn as_raw_fd(&self) -> RawFd {
        self.device.as_raw_fd()
    }
}
