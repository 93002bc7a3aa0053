//! Every rule is broken once and found, and nothing is found in what we write ourselves.

use std::collections::BTreeSet;
use std::time::Duration;

use super::*;
use crate::manifest::segment::{self as form, Format};
use crate::manifest::{
    ByteRange, Presentation, Resource, Segment, Track, dash as dash_form, hls as hls_form,
    rates_bps,
};
use crate::units::BitRate;
use crate::video::film::Film;
use crate::video::mp4;

const MEDIA: &str = "#EXTM3U\n#EXT-X-VERSION:7\n#EXT-X-TARGETDURATION:2\n#EXT-X-MEDIA-SEQUENCE:1\n\
    #EXT-X-PLAYLIST-TYPE:VOD\n#EXT-X-MAP:URI=\"init.mp4\"\n#EXTINF:2.0,\n1.m4s\n#EXTINF:1.5,\n\
    #EXT-X-BYTERANGE:500@0\n2.m4s\n#EXT-X-ENDLIST\n";
const MULTIVARIANT: &str = "#EXTM3U\n#EXT-X-VERSION:7\n\
    #EXT-X-MEDIA:TYPE=AUDIO,GROUP-ID=\"sound\",NAME=\"en\"\n\
    #EXT-X-STREAM-INF:BANDWIDTH=900,AVERAGE-BANDWIDTH=800,CODECS=\"avc1\",RESOLUTION=64x36,AUDIO=\"sound\"\n\
    0.m3u8\n";
const MPD: &str = "<MPD xmlns='urn:mpeg:dash:schema:mpd:2011' profiles='p' type='static' \
    minBufferTime='PT2S' mediaPresentationDuration='PT4S'><Period><AdaptationSet mimeType='video/mp4'>\
    <Representation id='0' bandwidth='900'><SegmentTemplate media='$Number$.m4s' timescale='1'>\
    <SegmentTimeline><S d='2'/><S t='2' d='2'/></SegmentTimeline></SegmentTemplate></Representation>\
    </AdaptationSet></Period></MPD>";

fn names(findings: &[Finding]) -> BTreeSet<&'static str> {
    findings.iter().map(|finding| finding.rule.name).collect()
}

/// Texts with one fault each: what is replaced by what, and the rule that is broken.
const HLS_FAULTS: [(&str, &str, &str, &str); 29] = [
    (MEDIA, "#EXTM3U", "\u{feff}#EXTM3U", "byte-order-mark"),
    (MEDIA, "1.m4s", "1\u{7}.m4s", "control-character"),
    (MEDIA, "#EXTM3U\n", "", "first-line"),
    (MEDIA, "1.m4s", "1.m4s\n#EXTM3U", "first-line"),
    (MEDIA, "#EXT-X-VERSION:7", "#EXT-X-VERSION:7\n#EXT-X-VERSION:7", "tag-twice"),
    (
        MEDIA,
        "#EXTINF:2.0,",
        "#EXT-X-STREAM-INF:BANDWIDTH=1,CODECS=\"a\"\nx\n#EXTINF:2.0,",
        "mixed-playlist",
    ),
    (MEDIA, "VERSION:7", "VERSION:seven", "version-number"),
    (MEDIA, "VERSION:7", "VERSION:5", "version-too-low"),
    (MEDIA, "#EXT-X-VERSION:7\n", "", "version-too-low"),
    (MEDIA, "#EXT-X-TARGETDURATION:2\n", "", "no-target-duration"),
    (MEDIA, "DURATION:2", "DURATION:2.5", "no-target-duration"),
    (MEDIA, "EXTINF:2.0", "EXTINF:2.6", "extinf-above-target"),
    (MEDIA, "1.m4s\n", "1.m4s\n#EXT-X-DISCONTINUITY-SEQUENCE:1\n", "sequence-after-segment"),
    (MEDIA, "EXTINF:2.0,", "EXTINF:long,", "extinf-number"),
    (MEDIA, "EXTINF:2.0,", "EXTINF:2.0", "extinf-number"),
    (MEDIA, "#EXTINF:2.0,\n", "", "no-extinf"),
    (MEDIA, "1.m4s\n", "", "extinf-without-segment"),
    (MEDIA, "500@0", "500", "byte-range"),
    (MEDIA, "500@0", "all", "byte-range"),
    (MEDIA, "URI=\"init.mp4\"", "BYTERANGE=\"5@0\"", "map-without-uri"),
    (MEDIA, "TYPE:VOD", "TYPE:LIVE", "playlist-type"),
    (MEDIA, "#EXT-X-ENDLIST\n", "", "vod-without-end"),
    (MULTIVARIANT, "BANDWIDTH=900,", "", "no-bandwidth"),
    (MULTIVARIANT, "BANDWIDTH=900", "BANDWIDTH=fast", "no-bandwidth"),
    (MULTIVARIANT, "=800", "=901", "average-above-peak"),
    (MULTIVARIANT, "CODECS=\"avc1\",", "", "no-codecs"),
    (MULTIVARIANT, "64x36", "64", "resolution"),
    (MULTIVARIANT, "0.m3u8\n", "", "variant-without-uri"),
    (MULTIVARIANT, "AUDIO=\"sound\"\n", "AUDIO=\"noise\"\n", "unknown-group"),
];

