//! Every field of the drawn calls and packets, as JSON for the script of the page.

use std::collections::BTreeSet;

use serde_json::{Map, Value, json};
use stentor_core::timeline::cause::Relation;
use stentor_core::timeline::header::{Flags, Headers, Tcp, Transport};
use stentor_core::timeline::ladder::{Arrow, CallMark, Group, Ladder, Link, Mark};
use stentor_core::timeline::record::Direction;

use crate::report::ladder::words;

/// Ties that are told one by one.
const TIES_MAX: usize = 40;

/// What the pictures show, by places in the ladder's tables.
#[derive(Default)]
pub(super) struct Drawn {
    calls: BTreeSet<u32>,
    packets: BTreeSet<u32>,
}

impl Drawn {
    /// The first `rows` rows of a conversation are drawn.
    pub(super) fn add(&mut self, group: &Group, rows: usize) {
        for row in group.rows.iter().take(rows) {
            match row.mark {
                Mark::Call(_, place) | Mark::CallBegins(_, place) | Mark::CallEnds(_, place) => {
                    self.calls.insert(place);
                }
                Mark::Packet(place) | Mark::Departs(place) | Mark::Arrives(place, _) => {
                    self.packets.insert(place);
                }
                Mark::State(..) => {}
            }
        }
    }
}

/// `{"p0": [title, [[name, value], ...]], ...}` where a value of null makes its name a heading. No
/// character of it can end a script element or begin markup.
pub(super) fn json(ladder: &Ladder, drawn: &Drawn) -> String {
    let mut all = Map::new();
    for place in &drawn.calls {
        if let Some(call) = ladder.calls.get(*place as usize) {
            all.insert(format!("c{place}"), called(ladder, call));
        }
    }
    for place in &drawn.packets {
        if let Some(arrow) = ladder.packets.get(*place as usize) {
            all.insert(format!("p{place}"), sent(ladder, arrow));
        }
    }
    let text = Value::Object(all).to_string();
    let mut safe = String::with_capacity(text.len());
    for character in text.chars() {
        match character {
            '<' => safe.push_str("\\u003c"),
            '>' => safe.push_str("\\u003e"),
            '&' => safe.push_str("\\u0026"),
            c => safe.push(c),
        }
    }
    safe
}

/// Names and values, in the order they are read.
#[derive(Default)]
struct Fields(Vec<Value>);

impl Fields {
    fn add(&mut self, name: &str, value: impl ToString) {
        self.0.push(json!([name, words::clean(&value.to_string())]));
    }

    fn part(&mut self, name: &str) {
        self.0.push(json!([name, null]));
    }

    fn titled(self, title: &str) -> Value {
        json!([words::clean(title), self.0])
    }
}

fn called(ladder: &Ladder, call: &CallMark) -> Value {
    let mut fields = Fields::default();
    fields.add("arguments", &call.arguments);
    fields.add("outcome", &call.outcome);
    if !call.excerpt.is_empty() {
        fields.add("bytes", format!("\"{}\"", call.excerpt));
    }
    if let Some(stream) = &call.stream {
        fields.add("in the stream", format!("{} to {}", stream.start, stream.end));
    }
    fields.add("process, thread", format!("{}, {}", call.pid, call.tid));
    fields.add("entered", format!("{} ms", words::time(call.entered)));
    match (call.left, words::waited(call)) {
        (Some(left), Some(waited)) => {
            fields.add("returned", format!("{} ms, after {waited}", words::time(left)));
        }
        _ => fields.add("returned", "never"),
    }
    for remark in &call.remarks {
        fields.add("finding", remark);
    }
    let links = call.links.iter().filter_map(|link| ladder.links.get(*link as usize));
    for (number, link) in links.enumerate() {
        if number == 0 {
            fields.part("Packets");
        }
        if number == TIES_MAX {
            fields.add("", format!("and {} more", call.links.len() - TIES_MAX));
            break;
        }
        let packet = ladder.packets.get(link.packet as usize);
        let number = packet.map_or(0, |packet| words::capture_number(packet.number));
        let way = match link.relation {
            Relation::Cause => "caused",
            Relation::Effect => "came of",
        };
        fields.add(&format!("{way} packet {number}"), reason(link));
    }
    fields.titled(&format!("Call {} {}", words::number(call.number), call.name))
}

