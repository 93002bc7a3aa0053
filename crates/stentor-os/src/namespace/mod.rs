//! A private network for this process: a user and a network namespace (namespaces(7)), with a
//! loopback interface that behaves as a wire.
//!
//! Whether to make one, and what to advise when the system refuses, is left to the roof.

mod link;
mod rtnetlink;

use std::fmt;
use std::fs::{self, File};
use std::io;
use std::os::fd::{AsRawFd, RawFd};
use std::os::unix::fs::MetadataExt;
use std::os::unix::process::CommandExt;
use std::process::Command;
use std::sync::Arc;

pub use link::Wire;
pub use rtnetlink::{Counters, Prefix, Route, Tables};

/// Which namespaces to make.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// A network namespace alone; needs CAP_SYS_ADMIN.
    Network,
    /// A user namespace, in which this user keeps its own ids and holds every capability, and a
    /// network namespace owned by it; needs no privilege, where the system allows it at all.
    UserAndNetwork,
}

/// A step on the way, in the order they are taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Step {
    /// unshare(CLONE_NEWUSER). EINVAL: this process has several threads. ENOSPC: the limit of
    /// user.max_user_namespaces. EPERM: a container's filter, or a chroot.
    UnshareUser,
    /// Writing `deny` to /proc/self/setgroups.
    DenySetgroups,
    /// Writing /proc/self/uid_map. EPERM: an AppArmor rule takes the namespace its powers.
    WriteUidMap,
    /// Writing /proc/self/gid_map.
    WriteGidMap,
    /// unshare(CLONE_NEWNET). EPERM: no CAP_SYS_ADMIN here, or AppArmor took it.
    UnshareNetwork,
    /// Opening a socket to control the interface through.
    ControlSocket,
    /// The loopback interface's MTU (SIOCSIFMTU, netdevice(7)).
    LoopbackMtu,
    /// Its segmentation and receive offloads (SIOCETHTOOL).
    LoopbackOffloads,
    /// Setting it up (SIOCSIFFLAGS).
    LoopbackUp,
    /// Opening /proc/PID/ns/user or /proc/PID/ns/net.
    OpenNamespace,
    /// setns(2) into the user namespace.
    JoinUser,
    /// setns(2) into the network namespace.
    JoinNetwork,
    /// Opening /dev/net/tun. ENOENT: the system, or the container, has no such device. EACCES:
    /// its file is not for this user.
    OpenTun,
    /// Making an interface of it (TUNSETIFF). EPERM: no CAP_NET_ADMIN here.
    MakeTun,
    /// A line to the kernel's tables of interfaces and routes (rtnetlink(7)).
    OpenTables,
    /// Setting an interface up, with its MTU and queue.
    TunUp,
    /// Giving an interface an address.
    TunAddress,
    /// Adding a route.
    TunRoute,
}

