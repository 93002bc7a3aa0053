//! One fault each, and exactly the rule that it breaks.

use std::collections::BTreeSet;

use super::check;
use super::folder::Files;

/// What is broken, and what must be found, in which file and line (0: any).
struct Fault {
    target: &'static str,
    rule: &'static str,
    at: (&'static str, u64),
    seed: fn(&mut Files),
    arguments: &'static [&'static str],
}

const MASTER: &str = "master.m3u8";
const LOW: &str = "0/playlist.m3u8";
const HIGH: &str = "1/playlist.m3u8";
const MPD: &str = "manifest.mpd";

macro_rules! fault {
    ($target:ident, $rule:literal, $at:expr, $seed:expr) => {
        fault!($target, $rule, $at, $seed, &[])
    };
    ($target:ident, $rule:literal, $at:expr, $seed:expr, $arguments:expr) => {
        Fault { target: $target, rule: $rule, at: $at, seed: $seed, arguments: $arguments }
    };
}

const PLAYLISTS: &[Fault] = &[
    fault!(MASTER, "byte-order-mark", (MASTER, 1), |files| {
        files.replace(MASTER, "#EXTM3U", "\u{feff}#EXTM3U");
    }),
    fault!(MASTER, "control-character", (LOW, 7), |files| {
        files.replace(LOW, "#EXTINF", "# a bell: \u{7}\n#EXTINF");
    }),
    fault!(MASTER, "not-utf-8", (MASTER, 0), |files| files.file(MASTER).extend(b"# \xff\n")),
    fault!(MASTER, "first-line", (LOW, 1), |files| files.replace(LOW, "#EXTM3U\n", "")),
    fault!(MASTER, "first-line", (LOW, 2), |files| {
        files.replace(LOW, "#EXTM3U\n", "#EXTM3U\n#EXTM3U\n");
    }),
    fault!(MASTER, "tag-twice", (LOW, 3), |files| {
        files.replace(LOW, "#EXT-X-VERSION:7\n", "#EXT-X-VERSION:7\n#EXT-X-VERSION:7\n");
    }),
    fault!(MASTER, "mixed-playlist", (MASTER, 1), |files| {
        files.file(MASTER).extend(b"#EXTINF:2.0,\n0/0.m4s\n");
    }),
    fault!(MASTER, "version-number", (LOW, 2), |files| files.replace(
        LOW,
        "VERSION:7",
        "VERSION:x"
    )),
    fault!(MASTER, "version-too-low", (HIGH, 0), |files| {
        files.replace(HIGH, "VERSION:7", "VERSION:5");
    }),
    fault!(MASTER, "no-target-duration", (LOW, 1), |files| {
        files.replace(LOW, "#EXT-X-TARGETDURATION:2\n", "");
    }),
    fault!(MASTER, "no-target-duration", (LOW, 3), |files| {
        files.replace(LOW, "DURATION:2", "DURATION:2.5");
    }),
    fault!(
        MASTER,
        "extinf-above-target",
        (LOW, 7),
        |files| files.replace(LOW, "EXTINF:2.0", "EXTINF:2.6"),
        &["--manifest-only"]
    ),
    fault!(MASTER, "sequence-after-segment", (LOW, 9), |files| {
        files.replace(LOW, "0.m4s\n", "0.m4s\n#EXT-X-DISCONTINUITY-SEQUENCE:1\n");
    }),
    fault!(MASTER, "extinf-number", (LOW, 7), |files| {
        files.replace(LOW, "EXTINF:2.0,", "EXTINF:two,");
    }),
    fault!(MASTER, "extinf-number", (LOW, 7), |files| {
        files.replace(LOW, "EXTINF:2.0,", "EXTINF:2.0");
    }),
    fault!(MASTER, "no-extinf", (LOW, 7), |files| files.replace(LOW, "#EXTINF:2.0,\n", "")),
    fault!(MASTER, "extinf-without-segment", (LOW, 7), |files| {
        files.replace(LOW, "0.m4s\n", "");
    }),
    fault!(MASTER, "byte-range", (LOW, 7), |files| {
        files.replace(LOW, "#EXTINF", "#EXT-X-BYTERANGE:500\n#EXTINF");
    }),
    fault!(MASTER, "map-without-uri", (LOW, 6), |files| {
        files.replace(LOW, "URI=\"../init.mp4\"", "BYTERANGE=\"5@0\"");
    }),
    fault!(MASTER, "playlist-type", (LOW, 5), |files| files.replace(LOW, "TYPE:VOD", "TYPE:LIVE")),
    fault!(MASTER, "vod-without-end", (LOW, 1), |files| {
        files.replace(LOW, "#EXT-X-ENDLIST\n", "");
    }),
    fault!(LOW, "no-segments", (LOW, 1), |files| {
        *files.file(LOW) = b"#EXTM3U\n#EXT-X-TARGETDURATION:2\n#EXT-X-ENDLIST\n".to_vec();
    }),
    fault!(MASTER, "no-bandwidth", (MASTER, 4), |files| {
        files.replace(MASTER, "BANDWIDTH=130000,", "");
    }),
    fault!(MASTER, "average-above-peak", (MASTER, 4), |files| {
        files.replace(MASTER, "AVERAGE-BANDWIDTH=100000", "AVERAGE-BANDWIDTH=130001");
    }),
    fault!(MASTER, "no-codecs", (MASTER, 4), |files| {
        files.replace(MASTER, ",CODECS=\"avc1.42C01E\"", "");
    }),
    fault!(MASTER, "resolution", (MASTER, 4), |files| files.replace(MASTER, "640x360", "640:360")),
    fault!(MASTER, "variant-without-uri", (MASTER, 6), |files| {
        files.replace(MASTER, "1/playlist.m3u8\n", "");
    }),
    fault!(MASTER, "unknown-group", (MASTER, 4), |files| {
        files.replace(MASTER, ",CODECS", ",AUDIO=\"sound\",CODECS");
    }),
    fault!(MASTER, "attribute-list", (MASTER, 4), |files| {
        files.replace(MASTER, "CODECS=", "codecs=");
    }),
    fault!(MASTER, "attribute-twice", (MASTER, 4), |files| {
        files.replace(MASTER, ",RESOLUTION", ",BANDWIDTH=130000,RESOLUTION");
    }),
    fault!(MASTER, "attribute-quotes", (MASTER, 4), |files| {
        files.replace(MASTER, "\"avc1.42C01E\"", "avc1.42C01E");
    }),
];

