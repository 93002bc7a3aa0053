//! Runs part of a test in a process of its own, with one thread, as namespaces demand.

use std::io::{Read, Write};
use std::os::unix::net::UnixStream;
use std::panic::{AssertUnwindSafe, catch_unwind};

use stentor_os::process::fork_into;

/// Who runs it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Who {
    /// Whoever runs the tests.
    Ourselves,
    /// A user without any privilege.
    Nobody,
}

/// Runs `work` in a child; fails as it does. It answers whether it could be done here at all.
pub(crate) fn apart(who: Who, work: impl FnOnce() -> bool) {
    let (mut ours, theirs) = UnixStream::pair().unwrap();
    let child = fork_into(&[], || {
        let done = catch_unwind(AssertUnwindSafe(|| {
            if who == Who::Nobody {
                become_nobody();
            }
            work()
        }));
        let words = match done {
            Ok(true) => "done".to_owned(),
            Ok(false) => "SKIPPED".to_owned(),
            Err(panic) => match panic.downcast::<String>() {
                Ok(words) => *words,
                Err(panic) => format!("{:?}", panic.downcast_ref::<&str>()),
            },
        };
        i32::from((&theirs).write_all(words.as_bytes()).is_err())
    })
    .unwrap();
    drop(theirs);
    let mut answer = String::new();
    ours.read_to_string(&mut answer).unwrap();
    child.wait().unwrap();
    if answer == "SKIPPED" {
        eprintln!("SKIPPED: refused here: {:?}", stentor_os::privilege::probe());
    } else {
        assert_eq!(answer, "done", "as {who:?}");
    }
}

/// Gives up what root has. A process that changes its user may no longer look at itself in /proc
/// until it says that it may.
fn become_nobody() {
    if !nix::unistd::geteuid().is_root() {
        return;
    }
    lend_tun();
    let (user, group) = (nix::unistd::Uid::from_raw(65534), nix::unistd::Gid::from_raw(65534));
    nix::unistd::setgroups(&[group]).unwrap();
    nix::unistd::setresgid(group, group, group).unwrap();
    nix::unistd::setresuid(user, user, user).unwrap();
    // SAFETY: takes numbers only.
    assert_eq!(unsafe { libc::prctl(libc::PR_SET_DUMPABLE, 1, 0, 0, 0) }, 0);
    assert!(!stentor_os::privilege::may_unshare());
}

/// Where only root may open the TUN device (most systems let everyone), this process and its
/// children see another file for it, which they may. Where that cannot be done either, what needs it
/// is skipped.
fn lend_tun() {
    let name = format!("/dev/.stentor-tun-{}", std::process::id());
    let path = |path: &str| std::ffi::CString::new(path).unwrap();
    let (device, lent, root) = (path("/dev/net/tun"), path(&name), path("/"));
    // SAFETY: every pointer is of a string that lives for its call, or null where mount(2) allows.
    unsafe {
        let null = std::ptr::null();
        if libc::unshare(libc::CLONE_NEWNS) != 0
            || libc::mount(null, root.as_ptr(), null, libc::MS_REC | libc::MS_PRIVATE, null.cast())
                != 0
            || libc::mknod(lent.as_ptr(), libc::S_IFCHR | 0o666, libc::makedev(10, 200)) != 0
        {
            return;
        }
        libc::chmod(lent.as_ptr(), 0o666);
        libc::mount(lent.as_ptr(), device.as_ptr(), null, libc::MS_BIND, null.cast());
        libc::unlink(lent.as_ptr());
    }
}