const HLS_LIST_FAULTS: [(&str, &str, &str, &str); 5] = [
    (MULTIVARIANT, "CODECS=\"avc1\"", "CODECS=\"avc1", "attribute-list"),
    (MULTIVARIANT, "CODECS=\"avc1\"", "codecs=\"avc1\"", "attribute-list"),
    (MULTIVARIANT, "RESOLUTION", "BANDWIDTH=900,RESOLUTION", "attribute-twice"),
    (MULTIVARIANT, "\"avc1\"", "avc1", "attribute-quotes"),
    (MULTIVARIANT, "=900", "=\"900\"", "attribute-quotes"),
];

const DASH_FAULTS: [(&str, &str, &str); 28] = [
    ("</MPD>", "", "xml"),
    ("<MPD ", "<!DOCTYPE MPD><MPD ", "xml"),
    ("mpd:2011", "mpd:2031", "namespace"),
    ("profiles='p'", "", "no-profiles"),
    ("minBufferTime='PT2S'", "", "no-min-buffer-time"),
    ("'PT2S'", "'2s'", "duration-format"),
    ("'static'", "'still'", "type"),
    ("mediaPresentationDuration='PT4S'", "", "no-duration"),
    ("'static'", "'dynamic'", "no-availability"),
    ("Period", "Epoch", "no-period"),
    ("Representation", "Picture", "no-representation"),
    ("id='0'", "", "no-id"),
    ("</AdaptationSet>", "<Representation id='0' bandwidth='1'/></AdaptationSet>", "id-twice"),
    ("bandwidth='900'", "", "no-bandwidth-attribute"),
    ("'900'", "'fast'", "no-bandwidth-attribute"),
    ("mimeType='video/mp4'", "", "no-mime-type"),
    ("</Representation>", "<SegmentBase/></Representation>", "two-addressings"),
    ("timescale='1'", "timescale='0'", "timescale"),
    ("timescale='1'", "timescale='1' duration='2'", "segment-durations"),
    ("SegmentTimeline", "Table", "segment-durations"),
    ("media='$Number$.m4s'", "", "template-without-media"),
    ("$Number$", "$Count$", "template-identifier"),
    ("$Number$", "$Number", "template-identifier"),
    ("$Number$", "all", "template-without-number"),
    ("$Number$", "$Number$-$Time$", "template-without-number"),
    ("timescale='1'", "timescale='1' initialization='$Number$'", "template-without-number"),
    ("t='2'", "t='1'", "timeline-overlap"),
    ("d='2'/><S t='2'", "d='0'/><S t='2'", "timeline-entry"),
];

#[test]
fn nothing_is_found_in_what_is_right() {
    assert_eq!(hls(MEDIA), []);
    assert_eq!(hls(MULTIVARIANT), []);
    assert_eq!(dash(MPD), []);
    let live = MEDIA.replace("#EXT-X-ENDLIST\n", "").replace("#EXT-X-PLAYLIST-TYPE:VOD\n", "");
    assert_eq!(hls(&live), []);
}

