//! Checks the text of a playlist, line by line.

use std::collections::BTreeSet;

use super::rules::{
    ABOVE_TARGET, ATTRIBUTE_TWICE, ATTRIBUTES, AVERAGE, BANDWIDTH, BOM, CODECS, CONTROL, DANGLING,
    EXTINF, FIRST_LINE, GROUP, LATE, MAP, MIXED, NO_END, NO_EXTINF, NO_SEGMENTS, NO_URI, QUOTES,
    RANGE, RESOLUTION, TARGET, TWICE, TYPE, UNREAD, VERSION, VERSION_LOW,
};
use super::{Finding, Findings, Rule};
use crate::manifest::Place;
use crate::manifest::hls::lines::{
    Attribute, Line, What, attributes, byte_range, integer, lines, nanoseconds, resolution,
};
use crate::manifest::hls::read;

/// Tags of which a playlist has one at most.
const ONCE: [&str; 8] = [
    "EXT-X-VERSION",
    "EXT-X-TARGETDURATION",
    "EXT-X-MEDIA-SEQUENCE",
    "EXT-X-DISCONTINUITY-SEQUENCE",
    "EXT-X-ENDLIST",
    "EXT-X-PLAYLIST-TYPE",
    "EXT-X-INDEPENDENT-SEGMENTS",
    "EXT-X-START",
];

/// Attributes that are strings in quotes; all others that are known are not.
const STRINGS: [&str; 9] =
    ["URI", "CODECS", "AUDIO", "VIDEO", "SUBTITLES", "GROUP-ID", "NAME", "LANGUAGE", "BYTERANGE"];
const PLAIN: [&str; 6] =
    ["BANDWIDTH", "AVERAGE-BANDWIDTH", "RESOLUTION", "FRAME-RATE", "METHOD", "HDCP-LEVEL"];

/// Checks a multivariant or media playlist.
pub fn hls(text: &str) -> Vec<Finding> {
    let mut checker = Checker::default();
    checker.characters(text);
    for line in lines(text) {
        checker.line(&line);
    }
    checker.end();
    if checker.findings.0.is_empty()
        && let Err(error) = read(text)
    {
        checker.findings.add(&UNREAD, None, error.to_string());
    }
    checker.findings.0
}

