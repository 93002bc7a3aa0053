//! mDNS: on the loopback interface, and between two network namespaces joined by a veth pair.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Output;

use super::*;

/// Runs in a user and network namespace of its own: a second network namespace, a cable between
/// the two, a peer at each end that knows nothing of the other.
const TWO_MACHINES: &str = r#"
set -e
cd "$1"
ip link set lo up
unshare -n sleep 60 &
other=$!
while [ "$(readlink /proc/$other/ns/net)" = "$(readlink /proc/$$/ns/net)" ]; do :; done
ip link add va type veth peer name vb netns $other
ip addr add 10.77.0.1/24 dev va
ip link set va up
nsenter -t $other -n sh -c 'ip link set lo up; ip addr add 10.77.0.2/24 dev vb; ip link set vb up'
echo 'from bob' | nsenter -t $other -n "$0" peer --public -n bob > bob.out 2> bob.err &
bob=$!
code=0
echo 'from ann' | "$0" peer --public -n ann > ann.out 2> ann.err || code=$?
wait $bob || code=$((code + 10 * $?))
kill $other
exit $code
"#;

/// A copy of the program and a folder that everybody may use.
struct Field(PathBuf);

impl Field {
    fn new(name: &str) -> Field {
        let folder = format!("stentor-{name}-{}", std::process::id());
        let folder = std::env::temp_dir().join(folder);
        fs::create_dir_all(&folder).unwrap();
        fs::set_permissions(&folder, fs::Permissions::from_mode(0o777)).unwrap();
        fs::copy(env!("CARGO_BIN_EXE_stentor"), folder.join("stentor")).unwrap();
        Field(folder)
    }

    fn read(&self, name: &str) -> String {
        fs::read_to_string(self.0.join(name)).unwrap_or_default()
    }
}

impl Drop for Field {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

fn apart(command: &[&str], folder: &Path, script: &str) -> Output {
    let program = folder.join("stentor");
    Command::new(command[0])
        .args(&command[1..])
        .args(["unshare", "-Urn", "sh", "-c", script])
        .args([program.as_os_str(), folder.as_os_str()])
        .env("NO_COLOR", "1")
        .output()
        .unwrap()
}

fn between_two_machines(name: &str, by: &[&str]) {
    let field = Field::new(name);
    let possible = "ip link add va type veth peer name vb && unshare -n nsenter -t $$ -n true";
    let tried = apart(by, &field.0, possible);
    if !tried.status.success() {
        let why = String::from_utf8_lossy(&tried.stderr);
        eprintln!("SKIPPED: two namespaces and a cable cannot be had here ({name}): {why}");
        return;
    }
    let output = apart(by, &field.0, TWO_MACHINES);
    let said = format!(
        "{}\n--- ann\n{}--- bob\n{}",
        String::from_utf8_lossy(&output.stderr),
        field.read("ann.err"),
        field.read("bob.err")
    );
    assert_eq!(output.status.code(), Some(0), "{said}");
    assert_eq!(
        (field.read("ann.out").as_str(), field.read("bob.out").as_str()),
        ("from bob\n", "from ann\n"),
        "{said}"
    );
    // Over the cable, by one of its addresses; IPv6 comes first where both sides have it.
    let line = said.lines().find(|line| line.starts_with("connected with bob")).unwrap();
    assert!(!line.contains("127.0.0.1") && !line.contains("[::1]"), "{line}");
}

#[test]
fn two_machines_find_each_other_by_mdns() {
    between_two_machines("as-oneself", &["env"]);
}

#[test]
fn two_machines_find_each_other_without_any_privilege() {
    let nobody = ["setpriv", "--reuid=65534", "--regid=65534", "--clear-groups"];
    let able = Command::new(nobody[0]).args(&nobody[1..]).arg("true").output();
    if !able.is_ok_and(|output| output.status.success()) {
        eprintln!("SKIPPED: only root can become nobody (setpriv)");
        return;
    }
    between_two_machines("as-nobody", &nobody);
}

/// In a namespace of its own: other peers of this machine are not found, and find nobody.
#[test]
fn two_programs_of_one_machine_find_each_other_by_name() {
    let field = Field::new("loopback");
    let script = r#"
cd "$1"
ip link set lo up || exit 99
echo 'from bob' | "$0" peer -n bob --find ann > bob.out 2> bob.err &
echo 'from ann' | "$0" peer -n ann --find bob > ann.out 2> ann.err || exit 1
wait $! || exit 2
"#;
    let output = apart(&["env"], &field.0, script);
    let said = format!(
        "{}{}{}",
        String::from_utf8_lossy(&output.stderr),
        field.read("ann.err"),
        field.read("bob.err")
    );
    if output.status.code() == Some(99)
        || said.contains("unshare failed")
        || said.contains("unshare: ")
    {
        eprintln!("SKIPPED: no network namespace can be had here: {said}");
        return;
    }
    assert_eq!(output.status.code(), Some(0), "{said}");
    assert_eq!(
        (field.read("ann.out").as_str(), field.read("bob.out").as_str()),
        ("from bob\n", "from ann\n"),
        "{said}"
    );
}
