//! The tracer on whole programs: nothing they do on sockets is missed, nothing they do is changed.
//!
//! Most traced programs are this test binary itself, in a role (`roles.rs`), so that they
//! need no interpreter.

use std::collections::BTreeMap;
use std::time::Duration;

use crate::apart::{Who, apart};
use crate::roles;
use crate::watch::{self, OPTIONS, ROLE, Seen, calls, ending, present, python, role, shell, watch};
use stentor_os::tracee::{
    Address, Arguments, Command, Ending, Event, Options, Outcome, StartStep, Tracer,
};

fn tracer() -> Option<Tracer> {
    let possible = stentor_os::privilege::probe();
    for (power, result) in [("tracing", possible.tracing), ("filter", possible.filter)] {
        if let Err(refusal) = result {
            eprintln!("SKIPPED: {power} is refused here: {refusal}");
            return None;
        }
    }
    Some(Tracer::new(OPTIONS).unwrap())
}

/// Traces one role to its end.
fn run(options: Options, name: &str) -> Option<Seen> {
    tracer()?;
    Some(watch(&mut Tracer::new(options).unwrap(), role(name), |_, _| {}))
}

/// What the program counted itself: `name=number` lines.
fn counted(output: &str) -> BTreeMap<String, usize> {
    let pairs = output.lines().filter_map(|line| line.split_once('='));
    pairs.map(|(name, count)| (name.to_owned(), count.parse().unwrap())).collect()
}

fn no_call_is_lost(options: Options, runs: usize) {
    for _ in 0..runs {
        let Some(seen) = run(options, "stress") else { return };
        let mut traced = BTreeMap::new();
        for call in calls(&seen.events) {
            let made = call.made.iter().any(|(_, socket)| socket.is_some_and(|s| s.internet()));
            let ended = matches!(call.outcome, Outcome::Returned(_) | Outcome::Failed(_));
            if ended && (made || call.socket.is_some_and(|socket| socket.internet())) {
                *traced.entry(call.name.to_owned()).or_insert(0_usize) += 1;
            }
        }
        let program = counted(&seen.output);
        assert!(program.values().sum::<usize>() > 2000, "{program:?}");
        assert_eq!(traced, program);
        assert_eq!(ending(&seen), Ending::Exited(42));
    }
}

#[test]
fn threads_forks_and_signals_lose_no_call() {
    no_call_is_lost(OPTIONS, 4);
}

#[test]
fn nor_as_an_unprivileged_user() {
    apart(Who::Nobody, || {
        let tracing = tracer().is_some();
        no_call_is_lost(OPTIONS, 2);
        tracing
    });
}

#[test]
fn nor_without_snapshots_nor_without_the_filter() {
    no_call_is_lost(Options { snapshots: false, ..OPTIONS }, 2);
    no_call_is_lost(Options { filter: false, ..OPTIONS }, 2);
}

const TCP_SERVER: &str = "
import socket
s = socket.socket(); s.bind(('127.0.0.1', 0)); s.listen(1)
c, a = s.accept(); c.send(c.recv(1024).upper()); c.close()";
const TCP_CLIENT: &str = "
import socket, struct, sys
s = socket.socket(); s.connect(('127.0.0.1', int(sys.argv[1])))
s.setsockopt(socket.SOL_SOCKET, socket.SO_RCVTIMEO, struct.pack('ll', 20, 0))
s.send(b'hello'); print(s.recv(1024).decode()); assert s.recv(1024) == b''; s.close()";
const UDP_SERVER: &str = "
import socket
s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM); s.bind(('127.0.0.1', 0))
d, a = s.recvfrom(2048); s.sendto(d.upper(), a)";
const UDP_CLIENT: &str = "
import socket, sys
s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
s.sendto(b'hello', ('127.0.0.1', int(sys.argv[1]))); print(s.recvfrom(2048)[0].decode())";

/// Runs a server, and a client once the server is seen to be ready.
fn pair(server: &str, client: &'static str, ready: &'static str) -> Option<(Seen, Seen)> {
    if !present("python3") {
        return None;
    }
    let mut tracer = tracer()?;
    let (mut started, mut output) = (0, None);
    let seen = watch(&mut tracer, python(server, None), |tracer, event| {
        let Event::Call(call) = event else { return };
        let local = call.after.as_ref().and_then(|after| after.local.clone());
        if let (true, 0, Some(Address::Ip(local))) = (call.name == ready, started, local) {
            let (command, pipe) = python(client, Some(local.port()));
            started = tracer.start(&command).unwrap();
            output = Some(pipe);
        }
    });
    let output = watch::read(output.unwrap());
    let client = Seen { pid: started, output, events: seen.events.clone() };
    Some((seen, client))
}

