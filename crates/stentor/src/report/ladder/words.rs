//! What is said of a packet, a call, a state and their ties, the same in every form of the ladder.
//!
//! Where it stands and how it looks is left to [`super::trace`], `svg`, `page` and `mermaid`.

use std::fmt::Write;

use stentor_core::moment::Moment;
use stentor_core::timeline::cause::{CallNo, Grade, PacketNo, Relation};
use stentor_core::timeline::header::{Flags, Icmp, Tcp, Transport};
use stentor_core::timeline::ladder::{
    Arrow, CallMark, Group, Ladder, Link, Mark, Omitted, Program, Protocol, Side, StateMark,
};
use stentor_core::timeline::record::{Mode, Wire};
use stentor_core::timeline::stream::Kind;
use stentor_core::timeline::verdict::Finding;

use super::lines::{columns, fit};

/// Text that can be shown anywhere: what moves the cursor, turns the line round, takes no room or
/// is no character of XML 1.0 (section 2.2) is written as its code.
pub fn clean(text: &str) -> String {
    let mut shown = String::with_capacity(text.len());
    for character in text.chars() {
        let hidden = matches!(character,
            '\u{ad}' | '\u{61c}' | '\u{180e}' | '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}'
            | '\u{2060}'..='\u{206f}' | '\u{feff}' | '\u{fff9}'..='\u{fffb}' | '\u{fffe}'
            | '\u{ffff}' | '\u{e0000}'..='\u{e0fff}');
        match character {
            '\t' | '\n' | '\r' => shown.extend(character.escape_default()),
            c if hidden || c.is_control() => shown.extend(c.escape_unicode()),
            c => shown.push(c),
        }
    }
    shown
}

/// Milliseconds since the run began, to the microsecond: `12.345`.
pub fn time(at: Moment) -> String {
    let microseconds = at.as_nanos() / 1000;
    format!("{}.{:03}", microseconds / 1000, microseconds % 1000)
}

/// How long a call waited, in a unit that reads well: `12.3 ms`; none if it never came back.
pub fn waited(call: &CallMark) -> Option<String> {
    let nanoseconds = call.left?.since(call.entered).as_nanos();
    let microseconds = nanoseconds / 1000;
    Some(match microseconds {
        0..1_000 => format!("{microseconds} us"),
        1_000..1_000_000 => format!("{}.{} ms", microseconds / 1000, microseconds % 1000 / 100),
        _ => format!("{}.{} s", microseconds / 1_000_000, microseconds % 1_000_000 / 100_000),
    })
}

/// What a packet says of itself, in pieces, so that each form takes what it has room for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PacketWords {
    /// Flags or protocol: `SYN,ACK`, `UDP`, `ICMP port unreachable`.
    pub what: String,
    /// What must be shown, in full: `seq 1 len 6`, `ack 1`, `win 65536`.
    pub full: Vec<String>,
    /// The same with less ink: `seq 1+6` is 6 bytes from 1 on.
    pub short: Vec<String>,
    /// What may be shown if there is room: options, checksum, payload.
    pub more: Vec<String>,
}

impl PacketWords {
    /// On one line, in full, without what may be left out.
    pub fn line(&self) -> String {
        self.joined(&self.full)
    }

    /// In lines of at most `room` columns: in full if one line holds it, else with less ink, at
    /// last `1+6` and `w 65536`, else broken between its pieces; what may be left out is added where one line holds it.
    pub fn lines(&self, room: usize) -> Vec<String> {
        let mut line = self.joined(&self.full);
        if columns(&line) > room {
            line = self.joined(&self.short);
        }
        if columns(&line) > room {
            line = line.replace("seq ", "").replace("win ", "w ");
        }
        if columns(&line) > room {
            return self.broken(room);
        }
        for piece in &self.more {
            if columns(&line) + columns(piece) + 3 > room {
                break;
            }
            line.push(' ');
            line.push_str(piece);
        }
        vec![line]
    }