#[derive(Default)]
struct Checker<'a> {
    findings: Findings,
    seen: BTreeSet<&'a str>,
    lines: usize,
    version: u64,
    /// The version that a feature needs, and where it stands.
    needed: Vec<(u64, Place, &'a str)>,
    target_s: Option<u64>,
    /// Segments with their rounded durations in seconds, where they are above 0.
    durations: Vec<(u64, Place)>,
    pending: Option<Line<'a>>,
    range: Option<(Line<'a>, bool)>,
    range_of: Option<&'a str>,
    segments: usize,
    variant: Option<Line<'a>>,
    groups: BTreeSet<(&'a str, &'a str)>,
    wanted_groups: Vec<(&'a str, &'a str, Place)>,
}

impl<'a> Checker<'a> {
    fn characters(&mut self, text: &str) {
        if text.starts_with('\u{feff}') {
            self.findings.add(&BOM, Some(Place { line: 1, column: 1 }), "U+FEFF");
        }
        for (index, line) in text.lines().enumerate() {
            let odd = line.chars().position(|c| c.is_control() && c != '\r');
            if let Some(column) = odd {
                let place = Place::new(index + 1, column + 1);
                self.findings.add(&CONTROL, Some(place), "a control character");
            }
        }
    }

    fn line(&mut self, line: &Line<'a>) {
        self.lines += 1;
        let first = matches!(line.what, What::Tag { name: "EXTM3U", .. });
        if (self.lines == 1) != first {
            self.at(&FIRST_LINE, line, if first { "#EXTM3U again" } else { "another line" });
        }
        match line.what {
            What::Tag { name, value } => {
                if let Some(variant) = self.variant.take() {
                    self.at(&NO_URI, &variant, &format!("#{name} follows"));
                }
                let known = ONCE.into_iter().find(|once| *once == name);
                if known.is_some() && self.seen.contains(name) {
                    self.at(&TWICE, line, name);
                }
                self.seen.insert(name);
                self.tag(line, name, value);
            }
            What::Uri(uri) => self.reference(line, uri),
            What::Comment => {}
        }
    }

    fn at(&mut self, rule: &'static Rule, line: &Line<'_>, found: &str) {
        self.findings.add(rule, Some(line.begin()), found);
    }

    fn tag(&mut self, line: &Line<'a>, name: &'a str, value: &'a str) {
        match name {
            "EXT-X-VERSION" => match integer(value) {
                Some(version) => self.version = version,
                None => {
                    self.at(&VERSION, line, value);
                    // What it would have been is not known: nothing needs more than that.
                    self.version = u64::MAX;
                }
            },
            "EXT-X-TARGETDURATION" => match integer(value) {
                Some(seconds) => self.target_s = Some(seconds),
                None => self.at(&TARGET, line, value),
            },
            "EXT-X-MEDIA-SEQUENCE" | "EXT-X-DISCONTINUITY-SEQUENCE" if self.segments > 0 => {
                self.at(&LATE, line, name);
            }
            "EXT-X-PLAYLIST-TYPE" if value != "VOD" && value != "EVENT" => {
                self.at(&TYPE, line, value);
            }
            "EXT-X-PLAYLIST-TYPE" if value == "VOD" => _ = self.seen.insert("VOD"),
            "EXTINF" => self.extinf(line, value),
            "EXT-X-BYTERANGE" => {
                self.needed.push((4, line.begin(), name));
                match byte_range(value) {
                    Some((_, offset)) => self.range = Some((*line, offset.is_some())),
                    None => self.at(&RANGE, line, value),
                }
            }
            "EXT-X-MAP" => {
                self.needed.push((6, line.begin(), name));
                let found = self.attributes(line, value);
                if !found.iter().any(|one| one.name == "URI" && !one.value.is_empty()) {
                    self.at(&MAP, line, value);
                }
            }
            "EXT-X-STREAM-INF" => self.stream(line, value),
            "EXT-X-MEDIA" => {
                let found = self.attributes(line, value);
                let of = |name| found.iter().find(|one| one.name == name).map(|one| one.value);
                self.groups.extend(of("TYPE").zip(of("GROUP-ID")));
            }
            _ => {}
        }
    }

    fn extinf(&mut self, line: &Line<'a>, value: &'a str) {
        if let Some(before) = self.pending.replace(*line) {
            self.at(&DANGLING, &before, "another EXTINF follows");
        }
        let (seconds, comma) = match value.split_once(',') {
            Some((seconds, _)) => (seconds, true),
            None => (value, false),
        };
        match nanoseconds(seconds).filter(|_| comma) {
            Some(ns) => {
                self.durations.push((ns.saturating_add(500_000_000) / 1_000_000_000, line.begin()))
            }
            None => self.at(&EXTINF, line, value),
        }
        if seconds.contains('.') {
            self.needed.push((3, line.begin(), "a fraction in EXTINF"));
        }
    }

    fn attributes(&mut self, line: &Line<'a>, value: &'a str) -> Vec<Attribute<'a>> {
        let found = match attributes(value) {
            Ok(found) => found,
            Err(odd) => {
                self.findings.add(&ATTRIBUTES, Some(line.place(odd.offset)), odd.wanted);
                return Vec::new();
            }
        };
        let mut names = BTreeSet::new();
        for Attribute { name, offset, quoted, .. } in &found {
            let place = Some(line.place(*offset));
            if !names.insert(*name) {
                self.findings.add(&ATTRIBUTE_TWICE, place, *name);
            }
            if (STRINGS.contains(name) && !quoted) || (PLAIN.contains(name) && *quoted) {
                self.findings.add(&QUOTES, place, *name);
            }
        }
        found
    }

    fn stream(&mut self, line: &Line<'a>, value: &'a str) {
        self.variant = Some(*line);
        let before = self.findings.0.len();
        let found = self.attributes(line, value);
        if found.is_empty() && self.findings.0.len() > before {
            return;
        }
        let of = |name| found.iter().find(|one| one.name == name);
        let peak = of("BANDWIDTH").and_then(|one| integer(one.value));
        if peak.is_none() {
            self.at(&BANDWIDTH, line, of("BANDWIDTH").map_or("none", |one| one.value));
        }
        if let Some(one) = of("AVERAGE-BANDWIDTH") {
            match integer(one.value) {
                Some(average) if peak.is_none_or(|peak| average <= peak) => {}
                _ => self.findings.add(&AVERAGE, Some(line.place(one.offset)), one.value),
            }
        }
        if of("CODECS").is_none() {
            self.at(&CODECS, line, "none");
        }
        if let Some(one) = of("RESOLUTION").filter(|one| resolution(one.value).is_none()) {
            self.findings.add(&RESOLUTION, Some(line.place(one.offset)), one.value);
        }
        for kind in ["AUDIO", "VIDEO", "SUBTITLES"] {
            let group = of(kind).map(|one| (kind, one.value, line.place(one.offset)));
            self.wanted_groups.extend(group);
        }
    }

    fn reference(&mut self, line: &Line<'a>, uri: &'a str) {
        if self.variant.take().is_some() {
            return;
        }
        if self.pending.take().is_none() && !self.seen.contains("EXT-X-STREAM-INF") {
            self.at(&NO_EXTINF, line, uri);
        }
        if let Some((range, offset)) = self.range.take() {
            if !offset && self.range_of != Some(uri) {
                self.at(&RANGE, &range, "no offset, and no range of the same resource before");
            }
            self.range_of = Some(uri);
        } else {
            self.range_of = None;
        }
        self.segments += 1;
    }

    fn end(&mut self) {
        let nowhere = Some(Place { line: 1, column: 1 });
        if self.lines == 0 {
            self.findings.add(&FIRST_LINE, nowhere, "nothing");
        }
        if let Some(line) = self.variant.take() {
            self.at(&NO_URI, &line, "the end follows");
        }
        if let Some(line) = self.pending.take() {
            self.at(&DANGLING, &line, "the end follows");
        }
        for (version, place, what) in std::mem::take(&mut self.needed) {
            if self.version.max(1) < version {
                let found = format!("{what} needs {version}, and it says {}", self.version.max(1));
                self.findings.add(&VERSION_LOW, Some(place), found);
            }
        }
        for (kind, group, place) in std::mem::take(&mut self.wanted_groups) {
            if !self.groups.contains(&(kind, group)) {
                self.findings.add(&GROUP, Some(place), group);
            }
        }
        let media = ["EXTINF", "EXT-X-TARGETDURATION", "EXT-X-MEDIA-SEQUENCE", "EXT-X-ENDLIST"];
        let is_media = media.iter().any(|tag| self.seen.contains(tag));
        match (self.seen.contains("EXT-X-STREAM-INF"), is_media) {
            (true, true) => self.findings.add(&MIXED, nowhere, "variants and segments"),
            (true, false) => {}
            (false, _) => self.end_of_media(),
        }
    }

    fn end_of_media(&mut self) {
        let nowhere = Some(Place { line: 1, column: 1 });
        match self.target_s {
            None if !self.seen.contains("EXT-X-TARGETDURATION") => {
                self.findings.add(&TARGET, nowhere, "none");
            }
            None => {}
            Some(target_s) => {
                for (seconds, place) in std::mem::take(&mut self.durations) {
                    if seconds > target_s {
                        let found = format!("{seconds} s, and the target is {target_s} s");
                        self.findings.add(&ABOVE_TARGET, Some(place), found);
                    }
                }
            }
        }
        let ended = self.seen.contains("EXT-X-ENDLIST");
        if self.seen.contains("VOD") && !ended {
            self.findings.add(&NO_END, nowhere, "none");
        }
        if ended && self.segments == 0 {
            self.findings.add(&NO_SEGMENTS, nowhere, "none");
        }
    }
}
