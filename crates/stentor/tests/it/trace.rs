//! `stentor trace` on real programs: what it shows, what it passes on, what it refuses.

use std::io::Read;
use std::path::PathBuf;
use std::process::{Command, Stdio};

use stentor::report::record;
use stentor_core::timeline::cause::{Grade, PacketNo, Relation};
use stentor_core::timeline::matcher::{Explained, headers};
use stentor_core::timeline::record::Record;

use crate::program::{Said, run, stentor};

/// A folder that goes with the test.
pub(crate) struct Folder(PathBuf);

impl Folder {
    pub(crate) fn new(name: &str) -> Folder {
        let name = format!("stentor-trace-{name}-{}", std::process::id());
        let path = std::env::temp_dir().join(name);
        std::fs::create_dir_all(&path).unwrap();
        Folder(path)
    }

    pub(crate) fn file(&self, name: &str) -> String {
        self.0.join(name).display().to_string()
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        // Whatever is left is only in the temporary folder.
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

const EXE: &str = env!("CARGO_BIN_EXE_stentor");

/// Whether this system lets us have a private network and trace in it.
fn lab() -> bool {
    let said = run(&["trace", "-q", "--mode", "lab", "--", "true"], b"");
    if said.code != Some(0) {
        eprintln!("SKIPPED: no lab here: {}", said.err);
    }
    said.code == Some(0)
}

/// Whether this system lets us, and has Python for programs that ours are not like.
fn python() -> bool {
    let found = Command::new("python3").arg("--version").output().is_ok();
    if !found {
        eprintln!("SKIPPED: no python3 here");
    }
    found && lab()
}

/// Traces a service and one sentence to it.
fn exchange(more: &[&str], transport: &str) -> Said {
    let client = format!("{EXE} send {transport}://127.0.0.1:12000 hello");
    let only = format!("--{transport}");
    let service = ["--", EXE, "serve", "-q", "-1", &only, "-b", "127.0.0.1", "-p", "12000"];
    let with = ["--with", &client];
    run(&[&["trace", "--only", "12000"], more, &service[..], &with[..]].concat(), b"")
}

/// The lines of a ladder that say these words, in this order.
pub(crate) fn in_order(ladder: &str, words: &[&str]) {
    let mut rest = ladder;
    for word in words {
        let at = rest.find(word).unwrap_or_else(|| panic!("no {word:?} in order in\n{ladder}"));
        rest = &rest[at + word.len()..];
    }
}

#[test]
fn the_lectures_tcp_exchange_call_by_call() {
    if !lab() {
        return;
    }
    let said = exchange(&[], "tcp");
    assert_eq!(said.code, Some(0), "{}", said.err);
    let ladder = said.out();
    in_order(&ladder, &["HELLO", "listen(", "SYN seq 0", "SYN,ACK seq 0", "kernel", "FIN,ACK"]);
    // Each of these arrows was made by the call that stands at its foot.
    for (call, arrow) in [("connect #", "SYN seq 0"), ("sendto #", "1+5")] {
        let line = ladder.lines().find(|line| line.contains(arrow)).unwrap();
        assert!(line.contains(call), "{line}");
    }
}

#[test]
fn the_lectures_udp_exchange() {
    if !lab() {
        return;
    }
    let said = exchange(&[], "udp");
    assert_eq!(said.code, Some(0), "{}", said.err);
    in_order(&said.out(), &["HELLO", "UDP 127.0.0.1:", "bind(", "UDP", "UDP"]);
}

#[test]
fn a_stored_record_draws_the_same_ladder() {
    if !lab() {
        return;
    }
    let folder = Folder::new("stored");
    let files: Vec<String> = ["r.jsonl", "l.txt", "p.svg", "p.html", "d.mmd", "w.pcapng", "w.lua"]
        .map(|name| folder.file(name))
        .into();
    let outputs: Vec<&str> = files.iter().flat_map(|file| ["-o", file]).collect();
    let live = exchange(&outputs, "tcp");
    assert_eq!(live.code, Some(0), "{}", live.err);
    let begins = |file: &str, with: &[u8]| {
        let bytes = std::fs::read(file).unwrap();
        assert!(bytes.starts_with(with), "{file}: {:?}", &bytes[..bytes.len().min(40)]);
    };
    begins(&files[0], b"{\"schema\":\"stentor.trace/1\"");
    begins(&files[2], b"<svg");
    begins(&files[3], b"<!");
    begins(&files[4], b"sequenceDiagram");
    let diagram = std::fs::read_to_string(&files[4]).unwrap();
    in_order(
        &diagram,
        &["participant c0", "listen(", "c0->>s0: SYN", "s0-->>c0: SYN,ACK", "sendto"],
    );
    begins(&files[5], &[0x0a, 0x0d, 0x0d, 0x0a]);
    let stored = run(&["trace", "show", &files[0], "--only", "12000"], b"");
    assert_eq!(stored.code, Some(0), "{}", stored.err);
    // A record is copied, too; onto itself without harm.
    let record = std::fs::read(&files[0]).unwrap();
    let copy = folder.file("copy.jsonl");
    for to in [&copy, &files[0]] {
        let said = run(&["trace", "show", "-q", &files[0], "-o", to], b"");
        assert_eq!(said.code, Some(0), "{}", said.err);
        let kept = std::fs::read(to).unwrap();
        assert_eq!(kept.len(), record.len(), "{}", String::from_utf8_lossy(&kept));
    }
    let drawn = live.out();
    let ladder = &drawn[drawn.find("lab: ").unwrap()..];
    assert_eq!(stored.out(), ladder);
}

#[test]
fn a_refused_connection_is_explained() {
    if !lab() {
        return;
    }
    let said = run(&["trace", "--", EXE, "send", "127.0.0.1:9", "hello"], b"");
    assert_eq!(said.code, Some(3), "the program's own code is passed on");
    in_order(&said.out(), &["connect(", "SYN seq 0", "RST", "ECONNREFUSED"]);
}

#[test]
fn calls_alone_need_no_network_of_their_own() {
    let said = run(&["trace", "--mode", "calls", "--", EXE, "send", "127.0.0.1:1", "x"], b"");
    if said.code == Some(125) {
        return eprintln!("SKIPPED: no tracing here: {}", said.err);
    }
    assert_eq!(said.code, Some(3), "{}", said.err);
    in_order(&said.out(), &["connect(", "ECONNREFUSED"]);
    assert!(!said.out().contains("SYN seq"), "no packet is drawn that nobody saw");
}

#[test]
fn exit_codes_are_passed_on_as_timeout_does() {
    if !lab() {
        return;
    }
    let folder = Folder::new("codes");
    let text = folder.file("text");
    std::fs::write(&text, "not a program").unwrap();
    let check = |command: &[&str], code: i32, err: &str| {
        let said = run(&[&["trace", "-q", "--"], command].concat(), b"");
        assert_eq!(said.code, Some(code), "{command:?}: {}", said.err);
        assert!(said.err.contains(err), "{command:?}: {}", said.err);
    };
    check(&["true"], 0, "");
    check(&["sh", "-c", "exit 7"], 7, "");
    check(&["sh", "-c", "kill -9 $$"], 137, "");
    check(&["no-such-program-anywhere"], 127, "no such file or directory (ENOENT). There is no");
    let script = folder.file("script");
    std::fs::write(&script, "#!/no/such/interpreter\n").unwrap();
    let executable = std::os::unix::fs::PermissionsExt::from_mode(0o755);
    std::fs::set_permissions(&script, executable).unwrap();
    check(&[&script], 127, "The file is there, but not the interpreter");
    check(&[&folder.file("gone")], 127, "There is no such file: check the path");
    check(&[&text], 126, "permission denied (EACCES). It is not executable");
}

#[test]
fn words_that_make_no_sense_are_usage() {
    let check = |arguments: &[&str], err: &str| {
        let said = run(arguments, b"");
        assert_eq!(said.code, Some(2), "{arguments:?}: {}", said.err);
        assert!(said.err.contains(err), "{arguments:?}: {}", said.err);
    };
    check(&["trace"], "no program to trace. Give it after --");
    check(&["trace", "--", "true", "--with"], "after --with 'COMMAND'");
    check(&["trace", "--with", "'open", "--", "true"], "is not a command. Its quotes must be");
    check(&["trace", "-o", "x.docx", "--", "true"], "its name does not say its form. One of");
    check(&["trace", "--only", "here", "--", "true"], "is not ADDRESS:PORT");
}

#[test]
fn files_that_cannot_be_written_or_read_are_named() {
    let folder = Folder::new("files");
    let gone = folder.file("no/such/folder.svg");
    let said = run(&["trace", "-o", &gone, "--", "true"], b"");
    assert_eq!(said.code, Some(125), "{}", said.err);
    assert!(said.err.contains("ENOENT"), "{}", said.err);

    let foreign = folder.file("foreign.jsonl");
    std::fs::write(&foreign, "PNG or whatever\n").unwrap();
    let said = run(&["trace", "show", &foreign], b"");
    assert_ne!(said.code, Some(0));
    assert!(said.err.contains("foreign.jsonl"), "{}", said.err);
    let said = run(&["trace", "show", &folder.file("")], b"");
    assert!(said.err.contains("line 1: is a directory (EISDIR)"), "{}", said.err);

    let cut = folder.file("cut.jsonl");
    let record = "{\"schema\":\"stentor.trace/1\",\"stentor\":\"0.1.0\",\"kernel\":\"6\",\
                  \"machine\":\"x86_64\",\"mode\":\"lab\",\"wire\":\"ethernet\",\"snaplen\":178,\
                  \"began_unix_ns\":1}\n{\"packet\":{\"at_ns\":1,";
    std::fs::write(&cut, record).unwrap();
    let said = run(&["trace", "show", &cut], b"");
    assert_eq!(said.code, Some(0), "{}", said.err);
    assert!(said.out().contains("1 line of the record is missing"), "{}", said.out());

    let [svg, page] = ["full.svg", "page.html"].map(|name| folder.file(name));
    std::os::unix::fs::symlink("/dev/full", &svg).unwrap();
    std::fs::write(&page, "old".repeat(100_000)).unwrap();
    let said = run(&["trace", "show", &cut, "-o", &svg, "-o", &page, "-o", &gone], b"");
    assert_eq!(said.code, Some(3), "{}", said.err);
    assert!(std::fs::read_to_string(&page).unwrap().starts_with("oldold"), "it came to nothing");
    let said = run(&["trace", "show", &cut, "-o", &svg, "-o", &page], b"");
    assert_eq!(said.code, Some(3), "{}", said.err);
    assert!(said.err.contains("full.svg: no space left on device (ENOSPC)"), "{}", said.err);
    assert!(said.out().contains("1 line of the record is missing"), "{}", said.out());
    let text = std::fs::read_to_string(&page).unwrap();
    assert!(text.starts_with("<!DOCTYPE html>") && text.trim_end().ends_with("</html>"));

    if lab() {
        let full = folder.file("full.jsonl");
        std::os::unix::fs::symlink("/dev/full", &full).unwrap();
        let said = run(&["trace", "-q", "-o", &full, "--", "true"], b"");
        assert_eq!(said.code, Some(125), "{}", said.err);
        assert!(said.err.contains("ENOSPC"), "{}", said.err);
    }
}

#[test]
fn an_interrupt_ends_the_programs_first_and_prints_what_there_is() {
    if !lab() {
        return;
    }
    let mut child = stentor()
        .args(["trace", "--", EXE, "serve", "-t", "-p", "12000", "-b", "127.0.0.1"])
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut out = child.stdout.take().unwrap();
    // The traced server says when it is ready; its words pass through.
    let mut seen = Vec::new();
    let mut byte = [0];
    while !seen.ends_with(b"\n") {
        assert_eq!(out.read(&mut byte).unwrap(), 1, "ended without a ready line");
        seen.push(byte[0]);
    }
    let pid = child.id().to_string();
    assert!(Command::new("kill").args(["-INT", &pid]).status().unwrap().success());
    let mut rest = String::new();
    out.read_to_string(&mut rest).unwrap();
    assert_eq!(child.wait().unwrap().code(), Some(130), "{rest}");
    in_order(&rest, &["bind(", "listen("]);
}

#[test]
fn an_interrupt_of_the_terminal_reaches_the_programs_once() {
    use std::os::unix::process::CommandExt;
    if !python() {
        return;
    }
    let folder = Folder::new("once");
    let file = folder.file("program");
    // Not pause(): the signal may come before it. After the first a second has time to come.
    let program = "import signal, time\n\
                   came = []\n\
                   signal.signal(signal.SIGINT, lambda *_: came.append(1))\n\
                   print('ready', flush=True)\n\
                   while not came: time.sleep(0.01)\n\
                   time.sleep(0.4)\n\
                   print('came', len(came))\n";
    std::fs::write(&file, program).unwrap();
    // As ^C does, to the whole group; and to the tracer alone, which has to tell the program.
    for whole in [true, false] {
        let mut command = stentor();
        command.args(["trace", "-q", "--", "python3", &file]).process_group(0);
        let mut child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        let mut out = child.stdout.take().unwrap();
        let mut ready = [0; 6];
        out.read_exact(&mut ready).unwrap();
        let to = format!("{}{}", if whole { "-" } else { "" }, child.id());
        assert!(Command::new("kill").args(["-INT", "--", &to]).status().unwrap().success());
        let mut rest = String::new();
        out.read_to_string(&mut rest).unwrap();
        assert_eq!(child.wait().unwrap().code(), Some(130), "{rest}");
        assert_eq!(rest, "came 1\n", "whole group: {whole}");
    }
}

#[test]
fn a_system_that_refuses_is_named_with_the_remedy() {
    // unshare(2) on x86-64; elsewhere the number is another, and the test has nothing to deny.
    const UNSHARE: i64 = 272;
    const EPERM: i32 = 1;
    if !cfg!(target_arch = "x86_64") {
        return eprintln!("SKIPPED: numbers of calls are those of x86-64");
    }
    let denied = |arguments: &[&str]| {
        let mut command = stentor();
        command.args(arguments);
        stentor_os::privilege::deny(&mut command, &[(UNSHARE, EPERM)]).unwrap();
        command.output().unwrap()
    };
    let output = denied(&["trace", "--mode", "lab", "--", "true"]);
    let err = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(125), "{err}");
    assert!(err.contains("unshare(CLONE_NEW"), "{err}");
    assert!(err.contains("--mode calls"), "{err}");
    // Without a mode asked for, what is possible is done, and said.
    let output = denied(&["trace", "--", EXE, "send", "127.0.0.1:1", "x"]);
    let err = String::from_utf8_lossy(&output.stderr);
    assert!(err.contains("calls without packets: no private network"), "{err}");
    assert_eq!(output.status.code(), Some(3), "{err}");
}

#[test]
fn a_server_that_never_falls_silent_is_ended_after_its_client() {
    if !python() {
        return;
    }
    let folder = Folder::new("poll");
    // Neither is ever idle for as long as silence takes: one looks around, one works.
    for (name, each) in [("looks", "continue"), ("works", "socket.socket().close()")] {
        let file = folder.file(name);
        let program = format!(
            "import socket\n\
             s = socket.create_server(('127.0.0.1', 12000))\n\
             s.settimeout(0.05)\n\
             while True:\n\
             \x20   try: c = s.accept()[0]\n\
             \x20   except TimeoutError:\n\
             \x20       {each}\n\
             \x20       continue\n\
             \x20   c.sendall(c.recv(99).upper())\n\
             \x20   c.close()\n"
        );
        std::fs::write(&file, program).unwrap();
        let client = format!("{EXE} send tcp://127.0.0.1:12000 hello");
        let said = run(&["trace", "-q", "--", "python3", &file, "--with", &client], b"");
        assert_eq!(said.code, Some(0), "{name}: {}", said.err);
        assert!(said.out().contains("HELLO"), "{name}: {}", said.out());
    }
}

#[test]
fn a_call_that_a_signal_ended_is_said_to_be_interrupted() {
    if !python() {
        return;
    }
    let folder = Folder::new("interrupted");
    let file = folder.file("server");
    let program = "import socket\n\
                   s = socket.create_server(('127.0.0.1', 12000))\n\
                   while True: s.accept()[0].close()\n";
    std::fs::write(&file, program).unwrap();
    let client = "python3 -c 'import socket; socket.create_connection((\"127.0.0.1\", 12000))'";
    let said = run(&["trace", "--", "python3", &file, "--with", client], b"");
    assert_eq!(said.code, Some(0), "{}", said.err);
    let ladder = said.out();
    in_order(&ladder, &["SYN,ACK", "interrupted"]);
    assert!(!ladder.contains("ERESTART"), "a code that no program ever sees: {ladder}");
}

#[test]
fn a_datagram_in_fragments_is_told_by_its_own_length() {
    if !lab() {
        return;
    }
    let client = format!("{EXE} send udp://127.0.0.1:12000 {}", "x".repeat(5000));
    let service = ["--", EXE, "serve", "-q", "-1", "--udp", "-b", "127.0.0.1", "-p", "12000"];
    let with = ["--with", &client];
    let said = run(&[&["trace", "--only", "12000"], &service[..], &with[..]].concat(), b"");
    in_order(&said.out(), &["5000 bytes in fragments", "fragment protocol 17"]);
}

#[test]
fn the_ladder_begins_on_a_line_of_its_own() {
    if !lab() {
        return;
    }
    let said = run(&["trace", "--", "printf", "no end"], b"");
    assert!(said.out().starts_with("no end\nlab: "), "{}", said.out());
}

#[test]
fn a_program_without_sockets_is_told_so() {
    if !lab() {
        return;
    }
    let said = run(&["trace", "--", "true"], b"");
    assert_eq!(said.code, Some(0), "{}", said.err);
    in_order(&said.out(), &["true: exit 0", "no conversation was seen"]);
}

/// What a run wrote to a .jsonl.
fn stored(file: &str) -> Record {
    let file = std::io::BufReader::new(std::fs::File::open(file).unwrap());
    let (mut record, warnings) = record::read(file).unwrap();
    assert!(warnings.sentences().is_empty(), "{:?}", warnings.sentences());
    record.sort();
    record
}

/// Writes `left` bytes in pieces of many sizes whenever select(2) says that there is room.
const WRITER: &str = "
import select, socket
s = socket.create_connection(('127.0.0.1', 12000))
s.setblocking(False)
left, piece = 400000, 0
while left:
    try:
        left -= s.send(b'x' * min(left, 500 + piece * 377 % 9000))
        piece += 1
    except BlockingIOError:
        select.select([], [s], [])
";

/// Reads little at a time, and only when the other end could write no more for a while.
const READER: &str = "
import socket, time
l = socket.socket()
l.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 16384)
l.bind(('127.0.0.1', 12000))
l.listen()
s = l.accept()[0]
while s.recv(3001):
    time.sleep(0.001)
