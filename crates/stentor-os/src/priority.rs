//! How soon the scheduler runs a thread that was woken (sched(7)); of this thread, and no other.

use std::io;

/// `struct sched_attr` of linux/sched/types.h, its first version.
#[repr(C)]
#[derive(Default)]
struct Attributes {
    size: u32,
    policy: u32,
    flags: u64,
    nice: i32,
    priority: u32,
    runtime: u64,
    deadline: u64,
    period: u64,
}

/// Runs this thread before all that are not real-time themselves: SCHED_FIFO with the lowest of its
/// priorities. What it starts is not. EPERM: no CAP_SYS_NICE, and RLIMIT_RTPRIO is 0.
pub fn real_time() -> io::Result<()> {
    let policy = u32::try_from(libc::SCHED_FIFO).map_err(io::Error::other)?;
    set(Attributes { policy, priority: 1, ..Attributes::default() })
}

/// Lets this thread run in slices of so many nanoseconds (100 us to 100 ms, Linux 6.12): among equals
/// the one with the shortest slice comes first, and stays for the shortest time. Needs no privilege.
pub fn slices_of(runtime: u64) -> io::Result<()> {
    let policy = u32::try_from(libc::SCHED_OTHER).map_err(io::Error::other)?;
    // SAFETY: takes numbers only. -1 is a value as well as a failure, and then the best guess.
    let nice = unsafe { libc::getpriority(libc::PRIO_PROCESS, 0) };
    set(Attributes { policy, nice, runtime, ..Attributes::default() })
}

fn set(attributes: Attributes) -> io::Result<()> {
    let size = u32::try_from(size_of::<Attributes>()).map_err(io::Error::other)?;
    // SCHED_FLAG_RESET_ON_FORK of linux/sched.h.
    let attributes = Attributes { size, flags: 1, ..attributes };
    // SAFETY: the structure lives for the call, and says how long it is.
    let result = unsafe { libc::syscall(libc::SYS_sched_setattr, 0, &raw const attributes, 0_u32) };
    if result == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_is_set_or_refused_with_a_reason() {
        let thread = std::thread::spawn(|| {
            for set in [slices_of(100_000), real_time()] {
                if let Err(error) = set {
                    let known = [libc::EPERM, libc::ENOSYS, libc::EINVAL];
                    assert!(error.raw_os_error().is_some_and(|it| known.contains(&it)), "{error}");
                }
            }
        });
        thread.join().unwrap();
    }
}
