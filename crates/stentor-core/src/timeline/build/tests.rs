//! Whole ladders and their findings, from records written by hand.

use super::*;
use crate::timeline::call::CallName::*;
use crate::timeline::ladder::Only;
use crate::timeline::record::{Note, Snapshot, Tid};
use crate::timeline::script::{Script, Talker};

const CLIENT: u32 = 200;
const SERVER: u32 = 100;

fn at(port: u16) -> SocketAddr {
    SocketAddr::from(([127, 0, 0, 1], port))
}

fn laid_out(record: &Record, filter: &Filter) -> Ladder {
    Ladder::of(record, &Explained::of(record), filter)
}

/// A group's rows in words: `C( connect` begins, `C) connect` ends, `C connect` does both.
fn rows(ladder: &Ladder, group: usize) -> Vec<String> {
    let side = |lane| if lane == Lane::Client { "C" } else { "S" };
    let call = |place: u32| {
        let call = &ladder.calls[place as usize];
        format!("{}({}) = {}", call.name, call.arguments, call.outcome)
    };
    let row = |row: &Row| match row.mark {
        Mark::Call(lane, it) => format!("{} {}", side(lane), call(it)),
        Mark::CallBegins(lane, it) => {
            format!("{}( {}", side(lane), ladder.calls[it as usize].name)
        }
        Mark::CallEnds(lane, it) => format!("{}) {}", side(lane), call(it)),
        Mark::Packet(it) => {
            let packet = &ladder.packets[it as usize];
            let flags = packet.headers.tcp().map(|tcp| tcp.flags.to_string());
            let sequence = packet.tcp.map(|tcp| format!(" seq {}", tcp.sequence));
            let words = format!(
                "{}{} len {}",
                flags.unwrap_or_else(|| "datagram".to_owned()),
                sequence.unwrap_or_default(),
                packet.headers.payload_length
            );
            if packet.from == Lane::Client {
                format!("  > {words}")
            } else {
                format!("  < {words}")
            }
        }
        Mark::Departs(it) => format!("  ~ packet {it} departs"),
        Mark::Arrives(it, copy) => format!("  ~ packet {it}.{copy} arrives"),
        Mark::State(lane, state) => {
            let dashed = if state.inferred { "~" } else { "" };
            format!("{} [{dashed}{}]", side(lane), state.state.map_or("", TcpState::name))
        }
    };
    ladder.groups[group].rows.iter().map(row).collect()
}

fn findings(ladder: &Ladder, group: usize) -> Vec<&str> {
    ladder.groups[group].findings.iter().map(|finding| finding.words.as_str()).collect()
}

fn listening(script: &mut Script) {
    script.start(SERVER, "python3 server.py");
    script.socket(SERVER, 1, 3, 1);
    let bind = script.call(SERVER, Bind, 3, 0);
    script.address(bind, at(12000));
    let listen = script.call(SERVER, Listen, 3, 0);
    script.given(listen, |given| given.number = Some(5));
}

/// The client's socket is `20 + number`, the accepted one `30 + number` with descriptor 4 + number.
fn connected(script: &mut Script, number: u16, accepting: bool) -> Talker {
    let pid = CLIENT + u32::from(number);
    let own = 50000 + number;
    let mut talker = Talker::new(at(own), at(12000), Both { client: 1, server: 2 });
    let accept = accepting.then(|| script.begin(SERVER, Accept, 3));
    script.start(pid, "python3 client.py");
    script.socket(pid, 1, 3, 20 + u64::from(number));
    let connect = script.begin(pid, Connect, 3);
    script.address(connect, at(12000));
    talker.handshake(script);
    script.end(connect, 0);
    let accept = accept.unwrap_or_else(|| {
        script.wait(200);
        script.begin(SERVER, Accept, 3)
    });
    script.end(accept, 4 + i64::from(number));
    script.address(accept, at(own)).about(accept, 30 + u64::from(number));
    talker
}