";

#[test]
fn every_data_segment_of_a_slow_transfer_is_traced_to_its_sends() {
    if !python() {
        return;
    }
    let folder = Folder::new("slow");
    let [writer, reader, jsonl] = ["writer", "reader", "r.jsonl"].map(|name| folder.file(name));
    std::fs::write(&writer, WRITER).unwrap();
    std::fs::write(&reader, READER).unwrap();
    let client = format!("python3 {writer}");
    let said =
        run(&["trace", "-q", "-o", &jsonl, "--", "python3", &reader, "--with", &client], b"");
    assert_eq!(said.code, Some(0), "{}", said.err);
    let record = stored(&jsonl);
    let explained = Explained::of(&record);
    let (mut segments, mut late, mut shared, mut bytes) = (0, 0, 0, 0);
    for number in (0..).map(PacketNo).take(record.packets.len()) {
        let headers = headers(&record, number).unwrap();
        if headers.tcp().is_none() || headers.payload_length == 0 {
            continue;
        }
        let edges = explained.edges_of(number);
        assert!(edges.iter().all(|edge| edge.grade == Grade::Exact), "{number:?}: {edges:?}");
        let sends: Vec<_> = edges
            .iter()
            .filter(|edge| edge.relation == Relation::Cause && !edge.bytes.is_empty())
            .collect();
        let explains: u64 = sends.iter().map(|edge| edge.bytes.end - edge.bytes.start).sum();
        assert_eq!(explains, u64::from(headers.payload_length), "{number:?}: {sends:?}");
        let at = record.packets[number.index()].at;
        let last = sends.last().unwrap().call.unwrap();
        late += usize::from(record.calls[last.index()].left.unwrap() < at);
        shared += usize::from(sends.len() > 1);
        segments += 1;
        bytes += explains;
    }
    eprintln!("{segments} data segments, all exact; {late} left after their call, {shared} shared");
    assert_eq!(bytes, 400_000, "sent again, or missed");
    assert!(late > 0 && shared > 0, "the transfer was too easy to prove anything");
}

