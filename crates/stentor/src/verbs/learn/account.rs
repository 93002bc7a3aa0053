//! What was played, as JSON: the record of the stage turned into the mirror types.

use std::time::SystemTime;

use super::text::Text;
use super::{LESSONS, Played};
use crate::complaint::Exit;
use crate::report::json::Envelope;
use crate::report::json::learn::{self, Call, Claim, Config, Fact, Lesson, Note, Outcome, Step};

/// The one object for what was played; nothing played: the list.
pub(super) fn text(started: SystemTime, played: &[Played], exit: Exit) -> String {
    let errors: Vec<_> = played.iter().filter_map(complaint).collect();
    let error = (!errors.is_empty()).then(|| errors.join(" "));
    let mut envelope = Envelope::new(learn::SCHEMA, started, exit, error);
    envelope.config =
        Some(Config { lessons: played.iter().map(|played| played.lesson.name).collect() });
    let lessons = match played {
        [] => LESSONS.iter().map(|lesson| head(lesson, &Text::parse(lesson.source))).collect(),
        played => played.iter().map(lesson).collect(),
    };
    envelope.result = Some(Outcome { lessons });
    envelope.text()
}

/// Why a lesson did not end well.
pub(super) fn complaint(played: &Played) -> Option<String> {
    let name = played.lesson.name;
    match (&played.complaint, played.exit) {
        (Some(complaint), _) => Some(format!("learn {name}: {complaint}")),
        (None, Exit::Good) => None,
        (None, _) => {
            let false_claims = played.record.claims.iter().filter(|claim| !claim.held).count();
            Some(format!("learn {name}: the evidence contradicts {false_claims} of its claims."))
        }
    }
}

fn head(lesson: &super::Lesson, text: &Text) -> Lesson {
    let note = |(says, truth): &(String, String)| Note { says: says.clone(), truth: truth.clone() };
    Lesson {
        lesson: lesson.name,
        number: lesson.number,
        title: text.title.clone(),
        sentence: text.lesson.clone(),
        notes: text.notes.iter().map(note).collect(),
        ..Lesson::default()
    }
}

fn lesson(played: &Played) -> Lesson {
    let mut lesson = head(played.lesson, &played.text);
    lesson.exit_code = Some(played.exit.code());
    lesson.error = played.complaint.as_ref().map(ToString::to_string);
    for (place, step) in played.record.steps.iter().enumerate() {
        let number = place + 1;
        let call = |call: &super::stage::Call| Call {
            who: call.who.clone(),
            name: call.name.clone(),
            arguments: call.arguments.clone(),
            outcome: call.outcome.clone(),
        };
        lesson.steps.push(Step {
            step: number,
            what: step.title.clone(),
            reason: step.reason.clone(),
            calls: step.calls.iter().map(call).collect(),
        });
        lesson.evidence.extend(step.facts.iter().map(|fact| Fact {
            step: number,
            name: fact.name.trim().to_owned(),
            value: fact.value.clone(),
        }));
    }
    let claim = |claim: &super::stage::Claim| Claim {
        step: claim.step,
        claim: claim.text.clone(),
        seen: claim.seen.clone(),
        held: claim.held,
    };
    lesson.claims = played.record.claims.iter().map(claim).collect();
    lesson
}