/// What only shows in the segments.
const SEGMENTS: &[Fault] = &[
    fault!(MASTER, "peak-above-declared", (MASTER, 4), |files| {
        files.replace(MASTER, "BANDWIDTH=130000", "BANDWIDTH=119600");
    }),
    fault!(MASTER, "average-above-declared", (MASTER, 4), |files| {
        files.replace(MASTER, "AVERAGE-BANDWIDTH=100000", "AVERAGE-BANDWIDTH=99000");
    }),
    fault!(MASTER, "missing", (MASTER, 4), |files| _ = files.0.remove(LOW)),
    fault!(MASTER, "missing", (LOW, 10), |files| _ = files.0.remove("0/1.m4s")),
    fault!(MASTER, "missing", (LOW, 6), |files| _ = files.0.remove("init.mp4")),
    fault!(MASTER, "segment-format", (LOW, 12), |files| {
        files.file("0/2.m4s").truncate(20_000);
    }),
    fault!(MASTER, "segment-format", (LOW, 8), |files| {
        let at = files.within("0/0.m4s", b"moof");
        files.file("0/0.m4s")[at - 4..at].copy_from_slice(b"free");
    }),
    fault!(MASTER, "empty-segment", (HIGH, 14), |files| files.file("1/3.m4s").clear()),
    fault!(MASTER, "initialization-format", (LOW, 6), |files| {
        let at = files.within("init.mp4", b"mvex");
        files.file("init.mp4")[at - 4..at].copy_from_slice(b"free");
    }),
    fault!(MASTER, "initialization-format", (LOW, 6), |files| {
        *files.file("init.mp4") = b"<html>".to_vec();
    }),
    fault!(MASTER, "no-initialization", (LOW, 0), |files| {
        files.replace(LOW, "#EXT-X-MAP:URI=\"../init.mp4\"\n", "");
    }),
    fault!(MASTER, "key-frame-promised", (LOW, 10), |files| {
        // The flags of the first sample: it needs others.
        let at = files.within("0/1.m4s", b"trun");
        files.file("0/1.m4s")[at + 13] |= 1;
    }),
    fault!(MASTER, "key-frame-promised", (LOW, 10), |files| {
        // Its flags say a key frame, and its unit says none.
        let at = files.within("0/1.m4s", b"mdat") + 4;
        let unit = &mut files.file("0/1.m4s")[at];
        *unit = *unit & 0xe0 | 1;
    }),
    fault!(MASTER, "no-key-frame", (HIGH, 8), |files| {
        files.replace(MASTER, "#EXT-X-INDEPENDENT-SEGMENTS\n", "");
        let at = files.within("1/0.m4s", b"trun");
        files.file("1/0.m4s")[at + 13] |= 1;
    }),
    fault!(MASTER, "time-jumps", (LOW, 12), |files| {
        // The decode time has 64 bits: 2^18 ticks are almost three seconds.
        let at = files.within("0/2.m4s", b"tfdt");
        files.file("0/2.m4s")[at + 4 + 5] ^= 4;
    }),
    fault!(MASTER, "no-decode-time", (LOW, 12), |files| {
        let at = files.within("0/2.m4s", b"tfdt");
        files.file("0/2.m4s")[at - 4..at].copy_from_slice(b"free");
    }),
    fault!(MASTER, "duration-differs", (HIGH, 12), |files| files.stretch("1/2.m4s", 10)),
    fault!(MASTER, "segment-above-target", (HIGH, 12), |files| files.stretch("1/2.m4s", 30)),
    fault!(MASTER, "not-aligned", (HIGH, 10), |files| {
        files.shift(1);
        // Its rates are others, too: they are declared high enough.
        files.replace(MASTER, "BANDWIDTH=390000,AVERAGE-BANDWIDTH=300000", "BANDWIDTH=390000");
    }),
    fault!(MASTER, "not-aligned", (MASTER, 6), |files| {
        files.replace(HIGH, "#EXTINF:2.0,\n3.m4s\n", "");
        files.replace(MASTER, "AVERAGE-BANDWIDTH=300000", "AVERAGE-BANDWIDTH=310000");
    }),
    fault!(MASTER, "target-durations-differ", (MASTER, 6), |files| {
        files.replace(HIGH, "DURATION:2", "DURATION:3");
    }),
    fault!(MASTER, "range-beyond-resource", (LOW, 9), |files| {
        files.replace(LOW, "#EXTINF:2.0,\n0.m4s", "#EXTINF:2.0,\n#EXT-X-BYTERANGE:99999@0\n0.m4s");
    }),
];