    fn joined(&self, pieces: &[String]) -> String {
        let mut line = self.what.clone();
        for piece in pieces {
            line.push(' ');
            line.push_str(piece);
        }
        line
    }

    fn broken(&self, room: usize) -> Vec<String> {
        let mut lines = vec![fit(&self.what, room)];
        for piece in &self.short {
            match lines.last_mut() {
                Some(line) if columns(line) + 1 + columns(piece) <= room => {
                    line.push(' ');
                    line.push_str(piece);
                }
                _ => lines.push(fit(piece, room)),
            }
        }
        lines
    }
}

/// Describes a packet.
pub fn packet(arrow: &Arrow) -> PacketWords {
    let mut words = match &arrow.headers.transport {
        Transport::Tcp(tcp) => segment(arrow, tcp),
        Transport::Udp(udp) => {
            let data = arrow.headers.payload_length;
            // The header counts the whole datagram, of which this may be the first fragment.
            let whole = u32::from(udp.length).saturating_sub(8);
            let data = match whole > data {
                true => format!("{} in fragments", bytes(whole)),
                false => bytes(data),
            };
            PacketWords {
                what: "UDP".into(),
                full: vec![format!("{} -> {}", udp.source, udp.destination), data.clone()],
                short: vec![data],
                more: vec![
                    format!("length {}", udp.length),
                    format!("cksum {:#06x}", udp.checksum),
                ],
            }
        }
        Transport::Icmp(icmp) => {
            let about = icmp.about.as_ref().map(|about| format!("for {}", about.destination));
            let about: Vec<String> = about.into_iter().collect();
            let what = message(icmp, arrow.headers.ip.source.is_ipv6());
            PacketWords { what, full: about, short: Vec::new(), more: Vec::new() }
        }
        Transport::Other => {
            let ip = &arrow.headers.ip;
            let what = if ip.fragment { "fragment" } else { "IP" };
            let pieces = vec![format!("protocol {}", ip.protocol), bytes(ip.length)];
            PacketWords { what: what.into(), full: pieces.clone(), short: pieces, more: Vec::new() }
        }
    };
    words.more.splice(..0, transit(arrow, 0));
    if !arrow.excerpt.is_empty() {
        words.more.push(format!("\"{}\"", clean(&arrow.excerpt)));
    }
    words
}

fn segment(arrow: &Arrow, tcp: &Tcp) -> PacketWords {
    let length = arrow.headers.payload_length;
    let (sequence, acknowledgment, window) = match &arrow.tcp {
        Some(relative) => (relative.sequence, relative.acknowledgment, relative.window),
        None => {
            let acknowledged = tcp.flags.has(Flags::ACK).then(|| u64::from(tcp.acknowledgment));
            (u64::from(tcp.sequence), acknowledged, None)
        }
    };
    let mut full = vec![format!("seq {sequence}")];
    let mut short = full.clone();
    if length > 0 {
        full.push(format!("len {length}"));
        short = vec![format!("seq {sequence}+{length}")];
    }
    let mut both = Vec::new();
    if let Some(acknowledgment) = acknowledgment {
        both.push(format!("ack {acknowledgment}"));
    }
    if !tcp.flags.has(Flags::RST) {
        // The field of a SYN is never scaled (RFC 7323, section 2.2).
        both.push(match window {
            Some(window) => format!("win {window}"),
            None => format!("win {} unscaled", tcp.window),
        });
    }
    full.extend_from_slice(&both);
    short.append(&mut both);
    let mut more = Vec::new();
    if let Some(kind) = arrow.tcp.and_then(|relative| kind(relative.kind)) {
        more.push(kind.to_owned());
    }
    // Every segment has timestamps; the other options say something.
    let mut rare = *tcp;
    rare.options.timestamps = None;
    more.extend(options(&rare));
    PacketWords { what: tcp.flags.to_string(), full, short, more }
}

