//! What was not as it should be in a run of `load`, and where to look next.

use std::time::Duration;

use stentor_core::load::{Failure, Mistake};

use super::{Head, said};
use crate::drive::load::outcome::Outcome;

/// How often, what, and the next step; only what there is.
pub(super) fn troubles(head: &Head, outcome: &Outcome) -> Vec<(u64, &'static str, String)> {
    let mut all = requests(head, outcome);
    all.extend(around(head, outcome));
    all.retain(|(number, ..)| *number > 0);
    all
}

/// Requests that were not verified.
fn requests(head: &Head, outcome: &Outcome) -> Vec<(u64, &'static str, String)> {
    let (tally, target) = (&outcome.tally, &head.target);
    let counts = &tally.counts;
    let timeout = said(Some(Duration::from_nanos(head.timeout_ns)));
    let reasons = Failure::ALL.iter().zip(tally.failures).filter(|(_, times)| *times > 0);
    let reasons: Vec<String> =
        reasons.map(|(failure, times)| format!("{} {times}", failure.name())).collect();
    let silent = if target.starts_with("udp:") {
        "the network or a full receive buffer dropped the request or its reply; the d of skmem in \
         `ss -lunm` counts what a socket dropped"
    } else if tally.bytes_received > 0 && tally.latency.is_empty() && counts.wrong == 0 {
        "bytes came, but no end of a reply: is --framing that of the service?"
    } else {
        "the service took the request and kept silent; `ss -tnp` shows whether it has read it"
    };
    let first = tally.first_wrong.as_ref().map(|mistake| first(head, mistake)).unwrap_or_default();
    let wrong = format!(
        "{first}the reply is not what --verify {} expects, or --framing is not that of the service. Ask \
         once and look: stentor send {target}",
        head.verify
    );
    let late = format!(
        "right, but after more than {timeout} (--timeout); the course shows when: -v, --html FILE"
    );
    vec![
        (counts.wrong, "wrong", wrong),
        (counts.late, "late", late),
        (counts.lost, "lost", format!("no reply within {timeout}: {silent}")),
        (counts.error, "error", format!("connections failed: {}", reasons.join(", "))),
    ]
}

/// The first wrong reply in words, and the end of a sentence.
fn first(head: &Head, mistake: &Mistake) -> String {
    let got = excerpt(&mistake.got, mistake.from, mistake.got_len);
    let Some((at, length)) = mistake.differs else {
        return format!("got {got}, and expected {}; ", head.verify);
    };
    let expected = excerpt(&mistake.expected, mistake.from, length);
    format!("expected {expected}, got {got}: other from byte {at} on; ")
}

/// Bytes of something longer, escaped, at most a line of them; the bytes outside are dots.
pub(in crate::report) fn excerpt(bytes: &[u8], from: usize, length: usize) -> String {
    const CHARACTERS: usize = 64;
    let (mut shown, mut taken) = (String::new(), 0);
    for byte in bytes {
        let character = byte.escape_ascii().to_string();
        if shown.len() + character.len() > CHARACTERS {
            break;
        }
        shown += &character;
        taken += 1;
    }
    let before = if from > 0 { "..." } else { "" };
    let after = if from + taken < length { "..." } else { "" };
    format!("\"{before}{shown}{after}\"")
}

/// What came besides, and what could not be asked.
fn around(head: &Head, outcome: &Outcome) -> Vec<(u64, &'static str, String)> {
    let (tally, target) = (&outcome.tally, &head.target);
    let connections = &tally.connections;
    let unsent = if head.closed {
        "due, and never sent, for the run ended before a connection had room"
    } else {
        "due, and never sent, for no connection had room before the end: the service did not keep \
         up. More room: -c or --depth"
    };
    let refused = format!(
        "could not be opened. Does the service listen, and with a long enough backlog? ss -ltn \
         beside {target} shows it"
    );
    let lost = format!(
        "closed or reset by the service, {} of them while a reply was owed",
        connections.lost_in_use
    );
    let duplicate = "replies that came again: the network or the service doubles datagrams";
    let reordered = "replies that came after one to a later request: the path or the service's \
                     threads change the order";
    let unasked = if target.starts_with("udp:") {
        "replies that belong to no request: look at one with stentor trace -- stentor send"
    } else {
        "replies that belong to no request. A service that speaks first: --greeting; else look: \
         stentor trace -- stentor send"
    };
    vec![
        (tally.duplicates, "duplicate", duplicate.to_owned()),
        (tally.reordered, "reordered", reordered.to_owned()),
        (tally.unasked, "unasked", unasked.to_owned()),
        (tally.unsent, "unsent", unsent.to_owned()),
        (connections.refused, "connections refused", refused),
        (connections.lost, "connections lost", lost),
    ]
}