fn reason(link: &Link) -> String {
    let bytes = match link.bytes.is_empty() {
        true => String::new(),
        false => format!("; bytes {} to {}", link.bytes.start, link.bytes.end),
    };
    format!("{} ({}, {}){bytes}", link.rule.words(), link.rule, link.grade)
}

fn sent(ladder: &Ladder, arrow: &Arrow) -> Value {
    let mut fields = Fields::default();
    let headers = &arrow.headers;
    fields.add("time", format!("{} ms", words::time(arrow.at)));
    fields.add("from", headers.source());
    fields.add("to", headers.destination());
    match arrow.direction {
        Direction::Unknown => {}
        Direction::In => fields.add("direction", "from the network"),
        Direction::Out => fields.add("direction", "to the network"),
    }
    crossing(&mut fields, arrow);
    let captured = if arrow.captured < arrow.length { "first " } else { "all " };
    fields.add(
        "on the wire",
        format!("{} bytes, {captured}{} captured", arrow.length, arrow.captured),
    );
    transport(&mut fields, arrow);
    network(&mut fields, headers);
    ties(&mut fields, ladder, arrow, Relation::Cause, "Why it left");
    ties(&mut fields, ladder, arrow, Relation::Effect, "What came of it");
    if words::links(ladder, arrow, Relation::Cause).next().is_none() {
        fields.part("Why it left");
        fields.add("", "unknown: no rule explains it");
    }
    let packet = words::packet(arrow);
    fields.titled(&format!("Packet {}: {}", words::capture_number(arrow.number), packet.what))
}

/// What a lab link did.
fn crossing(fields: &mut Fields, arrow: &Arrow) {
    let arrivals = arrow.crossing.as_ref().map(|crossing| crossing.arrivals.len()).unwrap_or(0);
    for copy in (0..u32::try_from(arrivals).unwrap_or(0)).take(TIES_MAX) {
        let name = if copy == 0 { "arrived after" } else { "and again after" };
        fields.add(name, words::transit(arrow, copy).unwrap_or_default().trim_start_matches('+'));
    }
    if let Some(harm) = words::harm(arrow) {
        fields.add("on the link", harm);
    }
}

fn ties(fields: &mut Fields, ladder: &Ladder, arrow: &Arrow, relation: Relation, part: &str) {
    for (number, link) in words::links(ladder, arrow, relation).take(TIES_MAX).enumerate() {
        if number == 0 {
            fields.part(part);
        }
        let call = link.call.and_then(|call| ladder.calls.get(call as usize));
        let who = match (call, link.process) {
            (Some(call), _) => format!("{} {}", call.name, words::number(call.number)),
            (None, Some(process)) => format!("process {process}"),
            (None, None) => link.grade.to_string(),
        };
        fields.add(&who, reason(link));
    }
}

fn transport(fields: &mut Fields, arrow: &Arrow) {
    let headers = &arrow.headers;
    match &headers.transport {
        Transport::Tcp(tcp) => segment(fields, arrow, tcp),
        Transport::Udp(udp) => {
            fields.part("UDP (RFC 768)");
            fields.add("source port", udp.source);
            fields.add("destination port", udp.destination);
            fields.add(
                "length",
                format!("{} bytes: header 8, data {}", udp.length, headers.payload_length),
            );
            fields.add("checksum", checksum(headers, udp.checksum, u32::from(udp.length)));
        }
        Transport::Icmp(icmp) => {
            fields.part("ICMP");
            fields.add("message", words::message(icmp, headers.ip.source.is_ipv6()));
            fields.add("type, code", format!("{}, {}", icmp.kind, icmp.code));
            if let Some(about) = &icmp.about {
                let protocol = match about.protocol {
                    6 => "TCP".to_owned(),
                    17 => "UDP".to_owned(),
                    other => format!("protocol {other}"),
                };
                let (from, to) = (about.source, about.destination);
                fields.add("about", format!("{protocol} {from} to {to}"));
            }
        }
        Transport::Other => {}
    }
    if !arrow.excerpt.is_empty() {
        fields.add("data", format!("\"{}\"", arrow.excerpt));
    }
}

