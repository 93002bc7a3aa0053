//! What is written reads the same, what is read is bounded, and errors say where.

use std::time::Duration;

use proptest::prelude::*;

use super::*;
use crate::manifest::{ByteRange, Presentation, Resource, Segment, Track};

fn mpd(attributes: &str, inner: &str) -> String {
    format!("<MPD xmlns='{NAMESPACE}' {attributes}>\n<Period>{inner}</Period></MPD>")
}

fn track(template: &str) -> Track {
    let inner = format!(
        "<BaseURL>a/</BaseURL><AdaptationSet mimeType='video/mp4' width='64'>\
         <Representation id='v1' bandwidth='9000' height='36'>{template}</Representation></AdaptationSet>"
    );
    let mut film = read(&mpd("mediaPresentationDuration='PT5S'", &inner)).unwrap();
    film.tracks.remove(0)
}

fn uris(track: &Track) -> String {
    let uri = |segment: &Segment| {
        let range = segment
            .resource
            .range
            .map_or(String::new(), |range| format!("@{}+{}", range.offset, range.length));
        format!("{}{range}:{}", segment.resource.uri, segment.duration.as_millis())
    };
    track.segments.iter().map(uri).collect::<Vec<_>>().join(" ")
}

#[test]
fn every_way_of_addressing_is_read() {
    let check = |template: &str, expected: &str| assert_eq!(uris(&track(template)), expected);
    // The last segment is what is left of the period.
    check(
        "<SegmentTemplate media='$RepresentationID$-$Number%03d$-$Bandwidth$$$.m4s' duration='2'/>",
        "v1-001-9000$.m4s:2000 v1-002-9000$.m4s:2000 v1-003-9000$.m4s:1000",
    );
    check(
        "<SegmentTemplate media='$Time$' timescale='1000' startNumber='7'><SegmentTimeline>\
         <S t='500' d='2000' r='1'/><S d='500'/></SegmentTimeline></SegmentTemplate>",
        "500:2000 2500:2000 4500:500",
    );
    check(
        "<SegmentTemplate media='$Number$' timescale='10'><SegmentTimeline><S d='20' r='-1'/>\
         </SegmentTimeline></SegmentTemplate>",
        "1:2000 2:2000 3:2000",
    );
    check(
        "<SegmentList duration='3'><Initialization range='0-99'/><SegmentURL mediaRange='100-199'/>\
         <SegmentURL media='b'/></SegmentList>",
        "@100+100:3000 b:2000",
    );
    check("<SegmentBase indexRange='0-99'/>", ":5000");
    check("", ":5000");
    let one = track("<SegmentBase><Initialization range='0-99'/></SegmentBase>");
    assert_eq!(one.initialization.unwrap().range, Some(ByteRange { offset: 0, length: 100 }));
    assert_eq!((one.name.as_str(), one.peak_bps, one.resolution), ("v1", 9000, Some((64, 36))));
    assert_eq!((one.bases, one.mime.as_deref()), (vec!["a/".to_owned()], Some("video/mp4")));
}

#[test]
fn what_is_said_outside_holds_inside() {
    let text = mpd(
        "type='dynamic' availabilityStartTime='2026-01-01T00:00:00Z' minBufferTime='PT1.5S'",
        "<SegmentTemplate timescale='1000'><SegmentTimeline><S d='1000'/></SegmentTimeline>\
         </SegmentTemplate><AdaptationSet><SegmentTemplate media='$RepresentationID$/$Number$'/>\
         <Representation id='a' bandwidth='1'/><Representation id='b' bandwidth='2'>\
         <SegmentTemplate startNumber='5'/></Representation></AdaptationSet>",
    );
    let film = read(&text).unwrap();
    assert!(film.live && film.buffer == Duration::from_millis(1500));
    assert_eq!(film.available.as_deref(), Some("2026-01-01T00:00:00Z"));
    assert_eq!(film.tracks.iter().map(uris).collect::<Vec<_>>(), ["a/1:1000", "b/5:1000"]);
}

#[test]
fn errors_say_where_and_sizes_are_bounded() {
    let check = |inner: &str, said: &str| {
        let error = read(&mpd("mediaPresentationDuration='PT1000000S'", inner)).unwrap_err();
        assert!(error.to_string().contains(said), "{error}");
    };
    let one = |inner: &str| {
        format!(
            "<AdaptationSet>\n<Representation bandwidth='1'>{inner}</Representation></AdaptationSet>"
        )
    };
    check(
        "<AdaptationSet><Representation/></AdaptationSet>",
        "line 2, column 24: <Representation>: it has no",
    );
    check(
        &one("<SegmentTemplate duration='x'/>"),
        "line 3, column 48: duration=\"x\" is not a whole",
    );
    check(&one("<SegmentTemplate duration='1'/>"), "a template has a media attribute");
    check(&one("<SegmentTemplate media='$X$' duration='1'/>"), "media=\"$X$\" is not a template");
    check(&one("<SegmentTemplate media='$Number' duration='1'/>"), "is not a template");
    check(&one("<SegmentTemplate media='a' timescale='0' duration='1'/>"), "a timescale of 0");
    check(&one("<SegmentTemplate media='a'/>"), "neither a duration nor a SegmentTimeline");
    check(
        &one("<SegmentTemplate media='a' timescale='1000' duration='1'/>"),
        "more than 1048576 segments",
    );
    let long = "a".repeat(1000);
    check(&one(&format!("<SegmentTemplate media='{long}' duration='1'/>")), "bytes of references");
    check(
        &one("<SegmentList><SegmentURL mediaRange='9-1'/></SegmentList>"),
        "mediaRange=\"9-1\" is not a range",
    );
    check(
        &one(
            "<SegmentTemplate media='a'><SegmentTimeline><S/></SegmentTimeline></SegmentTemplate>",
        ),
        "an S has a d",
    );
    check("</Period><Period>", "several periods are not read");
    let said = |text: &str| read(text).unwrap_err().to_string();
    assert!(said("<a").contains("line 1, column"), "{}", said("<a"));
    assert!(said("<!DOCTYPE a [<!ENTITY b 'c'>]><MPD/>").contains("no well-formed XML"));
    assert!(said("<smil/>").contains("<smil>: a DASH manifest begins with MPD"));
    assert!(said("<MPD/>").contains("<MPD>: there is no Period"));
    let live = said(&mpd("type='dynamic'", &one("<SegmentTemplate media='a' duration='1'/>")));
    assert!(live.contains("has no end to read up to"), "{live}");
}

