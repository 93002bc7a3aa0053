//! From the addressing of a representation to its segments: templates, timelines and lists.

use std::collections::BTreeMap;
use std::rc::Rc;
use std::time::Duration;

use roxmltree::Node;

use super::read::{Budget, attribute_error, children, element_error, number};
use super::{DashError, EXPANDED_MAX};
use crate::manifest::hls::lines::integer;
use crate::manifest::{ByteRange, Resource, SEGMENTS_MAX, Segment, Track};

/// What representation, adaptation set and period say about segments; the innermost word counts.
#[derive(Clone, Default)]
pub(super) struct Addressing<'a> {
    /// The innermost element: SegmentTemplate, SegmentList or SegmentBase.
    pub(super) node: Option<Node<'a, 'a>>,
    attributes: BTreeMap<&'static str, Node<'a, 'a>>,
    timeline: Option<Node<'a, 'a>>,
    initialization: Option<Node<'a, 'a>>,
    /// Shared, since every representation inside gets a copy.
    urls: Rc<[Node<'a, 'a>]>,
}

const KINDS: [&str; 3] = ["SegmentTemplate", "SegmentList", "SegmentBase"];
/// The attributes that hold inside as well.
const ATTRIBUTES: [&str; 5] = ["timescale", "duration", "startNumber", "media", "initialization"];

