//! Small trials of what tracing needs, for a child that may be spoilt, and filters that refuse.

use std::io;
use std::os::unix::net::UnixStream;

use super::filter::{self, Rules};
use super::{request, snapshot};

/// A child of this process that has been seized; ends when dropped.
#[derive(Debug)]
pub(crate) struct Seized {
    pid: i32,
    /// The child waits for its end.
    _line: UnixStream,
}

/// Forks a child that does nothing, and becomes its tracer.
pub(crate) fn try_seize() -> io::Result<Seized> {
    let (ours, theirs) = UnixStream::pair()?;
    // SAFETY: the child calls nothing but pause and _exit, which signal-safety(7) allows.
    let pid = unsafe { libc::fork() };
    if pid == 0 {
        // SAFETY: as above. SIGKILL is what ends it.
        unsafe {
            libc::prctl(libc::PR_SET_PDEATHSIG, libc::SIGKILL);
            libc::pause();
            libc::_exit(0);
        }
    }
    if pid < 0 {
        return Err(io::Error::last_os_error());
    }
    drop(theirs);
    let seized = Seized { pid, _line: ours };
    request::seize(pid)?;
    Ok(seized)
}

impl Seized {
    /// Duplicates one of its descriptors, as a snapshot does.
    pub(crate) fn duplicate(&self) -> io::Result<()> {
        let descriptor = std::os::fd::AsRawFd::as_raw_fd(&self._line);
        snapshot::duplicate(&snapshot::open(self.pid)?, descriptor).map(drop)
    }
}

impl Drop for Seized {
    fn drop(&mut self) {
        super::engine::end_child(self.pid);
    }
}

/// Installs a filter that allows everything.
pub(crate) fn try_filter() -> io::Result<()> {
    install_here(&refusing(vec![])?)
}

/// A filter that answers some calls with an errno and allows the rest.
pub(crate) fn refusing(refuse: Vec<(u32, u16)>) -> io::Result<Vec<libc::sock_filter>> {
    filter::assemble(&Rules { stop: vec![], stop_if: vec![], refuse })
}

/// Installs a filter in this thread, for good; allocates nothing.
pub(crate) fn install_here(program: &[libc::sock_filter]) -> io::Result<()> {
    let program = filter::installable(program)?;
    // SAFETY: it comes from `installable`, and the filter outlives the call.
    unsafe { filter::install(&program) }
}
