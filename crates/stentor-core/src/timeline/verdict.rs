//! Findings in words: what is to be learnt from a conversation.
//!
//! They say what the record proves or the kernel told, never why a program did it.

mod calls;
mod link;
mod wire;

use super::Lane;
use super::cause::{CallNo, PacketNo};
use super::groups::Draft;
use super::matcher::Explained;
use super::record::{Call, Packet, Record};
use super::words::count;
use crate::moment::Moment;

/// How many findings of one kind a conversation tells one by one; the others are counted.
const OF_ONE_KIND: usize = 4;

/// One thing to be learnt, with its witnesses.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Finding {
    /// When it was seen, or began.
    pub at: Moment,
    /// At which end, if at one.
    pub lane: Option<Lane>,
    /// In words: `1 send = 7 segments`.
    pub words: String,
    /// The calls it is about.
    pub calls: Vec<CallNo>,
    /// The packets it is about.
    pub packets: Vec<PacketNo>,
}

/// What is to be learnt from one conversation, in the order of time.
pub(super) fn find(record: &Record, explained: &Explained, draft: &Draft) -> Vec<Finding> {
    let mut found = Vec::new();
    let case = Case { record, explained, draft };
    for kind in
        wire::findings(&case).into_iter().chain(calls::findings(&case)).chain(link::findings(&case))
    {
        found.extend(kind.told());
    }
    found.sort_by_key(|finding| finding.at);
    found
}

/// A conversation under examination.
struct Case<'a> {
    record: &'a Record,
    explained: &'a Explained,
    draft: &'a Draft,
}

impl<'a> Case<'a> {
    fn call(&self, number: CallNo) -> Option<&'a Call> {
        self.record.calls.get(number.index())
    }

    fn packet(&self, number: PacketNo) -> Option<&'a Packet> {
        self.record.packets.get(number.index())
    }

    /// The calls of the conversation, with their numbers and ends.
    fn calls(&self) -> impl Iterator<Item = (CallNo, Lane, &'a Call)> {
        let call = |(number, lane): &(CallNo, Lane)| Some((*number, *lane, self.call(*number)?));
        self.draft.calls.iter().filter_map(call)
    }
}

/// Findings of one kind: the first few are told, the others counted.
#[derive(Default)]
struct Kind {
    found: Vec<Finding>,
    more: u64,
}

impl Kind {
    /// Adds a finding; its words are made only if it will be told.
    fn add(&mut self, at: Moment, lane: Option<Lane>, words: impl FnOnce() -> String) -> Told<'_> {
        if self.found.len() >= OF_ONE_KIND {
            self.more += 1;
            return Told(None);
        }
        let (calls, packets) = (Vec::new(), Vec::new());
        self.found.push(Finding { at, lane, words: words(), calls, packets });
        Told(self.found.last_mut())
    }

    fn told(mut self) -> Vec<Finding> {
        if let (Some(last), true) = (self.found.last_mut(), self.more > 0) {
            last.words.push_str(&format!(" (and {} more like it)", self.more));
        }
        self.found
    }
}

/// A finding that may get witnesses.
struct Told<'a>(Option<&'a mut Finding>);

impl Told<'_> {
    fn call(self, number: CallNo) -> Self {
        self.and(|finding| finding.calls.push(number))
    }

    fn packet(self, number: PacketNo) -> Self {
        self.and(|finding| finding.packets.push(number))
    }

    fn and(mut self, add: impl FnOnce(&mut Finding)) -> Self {
        if let Some(finding) = self.0.as_deref_mut() {
            add(finding);
        }
        self
    }
}

/// `two sends`, `3 sends`: small numbers as words, where they begin a sentence.
fn several(number: u64, thing: &str) -> String {
    match number {
        2 => format!("two {thing}s"),
        number => count(number, thing),
    }
}
