//! Where a manifest speaks of its tracks and segments, so that what was measured of them has a place,
//! too; and what it promises of them.

use crate::manifest::Place;
use crate::manifest::dash::{children, document, place_of};
use crate::manifest::hls::lines::{What, attributes, lines};

/// The places of the references of a playlist, in their order.
pub fn playlist_lines(text: &str) -> Vec<Place> {
    let references = lines(text).filter(|line| matches!(line.what, What::Uri(_)));
    references.map(|line| line.begin()).collect()
}

/// A playlist of sound, subtitles or another angle that a multivariant playlist names besides its
/// variants.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rendition {
    /// Where its tag is.
    pub place: Place,
    /// The kind and the name of the group that it is of.
    pub group: (String, String),
    /// The reference of its playlist.
    pub uri: String,
}

/// Reads the EXT-X-MEDIA tags that have a playlist of their own (RFC 8216, 4.3.4.1).
pub fn renditions(text: &str) -> Vec<Rendition> {
    let mut found = Vec::new();
    for line in lines(text) {
        let What::Tag { name: "EXT-X-MEDIA", value } = line.what else { continue };
        let list = attributes(value).unwrap_or_default();
        let of = |name| list.iter().find(|one| one.name == name).map(|one| one.value.to_owned());
        let group = of("TYPE").zip(of("GROUP-ID"));
        let Some((group, uri)) = group.zip(of("URI").filter(|uri| !uri.is_empty())) else {
            continue;
        };
        found.push(Rendition { place: line.begin(), group, uri });
    }
    found
}

/// A variant of a multivariant playlist.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Variant {
    /// Where its tag is.
    pub place: Place,
    /// The kinds and names of the groups of which it plays one rendition each beside it.
    pub beside: Vec<(String, String)>,
}

/// Reads the EXT-X-STREAM-INF tags, in their order.
pub fn variants(text: &str) -> Vec<Variant> {
    let mut found = Vec::new();
    for line in lines(text) {
        let What::Tag { name: "EXT-X-STREAM-INF", value } = line.what else { continue };
        let list = attributes(value).unwrap_or_default();
        let kinds = list.iter().filter(|one| matches!(one.name, "AUDIO" | "VIDEO" | "SUBTITLES"));
        let beside = kinds.map(|one| (one.name.to_owned(), one.value.to_owned())).collect();
        found.push(Variant { place: line.begin(), beside });
    }
    found
}

/// What stands where about a Representation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Representation {
    /// Where it begins.
    pub place: Place,
    /// Whether its segments are promised to begin with a key frame (`startWithSAP` 1 to 3).
    pub promised: bool,
}

/// The Representations of a manifest, in their order; none of one that cannot be read.
pub fn representations(text: &str) -> Vec<Representation> {
    let Ok(document) = document(text) else { return Vec::new() };
    let mut found = Vec::new();
    for period in children(document.root_element(), "Period") {
        for set in children(period, "AdaptationSet") {
            for node in children(set, "Representation") {
                let point = node.attribute("startWithSAP").or(set.attribute("startWithSAP"));
                let promised = matches!(point, Some("1" | "2" | "3"));
                found.push(Representation { place: place_of(node), promised });
            }
        }
    }
    found
}
