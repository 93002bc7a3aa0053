//! `impair -- COMMAND`: run with the proxy's address, its exit code passed on.

use std::io::{BufRead, BufReader, Read};
use std::process::{Child, Command, Stdio};

use super::checked;
use crate::program::{Server, run, stentor};

#[test]
fn a_command_is_run_through_the_proxy() {
    let server = Server::start(&[]);
    let program = stentor().get_program().to_str().unwrap().to_owned();
    let target = server.v4.to_string();
    let through = |arguments: &[&str], command: &[&str]| {
        run(&[&["impair", &target], arguments, &["--"], command].concat(), b"")
    };
    let said = through(&["--link", "delay=1ms"], &[&program, "send", "{}", "hello"]);
    assert_eq!((said.code, said.out().as_str()), (Some(0), "HELLO\n"), "{}", said.err);
    assert!(said.err.contains("connections  1 = 1 in order"), "{}", said.err);

    let said = through(&["--json", "-u"], &[&program, "send", "-q", "udp://{}"]);
    assert_eq!(said.code, Some(2), "send has no -q: its own code");
    let said = through(
        &["-q", "--link", "loss=100%"],
        &[&program, "send", "-w", "50ms", "--retry", "0", "udp://{}", "lost"],
    );
    assert_eq!(said.code, Some(1), "{}", said.err);
}

#[test]
fn codes_of_the_command_are_its_own() {
    let check = |command: &[&str], expected: i32| {
        let said = run(&[&["impair", "127.0.0.1:9", "-q", "--"], command].concat(), b"");
        assert_eq!(said.code, Some(expected), "{command:?}: {}", said.err);
    };
    check(&["true"], 0);
    check(&["sh", "-c", "exit 7"], 7);
    check(&["sh", "-c", "kill -9 $$"], 137);
    check(&["no-such-program-here"], 127);
    check(&["/etc/passwd"], 126);
    check(&["sh", "-c", "case $1 in 127.0.0.1:?*) exit 0; esac; exit 1", "sh", "{}"], 0);
}

#[test]
fn a_folder_of_path_that_may_not_be_searched_is_no_program_found() {
    use std::os::unix::fs::PermissionsExt;
    let folder = std::env::temp_dir().join(format!("stentor-path-{}", std::process::id()));
    let [locked, open] = ["locked", "open"].map(|name| folder.join(name));
    for folder in [&locked, &open] {
        std::fs::create_dir_all(folder).unwrap();
    }
    let mode = |path: &std::path::Path, mode| {
        std::fs::set_permissions(path, std::fs::Permissions::from_mode(mode)).unwrap();
    };
    std::fs::write(open.join("found-but-plain"), "no program\n").unwrap();
    let program = folder.join("stentor");
    std::fs::copy(stentor().get_program(), &program).unwrap();
    mode(&folder, 0o755);
    mode(&open, 0o755);
    mode(&locked, 0);
    let path = std::env::join_paths([&locked, &open, &"/usr/bin".into(), &"/bin".into()]);
    // Root may search every folder, so somebody else asks.
    let as_nobody = std::fs::read_dir(&locked).is_ok();
    let check = |verb: &[&str], command: &str, expected: i32, words: &str| {
        let mut run = match as_nobody {
            true => Command::new("setpriv"),
            false => Command::new(&program),
        };
        if as_nobody {
            run.args(["--reuid=65534", "--regid=65534", "--clear-groups"]).arg(&program);
        }
        let run = run.args(verb).arg(command).env("PATH", path.as_ref().unwrap());
        let output = run.stdin(Stdio::null()).current_dir("/").output().unwrap();
        let err = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(expected), "{verb:?} {command}: {err}");
        assert!(err.contains(words), "{verb:?} {command}: {err}");
    };
    let present = Command::new("setpriv").arg("--version").output().is_ok();
    if !as_nobody || present {
        let verbs = [
            &["impair", "127.0.0.1:9", "-q", "--"][..],
            #[cfg(target_os = "linux")]
            &["trace", "--mode", "calls", "--"],
        ];
        for verb in verbs {
            check(verb, "no-such-program-here", 127, "what may be searched of PATH");
            check(verb, "found-but-plain", 126, "chmod +x");
            check(verb, "true", 0, "");
        }
    } else {
        eprintln!("SKIPPED: setpriv(1) is missing, so nobody is there who may not search a folder");
    }
    mode(&locked, 0o755);
    std::fs::remove_dir_all(&folder).unwrap();
}

