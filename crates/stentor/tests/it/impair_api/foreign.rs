//! Clients of Toxiproxy as their authors published them, unmodified.
//!
//! Each is installed once, below `target/`, by the client of its own registry; where that cannot be
//! done the test is skipped, loudly.

use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use super::{Api, echo};

/// How long an installation may take, in seconds.
const INSTALL_MAX: &str = "180";
/// How long a client may take, in seconds.
const RUN_MAX: &str = "120";

fn place(name: &str) -> PathBuf {
    Path::new(env!("CARGO_TARGET_TMPDIR")).join(name)
}

fn client(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/it/impair_api/clients").join(name)
}

/// Runs a program, for at most so many seconds; `None` if it is not there.
fn bounded(seconds: &str, program: impl AsRef<std::ffi::OsStr>) -> Command {
    let mut command = Command::new("timeout");
    command.arg(seconds).arg(program);
    command
}

fn works(command: &mut Command) -> Result<(), String> {
    match command.output() {
        Ok(output) if output.status.success() => Ok(()),
        Ok(Output { stderr, .. }) => Err(String::from_utf8_lossy(&stderr).into_owned()),
        Err(error) => Err(error.to_string()),
    }
}

fn judge(command: &mut Command) {
    let output = command.output().unwrap();
    let said = |bytes| String::from_utf8_lossy(bytes).into_owned();
    let (out, err) = (said(&output.stdout), said(&output.stderr));
    assert!(output.status.success() && out.contains("all of it worked"), "{out}\n{err}");
}

#[test]
fn toxiproxy_python_works_unmodified() {
    let home = place("toxiproxy-python");
    let python = home.join("bin/python");
    let mut import = Command::new(&python);
    if works(import.args(["-c", "import toxiproxy"])).is_err() {
        let made = works(bounded(INSTALL_MAX, "python3").args(["-m", "venv"]).arg(&home));
        let packages = ["-m", "pip", "install", "-q", "toxiproxy-python==0.1.1"];
        let installed = made.and_then(|()| works(bounded(INSTALL_MAX, &python).args(packages)));
        if let Err(why) = installed {
            return eprintln!("SKIPPED: toxiproxy-python cannot be installed here: {why}");
        }
    }
    let (api, server) = (Api::start(&[]), echo());
    let address = [api.address.ip().to_string(), api.address.port().to_string()];
    let script = client("python.py");
    judge(bounded(RUN_MAX, python).arg(script).args(address).arg(server.to_string()));
}

#[test]
fn toxiproxy_node_client_works_unmodified() {
    let home = place("toxiproxy-node-client");
    let modules = home.join("node_modules");
    if !modules.join("toxiproxy-node-client/package.json").exists() {
        std::fs::create_dir_all(&home).unwrap();
        let mut npm = bounded(INSTALL_MAX, "npm");
        npm.args(["install", "--no-audit", "--no-fund", "--ignore-scripts", "--prefix"]);
        if let Err(why) = works(npm.arg(&home).arg("toxiproxy-node-client@4.1.0")) {
            return eprintln!("SKIPPED: toxiproxy-node-client cannot be installed here: {why}");
        }
    }
    if let Err(why) = works(Command::new("node").args(["-e", "fetch"])) {
        return eprintln!("SKIPPED: toxiproxy-node-client needs Node 18, with fetch: {why}");
    }
    let (api, server) = (Api::start(&[]), echo());
    let mut node = bounded(RUN_MAX, "node");
    node.env("NODE_PATH", modules).arg(client("node.js"));
    judge(node.args([api.address.to_string(), server.to_string()]));
}

/// It brings OpenSSL and an HTTP stack of its own, which take minutes to build: only where somebody
/// asks for it, as `.ci/run` does.
#[test]
fn toxiproxy_rust_works_unmodified() {
    if std::env::var_os("STENTOR_JUDGES").is_none() {
        return eprintln!("SKIPPED: toxiproxy_rust is built only with STENTOR_JUDGES=1 (.ci/run)");
    }
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    let manifest = root.join("benches/judges/toxiproxy-rust/Cargo.toml");
    let target = place("toxiproxy-rust");
    let cargo = |verb: &str, seconds: &str| {
        let mut cargo = bounded(seconds, env!("CARGO"));
        cargo.args([verb, "--quiet", "--locked", "--manifest-path"]).arg(&manifest);
        cargo.arg("--target-dir").arg(&target);
        cargo
    };
    if let Err(why) = works(&mut cargo("build", "1200")) {
        return eprintln!("SKIPPED: toxiproxy_rust cannot be built here: {why}");
    }
    let (api, server) = (Api::start(&[]), echo());
    let addresses = [api.address.to_string(), server.to_string()];
    judge(cargo("run", RUN_MAX).arg("--").args(addresses));
}
