//! `stentor.learn/1`: what the lessons did, what they saw, which of their claims held.

use schemars::JsonSchema;
use serde::Serialize;

/// The name and version of these keys.
pub const SCHEMA: &str = "stentor.learn/1";

/// What was asked for.
#[derive(Debug, Serialize, JsonSchema)]
pub struct Config {
    /// The names of the lessons to run; empty: only the list was asked for.
    pub lessons: Vec<&'static str>,
}

/// What came of it.
#[derive(Debug, Serialize, JsonSchema)]
pub struct Outcome {
    /// The lessons that were run, or that there are.
    pub lessons: Vec<Lesson>,
}

/// One lesson.
#[derive(Debug, Default, Serialize, JsonSchema)]
pub struct Lesson {
    /// Its name on the command line.
    pub lesson: &'static str,
    /// Its number in the lecture's order.
    pub number: u8,
    /// What it is about.
    pub title: String,
    /// What is to be learnt, in one sentence.
    pub sentence: String,
    /// Where the lecture notes are inexact.
    pub notes: Vec<Note>,
    /// Its own exit code; `null` if it was not run.
    pub exit_code: Option<u8>,
    /// Why it could not be run to its end.
    pub error: Option<String>,
    /// What was done, in order.
    pub steps: Vec<Step>,
    /// What was read from the system, in order.
    pub evidence: Vec<Fact>,
    /// What the lesson says.
    pub claims: Vec<Claim>,
}

/// A sentence of the notes, and what is true.
#[derive(Debug, Serialize, JsonSchema)]
pub struct Note {
    /// What the notes say.
    pub says: String,
    /// What really happens.
    pub truth: String,
}

/// A step.
#[derive(Debug, Serialize, JsonSchema)]
pub struct Step {
    /// From 1.
    pub step: usize,
    /// What is done.
    pub what: String,
    /// Why.
    pub reason: String,
    /// The system calls.
    pub calls: Vec<Call>,
}

/// A system call.
#[derive(Debug, Serialize, JsonSchema)]
pub struct Call {
    /// Who made it.
    pub who: String,
    /// Its name, as in its man page.
    pub name: String,
    /// What it was given.
    pub arguments: String,
    /// What it gave back; `-1` and the errno if it failed.
    pub outcome: String,
}

/// A piece of evidence.
#[derive(Debug, Serialize, JsonSchema)]
pub struct Fact {
    /// The step it belongs to.
    pub step: usize,
    /// What it is.
    pub name: String,
    /// Its value as read.
    pub value: String,
}

/// A claim.
#[derive(Debug, Serialize, JsonSchema)]
pub struct Claim {
    /// The step it belongs to.
    pub step: usize,
    /// What is claimed.
    pub claim: String,
    /// What was seen.
    pub seen: String,
    /// Whether they agree.
    pub held: bool,
}
