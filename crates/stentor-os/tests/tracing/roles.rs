//! The programs the tests trace: they count their own socket calls, made by libc directly.

use std::ffi::c_int;
use std::sync::atomic::{AtomicUsize, Ordering};

const NAMES: [&str; 9] =
    ["socket", "bind", "listen", "connect", "accept", "sendto", "recvfrom", "close", "getsockname"];

/// Counters in memory that forked children share.
static COUNTERS: AtomicUsize = AtomicUsize::new(0);

fn counter(name: &str) -> &'static AtomicUsize {
    let place = NAMES.iter().position(|known| *known == name).unwrap();
    let base = COUNTERS.load(Ordering::SeqCst) as *const AtomicUsize;
    // SAFETY: the page mapped by `share_counters` holds more counters than there are names, and
    // is never unmapped.
    unsafe { &*base.add(place) }
}

fn share_counters() {
    // SAFETY: a new page of its own.
    let page = unsafe {
        let access = libc::PROT_READ | libc::PROT_WRITE;
        let flags = libc::MAP_SHARED | libc::MAP_ANONYMOUS;
        libc::mmap(std::ptr::null_mut(), 4096, access, flags, -1, 0)
    };
    assert_ne!(page, libc::MAP_FAILED);
    COUNTERS.store(page as usize, Ordering::SeqCst);
}

fn made<T: PartialOrd + From<i8> + Copy>(name: &str, result: T) -> T {
    counter(name).fetch_add(1, Ordering::SeqCst);
    assert!(result >= T::from(0), "{name}: {}", std::io::Error::last_os_error());
    result
}

/// Of a sockaddr_in.
const SIZE: libc::socklen_t = 16;

fn loopback(port: u16) -> libc::sockaddr_in {
    // SAFETY: a plain C struct, for which all zeros is a valid value.
    let mut address: libc::sockaddr_in = unsafe { std::mem::zeroed() };
    address.sin_family = u16::try_from(libc::AF_INET).unwrap();
    address.sin_port = port;
    address.sin_addr.s_addr = u32::from_ne_bytes([127, 0, 0, 1]);
    address
}

/// A socket bound to a free port, and its address.
fn bound(kind: c_int) -> (c_int, libc::sockaddr_in) {
    let mut address = loopback(0);
    let mut size = SIZE;
    // SAFETY: the addresses live for the calls and have the size given.
    unsafe {
        let socket = made("socket", libc::socket(libc::AF_INET, kind, 0));
        made("bind", libc::bind(socket, (&raw const address).cast(), SIZE));
        let named = libc::getsockname(socket, (&raw mut address).cast(), &raw mut size);
        made("getsockname", named);
        (socket, address)
    }
}

fn send(socket: c_int, bytes: &[u8], to: Option<&libc::sockaddr_in>) {
    let (to, size) = match to {
        Some(to) => (std::ptr::from_ref(to).cast(), SIZE),
        None => (std::ptr::null(), 0),
    };
    // SAFETY: buffer and address live for the call and have the sizes given.
    made("sendto", unsafe {
        libc::sendto(socket, bytes.as_ptr().cast(), bytes.len(), 0, to, size)
    });
}

fn receive(socket: c_int) {
    let mut bytes = [0_u8; 100];
    let (from, size) = (std::ptr::null_mut(), std::ptr::null_mut());
    // SAFETY: the buffer lives for the call and has the size given.
    made("recvfrom", unsafe {
        libc::recvfrom(socket, bytes.as_mut_ptr().cast(), 100, 0, from, size)
    });
}

fn close(socket: c_int) {
    // SAFETY: the caller owns it.
    made("close", unsafe { libc::close(socket) });
}

/// Datagrams to itself.
fn ping(count: usize) {
    let (socket, address) = bound(libc::SOCK_DGRAM);
    for _ in 0..count {
        send(socket, b"ping", Some(&address));
        receive(socket);
    }
    close(socket);
}

/// Whether any thread of this process is traced (proc_pid_status(5)).
fn traced() -> bool {
    std::fs::read_dir("/proc/self/task").unwrap().any(|task| {
        let status = std::fs::read_to_string(task.unwrap().path().join("status"));
        status.is_ok_and(|status| !status.contains("\nTracerPid:\t0\n"))
    })
}

