//! `load`: what was asked, what came of it, and how it ends, whatever the service does.
//!
//! `faults` are services that do something wrong, `streams` and `datagrams` those of tests,
//! `refusals` what cannot be asked for, `ending` how runs end and what they leave.

mod datagrams;
mod ending;
mod faults;
mod refusals;
mod streams;

use crate::program::{Said, run};

/// What a run said of its requests, from the JSON.
#[derive(Debug)]
pub(super) struct Told {
    pub(super) said: Said,
    pub(super) json: serde_json::Value,
}

/// Runs `load TARGET` with `--json` and more arguments; whatever came of it, the object must parse
/// and its counts add up.
pub(super) fn load(target: &str, arguments: &[&str]) -> Told {
    let mut all = vec!["load", target, "--json", "-q"];
    all.extend(arguments);
    told(run(&all, b""))
}

/// Reads what a run with `--json` said.
pub(super) fn told(said: Said) -> Told {
    let json: serde_json::Value = serde_json::from_slice(&said.out)
        .unwrap_or_else(|error| panic!("{error}: {}{}", said.out(), said.err));
    assert_eq!(json["schema"], "stentor.load/1");
    assert_eq!(json["exit_code"].as_i64(), said.code.map(i64::from), "{json}");
    assert_eq!(json["ok"].as_bool(), Some(said.code == Some(0)), "{json}");
    let told = Told { said, json };
    if !told.json["result"].is_null() {
        told.adds_up();
    }
    told
}

impl Told {
    /// A number of `result.requests`.
    pub(super) fn requests(&self, what: &str) -> u64 {
        self.number(&["result", "requests", what])
    }

    /// A number anywhere.
    pub(super) fn number(&self, path: &[&str]) -> u64 {
        let found = path.iter().fold(&self.json, |value, key| &value[*key]);
        found.as_u64().unwrap_or_else(|| panic!("{path:?} in {:#}", self.json))
    }

    /// What the run is called bad for.
    pub(super) fn error(&self) -> &str {
        self.json["error"].as_str().unwrap_or_default()
    }

    /// sent = verified + wrong + late + lost + error, and offered = sent + unsent; each error has
    /// a reason, and the lines of the course add up to the whole.
    fn adds_up(&self) {
        let parts = ["verified", "wrong", "late", "lost", "error"];
        let sum: u64 = parts.iter().map(|part| self.requests(part)).sum();
        assert_eq!(self.requests("sent"), sum, "{:#}", self.json);
        assert_eq!(self.requests("offered"), sum + self.requests("unsent"), "{:#}", self.json);
        let errors = self.json["result"]["errors"].as_object().unwrap();
        let errors: u64 = errors.values().filter_map(serde_json::Value::as_u64).sum();
        let warm = self.number(&["result", "requests", "warmup", "error"]);
        assert_eq!(errors, self.requests("error") + warm, "{:#}", self.json);
        for part in ["sent", "verified", "wrong", "late", "lost", "error"] {
            let lines = self.json["result"]["intervals"].as_array().unwrap();
            let lines: u64 = lines.iter().filter_map(|line| line["requests"][part].as_u64()).sum();
            assert_eq!(lines, self.requests(part), "{part} in {:#}", self.json);
        }
    }

    /// Every reply came, and rightly, and the run says so.
    pub(super) fn is_good(&self, sent: u64) {
        assert_eq!(self.said.code, Some(0), "{:#}", self.json);
        assert_eq!(self.requests("sent"), sent, "{:#}", self.json);
        assert_eq!(self.requests("verified"), sent, "{:#}", self.json);
    }

    /// The verdict is bad, in these words.
    pub(super) fn is_bad(&self, words: &str) {
        assert_eq!(self.said.code, Some(1), "{:#}", self.json);
        assert!(self.error().contains(words), "{:#}", self.json);
    }
}