const MANIFESTS: &[Fault] = &[
    fault!(MPD, "xml", (MPD, 0), |files| files.replace(MPD, "</MPD>", "")),
    fault!(MPD, "xml", (MPD, 0), |files| files.replace(MPD, "<MPD", "<!DOCTYPE MPD>\n<MPD")),
    fault!(MPD, "namespace", (MPD, 2), |files| files.replace(MPD, "mpd:2011", "mpd:2031")),
    fault!(MPD, "no-profiles", (MPD, 2), |files| {
        files.replace(MPD, "profiles=\"urn:mpeg:dash:profile:isoff-live:2011\"", "");
    }),
    fault!(MPD, "no-min-buffer-time", (MPD, 2), |files| {
        files.replace(MPD, "minBufferTime=\"PT2S\"", "");
    }),
    fault!(MPD, "duration-format", (MPD, 4), |files| files.replace(MPD, "\"PT2S\"", "\"2s\"")),
    fault!(MPD, "type", (MPD, 3), |files| files.replace(MPD, "\"static\"", "\"still\"")),
    fault!(MPD, "no-duration", (MPD, 2), |files| {
        files.replace(MPD, "mediaPresentationDuration=\"PT8S\"", "");
    }),
    fault!(MPD, "no-availability", (MPD, 2), |files| {
        files.replace(MPD, "\"static\"", "\"dynamic\"");
    }),
    fault!(MPD, "no-period", (MPD, 2), |files| {
        files.replace(MPD, "<Period", "<Epoch");
        files.replace(MPD, "</Period", "</Epoch");
    }),
    fault!(MPD, "no-representation", (MPD, 5), |files| {
        let text = String::from_utf8(files.file(MPD).clone()).unwrap();
        *files.file(MPD) = text.replace("Representation", "Picture").into_bytes();
    }),
    fault!(MPD, "no-id", (MPD, 7), |files| files.replace(MPD, "tion id=\"0\"", "tion")),
    fault!(MPD, "id-twice", (MPD, 0), |files| files.replace(MPD, "tion id=\"1\"", "tion id=\"0\"")),
    fault!(MPD, "no-bandwidth-attribute", (MPD, 7), |files| {
        files.replace(MPD, "bandwidth=\"130000\"", "");
    }),
    fault!(MPD, "no-mime-type", (MPD, 7), |files| files.replace(
        MPD,
        " mimeType=\"video/mp4\"",
        ""
    )),
    fault!(MPD, "two-addressings", (MPD, 0), |files| {
        files.replace(MPD, "</SegmentTemplate>", "</SegmentTemplate><SegmentBase/>");
    }),
    fault!(MPD, "timescale", (MPD, 9), |files| {
        files.replace(MPD, "timescale=\"1\"", "timescale=\"0\"");
    }),
    fault!(MPD, "segment-durations", (MPD, 9), |files| {
        files.replace(MPD, "timescale=\"1\"", "timescale=\"1\" duration=\"2\"");
    }),
    fault!(MPD, "template-without-media", (MPD, 9), |files| {
        files.replace(MPD, "media=\"$Number$.m4s\"", "");
    }),
    fault!(MPD, "template-identifier", (MPD, 9), |files| files.replace(MPD, "$Number$", "$Count$")),
    fault!(MPD, "template-without-number", (MPD, 9), |files| {
        files.replace(MPD, "$Number$.m4s", "0.m4s");
    }),
    fault!(MPD, "timeline-overlap", (MPD, 0), |files| {
        files.replace(MPD, "<S d=\"2\" r=\"3\"/>", "<S d=\"2\" r=\"2\"/><S t=\"5\" d=\"2\"/>");
    }),
    fault!(MPD, "timeline-entry", (MPD, 0), |files| {
        files.replace(MPD, "<S d=\"2\" r=\"3\"/>", "<S d=\"2\" r=\"2\"/><S d=\"0\"/>");
    }),
    fault!(MPD, "unreadable", (MPD, 0), |files| {
        files.replace(MPD, "startNumber=\"0\"", "startNumber=\"none\"");
    }),
    fault!(MPD, "segment-above-bandwidth", (MPD, 7), |files| {
        files.replace(MPD, "bandwidth=\"130000\"", "bandwidth=\"119600\"");
    }),
    fault!(MPD, "bandwidth-too-low", (MPD, 7), |files| {
        files.replace(MPD, "bandwidth=\"130000\"", "bandwidth=\"50000\"");
    }),
    fault!(MPD, "missing", (MPD, 7), |files| _ = files.0.remove("0/3.m4s")),
    fault!(MPD, "key-frame-promised", (MPD, 7), |files| {
        let at = files.within("0/1.m4s", b"trun");
        files.file("0/1.m4s")[at + 13] |= 1;
    }),
    fault!(MPD, "duration-differs", (MPD, 0), |files| files.stretch("1/3.m4s", 10)),
    fault!(MPD, "not-aligned", (MPD, 0), |files| {
        files.shift(1);
        files.replace(MPD, "bandwidth=\"390000\"", "bandwidth=\"500000\"");
        let text = String::from_utf8(files.file(MPD).clone()).unwrap();
        let (before, after) = text.rsplit_once("timescale=\"1\"").unwrap();
        let after = after.replacen(
            "<S d=\"2\" r=\"3\"/>",
            "<S d=\"1800\"/><S d=\"2200\"/><S d=\"2000\" r=\"1\"/>",
            1,
        );
        *files.file(MPD) = format!("{before}timescale=\"1000\"{after}").into_bytes();
    }),
];

