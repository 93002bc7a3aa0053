//! The scenario file: timed changes of a link, in TOML.

use std::fs::File;
use std::io::Read;
use std::path::Path;

use serde::Deserialize;
use stentor_core::link::{Scenario, Spec};
use stentor_core::units::Span;
use stentor_os::failure::Failure;

use crate::complaint::Complaint;
use crate::verbs::link::names_preset;

/// The longest file that is read, in bytes.
const FILE_MAX: u64 = 1 << 20;

/// The file, as it is written.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Sheet {
    /// The link at first, changed by nothing yet.
    link: Option<String>,
    /// After this time everything begins again.
    period: Option<String>,
    #[serde(default)]
    step: Vec<Step>,
}

/// `[[step]]`: at a time, words turn their knobs.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Step {
    at: String,
    link: String,
}

/// Reads a scenario; `link` on the command line comes after the file's own first link.
/// Also whether one of its words is a preset's name.
pub(super) fn read(path: &Path, link: &Spec) -> Result<(Scenario, bool), Complaint> {
    let named = |error| Failure::new("open", path.display().to_string(), error);
    let mut text = String::new();
    let file = File::open(path).map_err(named)?;
    let read = file.take(FILE_MAX + 1).read_to_string(&mut text).map_err(named)?;
    if read as u64 > FILE_MAX {
        let what = format!("{} is longer than {} MiB", path.display(), FILE_MAX >> 20);
        return Err(Complaint::usage(what, "A trace says in less how a rate changes."));
    }
    parse(&text, link).map_err(|what| {
        let next = "docs/impair.md shows a scenario: link = \"delay=20ms\", then [[step]] with at \
                    and link.";
        Complaint::usage(format!("{}: {what}", path.display()), next)
    })
}

fn parse(text: &str, link: &Spec) -> Result<(Scenario, bool), String> {
    let sheet: Sheet = toml::from_str(text).map_err(|error| error.to_string())?;
    let base = match (&sheet.link, *link == Spec::default()) {
        (None, _) => link.clone(),
        (Some(words), true) => words.parse().map_err(|error| format!("link: {error}"))?,
        (Some(_), false) => {
            return Err("link stands in the file and on the command line: leave one out".to_owned());
        }
    };
    let span = |words: &str, what: &str| {
        let span: Result<Span, _> = words.parse();
        span.map(|Span(span)| span).map_err(|error| format!("{what}: {error}"))
    };
    let steps = sheet.step.iter().enumerate().map(|(index, step)| {
        let at = span(&step.at, &format!("step {}: at", index + 1))?;
        Ok((at, step.link.as_str()))
    });
    let steps: Vec<_> = steps.collect::<Result<_, String>>()?;
    let period = sheet.period.as_deref().map(|words| span(words, "period")).transpose()?;
    let words = sheet.link.iter().chain(sheet.step.iter().map(|step| &step.link));
    let preset = words.into_iter().any(|words| names_preset(words));
    let scenario = Scenario::new(&base, steps, period).map_err(|error| error.to_string())?;
    Ok((scenario, preset))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn mistakes_are_named_by_step_and_word() {
        let check = |text: &str, expected: &str| {
            let refused = parse(text, &Spec::default()).unwrap_err();
            assert!(refused.contains(expected), "{text}: {refused}");
        };
        check("links = 'delay=1ms'", "unknown field");
        check("[[step]]\nat = '5'\nlink = ''", "step 1: at: \"5\" is not a time");
        check("[[step]]\nlink = ''", "missing field `at`");
        check("period = 'x'", "period: \"x\" is not a time");
        check("link = 3", "invalid type");
    }

    #[test]
    fn a_link_may_stand_in_one_place_only() {
        let link: Spec = "delay=1ms".parse().unwrap();
        assert!(parse("", &link).is_ok());
        let file = "link = 'delay=2ms'";
        assert!(parse(file, &Spec::default()).is_ok());
        let both = parse(file, &link).unwrap_err();
        assert!(both.contains("leave one out"), "{both}");
    }
}
