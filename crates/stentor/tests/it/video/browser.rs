//! The origin before real browsers: its own page, and the players of others, in headless Chromium.
//! Skipped, loudly, where Chromium, Node or the packages are missing.

use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdout, Command, Stdio};
use std::sync::{Mutex, MutexGuard, PoisonError};

use crate::program::stentor;

/// How long the installation of the players may take, in seconds.
const INSTALL_MAX: &str = "300";

/// Browsers play one after the other: two of them on a small machine would drop each other's pictures.
static ONE: Mutex<()> = Mutex::new(());

fn alone() -> MutexGuard<'static, ()> {
    ONE.lock().unwrap_or_else(PoisonError::into_inner)
}

/// A `stentor video serve` on a free port, killed when dropped.
struct Origin {
    child: Child,
    /// Kept open: it writes its sum there.
    _out: BufReader<ChildStdout>,
    url: String,
}

impl Origin {
    fn start(arguments: &[&str]) -> Origin {
        let mut command = stentor();
        command.args(["video", "serve", "-p", "0"]).args(arguments);
        let mut child = command.stdout(Stdio::piped()).stderr(Stdio::null()).spawn().unwrap();
        let mut out = BufReader::new(child.stdout.take().unwrap());
        let mut first = String::new();
        out.read_line(&mut first).unwrap();
        let url = first.split(' ').next().unwrap().trim_end_matches('/').to_owned();
        assert!(url.starts_with("http://"), "no address but {first:?}");
        Origin { child, _out: out, url }
    }
}

impl Drop for Origin {
    fn drop(&mut self) {
        // Both fail if it has ended already, which is what they are for.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn installed(programs: &[&str]) -> Option<PathBuf> {
    let path = std::env::var_os("PATH")?;
    let folders: Vec<PathBuf> = std::env::split_paths(&path).collect();
    let files =
        programs.iter().flat_map(|name| folders.iter().map(move |folder| folder.join(name)));
    files.into_iter().find(|file| file.is_file())
}

/// Chromium and Node; `None`, and a word about it, where one of them is missing.
fn browser() -> Option<(PathBuf, PathBuf)> {
    let chromium = installed(&["chromium", "chromium-browser", "google-chrome"]);
    let found = chromium.zip(installed(&["node", "nodejs"]));
    if found.is_none() {
        eprintln!("SKIPPED: the film in a browser needs chromium and node");
    }
    found
}

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/browser")
}

