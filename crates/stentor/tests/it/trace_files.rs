//! The files of a trace before foreign judges: tshark and tcpdump, where they are installed.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use stentor::report::pcapng;
use stentor_core::timeline::cause::Edge;
use stentor_core::timeline::record::{Direction, Header, Link, Mode, Packet, Record};

use crate::samples;

/// Whether the tool is there; says so loudly if not.
fn present(tool: &str) -> bool {
    let found = Command::new(tool)
        .arg("--version")
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .status()
        .is_ok_and(|status| status.success());
    if !found {
        eprintln!("SKIPPED: {tool} is not installed; this test proves nothing here");
    }
    found
}

/// A file that goes when the test does.
struct Scratch(PathBuf);

impl Scratch {
    fn new(name: &str, bytes: &[u8]) -> Scratch {
        let path = std::env::temp_dir().join(format!("stentor-{}-{name}", std::process::id()));
        std::fs::write(&path, bytes).unwrap();
        Scratch(path)
    }

    fn pcapng(name: &str, record: &Record, edges: &[Edge]) -> Scratch {
        Scratch::new(name, &pcapng::write(record, edges, Vec::new()).unwrap())
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        let _ = std::fs::remove_file(&self.0);
    }
}

/// What tshark prints of these fields, a row for each frame.
fn tshark(file: &Path, more: &[&str], filter: &str, fields: &[&str]) -> Vec<Vec<String>> {
    let mut command = Command::new("tshark");
    command.args(["-n", "-o", "tcp.check_checksum:TRUE", "-o", "udp.check_checksum:TRUE"]);
    command.args(["-o", "ip.check_checksum:TRUE", "-o", "tcp.relative_sequence_numbers:FALSE"]);
    command.args(more).arg("-r").arg(file).args(["-Y", filter, "-T", "fields"]);
    command.args(["-E", "separator=/t", "-E", "occurrence=a", "-E", "aggregator=|"]);
    for field in fields {
        command.args(["-e", field]);
    }
    let output = command.output().unwrap();
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "tshark: {said}");
    assert!(!said.contains("error") && !said.contains("damaged"), "tshark: {said}");
    let text = String::from_utf8(output.stdout).unwrap();
    text.lines().map(|line| line.split('\t').map(str::to_owned).collect()).collect()
}

fn number(bytes: &[u8], at: usize, length: usize) -> u64 {
    bytes[at..at + length].iter().fold(0, |number, byte| number << 8 | u64::from(*byte))
}

/// The fields of a packet of ours, as tshark should print them.
fn ours(record: &Record, packet: &Packet) -> Vec<String> {
    let bytes = &packet.bytes;
    let protocol = bytes[23];
    let when = record.header.began_unix_ns + packet.at.as_nanos();
    let mut row = vec![
        format!("{}.{:09}", when / 1_000_000_000, when % 1_000_000_000),
        packet.length.to_string(),
        bytes.len().to_string(),
        number(bytes, 16, 2).to_string(),
    ];
    let tcp = |at: usize, length| number(bytes, 34 + at, length).to_string();
    let payload = |header: u64| (number(bytes, 16, 2) - 20 - header).to_string();
    row.extend(match protocol {
        6 => vec![
            tcp(0, 2),
            tcp(2, 2),
            tcp(4, 4),
            tcp(8, 4),
            format!("0x{:04x}", bytes[47]),
            tcp(14, 2),
            payload(u64::from(bytes[46] >> 4) * 4),
        ],
        _ => vec![String::new(); 7],
    });
    row.extend(match protocol {
        17 => vec![tcp(0, 2), tcp(2, 2), tcp(4, 2)],
        _ => vec![String::new(); 3],
    });
    row
}

const FIELDS: [&str; 14] = [
    "frame.time_epoch",
    "frame.len",
    "frame.cap_len",
    "ip.len",
    "tcp.srcport",
    "tcp.dstport",
    "tcp.seq",
    "tcp.ack",
    "tcp.flags",
    "tcp.window_size_value",
    "tcp.len",
    "udp.srcport",
    "udp.dstport",
    "udp.length",
];

