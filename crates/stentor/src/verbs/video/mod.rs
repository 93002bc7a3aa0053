//! `stentor video`: stored video: an origin that serves it, a player that measures it, a check of its
//! manifests.
//!
//! Each part is a folder of its own; what they share is here: `film` reads what is played and
//! `network` what it is simulated over.

mod check;
mod file;
pub(crate) mod film;
pub mod network;
mod play;
mod serve;

use crate::complaint::{Complaint, Exit};

/// The arguments of `video`.
#[derive(Debug, clap::Args)]
pub struct Args {
    #[command(subcommand)]
    part: Part,
}

#[derive(Debug, clap::Subcommand)]
enum Part {
    /// Serves a generated film or a folder as HLS and DASH, and a page that plays it
    Serve(Box<serve::Args>),
    /// Plays a film without decoding it, and measures its buffers
    Play(Box<play::Args>),
    /// Checks a manifest and its segments by the rules of HLS and DASH
    Check(check::Args),
}

/// Runs the verb.
pub fn run(args: Args) -> Result<Exit, Complaint> {
    match args.part {
        Part::Serve(args) => serve::run(*args),
        Part::Play(args) => play::run(*args),
        Part::Check(args) => check::run(args),
    }
}