#[test]
fn stored_records_draw_as_recorded() {
    for name in ["lecture-tcp", "lecture-udp", "refused"] {
        let file = format!("{}/tests/it/data/{name}.jsonl", env!("CARGO_MANIFEST_DIR"));
        let said = run(&["trace", "show", &file], b"");
        assert_eq!((said.code, said.err.as_str()), (Some(0), ""), "{name}");
        insta::with_settings!({ snapshot_path => "golden", prepend_module_to_snapshot => false }, {
            insta::assert_snapshot!(format!("ladder-{name}"), said.out());
        });
    }
}

#[test]
fn a_record_that_ends_in_the_middle_is_drawn_as_far_as_it_goes() {
    let folder = Folder::new("torn");
    let whole = format!("{}/tests/it/data/lecture-tcp.jsonl", env!("CARGO_MANIFEST_DIR"));
    let text = std::fs::read(whole).unwrap();
    let torn = folder.file("torn.jsonl");
    std::fs::write(&torn, &text[..text.len() - 20]).unwrap();
    let said = run(&["trace", "show", &torn], b"");
    assert_eq!(said.code, Some(0), "{}", said.err);
    assert!(said.err.contains("torn.jsonl"), "{}", said.err);
    in_order(&said.out(), &["connect", "SYN seq 0"]);
}

