//! The real binary: `video check`, on manifests with one fault each, on our own, and on ffmpeg's.
//!
//! `folder` makes the files and breaks them, `faults` is the table of what is broken and what must be
//! found, `server` delivers them badly, `ending` is how runs end and what they leave.

mod ending;
mod faults;
mod folder;
mod served;
mod server;
mod witnesses;

use std::collections::BTreeSet;

use serde_json::Value;

use crate::program::{Said, run};

/// Runs `video check TARGET` with `--json` and more arguments, and reads what it says.
fn check(target: &str, arguments: &[&str]) -> Told {
    let mut all = vec!["video", "check", target, "--json", "-q"];
    all.extend(arguments);
    let said = run(&all, b"");
    let json: Value = serde_json::from_slice(&said.out)
        .unwrap_or_else(|error| panic!("{error}: {}{}", said.out(), said.err));
    assert_eq!(json["schema"], "stentor.video-check/1");
    assert_eq!(json["exit_code"].as_i64(), said.code.map(i64::from), "{json:#}");
    assert_eq!(json["ok"].as_bool(), Some(said.code == Some(0)), "{json:#}");
    let told = Told { said, json };
    told.adds_up();
    told
}

/// What a run said.
#[derive(Debug)]
struct Told {
    said: Said,
    json: Value,
}

impl Told {
    /// Every finding, with the name of its manifest.
    fn findings(&self) -> Vec<(&str, &Value)> {
        let manifests = self.json["result"]["manifests"].as_array();
        let manifests = manifests.map(Vec::as_slice).unwrap_or_default();
        let mut found = Vec::new();
        for manifest in manifests {
            let name = manifest["name"].as_str().unwrap();
            found.extend(manifest["findings"].as_array().unwrap().iter().map(|one| (name, one)));
        }
        found
    }

    /// The rules that are not kept.
    fn rules(&self) -> BTreeSet<&str> {
        self.findings().iter().map(|(_, finding)| finding["rule"].as_str().unwrap()).collect()
    }

    fn adds_up(&self) {
        let of = |force: &str| {
            self.findings().iter().filter(|(_, finding)| finding["force"] == force).count()
        };
        let result = &self.json["result"];
        if !result.is_null() {
            assert_eq!(result["musts_broken"].as_u64().unwrap(), of("must") as u64);
            assert_eq!(result["advices"].as_u64().unwrap(), of("should") as u64);
        }
    }

    fn tracks(&self) -> Vec<&Value> {
        let manifests = self.json["result"]["manifests"].as_array().unwrap();
        manifests.iter().flat_map(|manifest| manifest["tracks"].as_array().unwrap()).collect()
    }
}