#[test]
fn tshark_reads_the_fields_that_we_recorded() {
    if !present("tshark") {
        return;
    }
    for (name, record) in samples::all() {
        let file = Scratch::pcapng(name, &record, &[]);
        // An ICMP error quotes a datagram, whose fields would stand beside its own.
        let found = tshark(&file.0, &[], "ip and not icmp", &FIELDS);
        let packets = record.packets.iter().filter(|packet| packet.bytes[23] != 1);
        let expected: Vec<_> = packets.map(|packet| ours(&record, packet)).collect();
        assert_eq!(found, expected, "{name}");
        let all = tshark(&file.0, &[], "ip", &["frame.number"]);
        assert_eq!(all.len(), record.packets.len(), "{name}");
    }
}

#[test]
fn tshark_finds_every_checksum_good_and_nothing_amiss() {
    if !present("tshark") {
        return;
    }
    for (name, record) in samples::all() {
        let file = Scratch::pcapng(&format!("sums-{name}"), &record, &[]);
        let fields = ["ip.checksum.status", "tcp.checksum.status", "udp.checksum.status"];
        for row in tshark(&file.0, &[], "ip and not icmp", &fields) {
            // 1 is good, of IP and of whichever is inside.
            assert_eq!(row.concat(), "11", "{name}: {row:?}");
        }
        let icmp =
            tshark(&file.0, &[], "icmp", &["icmp.checksum.status", "icmp.type", "icmp.code"]);
        assert!(icmp.iter().all(|row| *row == ["1", "3", "3"]), "{name}: {icmp:?}");
        assert_eq!(icmp.len(), usize::from(name == "refused.jsonl"));
        let amiss = "tcp.analysis.flags or _ws.malformed";
        assert_eq!(tshark(&file.0, &[], amiss, &["frame.number"]), Vec::<Vec<String>>::new());
    }
}

#[test]
fn calls_stand_between_the_packets_in_the_order_of_time() {
    if !present("tshark") {
        return;
    }
    for (name, record) in samples::all() {
        let file = Scratch::pcapng(&format!("order-{name}"), &record, &[]);
        let fields = ["systemd_journal.pid", "systemd_journal.field.value", "frame.len"];
        let found: Vec<String> = tshark(&file.0, &[], "frame", &fields)
            .into_iter()
            .map(|row| match row[1].split('|').next().unwrap() {
                "" => row[2].clone(),
                call => format!("{call} by {}", row[0]),
            })
            .collect();
        let call = |call: &stentor_core::timeline::record::Call| {
            (call.entered, 0, format!("{} by {}", call.name, call.pid))
        };
        let packet = |packet: &Packet| (packet.at, 1, packet.length.to_string());
        let mut expected: Vec<_> = record.calls.iter().map(call).collect();
        expected.extend(record.packets.iter().map(packet));
        expected.sort_by_key(|(at, packet, _)| (*at, *packet));
        let expected: Vec<_> = expected.into_iter().map(|(_, _, text)| text).collect();
        assert_eq!(found, expected, "{name}");
    }
}

#[test]
fn calls_can_be_filtered_by_their_fields() {
    if !present("tshark") {
        return;
    }
    let file = Scratch::pcapng("filter", &samples::refused(), &[]);
    let found = tshark(&file.0, &[], "systemd_journal.errno == 111", &["systemd_journal.message"]);
    let program = "python3[4712]";
    assert_eq!(
        found.concat(),
        [
            format!("{program} connect(3, 127.0.0.1:12000) = ECONNREFUSED"),
            format!("{program} recvfrom(4, 2048 bytes) = ECONNREFUSED"),
        ]
    );
}

#[test]
fn the_dissector_gives_columns() {
    if !present("tshark") {
        return;
    }
    let record = samples::lecture_tcp();
    let edges = samples::lecture_tcp_edges(&record);
    let file = Scratch::pcapng("lua", &record, &edges);
    let script = Scratch::new("dissector.lua", pcapng::dissector().as_bytes());
    let script = format!("lua_script:{}", script.0.display());
    let fields =
        ["stentor.cause", "stentor.grade", "stentor.rule", "stentor.call", "stentor.effect"];
    let rows = tshark(&file.0, &["-X", &script], "tcp", &fields);
    assert_eq!(rows.len(), 11);
    let connect = "connect(3, 127.0.0.1:12000) = 0 of python3[4712]";
    assert_eq!(rows[0], [connect, "exact", "syn-in-connect", connect, ""]);
    let syn_ack = "the kernel answers a SYN for the listening socket, without a call";
    assert_eq!(rows[1], [syn_ack, "kernel", "syn-ack", "", connect]);
    let send = "sendto(3, 5 bytes) = 5 of python3[4712]";
    let receive = "recvfrom(4, 1024 bytes) = 5 of python3[4711]";
    assert_eq!(rows[3], [send, "exact", "stream-offset", send, receive]);
    // A display filter finds packets by their cause, and calls by what they gave back.
    let exact = tshark(&file.0, &["-X", &script], "stentor.grade == \"exact\"", &["tcp.flags.str"]);
    assert_eq!(exact.len(), 5);
    let calls = "systemd_journal and stentor.result == \"5\"";
    let calls = tshark(&file.0, &["-X", &script], calls, &["stentor.call"]);
    assert_eq!(calls.len(), 4);
    assert_eq!(calls[1], ["python3[4712] sendto(3, 5 bytes) = 5"]);
}

