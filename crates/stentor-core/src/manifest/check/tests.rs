//! Every rule is broken once and found, and nothing is found in what we write ourselves.

use std::collections::BTreeSet;
use std::time::Duration;

use super::*;
use crate::manifest::{
    ByteRange, Presentation, Resource, Segment, Track, dash as dash_form, hls as hls_form,
    rates_bps,
};

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
    let two = MPD.replace(
        "</MPD>",
        "<Period duration='PT1S'><AdaptationSet mimeType='a'>\
        <Representation id='1' bandwidth='1'/></AdaptationSet></Period></MPD>",
    );
    assert_eq!(names(&dash(&two)), BTreeSet::from(["unreadable"]));
}

/// Two qualities of three segments of 2 s, declared as they are.
fn film() -> (Presentation, Vec<Vec<Measured>>) {
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
    let measured = |bytes| Measured { bytes, duration, key_frame: Some(true) };
    let measured = sizes.map(|sizes| sizes.map(measured).to_vec()).to_vec();
    (Presentation { buffer: duration, tracks, ..Presentation::default() }, measured)
}

#[test]
fn nothing_is_found_in_what_we_write() {
    let (film, sizes) = film();
    assert_eq!(measured(&film, &sizes, &[Some(2), Some(2)]), []);
    assert_eq!(measured(&film, &sizes, &[]), []);
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

#[test]
fn every_fault_that_can_be_measured_is_found() {
    let check = |change: fn(&mut Presentation, &mut Vec<Vec<Measured>>), in_hls, rule: &str| {
        let (mut film, mut sizes) = film();
        change(&mut film, &mut sizes);
        let targets = if in_hls { vec![Some(2); 2] } else { Vec::new() };
        let found = measured(&film, &sizes, &targets);
        assert!(names(&found).contains(rule), "{rule}: {found:?}");
    };
    // As ffmpeg's muxer does: 8 % less than the peak.
    check(|film, _| film.tracks[0].peak_bps = 11_040, true, "peak-above-declared");
    check(|film, _| film.tracks[0].average_bps = Some(7_999), true, "average-above-declared");
    check(|film, _| film.tracks[0].peak_bps = 4_000, false, "bandwidth-too-low");
    check(
        |_, sizes| sizes[1][1].duration = Duration::from_millis(2600),
        true,
        "segment-above-target",
    );
    check(|_, sizes| sizes[1][1].duration = Duration::from_millis(1800), true, "duration-differs");
    check(|_, sizes| sizes[1][2].bytes = 0, true, "empty-segment");
    check(|_, sizes| sizes[0][1].key_frame = Some(false), false, "no-key-frame");
    check(|_, sizes| sizes[1][0].duration = Duration::from_millis(2200), false, "not-aligned");
    check(|film, _| _ = film.tracks[1].segments.pop(), false, "not-aligned");
    let range = |film: &mut Presentation| {
        film.tracks[0].segments[0].resource.range = Some(ByteRange { offset: 0, length: 999 });
    };
    let (mut film, sizes) = film();
    range(&mut film);
    assert!(names(&measured(&film, &sizes, &[])).contains("range-beyond-resource"));
}

#[test]
fn every_rule_is_broken_by_a_test() {
    let broken = HLS_FAULTS.iter().chain(&HLS_LIST_FAULTS).map(|fault| fault.3);
    let broken: BTreeSet<&str> = broken.chain(DASH_FAULTS.map(|fault| fault.2)).collect();
    let elsewhere = [
        "no-segments",
        "timeline-gap",
        "unreadable",
        "peak-above-declared",
        "average-above-declared",
        "bandwidth-too-low",
        "segment-above-target",
        "duration-differs",
        "empty-segment",
        "no-key-frame",
        "not-aligned",
        "range-beyond-resource",
    ];
    let broken: BTreeSet<&str> = broken.into_iter().chain(elsewhere).collect();
    let rules: BTreeSet<&str> = RULES.iter().map(|rule| rule.name).collect();
    assert_eq!(broken, rules);
    assert_eq!(rules.len(), RULES.len(), "two rules of one name");
}

#[test]
fn findings_are_bounded() {
    assert_eq!(hls(&"\n#EXTM3U".repeat(5000)).len(), FINDINGS_MAX);
}
