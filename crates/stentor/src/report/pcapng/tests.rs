//! The file as another reader of pcapng sees it; tshark and tcpdump judge it in the integration
//! tests.

use std::time::Duration;

use pcap_file::DataLink;
use pcap_file::pcapng::blocks::enhanced_packet::{EnhancedPacketBlock, EnhancedPacketOption};
use pcap_file::pcapng::blocks::interface_statistics::InterfaceStatisticsOption;
use pcap_file::pcapng::blocks::opt_common::CommonOption;
use pcap_file::pcapng::{Block, PcapNgReader};
use proptest::prelude::*;
use stentor_core::timeline::call::{CallName, Errno};
use stentor_core::timeline::cause::{CallNo, PacketNo, Rule};
use stentor_core::timeline::record::*;

use super::*;
use crate::report::record::arbitrary;

fn blocks(file: &[u8]) -> Vec<Block<'static>> {
    let mut reader = PcapNgReader::new(file).unwrap();
    let mut blocks = Vec::new();
    while let Some(block) = reader.next_block() {
        blocks.push(block.unwrap().0.into_owned());
    }
    blocks
}

fn packets(blocks: &[Block<'static>]) -> Vec<EnhancedPacketBlock<'static>> {
    let packet = |block: &Block<'static>| block.as_enhanced_packet().cloned();
    blocks.iter().filter_map(packet).collect()
}

fn comments(packet: &EnhancedPacketBlock<'_>) -> Vec<String> {
    let mut comments = Vec::new();
    for option in &packet.options {
        if let EnhancedPacketOption::Common(CommonOption::Comment(text)) = option {
            comments.push(text.to_string());
        }
    }
    comments
}

fn lecture() -> Record {
    let file = include_str!("../../../tests/it/data/lecture-tcp.jsonl");
    crate::report::record::read(file.as_bytes()).unwrap().0
}

fn edge(packet: u32, call: Option<u32>, rule: Rule, grade: Grade) -> Edge {
    Edge {
        packet: PacketNo(packet),
        call: call.map(CallNo),
        process: None,
        relation: Relation::Cause,
        rule,
        grade,
        bytes: 0..0,
    }
}

proptest! {
    #[test]
    fn every_record_is_a_file_that_is_read(
        record in arbitrary::record(),
        numbers in prop::collection::vec((0..50u32, prop::option::of(0..50u32)), 0..30),
    ) {
        let edge = |(packet, call)| edge(packet, call, Rule::StreamOffset, Grade::Exact);
        let edges: Vec<Edge> = numbers.into_iter().map(edge).collect();
        let file = write(&record, &edges, Vec::new()).unwrap();
        let blocks = blocks(&file);
        let found = packets(&blocks);
        prop_assert_eq!(found.len(), record.packets.len());
        for (found, packet) in found.iter().zip(&record.packets) {
            let at = record.header.began_unix_ns.saturating_add(packet.at.as_nanos());
            prop_assert_eq!(found.timestamp, Duration::from_nanos(at));
            prop_assert!(found.data.ends_with(&packet.bytes) || packet.bytes.len() >= 28);
        }
        let journal = |block: &&Block<'_>| matches!(block, Block::SystemdJournalExport(_));
        prop_assert_eq!(blocks.iter().filter(journal).count(), record.calls.len());
    }
}

#[test]
fn the_file_tells_how_it_was_made() {
    let mut record = lecture();
    record.losses.push(Loss { at: Moment::START, place: Place::Capture, count: 7 });
    record.losses.push(Loss { at: Moment::START, place: Place::Record, count: 1 });
    let file = write(&record, &[], Vec::new()).unwrap();
    let mut reader = PcapNgReader::new(&*file).unwrap();
    let section = format!("{:?}", reader.section());
    for expected in ["x86_64", "Linux 6.18.5", "stentor 0.1.0", "in a private network; MTU 1500"] {
        assert!(section.contains(expected), "{section}");
    }
    while reader.next_block().is_some() {}
    let [interface] = reader.interfaces() else { panic!("one interface") };
    assert_eq!((interface.linktype, interface.snaplen), (DataLink::ETHERNET, 262_144));
    let blocks = blocks(&file);
    let Some(Block::InterfaceStatistics(statistics)) = blocks.last() else { panic!("no end") };
    assert_eq!(
        statistics.options,
        [InterfaceStatisticsOption::IsbIfRecv(18), InterfaceStatisticsOption::IsbOsDrop(7)]
    );
}

#[test]
fn causes_become_comments_and_the_process_an_option() {
    let record = lecture();
    let send = record.calls.iter().position(|call| call.name == CallName::Sendto).unwrap();
    let send = u32::try_from(send).unwrap();
    let effect = Edge {
        relation: Relation::Effect,
        ..edge(3, Some(send), Rule::StreamOffset, Grade::Exact)
    };
    let died = Edge { process: Some(Pid(4711)), ..edge(9, None, Rule::ProcessEnded, Grade::Exit) };
    let edges = [
        died,
        effect,
        Edge { bytes: 0..5, ..edge(3, Some(send), Rule::StreamOffset, Grade::Exact) },
        edge(4, None, Rule::Ack, Grade::Kernel),
        edge(5, Some(send), Rule::NoRule, Grade::Inferred),
    ];
    let packets = packets(&blocks(&write(&record, &edges, Vec::new()).unwrap()));
    let send = "sendto(3, 5 bytes) = 5 of python3[4712]: exact by stream-offset";
    assert_eq!(
        comments(&packets[3]),
        [format!("cause: {send}, bytes 0..5"), format!("effect: {send}")]
    );
    assert_eq!(
        comments(&packets[4]),
        ["cause: the kernel acknowledges, without a call: kernel by ack"]
    );
    assert_eq!(comments(&packets[9]), ["cause: python3[4711] ended: exit by process-ended"]);
    assert!(comments(&packets[0]).is_empty());
    let owner = |number: usize| {
        packets[number].options.iter().find_map(|option| {
            let EnhancedPacketOption::Common(CommonOption::Unknown(option)) = option else {
                return None;
            };
            Some((option.code, option.value.to_vec()))
        })
    };
    let value = |pid: u32, tid: u32| [pid.to_le_bytes(), tid.to_le_bytes()].concat();
    assert_eq!(owner(3), Some((8, value(4712, 4712))));
    assert_eq!(owner(9), Some((8, value(4711, 0))));
    // What is not proved is not claimed.
    assert_eq!((owner(4), owner(5)), (None, None));
}

#[test]
fn a_thousand_causes_are_not_a_thousand_comments() {
    let record = lecture();
    let edges = vec![edge(3, Some(2), Rule::StreamOffset, Grade::Exact); 1_000];
    let packets = packets(&blocks(&write(&record, &edges, Vec::new()).unwrap()));
    let comments = comments(&packets[3]);
    assert_eq!(comments.len(), 17);
    assert_eq!(comments[16], "and 984 more ties");
}

#[test]
fn a_checksum_that_cannot_be_completed_is_told() {
    let mut record = lecture();
    let packet = &mut record.packets[3];
    packet.bytes = packet.bytes[..60].into();
    let packets = packets(&blocks(&write(&record, &[], Vec::new()).unwrap()));
    assert_eq!(comments(&packets[3]), ["checksum: partial, and the packet was captured in part"]);
    assert!(packets[3].options.contains(&EnhancedPacketOption::Flags(1 << 9)));
    assert_eq!((packets[3].data.len(), packets[3].original_len), (60, 71));
    assert!(packets[5].options.is_empty());
}

#[test]
fn a_call_is_an_entry_of_the_journal() {
    let mut record = lecture();
    let call = record.calls.iter_mut().find(|call| call.name == CallName::Connect).unwrap();
    call.outcome = Outcome::Failed(Errno::ECONNREFUSED);
    let blocks = blocks(&write(&record, &[], Vec::new()).unwrap());
    let entries: Vec<String> = blocks
        .iter()
        .filter_map(|block| {
            let Block::SystemdJournalExport(entry) = block else { return None };
            Some(String::from_utf8(entry.journal_entry.to_vec()).unwrap())
        })
        .collect();
    let connect = entries.iter().find(|entry| entry.contains("=connect")).unwrap();
    assert_eq!(
        connect.trim_end_matches('\0'),
        "__REALTIME_TIMESTAMP=1769860800340050\n\
         MESSAGE=python3[4712] connect(3, 127.0.0.1:12000) = ECONNREFUSED\nPRIORITY=4\n\
         SYSLOG_IDENTIFIER=python3\n_PID=4712\nERRNO=111\nSTENTOR_CALL=connect\n\
         STENTOR_RESULT=ECONNREFUSED\nSTENTOR_ID=8\nSTENTOR_TID=4712\nSTENTOR_FD=3\n\
         STENTOR_SOCKET=9003\nSTENTOR_ENTERED_NS=340050000\nSTENTOR_LEFT_NS=340160000\n"
    );
}

#[test]
fn names_of_programs_follow_fork_and_exec_and_break_no_line() {
    let life =
        |at, pid, life| Process { at: Moment::from_nanos(at), pid: Pid(pid), tid: Tid(pid), life };
    let command = |word: &str| vec![word.to_owned()];
    let mut record = Record::new(Header::default());
    record.processes = vec![
        life(1, 1, Life::Started { command: command("/bin/sh") }),
        life(2, 2, Life::Forked { parent: Pid(1), shares_files: false }),
        life(3, 2, Life::Execed { command: command("/tmp/a\nMESSAGE=b") }),
        life(4, 3, Life::Started { command: Vec::new() }),
    ];
    let programs = Programs::new(&record);
    let check = |pid, at, expected| {
        assert_eq!(programs.name(Pid(pid), Moment::from_nanos(at)), expected);
    };
    check(1, 9, "sh");
    check(2, 2, "sh");
    check(2, 3, "a\u{fffd}MESSAGE=b");
    check(3, 9, "process");
    check(4, 9, "process");
}

#[test]
fn a_full_disk_is_an_error() {
    struct Full;
    impl Write for Full {
        fn write(&mut self, _: &[u8]) -> io::Result<usize> {
            Err(io::Error::from_raw_os_error(28))
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }
    let error = write(&lecture(), &[], Full).err().unwrap();
    assert_eq!(error.raw_os_error(), Some(28));
}
