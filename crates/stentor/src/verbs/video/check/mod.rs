//! `stentor video check`: whether a manifest, and what it names, keeps the rules of HLS and DASH.
//!
//! The words of the command line become a plan, which `drive::video::check` carries out; what is
//! printed and written is in `output`.

mod output;

use std::path::{Path, PathBuf};

use stentor_core::units::Span;
use stentor_os::failure::Failure;
use stentor_os::signal::Interrupts;
use url::Url;

use crate::complaint::{Complaint, Exit};
use crate::drive::video::check::{self, Extent, Plan};
use crate::report::console;
use crate::report::video::check as report;
use output::Outputs;

/// The arguments of `video check`.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Segments are measured by their own boxes (fragmented MP4) or packets (MPEG-2 transport streams): \
bytes, time, key frames. Each finding is a line: FILE:LINE:COLUMN, the rule, must or should, its \
clause, what it demands, and what was found.\n\n\
Exit codes: 0 no rule is broken (advice alone is none, but with --strict it is); 1 a rule is \
broken; 2 usage; 3 a manifest cannot be had, or a server does not answer; 130 interrupted, after \
the report so far.")]
pub(super) struct Args {
    /// A manifest (HLS playlist or DASH MPD) by its URL or its file, or a folder with manifests
    #[arg(value_name = "URL|FOLDER|FILE", required_unless_present = "rules")]
    target: Option<String>,
    /// Fetches so many segments of each track, from the first on, instead of all
    #[arg(short = 'n', long, value_name = "N", conflicts_with = "manifest_only")]
    segments: Option<usize>,
    /// Checks the text of the manifests alone
    #[arg(long)]
    manifest_only: bool,
    /// Ends with 1 for advice, too
    #[arg(long)]
    strict: bool,
    /// Prints every rule with its clause, and ends
    #[arg(long, exclusive = true)]
    rules: bool,
    /// Longest wait for a connection, and for bytes
    #[arg(short = 'w', long, value_name = "TIME", default_value = "10s")]
    timeout: Span,
    /// Prints one JSON object (stentor.video-check/1) instead of the report
    #[arg(short = 'J', long)]
    json: bool,
    /// Writes the report to a file whose name says its form: .txt, .json (repeatable)
    #[arg(short, long, value_name = "FILE.EXT")]
    output: Vec<PathBuf>,
    /// No progress and no notices
    #[arg(short, long)]
    quiet: bool,
}

/// Runs it.
pub(super) fn run(args: Args) -> Result<Exit, Complaint> {
    if args.rules {
        console::data(report::rules())?;
        return Ok(Exit::Good);
    }
    let outputs = Outputs::open(&args.output, args.json)?;
    let prepared = args.plan().and_then(|plan| {
        let interrupts = Interrupts::install()
            .map_err(|error| Failure::new("sigaction", "SIGINT and SIGTERM", error))?;
        Ok((plan, interrupts))
    });
    let (plan, interrupts) = match prepared {
        Ok(prepared) => prepared,
        Err(complaint) => return output::failed(outputs, complaint),
    };
    let mut progress = output::Progress::new(args.quiet);
    let outcome = check::run(&plan, Some(&interrupts), &mut |doing, done| {
        progress.show(doing, done);
    });
    progress.end();
    output::finish(outputs, &plan, args.strict, outcome)
}

impl Args {
    fn plan(&self) -> Result<Plan, Complaint> {
        let target = self.target.as_deref().unwrap_or_default();
        if target.is_empty() || target == "-" {
            let what =
                format!("{target:?} has no place from which a manifest's references lead on");
            let next = "Name a URL, a folder or a file; ./- is a file of that name.";
            return Err(Complaint::usage(what, next));
        }
        let (targets, root) = match target.split_once("://") {
            Some(_) => remote(target)?,
            None => local(Path::new(target))?,
        };
        if self.timeout.0.is_zero() {
            let what = "-w 0s would wait for nothing";
            return Err(Complaint::usage(what, "Give a time above 0, such as 10s."));
        }
        let extent = match (self.manifest_only, self.segments) {
            (true, _) => Extent::First(0),
            (false, Some(count)) => Extent::First(count),
            (false, None) => Extent::All,
        };
        Ok(Plan { targets, root, extent, silence_max: self.timeout.0 })
    }
}

/// What is checked, and its common root with the words for it.
type Targets = (Vec<Url>, (Url, String));

fn remote(target: &str) -> Result<Targets, Complaint> {
    let url = Url::parse(target)
        .map_err(|error| Complaint::usage(format!("{target:?} is no URL: {error}"), ""))?;
    if !matches!(url.scheme(), "http" | "https") || url.host().is_none() {
        let what = format!("{target} is neither http nor https");
        return Err(Complaint::usage(what, "A file is named by its path alone."));
    }
    let root = url.join(".").unwrap_or_else(|_| url.clone());
    Ok((vec![url], (root, String::new())))
}

fn local(target: &Path) -> Result<Targets, Complaint> {
    let whole = std::path::absolute(target)
        .and_then(|path| path.metadata().map(|data| (path, data.is_dir())))
        .map_err(|error| {
            let mut complaint = Complaint::from(Failure::new("open", target.display(), error));
            complaint.next = "A URL begins with http:// or https://.".to_owned();
            complaint
        });
    let (path, is_folder) = whole?;
    let unfit = |path: &Path| Complaint::usage(format!("{}: no such name", path.display()), "");
    let url = |path: &Path| Url::from_file_path(path).map_err(|()| unfit(path));
    let folder = if is_folder { Some(path.as_path()) } else { path.parent() };
    let root = folder.and_then(|folder| Url::from_directory_path(folder).ok());
    let root = root.ok_or_else(|| unfit(target))?;
    let shown = if is_folder { Some(target) } else { target.parent() };
    let shown = shown.map(|path| path.display().to_string()).unwrap_or_default();
    let slash = if shown.is_empty() || shown.ends_with('/') { "" } else { "/" };
    let targets = match is_folder {
        true => check::manifests(&path)?.iter().map(|path| url(path)).collect::<Result<_, _>>()?,
        false => vec![url(&path)?],
    };
    Ok((targets, (root, format!("{shown}{slash}"))))
}