fn segment(fields: &mut Fields, arrow: &Arrow, tcp: &Tcp) {
    let headers = &arrow.headers;
    fields.part("TCP (RFC 9293)");
    fields.add("source port", tcp.source);
    fields.add("destination port", tcp.destination);
    let relative =
        |number: Option<u64>| number.map_or(String::new(), |n| format!("{n}, on the wire "));
    let sequence = relative(arrow.tcp.map(|tcp| tcp.sequence));
    fields.add("sequence", format!("{sequence}{}", tcp.sequence));
    if tcp.flags.has(Flags::ACK) {
        let acknowledgment = relative(arrow.tcp.and_then(|tcp| tcp.acknowledgment));
        fields.add("acknowledgment", format!("{acknowledgment}{}", tcp.acknowledgment));
    }
    fields.add("flags", tcp.flags);
    let window = match arrow.tcp.and_then(|tcp| tcp.window) {
        Some(window) => format!("{window} bytes, on the wire {}", tcp.window),
        None => format!("{}, its scale was not seen", tcp.window),
    };
    fields.add("window", window);
    let fixed = if headers.ip.source.is_ipv4() { 20 } else { 40 };
    fields
        .add("checksum", checksum(headers, tcp.checksum, headers.ip.length.saturating_sub(fixed)));
    fields.add("urgent pointer", tcp.urgent);
    let options = words::options(tcp);
    fields.add("options", if options.is_empty() { "none".into() } else { options.join(", ") });
    fields.add("data", words::bytes(headers.payload_length));
}

fn network(fields: &mut Fields, headers: &Headers) {
    let ip = &headers.ip;
    fields.part(if ip.source.is_ipv4() { "IPv4 (RFC 791)" } else { "IPv6 (RFC 8200)" });
    fields.add("source", ip.source);
    fields.add("destination", ip.destination);
    fields.add("length", format!("{} bytes", ip.length));
    fields.add(if ip.source.is_ipv4() { "time to live" } else { "hop limit" }, ip.ttl);
    fields.add("protocol", ip.protocol);
    if let Some(identification) = ip.identification {
        fields.add("identification", format!("{identification:#06x}"));
        fields.add("don't fragment", if ip.dont_fragment { "set" } else { "not set" });
    }
    if ip.fragment {
        fields.add("fragment", "yes: not the whole packet");
    }
    fields.add("DSCP, ECN", format!("{}, {}", ip.traffic_class >> 2, ip.traffic_class & 3));
}

/// The checksum and what can be said of it from the headers alone: on `lo`, and where an interface
/// computes it, the kernel leaves the sum of the pseudo-header there (RFC 9293, section 3.1).
fn checksum(headers: &Headers, captured: u16, length: u32) -> String {
    let is_udp = matches!(headers.transport, Transport::Udp(_));
    let said = match captured {
        0 if is_udp => "none was sent",
        _ if headers.ip.fragment => "of the whole datagram, of which this is a part",
        captured if captured == pseudo_header(headers, length) => {
            "partial: the sum of addresses, protocol and length; on lo nobody finishes it"
        }
        _ => "as captured; not verified here",
    };
    format!("{captured:#06x} ({said})")
}

/// The ones' complement sum of the pseudo-header, not complemented.
fn pseudo_header(headers: &Headers, length: u32) -> u16 {
    let mut sum =
        u64::from(headers.ip.protocol) + u64::from(length >> 16) + u64::from(length & 0xffff);
    for address in [headers.ip.source, headers.ip.destination] {
        match address {
            std::net::IpAddr::V4(v4) => {
                let bits = v4.to_bits();
                sum += u64::from(bits >> 16) + u64::from(bits & 0xffff);
            }
            std::net::IpAddr::V6(v6) => {
                sum += v6.segments().into_iter().map(u64::from).sum::<u64>()
            }
        }
    }
    while sum > 0xffff {
        sum = (sum >> 16) + (sum & 0xffff);
    }
    u16::try_from(sum).unwrap_or(u16::MAX)
}
