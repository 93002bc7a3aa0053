//! How long a million packets or calls take to write, read and export, and in what memory.
//!
//! `cargo test --release -p stentor --test it -- --ignored --nocapture --test-threads 1 a_million`

use std::fs::File;
use std::io::{BufReader, sink};
use std::time::{Duration, Instant};

use stentor::report::{pcapng, record};
use stentor_core::moment::Moment;
use stentor_core::timeline::call::CallName;
use stentor_core::timeline::cause::{Edge, Grade, PacketNo, Relation, Rule};
use stentor_core::timeline::record::*;

use crate::samples;

const COUNT: u64 = 1_000_000;
/// What the reader and the writer may take each.
const LIMIT: Duration = Duration::from_secs(2);

/// Peak of this process's resident memory, in MiB: `VmHWM` of proc(5).
fn peak_mib() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find(|line| line.starts_with("VmHWM:")).unwrap();
    line.split_whitespace().nth(1).unwrap().parse::<u64>().unwrap() / 1024
}

fn measure(what: &str, record: &Record) {
    let path = std::env::temp_dir().join(format!("stentor-million-{}", std::process::id()));
    let began = Instant::now();
    drop(record::write(record, File::create(&path).unwrap(), "file").unwrap());
    let wrote = began.elapsed();
    let size = std::fs::metadata(&path).unwrap().len() >> 20;
    let file = BufReader::with_capacity(1 << 18, File::open(&path).unwrap());
    let began = Instant::now();
    let read = record::read(file);
    let took = began.elapsed();
    std::fs::remove_file(&path).unwrap();
    assert!(read.unwrap().0 == *record);
    let peak = peak_mib();
    eprintln!(
        "{what}: {size} MiB, written in {wrote:.2?}, read in {took:.2?}; both records {peak} MiB"
    );
    assert!(wrote < LIMIT && took < LIMIT && peak < 1024);
}

fn packets() -> Record {
    let mut record = Record::new(Header::default());
    for at in 0..COUNT {
        record.push(Entry::Packet(Packet {
            at: Moment::from_nanos(3 * at),
            direction: Direction::Unknown,
            link: Link::Ethernet,
            bytes: vec![0x5a; 130].into_boxed_slice(),
            length: 1514,
            crossing: None,
        }));
    }
    record
}

#[test]
#[ignore = "a measurement, for a release build"]
fn a_million_packets_are_written_and_read() {
    measure("10^6 packets", &packets());
}

#[test]
#[ignore = "a measurement, for a release build"]
fn a_million_calls_are_written_and_read() {
    let mut record = Record::new(Header::default());
    for id in 0..COUNT {
        record.push(Entry::Call(Call {
            id: CallId(id),
            pid: Pid(4711),
            tid: Tid(4711),
            entered: Moment::from_nanos(3_000 * id),
            left: Some(Moment::from_nanos(3_000 * id + 900)),
            name: CallName::Sendto,
            fd: Some(Fd(5)),
            socket: Some(SocketId(22_117)),
            arguments: Arguments { length: Some(1024), ..Arguments::default() },
            outcome: Outcome::Value(1024),
            payload: vec![b'a'; 64].into_boxed_slice(),
            messages: Box::default(),
        }));
    }
    measure("10^6 calls", &record);
}

#[test]
#[ignore = "a measurement, for a release build"]
fn a_million_packets_are_exported() {
    let sample = samples::lecture_tcp();
    let mut record = Record::new(sample.header);
    record.packets = sample.packets.iter().cycle().take(1_000_000).cloned().collect();
    let edge = |packet| Edge {
        packet: PacketNo(packet),
        call: None,
        process: None,
        relation: Relation::Cause,
        rule: Rule::Ack,
        grade: Grade::Kernel,
        bytes: 0..0,
    };
    let edges: Vec<Edge> = (0..1_000_000).map(edge).collect();
    let began = Instant::now();
    pcapng::write(&record, &edges, sink()).unwrap();
    let took = began.elapsed();
    eprintln!("10^6 packets with a cause each, as pcapng: {took:.2?}");
    assert!(took < LIMIT);
}
