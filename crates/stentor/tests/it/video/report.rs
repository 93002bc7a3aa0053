//! What `video play` prints and writes of a session: every form, and the picture that moves.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use serde_json::Value;

use super::origin::Origin;
use crate::program::{Said, run};

/// The lecture's session: x = 0.8, R = 1 Mbit/s, Q = 4 s.
const LECTURE: [&str; 10] =
    ["video", "play", "--sim", "800kbit", "--film", "lecture", "--quality", "0", "-B", "10s"];

fn lecture(more: &[&str]) -> Said {
    let mut arguments = LECTURE.to_vec();
    arguments.extend(more);
    run(&arguments, b"")
}

/// A folder of its own, taken away when dropped.
struct Folder(PathBuf);

impl Folder {
    fn new(name: &str) -> Folder {
        let path = std::env::temp_dir().join(format!("stentor-{name}-{}", std::process::id()));
        std::fs::create_dir_all(&path).unwrap();
        Folder(path)
    }

    fn file(&self, name: &str) -> String {
        self.0.join(name).to_str().unwrap().to_owned()
    }

    fn read(&self, name: &str) -> String {
        std::fs::read_to_string(self.0.join(name)).unwrap()
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        // What cannot be taken away is left to the system.
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

#[test]
fn a_session_is_written_in_every_form() {
    let folder = Folder::new("forms");
    let forms = ["a.txt", "a.json", "a.jsonl", "a.svg", "a.html"];
    let files: Vec<String> = forms.iter().map(|name| folder.file(name)).collect();
    let mut more: Vec<&str> = files.iter().flat_map(|file| ["-o", file.as_str()]).collect();
    let p1203 = folder.file("p1203");
    more.extend(["--p1203", &p1203]);
    let said = lecture(&more);
    assert_eq!((said.code, said.err.as_str()), (Some(0), ""));
    assert_eq!(said.out(), folder.read("a.txt"));
    for line in [
        "start-up     Q/x                        5 s          5 s          5 s",
        "freezes                                   5            7            7",
    ] {
        assert!(said.out().contains(line), "{}", said.out());
    }
    let object: Value = serde_json::from_str(&folder.read("a.json")).unwrap();
    assert_eq!(object["schema"], "stentor.video-play/1");
    let session = &object["result"]["session"];
    assert_eq!(session["stalls"].as_array().unwrap().len(), 7);
    assert_eq!(session["start_up_ns"], 5_000_000_000_u64);
    let lines = folder.read("a.jsonl");
    let events: Vec<Value> =
        lines.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let count = |name: &str| events.iter().filter(|event| event["event"] == name).count() as u64;
    for name in ["requested", "received", "abandoned", "failed"] {
        assert_eq!(session["requests"][name], count(name), "{name}");
    }
    assert_eq!((count("begun"), count("stalled"), count("resumed"), count("ended")), (1, 7, 7, 1));
    assert!(folder.read("a.svg").starts_with("<svg ") && folder.read("a.html").contains("<svg "));
    let input: Value = serde_json::from_str(&folder.read("p1203")).unwrap();
    assert_eq!(input["I23"]["stalling"].as_array().unwrap().len(), 8);
}

#[test]
fn the_object_stands_alone_on_standard_output() {
    let said = lecture(&["-J"]);
    let object: Value = serde_json::from_str(&said.out()).unwrap();
    assert_eq!((&object["ok"], &object["exit_code"]), (&Value::Bool(true), &0.into()));
    assert_eq!(object["result"]["clients"], Value::Null);
    // It is valid also when nothing came of the run.
    let said = run(&["video", "play", "-J", "--sim", "nothing.json"], b"");
    let object: Value = serde_json::from_str(&said.out()).unwrap();
    assert_eq!((said.code, &object["result"]), (Some(3), &Value::Null));
    assert!(object["error"].as_str().unwrap().contains("nothing.json"));
}

#[test]
fn a_file_must_say_its_form() {
    let said = lecture(&["-o", "session.png"]);
    assert_eq!(said.code, Some(2));
    assert!(said.err.contains(".txt, .json, .jsonl, .svg, .html"), "{}", said.err);
}

/// `STENTOR_BLESS=1 cargo test -p stentor --test it video::report` draws it anew.
#[test]
fn the_picture_of_the_documents_is_what_is_drawn() {
    let folder = Folder::new("picture");
    let said = lecture(&["-q", "-o", &folder.file("drawn.svg")]);
    assert_eq!(said.code, Some(0), "{}", said.err);
    let kept = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/buffer-chunks.svg");
    let drawn = folder.read("drawn.svg");
    if std::env::var_os("STENTOR_BLESS").is_some() {
        std::fs::write(&kept, &drawn).unwrap();
    }
    let same = std::fs::read_to_string(&kept).unwrap() == drawn;
    assert!(same, "docs/buffer-chunks.svg is not what is drawn now");
}

/// A film of one second: four chunks of 250 ms.
const SHORT: &str = r#"{"segment_duration_ms": 250, "bitrates_kbps": [200],
    "segment_sizes_bits": [[50000], [50000], [50000], [50000]]}"#;

#[test]
fn what_moves_moves_only_at_a_terminal_and_is_taken_away() {
    let folder = Folder::new("live");
    std::fs::write(folder.file("short.json"), SHORT).unwrap();
    let origin = Origin::start(&["--film", &folder.file("short.json")]);
    let arguments = ["video", "play", &origin.url("/master.m3u8"), "-Q", "250ms"];
    let piped = run(&arguments, b"");
    assert_eq!((piped.code, piped.err.as_str()), (Some(0), ""));
    assert!(!piped.out().contains('\x1b'));
    let words: Vec<String> = std::iter::once(env!("CARGO_BIN_EXE_stentor").to_owned())
        .chain(arguments.iter().map(|word| (*word).to_owned()))
        .collect();
    let terminal = |more: &str| {
        let mut command = Command::new("script");
        command.args(["-qec", &format!("stty cols 90 rows 24; {}{more}", words.join(" "))]);
        command.arg("/dev/null").env_remove("NO_COLOR").stdin(Stdio::null());
        command.output().map(|output| String::from_utf8_lossy(&output.stdout).into_owned())
    };
    let Ok(shown) = terminal("") else {
        eprintln!("SKIPPED: script is not installed; nobody has a terminal");
        return;
    };
    // Drawn, drawn over, and at last taken away: the report begins where the picture was.
    assert!(shown.contains("buffer ") && shown.contains("film "), "{shown:?}");
    assert!(shown.matches("A\x1b[J").count() >= 2, "{shown:?}");
    let (_, after) = shown.rsplit_once("A\x1b[J").unwrap();
    assert!(after.starts_with("http://") && after.contains("start-up"), "{after:?}");
    let quiet = terminal(" -q").unwrap();
    assert!(!quiet.contains("A\x1b[J"), "{quiet:?}");
}

#[test]
fn a_person_s_end_is_reported_so_far() {
    let origin = Origin::start(&["--film", "short", "--rate", "200kbit"]);
    let url = origin.url("/master.m3u8");
    let mut command = crate::program::stentor();
    command.args(["video", "play", &url, "--quality", "0", "-J"]);
    let child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    // By then it has a chunk, and asks for the next.
    origin.logged("/0/0.m4s");
    let pid = child.id().to_string();
    assert!(Command::new("kill").args(["-INT", &pid]).status().unwrap().success());
    let output = child.wait_with_output().unwrap();
    let object: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!((output.status.code(), &object["exit_code"]), (Some(130), &130.into()));
    let requests = &object["result"]["session"]["requests"];
    let part = |name: &str| requests[name].as_u64().unwrap();
    let parts = part("received") + part("abandoned") + part("failed") + part("unfinished");
    assert_eq!(part("requested"), parts, "{requests}");
}