/// Runs a driver of the browser to its end, which must be good.
fn judge(command: &mut Command) {
    let output = command.stdin(Stdio::null()).output().unwrap();
    let (out, err) =
        (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(output.status.success(), "{command:?}\n{out}\n{err}");
}

/// A scene of the origin's own page with the film "short".
fn page(scene: &str, arguments: &[&str]) {
    play(scene, &[&["--film", "short"], arguments].concat());
}

/// A scene of the page; `player.mjs` says what happens in it.
fn play(scene: &str, arguments: &[&str]) {
    let Some((chromium, node)) = browser() else { return };
    let _alone = alone();
    let origin = Origin::start(arguments);
    let mut driver = Command::new(node);
    driver.arg(folder().join("player.mjs")).arg(chromium).args([scene, &origin.url]);
    // Where somebody wants to look: STENTOR_PICTURES names a folder for screenshots.
    judge(driver.args(std::env::var_os("STENTOR_PICTURES")));
}

#[test]
fn the_page_plays_to_the_end_by_keyboard() {
    page("plays", &["--rate", "4Mbit"]);
}

#[test]
fn the_freezes_that_the_page_draws_are_those_of_the_video() {
    page("freezes", &["--rate", "400kbit"]);
}

#[test]
fn the_page_says_what_fails_and_plays_on() {
    let faults = "404@/0/3.m4s:once,truncate@/0/5.m4s:once";
    page("fault", &["--rate", "4Mbit", "--fault", faults]);
}

#[test]
fn the_page_gives_up_a_chunk_that_is_not_there() {
    page("missing", &["--rate", "4Mbit", "--fault", "404@/0/3.m4s"]);
}

/// 5 s of ffmpeg's own test picture, 25 a second, as HLS with fragmented MP4.
#[test]
fn the_page_plays_a_folder_of_ffmpeg() {
    let folder = std::env::temp_dir().join(format!("stentor-hls-{}", std::process::id()));
    std::fs::create_dir_all(&folder).unwrap();
    let line = "-nostdin -v error -f lavfi -i testsrc=size=320x180:rate=25 -t 5 -c:v libx264 -b:v 300k \
                -pix_fmt yuv420p -g 25 -f hls -hls_time 1 -hls_list_size 0 \
                -hls_segment_type fmp4 -hls_playlist_type vod -master_pl_name master.m3u8";
    let mut ffmpeg = Command::new("ffmpeg");
    ffmpeg.args(line.split_whitespace()).arg("media.m3u8").current_dir(&folder);
    let made = ffmpeg.stdin(Stdio::null()).output();
    if made.as_ref().is_ok_and(|output| output.status.success()) {
        play("folder", &[folder.to_str().unwrap()]);
    } else {
        eprintln!("SKIPPED: a film of another program needs ffmpeg with libx264: {made:?}");
    }
    std::fs::remove_dir_all(&folder).unwrap();
}

/// The packages of the players, as the lock file has them: installed once, below `target/`.
fn players() -> Option<PathBuf> {
    if std::env::var_os("STENTOR_JUDGES").is_none() {
        eprintln!("SKIPPED: players of others are installed only with STENTOR_JUDGES=1 (.ci/run)");
        return None;
    }
    let home = Path::new(env!("CARGO_TARGET_TMPDIR")).join("browser-players");
    let lock = std::fs::read(folder().join("package-lock.json")).unwrap();
    // Written last: it tells a whole installation, and of which versions.
    let done = home.join("installed.json");
    if std::fs::read(&done).ok().as_ref() != Some(&lock) {
        std::fs::create_dir_all(&home).unwrap();
        for file in ["package.json", "package-lock.json"] {
            std::fs::copy(folder().join(file), home.join(file)).unwrap();
        }
        let mut npm = Command::new("timeout");
        npm.args([INSTALL_MAX, "npm", "ci", "--no-audit", "--no-fund", "--ignore-scripts"]);
        let why = match npm.current_dir(&home).stdin(Stdio::null()).output() {
            Ok(output) if output.status.success() => None,
            Ok(output) => Some(String::from_utf8_lossy(&output.stderr).into_owned()),
            Err(error) => Some(error.to_string()),
        };
        if let Some(why) = why {
            eprintln!("SKIPPED: hls.js, dash.js and Shaka cannot be installed here: {why}");
            return None;
        }
        std::fs::write(&done, &lock).unwrap();
    }
    Some(home.join("node_modules"))
}

/// A whole film as fast as it comes, and the beginning of another over a narrow path, on which the
/// quality has to change.
fn player(name: &str, manifest: &str) {
    let Some((chromium, node)) = browser() else { return };
    let _alone = alone();
    let Some(modules) = players() else { return };
    let watch = |origin: &Origin, seconds: &str, switches: &str| {
        let mut driver = Command::new(&node);
        driver.arg(folder().join("players.mjs")).arg(&chromium).arg(&modules);
        let url = format!("{}/{manifest}", origin.url);
        judge(driver.args([name, &url, seconds, switches]));
    };
    watch(&Origin::start(&["--film", "short"]), "0", "0");
    watch(&Origin::start(&["--film", "ladder", "--rate", "2500kbit"]), "12", "1");
}

#[test]
fn hls_js_plays_hls() {
    player("hls.js", "master.m3u8");
}

#[test]
fn dash_js_plays_dash() {
    player("dash.js", "manifest.mpd");
}

#[test]
fn shaka_plays_hls() {
    player("shaka", "master.m3u8");
}

#[test]
fn shaka_plays_dash() {
    player("shaka", "manifest.mpd");
}