/// The kinds of segments that their flags do not tell.
fn kind(kind: Kind) -> Option<&'static str> {
    match kind {
        Kind::Retransmission => Some("retransmission"),
        Kind::WindowUpdate => Some("window update"),
        Kind::DuplicateAck => Some("duplicate ACK"),
        Kind::KeepAlive => Some("keep-alive"),
        Kind::WindowProbe => Some("window probe"),
        Kind::Syn | Kind::Data | Kind::Fin | Kind::Rst | Kind::Ack => None,
    }
}

/// TCP's options that were read, each in words.
pub fn options(tcp: &Tcp) -> Vec<String> {
    let options = &tcp.options;
    let mut words = Vec::new();
    words.extend(options.mss.map(|mss| format!("mss {mss}")));
    words.extend(options.window_scale.map(|scale| format!("wscale {scale}")));
    words.extend(options.sack_permitted.then(|| "sackOK".to_owned()));
    words.extend(options.sack.map(|(from, to)| format!("sack {from}:{to}")));
    words.extend(options.timestamps.map(|(own, echo)| format!("timestamp {own} echo {echo}")));
    words
}

/// An ICMP message by its name where programs meet it (RFC 792; RFC 4443, section 3).
pub fn message(icmp: &Icmp, v6: bool) -> String {
    let name = match (v6, icmp.kind, icmp.code) {
        (false, 3, 0) | (true, 1, 0) => "network unreachable",
        (false, 3, 1) | (true, 1, 3) => "host unreachable",
        (false, 3, 3) | (true, 1, 4) => "port unreachable",
        (false, 3, 4) | (true, 2, 0) => "packet too big",
        (false, 11, _) | (true, 3, _) => "time exceeded",
        (false, 8, _) | (true, 128, _) => "echo request",
        (false, 0, _) | (true, 129, _) => "echo reply",
        _ => return format!("ICMP type {} code {}", icmp.kind, icmp.code),
    };
    format!("ICMP {name}")
}

/// A number of bytes: `1 byte`, `6 bytes`.
pub fn bytes(number: u32) -> String {
    if number == 1 { "1 byte".into() } else { format!("{number} bytes") }
}

/// Why a packet left, or what came of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Tie {
    /// Who: `sendto #4`, `kernel`, `timer: retransmission`, `exit of 4242`.
    pub who: String,
    /// By which rules: `handshake-ack`.
    pub rule: &'static str,
    /// How sure; of several the least.
    pub grade: Grade,
}

/// The links of a packet that point this way.
pub fn links<'a>(
    ladder: &'a Ladder,
    arrow: &Arrow,
    relation: Relation,
) -> impl Iterator<Item = &'a Link> {
    let range = arrow.links.start as usize..arrow.links.end as usize;
    let links = ladder.links.get(range).unwrap_or_default();
    links.iter().filter(move |link| link.relation == relation)
}

/// Why the packet left. A packet without a cause says so.
pub fn cause(ladder: &Ladder, arrow: &Arrow) -> Tie {
    let unknown = Tie { who: "cause unknown".into(), rule: "none", grade: Grade::Unknown };
    tie(ladder, arrow, Relation::Cause).unwrap_or(unknown)
}

/// Which calls came back because of the packet.
pub fn effect(ladder: &Ladder, arrow: &Arrow) -> Option<Tie> {
    tie(ladder, arrow, Relation::Effect)
}

fn tie(ladder: &Ladder, arrow: &Arrow, relation: Relation) -> Option<Tie> {
    let grade = links(ladder, arrow, relation).map(|link| link.grade).max()?;
    let first = links(ladder, arrow, relation).find(|link| link.grade == grade)?;
    let called: Vec<&CallMark> = links(ladder, arrow, relation)
        .filter_map(|link| ladder.calls.get(link.call? as usize))
        .collect();
    let who = match (called.as_slice(), first.process) {
        ([], Some(process)) => format!("exit of {process}"),
        ([], None) => match grade {
            Grade::Kernel => "kernel".into(),
            Grade::Timer => format!("timer: {}", first.rule),
            Grade::Exit => "exit".into(),
            Grade::Unknown => "cause unknown".into(),
            Grade::Exact | Grade::Inferred => "call not shown".into(),
        },
        ([one], _) => by(one),
        ([one, two], _) => format!("{} +{}", by(one), number(two.number)),
        ([one, .., last], _) => format!("{} … {}", by(one), number(last.number)),
    };
    Some(Tie { who, rule: first.rule.name(), grade })
}