#[test]
fn the_lectures_exchange_as_a_ladder() {
    let mut script = Script::new(Mode::Lab, 128);
    listening(&mut script);
    let mut talker = connected(&mut script, 0, false);
    let receive = script.begin(SERVER, Recvfrom, 4);
    let send = script.begin(CLIENT, Sendto, 3);
    talker.data(&mut script, Lane::Client, b"hello");
    script.sent(send, b"hello").moved(receive, b"he", 2);
    script.receive(SERVER, 4, b"llo", 1024);
    let close = script.begin(CLIENT, Close, 3);
    talker.fin(&mut script, Lane::Client);
    script.end(close, 0);
    let close = script.begin(SERVER, Close, 4);
    script.wait(80_000);
    talker.fin(&mut script, Lane::Server);
    script.end(close, 0);
    let ladder = laid_out(&script.record, &Filter { rows_max: None, ..Filter::default() });
    let expected = [
        "S socket(AF_INET, SOCK_STREAM) = 3",
        "S bind(3, 127.0.0.1:12000) = 0",
        "S listen(3, 5) = 0",
        "S [~LISTEN]",
        "C socket(AF_INET, SOCK_STREAM) = 3",
        "C( connect",
        "  > SYN seq 0 len 0",
        "  < SYN,ACK seq 0 len 0",
        "  > ACK seq 1 len 0",
        "C) connect(3, 127.0.0.1:12000) = 0",
        "C [~ESTABLISHED]",
        "S accept(3) = 4, 127.0.0.1:50000",
        "S [~ESTABLISHED]",
        "S( recvfrom",
        "C( sendto",
        "  > PSH,ACK seq 1 len 5",
        "C) sendto(3, 5) = 5",
        "S) recvfrom(4, 2) = 2",
        "S recvfrom(4, 1024) = 3",
        "C( close",
        "  > FIN,ACK seq 6 len 0",
        "C) close(3) = 0",
        "C [~FIN_WAIT1]",
        "S( close",
        "  < FIN,ACK seq 1 len 0",
        "S) close(4) = 0",
        "S [~FIN_WAIT1]",
    ];
    assert_eq!(rows(&ladder, 0).join("\n"), expected.join("\n"));
    assert_eq!(
        findings(&ladder, 0),
        [
            "handshake finished 0.2 ms before accept()",
            "recv returned 2 of 5 bytes",
            "1 send = 2 recv",
            "the client closed first (80 ms before the other): TIME_WAIT is its",
        ]
    );
    let group = &ladder.groups[0];
    assert_eq!(group.client.command, "python3 client.py");
    assert_eq!((group.server.address, group.server.pid), (Some(at(12000)), Some(Pid(SERVER))));
    // Ties lead there and back.
    for (number, call) in ladder.calls.iter().enumerate() {
        for link in &call.links {
            assert_eq!(ladder.links[*link as usize].call, u32::try_from(number).ok());
        }
    }
    let data = ladder.packets.iter().find(|packet| packet.headers.payload_length == 5).unwrap();
    assert_eq!((data.links.len(), data.excerpt.as_str()), (3, "hello"));
}