#[test]
fn every_fault_of_a_playlist_is_found_with_its_place() {
    for (text, from, to, rule) in HLS_FAULTS.iter().chain(&HLS_LIST_FAULTS) {
        assert!(text.contains(from), "{from}");
        let findings = hls(&text.replacen(from, to, 1));
        let found = findings.iter().find(|finding| finding.rule.name == *rule);
        let found = found.unwrap_or_else(|| panic!("{from:?} -> {to:?}: {findings:?}"));
        assert!(found.place.is_some(), "{rule}");
    }
    let empty = "#EXTM3U\n#EXT-X-TARGETDURATION:2\n#EXT-X-ENDLIST\n";
    assert_eq!(names(&hls(empty)), BTreeSet::from(["no-segments"]));
    let findings = hls(&MULTIVARIANT.replace("64x36", "64"));
    let at = findings[0].place.unwrap().to_string();
    assert_eq!(at, "line 4, column 69");
}

#[test]
fn every_fault_of_a_dash_manifest_is_found_with_its_place() {
    for (from, to, rule) in DASH_FAULTS {
        assert!(MPD.contains(from), "{from}");
        let findings = dash(&MPD.replace(from, to));
        let found = findings.iter().find(|finding| finding.rule.name == rule);
        let found = found.unwrap_or_else(|| panic!("{from:?} -> {to:?}: {findings:?}"));
        assert!(found.place.is_some(), "{rule}");
    }
    assert_eq!(names(&dash(&MPD.replace("t='2'", "t='3'"))), BTreeSet::from(["timeline-gap"]));
    let odd = MPD.replace("timescale='1'", "timescale='1' startNumber='one'");
    assert_eq!(names(&dash(&odd)), BTreeSet::from(["unreadable"]));
    // That several periods are not read is no fault of theirs.
    let two = MPD.replace(
        "</MPD>",
        "<Period duration='PT1S'><AdaptationSet mimeType='a'>\
        <Representation id='1' bandwidth='1'/></AdaptationSet></Period></MPD>",
    );
    assert_eq!(dash(&two), []);
}

/// Two qualities of three segments of 2 s, declared as they are, and measured so.
fn film() -> (Presentation, Vec<Told>) {
    let duration = Duration::from_secs(2);
    let track = |name: &str, sizes: [u64; 3]| {
        let sizes = sizes.map(|bytes| (bytes, duration));
        let (peak_bps, average) = rates_bps(&sizes, 2);
        let segment = |number| Segment {
            resource: Resource { uri: format!("{name}/{number}.m4s"), range: None },
            duration,
        };
        Track {
            name: name.to_owned(),
            peak_bps,
            average_bps: Some(average),
            codecs: Some("avc1.42c01e".to_owned()),
            mime: Some("video/mp4".to_owned()),
            resolution: Some((640, 360)),
            initialization: Some(Resource { uri: format!("{name}/init.mp4"), range: None }),
            first: 1,
            segments: (1..=3).map(segment).collect(),
            ..Track::default()
        }
    };
    let sizes = [[1000, 3000, 2000], [9000, 5000, 7000]];
    let tracks = vec![track("low", sizes[0]), track("high", sizes[1])];
    let measured = |(index, bytes)| {
        let begin = Some(duration * index);
        Some(Measured { bytes, begin, duration: Some(duration), key_frame: Some(true) })
    };
    let told = |sizes: [u64; 3]| {
        let segments = (0..).zip(sizes).map(measured).collect();
        Told { segments, target_s: Some(2), ..Told::default() }
    };
    (Presentation { buffer: duration, tracks, ..Presentation::default() }, sizes.map(told).into())
}

fn in_dash(told: &mut [Told]) {
    told.iter_mut().for_each(|told| told.target_s = None);
}

#[test]
fn nothing_is_found_in_what_we_write() {
    let (film, mut told) = film();
    assert_eq!(measured(&film, &told), []);
    in_dash(&mut told);
    assert_eq!(measured(&film, &told), []);
    assert_eq!(hls(&hls_form::multivariant(&film)), []);
    for track in &film.tracks {
        assert_eq!(hls(&hls_form::media(track, false)), []);
        assert_eq!(hls(&hls_form::media(track, true)), []);
    }
    assert_eq!(dash(&dash_form::write(&film).unwrap()), []);
    let list = |film: &mut Presentation| {
        film.tracks[1].segments[1].resource.uri = "else".to_owned();
        film.tracks[0].segments[0].resource.range = Some(ByteRange { offset: 5, length: 9 });
    };
    let mut other = film.clone();
    list(&mut other);
    (other.live, other.available) = (true, Some("2026-01-01T00:00:00Z".to_owned()));
    assert_eq!(dash(&dash_form::write(&other).unwrap()), []);
}

