//! The published JSON Schemas: derived from the mirror types, so that they cannot tell otherwise.

use schemars::{JsonSchema, Schema, schema_for};

use super::{Envelope, fetch, impair, learn, load, peer, qualify, send, serve, video};

/// Every schema by name and version: `stentor.send/1`.
pub fn all() -> Vec<(&'static str, Schema)> {
    vec![
        of::<fetch::Config, fetch::Outcomes>(fetch::SCHEMA),
        of::<impair::Config, impair::Outcome>(impair::SCHEMA),
        of::<learn::Config, learn::Outcome>(learn::SCHEMA),
        of::<load::Config, load::Outcome>(load::SCHEMA),
        of::<peer::Config, peer::Outcome>(peer::SCHEMA),
        of::<qualify::Config, qualify::Outcome>(qualify::SCHEMA),
        of::<send::Config, send::Outcome>(send::SCHEMA),
        of::<serve::Config, serve::Outcome>(serve::SCHEMA),
        of::<video::check::Config, video::check::Result>(video::check::SCHEMA),
        line::<video::events::Line>(video::events::SCHEMA),
        of::<video::play::Config, video::play::Outcome>(video::play::SCHEMA),
        of::<video::predict::Config, video::predict::Outcome>(video::predict::SCHEMA),
        of::<video::sabre::Config, video::sabre::Outcome>(video::sabre::SCHEMA),
    ]
}

fn of<C: JsonSchema, R: JsonSchema>(name: &'static str) -> (&'static str, Schema) {
    let mut schema = schema_for!(Envelope<C, R>);
    schema.insert("title".to_owned(), name.into());
    (name, schema)
}

/// The schema of lines that stand without an envelope.
fn line<L: JsonSchema>(name: &'static str) -> (&'static str, Schema) {
    let mut schema = schema_for!(L);
    schema.insert("title".to_owned(), name.into());
    (name, schema)
}

/// The file of a schema: `stentor.send-1.json`.
pub fn file_name(schema: &str) -> String {
    format!("{}.json", schema.replace('/', "-"))
}

/// A schema as text, indented, with a newline at its end.
pub fn text(schema: &Schema) -> String {
    // A schema has string keys only, and cannot fail to serialise.
    serde_json::to_string_pretty(schema).unwrap_or_default() + "\n"
}
