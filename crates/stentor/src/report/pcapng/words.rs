//! Calls and causes in words, for comments of packets and entries of the journal.
//!
//! The form of a comment is what `stentor.lua` takes apart: `cause: WHO: GRADE by RULE`.

use std::collections::HashMap;

use stentor_core::moment::Moment;
use stentor_core::timeline::cause::{Edge, Relation};
use stentor_core::timeline::record::{Address, Call, Life, Outcome, Packet, Pid, Process, Record};

/// How much of a name is shown, in characters.
const NAME_MAX: usize = 108;

/// The names of programs, which change when a process executes another.
#[derive(Debug, Default)]
pub(super) struct Programs(HashMap<Pid, Vec<(Moment, String)>>);

impl Programs {
    /// Learns the names from a sorted record.
    pub(super) fn new(record: &Record) -> Programs {
        let mut programs = Programs::default();
        for Process { at, pid, life, .. } in &record.processes {
            let name = match life {
                Life::Started { command } | Life::Execed { command } => {
                    let path = command.first().map(String::as_str).unwrap_or_default();
                    shown(path.rsplit('/').next().unwrap_or_default())
                }
                Life::Forked { parent, .. } => programs.name(*parent, *at).to_owned(),
                Life::Thread | Life::ThreadExited | Life::Exited { .. } | Life::Killed { .. } => {
                    continue;
                }
            };
            programs.0.entry(*pid).or_default().push((*at, name));
        }
        programs
    }

    /// The name of a process at that time: `python3`; `process` if it is not known.
    pub(super) fn name(&self, pid: Pid, at: Moment) -> &str {
        let names = self.0.get(&pid).map(Vec::as_slice).unwrap_or_default();
        let before = names.partition_point(|(since, _)| *since <= at).saturating_sub(1);
        names
            .get(before)
            .map(|(_, name)| name.as_str())
            .filter(|name| !name.is_empty())
            .unwrap_or("process")
    }

    /// `python3[123]`.
    pub(super) fn of(&self, pid: Pid, at: Moment) -> String {
        format!("{}[{pid}]", self.name(pid, at))
    }
}

/// Text without control characters, which would end a line, and not too long.
pub(super) fn shown(text: &str) -> String {
    let harmless = |letter: char| if letter.is_control() { '\u{fffd}' } else { letter };
    text.chars().take(NAME_MAX).map(harmless).collect()
}

/// `sendto(4, 5 bytes)`.
pub(super) fn call(call: &Call) -> String {
    let arguments = &call.arguments;
    let mut words: Vec<String> = Vec::new();
    words.extend(call.fd.map(|fd| fd.to_string()));
    words.extend(arguments.address.as_ref().map(|address| match address {
        Address::Unix(path) => shown(path),
        Address::Inet(_) | Address::Other(_) => address.to_string(),
    }));
    words.extend(arguments.length.map(bytes));
    words.extend(arguments.number.map(|number| number.to_string()));
    if !call.messages.is_empty() {
        words.push(format!("{} messages", call.messages.len()));
    }
    format!("{}({})", call.name, words.join(", "))
}

/// What a lab link did with a packet, as comments: `link: arrived after 20.100 ms`, `link: lost (loss)`.
pub(super) fn crossing(packet: &Packet) -> Vec<String> {
    let Some(crossing) = &packet.crossing else { return Vec::new() };
    let ms = |at: &Moment| {
        let microseconds = at.since(packet.at).as_micros();
        format!("{}.{:03} ms", microseconds / 1000, microseconds % 1000)
    };
    let mut words = Vec::new();
    match (crossing.arrivals.first(), &crossing.dropped) {
        (Some(at), _) => words.push(format!("link: arrived after {}", ms(at))),
        (None, Some(why)) => words.push(format!("link: lost ({})", shown(why))),
        (None, None) => words.push("link: on its way at the end".to_owned()),
    }
    let copies = crossing.arrivals.iter().skip(1).take(super::COMMENTS_MAX);
    words.extend(copies.map(|at| format!("link: arrived again after {}", ms(at))));
    words.extend(crossing.flipped.map(|bit| format!("link: bit {bit} flipped on the way")));
    words
}

fn bytes(count: u64) -> String {
    if count == 1 { "1 byte".to_owned() } else { format!("{count} bytes") }
}

/// `5`, `ECONNREFUSED`, `...` if it never came back.
pub(super) fn outcome(call: &Call) -> String {
    match call.outcome {
        Outcome::Value(value) => value.to_string(),
        Outcome::Failed(errno) => errno.to_string(),
        Outcome::Unfinished => "...".to_owned(),
    }
}

/// An edge as a comment: `cause: sendto(4, 5 bytes) = 5 of python3[123]: exact by stream-offset,
/// bytes 0..5`.
pub(super) fn edge(edge: &Edge, record: &Record, programs: &Programs) -> String {
    let at = record.packets.get(edge.packet.index()).map(|packet| packet.at).unwrap_or_default();
    let made = edge.call.and_then(|number| record.calls.get(number.index()));
    let who = match (made, edge.process) {
        (Some(made), _) => {
            let program = programs.of(made.pid, made.entered);
            format!("{} = {} of {program}", call(made), outcome(made))
        }
        (None, Some(pid)) => format!("{} ended", programs.of(pid, at)),
        (None, None) => edge.rule.words().to_owned(),
    };
    let relation = match edge.relation {
        Relation::Cause => "cause",
        Relation::Effect => "effect",
    };
    let carried = match &edge.bytes {
        none if none.is_empty() => String::new(),
        carried => format!(", bytes {}..{}", carried.start, carried.end),
    };
    format!("{relation}: {who}: {} by {}{carried}", edge.grade, edge.rule)
}