/// Changes what is measured of a segment.
fn change(told: &mut [Told], track: usize, segment: usize, fault: fn(&mut Measured)) {
    fault(told[track].segments[segment].as_mut().unwrap());
}

const fn ms(ms: u64) -> Option<Duration> {
    Some(Duration::from_millis(ms))
}

#[test]
fn every_fault_that_can_be_measured_is_found_alone() {
    let check = |fault: fn(&mut Presentation, &mut Vec<Told>), rule: &str, part: Part| {
        let (mut film, mut told) = film();
        fault(&mut film, &mut told);
        let found = measured(&film, &told);
        assert_eq!(names(&found), BTreeSet::from([rule]), "{found:?}");
        assert_eq!(found[0].part, part, "{found:?}");
    };
    let of = |track, segment| Part::Segment { track, segment };
    // As a muxer does that declares the codec's rate: 8 % less than the peak.
    check(|film, _| film.tracks[0].peak_bps = 11_040, "peak-above-declared", Part::Track(0));
    check(
        |film, _| film.tracks[0].average_bps = Some(7_900),
        "average-above-declared",
        Part::Track(0),
    );
    check(
        |film, told| {
            in_dash(told);
            film.tracks[0].peak_bps = 11_040;
        },
        "segment-above-bandwidth",
        Part::Track(0),
    );
    check(
        |_, told| change(told, 1, 1, |one| one.duration = ms(2600)),
        "segment-above-target",
        of(1, 1),
    );
    check(
        |_, told| change(told, 1, 1, |one| one.duration = ms(2200)),
        "duration-differs",
        of(1, 1),
    );
    check(|_, told| change(told, 1, 2, |one| one.bytes = 0), "empty-segment", of(1, 2));
    check(|_, told| change(told, 1, 2, |one| one.duration = ms(0)), "empty-segment", of(1, 2));
    check(
        |_, told| change(told, 0, 1, |one| one.key_frame = Some(false)),
        "no-key-frame",
        of(0, 1),
    );
    check(
        |_, told| {
            told[0].promised = true;
            change(told, 0, 1, |one| one.key_frame = Some(false));
        },
        "key-frame-promised",
        of(0, 1),
    );
    check(|_, told| change(told, 1, 2, |one| one.begin = ms(5000)), "time-jumps", of(1, 2));
    check(|_, told| told[1].target_s = Some(3), "target-durations-differ", Part::Track(1));
    check(
        |film, told| {
            let [a, b, c] = [0, 1, 2].map(|index| film.tracks[1].segments[index].clone());
            film.tracks[1].segments = vec![Segment { duration: ms(1800).unwrap(), ..a }, b, c];
            change(told, 1, 0, |one| one.duration = ms(1800));
            change(told, 1, 1, |one| one.begin = ms(1800));
            change(told, 1, 2, |one| one.begin = ms(3800));
            film.tracks[1].peak_bps = 40_000;
            film.tracks[1].average_bps = None;
        },
        "not-aligned",
        of(1, 1),
    );
    check(|film, _| _ = film.tracks[1].segments.pop(), "not-aligned", Part::Track(1));
    // More than the buffer of 2 s holds: that says more than the rate.
    let (mut film, mut told) = film();
    in_dash(&mut told);
    film.tracks[0].peak_bps = 4_000;
    let found = names(&measured(&film, &told));
    assert_eq!(found, BTreeSet::from(["bandwidth-too-low"]));
}

