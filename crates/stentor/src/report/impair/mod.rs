//! What `impair` tells: where its proxies are, which tier is in force and what that cannot show, and
//! what was done to how many units.

use std::fmt::Write;
use std::net::SocketAddr;
use std::time::Duration;

use stentor_core::endpoint::Transport;
use stentor_core::link::Counters;
use stentor_core::units::Span;

use crate::drive::impair::{Counts, Lateness, StreamCounts, UnitCounts};

/// A proxy, in words.
#[derive(Clone, Debug)]
pub struct Title {
    /// What it carries.
    pub transport: Transport,
    /// Where clients come in.
    pub listen: SocketAddr,
    /// Where it leads, as it was written.
    pub target: String,
    /// What it does at first, in a link's words.
    pub link: String,
}

/// Which tier a transport is carried by, and what that cannot show.
const fn tier(transport: Transport) -> &'static str {
    match transport {
        Transport::Udp => {
            "datagram tier: a datagram is a unit; fragmentation, ECN, TTL and ICMP are not carried"
        }
        Transport::Tcp | Transport::Unix => {
            "stream tier: TCP ends here twice; bytes come late, slow or cut, never lost or reordered"
        }
    }
}

/// The line that says that a proxy can be used.
pub fn ready(title: &Title) -> String {
    let Title { transport, listen, target, link } = title;
    let link = if link.is_empty() { "nothing is changed" } else { link };
    format!("{transport}://{listen} leads to {target}: {link}\n  ({})", tier(*transport))
}

/// One line while it runs.
pub fn live(counts: &[Counts], elapsed: Duration) -> String {
    let parts = counts.iter().map(|counts| match counts {
        Counts::Stream(streams) => format!(
            "tcp {} open, {} B up, {} B down",
            streams.open, streams.up_sent_bytes, streams.down_sent_bytes
        ),
        Counts::Units(units) => format!(
            "udp up {} of {}, down {} of {}, {} dropped",
            units.up.delivered,
            units.up.taken,
            units.down.delivered,
            units.down.taken,
            units.up.dropped() + units.down.dropped()
        ),
    });
    format!("{:>4} s  {}", elapsed.as_secs(), parts.collect::<Vec<_>>().join("; "))
}

/// What was done, in the end.
pub fn text(proxies: &[(Title, Counts)]) -> String {
    let mut text = String::new();
    for (title, counts) in proxies {
        // Writing to a String cannot fail.
        let _ = writeln!(text, "{}://{}", title.transport, title.listen);
        match counts {
            Counts::Stream(streams) => stream(&mut text, streams),
            Counts::Units(counts) => units(&mut text, counts),
        }
    }
    text
}

fn stream(text: &mut String, counts: &StreamCounts) {
    let mut ends = vec![format!("{} in order", counts.finished)];
    for (count, what) in [
        (counts.cut, "reset"),
        (counts.refused, "refused"),
        (counts.unreachable, "upstream unreachable"),
        (counts.open, "open"),
    ] {
        if count > 0 {
            ends.push(format!("{count} {what}"));
        }
    }
    let _ = writeln!(text, "  connections  {} = {}", counts.accepted, ends.join(" + "));
    let rows = [
        ("up", counts.up_received_bytes, counts.up_sent_bytes),
        ("down", counts.down_received_bytes, counts.down_sent_bytes),
    ];
    for (name, received, sent) in rows {
        let _ = writeln!(text, "  {name:<12} {received} bytes in, {sent} out");
    }
    if counts.exhausted > 0 {
        let _ = writeln!(
            text,
            "  accept       had to wait {} times for descriptors or memory (ulimit -n)",
            counts.exhausted
        );
    }
    late(text, &counts.lateness);
}

fn units(text: &mut String, counts: &UnitCounts) {
    let _ = writeln!(text, "  {:<24}{:>12}{:>12}", "datagrams", "up", "down");
    let row = |text: &mut String, name: &str, of: fn(&Counters) -> u64, always: bool| {
        let (up, down) = (of(&counts.up), of(&counts.down));
        if always || up + down > 0 {
            let _ = writeln!(text, "  {name:<24}{up:>12}{down:>12}");
        }
    };
    row(text, "came", |link| link.taken, true);
    row(text, "copied (duplicate)", |link| link.duplicated, false);
    row(text, "lost (loss)", |link| link.lost, false);
    row(text, "lost (burst)", |link| link.lost_in_burst, false);
    row(text, "lost (every)", |link| link.lost_by_count, false);
    row(text, "dropped, queue full", |link| link.queue_full, false);
    row(text, "dropped, path full", |link| link.flight_full, false);
    row(text, "delivered", |link| link.delivered, true);
    row(text, "of them a bit flipped", |link| link.corrupted, false);
    row(text, "of them overtaking", |link| link.reordered, false);
    if counts.up_waiting + counts.down_waiting > 0 {
        let (up, down) = (counts.up_waiting, counts.down_waiting);
        let _ = writeln!(text, "  {:<24}{up:>12}{down:>12}", "still under way");
    }
    for (count, what) in [
        (counts.unreachable, "nobody listened upstream (ICMP port unreachable)"),
        (counts.not_sent, "delivered by the link, refused by the system or of a client forgotten"),
    ] {
        if count > 0 {
            let _ = writeln!(text, "  {count} {what}");
        }
    }
    late(text, &counts.lateness);
}

fn late(text: &mut String, lateness: &Lateness) {
    if lateness.count > 0 {
        // Whole microseconds: more would be noise.
        let micro = |span: Duration| {
            Span(span - Duration::from_nanos(u64::from(span.subsec_nanos() % 1000)))
        };
        let _ = writeln!(
            text,
            "  later than due by {} on average, {} at worst",
            micro(lateness.mean()),
            micro(lateness.max)
        );
    }
}
