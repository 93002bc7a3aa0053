//! Runs a command under a tracer and keeps what was seen.

use std::ffi::OsString;
use std::io::Read;
use std::os::fd::OwnedFd;
use std::os::unix::ffi::OsStringExt as _;

use stentor_os::tracee::{Call, Command, Ending, Event, Options, Tracer};

/// Names the role in which the test binary shall run.
pub(crate) const ROLE: &str = "STENTOR_TEST_ROLE";

pub(crate) const OPTIONS: Options = Options {
    filter: true,
    snapshots: true,
    payload_bytes_max: 64,
    waiting_calls: true,
    io_uring: false,
};

pub(crate) struct Seen {
    pub(crate) pid: i32,
    pub(crate) output: String,
    pub(crate) events: Vec<Event>,
}

/// A command, and what it will write.
pub(crate) type Prepared = (Command, OwnedFd);

fn prepare(program: impl Into<OsString>, arguments: &[&str]) -> Prepared {
    // Other tests fork at the same time: their programs must not keep this pipe open.
    let (output, theirs) = nix::unistd::pipe2(nix::fcntl::OFlag::O_CLOEXEC).unwrap();
    let command = Command {
        program: program.into(),
        arguments: arguments.iter().map(OsString::from).collect(),
        stdout: Some(theirs),
        ..Command::default()
    };
    (command, output)
}

pub(crate) fn shell(script: &str) -> Prepared {
    prepare("sh", &["-c", script])
}

/// The interpreter itself, not a script that looks for it; isolated (`-I -S`): both would ask the
/// name service who the user is where the environment does not say, by socket calls of their own.
pub(crate) fn python(script: &str, port: Option<u16>) -> Prepared {
    let find = std::process::Command::new("python3")
        .args(["-c", "import sys; print(sys.executable, end='')"])
        .output()
        .unwrap();
    let port = port.map(|port| port.to_string());
    let mut arguments = vec!["-I", "-S", "-c", script];
    arguments.extend(port.as_deref());
    prepare(OsString::from_vec(find.stdout), &arguments)
}

/// This binary in a role. It has no output but the role's: the harness writes to another stream.
pub(crate) fn role(name: &str) -> Prepared {
    // Not by its path: a user without privileges may not reach the folder of whoever builds.
    let this = "/proc/self/exe";
    let arguments = ["calls::program", "--exact", "--ignored", "--nocapture", "--quiet"];
    let (mut command, output) = prepare(this, &arguments);
    let mut environment: Vec<_> = std::env::vars_os().collect();
    environment.push((ROLE.into(), name.into()));
    command.environment = Some(environment);
    (command, output)
}

pub(crate) fn read(pipe: OwnedFd) -> String {
    let mut text = String::new();
    std::fs::File::from(pipe).read_to_string(&mut text).unwrap();
    text
}

/// Traces a command and all it starts until nobody is left.
pub(crate) fn watch(
    tracer: &mut Tracer,
    (command, output): Prepared,
    mut act: impl FnMut(&mut Tracer, &Event),
) -> Seen {
    let pid = tracer.start(&command).unwrap();
    drop(command);
    let reader = std::thread::spawn(move || read(output));
    let mut events = Vec::new();
    while let Some(event) = tracer.next_event().unwrap() {
        act(tracer, &event);
        events.push(event);
    }
    let output = reader.join().unwrap();
    // The harness says what it runs before the role begins.
    let output = output.split_once("ROLE\n").map_or(output.clone(), |(_, role)| role.to_owned());
    Seen { pid, output, events }
}

pub(crate) fn calls(events: &[Event]) -> impl Iterator<Item = &Call> {
    events.iter().filter_map(|event| match event {
        Event::Call(call) => Some(&**call),
        _ => None,
    })
}

/// How the command itself ended.
pub(crate) fn ending(seen: &Seen) -> Ending {
    let mut ends = seen.events.iter().filter_map(|event| match event {
        Event::Ended { pid, how, .. } if *pid == seen.pid => Some(*how),
        _ => None,
    });
    let end = ends.next().unwrap();
    assert_eq!(ends.next(), None, "ended twice");
    end
}

pub(crate) fn present(program: &str) -> bool {
    let found = std::process::Command::new(program).arg("--version").output().is_ok();
    if !found {
        eprintln!("SKIPPED: {program} is not here");
    }
    found
}
