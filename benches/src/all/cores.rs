//! Which processor runs what: the client on one, the server on another, and both on one where
//! crossing over is not to be measured.

use nix::sched::{CpuSet, sched_getaffinity, sched_setaffinity};
use nix::unistd::Pid;

/// The calling thread, for sched_setaffinity(2).
const MYSELF: Pid = Pid::from_raw(0);

/// Where the two ends run.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Cores {
    pub(crate) client: usize,
    pub(crate) server: usize,
}

impl Cores {
    /// The first and the last processor that this bench may use; one for both if it has only one.
    ///
    /// # Errors
    /// The kernel does not tell.
    pub(crate) fn choose() -> Result<Cores, String> {
        let allowed =
            sched_getaffinity(MYSELF).map_err(|errno| format!("sched_getaffinity: {errno}"))?;
        let mut cores = (0..CpuSet::count()).filter(|&core| allowed.is_set(core) == Ok(true));
        let client = cores.next().ok_or("sched_getaffinity: no processor at all")?;
        Ok(Cores { client, server: cores.next_back().unwrap_or(client) })
    }

    /// Both ends on the client's.
    pub(crate) fn shared(self) -> Cores {
        Cores { client: self.client, server: self.client }
    }
}

/// Runs something with the calling thread on one processor, and puts it back. What is started
/// meanwhile, threads and processes, stays there: that is how a server is pinned before it counts
/// its processors.
///
/// # Errors
/// The kernel refuses, or what is run fails.
pub(crate) fn on<T>(core: usize, run: impl FnOnce() -> Result<T, String>) -> Result<T, String> {
    let failed = |errno: nix::Error| format!("sched_setaffinity to processor {core}: {errno}");
    let before = sched_getaffinity(MYSELF).map_err(failed)?;
    let mut only = CpuSet::new();
    only.set(core).map_err(failed)?;
    sched_setaffinity(MYSELF, &only).map_err(failed)?;
    let result = run();
    sched_setaffinity(MYSELF, &before).map_err(failed)?;
    result
}
