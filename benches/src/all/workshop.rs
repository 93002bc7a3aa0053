//! Compiles the peers, and finds the foreign programs that are compared with; what is missing is
//! said once and left out.

use std::cell::RefCell;
use std::collections::BTreeSet;
use std::ffi::OsString;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

use crate::notice;
use crate::program::{self, Running};

/// The longest that a compiler may take; the Rust peers bring mio and tokio along.
const LIMIT: Duration = Duration::from_secs(300);

/// How generously the C peers are compiled: with the vectors that stentor itself looks for when it
/// runs. Not for this very processor, as valgrind does not know AVX-512.
fn cflags() -> Vec<&'static str> {
    let mut flags = vec!["-O3", "-Wall", "-Wextra"];
    #[cfg(target_arch = "x86_64")]
    if is_x86_feature_detected!("avx2") {
        flags.push("-mavx2");
    }
    flags
}

/// Where peers come from.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Source {
    /// `stentor` itself.
    Stentor,
    /// A file of benches/peers, compiled by cc.
    C(&'static str),
    /// A program of benches/peers/rust.
    Rust(&'static str),
    /// benches/peers/goroutines.go.
    Go,
    /// A file for Python, from the root of the repository.
    Python(&'static str),
    /// A program of the system.
    System(&'static str),
}

/// Compiled and found programs.
#[derive(Debug)]
pub(crate) struct Workshop {
    sources: PathBuf,
    built: PathBuf,
    python: Option<PathBuf>,
    /// What was said to be missing.
    missing: RefCell<BTreeSet<String>>,
}

impl Workshop {
    /// Compiles the peers, always: it takes a second, and what lies there may be of other flags.
    ///
    /// # Errors
    /// A compiler that is there fails.
    pub(crate) fn open() -> Result<Workshop, String> {
        let bench = std::env::current_exe().map_err(|error| format!("own path: {error}"))?;
        let built = bench.with_file_name("peers");
        fs::create_dir_all(&built).map_err(|error| format!("{}: {error}", built.display()))?;
        let sources = Path::new(env!("CARGO_MANIFEST_DIR")).join("peers");
        let missing = RefCell::default();
        let workshop = Workshop { sources, built, python: python(), missing };
        for name in ["epoll", "datagrams", "client"] {
            workshop.compile(name, "c", |source, program| {
                let mut command = Command::new("cc");
                command.args(cflags()).arg("-o").args([program, source]);
                command
            })?;
        }
        workshop.compile("goroutines", "go", |source, program| {
            let mut command = Command::new("go");
            command.arg("build").arg("-o").args([program, source]);
            command
        })?;
        workshop.cargo()?;
        Ok(workshop)
    }

    fn compile(
        &self,
        name: &str,
        extension: &str,
        command: impl Fn(&Path, &Path) -> Command,
    ) -> Result<(), String> {
        let source = self.sources.join(name).with_extension(extension);
        let program = self.built.join(name);
        let mut command = command(&source, &program);
        if !there(&command.get_program().to_string_lossy()) {
            return Ok(());
        }
        run(&mut command)
    }

    fn cargo(&self) -> Result<(), String> {
        // Cargo knows best what is old; one that is set for the product is not for the peers.
        let mut command = Command::new(std::env::var_os("CARGO").unwrap_or("cargo".into()));
        command.args(["build", "--release", "--locked", "--quiet", "--manifest-path"]);
        command.arg(self.sources.join("rust/Cargo.toml"));
        command.arg("--target-dir").arg(&self.built).env_remove("CARGO_BUILD_TARGET");
        run(&mut command)
    }

    /// The program and what comes before its own arguments; `None`, and a word on it, if it is
    /// missing.
    ///
    /// # Errors
    /// `stentor` is not there, or older than its sources.
    pub(crate) fn program(&self, source: Source) -> Result<Option<Vec<OsString>>, String> {
        let (found, wanted) = match source {
            Source::Stentor => (Some(vec![program::stentor()?.into()]), "stentor"),
            Source::C(name) => (self.made(name), "cc"),
            Source::Rust(name) => (self.made(&format!("release/{name}")), "cargo"),
            Source::Go => (self.made("goroutines"), "go"),
            Source::Python(file) => {
                let root = self.sources.join("../..");
                let python = self.python.clone();
                let argv =
                    |python: PathBuf| vec![python.into(), "-u".into(), root.join(file).into()];
                (python.map(argv), "python3")
            }
            Source::System(name) => (there(name).then(|| vec![name.into()]), name),
        };
        if found.is_none() && self.missing.borrow_mut().insert(wanted.to_owned()) {
            notice(&format!("SKIPPED: {wanted} is not there; whatever needs it is left out"));
        }
        Ok(found)
    }

    fn made(&self, name: &str) -> Option<Vec<OsString>> {
        let program = self.built.join(name);
        program.exists().then(|| vec![program.into()])
    }

    /// A place for a file that a program needs.
    pub(crate) fn file(&self, name: &str) -> PathBuf {
        self.built.join(name)
    }

    /// What was missing, so far.
    pub(crate) fn missing(&self) -> Vec<String> {
        self.missing.borrow().iter().cloned().collect()
    }
}

/// Whether a command is on the path. Not by running it: which flag is harmless differs.
pub(crate) fn there(name: &str) -> bool {
    let folders = std::env::var_os("PATH").unwrap_or_default();
    // Where Debian keeps servers, which is not on everybody's path.
    let mut folders: Vec<PathBuf> = std::env::split_paths(&folders).collect();
    folders.push("/usr/sbin".into());
    folders.iter().any(|folder| folder.join(name).is_file())
}

/// The interpreter itself: `python3` may be a wrapper that takes its time.
fn python() -> Option<PathBuf> {
    let asked = ["-c", "import sys; print(sys.executable)"];
    let said = Command::new("python3").args(asked).stderr(Stdio::null()).output().ok()?;
    let path = PathBuf::from(String::from_utf8(said.stdout).ok()?.trim());
    path.is_file().then_some(path)
}

fn run(command: &mut Command) -> Result<(), String> {
    let shown = format!("{command:?}");
    command.stdin(Stdio::null()).stdout(Stdio::null());
    let status = Running::start(command)?.wait(LIMIT)?;
    if status.success() { Ok(()) } else { Err(format!("{shown}: {status}")) }
}

#[cfg(test)]
mod tests {
    /// What is compared is the engine, not its version; and what cargo has downloaded for the
    /// product is enough for the peers.
    #[test]
    fn peers_use_the_libraries_of_the_product() {
        let packages = |lock: &str| -> Vec<(String, String)> {
            let path = format!("{}/{lock}", env!("CARGO_MANIFEST_DIR"));
            let text = std::fs::read_to_string(path).unwrap();
            let value = |block: &str, key: &str| {
                let line =
                    block.lines().find_map(|line| line.strip_prefix(key)).unwrap_or_default();
                line.trim_matches([' ', '=', '"']).to_owned()
            };
            let blocks = text.split("[[package]]").skip(1);
            blocks.map(|block| (value(block, "name"), value(block, "version"))).collect()
        };
        let product = packages("../Cargo.lock");
        let peers = packages("peers/rust/Cargo.lock");
        assert!(peers.len() > 5, "{peers:?}");
        for package in peers.iter().filter(|(name, _)| name != "stentor-peers") {
            assert!(
                product.contains(package),
                "{package:?}: cargo update -p NAME --precise VERSION"
            );
        }
    }
}