#[test]
fn what_plays_beside_a_variant_is_a_part_of_its_bandwidth() {
    let (mut film, mut told) = film();
    told[1].beside = vec![vec![0]];
    let found = measured(&film, &told);
    assert_eq!(names(&found), BTreeSet::from(["average-above-declared", "peak-above-declared"]));
    assert!(found.iter().all(|finding| finding.part == Part::Track(1)), "{found:?}");
    assert_eq!(combined_bps(&film, &told, 1), Some((36_000 + 12_000, 28_000 + 8_000)));
    // A list that is broken is not compared with others.
    film.tracks[1].segments.pop();
    (told[1].beside, told[1].broken, told[1].target_s) = (Vec::new(), true, Some(9));
    film.tracks[1].average_bps = None;
    assert_eq!(measured(&film, &told), []);
}

#[test]
fn what_could_not_be_measured_is_no_fault_of_its_own() {
    let (film, mut told) = film();
    told[1].segments[1] = None;
    for one in told[0].segments.iter_mut().flatten() {
        (one.begin, one.duration, one.key_frame) = (None, None, None);
    }
    assert_eq!(measured(&film, &told), []);
    told[0].segments.truncate(1);
    told[1].segments.clear();
    assert_eq!(measured(&film, &told), []);
    assert_eq!(combined_bps(&film, &told, 0), Some((4_000, 4_000)));
}

#[test]
fn jumps_that_are_announced_are_none() {
    let (film, mut told) = film();
    for told in &mut told {
        told.jumps = true;
        told.segments[2].as_mut().unwrap().begin = ms(9000);
    }
    assert_eq!(measured(&film, &told), []);
}

fn delivery<'a>(what: What, path: &'a str, media_type: &'a str) -> Delivery<'a> {
    let reply =
        Reply { status: 200, path, media_type: Some(media_type), shared: true, ..Reply::default() };
    Delivery { what, name: "it", range: None, bytes: 10, absent: None, reply: Some(reply) }
}

#[test]
fn how_things_come_is_checked() {
    let check = |delivery: &Delivery<'_>, rules: &[&'static str]| {
        let found = delivered(delivery);
        assert_eq!(names(&found), rules.iter().copied().collect(), "{found:?}");
    };
    let with = |change: fn(&mut Reply<'_>)| {
        let mut delivery = delivery(What::Manifest, "/m.mpd", "application/dash+xml");
        change(delivery.reply.as_mut().unwrap());
        delivery
    };
    check(&with(|_| {}), &[]);
    check(&Delivery { reply: None, ..with(|_| {}) }, &[]);
    check(&with(|reply| reply.status = 404), &["missing"]);
    check(&with(|reply| reply.redirects = 1), &["redirected"]);
    check(&with(|reply| reply.shared = false), &["no-cors"]);
    check(&with(|reply| (reply.cut, reply.announced) = (true, Some(11))), &["body-cut"]);
    check(&with(|reply| reply.cut = true), &["body-cut"]);
    check(&Delivery { reply: None, absent: Some("ENOENT"), ..with(|_| {}) }, &["missing"]);
    check(&with(|reply| reply.media_type = None), &["manifest-media-type"]);
    check(&with(|reply| reply.media_type = Some("Application/DASH+xml; charset=utf-8")), &[]);
    check(&delivery(What::Playlist, "/m.m3u8", "audio/mpegurl"), &[]);
    check(&delivery(What::Playlist, "/m", "audio/mpegurl"), &[]);
    check(&delivery(What::Playlist, "/m.m3u8", "text/plain"), &["playlist-media-type"]);
    check(&delivery(What::Playlist, "/m", "text/plain"), &["playlist-not-identified"]);
    check(&delivery(What::Media(Format::Mp4), "/1", "video/mp4"), &[]);
    check(&delivery(What::Media(Format::Mp4), "/1", "video/mp2t"), &["segment-media-type"]);
    check(&delivery(What::Media(Format::TransportStream), "/1", "video/mp2t"), &[]);
    check(
        &delivery(What::Media(Format::TransportStream), "/1", "video/mp4"),
        &["segment-media-type"],
    );
    check(&delivery(What::Media(Format::Other), "/1", "text/vtt"), &[]);
    let ranged = |status, bytes| {
        let mut delivery = delivery(What::Media(Format::Mp4), "/1", "video/mp4");
        delivery.reply.as_mut().unwrap().status = status;
        (delivery.range, delivery.bytes) = (Some(ByteRange { offset: 5, length: 10 }), bytes);
        delivery
    };
    check(&ranged(206, 10), &[]);
    check(&ranged(200, 10), &[]);
    check(&ranged(200, 99), &["range-ignored"]);
    check(&ranged(206, 9), &["range-beyond-resource"]);
    check(&ranged(416, 0), &["range-beyond-resource"]);
    check(&ranged(404, 0), &["missing"]);
    check(&Delivery { reply: None, ..ranged(0, 9) }, &["range-beyond-resource"]);
}

