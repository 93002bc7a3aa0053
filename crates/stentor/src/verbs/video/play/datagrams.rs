//! Film over RTP and UDP.

use super::Args;
use crate::complaint::{Complaint, Exit};

/// Runs it.
pub(super) fn run(_args: &Args) -> Result<Exit, Complaint> {
    Err(Complaint::new(Exit::Impossible, "video play: this part is not built in", ""))
}
