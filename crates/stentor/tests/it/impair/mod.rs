//! `stentor impair`: streams keep their bytes, datagrams have the luck of their seed, a command is
//! run through the proxies; or packets cross a lab link.

mod command;
mod datagrams;
mod lab;
mod refusals;
mod streams;

use std::io::{BufRead, BufReader, Read};
use std::net::SocketAddr;
use std::process::{Child, ChildStdout, Command, Stdio};

use serde_json::Value;

use crate::program::stentor;

/// A `stentor impair` on a free port, killed when dropped.
pub(crate) struct Proxy {
    child: Child,
    out: BufReader<ChildStdout>,
    /// Where clients come in.
    pub(crate) address: SocketAddr,
}

impl Proxy {
    /// Starts a proxy for one transport (`-t` or `-u`) before a target.
    pub(crate) fn start(transport: &str, target: SocketAddr, arguments: &[&str]) -> Proxy {
        let mut command = stentor();
        command.args(["impair", transport, "0", &target.to_string()]).args(arguments);
        Proxy::start_by(&mut command)
    }

    pub(crate) fn start_by(command: &mut Command) -> Proxy {
        let piped = command.stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = piped.spawn().unwrap();
        let mut out = BufReader::new(child.stdout.take().unwrap());
        let (mut ready, mut tier) = (String::new(), String::new());
        out.read_line(&mut ready).unwrap();
        if ready.is_empty() {
            let mut said = String::new();
            child.stderr.take().unwrap().read_to_string(&mut said).unwrap();
            panic!("no ready line: {said}");
        }
        out.read_line(&mut tier).unwrap();
        assert!(tier.contains(" tier: "), "{tier}");
        let address = ready.split("://").nth(1).and_then(|rest| rest.split(' ').next());
        let address = address.and_then(|word| word.parse().ok());
        let address = address.unwrap_or_else(|| panic!("no address in {ready:?}"));
        Proxy { child, out, address }
    }

    /// Ends it as ^C does, and gives its report.
    pub(crate) fn end(mut self) -> String {
        let pid = self.child.id().to_string();
        assert!(Command::new("kill").args(["-INT", &pid]).status().unwrap().success());
        let mut report = String::new();
        self.out.read_to_string(&mut report).unwrap();
        assert_eq!(self.child.wait().unwrap().code(), Some(130), "{report}");
        report
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        // Both fail if it has ended already, which is what they are for.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// The object of a run with `--json`; its counts add up.
fn checked(json: &[u8]) -> Value {
    let object: Value = serde_json::from_slice(json).unwrap();
    let number = |value: &Value, key: &str| {
        value[key].as_u64().unwrap_or_else(|| panic!("{key} in {value}"))
    };
    let sum = |value: &Value, keys: &[&str]| keys.iter().map(|key| number(value, key)).sum::<u64>();
    for streams in object["result"]["streams"].as_array().unwrap() {
        let ends = ["in_order", "reset", "refused", "unreachable", "open"];
        assert_eq!(number(streams, "accepted"), sum(streams, &ends), "{streams}");
    }
    let packets = &object["result"]["packets"];
    let links = object["result"]["datagrams"].as_array().unwrap().iter();
    for datagrams in links.chain((!packets.is_null()).then_some(packets)) {
        for way in ["up", "down"] {
            let units = &datagrams[way];
            let fates = [
                "delivered",
                "lost",
                "lost_in_burst",
                "lost_by_count",
                "queue_full",
                "flight_full",
                "waiting",
            ];
            assert_eq!(sum(units, &["taken", "duplicated"]), sum(units, &fates), "{units}");
        }
    }
    object
}
