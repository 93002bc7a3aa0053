//! What this system allows, and what to do where it does not.

use std::fmt::Display;

use stentor_core::timeline::record::Mode;
use stentor_os::privilege;
use stentor_os::tracee::{Arguments, Call, Event, Outcome, StartFailure, StartStep};

use crate::complaint::{Complaint, Exit};

/// The next step for a person after the system refused `step`.
pub fn remedy(step: &str) -> String {
    match step {
        step if NAMESPACE_STEPS.contains(&step) => format!("{NAMESPACES}; or use --mode calls."),
        "socket(AF_PACKET)" => {
            "Packets of the real network need CAP_NET_RAW: sudo, or setcap cap_net_raw+ep on the \
             program; or use --mode lab or --mode calls."
                .to_owned()
        }
        "ptrace(PTRACE_SEIZE)" => {
            "The system lets no program trace another: see sysctl kernel.yama.ptrace_scope, or \
             the container's seccomp profile (--cap-add SYS_PTRACE). A program that is traced \
             itself (strace, gdb, stentor trace) cannot trace."
                .to_owned()
        }
        _ => String::new(),
    }
}

/// The way to allow a step on which a link between two networks failed, and what works without one.
fn remedy_of_link(step: &str) -> String {
    let remedy = match step {
        step if NAMESPACE_STEPS.contains(&step) => NAMESPACES,
        "open /dev/net/tun" | "ioctl(TUNSETIFF)" => {
            "A lab link needs TUN devices: modprobe tun; in a container --device /dev/net/tun; and \
             the right to open the file (chmod 0666 /dev/net/tun, as systems ship it)"
        }
        _ => {
            "A lab link needs every right in its private networks: a container's profile may take \
             some of them"
        }
    };
    format!(
        "{remedy}. Without it, stentor impair worsens datagrams and streams as a proxy, which needs \
         no privilege: stentor impair TARGET --link SPEC -- CLIENT."
    )
}

/// Steps into a network of one's own.
const NAMESPACE_STEPS: [&str; 3] =
    ["unshare(CLONE_NEWUSER)", "unshare(CLONE_NEWNET)", "write /proc/self/uid_map"];

const NAMESPACES: &str = "User namespaces are switched off or without powers here (containers, and \
                          AppArmor since Ubuntu 23.10): allow them for this program by an AppArmor \
                          profile, or sysctl kernel.apparmor_restrict_unprivileged_userns=0 and \
                          user.max_user_namespaces=10000";

/// The mode to run in: the one asked for, or the best this system allows, with a notice of what it
/// refused.
///
/// With `linked` there is no other than a private network of two ends: what a link does is to be
/// seen there, and nowhere else.
///
/// # Errors
/// The mode asked for, or tracing at all, is refused.
pub fn settle(asked: Option<Mode>, linked: bool) -> Result<(Mode, Option<String>), Complaint> {
    let possible = privilege::probe();
    let refused = |what: &str, refusal: &privilege::Refusal| {
        let step = refusal.step.name();
        Complaint::new(Exit::Impossible, format!("{what}: {refusal}"), remedy(step))
    };
    if let Err(refusal) = &possible.tracing {
        return Err(refused("trace programs", refusal));
    }
    if let Err(refusal) = &possible.filter {
        return Err(refused("stop programs at their socket calls", refusal));
    }
    if linked {
        let link = &possible.lab_link;
        return match link {
            Ok(()) => Ok((Mode::Lab, None)),
            Err(refusal) => Err(no_link(refusal.step.name(), refusal)),
        };
    }
    match (asked, &possible.private_network, &possible.host_packets) {
        (Some(Mode::Lab), Err(refusal), _) => Err(refused("a private network", refusal)),
        (Some(Mode::Host), _, Err(refusal)) => Err(refused("packets of the real network", refusal)),
        (Some(mode), _, _) => Ok((mode, None)),
        (None, Ok(()), _) => Ok((Mode::Lab, None)),
        (None, Err(refusal), _) => {
            let complaint = refused("no private network", refusal);
            Ok((Mode::Calls, Some(format!("calls without packets: {complaint}"))))
        }
    }
}

/// Why two networks cannot be joined: the system refused `step`.
pub fn no_link(step: &str, refusal: impl Display) -> Complaint {
    let what = format!("a link between private networks: {refusal}");
    Complaint::new(Exit::Impossible, what, remedy_of_link(step))
}

/// Why a program was not started.
pub(super) fn not_started(failure: StartFailure) -> Complaint {
    let what = failure.to_string();
    if failure.step == StartStep::Execute {
        return Complaint::not_executed(&failure.program, what, &failure.error);
    }
    Complaint::new(Exit::Impossible, what, remedy(failure.step.name()))
}

/// SOCK_DGRAM, socket(2).
const DATAGRAMS: i32 = 2;

/// Whether a client may come from now on: listen(2) succeeded, or bind(2) of a UDP socket to a
/// port of its choice.
pub(super) fn now_serves(call: &Call) -> bool {
    let done = call.outcome == Outcome::Returned(0);
    let bound_datagrams = || {
        let kind = call.socket.and_then(|socket| socket.kind);
        let internet = call.socket.is_some_and(|socket| socket.internet());
        let address = matches!(call.arguments, Arguments::Address { address: Some(_), .. });
        internet && address && kind.is_some_and(|[_, kind, _]| kind & 0xf == DATAGRAMS)
    };
    done && (call.name == "listen" || call.name == "bind" && bound_datagrams())
}

/// EAGAIN, errno(3).
const AGAIN: i32 = 11;

/// Whether an event is only a program's look around: a wait that found nothing, a call that found
/// nothing to do, or the clock that drives them.
pub(super) fn idle(event: &Event) -> bool {
    if let Event::Signal { .. } = event {
        return true;
    }
    let Event::Call(call) = event else { return false };
    let waits = matches!(call.arguments, Arguments::Poll { .. } | Arguments::EpollWait { .. });
    call.outcome == Outcome::Failed(AGAIN) || waits && call.outcome == Outcome::Returned(0)
}
