//! `stentor video check`.

use crate::complaint::{Complaint, Exit};

/// The arguments of `video check`.
#[derive(Debug, clap::Args)]
pub struct Args {}

/// Runs it.
pub(super) fn run(_args: Args) -> Result<Exit, Complaint> {
    Ok(Exit::Good)
}
