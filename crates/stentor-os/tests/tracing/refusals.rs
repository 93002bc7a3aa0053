//! What a system refuses is named by its step, and trying it leaves nothing behind.

use stentor_os::privilege::{self, Possible, Refusal};
use stentor_os::tracee::{Command, Tracer};

use crate::apart::{Who, apart};
use crate::watch::{OPTIONS, ROLE};

#[test]
fn trying_changes_nothing_here() {
    let links =
        || ["user", "net"].map(|name| std::fs::read_link(format!("/proc/self/ns/{name}")).unwrap());
    let (before, status) = (links(), || std::fs::read_to_string("/proc/thread-self/status"));
    let line =
        |text: String| text.lines().find(|line| line.starts_with("Seccomp:")).map(str::to_owned);
    let seccomp = line(status().unwrap());
    privilege::probe();
    assert_eq!(links(), before);
    assert_eq!(line(status().unwrap()), seccomp);
}

/// What a role says in a process where these calls are refused.
pub(crate) fn denied(role: &str, calls: &[(i64, i32)]) -> String {
    let mut command = std::process::Command::new(std::env::current_exe().unwrap());
    command.args(["calls::program", "--exact", "--ignored", "--nocapture", "--quiet"]);
    command.env(ROLE, role);
    privilege::deny(&mut command, calls).unwrap();
    String::from_utf8(command.output().unwrap().stdout).unwrap()
}

#[test]
fn each_refusal_is_named_by_its_step_and_errno() {
    let possible = privilege::probe();
    let all = [&possible.lab_link, &possible.tracing, &possible.filter];
    if let Some(Err(refusal)) = all.into_iter().find(|power| power.is_err()) {
        eprintln!("SKIPPED: refused here anyway: {refusal}");
        return;
    }
    let cases: [(i64, i32, &str); 6] = [
        (libc::SYS_unshare, libc::EPERM, "private_network: unshare("),
        (libc::SYS_setns, libc::EPERM, "lab_link: setns(net)"),
        (libc::SYS_ptrace, libc::EPERM, "tracing: ptrace(PTRACE_SEIZE): "),
        (libc::SYS_pidfd_getfd, libc::ENOSYS, "snapshots: pidfd_getfd: "),
        (libc::SYS_socket, libc::EACCES, "host_packets: socket(AF_PACKET): "),
        (libc::SYS_prctl, libc::EINVAL, "filter: prctl(PR_SET_SECCOMP): "),
    ];
    for (call, errno, expected) in cases {
        let said = denied("probe", &[(call, errno)]);
        let line = said.lines().find(|line| line.starts_with(expected));
        let name = format!("{:?}", nix::errno::Errno::from_raw(errno));
        assert!(line.is_some_and(|line| line.contains(&name)), "{expected} in\n{said}");
    }
}

#[test]
fn without_privilege_the_host_s_packets_are_refused() {
    apart(Who::Nobody, || {
        let Err(Refusal { step, error }) = privilege::probe().host_packets else {
            panic!("nobody may capture here");
        };
        assert_eq!(step.name(), "socket(AF_PACKET)");
        assert_eq!(error.raw_os_error(), Some(libc::EPERM));
        true
    });
}

/// The role `start`.
pub(crate) fn start() -> i32 {
    let command = Command { program: "true".into(), ..Command::default() };
    match Tracer::new(OPTIONS).unwrap().start(&command) {
        Ok(_) => println!("started"),
        Err(failure) => println!("{failure}"),
    }
    0
}

/// The role `probe`.
pub(crate) fn say() -> i32 {
    let Possible { private_network, lab_link, host_packets, tracing, filter, snapshots } =
        privilege::probe();
    for (name, power) in [
        ("private_network", private_network),
        ("lab_link", lab_link),
        ("host_packets", host_packets),
        ("tracing", tracing),
        ("filter", filter),
        ("snapshots", snapshots),
    ] {
        println!("{name}: {}", power.map_or_else(|refusal| refusal.to_string(), |()| "yes".into()));
    }
    0
}
