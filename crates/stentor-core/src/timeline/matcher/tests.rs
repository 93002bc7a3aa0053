//! Causes of packets in records written by hand.

use std::net::SocketAddr;

use proptest::prelude::*;

use super::*;
use crate::timeline::call::CallName::*;
use crate::timeline::header::Flags;
use crate::timeline::record::{Life, Loss, Mode, Note, Pid, SocketOption};
use crate::timeline::script::{Script, Talker};
use crate::timeline::{Both, Lane};

pub(super) const CLIENT: u32 = 200;
pub(super) const SERVER: u32 = 100;

pub(super) fn at(port: u16) -> SocketAddr {
    SocketAddr::from(([127, 0, 0, 1], port))
}

fn isn(client: u32, server: u32) -> Both<u32> {
    Both { client, server }
}

/// Each packet and its edges: `3: stream-offset exact <- sendto@7 0..5`.
fn told(record: &Record) -> Vec<String> {
    let explained = Explained::of(record);
    let mut lines = Vec::new();
    for edge in &explained.edges {
        let arrow = if edge.relation == Relation::Cause { "<-" } else { "->" };
        let call = edge.call.map(|it| format!(" {}@{}", record.calls[it.index()].name, it.0));
        let pid = edge.process.map(|pid| format!(" pid {pid}"));
        let bytes = (!edge.bytes.is_empty()).then(|| format!(" {:?}", edge.bytes));
        lines.push(format!(
            "{}: {} {} {arrow}{}{}{}",
            edge.packet.0,
            edge.rule,
            edge.grade,
            call.unwrap_or_default(),
            pid.unwrap_or_default(),
            bytes.unwrap_or_default(),
        ));
    }
    lines
}

pub(super) fn check(record: &Record, expected: &[&str]) {
    assert_eq!(told(record).join("\n"), expected.join("\n"));
}

/// Socket, bind, listen; the server's socket is 1, at port 12000.
pub(super) fn listening(script: &mut Script) {
    script.start(SERVER, "server");
    script.socket(SERVER, 1, 3, 1);
    let bind = script.call(SERVER, Bind, 3, 0);
    script.address(bind, at(12000));
    script.call(SERVER, Listen, 3, 0);
}

/// A connection from port 50000, accepted as descriptor 4, socket 3; the client's is socket 2.
/// Calls 3 (accept), 4 (socket) and 5 (connect); packets 0 to 2.
pub(super) fn connected(script: &mut Script) -> Talker {
    let mut talker = Talker::new(at(50000), at(12000), isn(1000, u32::MAX - 2));
    let accept = script.begin(SERVER, Accept, 3);
    script.start(CLIENT, "client");
    script.socket(CLIENT, 1, 3, 2);
    let connect = script.begin(CLIENT, Connect, 3);
    script.address(connect, at(12000));
    talker.handshake(script);
    script.end(connect, 0);
    script.end(accept, 4);
    script.address(accept, at(50000)).about(accept, 3);
    talker
}

const HANDSHAKE: [&str; 5] = [
    "0: syn-in-connect exact <- connect@5",
    "1: syn-ack kernel <-",
    "1: connected exact -> connect@5",
    "2: handshake-ack kernel <-",
    "2: accepted exact -> accept@3",
];