#[test]
fn tcpdump_reads_every_packet() {
    if !present("tcpdump") {
        return;
    }
    for (name, record) in samples::all() {
        let file = Scratch::pcapng(&format!("tcpdump-{name}"), &record, &[]);
        let output =
            Command::new("tcpdump").args(["-nn", "-vv", "-r"]).arg(&file.0).output().unwrap();
        let (text, said) =
            (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
        assert!(output.status.success(), "{name}: {said}");
        // Each packet begins at the left; what follows of it is indented.
        let packets = text.lines().filter(|line| line.starts_with(|c: char| c.is_ascii_digit()));
        assert_eq!(packets.count(), record.packets.len(), "{name}: {text}");
        // What an ICMP error quotes is as the kernel quoted it: with its partial checksum.
        let quoted = usize::from(name == "refused.jsonl");
        assert_eq!(text.matches("[bad udp cksum").count(), quoted, "{name}: {text}");
        assert!(!text.contains("incorrect"), "{name}: {text}");
    }
}

/// IP packets among frames, packets cut off, both directions: what a capture in the real network
/// may bring.
#[test]
fn a_mixed_capture_is_one_file_for_both_judges() {
    let sample = samples::lecture_tcp();
    let mut record = Record::new(Header { mode: Mode::Host, snaplen: 60, ..sample.header });
    for (number, mut packet) in sample.packets.into_iter().enumerate() {
        packet.direction = if number % 2 == 0 { Direction::In } else { Direction::Out };
        if number % 3 == 0 {
            (packet.link, packet.length) = (Link::Ip, packet.length - 14);
            packet.bytes = packet.bytes[14..].into();
        }
        if number % 4 == 1 {
            packet.bytes = packet.bytes[..packet.bytes.len() - 3].into();
        }
        record.packets.push(packet);
    }
    let file = Scratch::pcapng("mixed", &record, &[]);
    if present("tcpdump") {
        let output = Command::new("tcpdump").args(["-nn", "-r"]).arg(&file.0).output().unwrap();
        assert_eq!(String::from_utf8_lossy(&output.stdout).lines().count(), record.packets.len());
    }
    if present("tshark") {
        let fields = ["tcp.srcport", "frame.packet_flags_direction", "frame.len", "frame.cap_len"];
        for (number, row) in tshark(&file.0, &[], "tcp", &fields).iter().enumerate() {
            let (packet, added) = (&record.packets[number], if number % 3 == 0 { 14 } else { 0 });
            assert!(["12000", "51234"].contains(&row[0].as_str()), "{row:?}");
            assert_eq!(row[1], if number % 2 == 0 { "0x00000001" } else { "0x00000002" });
            assert_eq!(row[2], (packet.length + added).to_string());
            assert_eq!(row[3], (packet.bytes.len() + added as usize).to_string());
        }
        let amiss = "_ws.malformed";
        assert_eq!(tshark(&file.0, &[], amiss, &["frame.number"]).len(), 0);
    }
}

#[test]
fn calls_without_a_capture_are_a_file_too() {
    if !present("tshark") {
        return;
    }
    let mut record = samples::lecture_udp();
    record.header.mode = Mode::Calls;
    record.packets.clear();
    let file = Scratch::pcapng("calls", &record, &[]);
    let rows = tshark(&file.0, &[], "systemd_journal", &["systemd_journal.syslog_id"]);
    assert_eq!(rows.len(), record.calls.len());
    assert!(rows.iter().all(|row| *row == ["python3"]), "{rows:?}");
}
