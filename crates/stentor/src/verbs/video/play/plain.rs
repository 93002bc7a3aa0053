//! The report of what plays nothing: a text and one JSON object, without pictures.

use std::fs::File;
use std::io::Write;

use serde::Serialize;

use crate::complaint::{Complaint, Exit};
use crate::report::json::Envelope;
use crate::verbs::outputs;

/// What a file holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Form {
    Text,
    Json,
}

impl outputs::Form for Form {
    const KNOWN: &'static [(&'static str, Form)] = &[("txt", Form::Text), ("json", Form::Json)];
    const JSON: Option<Form> = Some(Form::Json);
}

/// Where the report goes.
pub(super) type Outputs = outputs::Outputs<Form>;

/// Prints and writes the report of a run that ended as it should, or why there is none.
///
/// # Errors
/// The complaint of the run, and what could not be written.
pub(super) fn finish<C: Serialize, R: Serialize>(
    outputs: Outputs,
    schema: &'static str,
    found: Result<(C, R, String), Complaint>,
) -> Result<Exit, Complaint> {
    let (config, result, text) = match found {
        Ok(found) => found,
        Err(complaint) => {
            let said = Some(complaint.to_string());
            let envelope: Envelope<C, R> =
                Envelope::new(schema, outputs.began, complaint.exit, said);
            return outputs.failed(&envelope, complaint);
        }
    };
    let mut envelope = Envelope::new(schema, outputs.began, Exit::Good, None);
    (envelope.config, envelope.result) = (Some(config), Some(result));
    let render = |form, file: &mut File, envelope: &Envelope<C, R>| match form {
        Form::Text => file.write_all(text.as_bytes()),
        Form::Json => file.write_all(envelope.text().as_bytes()),
    };
    outputs.finish(envelope, render, || Some(text.clone()))?;
    Ok(Exit::Good)
}
