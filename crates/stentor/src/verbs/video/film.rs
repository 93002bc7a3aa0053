//! What is played: the name of a preset, or a film's JSON.

use stentor_core::seed::{Dice, Seed};
use stentor_core::video::film::{Film, PRESETS, Plan};

use crate::complaint::Complaint;

/// The film that a person means: a preset by its name, or a file.
///
/// # Errors
/// A name that is neither (exit 2), a file that cannot be read (3), or is no film (2).
pub(super) fn read(written: &str, seed: Seed) -> Result<Film, Complaint> {
    let names: Vec<&str> = PRESETS.iter().map(|(name, _)| *name).collect();
    let refused =
        |what: String| Complaint::usage(what, format!("Presets are {}.", names.join(", ")));
    let plan = Plan::preset(written)
        .ok_or_else(|| refused(format!("--film {written}: there is no such film")))?;
    plan.generate(&mut Dice::new(seed, "film")).map_err(|error| refused(error.to_string()))
}
