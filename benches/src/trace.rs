//! A trace of a million packets: from the record to the ladder, in time and memory.
//!
//! The record is made up: fifty connections that ask with 14,480 bytes (ten segments, an ACK for
//! every second) and are answered with 100, and ten UDP clients that are echoed. Payloads are kept to
//! 64 bytes, as traces do unless asked otherwise.

use std::fmt::Write;
use std::net::SocketAddr;
use std::time::Instant;

use stentor_core::timeline::call::CallName;
use stentor_core::timeline::cause::Grade;
use stentor_core::timeline::ladder::{Filter, Ladder};
use stentor_core::timeline::matcher::Explained;
use stentor_core::timeline::record::{Mode, Record};
use stentor_core::timeline::script::{Script, Talker};
use stentor_core::timeline::{Both, Lane};

const PACKETS: usize = 1_000_000;
const CONNECTIONS: u16 = 50;
const UDP_CLIENTS: u16 = 10;
/// Ethernet, IP and TCP headers with their options, and 64 bytes.
const SNAPLEN: u32 = 14 + 20 + 40 + 64;
const SERVER: u32 = 1;

fn address(port: u16) -> SocketAddr {
    SocketAddr::from(([127, 0, 0, 1], port))
}

/// Measures and renders the result, in Markdown.
pub(super) fn measure(_quick: bool) -> Result<String, String> {
    let before = Instant::now();
    let record = record();
    let made = before.elapsed();
    let size = peak_mib();
    let start = Instant::now();
    let explained = Explained::of(&record);
    let explaining = start.elapsed();
    let ladder = Ladder::of(&record, &explained, &Filter::default());
    let whole = start.elapsed();
    let exact = explained.edges.iter().filter(|edge| edge.grade == Grade::Exact).count();
    let unknown = explained.edges.iter().filter(|edge| edge.grade == Grade::Unknown).count();
    if unknown > 0 || ladder.packets.len() != record.packets.len() {
        return Err(format!("{unknown} packets unexplained, {} drawn", ladder.packets.len()));
    }
    let mut report = String::new();
    let rows: usize = ladder.groups.iter().map(|group| group.rows.len()).sum();
    let lines = [
        ("packets", format!("{}", record.packets.len())),
        ("calls", format!("{}", record.calls.len())),
        ("edges (exact)", format!("{} ({exact})", explained.edges.len())),
        ("rows of the ladder", format!("{rows}")),
        ("making the record up", format!("{:.2} s", made.as_secs_f64())),
        ("explaining it", format!("{:.2} s", explaining.as_secs_f64())),
        ("explaining and laying out", format!("{:.2} s", whole.as_secs_f64())),
        ("memory with the record alone", size.map_or("not known".into(), |it| format!("{it} MiB"))),
        ("memory at its peak", peak_mib().map_or("not known".into(), |it| format!("{it} MiB"))),
    ];
    let _ = writeln!(report, "| what | figure |\n|---|---:|");
    for (what, figure) in lines {
        let _ = writeln!(report, "| {what} | {figure} |");
    }
    Ok(report)
}

/// VmHWM of proc(5); only Linux has it.
fn peak_mib() -> Option<u64> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find(|line| line.starts_with("VmHWM:"))?;
    Some(line.split_whitespace().nth(1)?.parse::<u64>().ok()? / 1024)
}

fn record() -> Record {
    let mut script = Script::new(Mode::Lab, SNAPLEN);
    script.start(SERVER, "server");
    listen(&mut script, 1, 3, 12000, 1);
    listen(&mut script, 2, 4, 12001, 2);
    let mut talkers: Vec<(u16, Talker)> =
        (0..CONNECTIONS).map(|number| (number, connect(&mut script, number))).collect();
    for number in 0..UDP_CLIENTS {
        let pid = 1000 + u32::from(number);
        script.start(pid, "udp");
        script.socket(pid, 2, 3, 5000 + u64::from(number));
    }
    let (question, answer) = ([b'a'; 14_480], [b'A'; 100]);
    let mut turn = 0_u16;
    while script.record.packets.len() < PACKETS {
        for (number, talker) in &mut talkers {
            exchange(&mut script, *number, talker, &question, &answer);
        }
        echo(&mut script, turn % UDP_CLIENTS, &answer);
        turn = turn.wrapping_add(1);
    }
    script.record.sort();
    script.record
}

fn listen(script: &mut Script, kind: i32, fd: i32, port: u16, id: u64) {
    script.socket(SERVER, kind, fd, id);
    let bind = script.call(SERVER, CallName::Bind, fd, 0);
    script.address(bind, address(port));
    if kind == 1 {
        script.call(SERVER, CallName::Listen, fd, 0);
    }
}

fn connect(script: &mut Script, number: u16) -> Talker {
    let pid = 100 + u32::from(number);
    let own = address(20000 + number);
    script.start(pid, "client");
    script.socket(pid, 1, 3, 100 + u64::from(number));
    let connect = script.begin(pid, CallName::Connect, 3);
    script.address(connect, address(12000));
    let isn = Both { client: u32::MAX - u32::from(number), server: 7 };
    let mut talker = Talker::new(own, address(12000), isn);
    talker.handshake(script);
    script.end(connect, 0);
    let accept = script.call(SERVER, CallName::Accept, 3, 10 + i64::from(number));
    script.address(accept, own).about(accept, 1000 + u64::from(number));
    talker
}

fn exchange(script: &mut Script, number: u16, talker: &mut Talker, question: &[u8], answer: &[u8]) {
    let (pid, fd) = (100 + u32::from(number), 10 + i32::from(number));
    let send = script.begin(pid, CallName::Sendto, 3);
    script.sent(send, question);
    for two in question.chunks(2 * 1448) {
        for segment in two.chunks(1448) {
            talker.data(script, Lane::Client, segment);
        }
        talker.ack(script, Lane::Server);
    }
    script.receive(SERVER, fd, question, 65536);
    script.send(SERVER, fd, answer);
    talker.data(script, Lane::Server, answer);
    script.receive(pid, 3, answer, 4096);
    talker.ack(script, Lane::Client);
}

fn echo(script: &mut Script, number: u16, bytes: &[u8]) {
    let (pid, own, server) = (1000 + u32::from(number), address(40000 + number), address(12001));
    let send = script.begin(pid, CallName::Sendto, 3);
    script.address(send, server);
    script.datagram(own, server, bytes);
    script.sent(send, bytes);
    let receive = script.receive(SERVER, 4, bytes, 2048);
    script.address(receive, own);
    let send = script.begin(SERVER, CallName::Sendto, 4);
    script.address(send, own);
    script.datagram(server, own, bytes);
    script.sent(send, bytes);
    let receive = script.receive(pid, 3, bytes, 2048);
    script.address(receive, server);
}
