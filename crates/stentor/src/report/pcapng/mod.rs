//! A record as a pcapng file, which Wireshark, tshark and tcpdump open.
//!
//! Packets carry their causes as comments; calls stand between them as entries of the systemd
//! journal, in the order of time. `docs/trace-files.md` has the conventions, `stentor.lua` turns the
//! comments into columns. What blocks look like is left to `block`, finding causes to
//! `stentor_core::timeline`.

mod block;
mod checksum;
#[cfg(test)]
mod tests;
mod words;

use std::fmt::Write as _;
use std::io::{self, Write};

use stentor_core::moment::Moment;
use stentor_core::timeline::cause::{Edge, Grade, Relation};
use stentor_core::timeline::record::{
    Call, Direction, Link, Mode, Outcome, Packet, Place, Record, Wire,
};

use block::{Blocks, Body, Kind};
use checksum::Checksum;
use words::{Programs, shown};

/// How many ties of one packet become comments: a segment may carry the bytes of a thousand calls.
const COMMENTS_MAX: usize = 16;

/// epb_flags: the packet came in, went out; its checksum is not complete.
const INBOUND: u32 = 1;
const OUTBOUND: u32 = 2;
const CHECKSUM_PARTIAL: u32 = 1 << 9;

/// The text of the dissector that gives `stentor.call`, `stentor.cause` and more as columns.
pub fn dissector() -> &'static str {
    include_str!("../stentor.lua")
}

/// Writes a sorted record and the edges the matcher found in it; gives `out` back.
///
/// # Errors
/// What `out` said. The file then ends within a block, and is good up to there.
pub fn write<W: Write>(record: &Record, edges: &[Edge], out: W) -> io::Result<W> {
    let mut file = Blocks::new(io::BufWriter::with_capacity(1 << 16, out));
    file.write(Kind::Section, |body| section(body, record))?;
    file.write(Kind::Interface, |body| interface(body, record))?;
    let exporter = Exporter {
        record,
        programs: Programs::new(record),
        edges: by_packet(edges),
        framed: framed(record),
    };
    let mut calls = record.calls.iter().peekable();
    for (number, packet) in record.packets.iter().enumerate() {
        // A call stands before the packet of the same moment: it may be the cause.
        while let Some(call) = calls.next_if(|call| call.entered <= packet.at) {
            file.write(Kind::Journal, |body| exporter.journal(body, call))?;
        }
        file.write(Kind::Packet, |body| exporter.packet(body, number, packet))?;
    }
    for call in calls {
        file.write(Kind::Journal, |body| exporter.journal(body, call))?;
    }
    file.write(Kind::Statistics, |body| statistics(body, record))?;
    file.into_inner().into_inner().map_err(io::IntoInnerError::into_error)
}

fn by_packet(edges: &[Edge]) -> Vec<&Edge> {
    let mut edges: Vec<&Edge> = edges.iter().collect();
    edges.sort_by_key(|edge| (edge.packet, edge.relation));
    edges
}

/// Whether the file is one of Ethernet frames: it is unless every packet begins with IP. Packets
/// that do are given a header in a mixture, since tcpdump reads files of one link type only.
fn framed(record: &Record) -> bool {
    record.packets.is_empty() || record.packets.iter().any(|packet| packet.link == Link::Ethernet)
}

fn section(body: &mut Body<'_>, record: &Record) {
    let header = &record.header;
    let mode = match header.mode {
        Mode::Lab => "in a private network",
        Mode::Host => "in the real network: packets of others may be among them",
        Mode::Calls => "calls only, without a capture",
    };
    let wire = match (header.mode, header.wire) {
        (Mode::Calls, _) => "",
        (Mode::Lab | Mode::Host, Wire::Ethernet) => "; MTU 1500, no segmentation offload",
        (Mode::Lab | Mode::Host, Wire::Raw) => "; segments as the interface has them",
    };
    body.section();
    let link = header.link.as_ref().map(|link| format!("; lab link {}", shown(link)));
    let link = link.unwrap_or_default();
    body.text(block::COMMENT, &format!("stentor trace {mode}{wire}{link}"));
    body.text(block::SECTION_HARDWARE, &shown(&header.machine));
    body.text(block::SECTION_OS, &format!("Linux {}", shown(&header.kernel)));
    body.text(block::SECTION_PROGRAM, &format!("stentor {}", shown(&header.stentor)));
    body.end_of_options();
}

fn interface(body: &mut Body<'_>, record: &Record) {
    // What was captured by other means may be longer than what was asked for; 0 is no limit.
    let longest = record.packets.iter().map(|packet| packet.bytes.len() + ETHERNET_LENGTH).max();
    let longest = u32::try_from(longest.unwrap_or_default()).unwrap_or(u32::MAX);
    let snaplen = record.header.snaplen;
    let link = if framed(record) { block::LINKTYPE_ETHERNET } else { block::LINKTYPE_RAW };
    body.interface(link, if snaplen == 0 { 0 } else { snaplen.max(longest) });
    match (record.header.mode, &record.header.link) {
        (Mode::Lab, Some(_)) => body.text(block::INTERFACE_NAME, "lab"),
        (Mode::Lab, None) => body.text(block::INTERFACE_NAME, "lo"),
        (Mode::Host | Mode::Calls, _) => {}
    }
    body.option(block::INTERFACE_RESOLUTION, &[block::NANOSECONDS]);
    body.end_of_options();
}