#[test]
fn conversations_stand_apart_and_the_filter_picks() {
    let mut script = Script::new(Mode::Lab, 128);
    listening(&mut script);
    let mut one = connected(&mut script, 0, true);
    let mut two = connected(&mut script, 1, true);
    for (pid, talker) in [(CLIENT, &mut one), (CLIENT + 1, &mut two)] {
        let send = script.begin(pid, Sendto, 3);
        talker.data(&mut script, Lane::Client, b"x");
        script.sent(send, b"x");
    }
    let all = laid_out(&script.record, &Filter::default());
    assert_eq!(all.groups.len(), 2);
    // Socket, bind and listen are told once, with the first.
    assert!(rows(&all, 0)[1].starts_with("S bind"));
    assert!(!rows(&all, 1).iter().any(|row| row.contains("bind")));
    let only = |only| {
        let filter = Filter { only: vec![only], ..Filter::default() };
        let ladder = laid_out(&script.record, &filter);
        (ladder.groups.len(), ladder.omitted.groups, ladder.groups[0].client.pid)
    };
    assert_eq!(only(Only::Address(at(50001))), (1, 1, Some(Pid(CLIENT + 1))));
    assert_eq!(only(Only::Process(Pid(CLIENT))), (1, 1, Some(Pid(CLIENT))));
    assert_eq!(only(Only::Port(12000)).0, 2);
    let total: usize = all.groups.iter().map(|group| group.rows.len()).sum();
    for max in 0..=total {
        let filter = Filter { rows_max: Some(max as u64), ..Filter::default() };
        let cut = laid_out(&script.record, &filter);
        let kept: usize = cut.groups.iter().map(|group| group.rows.len()).sum();
        assert_eq!((kept, cut.omitted.rows), (max, (total - max) as u64));
    }
    let bare = Filter { without_calls: true, without_payload: true, ..Filter::default() };
    let bare = laid_out(&script.record, &bare);
    assert!(bare.calls.is_empty() && bare.packets.iter().all(|packet| packet.excerpt.is_empty()));
    let calls = Filter { without_packets: true, ..Filter::default() };
    assert!(laid_out(&script.record, &calls).packets.is_empty());
}

#[test]
fn conversations_beyond_the_limit_are_counted_and_not_all_listed() {
    let mut script = Script::new(Mode::Lab, 128);
    listening(&mut script);
    for number in 0..60 {
        connected(&mut script, number, true);
    }
    let cut = |max| {
        let filter = Filter { rows_max: Some(max), ..Filter::default() };
        let ladder = laid_out(&script.record, &filter);
        (ladder.groups.len(), ladder.omitted.unlisted)
    };
    assert_eq!(cut(u64::MAX), (60, 0));
    assert_eq!(cut(1), (21, 39), "one with a row, the first few without");
    assert_eq!(cut(0), (20, 40));
}

#[test]
fn without_packets_states_are_inferred_and_ends_still_meet() {
    let mut script = Script::new(Mode::Calls, 128);
    listening(&mut script);
    connected(&mut script, 0, true);
    let name = script.call(CLIENT, Getsockname, 3, 0);
    script.address(name, at(50000));
    script.record.packets.clear();
    let ladder = laid_out(&script.record, &Filter::default());
    assert_eq!(ladder.groups.len(), 1);
    assert!(ladder.packets.is_empty() && ladder.remarks[0].warning);
    let rows = rows(&ladder, 0);
    assert!(
        rows.contains(&"S [~LISTEN]".to_owned()) && rows.contains(&"C [~ESTABLISHED]".to_owned())
    );
    // What the kernel said is not dashed.
    script.record.snapshots.push(Snapshot {
        at: script.now(),
        socket: Some(SocketId(20)),
        state: Some(TcpState::Established),
        ..Snapshot::default()
    });
    let ladder = laid_out(&script.record, &Filter::default());
    assert!(self::rows(&ladder, 0).contains(&"C [ESTABLISHED]".to_owned()));
}

#[test]
fn bulk_and_backpressure_are_told() {
    let mut script = Script::new(Mode::Lab, 128);
    listening(&mut script);
    let mut talker = connected(&mut script, 0, true);
    let bytes = [7; 4344];
    let send = script.begin(CLIENT, Sendto, 3);
    for segment in bytes.chunks(1448) {
        talker.data(&mut script, Lane::Client, segment);
    }
    script.sent(send, &bytes).given(send, |given| given.length = Some(9000));
    talker.window.server = 0;
    talker.ack(&mut script, Lane::Server);
    script.call(CLIENT, Sendto, 3, -11);
    script.wait(80_000);
    script.receive(SERVER, 4, &bytes, 65536);
    talker.window.server = 512;
    talker.ack(&mut script, Lane::Server);
    script.send(CLIENT, 3, b"a");
    script.send(CLIENT, 3, b"b");
    talker.data(&mut script, Lane::Client, b"ab");
    script.receive(SERVER, 4, b"ab", 10);
    let ladder = laid_out(&script.record, &Filter::default());
    assert_eq!(
        findings(&ladder, 0),
        [
            "1 send = 3 segments",
            "send took 4344 of 9000 bytes: send buffer full",
            "peer's window 0 for 80 ms",
            "EAGAIN: send buffer full",
            "two sends left in one segment",
            "two sends came in one recv",
        ]
    );
}

