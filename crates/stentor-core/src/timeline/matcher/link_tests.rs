//! Causes of packets that a lab link lost, delayed, doubled or struck, in records written by hand.

use std::time::Duration;

use proptest::prelude::*;

use super::tests::{CLIENT, SERVER, at, check, connected, listening, with_handshake};
use super::*;
use crate::timeline::Lane;
use crate::timeline::call::CallName::*;
use crate::timeline::header::Flags;
use crate::timeline::ladder::{Filter, Ladder};
use crate::timeline::record::{Crossing, Mode};
use crate::timeline::script::Script;

pub(super) fn any_crossing() -> impl Strategy<Value = Option<Box<Crossing>>> {
    let arrivals = prop::collection::vec(any::<u64>().prop_map(Moment::from_nanos), 0..3);
    let crossing = (arrivals, any::<bool>(), prop::option::of(any::<u64>()));
    prop::option::of(crossing.prop_map(|(arrivals, dropped, flipped)| {
        let dropped = dropped.then(|| "loss".into());
        Box::new(Crossing { arrivals: arrivals.into(), dropped, flipped })
    }))
}

/// Lets a link deliver every packet of the record after a microsecond.
fn cross(record: &mut Record) {
    for packet in &mut record.packets {
        let arrivals = [packet.at + Duration::from_micros(1)].into();
        packet.crossing = Some(Box::new(Crossing { arrivals, ..Crossing::default() }));
    }
}

fn lose(record: &mut Record, packet: usize) {
    let dropped = Some("loss".into());
    record.packets[packet].crossing = Some(Box::new(Crossing { dropped, ..Crossing::default() }));
}

fn strike(record: &mut Record, packet: usize) {
    record.packets[packet].crossing.as_mut().unwrap().flipped = Some(200);
}

/// What is told of the only conversation.
fn findings(record: &Record) -> Vec<String> {
    let ladder = Ladder::of(record, &Explained::of(record), &Filter::default());
    ladder.groups[0].findings.iter().map(|finding| finding.words.clone()).collect()
}

/// The client sends five bytes (packet 3), and again (packet 4); the server gets them once.
fn sent_twice() -> Script {
    let mut script = Script::new(Mode::Lab, 128);
    listening(&mut script);
    let mut talker = connected(&mut script);
    let receive = script.begin(SERVER, Recvfrom, 4); // 6
    let send = script.begin(CLIENT, Sendto, 3); // 7
    talker.data(&mut script, Lane::Client, b"hello"); // 3
    script.sent(send, b"hello");
    script.wait(200_000);
    let flags = Flags::PSH.with(Flags::ACK);
    talker.segment(&mut script, Lane::Client, 1, flags, b"hello"); // 4
    script.wait(2);
    talker.ack(&mut script, Lane::Server); // 5
    script.moved(receive, b"hello", 1024);
    cross(&mut script.record);
    script
}

#[test]
fn a_receive_is_told_of_the_packet_that_arrived() {
    let again = [
        "3: stream-offset exact <- sendto@7 0..5",
        "4: retransmission timer <- sendto@7 0..5",
        "4: stream-offset exact -> recvfrom@6 0..5",
        "5: ack kernel <-",
    ];
    let mut lost = sent_twice();
    lose(&mut lost.record, 3);
    check(&lost.record, &with_handshake(&again));
    let told = findings(&lost.record);
    assert!(
        told.contains(&"lost on the link (loss), sent again 200 ms later as packet 5".into()),
        "{told:?}"
    );
    // Its checksum is wrong: to the kernel it never came.
    let mut struck = sent_twice();
    strike(&mut struck.record, 3);
    check(&struck.record, &with_handshake(&again));
    let told = findings(&struck.record);
    let words = "a bit was flipped on the link: its checksum is wrong, and the kernel drops it";
    assert!(told.contains(&words.into()), "{told:?}");
    // Where both arrived, the first brought the bytes.
    let both = sent_twice();
    check(
        &both.record,
        &with_handshake(&[
            "3: stream-offset exact <- sendto@7 0..5",
            "3: stream-offset exact -> recvfrom@6 0..5",
            "4: retransmission timer <- sendto@7 0..5",
            "5: ack kernel <-",
        ]),
    );
}

#[test]
fn a_handshake_is_finished_by_the_packets_that_arrived() {
    let mut script = Script::new(Mode::Lab, 128);
    listening(&mut script);
    connected(&mut script);
    cross(&mut script.record);
    check(&script.record, &with_handshake(&[]));
    for packet in [1, 2] {
        let mut record = script.record.clone();
        lose(&mut record, packet);
        let effects = Explained::of(&record).edges;
        let effects = effects.iter().filter(|edge| edge.relation == Relation::Effect);
        assert!(effects.clone().all(|edge| edge.packet.index() != packet));
        assert_eq!(effects.count(), 1, "packet {packet} lost");
    }
}

#[test]
fn datagrams_are_received_in_the_order_in_which_they_arrived_and_as_often() {
    let mut script = Script::new(Mode::Lab, 128);
    script.start(SERVER, "server");
    script.socket(SERVER, 2, 3, 1);
    let bind = script.call(SERVER, Bind, 3, 0);
    script.address(bind, at(12000));
    for text in [b"one", b"two"] {
        script.datagram(at(50000), at(12000), text);
    }
    script.wait(10_000);
    for text in [b"two", b"two", b"one"] {
        let got = script.receive(SERVER, 3, text, 100);
        script.address(got, at(50000));
    }
    cross(&mut script.record);
    let arrivals = |moments: &[u64]| moments.iter().map(|at| Moment::from_nanos(*at)).collect();
    let began = script.record.packets[1].at.as_nanos();
    for (packet, moments) in [(0, &[began + 900][..]), (1, &[began + 100, began + 200])] {
        script.record.packets[packet].crossing.as_mut().unwrap().arrivals = arrivals(moments);
    }
    let explained = Explained::of(&script.record);
    let effects = explained.edges.iter().filter(|edge| edge.relation == Relation::Effect);
    let effects: Vec<_> = effects.map(|edge| (edge.packet.0, edge.call.unwrap().0)).collect();
    assert_eq!(effects, [(0, 4), (1, 2), (1, 3)]);
    assert_eq!(
        findings(&script.record),
        ["1 packet arrived twice, 1 packet overtook earlier ones"]
    );
}
