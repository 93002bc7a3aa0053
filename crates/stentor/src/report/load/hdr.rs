//! The latencies of a run as an interval log of HdrHistogram, which the whole field reads, and back.
//!
//! A line holds an interval's histogram (V2, deflated, in base64), in nanoseconds. The lines have
//! no tag: readers that know tags pass over tagged lines unless asked, and others would add up what
//! does not belong together. What the format has no place for, the counts of requests, stands in a
//! comment, which every reader passes over but [`super::merge`].

use std::fmt;
use std::io::{self, BufRead, Read, Write};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use flate2::read::ZlibDecoder;
use hdrhistogram::Histogram;
use hdrhistogram::serialization::interval_log::IntervalLogWriterBuilder;
use hdrhistogram::serialization::{Deserializer, Serializer, V2DeflateSerializer};
use stentor_core::measure::Latency;

use super::Head;
use super::carried::Carried;
use crate::complaint::{Complaint, Exit};
use crate::drive::load::outcome::{Outcome, Spread};

/// Bytes of a line, at most: a histogram of five digits in which every place is taken needs less.
const LINE_MAX: usize = 4 << 20;
/// Lines of a log, at most: a week of seconds.
const LINES_MAX: usize = 700_000;
/// Different latencies in all lines of a log, at most: some 160 MB.
const PLACES_MAX: usize = 10_000_000;
/// Bytes of a histogram within its wrapping, at most.
const HISTOGRAM_MAX: usize = 16 << 20;
/// What stands before the counts, in a comment.
const CARRIED: &str = "#[stentor.load/1 ";

/// Writes the log of a run.
pub fn write(head: &Head, outcome: &Outcome, mut to: impl Write) -> io::Result<()> {
    let carried = Carried::of(head, outcome);
    let mut serializer = V2DeflateSerializer::new();
    let mut log = IntervalLogWriterBuilder::new()
        .add_comment("[Histogram log format version 1.3]")
        .add_comment(&format!(
            "[Latencies in nanoseconds, by stentor {}]",
            env!("CARGO_PKG_VERSION")
        ))
        .add_comment(&format!("{}{}]", CARRIED.trim_start_matches('#'), carried.json()))
        .with_start_time(outcome.started)
        .with_base_time(outcome.started)
        // The column for people is in milliseconds.
        .with_max_value_divisor(1e6)
        .begin_log_with(&mut to, &mut serializer)?;
    for interval in &outcome.intervals {
        let latency = interval.latency.latency();
        let Some(histogram) = latency.as_hdr() else { continue };
        let from = Duration::from_nanos(interval.from.as_nanos());
        let length = interval.until.since(interval.from);
        log.write_histogram(histogram, from, length, None)
            .map_err(|error| io::Error::other(error.to_string()))?;
    }
    to.flush()
}

/// One histogram as it stands in a line; empty if it cannot be written.
pub(super) fn wrapped(latency: &Latency) -> String {
    let mut bytes = Vec::new();
    let written =
        latency.as_hdr().map(|counts| V2DeflateSerializer::new().serialize(counts, &mut bytes));
    match written {
        Some(Ok(_)) => STANDARD.encode(bytes),
        Some(Err(_)) | None => String::new(),
    }
}

/// A log that was read.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Log {
    /// When it began, since 1970; zero if it does not say.
    pub(super) began: Duration,
    /// What stentor has written about it; `None` in the log of another program.
    pub(super) carried: Option<Carried>,
    /// The intervals that were read.
    pub(super) lines: Vec<Line>,
    /// Tags of lines that were passed over.
    pub(super) tags: Vec<String>,
}

/// An interval of a log.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Line {
    /// When it began, from the log's beginning.
    pub(super) from: Duration,
    /// How long it was.
    pub(super) length: Duration,
    /// What was measured in it.
    pub(super) latency: Spread,
}

/// Why a log cannot be used. Lines are counted from 1.
#[derive(Debug)]
pub enum Trouble {
    /// The file cannot be read.
    Unreadable(io::Error),
    /// A line is no line of a log.
    Malformed {
        /// Which.
        line: usize,
        /// Why not.
        why: String,
    },
    /// A line, the number of lines, or what they hold is beyond what is read.
    TooLong {
        /// Where.
        line: usize,
    },
    /// There is no interval in it.
    Empty {
        /// The tags of lines that were passed over.
        tags: Vec<String>,
    },
}

