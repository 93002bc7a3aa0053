//! The rules, each with its clause.

use super::Rule;

macro_rules! rules {
    ($($constant:ident $must:literal $name:literal $clause:literal $demands:literal)*) => {
        $(pub(super) static $constant: Rule =
            Rule { name: $name, clause: $clause, demands: $demands, must: $must };)*
        /// Every rule that is checked.
        pub static RULES: &[&Rule] = &[$(&$constant),*];
    };
}

rules! {
    BOM true "byte-order-mark" "RFC 8216, 4" "a playlist does not begin with a byte order mark"
    CONTROL true "control-character" "RFC 8216, 4" "a playlist has no control characters but line ends"
    FIRST_LINE true "first-line" "RFC 8216, 4.3.1.1" "the first line is #EXTM3U"
    TWICE true "tag-twice" "RFC 8216, 4.3" "this tag stands only once in a playlist"
    MIXED true "mixed-playlist" "RFC 8216, 4.1" "a playlist is either multivariant or media"
    VERSION true "version-number" "RFC 8216, 4.3.1.2" "the version is a whole number"
    VERSION_LOW true "version-too-low" "RFC 8216, 7" "the version is at least that of every feature"
    ATTRIBUTES true "attribute-list" "RFC 8216, 4.2" "attributes are NAME=value, with commas between"
    ATTRIBUTE_TWICE true "attribute-twice" "RFC 8216, 4.2" "an attribute stands only once in a list"
    QUOTES true "attribute-quotes" "RFC 8216, 4.2" "an attribute is quoted if, and only if, it is a string"
    TARGET true "no-target-duration" "RFC 8216, 4.3.3.1" "a media playlist has a target duration in whole seconds"
    ABOVE_TARGET true "extinf-above-target" "RFC 8216, 4.3.3.1" "no EXTINF, rounded, is above the target duration"
    LATE true "sequence-after-segment" "RFC 8216, 4.3.3.2 and 4.3.3.3" "sequence tags stand before the first segment"
    EXTINF true "extinf-number" "RFC 8216, 4.3.2.1" "EXTINF is a number of seconds and a comma"
    NO_EXTINF true "no-extinf" "RFC 8216, 4.3.2.1" "every segment has an EXTINF"
    DANGLING true "extinf-without-segment" "RFC 8216, 4.3.2.1" "every EXTINF is followed by the reference of its segment"
    RANGE true "byte-range" "RFC 8216, 4.3.2.2" "a range is LENGTH or LENGTH@OFFSET; without an offset it follows one of the same resource"
    MAP true "map-without-uri" "RFC 8216, 4.3.2.5" "EXT-X-MAP has a URI"
    TYPE true "playlist-type" "RFC 8216, 4.3.3.5" "the type is EVENT or VOD"
    NO_END false "vod-without-end" "RFC 8216, 4.3.3.4 and 4.3.3.5" "a VOD playlist, which cannot change, has an EXT-X-ENDLIST"
    NO_SEGMENTS false "no-segments" "RFC 8216, 4.1" "a stored media playlist has segments"
    BANDWIDTH true "no-bandwidth" "RFC 8216, 4.3.4.2" "every variant has a BANDWIDTH in whole bit/s"
    AVERAGE true "average-above-peak" "RFC 8216, 4.3.4.2" "the average bandwidth is not above the peak"
    CODECS false "no-codecs" "RFC 8216, 4.3.4.2" "every variant says its CODECS"
    RESOLUTION true "resolution" "RFC 8216, 4.2 and 4.3.4.2" "a resolution is WIDTHxHEIGHT"
    NO_URI true "variant-without-uri" "RFC 8216, 4.3.4.2" "the reference of its playlist follows each variant"
    GROUP true "unknown-group" "RFC 8216, 4.3.4.2.1" "a variant's group is that of an EXT-X-MEDIA"
    XML true "xml" "ISO/IEC 23009-1, 5.2.1" "a manifest is well-formed XML whose root is MPD"
    SPACE true "namespace" "ISO/IEC 23009-1, 5.2.1" "the namespace is urn:mpeg:dash:schema:mpd:2011"
    PROFILES true "no-profiles" "ISO/IEC 23009-1, 5.3.1.2" "MPD has its profiles"
    MIN_BUFFER true "no-min-buffer-time" "ISO/IEC 23009-1, 5.3.1.2" "MPD has a minBufferTime"
    KIND true "type" "ISO/IEC 23009-1, 5.3.1.2" "the type is static or dynamic"
    LENGTH true "no-duration" "ISO/IEC 23009-1, 5.3.1.2" "a static manifest says how long it is"
    AVAILABLE true "no-availability" "ISO/IEC 23009-1, 5.3.1.2" "a dynamic manifest has an availabilityStartTime"
    SPAN true "duration-format" "ISO/IEC 23009-1, 5.3.1.2" "durations are those of XML Schema, such as PT1M30.5S"
    PERIOD true "no-period" "ISO/IEC 23009-1, 5.3.2" "MPD has a Period"
    SETS true "no-representation" "ISO/IEC 23009-1, 5.3.3 and 5.3.5" "a Period has Representations"
    ID true "no-id" "ISO/IEC 23009-1, 5.3.5.2" "every Representation has an id"
    SAME_ID true "id-twice" "ISO/IEC 23009-1, 5.3.5.2" "an id stands only once in its Period"
    DASH_BANDWIDTH true "no-bandwidth-attribute" "ISO/IEC 23009-1, 5.3.5.2" "every Representation has a bandwidth in whole bit/s"
    MIME true "no-mime-type" "ISO/IEC 23009-1, 5.3.7.2" "every Representation has a mimeType"
    ADDRESSING true "two-addressings" "ISO/IEC 23009-1, 5.3.9.1" "segments are addressed in one way only"
    TIMESCALE true "timescale" "ISO/IEC 23009-1, 5.3.9.2" "the timescale is a whole number above 0"
    TIMING true "segment-durations" "ISO/IEC 23009-1, 5.3.9.2" "segments have either a duration or a SegmentTimeline"
    MEDIA true "template-without-media" "ISO/IEC 23009-1, 5.3.9.4.2" "a template has its media"
    IDENTIFIER true "template-identifier" "ISO/IEC 23009-1, 5.3.9.4.4" "a template has only known identifiers"
    NUMBERLESS true "template-without-number" "ISO/IEC 23009-1, 5.3.9.4.4" "media has $Number$ or $Time$, and not both; initialization has neither"
    OVERLAP true "timeline-overlap" "ISO/IEC 23009-1, 5.3.9.6" "an S does not begin before the end of the one before"
    ENTRY true "timeline-entry" "ISO/IEC 23009-1, 5.3.9.6" "every S has a d above 0"
    GAP false "timeline-gap" "ISO/IEC 23009-1, 5.3.9.6" "a timeline has no gaps"
    UNREAD true "unreadable" "RFC 8216 and ISO/IEC 23009-1" "the manifest can be understood as a whole"
    PEAK true "peak-above-declared" "RFC 8216, 4.3.4.2" "no row of segments of about a target duration is faster than BANDWIDTH"
    MEAN true "average-above-declared" "RFC 8216, 4.3.4.2" "the average bit rate is not above AVERAGE-BANDWIDTH"
    SUSTAINED true "bandwidth-too-low" "ISO/IEC 23009-1, 5.3.5.2" "what arrives at the bandwidth plays without a stop after minBufferTime"
    LONGER true "segment-above-target" "RFC 8216, 4.3.3.1" "no segment, rounded, is longer than the target duration"
    DIFFERS true "duration-differs" "RFC 8216, 4.3.2.1 and ISO/IEC 23009-1, 5.3.9.6" "a segment is as long as the manifest says"
    EMPTY true "empty-segment" "RFC 8216, 3 and ISO/IEC 23009-1, 6.2.3" "a segment has bytes and plays"
    KEY false "no-key-frame" "RFC 8216, 3 and ISO/IEC 23009-1, 5.3.7.2" "a segment begins with a key frame"
    ALIGNED true "not-aligned" "RFC 8216, 6.2.4 and ISO/IEC 23009-1, 5.3.3.2" "segments of all qualities begin at the same times"
    SHORT true "range-beyond-resource" "RFC 8216, 4.3.2.2 and ISO/IEC 23009-1, 5.3.9.3.2" "a range of bytes is all there"
}