#[test]
fn what_cannot_be_read_is_a_finding() {
    let check = |found: &[Finding], rule: &str| {
        assert_eq!(names(found), BTreeSet::from([rule]), "{found:?}");
    };
    let drawn = mp4::initialization();
    assert_eq!(initialization("it", &form::initialization(&drawn)), []);
    check(&initialization("it", &form::initialization(&drawn[9..])), "initialization-format");
    let moov = drawn.windows(4).position(|window| window == b"moov").unwrap() - 4;
    check(&initialization("it", &form::initialization(&drawn[moov..])), "initialization-format");
    let rates = [BitRate(100_000)];
    let film = Film::even(&rates, Duration::from_secs(1), 1).unwrap();
    let chunk = mp4::chunk(&film, 0, 0).unwrap().to_bytes();
    let before = form::initialization(&drawn).unwrap();
    assert_eq!(segment("it", true, &form::read(&chunk, Some(&before))), []);
    check(&segment("it", false, &form::read(&chunk, None)), "no-initialization");
    check(&segment("it", true, &form::read(&chunk[..99], Some(&before))), "segment-format");
    let undated: Vec<u8> = [&chunk[..]].concat();
    let at = undated.windows(4).position(|window| window == b"tfdt").unwrap();
    let undated = [&chunk[..at], b"free", &chunk[at + 4..]].concat();
    check(&segment("it", true, &form::read(&undated, Some(&before))), "no-decode-time");
    assert_eq!(encoding(b"#EXTM3U"), ("#EXTM3U".to_owned(), vec![]));
    check(&encoding(b"#EXTM3U\xff").1, "not-utf-8");
}

#[test]
fn places_of_what_is_measured() {
    let at = |line, column| Place { line, column };
    assert_eq!(playlist_lines(MEDIA), [at(8, 1), at(11, 1)]);
    let sound = MULTIVARIANT.replace("NAME=\"en\"", "NAME=\"en\",URI=\"en.m3u8\"");
    let group = ("AUDIO".to_owned(), "sound".to_owned());
    let expected = Rendition { place: at(3, 1), group: group.clone(), uri: "en.m3u8".to_owned() };
    assert_eq!(renditions(&sound), [expected]);
    assert_eq!(variants(MULTIVARIANT), [Variant { place: at(4, 1), beside: vec![group] }]);
    assert_eq!(renditions(MULTIVARIANT), []);
    let [one] = representations(MPD)[..] else { panic!("one") };
    assert!(!one.promised && one.place.column > 1, "{one:?}");
    let promised = MPD.replace("<AdaptationSet", "<AdaptationSet startWithSAP='1'");
    assert!(representations(&promised)[0].promised);
    assert_eq!(representations("<MPD"), []);
}

#[test]
fn every_rule_is_broken_by_a_test() {
    let broken = HLS_FAULTS.iter().chain(&HLS_LIST_FAULTS).map(|fault| fault.3);
    let broken: BTreeSet<&str> = broken.chain(DASH_FAULTS.map(|fault| fault.2)).collect();
    // Those of the tests above that are no table; they are looked for in this very file.
    let rest = include_str!("tests.rs");
    for rule in RULES {
        let quoted = format!("\"{}\"", rule.name);
        let named = broken.contains(rule.name) || rest.contains(&quoted);
        assert!(named, "no test breaks {}", rule.name);
    }
    let rules: BTreeSet<&str> = RULES.iter().map(|rule| rule.name).collect();
    assert_eq!(rules.len(), RULES.len(), "two rules of one name");
}

#[test]
fn findings_are_bounded() {
    assert_eq!(hls(&"\n#EXTM3U".repeat(5000)).len(), FINDINGS_MAX);
}
