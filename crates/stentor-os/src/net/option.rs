//! Socket options that no library names (setsockopt(2)).

use std::ffi::c_int;
use std::io;
use std::os::fd::{AsRawFd, BorrowedFd};

/// Sets an option whose value is an `int`; `level` and `name` are those of the system's headers.
pub fn set_int(socket: BorrowedFd<'_>, level: c_int, name: c_int, value: c_int) -> io::Result<()> {
    const SIZE: libc::socklen_t = 4;
    const { assert!(size_of::<c_int>() == SIZE as usize) };
    // SAFETY: the descriptor is borrowed for the length of the call, and the pointer and size
    // describe `value`, which outlives it.
    let result = unsafe {
        libc::setsockopt(socket.as_raw_fd(), level, name, (&raw const value).cast(), SIZE)
    };
    if result < 0 { Err(io::Error::last_os_error()) } else { Ok(()) }
}
