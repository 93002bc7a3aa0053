//! What is played: the name of a preset, or a film's JSON.

use std::fmt::Display;
use std::path::Path;

use stentor_core::seed::{Dice, Seed};
use stentor_core::video::film::{Film, PRESETS, Plan};

use super::file;
use crate::complaint::Complaint;
use crate::report::json::video::film::{BYTES_MAX, Numbers};

/// The seed of a preset's film where none is given: the same film for everyone.
pub(crate) const SEED: Seed = Seed(1);

/// What a file of a film holds.
const FORM: &str = "A film is JSON with segment_duration_ms, bitrates_kbps and segment_sizes_bits; \
                    stentor generate film ladder shows one.";

/// The film that a person means: a preset by its name, or a file of JSON, or standard input as `-`.
///
/// # Errors
/// A name that is neither (exit 2), a file that cannot be read (3), or is no film (2).
pub(super) fn read(written: &str, seed: Seed) -> Result<Film, Complaint> {
    match Plan::preset(written) {
        Some(_) => preset(written, seed),
        None => numbers(written, seed)?.film().map_err(|error| refused(written, error)),
    }
}

/// The numbers of a film as they are written, in a file or of a preset: nothing is rounded.
///
/// # Errors
/// Those of [`read`].
pub(super) fn numbers(written: &str, seed: Seed) -> Result<Numbers, Complaint> {
    if Plan::preset(written).is_some() {
        return Numbers::of(&preset(written, seed)?).map_err(|error| refused(written, error));
    }
    if written != file::STDIN && !Path::new(written).exists() {
        return Err(unknown(format!("--film {written}: there is no such file, and no such film")));
    }
    let bytes = file::read("--film", written, BYTES_MAX, FORM)?;
    Numbers::read(&bytes).map_err(|error| refused(written, error))
}

/// The film of a preset.
///
/// # Errors
/// When there is none of this name (exit 2).
pub(crate) fn preset(name: &str, seed: Seed) -> Result<Film, Complaint> {
    let plan =
        Plan::preset(name).ok_or_else(|| unknown(format!("{name}: there is no such film")))?;
    plan.generate(&mut Dice::new(seed, "film")).map_err(|error| refused(name, error))
}

fn unknown(what: String) -> Complaint {
    let names = PRESETS.map(|(name, _)| name).join(", ");
    Complaint::usage(what, format!("Films with a name are {names}."))
}

fn refused(written: &str, error: impl Display) -> Complaint {
    Complaint::usage(format!("--film {written}: {error}"), FORM)
}
