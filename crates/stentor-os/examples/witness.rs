//! Prints what a command does on sockets, and the packets it causes, as lines: for trying out the
//! tracer and the capture. The verb `trace` is what people use.
//!
//! `witness [--here] [--no-filter] [--no-snapshots] [--quiet] [--with 'CMD ARG ...']... CMD ARG...`

#![allow(clippy::print_stdout, clippy::print_stderr, reason = "an example has no console")]

#[cfg(target_os = "linux")]
fn main() {
    std::process::exit(linux::main());
}

#[cfg(not(target_os = "linux"))]
fn main() {
    eprintln!("not possible on this system");
    std::process::exit(2);
}

#[cfg(target_os = "linux")]
mod linux {
    use std::collections::VecDeque;
    use std::ffi::OsString;
    use std::sync::mpsc;

    use stentor_os::capture::{self, Capture};
    use stentor_os::namespace::{self, Kind, Wire};
    use stentor_os::tracee::{Command, Ending, Event, Options, Outcome, Tracer};
    use stentor_os::{privilege, signal};

    struct Plan {
        here: bool,
        quiet: bool,
        options: Options,
        with: VecDeque<Vec<OsString>>,
        first: Vec<OsString>,
    }

    fn plan() -> Plan {
        let options = Options {
            filter: true,
            snapshots: true,
            payload_bytes_max: 64,
            waiting_calls: true,
            io_uring: false,
        };
        let mut plan =
            Plan { here: false, quiet: false, options, with: VecDeque::new(), first: Vec::new() };
        let mut words = std::env::args_os().skip(1);
        while let Some(word) = words.next() {
            match word.to_str() {
                Some("--here") => plan.here = true,
                Some("--quiet") => plan.quiet = true,
                Some("--no-filter") => plan.options.filter = false,
                Some("--no-snapshots") => plan.options.snapshots = false,
                Some("--with") => {
                    let line = words.next().unwrap_or_default();
                    let line = line.to_string_lossy().into_owned();
                    plan.with.push_back(line.split_whitespace().map(OsString::from).collect());
                }
                Some("--") => {}
                _ => {
                    plan.first = std::iter::once(word).chain(words).collect();
                    break;
                }
            }
        }
        plan
    }

    fn command(words: &[OsString]) -> Command {
        let program = words.first().cloned().unwrap_or_default();
        Command {
            program,
            arguments: words.iter().skip(1).cloned().collect(),
            ..Command::default()
        }
    }

    pub(crate) fn main() -> i32 {
        match run(plan()) {
            Ok(code) => code,
            Err(error) => {
                eprintln!("witness: {error}");
                125
            }
        }
    }

    fn run(plan: Plan) -> Result<i32, Box<dyn std::error::Error>> {
        let Plan { here, quiet, options, mut with, first } = plan;
        let (send, packets) = mpsc::channel();
        let mut capture = None;
        if !here {
            let kind = if privilege::may_unshare() { Kind::Network } else { Kind::UserAndNetwork };
            namespace::enter(kind, Wire::Ethernet)?;
            let options = capture::Options {
                interface: "lo".to_owned(),
                bytes_max: 128,
                ring_bytes: 1 << 22,
            };
            capture = Some(Capture::start(&options, move |packet| drop(send.send(packet)))?);
        }
        let interrupts = signal::Interrupts::install()?;
        let mut tracer = Tracer::new(options)?;
        let mut alarm = tracer.bell().ring_when(std::os::fd::AsFd::as_fd(&interrupts), None)?;
        let began = stentor_os::clock::stamp();
        let root = tracer.start(&command(&first))?;
        let (mut status, mut calls) = (0, 0_u64);
        while let Some(event) = tracer.next_event()? {
            calls += u64::from(matches!(event, Event::Call(_)));
            if !quiet && event != Event::Rung {
                println!("{}", line(&event, began.monotonic_ns));
            }
            match &event {
                Event::Rung if interrupts.taken() > 0 => {
                    for pid in tracer.processes() {
                        tracer.signal(pid, 2)?;
                    }
                    drop(alarm);
                    alarm = tracer.bell().ring_when(std::os::fd::AsFd::as_fd(&interrupts), None)?;
                }
                Event::Call(call) if call.name == "listen" || call.name == "bind" => {
                    if let (Outcome::Returned(0), Some(next)) = (call.outcome, with.pop_front()) {
                        tracer.start(&command(&next))?;
                    }
                }
                Event::Ended { pid, how, .. } if *pid == root => {
                    status = match how {
                        Ending::Exited(code) => *code,
                        Ending::Killed { signal, .. } => 128 + signal,
                    };
                }
                _ => {}
            }
        }
        if let Some(capture) = capture {
            let totals = capture.stop()?;
            for packet in packets.iter().filter(|_| !quiet) {
                let at = packet.realtime_ns.saturating_sub(began.realtime_ns) / 1000;
                println!("{at:>9} us  packet of {} bytes {:?}", packet.length, packet.direction);
            }
            eprintln!("{totals:?}");
        }
        eprintln!("{calls} calls");
        Ok(status)
    }

    fn line(event: &Event, began_ns: u64) -> String {
        let Event::Call(call) = event else { return format!("{event:?}") };
        let us = |ns: u64| ns.saturating_sub(began_ns) / 1000;
        let (entered, left) =
            (us(call.entered.monotonic_ns), call.left.map(|left| us(left.monotonic_ns)));
        let state = call.after.as_ref().and_then(|after| after.tcp).map(|tcp| tcp.state.name());
        format!(
            "{entered:>9} us  {}/{} {}({:?}) {:?} = {:?} until {left:?} {} {:?}",
            call.pid,
            call.tid,
            call.name,
            call.descriptor,
            call.arguments,
            call.outcome,
            state.unwrap_or_default(),
            call.made,
        )
    }
}