fn by(call: &CallMark) -> String {
    format!("{} {}", call.name, number(call.number))
}

/// A call's number as it is shown: `#4` is the fourth of the record.
pub fn number(call: CallNo) -> String {
    format!("#{}", u64::from(call.0) + 1)
}

/// A packet's number as captures count: from 1.
pub fn capture_number(packet: PacketNo) -> u64 {
    u64::from(packet.0) + 1
}

/// A call that went in: `#4 connect(3, 127.0.0.1:12000)`.
pub fn entered(call: &CallMark) -> String {
    format!("{} {}({})", number(call.number), call.name, clean(&call.arguments))
}

/// How it came back: `= 6 "HELLO\n"`; of the bytes no more than fits in `room` columns with their quotes.
pub fn outcome(call: &CallMark, room: usize) -> String {
    let mut words = format!("= {}", clean(&call.outcome));
    if !call.excerpt.is_empty() {
        let excerpt = clean(&call.excerpt);
        let _ = match columns(&excerpt) + 2 <= room {
            true => write!(words, " \"{excerpt}\""),
            false => {
                let excerpt = excerpt.trim_end_matches('…');
                write!(
                    words,
                    " \"{}…\"",
                    fit(excerpt, room.saturating_sub(2)).trim_end_matches('…')
                )
            }
        };
    }
    words
}

/// State and queues of a socket where they differ from what was said before: `ESTABLISHED`,
/// `Recv-Q 6`. Names of the queues as in ss(8).
pub fn state(now: &StateMark, before: Option<&StateMark>) -> Vec<String> {
    let mut words = Vec::new();
    let told = |differs: fn(&StateMark, &StateMark) -> bool| {
        before.is_none_or(|before| differs(now, before))
    };
    if told(|now, before| now.state != before.state) {
        words.extend(now.state.map(|state| state.name().to_owned()));
    }
    for (queue, now, before) in [
        ("Recv-Q", now.unread, before.map_or(Some(0), |before| before.unread)),
        ("Send-Q", now.unsent, before.map_or(Some(0), |before| before.unsent)),
    ] {
        if now != before && now.unwrap_or(0) != before.unwrap_or(0) {
            words.push(format!("{queue} {}", now.unwrap_or(0)));
        }
    }
    words
}

/// What is spoken.
pub fn protocol(protocol: Protocol) -> &'static str {
    match protocol {
        Protocol::Tcp => "TCP",
        Protocol::Udp => "UDP",
        Protocol::Unix => "AF_UNIX",
        Protocol::Other => "socket",
    }
}

/// The title of a conversation: `TCP 127.0.0.1:51234 -> 127.0.0.1:12000`.
pub fn title(group: &Group) -> String {
    let spoken = protocol(group.protocol);
    match (group.client.address, group.server.address) {
        (Some(client), Some(server)) => format!("{spoken} {client} → {server}"),
        (Some(one), None) | (None, Some(one)) => format!("{spoken} {one}"),
        (None, None) => spoken.to_owned(),
    }
}

/// Who an end is: `4241 python3 server.py`; `not traced`; empty where there is no such end.
pub fn side(side: &Side) -> String {
    match (side.pid, side.command.as_str(), side.address) {
        (Some(pid), command, _) => format!("{pid} {}", clean(command)).trim_end().to_owned(),
        (None, _, Some(_)) => "not traced".into(),
        (None, _, None) => String::new(),
    }
}

/// A program and its end: `4241 python3 server.py: exit 0`.
pub fn program(program: &Program) -> String {
    let command: Vec<String> = program.command.iter().map(|word| clean(word)).collect();
    let mut words = format!("{} {}", program.pid, command.join(" "));
    if let Some(parent) = program.parent {
        let _ = write!(words, ", made by {parent}");
    }
    match (program.ending.as_str(), program.ended) {
        ("", _) => words.push_str(": not seen to end"),
        (ending, None) => {
            let _ = write!(words, ": {}", clean(ending));
        }
        (ending, Some(at)) => {
            let _ = write!(words, ": {} at {} ms", clean(ending), time(at));
        }
    }
    words
}

