//! What is written reads the same, what is read is bounded, and errors say where.

use std::time::Duration;

use proptest::prelude::*;

use super::*;
use crate::manifest::{ByteRange, Resource, Segment};

fn place(line: u32, column: u32) -> Place {
    Place { line, column }
}

#[test]
fn a_playlist_of_another_tool_is_read() {
    let text = "#EXTM3U\r\n#EXT-X-VERSION:7\r\n\r\n#EXT-X-MEDIA:TYPE=AUDIO,GROUP-ID=\"a\"\r\n\
                #EXT-X-STREAM-INF:BANDWIDTH=1280000,CODECS=\"avc1.42c01e,mp4a.40.2\",RESOLUTION=640x360\r\n\
                # a remark\r\nlow/index.m3u8?x=1\r\n#EXT-X-STREAM-INF:BANDWIDTH=7,AVERAGE-BANDWIDTH=5\r\n\
                https://example.org/high.m3u8\r\n";
    let Playlist::Multivariant(film) = read(text).unwrap() else { panic!() };
    let [low, high] = &film.tracks[..] else { panic!() };
    assert_eq!((low.name.as_str(), low.peak_bps), ("low/index.m3u8?x=1", 1_280_000));
    assert_eq!(low.codecs.as_deref(), Some("avc1.42c01e,mp4a.40.2"));
    assert_eq!((low.resolution, high.average_bps), (Some((640, 360)), Some(5)));
    assert_eq!(high.name, "https://example.org/high.m3u8");

    let text = "#EXTM3U\n#EXT-X-TARGETDURATION:4\n#EXT-X-MEDIA-SEQUENCE:7\n\
                #EXT-X-MAP:URI=\"all.mp4\",BYTERANGE=\"800@0\"\n#EXTINF:4,first\n\
                #EXT-X-BYTERANGE:1000@800\nall.mp4\n#EXTINF:3.5,\n#EXT-X-BYTERANGE:50\nall.mp4\n";
    let Playlist::Media(media) = read(text).unwrap() else { panic!() };
    assert!(media.live && media.target_s == 4 && media.track.first == 7);
    let range = |offset, length| Some(ByteRange { offset, length });
    assert_eq!(media.track.initialization.unwrap().range, range(0, 800));
    let ranges: Vec<_> = media.track.segments.iter().map(|one| one.resource.range).collect();
    assert_eq!(ranges, [range(800, 1000), range(1800, 50)]);
    assert_eq!(media.track.segments[1].duration, Duration::from_millis(3500));
    let Playlist::Media(media) = read(&(text.to_owned() + "#EXT-X-ENDLIST")).unwrap() else {
        panic!()
    };
    assert!(!media.live);
}

#[test]
fn errors_say_where() {
    let check = |text: &str, expected: Place, said: &str| {
        let error = read(&format!("#EXTM3U\n{text}")).unwrap_err();
        let HlsError::Line { place, wanted, .. } = &error else { panic!("{error}") };
        assert_eq!(*place, expected, "{error}");
        assert!(wanted.contains(said), "{error}");
    };
    check("#EXTINF:4,\n#EXTINF:x,\na", place(3, 9), "EXTINF is a number of seconds");
    check("#EXT-X-TARGETDURATION:4.5", place(2, 23), "whole number of seconds");
    check("a.mp4", place(2, 1), "EXTINF stands before");
    check("#EXTINF:4,\n#EXT-X-BYTERANGE:10\na.mp4", place(4, 1), "follows a range of the same");
    check("#EXT-X-MAP:BYTERANGE=\"5\"", place(2, 12), "EXT-X-MAP has a URI");
    check("#EXT-X-STREAM-INF:CODECS=\"a\"\nb", place(2, 19), "has its BANDWIDTH");
    check(
        "#EXT-X-STREAM-INF:BANDWIDTH=1\n#EXT-X-ENDLIST",
        place(2, 19),
        "the reference of its playlist",
    );
    check("#EXT-X-STREAM-INF:BANDWIDTH=x\nb", place(2, 19), "whole number of bit/s");
    check("#EXT-X-STREAM-INF:CODECS=\"a\nb", place(2, 19), "ends with a quote");
    check("#EXT-X-STREAM-INF:BANDWIDTH=1,b=2\nb", place(2, 31), "characters A-Z");
    check("#EXT-X-STREAM-INF:CODECS=\"a\"X=1\nb", place(2, 29), "a comma stands between");
    check("#EXT-X-STREAM-INF:BANDWIDTH=1,\nb", place(2, 30), "follows a comma");
    assert_eq!(read("<html>"), Err(HlsError::NotOne));
    assert_eq!(read("#EXTM3U\n"), Err(HlsError::Empty));
    let limit = crate::manifest::TEXT_MAX;
    assert_eq!(read(&"#".repeat(limit + 1)), Err(HlsError::TooMuch { of: "bytes", limit }));
}

fn a_resource() -> impl Strategy<Value = Resource> {
    let range = proptest::option::of((0..1_u64 << 40, 1..1_u64 << 30));
    ("[a-z0-9/.?=&é-]{1,12}", range).prop_map(|(uri, range)| Resource {
        uri,
        range: range.map(|(offset, length)| ByteRange { offset, length }),
    })
}

fn a_variant() -> impl Strategy<Value = Track> {
    let text = proptest::option::of("[a-z0-9.,]{1,9}");
    let size = proptest::option::of((1..9999_u32, 1..9999_u32));
    let average = proptest::option::of(any::<u64>());
    ("[a-z0-9/.?=é-]{1,12}", any::<u64>(), average, text, size).prop_map(
        |(name, peak_bps, average_bps, codecs, resolution)| Track {
            name,
            peak_bps,
            average_bps,
            codecs,
            resolution,
            ..Track::default()
        },
    )
}

proptest! {
    #[test]
    fn written_variants_read_the_same(tracks in proptest::collection::vec(a_variant(), 1..6)) {
        let film = Presentation { tracks, ..Presentation::default() };
        prop_assert_eq!(read(&multivariant(&film)), Ok(Playlist::Multivariant(film)));
    }

    #[test]
    fn written_segments_read_the_same(
        resources in proptest::collection::vec((a_resource(), 1..1_u64 << 43), 0..8),
        initialization in proptest::option::of(a_resource()),
        first in any::<u64>(),
        live in any::<bool>(),
    ) {
        let segment = |(resource, ns)| Segment { resource, duration: Duration::from_nanos(ns) };
        let segments = resources.into_iter().map(segment).collect();
        let track = Track { initialization, first, segments, ..Track::default() };
        let read = read(&media(&track, live));
        let media = Media { target_s: track.target_s(), track, live };
        prop_assert_eq!(read, Ok(Playlist::Media(media)));
    }

    #[test]
    fn reading_never_panics(text in "(#EXT(M3U|INF|-X-MAP|-X-BYTERANGE|-X-STREAM-INF)[:0-9@,.A-Z=\"é]{0,12}\n|[a-z]\n){0,9}") {
        _ = read(&format!("#EXTM3U\n{text}"));
    }
}
