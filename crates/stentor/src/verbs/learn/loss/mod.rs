//! The lesson `loss`: the same sentences over UDP and over TCP, and the same worse link.
//!
//! On a lab link packets are lost, and the kernel's TCP repairs it (`packets`); where none is to be
//! had, proxies show what they can, and say what they cannot (`proxies`).

mod packets;
mod proxies;

use std::collections::BTreeMap;
use std::time::Duration;

use serde::{Deserialize, Serialize};
use stentor_core::seed::Seed;

use super::apart::OnLink;
use super::evidence::count;
use super::stage::{Stage, Stop};
use crate::drive::lab::{Lab, Strikes};

/// Sentences that are sent over each transport.
const SENTENCES: usize = 12;
/// Bytes of a sentence.
const LENGTH: usize = 12;
/// The link. Of its first twelve packets up it loses 3, 6 and 9, lets 4 overtake and doubles 12; the
/// third carries the first sentence of a connection, and three are never lost in a row.
const LINK: OnLink = OnLink {
    words: "delay=30ms,up:loss=20%,up:reorder=15%,up:duplicate=10%",
    seed: Seed(2),
    strikes: Strikes::Transport,
};
/// The same words in the flags of `impair`, which leave a line room.
const SHOWN: &str = "--link delay=30ms --up loss=20%,reorder=15%,duplicate=10%";
/// Its delay.
const DELAY: Duration = Duration::from_millis(30);

/// `sentence 07\n`.
fn sentence(number: usize) -> String {
    format!("sentence {number:02}\n")
}

/// The number of a sentence that arrived; none if it is no sentence.
fn number(bytes: &[u8]) -> Option<usize> {
    let number = std::str::from_utf8(bytes).ok()?.strip_prefix("sentence ")?.trim_end();
    number.parse().ok().filter(|number| (1..=SENTENCES).contains(number))
}

/// What became of one sentence, by the link's own record.
#[derive(Clone, Copy, Debug, Default, Serialize, Deserialize)]
struct Journey {
    /// How often it left.
    left: usize,
    /// How often it arrived.
    arrived: usize,
    /// Whether it overtook others on its first way.
    overtook: bool,
    /// Whether it was lost on its first way.
    lost: bool,
    /// From its first leaving to the moment when a program could read it, in nanoseconds; none if
    /// that is not known, or it never could.
    took_ns: Option<u64>,
}

/// The journeys of all sentences, by their numbers.
type Journeys = BTreeMap<usize, Journey>;

pub(super) fn play(stage: &mut Stage<'_>) -> Result<(), Stop> {
    match Lab::possible() {
        Ok(()) => {
            let udp = stage.on_a_link(LINK, packets::datagrams)?;
            let tcp = stage.on_a_link(LINK, packets::stream)?;
            compare(stage, &udp, &tcp)
        }
        Err(complaint) => {
            proxies::datagrams(stage, &complaint)?;
            proxies::stream(stage)
        }
    }
}

/// `3, 6, 9`; a word if there are none.
fn list(numbers: &[usize]) -> String {
    match numbers {
        [] => "none".to_owned(),
        numbers => numbers.iter().map(ToString::to_string).collect::<Vec<_>>().join(", "),
    }
}

/// What holds of datagrams, on whatever link: `order` is what the server received, one after the
/// other.
fn datagram_claims(
    stage: &mut Stage<'_>,
    journeys: &Journeys,
    order: &[usize],
) -> Result<(), Stop> {
    let of = |wanted: &dyn Fn(&Journey) -> bool| -> Vec<usize> {
        journeys.iter().filter(|(_, it)| wanted(it)).map(|(number, _)| *number).collect()
    };
    let lost = of(&|it| it.lost);
    let doubled = of(&|it| it.arrived > 1);
    let overtook = of(&|it| it.overtook && it.arrived > 0);
    stage.fact("received, in this order", list(order))?;
    stage.fact("lost, says the link", list(&lost))?;
    stage.fact("doubled, says the link", list(&doubled))?;
    stage.fact("overtook, says the link", list(&overtook))?;
    stage.claim(
        "Each datagram left once: what is lost stays lost, and neither program is told.",
        journeys.len() == SENTENCES && journeys.values().all(|it| it.left == 1),
        format!(
            "{SENTENCES} calls of sendto, {} datagrams",
            journeys.values().map(|it| it.left).sum::<usize>()
        ),
    )?;
    let times = |number: &usize| order.iter().filter(|it| *it == number).count();
    stage.claim(
        "What arrived, and how often, is what the link's log says: gaps, and copies.",
        !lost.is_empty() && journeys.iter().all(|(number, it)| times(number) == it.arrived),
        format!(
            "{} of {SENTENCES} arrived, in {}",
            SENTENCES - lost.len(),
            count(order.len(), "datagram")
        ),
    )?;
    let kept = order.iter().copied().filter(|number| !overtook.contains(number));
    let kept: Vec<usize> = kept.collect();
    stage.claim(
        "Nobody puts them in order again: those that overtook come as they came, and only the rest \
         kept its order, because the link did.",
        kept.is_sorted(),
        format!("overtook: {}; the rest: {}", list(&overtook), list(&kept)),
    )
}

/// Both beside each other.
fn compare(stage: &mut Stage<'_>, udp: &Journeys, tcp: &Journeys) -> Result<(), Stop> {
    stage.step(
        "Both are put beside each other: how long after it left could each sentence be read?",
        "TCP hands a byte out only when all before it are there: what arrived in time waits for what \
         did not (head-of-line blocking). UDP hands out what there is.",
    )?;
    let mut lines = vec![format!("{:<14}{:<16}TCP", "sentence", "UDP")];
    for number in 1..=SENTENCES {
        let words = |journeys: &Journeys| match journeys.get(&number) {
            Some(Journey { took_ns: Some(took), left, .. }) => {
                // Tenths of a millisecond: what is below is this machine's.
                let ms = Duration::from_nanos(*took).as_secs_f64() * 1e3;
                let again = if *left > 1 { format!(", left {left} times") } else { String::new() };
                format!("{ms:.1} ms{again}")
            }
            Some(_) | None => "never".to_owned(),
        };
        lines.push(format!("{number:<14}{:<16}{}", words(udp), words(tcp)));
    }
    stage.figure(&lines)?;
    let readable = |journeys: &Journeys| journeys.values().filter(|it| it.arrived > 0).count();
    let lost = tcp.values().filter(|it| it.lost).count();
    stage.claim(
        "The link is as bad for both: it lost sentences of each. All of TCP's can be read.",
        readable(udp) < SENTENCES && lost > 0 && readable(tcp) == SENTENCES,
        format!(
            "UDP {} of {SENTENCES}; TCP {} of {SENTENCES}, {lost} of them lost at first",
            readable(udp),
            readable(tcp)
        ),
    )
}