#[test]
fn the_tcp_programs_of_the_lecture_are_seen_call_by_call() {
    let Some((server, client)) = pair(TCP_SERVER, TCP_CLIENT, "listen") else { return };
    assert_eq!((ending(&server), ending(&client)), (Ending::Exited(0), Ending::Exited(0)));
    assert_eq!(client.output, "HELLO\n");
    let names = |pid| -> Vec<&str> {
        let wanted = ["socket", "bind", "listen", "accept4", "connect", "sendto", "recvfrom"];
        let all = calls(&server.events).filter(|call| call.pid == pid).map(|call| call.name);
        all.filter(|name| wanted.contains(name)).collect()
    };
    assert_eq!(names(client.pid), ["socket", "connect", "sendto", "recvfrom", "recvfrom"]);
    let expected = ["socket", "bind", "listen", "accept4", "recvfrom", "sendto"];
    assert_eq!(names(server.pid), expected);
    let of = |pid, name| {
        let mut all = calls(&server.events);
        all.find(|call| call.pid == pid && call.name == name).unwrap()
    };
    let sent = of(client.pid, "sendto");
    let Arguments::Data { out: true, asked: 5, messages, .. } = &sent.arguments else { panic!() };
    assert_eq!(messages[0].bytes, b"hello");
    assert!(sent.entered < sent.left.unwrap());
    let accepted = of(server.pid, "accept4");
    let connected = of(client.pid, "connect").after.as_ref().unwrap();
    let accepted = accepted.after.as_ref().unwrap();
    assert_eq!((&accepted.peer, &accepted.local), (&connected.local, &connected.peer));
    assert_eq!(accepted.tcp.unwrap().state.name(), "ESTABLISHED");
    // The state before close is told, and the copy it took did not hold the FIN back, for which
    // the client waited.
    assert!(of(server.pid, "close").before.is_some());
}

#[test]
fn the_udp_programs_of_the_lecture_are_seen_call_by_call() {
    let Some((server, client)) = pair(UDP_SERVER, UDP_CLIENT, "bind") else { return };
    assert_eq!((ending(&server), client.output.as_str()), (Ending::Exited(0), "HELLO\n"));
    let received = calls(&server.events)
        .find(|call| call.pid == server.pid && call.name == "recvfrom")
        .unwrap();
    let Arguments::Data { messages, .. } = &received.arguments else { panic!() };
    assert_eq!(messages[0].bytes, b"hello");
    assert!(matches!(messages[0].address, Some(Address::Ip(_))));
}

#[test]
fn a_command_that_cannot_run_says_why() {
    let Some(mut tracer) = tracer() else { return };
    let cases = [
        ("no-such-program-here", libc::ENOENT),
        ("/no/such/path", libc::ENOENT),
        ("/", libc::EACCES),
        ("/etc/passwd", libc::EACCES),
    ];
    for (program, errno) in cases {
        let failure = tracer
            .start(&Command { program: program.into(), ..Command::default() })
            .expect_err(program);
        assert_eq!(failure.step, StartStep::Execute);
        assert_eq!(failure.error.raw_os_error(), Some(errno), "{failure}");
    }
    let (program, directory) = ("true".into(), Some("/no/such/path".into()));
    let failure = tracer.start(&Command { program, directory, ..Command::default() }).unwrap_err();
    assert_eq!(failure.step, StartStep::Directory);
    let nul = tracer.start(&Command { program: "a\0b".into(), ..Command::default() }).unwrap_err();
    assert_eq!(nul.step, StartStep::Prepare);
    assert_eq!(tracer.next_event().unwrap(), None);
}

#[test]
fn the_end_of_a_program_is_its_own() {
    let Some(mut tracer) = tracer() else { return };
    let killed = |signal| Ending::Killed { signal, core: false };
    let end = |seen: &Seen| match ending(seen) {
        Ending::Killed { signal, .. } => killed(signal),
        exited @ Ending::Exited(_) => exited,
    };
    for (script, expected) in [
        ("exit 7", Ending::Exited(7)),
        ("/bin/true; (exit 3); exit $?", Ending::Exited(3)),
        ("kill -SEGV $$", killed(libc::SIGSEGV)),
        ("trap 'exit 5' TERM; kill -TERM $$; sleep 60", Ending::Exited(5)),
        // Without SIGPIPE's default this would go on for ever.
        ("yes | head -1 >/dev/null", Ending::Exited(0)),
    ] {
        assert_eq!(end(&watch(&mut tracer, shell(script), |_, _| {})), expected, "{script}");
    }
    let seen = watch(&mut tracer, role("realtime"), |_, _| {});
    assert_eq!(end(&seen), killed(40));
    assert!(seen.events.iter().any(|event| matches!(event, Event::Signal { number: 40, .. })));
}

