//! Reads a manifest from its root down to the representations.

use std::time::Duration;

use roxmltree::{Document, Node, ParsingOptions};

use super::segments::Addressing;
use super::{DashError, NODES_MAX, span_ns};
use crate::manifest::hls::lines::integer;
use crate::manifest::{Place, Presentation, TEXT_MAX, TRACKS_MAX, Track};

/// How much has been read of what is bounded.
#[derive(Default)]
pub(super) struct Budget {
    pub(super) segments: usize,
    pub(super) bytes: usize,
}

/// Reads a manifest of one period. What is merely against a rule is left to
/// [`crate::manifest::check`].
///
/// # Errors
/// When it is no DASH manifest, is too large, has several periods, or says something that cannot be
/// understood.
pub fn read(text: &str) -> Result<Presentation, DashError> {
    let document = document(text)?;
    let root = document.root_element();
    if root.tag_name().name() != "MPD" {
        return Err(element_error(root, "a DASH manifest begins with MPD"));
    }
    let mut presentation = Presentation {
        live: root.attribute("type") == Some("dynamic"),
        available: root.attribute("availabilityStartTime").map(str::to_owned),
        buffer: span(root, "minBufferTime")?.unwrap_or_default(),
        tracks: Vec::new(),
    };
    let mut periods = children(root, "Period");
    let period = periods.next().ok_or_else(|| element_error(root, "there is no Period"))?;
    if let Some(second) = periods.next() {
        return Err(element_error(second, "manifests of several periods are not read"));
    }
    let length = match span(period, "duration")? {
        Some(length) => Some(length),
        None => span(root, "mediaPresentationDuration")?,
    };
    let bases = with_base(with_base(Vec::new(), root), period);
    let addressing = Addressing::default().within(period);
    let mut budget = Budget::default();
    for set in children(period, "AdaptationSet") {
        let (bases, addressing) = (with_base(bases.clone(), set), addressing.within(set));
        for node in children(set, "Representation") {
            if presentation.tracks.len() == TRACKS_MAX {
                return Err(DashError::TooMuch { of: "representations", limit: TRACKS_MAX });
            }
            let mut track = described(set, node)?;
            track.bases = with_base(bases.clone(), node);
            addressing.within(node).fill(&mut track, node, length, &mut budget)?;
            presentation.tracks.push(track);
        }
    }
    Ok(presentation)
}

/// The XML of a manifest; a document type is refused, since its entities can grow without bound.
pub(in crate::manifest) fn document(text: &str) -> Result<Document<'_>, DashError> {
    if text.len() > TEXT_MAX {
        return Err(DashError::TooMuch { of: "bytes", limit: TEXT_MAX });
    }
    let options = ParsingOptions { nodes_limit: NODES_MAX, ..ParsingOptions::default() };
    Document::parse_with_options(text, options).map_err(|error| DashError::Xml {
        place: Place { line: error.pos().row, column: error.pos().col },
        reason: error.to_string(),
    })
}

/// What a representation, or its adaptation set for it, says about the medium.
fn described(set: Node<'_, '_>, node: Node<'_, '_>) -> Result<Track, DashError> {
    let inherited = |name| node.attribute(name).or(set.attribute(name)).map(str::to_owned);
    let side = |name: &'static str| {
        let owner = if node.has_attribute(name) { node } else { set };
        let wanted = "a whole number of pixels";
        let fit = |pixels| u32::try_from(pixels).map_err(|_| attribute_error(owner, name, wanted));
        number(owner, name)?.map(fit).transpose()
    };
    let peak_bps = number(node, "bandwidth")?;
    Ok(Track {
        name: node.attribute("id").unwrap_or_default().to_owned(),
        peak_bps: peak_bps.ok_or_else(|| element_error(node, "it has no bandwidth"))?,
        codecs: inherited("codecs"),
        mime: inherited("mimeType"),
        resolution: side("width")?.zip(side("height")?),
        ..Track::default()
    })
}

/// The references so far, and that of the element's first BaseURL; the others are alternatives.
fn with_base(mut bases: Vec<String>, node: Node<'_, '_>) -> Vec<String> {
    let base = children(node, "BaseURL").next().and_then(|base| base.text());
    bases.extend(base.map(|base| base.trim().to_owned()));
    bases
}

pub(in crate::manifest) fn children<'a>(
    node: Node<'a, 'a>,
    name: &'static str,
) -> impl Iterator<Item = Node<'a, 'a>> {
    node.children().filter(move |child| child.is_element() && child.tag_name().name() == name)
}

/// A whole number, if the attribute is there.
pub(super) fn number(node: Node<'_, '_>, name: &'static str) -> Result<Option<u64>, DashError> {
    let Some(written) = node.attribute(name) else { return Ok(None) };
    integer(written).map(Some).ok_or_else(|| attribute_error(node, name, "a whole number"))
}

fn span(node: Node<'_, '_>, name: &'static str) -> Result<Option<Duration>, DashError> {
    let Some(written) = node.attribute(name) else { return Ok(None) };
    let wanted = "a duration such as PT1M30.5S";
    let ns = span_ns(written).ok_or_else(|| attribute_error(node, name, wanted))?;
    Ok(Some(Duration::from_nanos(ns)))
}

pub(in crate::manifest) fn place_of(node: Node<'_, '_>) -> Place {
    let at = node.document().text_pos_at(node.range().start);
    Place { line: at.row, column: at.col }
}

pub(in crate::manifest) fn attribute_place(node: Node<'_, '_>, name: &str) -> Place {
    match node.attribute_node(name) {
        None => place_of(node),
        Some(attribute) => {
            let at = node.document().text_pos_at(attribute.range().start);
            Place { line: at.row, column: at.col }
        }
    }
}

pub(super) fn element_error(node: Node<'_, '_>, wanted: &'static str) -> DashError {
    let element = node.tag_name().name().chars().take(60).collect();
    DashError::Element { place: place_of(node), element, wanted }
}

pub(super) fn attribute_error(
    node: Node<'_, '_>,
    name: &'static str,
    wanted: &'static str,
) -> DashError {
    let written = node.attribute(name).unwrap_or_default().chars().take(60).collect();
    let place = attribute_place(node, name);
    DashError::Attribute { place, attribute: name.to_owned(), written, wanted }
}