#[test]
fn its_json_adds_up_and_repeats_the_seed() {
    let server = Server::start(&[]);
    let program = stentor().get_program().to_str().unwrap().to_owned();
    let target = server.v4.to_string();
    let arguments =
        ["impair", &target, "--json", "--seed", "42", "--link", "3g,delay=1ms", "--", &program];
    let said = run(&[&arguments[..], &["send", "tcp://{}", "--json", "hi"]].concat(), b"");
    // Two objects: the command's own, then the report.
    let at = said.out().find("\n{").unwrap() + 1;
    let object = checked(&said.out[at..]);
    assert_eq!(object["schema"], "stentor.impair/1");
    assert_eq!(object["config"]["seed"], 42);
    assert_eq!(object["result"]["streams"][0]["accepted"], 1);
    assert_eq!(object["result"]["streams"][0]["up_sent_bytes"], 2);
}

/// An impair whose command says `ready` on standard output, and then what it does with signals.
fn under_way(script: &str) -> (Child, BufReader<std::process::ChildStdout>) {
    let mut command = stentor();
    command.args(["impair", "-q", "-t", "127.0.0.1:9", "--", "sh", "-c", script]);
    let piped = command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::null());
    let mut child = piped.spawn().unwrap();
    let mut out = BufReader::new(child.stdout.take().unwrap());
    let mut line = String::new();
    out.read_line(&mut line).unwrap();
    assert_eq!(line, "ready\n");
    (child, out)
}

fn signal(child: &Child, name: &str) {
    assert!(Command::new("kill").args([name, &child.id().to_string()]).status().unwrap().success());
}

#[test]
fn sigterm_is_passed_on_and_the_second_signal_ends_the_command() {
    // `read` waits for input that never comes, in the shell itself: no grandchild is left behind.
    let (mut child, mut out) = under_way("trap 'echo told; exit 3' TERM; echo ready; read line");
    signal(&child, "-TERM");
    let mut told = String::new();
    out.read_to_string(&mut told).unwrap();
    assert_eq!((told.as_str(), child.wait().unwrap().code()), ("told\n", Some(130)));

    let (mut child, mut out) =
        under_way("trap '' INT TERM; echo ready; while :; do read line; done");
    signal(&child, "-INT");
    signal(&child, "-TERM");
    assert_eq!(child.wait().unwrap().code(), Some(130));
    out.read_to_string(&mut String::new()).unwrap();
}

#[test]
fn the_command_reads_our_standard_input_and_has_its_own_limits() {
    let target = ["impair", "-q", "127.0.0.1:9", "--"];
    let said = run(&[&target[..], &["cat"]].concat(), b"to the command");
    assert_eq!((said.code, said.out().as_str()), (Some(0), "to the command"));
    let limit = |arguments: &[&str]| {
        let script = "ulimit -S -n 77 && exec \"$@\"";
        let mut command = Command::new("sh");
        command.args(["-c", script, "sh"]).args(arguments);
        String::from_utf8(command.output().unwrap().stdout).unwrap()
    };
    let program = stentor().get_program().to_str().unwrap().to_owned();
    let through = [&[program.as_str()], &target[..], &["sh", "-c", "ulimit -S -n"]].concat();
    assert_eq!(limit(&through), "77\n");
}

#[test]
fn a_fifo_for_the_decisions_is_said_to_be_waited_for() {
    let folder = std::env::temp_dir().join(format!("stentor-fifo-{}", std::process::id()));
    std::fs::create_dir_all(&folder).unwrap();
    let fifo = folder.join("decisions");
    assert!(Command::new("mkfifo").arg(&fifo).status().unwrap().success());
    let mut child = stentor()
        .args(["impair", "127.0.0.1:9", "-q", "--decisions"])
        .arg(&fifo)
        .args(["--", "true"])
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut said = String::new();
    BufReader::new(child.stderr.take().unwrap()).read_line(&mut said).unwrap();
    assert!(said.contains("decisions is a FIFO: waits until it is read"), "{said}");
    assert_eq!(std::fs::read(&fifo).unwrap(), b"", "no datagram came");
    assert_eq!(child.wait().unwrap().code(), Some(0));
    std::fs::remove_dir_all(&folder).unwrap();
}