#[test]
fn a_stopped_program_stays_stopped_until_it_is_continued() {
    let Some(mut tracer) = tracer() else { return };
    let seen = watch(&mut tracer, shell("kill -STOP $$; exit 4"), |tracer, event| {
        if let Event::Signal { pid, number: libc::SIGSTOP, .. } = event {
            tracer.signal(*pid, libc::SIGCONT).unwrap();
        }
    });
    assert_eq!(ending(&seen), Ending::Exited(4));
}

#[test]
fn a_thread_that_executes_ends_the_calls_of_the_others() {
    let Some(seen) = run(OPTIONS, "execute-from-thread") else { return };
    assert_eq!(ending(&seen), Ending::Exited(9));
    let blocked = calls(&seen.events).find(|call| call.name == "recvfrom").unwrap();
    assert_eq!((blocked.outcome, blocked.left), (Outcome::Unfinished, None));
    let executed = seen.events.iter().filter(|event| matches!(event, Event::Executed { .. }));
    assert_eq!(executed.count(), 2);
}

#[test]
fn processes_killed_at_any_moment_upset_nothing() {
    let Some(seen) = run(OPTIONS, "kill") else { return };
    assert_eq!(ending(&seen), Ending::Exited(0));
    let ended = |event: &&Event| matches!(event, Event::Ended { .. });
    assert_eq!(seen.events.iter().filter(ended).count(), 401);
}

#[test]
fn a_thousand_forks_are_followed() {
    let Some(seen) = run(OPTIONS, "fork") else { return };
    assert_eq!(ending(&seen), Ending::Exited(0));
    let forked =
        |event: &&Event| matches!(event, Event::Forked { pid, parent, .. } if pid != parent);
    assert_eq!(seen.events.iter().filter(forked).count(), 1000);
    let pings = calls(&seen.events).filter(|call| call.name == "sendto").count();
    assert_eq!(pings, 1000);
}

#[test]
fn a_call_that_blocks_for_ever_can_be_ended_by_the_bell() {
    let Some(mut tracer) = tracer() else { return };
    // Nobody ever writes: the bell rings because its time is up.
    let (silent, _writer) = std::os::unix::net::UnixStream::pair().unwrap();
    let silent = std::os::fd::AsFd::as_fd(&silent);
    let alarm = tracer.bell().ring_when(silent, Some(Duration::from_millis(20))).unwrap();
    let seen = watch(&mut tracer, role("block"), |tracer, event| {
        if *event == Event::Rung {
            for pid in tracer.processes() {
                tracer.signal(pid, libc::SIGTERM).unwrap();
            }
        }
    });
    drop(alarm);
    assert_eq!(ending(&seen), Ending::Killed { signal: libc::SIGTERM, core: false });
}

#[test]
fn no_ring_is_lost() {
    let Some(mut tracer) = tracer() else { return };
    const RINGS: usize = 500;
    let (bell, (heard, next)) = (tracer.bell(), std::sync::mpsc::channel());
    let ringer = std::thread::spawn(move || {
        for _ in 0..RINGS {
            bell.ring();
            next.recv().unwrap();
        }
    });
    let mut rings = 0;
    let seen = watch(&mut tracer, role("block"), |tracer, event| {
        if *event == Event::Rung {
            rings += 1;
            heard.send(()).unwrap();
            if rings == RINGS {
                tracer.signal(tracer.processes()[0], libc::SIGKILL).unwrap();
            }
        }
    });
    ringer.join().unwrap();
    assert_eq!(rings, RINGS);
    assert_eq!(ending(&seen), Ending::Killed { signal: libc::SIGKILL, core: false });
}

#[test]
fn a_call_cut_off_by_death_is_reported() {
    let Some(mut tracer) = tracer() else { return };
    let seen = watch(&mut tracer, role("block"), |tracer, event| {
        if let Event::Call(call) = event
            && call.name == "bind"
        {
            let bell = tracer.bell();
            std::thread::spawn(move || bell.ring()).join().unwrap();
        }
        if *event == Event::Rung {
            // It is in recvfrom, or on its way: both are an end without an answer.
            tracer.processes().iter().for_each(|pid| tracer.signal(*pid, libc::SIGKILL).unwrap());
        }
    });
    assert_eq!(ending(&seen), Ending::Killed { signal: libc::SIGKILL, core: false });
    let last = calls(&seen.events).last().unwrap();
    assert!(last.name == "bind" || last.outcome == Outcome::Unfinished, "{last:?}");
}

