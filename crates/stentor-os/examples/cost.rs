//! Measures what tracing costs a program for each call, on one processor, beside strace where that
//! is present: `cargo run --release -p stentor-os --example cost`.
//!
//! Every way runs the same program in turn, several rounds; a figure is the median of the rounds'
//! medians. No judgement is passed on it here.

#![allow(clippy::print_stdout, clippy::print_stderr, reason = "an example has no console")]

#[cfg(target_os = "linux")]
fn main() {
    if let Err(error) = linux::main() {
        eprintln!("cost: {error}");
        std::process::exit(1);
    }
}

#[cfg(not(target_os = "linux"))]
fn main() {
    eprintln!("not possible on this system");
    std::process::exit(2);
}

#[cfg(target_os = "linux")]
mod linux {
    use std::io::{self, Read};
    use std::net::UdpSocket;
    use std::os::fd::OwnedFd;
    use std::time::Instant;

    use stentor_os::tracee::{Command, Event, Options, Tracer};

    const CALLS: usize = 4000;
    const ROUNDS: usize = 9;

    pub(crate) fn main() -> io::Result<()> {
        match std::env::args().nth(1).as_deref() {
            Some("work") => work(),
            _ => compare(),
        }
    }

    /// Nanoseconds of the middle one.
    fn median(mut spans: Vec<u64>) -> u64 {
        spans.sort_unstable();
        spans.get(spans.len() / 2).copied().unwrap_or(0)
    }

    fn timed(mut call: impl FnMut() -> io::Result<()>) -> io::Result<u64> {
        let mut spans = Vec::with_capacity(CALLS);
        for _ in 0..CALLS {
            let began = Instant::now();
            call()?;
            spans.push(u64::try_from(began.elapsed().as_nanos()).unwrap_or(u64::MAX));
        }
        Ok(median(spans))
    }

    /// The measured program: a datagram to itself and back, and calls no filter stops.
    fn work() -> io::Result<()> {
        let socket = UdpSocket::bind("127.0.0.1:0")?;
        let address = socket.local_addr()?;
        socket.connect(address)?;
        let mut bytes = [0; 64];
        // Two calls on the socket each.
        let pair = timed(|| {
            socket.send(b"hello")?;
            socket.recv(&mut bytes).map(drop)
        })?;
        // A hundred at once: a single one is shorter than the clock is exact.
        let other = timed(|| {
            for _ in 0..100 {
                // SAFETY: takes nothing and cannot fail.
                unsafe { libc::syscall(libc::SYS_getppid) };
            }
            Ok(())
        })?;
        println!("{} {}", pair / 2, other);
        Ok(())
    }

    fn pin() -> io::Result<()> {
        // SAFETY: all zeros is a valid set, and 0 a valid place in it.
        let result = unsafe {
            let mut set: libc::cpu_set_t = std::mem::zeroed();
            libc::CPU_SET(0, &mut set);
            libc::sched_setaffinity(0, size_of_val(&set), &raw const set)
        };
        if result == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
    }

    fn parse(output: &str) -> io::Result<[u64; 2]> {
        let mut numbers = output.split_whitespace().filter_map(|number| number.parse().ok());
        match (numbers.next(), numbers.next()) {
            (Some(call), Some(other)) => Ok([call, other]),
            _ => Err(io::Error::other(format!("no figures in {output:?}"))),
        }
    }

    fn run(mut command: std::process::Command) -> io::Result<[u64; 2]> {
        parse(&String::from_utf8_lossy(&command.output()?.stdout))
    }

    fn traced(options: Options) -> io::Result<[u64; 2]> {
        let (output, theirs) = nix::unistd::pipe2(nix::fcntl::OFlag::O_CLOEXEC)?;
        let command = Command {
            program: std::env::current_exe()?.into_os_string(),
            arguments: vec!["work".into()],
            stdout: Some(theirs),
            ..Command::default()
        };
        let mut tracer = Tracer::new(options)?;
        tracer.start(&command).map_err(io::Error::other)?;
        drop(command);
        let mut calls = 0;
        while let Some(event) = tracer.next_event()? {
            calls += usize::from(matches!(event, Event::Call(_)));
        }
        if calls < 2 * CALLS {
            return Err(io::Error::other(format!("{calls} calls seen, {} made", 2 * CALLS)));
        }
        parse(&read(output)?)
    }

    fn read(pipe: OwnedFd) -> io::Result<String> {
        let mut text = String::new();
        std::fs::File::from(pipe).read_to_string(&mut text)?;
        Ok(text)
    }

    fn compare() -> io::Result<()> {
        pin()?;
        let this = std::env::current_exe()?;
        let native = || {
            let mut command = std::process::Command::new(&this);
            command.arg("work");
            run(command)
        };
        let strace = || {
            let mut command = std::process::Command::new("strace");
            command.args(["-f", "--seccomp-bpf", "-e", "trace=network", "-o", "/dev/null"]);
            command.arg(&this).arg("work");
            run(command)
        };
        let options = Options {
            filter: true,
            snapshots: false,
            payload_bytes_max: 64,
            waiting_calls: true,
            io_uring: false,
        };
        let with = Options { snapshots: true, ..options };
        let beside = strace().is_ok();
        let mut figures: [Vec<[u64; 2]>; 4] = Default::default();
        for _ in 0..ROUNDS {
            let [a, b, c, d] = &mut figures;
            a.push(native()?);
            b.push(traced(options)?);
            c.push(traced(with)?);
            if beside {
                d.push(strace()?);
            }
        }
        let middle = |rounds: &Vec<[u64; 2]>| {
            let call = median(rounds.iter().map(|[call, _]| *call).collect());
            [call, median(rounds.iter().map(|[_, other]| *other).collect())]
        };
        let [native, plain, snapshots, strace] = figures.each_ref().map(middle);
        let rows = [
            ("native", native),
            ("traced", plain),
            ("traced, with snapshots", snapshots),
            ("strace --seccomp-bpf", strace),
        ];
        for (name, [call, other]) in rows {
            if call > 0 {
                println!("{name:<24} {call:>7} ns a socket call  {other:>7} ns for 100 others");
            }
        }
        let ratio = |of: u64, to: u64| format!("{:.2}", precise(of) / precise(to));
        if beside {
            let [[plain, _], [snapshots, _], [strace, _]] = [plain, snapshots, strace];
            println!("traced / strace: {}", ratio(plain, strace));
            println!("with snapshots / strace: {}", ratio(snapshots, strace));
        } else {
            println!("SKIPPED: strace with --seccomp-bpf is not here");
        }
        println!("another call / native: {}", ratio(plain[1], native[1]));
        Ok(())
    }

    fn precise(nanoseconds: u64) -> f64 {
        f64::from(u32::try_from(nanoseconds).unwrap_or(u32::MAX))
    }
}
