//! Names of Linux calls, errors and flags, as their man pages write them.
//!
//! What the calls did is in [`super::record`].

use std::fmt;

macro_rules! calls {
    ($($variant:ident $name:literal)*) => {
        /// The calls a trace sees, by the names of the kernel (`sendto` for C's `send`).
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
        #[expect(missing_docs, reason = "the names are the definition")]
        pub enum CallName { $($variant,)* }

        impl CallName {
            /// All of them, in the order of their definition.
            pub const ALL: &[CallName] = &[$(CallName::$variant,)*];

            /// The kernel's name: `sendto`.
            pub const fn name(self) -> &'static str {
                match self { $(CallName::$variant => $name,)* }
            }

            /// The call of this name.
            pub fn parse(name: &str) -> Option<CallName> {
                match name { $($name => Some(CallName::$variant),)* _ => None }
            }
        }
    };
}

calls! {
    Socket "socket" Socketpair "socketpair" Bind "bind" Listen "listen" Connect "connect"
    Accept "accept" Accept4 "accept4" Shutdown "shutdown" Close "close" CloseRange "close_range"
    Getsockname "getsockname" Getpeername "getpeername"
    Setsockopt "setsockopt" Getsockopt "getsockopt"
    Sendto "sendto" Sendmsg "sendmsg" Sendmmsg "sendmmsg"
    Recvfrom "recvfrom" Recvmsg "recvmsg" Recvmmsg "recvmmsg"
    Read "read" Readv "readv" Preadv2 "preadv2" Write "write" Writev "writev" Pwritev2 "pwritev2"
    Sendfile "sendfile" Splice "splice" Tee "tee" CopyFileRange "copy_file_range"
    Dup "dup" Dup2 "dup2" Dup3 "dup3" Fcntl "fcntl" Ioctl "ioctl"
    PidfdGetfd "pidfd_getfd"
    Poll "poll" Ppoll "ppoll" Select "select" Pselect6 "pselect6"
    EpollCreate "epoll_create" EpollCreate1 "epoll_create1" EpollCtl "epoll_ctl"
    EpollWait "epoll_wait" EpollPwait "epoll_pwait" EpollPwait2 "epoll_pwait2"
    IoUringSetup "io_uring_setup" IoUringEnter "io_uring_enter"
    IoUringRegister "io_uring_register"
}

impl fmt::Display for CallName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

/// What a call does with a socket.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Purpose {
    /// Gives bytes to the kernel.
    Send,
    /// Takes bytes from it.
    Receive,
    /// Makes, names, changes or ends a socket.
    Control,
    /// Waits for any of several.
    Wait,
    /// Changes which descriptors mean what.
    Descriptors,
}

impl CallName {
    /// What it is for. sendfile and splice send when their socket is the one written to: see
    /// [`super::record::Call::fd`].
    pub fn purpose(self) -> Purpose {
        use CallName::*;
        match self {
            Sendto | Sendmsg | Sendmmsg | Write | Writev | Pwritev2 | Sendfile | Splice => {
                Purpose::Send
            }
            Recvfrom | Recvmsg | Recvmmsg | Read | Readv | Preadv2 => Purpose::Receive,
            Poll | Ppoll | Select | Pselect6 | EpollWait | EpollPwait | EpollPwait2
            | IoUringEnter => Purpose::Wait,
            Dup | Dup2 | Dup3 | Fcntl | CloseRange | PidfdGetfd | EpollCreate | EpollCreate1
            | EpollCtl | Tee | CopyFileRange | IoUringSetup | IoUringRegister => {
                Purpose::Descriptors
            }
            Socket | Socketpair | Bind | Listen | Connect | Accept | Accept4 | Shutdown | Close
            | Getsockname | Getpeername | Setsockopt | Getsockopt | Ioctl => Purpose::Control,
        }
    }
}

/// The number of an error: errno(3).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Errno(pub i32);

macro_rules! errors {
    ($($name:ident $number:literal)*) => {
        impl Errno {
            $(#[doc = concat!("errno(3): ", stringify!($name), ".")]
            pub const $name: Errno = Errno($number);)*

            const NAMED: &'static [(i32, &'static str)] = &[$(($number, stringify!($name)),)*];
        }
    };
}

// include/uapi/asm-generic/errno-base.h and errno.h; from 512 on include/linux/errno.h, which
// programs never see, but tracers do.
errors! {
    EPERM 1 ENOENT 2 EINTR 4 EIO 5 EBADF 9 EAGAIN 11 ENOMEM 12 EACCES 13 EFAULT 14 EBUSY 16
    EEXIST 17 ENODEV 19 EINVAL 22 ENFILE 23 EMFILE 24 ENOTTY 25 ENOSPC 28 ESPIPE 29 EROFS 30
    EPIPE 32 EDOM 33 EDEADLK 35 ENAMETOOLONG 36 ENOSYS 38 ELOOP 40 EPROTO 71 EOVERFLOW 75
    ENOTSOCK 88 EDESTADDRREQ 89 EMSGSIZE 90 EPROTOTYPE 91 ENOPROTOOPT 92 EPROTONOSUPPORT 93
    ESOCKTNOSUPPORT 94 EOPNOTSUPP 95 EPFNOSUPPORT 96 EAFNOSUPPORT 97 EADDRINUSE 98
    EADDRNOTAVAIL 99 ENETDOWN 100 ENETUNREACH 101 ENETRESET 102 ECONNABORTED 103 ECONNRESET 104
    ENOBUFS 105 EISCONN 106 ENOTCONN 107 ESHUTDOWN 108 ETIMEDOUT 110 ECONNREFUSED 111
    EHOSTDOWN 112 EHOSTUNREACH 113 EALREADY 114 EINPROGRESS 115 ECANCELED 125
    ERESTARTSYS 512 ERESTARTNOINTR 513 ERESTARTNOHAND 514 ERESTART_RESTARTBLOCK 516
}

impl Errno {
    /// Whether a signal interrupted the call and the kernel will begin it anew: to the program it
    /// is one call.
    pub fn is_restart(self) -> bool {
        matches!(
            self,
            Errno::ERESTARTSYS
                | Errno::ERESTARTNOINTR
                | Errno::ERESTARTNOHAND
                | Errno::ERESTART_RESTARTBLOCK
        )
    }

    /// The error of this name, or of a number written as `errno 71`.
    pub fn parse(name: &str) -> Option<Errno> {
        let number = || name.strip_prefix("errno ").and_then(|number| number.parse().ok());
        let known = Errno::NAMED.iter().find(|(_, known)| *known == name);
        known.map(|(number, _)| *number).or_else(number).map(Errno)
    }
}

/// The name where there is one: `ECONNREFUSED`, else `errno 71`.
impl fmt::Display for Errno {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match Errno::NAMED.iter().find(|(number, _)| *number == self.0) {
            Some((_, name)) => f.pad(name),
            None => write!(f, "errno {}", self.0),
        }
    }
}