#[test]
fn a_sound_film_breaks_no_rule() {
    let folder = Files::sound().write();
    for target in ["", MASTER, LOW, HIGH, MPD] {
        let told = check(&folder.path(target), &["--strict"]);
        assert_eq!((told.said.code, told.rules()), (Some(0), BTreeSet::new()), "{:#}", told.json);
    }
    let told = check(&folder.path(""), &[]);
    // Two qualities in HLS and in DASH, of four segments each.
    let fetched = |track: &&serde_json::Value| track["segments_fetched"].as_u64().unwrap();
    assert_eq!(told.tracks().iter().map(fetched).collect::<Vec<_>>(), [4; 4]);
    for track in told.tracks() {
        assert_eq!(track["peak_bps"], track["declared_peak_bps"]);
        assert_eq!(track["longest_ns"], 2_000_000_000_u64);
    }
}

fn every_fault_is_found(faults: &[Fault]) {
    for (number, fault) in faults.iter().enumerate() {
        let mut files = Files::sound();
        (fault.seed)(&mut files);
        let folder = files.write();
        let told = check(&folder.path(fault.target), fault.arguments);
        let Fault { rule, at: (name, line), .. } = fault;
        let expected = BTreeSet::from([*rule]);
        assert_eq!(told.rules(), expected, "{number} {rule}: {:#}", told.json["result"]);
        let (file, finding) = told.findings()[0];
        assert_eq!(file, folder.path(name), "{number} {rule}");
        if *line > 0 {
            assert_eq!(finding["line"].as_u64(), Some(*line), "{number} {rule}: {finding:#}");
        }
        let code = if finding["force"] == "must" { 1 } else { 0 };
        assert_eq!(told.said.code, Some(code), "{number} {rule}");
    }
}

#[test]
fn every_fault_of_a_playlist_is_found_and_no_other() {
    every_fault_is_found(PLAYLISTS);
}

#[test]
fn every_fault_of_segments_is_found_and_no_other() {
    every_fault_is_found(SEGMENTS);
}

#[test]
fn every_fault_of_a_dash_manifest_is_found_and_no_other() {
    every_fault_is_found(MANIFESTS);
}

#[test]
fn the_faults_are_of_many_kinds() {
    let all = PLAYLISTS.iter().chain(SEGMENTS).chain(MANIFESTS);
    let kinds: BTreeSet<&str> = all.map(|fault| fault.rule).collect();
    assert!(kinds.len() >= 60, "{}", kinds.len());
}
