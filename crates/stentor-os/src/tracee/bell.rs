//! A bell that ends the tracer's wait, so that ^C and timeouts reach it: waitpid(2) waits for
//! processes and nothing else.
//!
//! The wait is ended by a signal to the waiting thread (SIGURG, which means nothing here and is
//! ignored by whoever does not expect it). A signal that comes just before the wait would be lost,
//! so it is sent again until the ring is noticed.

use std::io::{self, Write};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::net::UnixStream;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Condvar, Mutex, Once, PoisonError};
use std::thread::JoinHandle;
use std::time::Duration;

use crate::net::poll::{Watch, wait};

/// How long a signal may take to be noticed before it is sent again.
const AGAIN: Duration = Duration::from_millis(1);

/// Rings from any thread.
#[derive(Clone, Debug)]
pub struct Bell(Arc<Shared>);

#[derive(Debug)]
struct Shared {
    thread: libc::pid_t,
    rung: AtomicBool,
    /// The thread is in its wait, or about to be.
    waiting: AtomicBool,
    noticed: Condvar,
    lock: Mutex<()>,
}

extern "C" fn ignore(_: libc::c_int) {}

impl Bell {
    /// The bell of the calling thread.
    pub(super) fn new() -> io::Result<Bell> {
        static HANDLER: Once = Once::new();
        let mut installed = Ok(());
        HANDLER.call_once(|| installed = install());
        installed?;
        let mut urgent = nix::sys::signal::SigSet::empty();
        urgent.add(nix::sys::signal::Signal::SIGURG);
        urgent.thread_unblock()?;
        // SAFETY: takes nothing, cannot fail.
        let thread = unsafe { libc::gettid() };
        Ok(Bell(Arc::new(Shared {
            thread,
            rung: AtomicBool::new(false),
            waiting: AtomicBool::new(false),
            noticed: Condvar::new(),
            lock: Mutex::new(()),
        })))
    }

    /// Makes the tracer's `next_event` return [`Event::Rung`](super::Event::Rung), once however often it
    /// is rung before that.
    pub fn ring(&self) {
        let shared = &*self.0;
        shared.rung.store(true, Ordering::SeqCst);
        let mut guard = shared.lock.lock().unwrap_or_else(PoisonError::into_inner);
        while shared.rung.load(Ordering::SeqCst) && shared.waiting.load(Ordering::SeqCst) {
            // SAFETY: sends a signal this process handles to one of its own threads; if that has
            // ended, the call fails and does nothing.
            let sent = unsafe {
                libc::syscall(libc::SYS_tgkill, libc::getpid(), shared.thread, libc::SIGURG)
            };
            if sent != 0 {
                return;
            }
            let waited = shared.noticed.wait_timeout(guard, AGAIN);
            guard = waited.unwrap_or_else(PoisonError::into_inner).0;
        }
    }

    /// Rings when `readable` is, or has hung up, or when the time is up; not after the returned
    /// value is dropped.
    pub fn ring_when(
        &self,
        readable: BorrowedFd<'_>,
        timeout: Option<Duration>,
    ) -> io::Result<Alarm> {
        let (stop, stopped) = UnixStream::pair()?;
        let (readable, bell) = (readable.try_clone_to_owned()?, self.clone());
        let watch = move || bell.watch(&readable, &stopped, timeout);
        let thread = std::thread::Builder::new().name("bell".to_owned()).spawn(watch)?;
        Ok(Alarm { stop, thread: Some(thread) })
    }

    fn watch(&self, readable: &OwnedFd, stopped: &UnixStream, timeout: Option<Duration>) {
        let began = std::time::Instant::now();
        loop {
            let mut watches = [
                Watch::new(readable.as_fd(), true, false),
                Watch::new(stopped.as_fd(), true, false),
            ];
            let left = timeout.map(|timeout| timeout.saturating_sub(began.elapsed()));
            if wait(&mut watches, left).is_err() {
                return;
            }
            let [ready, stop] = watches;
            if stop.readable {
                return;
            }
            if ready.readable || left == Some(Duration::ZERO) {
                return self.ring();
            }
        }
    }

    /// Whether it has rung since the last question.
    pub(super) fn taken(&self) -> bool {
        let rung = self.0.rung.swap(false, Ordering::SeqCst);
        if rung {
            self.0.noticed.notify_all();
        }
        rung
    }

    /// Says that a wait begins or is over; whether it may begin, that is, no bell has rung.
    pub(super) fn waits(&self, waiting: bool) -> bool {
        self.0.waiting.store(waiting, Ordering::SeqCst);
        if !waiting {
            self.0.noticed.notify_all();
        }
        !self.0.rung.load(Ordering::SeqCst)
    }
}

/// A bell set to ring; dropping it calls it off.
#[derive(Debug)]
pub struct Alarm {
    stop: UnixStream,
    thread: Option<JoinHandle<()>>,
}

impl Drop for Alarm {
    fn drop(&mut self) {
        let told = self.stop.write_all(&[0]);
        if let (Ok(()), Some(thread)) = (told, self.thread.take()) {
            // A panic there has been reported by the thread itself.
            drop(thread.join());
        }
    }
}

fn install() -> io::Result<()> {
    // SAFETY: an all-zero sigaction is a valid value of this plain C struct: no flags, and so no
    // SA_RESTART, which would let the wait go on.
    let mut action: libc::sigaction = unsafe { std::mem::zeroed() };
    let handler: extern "C" fn(libc::c_int) = ignore;
    action.sa_sigaction = handler as libc::sighandler_t;
    // SAFETY: the handler does nothing, which is safe at any moment.
    let result = unsafe { libc::sigaction(libc::SIGURG, &raw const action, std::ptr::null_mut()) };
    if result == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
}