#[test]
fn io_uring_is_refused_or_flagged() {
    let Some(seen) = run(OPTIONS, "io_uring") else { return };
    assert_eq!(ending(&seen), Ending::Exited(libc::ENOSYS));
    let told = |seen: &Seen, expected: bool| {
        seen.events
            .iter()
            .any(|event| matches!(event, Event::IoUring { refused, .. } if *refused == expected))
    };
    // Elsewhere the filter refuses it by itself.
    assert_eq!(told(&seen, true), cfg!(target_arch = "x86_64"));
    let Some(seen) = run(Options { filter: false, ..OPTIONS }, "io_uring") else { return };
    assert_eq!(told(&seen, true), cfg!(target_arch = "x86_64"));
    let Some(seen) = run(Options { io_uring: true, ..OPTIONS }, "io_uring") else { return };
    if ending(&seen) != Ending::Exited(0) {
        eprintln!("SKIPPED: io_uring is refused here: {:?}", ending(&seen));
        return;
    }
    assert!(told(&seen, false));
}

#[test]
fn a_released_program_goes_on_by_itself() {
    if tracer().is_none() {
        return;
    }
    let mut tracer = Tracer::new(Options { filter: false, ..OPTIONS }).unwrap();
    let mut asked = false;
    let seen = watch(&mut tracer, role("ping-until-untraced"), |tracer, event| {
        if matches!(event, Event::Call(_)) && !asked {
            asked = true;
            tracer.release(tracer.processes()[0]).unwrap();
        }
    });
    assert!(seen.events.iter().any(|event| matches!(event, Event::Released { .. })));
    // It ended well, unseen.
    assert_eq!(seen.output, "done\n");
}

#[test]
fn a_daemon_entrusted_to_a_keeper_outlives_the_tracer() {
    let Some(mut tracer) = tracer() else { return };
    let (command, output) = role("daemon");
    let root = tracer.start(&command).unwrap();
    drop(command);
    let (mut port, mut ended) = (None, false);
    while !ended {
        match tracer.next_event().unwrap().unwrap() {
            Event::Call(call) if call.name == "bind" => {
                let Some(Address::Ip(local)) = call.after.unwrap().local else { panic!() };
                port = Some(local.port());
            }
            Event::Ended { pid, how, .. } if pid == root => {
                assert_eq!(how, Ending::Exited(0));
                ended = true;
            }
            _ => {}
        }
    }
    let daemons = tracer.processes();
    assert_eq!(daemons.len(), 1);
    assert_ne!(tracer.session(daemons[0]).unwrap(), tracer.session(0).unwrap());
    if let Err(error) = tracer.entrust(&daemons) {
        eprintln!("SKIPPED: a keeper may not trace here: {error}");
        return;
    }
    let mut left = Vec::new();
    while let Some(event) = tracer.next_event().unwrap() {
        left.push(event);
    }
    assert!(matches!(left.last(), Some(Event::Released { pid, .. }) if *pid == daemons[0]));
    drop(tracer);
    // Its calls still work: it answers, and tells at the end how often.
    let socket = std::net::UdpSocket::bind("127.0.0.1:0").unwrap();
    socket.connect(("127.0.0.1", port.unwrap())).unwrap();
    // An answer that never comes shall fail the test and not hang it.
    socket.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
    for words in [&b"one"[..], b"two", b"end"] {
        socket.send(words).unwrap();
        let mut answer = [0; 9];
        let length = socket.recv(&mut answer).unwrap();
        assert_eq!(&answer[..length], words);
    }
    assert!(watch::read(output).ends_with("answered 3\n"));
}

#[test]
fn dropping_the_tracer_ends_what_it_traces() {
    let Some(mut tracer) = tracer() else { return };
    let (command, output) = role("block");
    tracer.start(&command).unwrap();
    drop(command);
    drop(tracer);
    // The pipe ends only when its last writer has.
    assert_eq!(watch::read(output), "");
}

#[test]
fn a_program_of_another_instruction_set_is_flagged_once() {
    let Some(seen) = run(OPTIONS, "foreign") else { return };
    if ending(&seen) != Ending::Exited(0) {
        eprintln!("SKIPPED: no 32-bit calls here: {:?}", ending(&seen));
        return;
    }
    let foreign = seen.events.iter().filter(|event| matches!(event, Event::Foreign { .. }));
    assert_eq!(foreign.count(), 1);
}

#[test]
fn where_nobody_may_trace_a_start_says_so() {
    let said = crate::refusals::denied("start", &[(libc::SYS_ptrace, libc::EPERM)]);
    let expected = "ptrace(PTRACE_SEIZE) true: operation not permitted (EPERM)\n";
    assert!(said.ends_with(expected), "{said}");
}

/// The traced programs; of no interest by itself.
#[test]
#[ignore = "a program for the other tests to trace"]
fn program() {
    if let Ok(name) = std::env::var(ROLE) {
        std::process::exit(roles::play(&name));
    }
}