/// How the record was made, in a sentence without its end.
pub fn made(ladder: &Ladder) -> String {
    let mode = match ladder.header.mode {
        Mode::Lab => "lab: a private network",
        Mode::Host => "host: the real network",
        Mode::Calls => "calls only: no packets were captured, states are concluded from calls",
    };
    let wire = match (ladder.header.mode, ladder.header.wire) {
        (Mode::Calls, _) => "",
        (_, Wire::Ethernet) => "; wire as Ethernet, MTU 1500, no offload",
        (_, Wire::Raw) => "; wire as the interface is",
    };
    let system = clean(&ladder.header.kernel);
    let machine = clean(&ladder.header.machine);
    let system = if system.is_empty() { system } else { format!("; Linux {system} {machine}") };
    match &ladder.header.link {
        Some(link) => format!("{mode}; {}{system}", self::link(link)),
        None => format!("{mode}{wire}{system}"),
    }
}

/// What a lab link is, and what it cannot show.
fn link(link: &str) -> String {
    format!(
        "packets cross a lab link ({}): two networks joined by TUN devices, MTU 1500, no Ethernet \
         and no router between; a packet stands where the link took it",
        clean(link)
    )
}

/// How long a packet was on its way over a lab link, until it or its `copy` arrived: `+20.1 ms`.
pub fn transit(arrow: &Arrow, copy: u32) -> Option<String> {
    let arrived = arrow.crossing.as_ref()?.arrivals.get(copy as usize)?;
    let microseconds = arrived.since(arrow.at).as_micros();
    Some(match microseconds {
        0..1_000 => format!("+{microseconds} us"),
        1_000..1_000_000 => format!("+{}.{} ms", microseconds / 1000, microseconds % 1000 / 100),
        _ => format!("+{}.{} s", microseconds / 1_000_000, microseconds % 1_000_000 / 100_000),
    })
}

/// What a lab link did to a packet besides delivering it: `lost on the link: loss`.
pub fn harm(arrow: &Arrow) -> Option<String> {
    let crossing = arrow.crossing.as_ref()?;
    match (&crossing.dropped, crossing.arrivals.is_empty(), crossing.flipped) {
        (Some(why), true, _) => Some(format!("lost on the link: {}", clean(why))),
        (None, true, _) => Some("on its way at the end".to_owned()),
        (_, false, Some(bit)) => Some(format!("bit {bit} flipped on the link")),
        (_, false, None) => None,
    }
}

/// What arrived, for a row of its own: `PSH,ACK seq 1+6 +20.1 ms`.
pub fn arrived(arrow: &Arrow, copy: u32) -> String {
    let words = packet(arrow);
    let short = words.short.first().map(|piece| format!(" {piece}")).unwrap_or_default();
    let again = if copy > 0 { " again" } else { "" };
    format!("{}{short}{again} {}", words.what, transit(arrow, copy).unwrap_or_default())
}

/// A finding with its witnesses, packets with the time of the first, by which it is found in any
/// form: `1 send = 7 segments (#4; packets 4-10 from 0.310 ms on)`.
pub fn finding(ladder: &Ladder, finding: &Finding) -> String {
    let calls = numbers("", "", "#", finding.calls.iter().map(|call| u64::from(call.0) + 1));
    let packets = finding.packets.iter().map(|packet| capture_number(*packet));
    let mut packets = numbers("packet ", "packets ", "", packets);
    let first = finding.packets.iter().min().and_then(|first| {
        let place = ladder.packets.binary_search_by_key(first, |arrow| arrow.number).ok()?;
        ladder.packets.get(place)
    });
    if let Some(first) = first {
        let at = time(first.at);
        let _ = match finding.packets.len() {
            1 => write!(packets, " at {at} ms"),
            _ => write!(packets, " from {at} ms on"),
        };
    }
    let words = clean(&finding.words);
    match (calls.as_str(), packets.as_str()) {
        ("", "") => words,
        ("", one) | (one, "") => format!("{words} ({one})"),
        (calls, packets) => format!("{words} ({calls}; {packets})"),
    }
}

