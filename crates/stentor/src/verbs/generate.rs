//! `stentor generate`: completions and man pages from the one definition, for packagers.

use std::path::PathBuf;

use clap::CommandFactory;
use clap_complete::Shell;
use stentor_os::failure::Failure;

use crate::cli::Cli;
use crate::complaint::{Complaint, Exit};
use crate::report::console;

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
    /// Man pages, one for each verb, into a folder
    Man {
        /// Where to; it is made if it is not there
        #[arg(value_name = "FOLDER")]
        folder: PathBuf,
    },
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
        What::Man { folder } => {
            let named = |error| Failure::new("write", folder.display(), error);
            std::fs::create_dir_all(&folder).map_err(named)?;
            clap_mangen::generate_to(command, &folder).map_err(named)?;
        }
    }
    Ok(Exit::Good)
}