impl<'a> Addressing<'a> {
    /// What holds inside `parent`, given what holds outside (23009-1, 5.3.9.1).
    pub(super) fn within(&self, parent: Node<'a, 'a>) -> Addressing<'a> {
        let mut inner = self.clone();
        let own = parent.children().filter(|child| KINDS.contains(&child.tag_name().name()));
        for node in own {
            if inner.node.is_some_and(|outer| outer.tag_name() != node.tag_name()) {
                inner = Addressing::default();
            }
            inner.node = Some(node);
            let said = ATTRIBUTES.into_iter().filter(|name| node.has_attribute(*name));
            inner.attributes.extend(said.map(|name| (name, node)));
            inner.timeline = children(node, "SegmentTimeline").next().or(inner.timeline);
            inner.initialization = children(node, "Initialization").next().or(inner.initialization);
            let urls: Rc<[_]> = children(node, "SegmentURL").collect();
            inner.urls = if urls.is_empty() { inner.urls } else { urls };
        }
        inner
    }

    fn text(&self, name: &str) -> Option<&'a str> {
        self.attributes.get(name).and_then(|node| node.attribute(name))
    }

    fn number(&self, name: &'static str) -> Result<Option<u64>, DashError> {
        self.attributes.get(name).map_or(Ok(None), |node| number(*node, name))
    }

    /// Fills in a track's initialization and segments. `length` is the period's, if it is known.
    pub(super) fn fill(
        &self,
        track: &mut Track,
        representation: Node<'a, 'a>,
        length: Option<Duration>,
        budget: &mut Budget,
    ) -> Result<(), DashError> {
        let Some(node) = self.node else {
            return single(track, representation, length, budget);
        };
        if let Some(node) = self.initialization {
            track.initialization = Some(Resource {
                uri: node.attribute("sourceURL").unwrap_or_default().to_owned(),
                range: range(node, "range")?,
            });
        }
        if node.tag_name().name() == "SegmentBase" {
            return single(track, representation, length, budget);
        }
        track.first = self.number("startNumber")?.unwrap_or(1);
        let times = self.times(node, length, budget)?;
        match node.tag_name().name() {
            "SegmentTemplate" => self.template(track, node, &times, budget),
            _ => self.list(track, node, &times, budget),
        }
    }

    /// Beginning of each segment in ticks, and its duration.
    fn times(
        &self,
        node: Node<'a, 'a>,
        length: Option<Duration>,
        budget: &mut Budget,
    ) -> Result<Vec<(u64, Duration)>, DashError> {
        let timescale = self.number("timescale")?.unwrap_or(1);
        if timescale == 0 {
            return Err(element_error(node, "a timescale of 0 measures nothing"));
        }
        let length_ticks =
            length.map(|length| u128::from(timescale) * length.as_nanos() / 1_000_000_000);
        let mut times = Vec::new();
        let mut push = |begin: u64, ticks: u64| {
            let ns =
                |at: u128| (at * 1_000_000_000 + u128::from(timescale) / 2) / u128::from(timescale);
            let end = u128::from(begin) + u128::from(ticks);
            let ns = ns(end) - ns(u128::from(begin));
            times.push((begin, Duration::from_nanos(u64::try_from(ns).unwrap_or(u64::MAX))));
            budget.segment()
        };
        if let Some(timeline) = self.timeline {
            timeline_of(timeline, length_ticks, &mut push)?;
        } else if let Some(ticks) = self.number("duration")?.filter(|ticks| *ticks > 0) {
            let wanted = "a live manifest without a SegmentTimeline has no end to read up to";
            let all = match length_ticks {
                Some(all) => all,
                None if self.urls.is_empty() => return Err(element_error(node, wanted)),
                None => u128::from(ticks) * self.urls.len() as u128,
            };
            let mut begin = 0;
            // A list may say less than the period; a template says all of it.
            let most = if self.urls.is_empty() { usize::MAX } else { self.urls.len() };
            let mut count = 0;
            while u128::from(begin) < all && count < most {
                let left = all - u128::from(begin);
                push(begin, u64::try_from(left).map_or(ticks, |left| left.min(ticks)))?;
                begin = begin.saturating_add(ticks);
                count += 1;
            }
        } else if self.urls.len() == 1 {
            push(0, length_ticks.and_then(|all| u64::try_from(all).ok()).unwrap_or(0))?;
        } else {
            return Err(element_error(node, "neither a duration nor a SegmentTimeline"));
        }
        Ok(times)
    }

    fn template(
        &self,
        track: &mut Track,
        node: Node<'a, 'a>,
        times: &[(u64, Duration)],
        budget: &mut Budget,
    ) -> Result<(), DashError> {
        let names = Names { id: track.name.clone(), bandwidth: track.peak_bps };
        let pieces_of = |name: &'static str| {
            let written = self.text(name);
            let wanted = "a template of $RepresentationID$, $Number$, $Bandwidth$ and $Time$";
            let owner = self.attributes.get(name).copied().unwrap_or(node);
            let read =
                |written| pieces(written).ok_or_else(|| attribute_error(owner, name, wanted));
            written.map(read).transpose()
        };
        if let Some(pieces) = pieces_of("initialization")? {
            let uri = names.expand(&pieces, 0, 0);
            budget.bytes(uri.len())?;
            track.initialization = Some(Resource { uri, range: None });
        }
        let media = pieces_of("media")?;
        let media = media.ok_or_else(|| element_error(node, "a template has a media attribute"))?;
        for (index, (begin, duration)) in (0..).zip(times) {
            let number = track.first.saturating_add(index);
            let uri = names.expand(&media, number, *begin);
            budget.bytes(uri.len())?;
            let resource = Resource { uri, range: None };
            track.segments.push(Segment { resource, duration: *duration });
        }
        Ok(())
    }

    fn list(
        &self,
        track: &mut Track,
        node: Node<'a, 'a>,
        times: &[(u64, Duration)],
        budget: &mut Budget,
    ) -> Result<(), DashError> {
        if self.urls.len() > times.len() {
            return Err(element_error(node, "more SegmentURLs than durations"));
        }
        for (url, (_, duration)) in self.urls.iter().zip(times) {
            let uri = url.attribute("media").unwrap_or_default().to_owned();
            budget.bytes(uri.len())?;
            let resource = Resource { uri, range: range(*url, "mediaRange")? };
            track.segments.push(Segment { resource, duration: *duration });
        }
        Ok(())
    }
}

/// A representation that is one file.
fn single(
    track: &mut Track,
    node: Node<'_, '_>,
    length: Option<Duration>,
    budget: &mut Budget,
) -> Result<(), DashError> {
    let wanted = "one file without a known duration";
    let duration = length.ok_or_else(|| element_error(node, wanted))?;
    budget.segment()?;
    (track.first, track.segments) = (1, vec![Segment { resource: Resource::default(), duration }]);
    Ok(())
}