impl fmt::Display for Trouble {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Trouble::Unreadable(error) => write!(f, "cannot be read: {error}"),
            Trouble::Malformed { line, why } => write!(f, "line {line}: {why}"),
            Trouble::TooLong { line } => write!(
                f,
                "line {line}: lines of more than {LINE_MAX} bytes, more than {LINES_MAX} lines, and more \
                 than {PLACES_MAX} different latencies are not read"
            ),
            Trouble::Empty { tags } if tags.is_empty() => write!(f, "no interval is in it"),
            Trouble::Empty { tags } => {
                write!(f, "all its intervals have tags ({}), and none is read", tags.join(", "))
            }
        }
    }
}

impl Trouble {
    /// The complaint about `file`, with its next step.
    pub fn complaint(&self, file: &str) -> Complaint {
        let next = match self {
            Trouble::Unreadable(_) => String::new(),
            Trouble::Malformed { .. } | Trouble::TooLong { .. } => {
                "A log is made by stentor load --hdr FILE, or by any HdrHistogram log writer."
                    .into()
            }
            Trouble::Empty { tags } if tags.is_empty() => {
                "Was the run that wrote it ended early?".into()
            }
            Trouble::Empty { .. } => format!("Take the tag off: sed 's/^Tag=[^,]*,//' {file}"),
        };
        Complaint::new(Exit::Environment, format!("{file}: {self}"), next)
    }
}

/// Reads a log. Lines with a tag other than `latency` are passed over and remembered.
pub fn read(mut input: impl BufRead) -> Result<Log, Trouble> {
    let (mut log, mut start, mut base) = (Log::default(), None, None);
    let (mut stamps, mut places) = (Vec::new(), 0);
    let mut bytes = Vec::new();
    for number in 1.. {
        bytes.clear();
        let room = LINE_MAX as u64 + 1;
        let taken = input.by_ref().take(room).read_until(b'\n', &mut bytes);
        if taken.map_err(Trouble::Unreadable)? == 0 {
            break;
        }
        if bytes.len() > LINE_MAX || number > LINES_MAX {
            return Err(Trouble::TooLong { line: number });
        }
        let malformed = |why: String| Trouble::Malformed { line: number, why };
        let line =
            std::str::from_utf8(&bytes).map_err(|_| malformed("it is no text".into()))?.trim();
        if let Some(json) = line.strip_prefix(CARRIED) {
            let json = json.strip_suffix(']').unwrap_or(json);
            log.carried = Some(Carried::parse(json).map_err(malformed)?);
        } else if line.starts_with('#') {
            start = stamp(line, "#[StartTime:").map_err(malformed)?.or(start);
            base = stamp(line, "#[BaseTime:").map_err(malformed)?.or(base);
        } else if !line.is_empty() && !line.starts_with('"') {
            let line = interval(line, &mut log.tags).map_err(malformed)?;
            places += line.as_ref().map_or(0, |(_, line)| line.latency.places.len());
            if places > PLACES_MAX {
                return Err(Trouble::TooLong { line: number });
            }
            stamps.extend(line.as_ref().map(|(stamp, _)| *stamp));
            log.lines.extend(line.map(|(_, line)| line));
        }
    }
    if log.lines.is_empty() {
        return Err(Trouble::Empty { tags: log.tags });
    }
    place(&mut log, &stamps, start, base);
    Ok(log)
}

/// Puts the lines in time: a base says what stamps count from; without one they count from 1970,
/// unless that is more than a year before the start (as HistogramLogReader decides).
fn place(log: &mut Log, stamps: &[f64], start: Option<f64>, base: Option<f64>) {
    const YEAR: f64 = 365.0 * 86_400.0;
    let first = stamps.iter().copied().fold(f64::INFINITY, f64::min);
    let base = base.unwrap_or(match start {
        Some(start) if first < start - YEAR => start,
        Some(_) | None => 0.0,
    });
    let began = start.unwrap_or(base + first).min(base + first);
    // Stamps are written with three decimals; what a double adds to them is noise.
    let whole = |seconds: f64| {
        let nanos = Duration::try_from_secs_f64(seconds).unwrap_or_default().as_nanos();
        Duration::from_millis(u64::try_from((nanos + 500_000) / 1_000_000).unwrap_or(0))
    };
    log.began = whole(began);
    for (line, stamp) in log.lines.iter_mut().zip(stamps) {
        line.from = whole(base + stamp - began);
    }
}

/// The seconds of `#[StartTime: 1500000000.123 (seconds since epoch)]`.
fn stamp(line: &str, name: &str) -> Result<Option<f64>, String> {
    let Some(rest) = line.strip_prefix(name) else { return Ok(None) };
    let word = rest.trim_start().split([' ', ']', ',']).next().unwrap_or_default();
    seconds(word).map(Some)
}

