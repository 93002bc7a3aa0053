//! `stentor fetch`: resolves, connects and gets a URL, each part timed and seen.
//!
//! Arguments become a [`Plan`], [`fetch`] carries it out, `text` and `json` render the [`Report`].

mod account;
mod engine;
mod hop;
mod plan;
mod redirect;
mod trouble;

pub use account::{Head, Hop, Phase, Phases, Report};
pub use engine::{Deliver, Piece, fetch};
pub use plan::{Args, Plan, Show};

use crate::complaint::{Complaint, Exit};
use crate::report::console;
use stentor_os::signal::Interrupts;

/// Runs the verb.
pub fn run(args: Args) -> Result<Exit, Complaint> {
    let plan = args.plan()?;
    let interrupts = Interrupts::install().ok();
    let r = fetch(&plan, interrupts.as_ref(), &mut |piece| match piece {
        Piece::Bytes(b) => Ok(console::data(b)?),
        Piece::Redirected(_) => Ok(()),
    });
    match r.trouble {
        None => Ok(Exit::Good),
        Some(t) => Err(t),
    }
}
