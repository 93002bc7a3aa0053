//! `stentor fetch`.

use crate::complaint::{Complaint, Exit};

/// The arguments of `fetch`.
#[derive(Debug, clap::Args)]
pub struct Args {}

/// Runs the verb.
pub fn run(_args: Args) -> Result<Exit, Complaint> {
    Ok(Exit::Good)
}
