//! DASH manifests of one period (ISO/IEC 23009-1): segments by template, by list, or as one file.

mod read;
mod segments;
mod span;
mod write;

#[cfg(test)]
mod tests;

use thiserror::Error;

pub use read::read;
pub(super) use read::{attribute_place, children, document, place_of};
pub(super) use segments::{Piece, pieces};
pub(super) use span::span_ns;
pub use write::{WriteError, write};

use super::Place;

/// The namespace of every element.
pub const NAMESPACE: &str = "urn:mpeg:dash:schema:mpd:2011";
/// The most elements and texts that are read.
const NODES_MAX: u32 = 1 << 22;
/// The most bytes of all references together that templates may stand for.
const EXPANDED_MAX: usize = 64 << 20;

/// Why a manifest was not understood.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum DashError {
    /// No XML, or XML with a document type (which could grow without bound).
    #[error("{place}: no well-formed XML: {reason}")]
    Xml {
        /// Where.
        place: Place,
        /// By the XML reader.
        reason: String,
    },
    /// An element that cannot be what it claims.
    #[error("{place}: <{element}>: {wanted}")]
    Element {
        /// Where it begins.
        place: Place,
        /// Its name.
        element: String,
        /// What is wrong with it.
        wanted: &'static str,
    },
    /// An attribute that cannot be what it claims.
    #[error("{place}: {attribute}={written:?} is not {wanted}")]
    Attribute {
        /// Where it begins.
        place: Place,
        /// Its name.
        attribute: String,
        /// What stands there, at most 60 characters of it.
        written: String,
        /// What should.
        wanted: &'static str,
    },
    /// More than is read.
    #[error("the manifest has more than {limit} {of}")]
    TooMuch {
        /// Bytes, segments or representations.
        of: &'static str,
        /// How many are read.
        limit: usize,
    },
}