fn statistics(body: &mut Body<'_>, record: &Record) {
    let captured = record.losses.iter().filter(|loss| loss.place == Place::Capture);
    let dropped = captured.fold(0u64, |sum, loss| sum.saturating_add(loss.count));
    let received = dropped.saturating_add(record.packets.len() as u64);
    let last = record.packets.last().map(|packet| packet.at).unwrap_or_default();
    body.statistics(since_1970(record, last));
    body.option(block::STATISTICS_RECEIVED, &received.to_le_bytes());
    body.option(block::STATISTICS_DROPPED, &dropped.to_le_bytes());
    body.end_of_options();
}

/// Nanoseconds since 1970 fit 64 bits until 2554, as pcapng has them.
fn since_1970(record: &Record, at: Moment) -> u64 {
    record.header.began_unix_ns.saturating_add(at.as_nanos())
}

/// Destination, source, type.
const ETHERNET_LENGTH: usize = 14;

/// The header that an IP packet is given among Ethernet frames: addresses of zero, as on `lo`.
fn ethernet(packet: &[u8]) -> [u8; ETHERNET_LENGTH] {
    let [high, low] = match packet.first().map(|first| first >> 4) {
        Some(6) => [0x86, 0xdd],
        Some(_) | None => [0x08, 0x00],
    };
    [0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, high, low]
}

/// What packets and calls need to be written.
struct Exporter<'a> {
    record: &'a Record,
    programs: Programs,
    /// By packet, causes first.
    edges: Vec<&'a Edge>,
    framed: bool,
}

impl<'a> Exporter<'a> {
    fn edges_of(&self, number: usize) -> &[&'a Edge] {
        let from = self.edges.partition_point(|edge| edge.packet.index() < number);
        let to = self.edges.partition_point(|edge| edge.packet.index() <= number);
        self.edges.get(from..to).unwrap_or_default()
    }

    fn packet(&self, body: &mut Body<'_>, number: usize, packet: &Packet) {
        let mut data = packet.bytes.to_vec();
        let checksum = checksum::complete(&mut data, packet.link);
        let unframed = self.framed && packet.link == Link::Ip;
        let mut length = packet.length;
        if unframed {
            data.splice(..0, ethernet(&packet.bytes));
            length = length.saturating_add(14);
        }
        body.packet(since_1970(self.record, packet.at), &data, length);
        let edges = self.edges_of(number);
        for edge in edges.iter().take(COMMENTS_MAX) {
            body.text(block::COMMENT, &words::edge(edge, self.record, &self.programs));
        }
        if edges.len() > COMMENTS_MAX {
            body.text(block::COMMENT, &format!("and {} more ties", edges.len() - COMMENTS_MAX));
        }
        for words in words::crossing(packet) {
            body.text(block::COMMENT, &words);
        }
        if checksum == Checksum::Partial {
            body.text(block::COMMENT, "checksum: partial, and the packet was captured in part");
        }
        if unframed {
            body.text(block::COMMENT, "Ethernet header: added, this packet had none");
        }
        let flags = match packet.direction {
            Direction::Unknown => 0,
            Direction::In => INBOUND,
            Direction::Out => OUTBOUND,
        } | if checksum == Checksum::Partial { CHECKSUM_PARTIAL } else { 0 };
        if flags != 0 {
            body.option(block::PACKET_FLAGS, &flags.to_le_bytes());
        }
        if let Some((pid, tid)) = self.owner(edges) {
            let value = [pid.to_le_bytes(), tid.to_le_bytes()].concat();
            body.option(block::PACKET_PROCESS_THREAD, &value);
        }
        body.end_of_options();
    }

    /// The process and thread that made the packet leave, where that is proved; 0 is "not known".
    fn owner(&self, edges: &[&Edge]) -> Option<(u32, u32)> {
        let proved = |edge: &&&Edge| {
            edge.relation == Relation::Cause && matches!(edge.grade, Grade::Exact | Grade::Exit)
        };
        edges.iter().filter(proved).find_map(|edge| {
            let call = edge.call.and_then(|number| self.record.calls.get(number.index()));
            let caller = call.map(|call| (call.pid.0, call.tid.0));
            caller.or(edge.process.map(|pid| (pid.0, 0)))
        })
    }

    /// A call as an entry of the journal (systemd.io/JOURNAL_EXPORT_FORMATS): `KEY=value` lines.
    fn journal(&self, body: &mut Body<'_>, call: &Call) {
        let program = self.programs.name(call.pid, call.entered);
        let (words, outcome) = (words::call(call), words::outcome(call));
        let entered = since_1970(self.record, call.entered);
        let mut entry = String::new();
        let mut line = |key: &str, value: &dyn std::fmt::Display| {
            // Writing to a string cannot fail.
            let _ = writeln!(entry, "{key}={value}");
        };
        line("__REALTIME_TIMESTAMP", &(entered / 1_000));
        line("MESSAGE", &format_args!("{program}[{}] {words} = {outcome}", call.pid));
        // Informational, or a warning: syslog(3).
        line("PRIORITY", if matches!(call.outcome, Outcome::Failed(_)) { &4 } else { &6 });
        line("SYSLOG_IDENTIFIER", &program);
        line("_PID", &call.pid);
        if let Outcome::Failed(errno) = call.outcome {
            line("ERRNO", &errno.0);
        }
        line("STENTOR_CALL", &call.name);
        line("STENTOR_RESULT", &outcome);
        line("STENTOR_ID", &call.id.0);
        line("STENTOR_TID", &call.tid);
        if let Some(fd) = call.fd {
            line("STENTOR_FD", &fd);
        }
        if let Some(socket) = call.socket {
            line("STENTOR_SOCKET", &socket.0);
        }
        line("STENTOR_ENTERED_NS", &call.entered.as_nanos());
        if let Some(left) = call.left {
            line("STENTOR_LEFT_NS", &left.as_nanos());
        }
        body.bytes(entry.as_bytes());
    }
}
