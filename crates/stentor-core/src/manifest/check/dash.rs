//! Checks the text of a DASH manifest, element by element.

use std::collections::BTreeSet;

use roxmltree::Node;

use super::rules::{
    ADDRESSING, AVAILABLE, DASH_BANDWIDTH, ENTRY, GAP, ID, IDENTIFIER, KIND, LENGTH, MEDIA, MIME,
    MIN_BUFFER, NUMBERLESS, OVERLAP, PERIOD, PROFILES, SAME_ID, SETS, SPACE, SPAN, TIMESCALE,
    TIMING, UNREAD, XML,
};
use super::{Finding, Findings, Rule};
use crate::manifest::dash::{DashError, place_of, read, span_ns};
use crate::manifest::dash::{NAMESPACE, Piece, attribute_place, children, document, pieces};
use crate::manifest::hls::lines::integer;

const KINDS: [&str; 3] = ["SegmentTemplate", "SegmentList", "SegmentBase"];

/// Checks a manifest.
pub fn dash(text: &str) -> Vec<Finding> {
    let mut findings = Findings::default();
    let mut periods = 0;
    match document(text) {
        Ok(document) => {
            let root = document.root_element();
            periods = children(root, "Period").count();
            self::root(root, &mut findings);
        }
        Err(error) => {
            let place = match &error {
                DashError::Xml { place, .. } => Some(*place),
                DashError::Element { .. }
                | DashError::Attribute { .. }
                | DashError::TooMuch { .. } => None,
            };
            findings.add(&XML, place, error.to_string());
        }
    }
    // Several periods are sound, but not read here.
    if findings.0.is_empty()
        && periods < 2
        && let Err(error) = read(text)
    {
        findings.add(&UNREAD, None, error.to_string());
    }
    findings.0
}

impl Findings {
    fn element(&mut self, rule: &'static Rule, node: Node<'_, '_>, found: &str) {
        // Finding the place costs the whole text before it: not for what is not kept.
        if self.0.len() < super::FINDINGS_MAX {
            self.add(rule, Some(place_of(node)), found);
        }
    }

    fn attribute(&mut self, rule: &'static Rule, node: Node<'_, '_>, name: &str) {
        if self.0.len() < super::FINDINGS_MAX {
            let found = node.attribute(name).unwrap_or("none");
            self.add(rule, Some(attribute_place(node, name)), found);
        }
    }
}

fn root(mpd: Node<'_, '_>, findings: &mut Findings) {
    if mpd.tag_name().name() != "MPD" {
        findings.element(&XML, mpd, mpd.tag_name().name());
        return;
    }
    if mpd.tag_name().namespace() != Some(NAMESPACE) {
        findings.element(&SPACE, mpd, mpd.tag_name().namespace().unwrap_or("none"));
    }
    for (rule, name) in [(&PROFILES, "profiles"), (&MIN_BUFFER, "minBufferTime")] {
        if !mpd.has_attribute(name) {
            findings.attribute(rule, mpd, name);
        }
    }
    for name in ["minBufferTime", "mediaPresentationDuration", "minimumUpdatePeriod"] {
        if mpd.attribute(name).is_some_and(|written| span_ns(written).is_none()) {
            findings.attribute(&SPAN, mpd, name);
        }
    }
    let live = match mpd.attribute("type") {
        None | Some("static") => false,
        Some("dynamic") => true,
        Some(_) => {
            findings.attribute(&KIND, mpd, "type");
            false
        }
    };
    if live && !mpd.has_attribute("availabilityStartTime") {
        findings.attribute(&AVAILABLE, mpd, "availabilityStartTime");
    }
    let mut last = None;
    for period in children(mpd, "Period") {
        self::period(period, findings);
        last = Some(period);
    }
    let Some(last) = last else { return findings.element(&PERIOD, mpd, "none") };
    let known = mpd.has_attribute("mediaPresentationDuration") || last.has_attribute("duration");
    if !live && !known {
        findings.attribute(&LENGTH, mpd, "mediaPresentationDuration");
    }
}

