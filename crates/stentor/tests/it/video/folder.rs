//! The real binary: `video serve FOLDER`, and the judges that others wrote: curl and ffprobe.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use stentor_core::seed::{Dice, Seed};
use stentor_core::video::film::Plan;
use stentor_core::video::mp4;

use super::origin::Origin;

/// A folder that goes with this value.
struct Folder(PathBuf);

impl Folder {
    fn new(name: &str) -> Folder {
        let path = std::env::temp_dir().join(format!("stentor-{name}-{}", std::process::id()));
        fs::create_dir(&path).unwrap();
        Folder(path)
    }

    fn write(&self, path: &str, bytes: &[u8]) {
        let path = self.0.join(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, bytes).unwrap();
    }

    fn serve(&self) -> Origin {
        Origin::start(&[self.0.to_str().unwrap()])
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

#[test]
fn files_have_their_types_and_validators() {
    let folder = Folder::new("types");
    for (name, content) in [
        ("a.m3u8", "application/vnd.apple.mpegurl"),
        ("a.mpd", "application/dash+xml"),
        ("a.mp4", "video/mp4"),
        ("a.m4s", "video/iso.segment"),
        ("a.TS", "video/mp2t"),
        ("a.m4a", "audio/mp4"),
        ("a.webm", "video/webm"),
        ("a.vtt", "text/vtt; charset=utf-8"),
        ("a.aac", "audio/aac"),
        ("a.html", "text/html; charset=utf-8"),
        ("a.js", "text/javascript; charset=utf-8"),
        ("a.css", "text/css; charset=utf-8"),
        ("a.png", "image/png"),
        ("a.jpg", "image/jpeg"),
        ("a.json", "application/json"),
        ("a", "application/octet-stream"),
    ] {
        folder.write(name, b"0123456789");
        let origin = folder.serve();
        let reply = origin.get(&format!("/{name}"));
        assert_eq!((reply.field("content-type"), reply.text().as_str()), (content, "0123456789"));
    }
    let old = std::time::SystemTime::UNIX_EPOCH + std::time::Duration::from_secs(784_111_777);
    fs::File::options().append(true).open(folder.0.join("a")).unwrap().set_modified(old).unwrap();
    let origin = folder.serve();
    let mut client = origin.client();
    let reply = client.get("/a");
    assert_eq!(reply.field("last-modified"), "Sun, 06 Nov 1994 08:49:37 GMT");
    let tag = reply.field("etag").to_owned();
    assert!(tag.starts_with('"'), "a file that is old has a strong validator: {tag}");
    let mut check = |fields: &str, expected: u16| {
        assert_eq!(client.ask("GET", "/a", fields).status, expected, "{fields}");
    };
    check("If-Modified-Since: Sun, 06 Nov 1994 08:49:37 GMT\r\n", 304);
    check("If-Modified-Since: Sun, 06 Nov 1994 08:49:36 GMT\r\n", 200);
    check("If-Unmodified-Since: Sun, 06 Nov 1994 08:49:36 GMT\r\n", 412);
    check(&format!("If-None-Match: {tag}\r\n"), 304);
    // The validator counts, where there is one.
    check("If-None-Match: \"x\"\r\nIf-Modified-Since: Sun, 06 Nov 1994 08:49:37 GMT\r\n", 200);
    check("Range: bytes=0-1\r\nIf-Range: Sun, 06 Nov 1994 08:49:37 GMT\r\n", 206);
    check("Range: bytes=0-1\r\nIf-Range: Sun, 06 Nov 1994 08:49:36 GMT\r\n", 200);
    fs::write(folder.0.join("a"), b"another").unwrap();
    check(&format!("If-None-Match: {tag}\r\n"), 200);
}

#[test]
fn nothing_outside_the_folder_is_served() {
    let (folder, outside) = (Folder::new("inside"), Folder::new("outside"));
    outside.write("secret.txt", b"secret");
    folder.write("sub/inside.txt", b"inside");
    folder.write(".hidden/x.txt", b"hidden");
    let link = |to: &Path, name: &str| symlink(to, folder.0.join(name)).unwrap();
    link(&outside.0.join("secret.txt"), "file.txt");
    link(&outside.0, "folder");
    link(Path::new("sub/inside.txt"), "within.txt");
    link(Path::new("loop"), "loop");
    assert!(Command::new("mkfifo").arg(folder.0.join("pipe")).status().unwrap().success());
    let origin = folder.serve();
    let mut client = origin.client();
    let name = outside.0.file_name().unwrap().to_str().unwrap();
    let root = folder.0.file_name().unwrap().to_str().unwrap();
    for path in [
        "/file.txt".to_owned(),
        "/folder/secret.txt".to_owned(),
        format!("/../{name}/secret.txt"),
        format!("/sub/../../{name}/secret.txt"),
        format!("/%2e%2e/{name}/secret.txt"),
        format!("/%2E%2e%2f{name}%2fsecret.txt"),
        format!("/..%5c{name}/secret.txt"),
        format!("//..//{name}/secret.txt"),
        format!("/../{root}/sub/inside.txt"),
        "/sub/../sub/inside.txt".to_owned(),
        "/etc/passwd".to_owned(),
        "/.hidden/x.txt".to_owned(),
        "/sub/inside.txt%00".to_owned(),
        "/sub/inside.txt/".to_owned(),
        "/sub/inside.txt/x".to_owned(),
        "/loop".to_owned(),
        "/pipe".to_owned(),
    ] {
        assert_eq!(client.get(&path).status, 404, "{path}");
    }
    for path in ["/sub/inside.txt", "/within.txt", "//sub//inside.txt", "/sub/%69nside.txt?a=b"] {
        assert_eq!(client.get(path).text(), "inside", "{path}");
    }
}

#[test]
fn the_page_of_a_folder_links_its_manifests() {
    let folder = Folder::new("page");
    for path in ["b/z.m3u8", "a & <b>.mpd", "c:d.m3u8", "x.mp4", ".git/hidden.mpd"] {
        folder.write(path, b"#EXTM3U\n");
    }
    let origin = folder.serve();
    let mut client = origin.client();
    let page = client.get("/").text();
    let links: Vec<&str> =
        page.split("href=\"").skip(1).map(|rest| rest.split('"').next().unwrap()).collect();
    // Those that the page of the origin can play have a second link, to it.
    let (players, links): (Vec<&str>, Vec<&str>) =
        links.into_iter().partition(|link| link.contains("?playlist="));
    assert_eq!(links, ["a%20%26%20%3Cb%3E.mpd", "b/z.m3u8", "c%3Ad.m3u8"]);
    for link in links {
        assert_eq!(client.get(&format!("/{link}")).text(), "#EXTM3U\n", "{link}");
    }
    assert!(players.iter().all(|link| client.get(link).status == 200), "{players:?}");
    let moved = client.get("/b");
    assert_eq!((moved.status, moved.field("location")), (301, "/b/"));
    assert!(client.get("/b/").text().contains("href=\"z.m3u8\""));
}

#[test]
fn a_file_that_becomes_shorter_ends_its_answer() {
    let folder = Folder::new("shorter");
    folder.write("x.mp4", &vec![7; 64 << 20]);
    let origin = folder.serve();
    let mut client = origin.client();
    client.send("GET /x.mp4 HTTP/1.1\r\nHost: test\r\n\r\n");
    assert_eq!(client.head().field("content-length"), (64 << 20).to_string());
    let file = fs::File::options().write(true).open(folder.0.join("x.mp4")).unwrap();
    file.set_len(1 << 20).unwrap();
    let (rest, _) = client.rest();
    assert!(rest.len() < 64 << 20 && rest.iter().all(|byte| *byte == 7), "{}", rest.len());
    assert!(origin.logged("/x.mp4").contains("failed"));
}

/// What a foreign program says of a URL, or nothing if it is not there.
fn judge(line: &str, url: &str) -> Option<(String, String)> {
    let mut words = line.split_whitespace().chain([url]);
    let mut command = Command::new(words.next().unwrap());
    let Ok(output) = command.args(words).stdin(Stdio::null()).output() else {
        eprintln!("SKIPPED: {line} cannot be run; nobody judges {url}");
        return None;
    };
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    Some((text(&output.stdout), text(&output.stderr)))
}

#[test]
fn curl_agrees() {
    let origin = Origin::start(&["--film", "short"]);
    let check = |words: &str, path: &str, expected: &str| {
        let line = format!(
            "curl -sS --path-as-is -o /dev/null -w %{{http_code}}:%{{size_download}} {words}"
        );
        if let Some(said) = judge(&line, &origin.url(path)) {
            assert_eq!(said, (expected.to_owned(), String::new()), "{words} {path}");
        }
    };
    check("", "/0/1.m4s", "200:12500");
    check("-I", "/2/film.mp4", "200:0");
    check("-r 100-199", "/2/film.mp4", "206:100");
    check("-r 640-", "/2/film.mp4", "206:1000000");
    check("-r -7", "/2/film.mp4", "206:7");
    check("-r 2000000-", "/2/film.mp4", "416:25");
    check("-r 0-0,2-2", "/0/1.m4s", "200:12500");
    check("--http1.0", "/0/1.m4s", "200:12500");
    check("--compressed", "/0/1.m4s", "200:12500");
    check("-X OPTIONS", "/0/1.m4s", "204:0");
    check("-X PUT -d x", "/0/1.m4s", "405:45");
    check("-H If-None-Match:*", "/0/1.m4s", "304:0");
    check("-z 2000-01-01", "/../../etc/passwd", "404:56");
}

const COUNT: &str = "ffprobe -v error -count_frames -select_streams v \
                     -show_entries stream=nb_read_frames -of default=nw=1:nk=1";

#[test]
fn ffprobe_counts_every_picture_of_a_film() {
    let origin = Origin::start(&["--film", "short"]);
    let film = Plan::preset("short").unwrap().generate(&mut Dice::new(Seed(1), "film")).unwrap();
    let pictures: u32 = film.chunks().iter().map(|chunk| mp4::pictures(chunk.duration)).sum();
    for path in ["/master.m3u8", "/manifest.mpd", "/0/playlist.m3u8", "/1/film.mp4"] {
        let Some((counted, errors)) = judge(COUNT, &origin.url(path)) else { return };
        assert_eq!(errors, "", "{path}");
        let mut counts = counted.lines().filter(|line| !line.is_empty()).peekable();
        assert!(counts.peek().is_some(), "{path}");
        assert!(counts.all(|count| count == pictures.to_string()), "{path}: {counted}");
    }
}

#[test]
fn what_ffmpeg_has_made_is_played_back() {
    let folder = Folder::new("ffmpeg");
    let source = "-f lavfi -i testsrc=d=4:s=320x180:r=10 -c:v libx264 -g 10 -pix_fmt yuv420p";
    let forms = [
        ("out.m3u8", "-f hls -hls_time 1 -hls_playlist_type vod"),
        ("fmp4.m3u8", "-f hls -hls_time 1 -hls_playlist_type vod -hls_segment_type fmp4"),
        ("out.mpd", "-f dash -seg_duration 1"),
    ];
    for (name, form) in forms {
        let file = folder.0.join(name);
        let line = format!("ffmpeg -nostdin -v error {source} {form}");
        let Some((_, errors)) = judge(&line, file.to_str().unwrap()) else { return };
        if !file.exists() {
            eprintln!("SKIPPED: this ffmpeg does not write {name}: {errors}");
            continue;
        }
        let origin = folder.serve();
        let Some((counted, errors)) = judge(COUNT, &origin.url(&format!("/{name}"))) else {
            return;
        };
        assert_eq!(errors, "", "{name}");
        assert!(counted.lines().any(|line| line == "40"), "{name}: {counted}");
    }
}