#[test]
fn nobody_without_any_privilege_sees_the_same() {
    let id = Command::new("id").arg("-u").output().map(|said| said.stdout);
    if !id.is_ok_and(|id| id.trim_ascii() == b"0") {
        return eprintln!("SKIPPED: not root, so the other tests have shown it already");
    }
    // Where nobody may read it, unlike the folders of whoever builds.
    let folder = Folder::new("nobody");
    let exe = folder.file("stentor");
    std::fs::copy(EXE, &exe).unwrap();
    let client = format!("{exe} send tcp://127.0.0.1:12000 hello");
    let output = Command::new("setpriv")
        .args(["--reuid=65534", "--regid=65534", "--clear-groups", "--bounding-set=-all"])
        .args([&exe, "trace", "--mode", "lab", "--only", "12000", "--"])
        .args([&exe, "serve", "-q", "-1", "-t", "-b", "127.0.0.1", "-p", "12000"])
        .args(["--with", &client])
        .stdin(Stdio::null())
        .output();
    let Ok(output) = output else { return eprintln!("SKIPPED: setpriv is missing") };
    let err = String::from_utf8_lossy(&output.stderr);
    if err.contains("a private network: unshare(") {
        return eprintln!("SKIPPED: no user namespaces for nobody here: {err}");
    }
    assert_eq!(output.status.code(), Some(0), "{err}");
    let ladder = String::from_utf8_lossy(&output.stdout);
    in_order(&ladder, &["HELLO", "listen(", "SYN seq 0", "SYN,ACK seq 0", "FIN,ACK"]);
}