/// Connections to itself, with an exchange each.
fn exchange(count: usize) {
    let (listener, address) = bound(libc::SOCK_STREAM);
    // SAFETY: takes numbers only.
    made("listen", unsafe { libc::listen(listener, 5) });
    let server = std::thread::spawn(move || {
        for _ in 0..count {
            // SAFETY: the address is not asked for.
            let socket = made("accept", unsafe {
                libc::accept(listener, std::ptr::null_mut(), std::ptr::null_mut())
            });
            receive(socket);
            send(socket, b"PING", None);
            close(socket);
        }
    });
    for _ in 0..count {
        // SAFETY: the address lives for the call and has the size given.
        unsafe {
            let socket = made("socket", libc::socket(libc::AF_INET, libc::SOCK_STREAM, 0));
            made("connect", libc::connect(socket, (&raw const address).cast(), SIZE));
            send(socket, b"ping", None);
            receive(socket);
            close(socket);
        }
    }
    server.join().unwrap();
    close(listener);
}

/// Forks a child that does `work` and ends; its process id.
fn child(work: impl FnOnce()) -> libc::pid_t {
    // SAFETY: the child uses what fork(2) keeps usable, and glibc's allocator, which resets its
    // locks.
    let pid = unsafe { libc::fork() };
    if pid == 0 {
        work();
        // SAFETY: ends the process at once.
        unsafe { libc::_exit(0) };
    }
    assert!(pid > 0);
    pid
}

fn reap(pid: libc::pid_t) -> c_int {
    let mut status = 0;
    // SAFETY: the status lives for the call.
    while unsafe { libc::waitpid(pid, &raw mut status, 0) } < 0 {}
    status
}

extern "C" fn ignore(_: c_int) {}

/// SIGALRM every 3 ms, with a handler that lets calls go on.
fn alarm_often() {
    let every = libc::timeval { tv_sec: 0, tv_usec: 3000 };
    let timer = libc::itimerval { it_interval: every, it_value: every };
    let handler: extern "C" fn(c_int) = ignore;
    // SAFETY: the handler does nothing; the structs live for the calls.
    unsafe {
        let mut action: libc::sigaction = std::mem::zeroed();
        action.sa_sigaction = handler as libc::sighandler_t;
        action.sa_flags = libc::SA_RESTART;
        libc::sigaction(libc::SIGALRM, &raw const action, std::ptr::null_mut());
        libc::setitimer(libc::ITIMER_REAL, &raw const timer, std::ptr::null_mut());
    }
}

fn stress() -> i32 {
    alarm_often();
    let threads: Vec<_> = (0..4)
        .map(|number| {
            std::thread::spawn(move || {
                ping(50);
                exchange(40);
                let children: Vec<_> = (0..3).map(|_| child(|| ping(25))).collect();
                let status = std::process::Command::new("sh").args(["-c", "exit 3"]).status();
                assert_eq!(status.unwrap().code(), Some(3), "thread {number}");
                children.into_iter().for_each(|pid| assert_eq!(reap(pid), 0));
            })
        })
        .collect();
    threads.into_iter().for_each(|thread| thread.join().unwrap());
    for name in NAMES {
        println!("{name}={}", counter(name).load(Ordering::SeqCst));
    }
    42
}

/// 200 pairs of processes that talk to themselves until they are killed, at ever other moments.
fn kill() -> i32 {
    for round in 0..200_u32 {
        let talks = || ping(usize::MAX);
        let both = [child(talks), child(talks)];
        for spin in 0..round * 37 % 4000 {
            std::hint::black_box(spin);
        }
        std::thread::yield_now();
        for pid in both {
            // SAFETY: a child of ours that has not been waited for.
            assert_eq!(unsafe { libc::kill(pid, libc::SIGKILL) }, 0);
        }
        both.iter().for_each(|pid| assert_eq!(reap(*pid), libc::SIGKILL));
    }
    0
}