impl Step {
    /// The step as a call or a file.
    pub fn name(self) -> &'static str {
        match self {
            Step::UnshareUser => "unshare(CLONE_NEWUSER)",
            Step::DenySetgroups => "write /proc/self/setgroups",
            Step::WriteUidMap => "write /proc/self/uid_map",
            Step::WriteGidMap => "write /proc/self/gid_map",
            Step::UnshareNetwork => "unshare(CLONE_NEWNET)",
            Step::ControlSocket => "socket for interface control",
            Step::LoopbackMtu => "set MTU of lo",
            Step::LoopbackOffloads => "switch off offloads of lo",
            Step::LoopbackUp => "set lo up",
            Step::OpenNamespace => "open /proc/PID/ns",
            Step::JoinUser => "setns(user)",
            Step::JoinNetwork => "setns(net)",
            Step::OpenTun => "open /dev/net/tun",
            Step::MakeTun => "ioctl(TUNSETIFF)",
            Step::OpenTables => "socket(AF_NETLINK)",
            Step::TunUp => "set the TUN interface up",
            Step::TunAddress => "give the TUN interface an address",
            Step::TunRoute => "add a route",
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

pub(crate) fn at(step: Step) -> impl Fn(io::Error) -> Refusal {
    move |error| Refusal { step, error }
}

/// Moves this process into new namespaces, with `lo` up in them.
///
/// The process must have one thread (unshare(2)). There is no way back, and after a failure the
/// process may be half way: try in a child first ([`crate::privilege`]). Children inherit it.
pub fn enter(kind: Kind, wire: Wire) -> Result<(), Refusal> {
    if kind == Kind::UserAndNetwork {
        enter_user()?;
    }
    unshare(libc::CLONE_NEWNET).map_err(at(Step::UnshareNetwork))?;
    link::prepare_loopback(wire)
}

/// The own ids are mapped to themselves, so that a program sees the user it would see outside,
/// and loses the namespace's capabilities when it is executed (capabilities(7)).
fn enter_user() -> Result<(), Refusal> {
    let (user, group) = (nix::unistd::geteuid(), nix::unistd::getegid());
    unshare(libc::CLONE_NEWUSER).map_err(at(Step::UnshareUser))?;
    // Without this an unprivileged user may not write gid_map (user_namespaces(7)).
    fs::write("/proc/self/setgroups", "deny").map_err(at(Step::DenySetgroups))?;
    fs::write("/proc/self/uid_map", format!("{user} {user} 1")).map_err(at(Step::WriteUidMap))?;
    fs::write("/proc/self/gid_map", format!("{group} {group} 1")).map_err(at(Step::WriteGidMap))
}

fn unshare(flags: libc::c_int) -> io::Result<()> {
    // SAFETY: takes a number and touches no memory of ours.
    let result = unsafe { libc::unshare(flags) };
    if result == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
}

/// Moves this process into the namespaces of process `pid` (setns(2)): its network namespace, and
/// before that its user namespace if that is another than ours.
///
/// The process must have one thread. A user may join what the same user made.
pub fn join(pid: u32) -> Result<(), Refusal> {
    let open = |name: &str| File::open(format!("/proc/{pid}/ns/{name}"));
    // Both before the first move: afterwards /proc may refuse.
    let user = open("user").map_err(at(Step::OpenNamespace))?;
    let network = open("net").map_err(at(Step::OpenNamespace))?;
    let theirs = user.metadata().map_err(at(Step::OpenNamespace))?.ino();
    let ours = fs::metadata("/proc/self/ns/user").map_err(at(Step::OpenNamespace))?.ino();
    // Joining the own user namespace again is an error (EINVAL).
    if theirs != ours {
        set(&user, libc::CLONE_NEWUSER).map_err(at(Step::JoinUser))?;
    }
    set(&network, libc::CLONE_NEWNET).map_err(at(Step::JoinNetwork))
}

/// The number of an interface of this thread's network namespace (if_nametoindex(3)). ENODEV: there is
/// none of that name.
pub fn number_of(interface: &str) -> io::Result<u32> {
    Ok(nix::net::if_::if_nametoindex(interface)?)
}

/// A network namespace, held open: it lives as long as this, whoever is in it.
#[derive(Debug)]
pub struct Network(File);

impl Network {
    /// That of this thread.
    pub fn current() -> Result<Network, Refusal> {
        File::open("/proc/thread-self/ns/net").map(Network).map_err(at(Step::OpenNamespace))
    }

    /// Moves this thread into it, and no other (setns(2)); its sockets stay where they were made.
    ///
    /// Needs CAP_SYS_ADMIN here and in the user namespace that owns it.
    pub fn enter(&self) -> Result<(), Refusal> {
        set(&self.0, libc::CLONE_NEWNET).map_err(at(Step::JoinNetwork))
    }

    /// Makes a command run in it.
    pub fn host(self: &Arc<Self>, command: &mut Command) {
        let network = self.clone();
        let enter = move || set(&network.0, libc::CLONE_NEWNET);
        // SAFETY: the closure makes one system call and allocates nothing.
        unsafe { command.pre_exec(enter) };
    }
}

impl AsRawFd for Network {
    fn as_raw_fd(&self) -> RawFd {
        self.0.as_raw_fd()
    }
}

fn set(namespace: &File, kind: libc::c_int) -> io::Result<()> {
    // SAFETY: the descriptor is borrowed for the call, which touches no memory of ours.
    let result = unsafe { libc::setns(namespace.as_raw_fd(), kind) };
    if result == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
}
