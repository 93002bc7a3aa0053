//! What this system lets this process do: each power tried in a child, so that nothing is left
//! changed here. What to advise about a refusal is left to the roof.

use std::fmt;
use std::io;

/// A step that was tried.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Step {
    /// fork(2) of the child that tries.
    Fork,
    /// A private user and network namespace: the step of [`crate::namespace`] that failed, as its
    /// call.
    Namespace(&'static str),
    /// A packet socket (packet(7)); EPERM: no CAP_NET_RAW.
    PacketSocket,
    /// PTRACE_SEIZE of a child. EPERM: Yama's ptrace_scope 3, or a container's filter.
    Seize,
    /// A seccomp filter (prctl(2)).
    Filter,
    /// pidfd_getfd(2) of a traced process. ENOSYS: before Linux 5.6.
    Duplicate,
    /// The answer of the child.
    Answer,
}

impl Step {
    /// The step as a call.
    pub fn name(self) -> &'static str {
        match self {
            Step::Fork => "fork",
            Step::Namespace(name) => name,
            Step::PacketSocket => "socket(AF_PACKET)",
            Step::Seize => "ptrace(PTRACE_SEIZE)",
            Step::Filter => "prctl(PR_SET_SECCOMP)",
            Step::Duplicate => "pidfd_getfd",
            Step::Answer => "answer of the trial",
        }
    }
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
        write!(f, "{}: {}", self.step.name(), crate::failure::describe(&self.error))
    }
}

impl std::error::Error for Refusal {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        Some(&self.error)
    }
}

/// What is possible here.
#[derive(Debug)]
pub struct Possible {
    /// A private network whose packets can be captured.
    pub private_network: Result<(), Refusal>,
    /// Two private networks joined by TUN devices.
    pub lab_link: Result<(), Refusal>,
    /// Capturing packets of the network as it is.
    pub host_packets: Result<(), Refusal>,
    /// Tracing the calls of own children.
    pub tracing: Result<(), Refusal>,
    /// Stopping them by a filter.
    pub filter: Result<(), Refusal>,
    /// Asking for the state of their sockets.
    pub snapshots: Result<(), Refusal>,
}

#[cfg(target_os = "linux")]
pub use linux::{deny, may_unshare, probe};

/// Nothing of this is possible on this system (ErrorKind::Unsupported).
#[cfg(not(target_os = "linux"))]
pub fn probe() -> Possible {
    let refuse = |step| {
        let error = io::Error::new(io::ErrorKind::Unsupported, "not possible on this system");
        Err(Refusal { step, error })
    };
    Possible {
        private_network: refuse(Step::Namespace("unshare")),
        host_packets: refuse(Step::PacketSocket),
        tracing: refuse(Step::Seize),
        filter: refuse(Step::Filter),
        snapshots: refuse(Step::Duplicate),
    }
}

#[cfg(target_os = "linux")]
mod linux;
