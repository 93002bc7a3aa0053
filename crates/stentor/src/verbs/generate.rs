//! `stentor generate`: completions, man pages and JSON Schemas from their one definition, for
//! packagers; and films, for whoever simulates.

use std::io;
use std::path::{Path, PathBuf};

use clap::CommandFactory;
use clap_complete::Shell;
use stentor_core::seed::Seed;
use stentor_os::failure::Failure;

use crate::cli::Cli;
use crate::complaint::{Complaint, Exit};
use crate::report::console;
use crate::report::json::schema;
use crate::report::json::video::film::Numbers;
use crate::verbs::video::film;

/// The arguments of `generate`.
#[derive(Debug, clap::Args)]
pub struct Args {
    #[command(subcommand)]
    what: What,
}

#[derive(Debug, clap::Subcommand)]
enum What {
    /// A completion script for a shell, on standard output
    Completions {
        /// For which shell
        #[arg(value_enum)]
        shell: Shell,
    },
    /// The JSON Schemas of what --json prints, one for each verb, into a folder
    Schemas {
        /// Where to; it is made if it is not there
        #[arg(value_name = "FOLDER")]
        folder: PathBuf,
    },
    /// Man pages, one for each verb, into a folder
    Man {
        /// Where to; it is made if it is not there
        #[arg(value_name = "FOLDER")]
        folder: PathBuf,
    },
    /// A film as JSON on standard output, for video serve, video play and other simulators
    Film {
        /// Which film: lecture, ladder, short, hour
        #[arg(value_name = "PRESET")]
        preset: String,
        /// From which the sizes of its chunks follow
        #[arg(long, value_name = "N", default_value_t = film::SEED.0)]
        seed: u64,
    },
}

/// A file or folder that cannot be written.
fn named(path: &Path) -> impl Fn(io::Error) -> Failure {
    let path = path.display().to_string();
    move |error| Failure::new("write", &path, error)
}

/// Writes what was asked for.
///
/// # Errors
/// The folder or standard output cannot be written.
pub fn run(args: Args) -> Result<Exit, Complaint> {
    let mut command = Cli::command();
    match args.what {
        What::Completions { shell } => {
            let mut script = Vec::new();
            clap_complete::generate(shell, &mut command, "stentor", &mut script);
            console::data(script)?;
        }
        What::Schemas { folder } => {
            std::fs::create_dir_all(&folder).map_err(named(&folder))?;
            for (name, schema) in schema::all() {
                let path = folder.join(schema::file_name(name));
                std::fs::write(&path, schema::text(&schema)).map_err(named(&path))?;
            }
        }
        What::Man { folder } => {
            std::fs::create_dir_all(&folder).map_err(named(&folder))?;
            clap_mangen::generate_to(command, &folder).map_err(named(&folder))?;
        }
        What::Film { preset, seed } => {
            let film = film::preset(&preset, Seed(seed))?;
            let numbers =
                Numbers::of(&film).map_err(|error| Complaint::usage(error.to_string(), ""))?;
            console::data(numbers.text())?;
        }
    }
    Ok(Exit::Good)
}