/// Numbers in order, neighbours drawn together: `4-10, 12`. At most eight pieces.
fn numbers(one: &str, many: &str, each: &str, numbers: impl Iterator<Item = u64>) -> String {
    let mut numbers: Vec<u64> = numbers.collect();
    numbers.sort_unstable();
    numbers.dedup();
    let mut runs: Vec<(u64, u64)> = Vec::new();
    for number in &numbers {
        match runs.last_mut() {
            Some((_, last)) if *last + 1 == *number => *last = *number,
            _ => runs.push((*number, *number)),
        }
    }
    let mut pieces: Vec<String> = runs
        .iter()
        .take(8)
        .map(|(first, last)| match last - first {
            0 => format!("{each}{first}"),
            1 => format!("{each}{first}, {each}{last}"),
            _ => format!("{each}{first}-{each}{last}"),
        })
        .collect();
    if runs.len() > 8 {
        pieces.push("…".into());
    }
    match numbers.len() {
        0 => String::new(),
        1 => format!("{one}{}", pieces.join(", ")),
        _ => format!("{many}{}", pieces.join(", ")),
    }
}

/// What is not shown, a sentence each; `undrawn` rows are those the form had no room for.
pub fn omitted(omitted: &Omitted, undrawn: usize) -> Vec<String> {
    let plural = |number: u64, one: &str, many: &str| match number {
        1 => format!("1 {one}"),
        number => format!("{number} {many}"),
    };
    let mut sentences = Vec::new();
    if undrawn > 0 {
        let rows = plural(undrawn as u64, "further row is", "further rows are");
        sentences
            .push(format!("{rows} in the record but not drawn here: it is a picture, not a list."));
    }
    if omitted.rows > 0 {
        let rows = plural(omitted.rows, "row is", "rows are");
        let whole = match omitted.unlisted {
            0 => String::new(),
            unlisted => format!(
                ", {} among them",
                plural(unlisted, "whole conversation", "whole conversations")
            ),
        };
        sentences.push(format!("{rows} left out by the limit on events{whole}."));
    }
    if omitted.groups > 0 {
        let groups = plural(omitted.groups, "conversation is", "conversations are");
        sentences.push(format!(
            "{groups} not shown: left out by --only, or local (--local shows those)."
        ));
    }
    sentences
}

/// What a grade means to the reader.
pub fn grade(grade: Grade) -> &'static str {
    match grade {
        Grade::Exact => "exact: proved by numbers, addresses or order",
        Grade::Kernel => "kernel: no call did it",
        Grade::Timer => "timer of the kernel",
        Grade::Exit => "exit of a process",
        Grade::Inferred => "inferred: likely, not proved",
        Grade::Unknown => "unknown",
    }
}

/// The grades that the drawn packets have, surest first.
pub fn grades(ladder: &Ladder) -> Vec<Grade> {
    let mut seen = [false; Grade::ALL.len()];
    for group in &ladder.groups {
        for row in &group.rows {
            if let Mark::Packet(place) | Mark::Departs(place) = row.mark
                && let Some(arrow) = ladder.packets.get(place as usize)
            {
                let grade = cause_grade(ladder, arrow);
                for (seen, known) in seen.iter_mut().zip(Grade::ALL) {
                    *seen |= known == grade;
                }
            }
        }
    }
    Grade::ALL.into_iter().zip(seen).filter(|(_, seen)| *seen).map(|(grade, _)| grade).collect()
}

fn cause_grade(ladder: &Ladder, arrow: &Arrow) -> Grade {
    let grades = links(ladder, arrow, Relation::Cause).map(|link| link.grade);
    grades.max().unwrap_or(Grade::Unknown)
}