fn a_resource() -> impl Strategy<Value = Resource> {
    let range = proptest::option::of((0..1_u64 << 40, 1..1_u64 << 30));
    ("[a-z0-9/.$?<&\"é-]{1,9}", range).prop_map(|(uri, range)| Resource {
        uri,
        range: range.map(|(offset, length)| ByteRange { offset, length }),
    })
}

/// References that follow a template, or not.
fn some_segments() -> impl Strategy<Value = (u64, Vec<Segment>)> {
    let durations = proptest::collection::vec((1..4_u64, a_resource()), 1..8);
    let units = prop_oneof![Just(1_u64), Just(1_000_000), Just(1_000_000_000), Just(1_001_000_000)];
    (0..12_u64, 0..3, "[a-z$1-9]{0,3}", units, durations).prop_map(
        |(first, kind, text, unit, all)| {
            let mut time = 0;
            let segment = |(index, (units, resource)): (usize, (u64, Resource))| {
                let begin = time / 1_000_000;
                time += units * unit;
                let plain =
                    |number| Resource { uri: format!("{text}{number}{text}.m4s"), range: None };
                let resource = match kind {
                    0 => plain(first + index as u64),
                    1 => plain(begin),
                    _ => resource,
                };
                Segment { resource, duration: Duration::from_nanos(units * unit) }
            };
            (first, all.into_iter().enumerate().map(segment).collect())
        },
    )
}

fn a_track() -> impl Strategy<Value = Track> {
    let text = || proptest::option::of("[a-z0-9.,/]{1,9}");
    let size = proptest::option::of((1..9999_u32, 1..9999_u32));
    let bases = proptest::collection::vec("[a-z&]{1,6}/", 0..3);
    let initialization = proptest::option::of(a_resource());
    (
        ("[a-z0-9'&]{0,6}", any::<u64>(), text(), text(), size),
        bases,
        initialization,
        some_segments(),
    )
        .prop_map(
            |((name, peak_bps, codecs, mime, resolution), bases, initialization, found)| {
                let (first, segments) = found;
                Track {
                    name,
                    bases,
                    peak_bps,
                    average_bps: None,
                    codecs,
                    resolution,
                    mime,
                    initialization,
                    first,
                    segments,
                }
            },
        )
}

proptest! {
    #[test]
    fn what_is_written_reads_the_same(
        tracks in proptest::collection::vec(a_track(), 0..4),
        live in any::<bool>(),
        available in proptest::option::of("[0-9TZ:-]{1,20}"),
        ms in 0..100_000_u64,
    ) {
        let buffer = Duration::from_millis(ms);
        let film = Presentation { live, available, buffer, tracks };
        let text = write(&film).unwrap();
        prop_assert_eq!(read(&text), Ok(film), "{}", text);
    }

    #[test]
    fn templates_never_panic(template in "[$a-zA-Z%0-9]{0,20}|\\$(Number|Time)%0[0-9]{1,2}d\\$") {
        if let Some(pieces) = pieces(&template) {
            prop_assert!(pieces.len() <= template.len());
        }
    }
}

#[test]
fn equal_segments_are_one_line_and_a_template() {
    let segment = |number| Segment {
        resource: Resource { uri: format!("3/{number}.m4s"), range: None },
        duration: Duration::from_secs(2),
    };
    let initialization = Some(Resource { uri: "3/init.mp4".to_owned(), range: None });
    let segments = (0..60).map(segment).collect();
    let track = Track { initialization, segments, ..Track::default() };
    let film = Presentation { tracks: vec![track], ..Presentation::default() };
    let text = write(&film).unwrap();
    assert!(text.contains("media=\"3/$Number$.m4s\""), "{text}");
    assert!(text.contains("<S d=\"2\" r=\"59\"/>"), "{text}");
    assert_eq!(text.matches("SegmentURL").count(), 0);
    assert!(text.contains("mediaPresentationDuration=\"PT120S\""), "{text}");
    let bases = vec![String::new(); 3];
    let film = Presentation { tracks: vec![Track { bases, ..Track::default() }], ..film };
    assert_eq!(write(&film), Err(WriteError::Bases { track: 0, bases: 3 }));
}