#[test]
fn a_port_in_time_wait_or_taken_is_told() {
    let mut script = Script::new(Mode::Lab, 128);
    listening(&mut script);
    let mut talker = connected(&mut script, 0, true);
    let second = |script: &mut Script| {
        script.socket(SERVER + 1, 1, 8, 90);
        let bind = script.call(SERVER + 1, Bind, 8, -98);
        script.address(bind, at(12000));
    };
    let mut taken = script.clone();
    second(&mut taken);
    let ladder = laid_out(&taken.record, &Filter::default());
    assert_eq!(findings(&ladder, 1), ["bind failed: process 100 has port 12000"]);
    let close = script.begin(SERVER, Close, 4);
    talker.fin(&mut script, Lane::Server);
    script.end(close, 0);
    talker.fin(&mut script, Lane::Client);
    script.life(SERVER, Life::Exited { status: 0 });
    script.wait(10);
    second(&mut script);
    let ladder = laid_out(&script.record, &Filter::default());
    assert_eq!(findings(&ladder, 1), ["bind failed: the old connection is in TIME_WAIT"]);
    assert_eq!(ladder.programs[0].ending, "exit 0");
}

#[test]
fn udp_talks_of_one_server_stand_apart_and_drops_are_told() {
    let mut script = Script::new(Mode::Lab, 128);
    script.start(SERVER, "server");
    script.socket(SERVER, 2, 3, 1);
    let bind = script.call(SERVER, Bind, 3, 0);
    script.address(bind, at(12000));
    for number in 0..2 {
        let pid = CLIENT + u32::from(number);
        script.start(pid, "client");
        script.socket(pid, 2, 3, 20 + u64::from(number));
        for word in [&b"first"[..], b"second"] {
            let send = script.begin(pid, Sendto, 3);
            script.address(send, at(12000));
            script.datagram(at(40000 + number), at(12000), word);
            script.sent(send, word);
        }
    }
    for (port, word, room) in [(40000, &b"fi"[..], 2), (40000, b"second", 10), (40001, b"first", 9)]
    {
        let receive = script.receive(SERVER, 3, word, room);
        script.address(receive, at(port));
    }
    script.record.snapshots.push(Snapshot {
        at: script.now(),
        socket: Some(SocketId(1)),
        dropped: Some(1),
        ..Snapshot::default()
    });
    let ladder = laid_out(&script.record, &Filter::default());
    assert_eq!(ladder.groups.len(), 2);
    assert_eq!(
        findings(&ladder, 0),
        ["recv returned 2 of 5 bytes: the rest of the datagram is lost"]
    );
    assert_eq!(findings(&ladder, 1), ["datagram dropped: receive buffer full"]);
    let received =
        |group| rows(&ladder, group).iter().filter(|row| row.contains("recvfrom")).count();
    assert_eq!((received(0), received(1)), (2, 1));
}

#[test]
fn what_limits_the_whole_is_remarked() {
    let mut script = Script::new(Mode::Lab, 128);
    let (tid, at) = (Tid(1), Moment::START);
    script.record.notes.push(Note { at, pid: Some(Pid(tid.0)), remark: Remark::IoUringAllowed });
    let place = Place::Capture;
    script.record.losses.push(crate::timeline::record::Loss { at, place, count: 1 });
    let ladder = laid_out(&script.record, &Filter::default());
    let words: Vec<_> = ladder.remarks.iter().map(|remark| remark.words.as_str()).collect();
    assert_eq!(
        words,
        [
            "the capture lost 1 packet: what sequence numbers do not prove is only inferred",
            "process 1: io_uring active: calls not visible",
        ]
    );
}