fn fork() -> i32 {
    for _ in 0..100 {
        let children: Vec<_> = (0..10).map(|_| child(|| ping(1))).collect();
        children.into_iter().for_each(|pid| assert_eq!(reap(pid), 0));
    }
    0
}

/// The main thread waits for ever, until another executes a program.
fn execute_from_thread() -> i32 {
    use std::os::unix::process::CommandExt;
    let (socket, _) = bound(libc::SOCK_DGRAM);
    // SAFETY: takes nothing.
    let waiting = unsafe { libc::gettid() };
    std::thread::spawn(move || {
        // Until the other is seen to stand in recvfrom.
        let call = format!("/proc/self/task/{waiting}/syscall");
        let number = format!("{} ", libc::SYS_recvfrom);
        while !std::fs::read_to_string(&call).unwrap().starts_with(&number) {
            std::thread::yield_now();
        }
        panic!("{}", std::process::Command::new("sh").args(["-c", "exit 9"]).exec());
    });
    receive(socket);
    1
}

fn io_uring() -> i32 {
    let mut parameters = [0_u8; 120];
    // SAFETY: the kernel reads and writes 120 bytes, struct io_uring_params.
    let ring = unsafe { libc::syscall(libc::SYS_io_uring_setup, 2, parameters.as_mut_ptr()) };
    if ring >= 0 { 0 } else { std::io::Error::last_os_error().raw_os_error().unwrap() }
}

/// Two sockets made by the calls of i386 (socket is 359 there); 0 if the kernel has them.
#[cfg(target_arch = "x86_64")]
fn foreign() -> i32 {
    let mut worked = 0;
    for _ in 0..2 {
        let mut result: i64 = 359;
        // SAFETY: a system call with numbers only; rbx, which the compiler keeps for itself, is
        // put back.
        unsafe {
            std::arch::asm!(
                "xchg rbx, {domain}",
                "int 0x80",
                "xchg rbx, {domain}",
                domain = inout(reg) 2_i64 => _,
                inout("rax") result,
                in("rcx") 2_i64,
                in("rdx") 0_i64,
                out("r8") _, out("r9") _, out("r10") _, out("r11") _,
            );
        }
        worked += i32::from(result >= 0);
    }
    i32::from(worked != 2)
}

#[cfg(not(target_arch = "x86_64"))]
fn foreign() -> i32 {
    1
}

/// A process of its own session that echoes datagrams until one says `end`. Its starter ends once
/// it is ready.
fn daemon() -> i32 {
    use std::io::{Read, Write};
    let (mut ready, mut tell) = std::os::unix::net::UnixStream::pair().unwrap();
    child(move || {
        // SAFETY: takes nothing.
        assert!(unsafe { libc::setsid() } > 0);
        let socket = std::net::UdpSocket::bind("127.0.0.1:0").unwrap();
        tell.write_all(&[0]).unwrap();
        let (mut bytes, mut answered) = ([0; 9], 0);
        while &bytes[..3] != b"end" {
            let (length, peer) = socket.recv_from(&mut bytes).unwrap();
            socket.send_to(&bytes[..length], peer).unwrap();
            answered += 1;
        }
        println!("answered {answered}");
    });
    ready.read_exact(&mut [0]).unwrap();
    0
}

pub(crate) fn play(name: &str) -> i32 {
    share_counters();
    println!("\nROLE");
    match name {
        "probe" => crate::refusals::say(),
        "start" => crate::refusals::start(),
        "network" => crate::lab_link::network(),
        "daemon" => daemon(),
        "foreign" => foreign(),
        "stress" => stress(),
        "kill" => kill(),
        "fork" => fork(),
        "execute-from-thread" => execute_from_thread(),
        "io_uring" => io_uring(),
        "block" => {
            receive(bound(libc::SOCK_DGRAM).0);
            1
        }
        "ping-slowly" => {
            for _ in 0..200 {
                ping(1);
            }
            println!("done");
            0
        }
        "ping-until-untraced" => {
            while traced() {
                ping(1);
            }
            println!("done");
            0
        }
        // SAFETY: takes a number only.
        "realtime" => unsafe { libc::raise(40) },
        other => panic!("no role {other}"),
    }
}