/// Seconds that a `Duration` holds; a million years is more than enough.
fn seconds(word: &str) -> Result<f64, String> {
    let seconds: f64 = word.parse().map_err(|_| format!("{word:?} is no number of seconds"))?;
    let holds = (0.0..=3.2e13).contains(&seconds);
    holds.then_some(seconds).ok_or_else(|| format!("{word} seconds are beyond all measure"))
}

/// `[Tag=NAME,]START,LENGTH,MAX,HISTOGRAM`; `None` if its tag is not ours.
fn interval(line: &str, tags: &mut Vec<String>) -> Result<Option<(f64, Line)>, String> {
    const TAGS_MAX: usize = 16;
    let mut rest = line;
    if let Some(tagged) = line.strip_prefix("Tag=") {
        let (tag, after) = tagged.split_once(',').ok_or("a tag and nothing after it")?;
        if tag != "latency" {
            if tags.len() < TAGS_MAX && !tags.iter().any(|known| known == tag) {
                tags.push(tag.chars().take(64).collect());
            }
            return Ok(None);
        }
        rest = after;
    }
    let mut fields = rest.splitn(4, ',');
    let (Some(from), Some(length), Some(_max), Some(histogram)) =
        (fields.next(), fields.next(), fields.next(), fields.next())
    else {
        return Err("it is not START,LENGTH,MAX,HISTOGRAM".to_owned());
    };
    let (from, length) = (seconds(from)?, seconds(length)?);
    let latency = Spread::of(&unwrapped(histogram)?);
    Ok(Some((
        from,
        Line { from: Duration::ZERO, length: Duration::from_secs_f64(length), latency },
    )))
}

/// The histogram of a line. What it says of its own lengths is checked before it is believed.
pub(super) fn unwrapped(words: &str) -> Result<Latency, String> {
    let bytes = STANDARD.decode(words.trim()).map_err(|error| format!("the histogram: {error}"))?;
    let plain = match bytes.split_at_checked(8) {
        Some((head, deflated)) if head.starts_with(&0x1c84_9314_u32.to_be_bytes()) => {
            let mut plain = Vec::new();
            let read =
                ZlibDecoder::new(deflated).take(HISTOGRAM_MAX as u64 + 1).read_to_end(&mut plain);
            read.map_err(|error| format!("the histogram cannot be inflated: {error}"))?;
            plain
        }
        Some(_) | None => bytes,
    };
    check(&plain)?;
    let histogram: Result<Histogram<u64>, _> = Deserializer::new().deserialize(&mut &*plain);
    let mut latency = Latency::new();
    latency.merge_hdr(&histogram.map_err(|error| format!("the histogram: {error}"))?);
    Ok(latency)
}

/// Whether the library may be given these bytes: cookie, length of what follows, offset, digits,
/// lowest and highest value, ratio, counts (HdrHistogram, encoding V2).
fn check(plain: &[u8]) -> Result<(), String> {
    const HEAD: usize = 40;
    if plain.len() > HISTOGRAM_MAX {
        return Err(format!("the histogram has more than {HISTOGRAM_MAX} bytes"));
    }
    let word = |at: usize| -> Option<u32> {
        let bytes = plain.get(at..at + 4)?;
        bytes.try_into().ok().map(u32::from_be_bytes)
    };
    let (Some(0x1c84_9313), Some(length), Some(digits), Some(counts)) =
        (word(0), word(4), word(12), plain.get(HEAD..))
    else {
        return Err("it is no histogram of HdrHistogram's version 2".to_owned());
    };
    if length as usize != counts.len() {
        return Err(format!("the histogram is cut: {} of {length} bytes", counts.len()));
    }
    // Five digits of values up to 2^64 take some 50 MB, for the time of reading.
    if digits > 5 {
        return Err(format!("a histogram of {digits} digits; there are 5 at most"));
    }
    // Nothing was counted 2^55 times, and the library's arithmetic ends near there.
    let long = |run: &[u8]| run.iter().all(|byte| byte & 0x80 != 0);
    if counts.windows(8).any(long) {
        return Err("a count in the histogram is beyond all measure".to_owned());
    }
    Ok(())
}

/// The moment of a log's beginning on the wall clock.
pub(super) fn wall(began: Duration) -> SystemTime {
    UNIX_EPOCH.checked_add(began).unwrap_or(UNIX_EPOCH)
}