/// The S elements: `t` where they begin, `d` how long, `r` how often again; -1 up to the next one, or
/// to the end of the period (23009-1, 5.3.9.6).
fn timeline_of(
    timeline: Node<'_, '_>,
    length_ticks: Option<u128>,
    push: &mut impl FnMut(u64, u64) -> Result<(), DashError>,
) -> Result<(), DashError> {
    let mut at = 0_u64;
    let mut entries = children(timeline, "S").peekable();
    while let Some(entry) = entries.next() {
        at = number(entry, "t")?.unwrap_or(at);
        let ticks = number(entry, "d")?.filter(|ticks| *ticks > 0);
        let ticks = ticks.ok_or_else(|| element_error(entry, "an S has a d above 0"))?;
        let more = match entry.attribute("r") {
            Some(negative) if negative.starts_with('-') => {
                let next = match entries.peek() {
                    Some(next) => number(*next, "t")?.map(u128::from),
                    None => length_ticks,
                };
                let wanted = "a negative r needs an end: the next t, or the period's duration";
                let end = next.ok_or_else(|| element_error(entry, wanted))?;
                let left = end.saturating_sub(u128::from(at)).div_ceil(u128::from(ticks));
                u64::try_from(left).unwrap_or(u64::MAX).saturating_sub(1)
            }
            _ => number(entry, "r")?.unwrap_or(0),
        };
        for _ in 0..=more {
            push(at, ticks)?;
            let wanted = "the time does not fit 64 bits";
            at = at.checked_add(ticks).ok_or_else(|| element_error(entry, wanted))?;
        }
    }
    Ok(())
}

/// `FIRST-LAST`.
fn range(node: Node<'_, '_>, name: &'static str) -> Result<Option<ByteRange>, DashError> {
    let Some(written) = node.attribute(name) else { return Ok(None) };
    let read = || {
        let (first, last) = written.split_once('-')?;
        let (first, last) = (integer(first)?, integer(last)?);
        let length = last.checked_sub(first)?.checked_add(1)?;
        Some(ByteRange { offset: first, length })
    };
    let wanted = "a range of bytes, such as 0-799";
    read().map(Some).ok_or_else(|| attribute_error(node, name, wanted))
}

/// A part of a template.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::manifest) enum Piece<'a> {
    Text(&'a str),
    Id,
    Number(usize),
    Bandwidth(usize),
    Time(usize),
}

/// The parts of a template; `None` where an identifier is unknown (23009-1, 5.3.9.4.4).
pub(in crate::manifest) fn pieces(template: &str) -> Option<Vec<Piece<'_>>> {
    let mut pieces = Vec::new();
    let mut parts = template.split('$');
    pieces.extend(parts.next().filter(|text| !text.is_empty()).map(Piece::Text));
    while let Some(identifier) = parts.next() {
        let (name, format) = identifier.split_once('%').unwrap_or((identifier, ""));
        let width = || match format {
            "" => Some(1),
            format => {
                let digits = format.strip_suffix('d')?.strip_prefix('0')?;
                integer(digits).and_then(|width| usize::try_from(width).ok()).filter(|w| *w <= 20)
            }
        };
        pieces.push(match name {
            "" if format.is_empty() => Piece::Text("$"),
            "RepresentationID" if format.is_empty() => Piece::Id,
            "Number" => Piece::Number(width()?),
            "Bandwidth" => Piece::Bandwidth(width()?),
            "Time" => Piece::Time(width()?),
            _ => return None,
        });
        // Without this text the last $ has no partner.
        pieces.extend(Some(parts.next()?).filter(|text| !text.is_empty()).map(Piece::Text));
    }
    Some(pieces)
}

struct Names {
    id: String,
    bandwidth: u64,
}

impl Names {
    fn expand(&self, pieces: &[Piece<'_>], number: u64, time: u64) -> String {
        let piece = |piece: &Piece<'_>| match piece {
            Piece::Text(text) => (*text).to_owned(),
            Piece::Id => self.id.clone(),
            Piece::Number(width) => format!("{number:0width$}"),
            Piece::Bandwidth(width) => format!("{:0width$}", self.bandwidth),
            Piece::Time(width) => format!("{time:0width$}"),
        };
        pieces.iter().map(piece).collect()
    }
}

impl Budget {
    fn segment(&mut self) -> Result<(), DashError> {
        let limit = SEGMENTS_MAX;
        self.segments += 1;
        if self.segments > limit {
            return Err(DashError::TooMuch { of: "segments", limit });
        }
        Ok(())
    }

    fn bytes(&mut self, more: usize) -> Result<(), DashError> {
        let limit = EXPANDED_MAX;
        self.bytes = self.bytes.saturating_add(more);
        match self.bytes <= limit {
            true => Ok(()),
            false => Err(DashError::TooMuch { of: "bytes of references", limit }),
        }
    }
}
