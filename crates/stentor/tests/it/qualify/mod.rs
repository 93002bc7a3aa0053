//! `qualify`: what was measured, what it is worth, and how it ends, whatever the service does.
//!
//! No figure that depends on time is asserted: `benches` has those. `faults` are services that do
//! something wrong, `ending` how runs end and what they leave.

mod ending;
mod faults;
mod paths;

use serde_json::Value;

use crate::program::{Said, run};

/// Runs `qualify TARGET` for a second with `--json` and more arguments; whatever came of it, the
/// object must parse and its counts add up.
pub(super) fn qualify(target: &str, arguments: &[&str]) -> Told {
    let mut all = vec!["qualify", target, "--json", "-q"];
    if !arguments.contains(&"-d") {
        all.extend(["-d", "1s"]);
    }
    all.extend(arguments);
    told(run(&all, b""))
}

/// What a run said, from its JSON.
#[derive(Debug)]
pub(super) struct Told {
    pub(super) said: Said,
    pub(super) json: Value,
}

/// Reads what a run with `--json` said.
pub(super) fn told(said: Said) -> Told {
    let json: Value = serde_json::from_slice(&said.out)
        .unwrap_or_else(|error| panic!("{error}: {}{}", said.out(), said.err));
    assert_eq!(json["schema"], "stentor.qualify/1");
    assert_eq!(json["exit_code"].as_i64(), said.code.map(i64::from), "{json:#}");
    assert_eq!(json["ok"].as_bool(), Some(said.code == Some(0)), "{json:#}");
    assert_eq!(json["error"].is_null(), said.code == Some(0), "{json:#}");
    let told = Told { said, json };
    told.adds_up();
    told
}

impl Told {
    /// What stands at a path of keys.
    pub(super) fn at(&self, path: &str) -> &Value {
        path.split('.').fold(&self.json, |value, key| &value[key])
    }

    /// A number there.
    pub(super) fn number(&self, path: &str) -> u64 {
        self.at(path).as_u64().unwrap_or_else(|| panic!("{path} in {:#}", self.json))
    }

    /// The verdict on an application.
    pub(super) fn verdict(&self, application: &str) -> &Value {
        let verdicts = self.at("result.verdicts").as_array().unwrap();
        verdicts.iter().find(|verdict| verdict["application"] == application).unwrap()
    }

    pub(super) fn error(&self) -> &str {
        self.json["error"].as_str().unwrap_or_default()
    }

    fn adds_up(&self) {
        if self.json["result"].is_null() {
            return;
        }
        for train in ["result.udp.train", "result.udp.loaded"] {
            if self.at(train).is_object() {
                let part = |name: &str| self.number(&format!("{train}.{name}"));
                assert_eq!(part("sent"), part("answered") + part("late") + part("lost"));
                assert_eq!(self.number(&format!("{train}.round_trips.count")), part("answered"));
            }
        }
        if self.at("result.tcp").is_object() {
            let part = |name: &str| self.number(&format!("result.tcp.{name}_bytes"));
            let parts = part("verified") + part("missing") + part("unawaited");
            assert_eq!(part("sent"), parts, "{:#}", self.json);
        }
        let verdicts = self.at("result.verdicts").as_array().unwrap();
        assert_eq!(verdicts.len(), 7);
        for verdict in verdicts {
            let checks = verdict["checks"].as_array().unwrap();
            let all = checks.iter().all(|check| check["holds"] == true);
            assert_eq!(verdict["passed"].as_bool(), Some(all), "{verdict:#}");
        }
    }
}