pub(super) fn with_handshake(rest: &[&'static str]) -> Vec<&'static str> {
    HANDSHAKE.iter().chain(rest).copied().collect()
}

#[test]
fn the_lectures_exchange_is_explained_to_the_last_packet() {
    let mut script = Script::new(Mode::Lab, 128);
    listening(&mut script);
    let mut talker = connected(&mut script);
    let receive = script.begin(SERVER, Recvfrom, 4); // 6
    let send = script.begin(CLIENT, Sendto, 3); // 7
    talker.data(&mut script, Lane::Client, b"hello"); // 3
    talker.ack(&mut script, Lane::Server); // 4
    script.sent(send, b"hello");
    script.moved(receive, b"hello", 1024);
    let answer = script.begin(SERVER, Sendto, 4); // 8
    talker.data(&mut script, Lane::Server, b"HELLO"); // 5
    talker.ack(&mut script, Lane::Client); // 6
    script.sent(answer, b"HELLO");
    script.receive(CLIENT, 3, b"HELLO", 1024); // 9
    let close = script.begin(CLIENT, Close, 3); // 10
    talker.fin(&mut script, Lane::Client); // 7
    script.end(close, 0);
    talker.ack(&mut script, Lane::Server); // 8
    script.receive(SERVER, 4, b"", 1024); // 11
    let close = script.begin(SERVER, Close, 4); // 12
    talker.fin(&mut script, Lane::Server); // 9
    talker.ack(&mut script, Lane::Client); // 10
    script.end(close, 0);
    check(
        &script.record,
        &with_handshake(&[
            "3: stream-offset exact <- sendto@7 0..5",
            "3: stream-offset exact -> recvfrom@6 0..5",
            "4: ack kernel <-",
            "5: stream-offset exact <- sendto@8 0..5",
            "5: stream-offset exact -> recvfrom@9 0..5",
            "6: ack kernel <-",
            "7: fin-in-close exact <- close@10",
            "7: end-of-stream exact -> recvfrom@11",
            "8: ack kernel <-",
            "9: fin-in-close exact <- close@12",
            "10: ack kernel <-",
        ]),
    );
}

#[test]
fn a_segment_carries_bytes_of_two_sends_and_leaves_long_after_them() {
    let mut script = Script::new(Mode::Lab, 128);
    listening(&mut script);
    let mut talker = connected(&mut script);
    script.send(CLIENT, 3, b"abc"); // 6
    script.send(CLIENT, 3, b"defgh"); // 7
    script.wait(83_000);
    talker.data(&mut script, Lane::Client, b"abcde"); // 3
    talker.data(&mut script, Lane::Client, b"fgh"); // 4
    check(
        &script.record,
        &with_handshake(&[
            "3: stream-offset exact <- sendto@6 0..3",
            "3: stream-offset exact <- sendto@7 3..5",
            "4: stream-offset exact <- sendto@7 5..8",
        ]),
    );
}

#[test]
fn a_retransmission_is_the_timers_and_what_it_delivers_is_not_sure() {
    let mut script = Script::new(Mode::Lab, 128);
    listening(&mut script);
    let mut talker = connected(&mut script);
    let send = script.begin(CLIENT, Sendto, 3); // 6
    talker.data(&mut script, Lane::Client, b"abc"); // 3
    script.sent(send, b"abc");
    script.wait(200_000);
    let again = Flags::PSH.with(Flags::ACK);
    talker.segment(&mut script, Lane::Client, 1, again, b"abc"); // 4
    script.receive(SERVER, 4, b"abc", 10); // 7
    talker.segment(&mut script, Lane::Client, 3, Flags::ACK, b""); // 5: keep-alive
    check(
        &script.record,
        &with_handshake(&[
            "3: stream-offset exact <- sendto@6 0..3",
            "3: stream-offset inferred -> recvfrom@7 0..3",
            "4: retransmission timer <- sendto@6 0..3",
            "5: keep-alive timer <-",
        ]),
    );
}

#[test]
fn a_captured_gap_does_not_shift_the_bytes_after_it() {
    let mut script = Script::new(Mode::Lab, 128);
    listening(&mut script);
    let mut talker = connected(&mut script);
    script.send(CLIENT, 3, b"abc"); // 6
    script.send(CLIENT, 3, b"def"); // 7
    talker.missed(Lane::Client, 3);
    talker.data(&mut script, Lane::Client, b"def"); // 3
    script.record.losses.push(Loss { at: script.now(), place: Place::Capture, count: 1 });
    check(&script.record, &with_handshake(&["3: stream-offset exact <- sendto@7 3..6"]));
}

#[test]
fn bytes_that_no_call_shows_are_unknown_and_doubt_is_told() {
    let mut script = Script::new(Mode::Lab, 128);
    listening(&mut script);
    let mut talker = connected(&mut script);
    script.send(CLIENT, 3, b"abc"); // 6
    talker.data(&mut script, Lane::Client, b"abcdef"); // 3
    let expected = ["3: stream-offset exact <- sendto@6 0..3", "3: none unknown <- 3..6"];
    check(&script.record, &with_handshake(&expected));
    let note = Note { at: script.now(), pid: None, remark: Remark::IoUringAllowed };
    script.record.notes.push(note);
    assert!(told(&script.record).contains(&"3: stream-offset inferred <- sendto@6 0..3".into()));
}

#[test]
fn other_bytes_at_the_same_place_are_not_exact() {
    let mut script = Script::new(Mode::Lab, 128);
    listening(&mut script);
    let mut talker = connected(&mut script);
    script.send(CLIENT, 3, b"abc"); // 6
    talker.data(&mut script, Lane::Client, b"xyz"); // 3
    check(&script.record, &with_handshake(&["3: stream-offset inferred <- sendto@6 0..3"]));
}

#[test]
fn sends_of_two_threads_at_once_are_inferred_and_later_ones_exact() {
    let mut script = Script::new(Mode::Lab, 128);
    listening(&mut script);
    let mut talker = connected(&mut script);
    let one = script.begin(CLIENT, Sendto, 3); // 6
    let two = script.begin(CLIENT, Sendto, 3); // 7
    script.sent(one, b"aaa").sent(two, b"aaa");
    talker.data(&mut script, Lane::Client, b"aaaaaa"); // 3
    script.send(CLIENT, 3, b"b"); // 8
    talker.data(&mut script, Lane::Client, b"b"); // 4
    check(
        &script.record,
        &with_handshake(&[
            "3: stream-offset inferred <- sendto@6 0..3",
            "3: stream-offset inferred <- sendto@7 3..6",
            "4: stream-offset exact <- sendto@8 6..7",
        ]),
    );
}

#[test]
fn the_last_send_of_a_killed_process_is_explained_and_its_fin_is_its_death() {
    let mut script = Script::new(Mode::Lab, 128);
    listening(&mut script);
    let mut talker = connected(&mut script);
    let send = script.begin(CLIENT, Sendto, 3); // 6
    script.given(send, |given| given.length = Some(100));
    talker.data(&mut script, Lane::Client, b"abc"); // 3
    talker.fin(&mut script, Lane::Client); // 4
    script.life(CLIENT, Life::Killed { signal: 9 });
    check(
        &script.record,
        &with_handshake(&[
            "3: stream-offset exact <- sendto@6 0..3",
            "4: process-ended exit <- pid 200",
        ]),
    );
}

#[test]
fn a_fin_waits_for_the_last_descriptor_of_all_processes() {
    let mut script = Script::new(Mode::Lab, 128);
    listening(&mut script);
    let mut talker = connected(&mut script);
    script.life(300, Life::Forked { parent: Pid(SERVER), shares_files: false });
    script.call(SERVER, Close, 4, 0); // 6
    let shutdown = script.begin(300, Close, 4); // 7
    talker.fin(&mut script, Lane::Server); // 3
    script.end(shutdown, 0);
    check(&script.record, &with_handshake(&["3: fin-in-close exact <- close@7"]));
}

#[test]
fn shutdown_ends_one_direction_at_the_place_of_the_fin() {
    let mut script = Script::new(Mode::Lab, 128);
    listening(&mut script);
    let mut talker = connected(&mut script);
    let shutdown = script.begin(CLIENT, Shutdown, 3); // 6
    script.given(shutdown, |given| given.number = Some(1));
    talker.fin(&mut script, Lane::Client); // 3
    script.end(shutdown, 0);
    script.call(CLIENT, Close, 3, 0); // 7
    check(&script.record, &with_handshake(&["3: fin-in-shutdown exact <- shutdown@6"]));
}

#[test]
fn close_with_unread_bytes_resets() {
    let mut script = Script::new(Mode::Lab, 128);
    listening(&mut script);
    let mut talker = connected(&mut script);
    script.send(CLIENT, 3, b"abc"); // 6
    talker.data(&mut script, Lane::Client, b"abc"); // 3
    let close = script.begin(SERVER, Close, 4); // 7
    talker.reset(&mut script, Lane::Server); // 4
    script.end(close, 0);
    script.call(CLIENT, Recvfrom, 3, -104); // 8
    check(
        &script.record,
        &with_handshake(&[
            "3: stream-offset exact <- sendto@6 0..3",
            "4: rst-unread exact <- close@7",
            "4: reset exact -> recvfrom@8",
        ]),
    );
}

#[test]
fn linger_of_zero_resets() {
    let mut script = Script::new(Mode::Lab, 128);
    listening(&mut script);
    let mut talker = connected(&mut script);
    let option = script.call(CLIENT, Setsockopt, 3, 0); // 6
    let value = [1_i32.to_ne_bytes(), 0_i32.to_ne_bytes()].concat().into();
    let linger = SocketOption { level: 1, name: 13, value };
    script.given(option, |given| given.option = Some(Box::new(linger)));
    let close = script.begin(CLIENT, Close, 3); // 7
    talker.reset(&mut script, Lane::Client); // 3
    script.end(close, 0);
    check(&script.record, &with_handshake(&["3: rst-linger exact <- close@7"]));
}

#[test]
fn a_refused_connect_is_the_kernels_answer() {
    let mut script = Script::new(Mode::Lab, 128);
    script.start(CLIENT, "client");
    script.socket(CLIENT, 1, 3, 2); // 0
    let connect = script.begin(CLIENT, Connect, 3); // 1
    script.address(connect, at(12000));
    let mut talker = Talker::new(at(50000), at(12000), isn(7, 0));
    talker.syn(&mut script);
    talker.reset(&mut script, Lane::Server);
    script.end(connect, -111);
    check(
        &script.record,
        &[
            "0: syn-in-connect exact <- connect@1",
            "1: rst-refused kernel <-",
            "1: reset exact -> connect@1",
        ],
    );
}

#[test]
fn datagrams_go_by_address_length_bytes_and_order() {
    let mut script = Script::new(Mode::Lab, 128);
    script.start(SERVER, "server");
    script.socket(SERVER, 2, 3, 1); // 0
    let bind = script.call(SERVER, Bind, 3, 0); // 1
    script.address(bind, at(12000));
    script.start(CLIENT, "client");
    script.socket(CLIENT, 2, 3, 2); // 2
    for word in [&b"one"[..], b"two", b"one", b""] {
        let send = script.begin(CLIENT, Sendto, 3); // 3, 4, 5, 6
        script.address(send, at(12000));
        script.datagram(at(40000), at(12000), word);
        script.sent(send, word);
    }
    for word in [&b"one"[..], b"tw", b"one"] {
        let receive = script.receive(SERVER, 3, word, if word.len() == 2 { 2 } else { 100 });
        script.address(receive, at(40000)); // 7, 8, 9
    }
    let receive = script.receive(SERVER, 3, b"", 10); // 10
    script.address(receive, at(40000));
    check(
        &script.record,
        &[
            "0: datagram exact <- sendto@3 0..3",
            "0: datagram exact -> recvfrom@7 0..3",
            "1: datagram exact <- sendto@4 0..3",
            "1: datagram exact -> recvfrom@8 0..3",
            "2: datagram exact <- sendto@5 0..3",
            "2: datagram exact -> recvfrom@9 0..3",
            "3: datagram exact <- sendto@6",
            "3: datagram exact -> recvfrom@10",
        ],
    );
    script.record.losses.push(Loss { at: script.now(), place: Place::Capture, count: 3 });
    assert!(told(&script.record).iter().all(|line| line.contains(" inferred ")));
}

#[test]
fn port_unreachable_is_told_to_the_next_call() {
    let mut script = Script::new(Mode::Lab, 128);
    script.start(CLIENT, "client");
    script.socket(CLIENT, 2, 3, 2); // 0
    let connect = script.call(CLIENT, Connect, 3, 0); // 1
    script.address(connect, at(9));
    let name = script.call(CLIENT, Getsockname, 3, 0); // 2
    script.address(name, at(40000));
    let send = script.begin(CLIENT, Sendto, 3); // 3
    script.datagram(at(40000), at(9), b"x");
    script.unreachable(at(40000), at(9), b"x");
    script.sent(send, b"x");
    script.call(CLIENT, Recvfrom, 3, -111); // 4
    check(
        &script.record,
        &[
            "0: datagram exact <- sendto@3 0..1",
            "1: port-unreachable kernel <- sendto@3",
            "1: pending-error exact -> recvfrom@4",
        ],
    );
}

#[test]
fn a_stranger_has_no_call() {
    let mut script = Script::new(Mode::Host, 128);
    let mut talker = Talker::new(at(1), at(2), isn(5, 6));
    talker.handshake(&mut script);
    talker.data(&mut script, Lane::Client, b"abc");
    script.datagram(at(3), at(4), b"x");
    check(
        &script.record,
        &[
            "0: none unknown <-",
            "1: syn-ack kernel <-",
            "2: handshake-ack kernel <-",
            "3: none unknown <- 0..3",
            "4: none unknown <-",
        ],
    );
}

#[test]
fn a_connection_older_than_the_capture_proves_nothing() {
    let mut script = Script::new(Mode::Host, 128);
    script.start(CLIENT, "client");
    let mut talker = Talker::new(at(50000), at(12000), isn(5, 6));
    script.send(CLIENT, 3, b"abc");
    talker.data(&mut script, Lane::Client, b"abc");
    check(&script.record, &["0: none unknown <-"]);
}

/// Cuts of one stream into sends, segments and receives, each adding up to the same length.
fn cuts() -> impl Strategy<Value = (u32, [Vec<usize>; 3])> {
    let cut = || prop::collection::vec(1_usize..3000, 1..40);
    (any::<u32>(), cut(), cut(), cut()).prop_map(|(isn, one, two, three)| {
        let whole = [&one, &two, &three].map(|cut| cut.iter().sum::<usize>());
        let shortest = whole.into_iter().min().unwrap_or(0);
        let fit = |cut: Vec<usize>| {
            let mut left = shortest;
            let parts = cut.into_iter().map(|part| {
                let part = part.min(left);
                left -= part;
                part
            });
            parts.filter(|part| *part > 0).collect::<Vec<_>>()
        };
        (isn, [fit(one), fit(two), fit(three)])
    })
}

proptest! {
    #[test]
    fn every_byte_is_attributed_exactly_once_when_nothing_is_lost(
        (first, [sends, segments, receives]) in cuts()
    ) {
        let mut script = Script::new(Mode::Lab, 120);
        listening(&mut script);
        let mut talker = connected(&mut script);
        // Wrapped anywhere: the numbers of the handshake are the connection's own.
        talker.isn.client = first;
        script.record.packets.clear();
        let mut fresh = Talker::new(at(50000), at(12000), talker.isn);
        let mut early = script.clone();
        early.record.packets.clear();
        let connect = early.record.calls[5].entered;
        fresh.handshake(&mut early);
        for packet in &mut early.record.packets {
            packet.at = connect;
        }
        script.record.packets = early.record.packets;
        let bytes: Vec<u8> =
            (0..sends.iter().sum::<usize>()).map(|place| u8::try_from(place % 251).unwrap()).collect();
        let pieces = |cut: &[usize]| {
            let mut rest = bytes.as_slice();
            let piece = |length: &usize| {
                let (piece, later) = rest.split_at(*length);
                rest = later;
                piece
            };
            cut.iter().map(piece).collect::<Vec<_>>()
        };
        for piece in pieces(&sends) {
            script.send(CLIENT, 3, piece);
        }
        for piece in pieces(&segments) {
            fresh.data(&mut script, Lane::Client, piece);
        }
        for piece in pieces(&receives) {
            script.receive(SERVER, 4, piece, piece.len());
        }
        let explained = Explained::of(&script.record);
        for relation in [Relation::Cause, Relation::Effect] {
            let data = explained.edges.iter().filter(|edge| !edge.bytes.is_empty());
            let mut next = 0;
            for edge in data.filter(|edge| edge.relation == relation) {
                prop_assert_eq!(edge.grade, Grade::Exact, "{:?}", edge);
                prop_assert_eq!(edge.bytes.start, next);
                next = edge.bytes.end;
                let stream = explained.stream[edge.call.unwrap().index()].clone().unwrap();
                prop_assert!(stream.start <= edge.bytes.start && edge.bytes.end <= stream.end);
            }
            prop_assert_eq!(next, bytes.len() as u64);
        }
    }

    #[test]
    fn any_bytes_and_any_moments_are_survived(
        frames in prop::collection::vec(prop::collection::vec(any::<u8>(), 0..90), 0..20),
        flips in prop::collection::vec((0_usize..60, 0_usize..90, any::<u8>()), 0..30),
        crossings in prop::collection::vec(super::link_tests::any_crossing(), 0..30),
    ) {
        let mut script = Script::new(Mode::Lab, 100);
        listening(&mut script);
        let mut talker = connected(&mut script);
        script.send(CLIENT, 3, b"abc");
        talker.data(&mut script, Lane::Client, b"abc");
        talker.fin(&mut script, Lane::Server);
        script.datagram(at(1), at(2), b"abc");
        script.unreachable(at(1), at(2), b"abc");
        for frame in frames {
            script.frame(&frame);
        }
        let packets = script.record.packets.len();
        for (packet, place, value) in flips {
            if let Some(byte) = script.record.packets[packet % packets].bytes.get_mut(place) {
                *byte = value;
            }
        }
        for (packet, crossing) in script.record.packets.iter_mut().zip(crossings) {
            packet.crossing = crossing;
        }
        let explained = Explained::of(&script.record);
        let explained_packets: std::collections::BTreeSet<_> = explained
            .edges
            .iter()
            .filter(|edge| edge.relation == Relation::Cause)
            .map(|edge| edge.packet)
            .collect();
        prop_assert_eq!(explained_packets.len(), packets);
        let filter = crate::timeline::ladder::Filter::default();
        crate::timeline::ladder::Ladder::of(&script.record, &explained, &filter);
    }
}