fn period(period: Node<'_, '_>, findings: &mut Findings) {
    if period.attribute("duration").is_some_and(|written| span_ns(written).is_none()) {
        findings.attribute(&SPAN, period, "duration");
    }
    let mut ids = BTreeSet::new();
    let mut count = 0;
    addressing(period, findings);
    let outer = segments_of(period);
    for set in children(period, "AdaptationSet") {
        addressing(set, findings);
        let middle = segments_of(set);
        for node in children(set, "Representation") {
            count += 1;
            match node.attribute("id") {
                None => findings.attribute(&ID, node, "id"),
                Some(id) if !ids.insert(id) => findings.attribute(&SAME_ID, node, "id"),
                Some(_) => {}
            }
            if node.attribute("bandwidth").and_then(integer).is_none() {
                findings.attribute(&DASH_BANDWIDTH, node, "bandwidth");
            }
            if !node.has_attribute("mimeType") && !set.has_attribute("mimeType") {
                findings.attribute(&MIME, node, "mimeType");
            }
            addressing(node, findings);
            timing([&outer, &middle, &segments_of(node)], findings);
        }
    }
    if count == 0 {
        findings.element(&SETS, period, "none");
    }
}

/// Checks what one element says about its segments.
fn addressing(node: Node<'_, '_>, findings: &mut Findings) {
    let mut own = node.children().filter(|child| KINDS.contains(&child.tag_name().name()));
    let Some(first) = own.next() else { return };
    if let Some(second) = own.next() {
        findings.element(&ADDRESSING, second, second.tag_name().name());
    }
    if first.attribute("timescale").is_some_and(|scale| integer(scale).is_none_or(|of| of == 0)) {
        findings.attribute(&TIMESCALE, first, "timescale");
    }
    for name in ["media", "initialization"] {
        let Some(written) = first.attribute(name) else { continue };
        if first.tag_name().name() == "SegmentTemplate" {
            template(first, name, written, findings);
        }
    }
    for timeline in children(first, "SegmentTimeline") {
        if first.has_attribute("duration") {
            findings.attribute(&TIMING, first, "duration");
        }
        self::timeline(timeline, findings);
    }
}

fn template(node: Node<'_, '_>, name: &str, written: &str, findings: &mut Findings) {
    let Some(pieces) = pieces(written) else {
        return findings.attribute(&IDENTIFIER, node, name);
    };
    let number = pieces.iter().any(|piece| matches!(piece, Piece::Number(_)));
    let time = pieces.iter().any(|piece| matches!(piece, Piece::Time(_)));
    let sound = if name == "media" { number != time } else { !number && !time };
    if !sound {
        findings.attribute(&NUMBERLESS, node, name);
    }
}

fn timeline(timeline: Node<'_, '_>, findings: &mut Findings) {
    let mut at = None;
    for entry in children(timeline, "S") {
        let of = |name| entry.attribute(name).and_then(integer);
        let begin = of("t").or(at).unwrap_or(0);
        match at {
            Some(before) if begin < before => findings.attribute(&OVERLAP, entry, "t"),
            Some(before) if begin > before => findings.attribute(&GAP, entry, "t"),
            _ => {}
        }
        let Some(ticks) = of("d").filter(|ticks| *ticks > 0) else {
            findings.attribute(&ENTRY, entry, "d");
            continue;
        };
        // A negative r goes up to the next t, wherever that is.
        let open = entry.attribute("r").is_some_and(|r| r.starts_with('-'));
        let length = ticks.saturating_mul(of("r").unwrap_or(0).saturating_add(1));
        at = (!open).then(|| begin.saturating_add(length));
    }
}

/// What an element itself says about its segments.
#[derive(Clone, Copy)]
struct Said<'a> {
    node: Node<'a, 'a>,
    /// Whether it says how long segments are.
    timed: bool,
    /// Whether it is a list of several.
    several: bool,
}

/// Looked for once in each element, however many representations are inside.
fn segments_of<'a>(node: Node<'a, 'a>) -> Vec<Said<'a>> {
    let own = node.children().filter(|child| KINDS.contains(&child.tag_name().name()));
    let said = own.map(|node| Said {
        node,
        timed: node.has_attribute("duration") || children(node, "SegmentTimeline").next().is_some(),
        several: children(node, "SegmentURL").nth(1).is_some(),
    });
    said.take(2).collect()
}

/// Checks that what a representation and the elements around it say makes segments.
fn timing(levels: [&[Said<'_>]; 3], findings: &mut Findings) {
    let Some(kind) = levels.into_iter().flatten().last().map(|said| said.node) else { return };
    let own = levels.into_iter().flatten().filter(|said| said.node.tag_name() == kind.tag_name());
    let template = kind.tag_name().name() == "SegmentTemplate";
    let timed = own.clone().any(|said| said.timed);
    if (template || own.clone().any(|said| said.several)) && !timed {
        findings.element(&TIMING, kind, "neither");
    }
    if template && !own.clone().any(|said| said.node.has_attribute("media")) {
        findings.element(&MEDIA, kind, "none");
    }
}
