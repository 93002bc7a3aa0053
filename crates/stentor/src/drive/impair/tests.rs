//! Proxies over real sockets, inside this process: what the words of the command line cannot ask
//! for, and many seeds.

use std::io::{ErrorKind, Read, Write};
use std::net::{Ipv4Addr, Shutdown, TcpListener, TcpStream, UdpSocket};
use std::time::Duration;

use socket2::SockRef;
use stentor_core::seed::Dice;

use super::*;

fn free() -> SocketAddr {
    SocketAddr::from((Ipv4Addr::LOCALHOST, 0))
}

fn rules(words: &str) -> Rules {
    Rules::stream(&words.parse().unwrap(), [None, None]).unwrap()
}

fn proxy(running: &Running, upstream: Vec<SocketAddr>, rules: Rules) -> (Id, SocketAddr) {
    let name = "test".to_owned();
    running.handle().open(Proxy { name, listen: free(), upstream, rules, lookup: None }).unwrap()
}

/// A connection through a proxy, and its other end; neither waits for ever.
fn pair(listener: &TcpListener, address: SocketAddr) -> (TcpStream, TcpStream) {
    let near = TcpStream::connect(address).unwrap();
    let (far, _) = listener.accept().unwrap();
    for end in [&near, &far] {
        end.set_read_timeout(Some(Duration::from_secs(60))).unwrap();
        end.set_write_timeout(Some(Duration::from_secs(60))).unwrap();
    }
    (near, far)
}

fn streams(running: &Running, id: Id) -> StreamCounts {
    match running.handle().counts(id).unwrap() {
        Some(Counts::Stream(counts)) => counts,
        other => panic!("{other:?}"),
    }
}

fn reset(stream: TcpStream) {
    SockRef::from(&stream).set_linger(Some(Duration::ZERO)).unwrap();
}

/// Waits for what another thread does; only a broken one makes it wait for ever.
fn until(mut done: impl FnMut() -> bool) {
    while !done() {
        std::thread::yield_now();
    }
}

/// Words of toxics that keep bytes, fast enough for many runs.
fn gentle(dice: &mut Dice) -> String {
    let mut words = Vec::new();
    let mut maybe = |chance: f64, word: String| {
        if dice.chance(chance) {
            words.push(word);
        }
    };
    maybe(0.5, "delay=2ms".to_owned());
    maybe(0.3, "jitter=1ms".to_owned());
    maybe(0.3, "rate=200Mbit".to_owned());
    maybe(0.3, "slice=1500/1400".to_owned());
    maybe(0.3, "stall=1ms/3ms".to_owned());
    maybe(0.3, "slow-close=2ms".to_owned());
    maybe(0.3, "loss-as-delay=5%/1ms".to_owned());
    words.join(",")
}

/// Writes in pieces of any size, then ends.
fn speak(stream: &TcpStream, bytes: &[u8], dice: &mut Dice) {
    let (mut writer, mut rest) = (stream, bytes);
    while !rest.is_empty() {
        let most = [3, 1461, 70_000][usize::try_from(dice.below(3)).unwrap()];
        let size = usize::try_from(1 + dice.below(most)).unwrap().min(rest.len());
        writer.write_all(&rest[..size]).unwrap();
        rest = &rest[size..];
    }
    writer.shutdown(Shutdown::Write).unwrap();
}

fn bytes(dice: &mut Dice) -> Vec<u8> {
    // Pieces of one to three bytes make many small reads: not too much of that.
    (0..dice.below(40_000)).map(|_| (dice.bits() & 0xff) as u8).collect()
}

#[test]
fn both_streams_come_out_as_they_went_in_whatever_keeps_bytes() {
    let listener = TcpListener::bind(free()).unwrap();
    let upstream = vec![listener.local_addr().unwrap()];
    for seed in 0..60 {
        let mut dice = Dice::new(Seed(seed), "sockets");
        let (words, other) = (gentle(&mut dice), gentle(&mut dice));
        let running = start(Seed(seed), None).unwrap();
        let (id, address) = proxy(&running, upstream.clone(), rules(&words));
        let (near, far) = pair(&listener, address);
        let (up, down) = (bytes(&mut dice), bytes(&mut dice));
        let (mut of_near, mut of_far) =
            (Dice::new(Seed(seed), "near"), Dice::new(Seed(seed), "far"));
        let (mut come_up, mut come_down) = (Vec::new(), Vec::new());
        std::thread::scope(|scope| {
            scope.spawn(|| speak(&near, &up, &mut of_near));
            scope.spawn(|| speak(&far, &down, &mut of_far));
            scope.spawn(|| (&far).read_to_end(&mut come_up).unwrap());
            // The knobs are turned while bytes are under way.
            running.handle().set(id, rules(&other)).unwrap();
            (&near).read_to_end(&mut come_down).unwrap();
        });
        assert!(come_up == up, "seed {seed}: up through {words:?}, then {other:?}");
        assert!(come_down == down, "seed {seed}: down through {words:?}, then {other:?}");
        until(|| streams(&running, id).open == 0);
        let counts = streams(&running, id);
        assert_eq!((counts.accepted, counts.finished), (1, 1), "seed {seed}");
        assert_eq!(counts.up_sent_bytes, up.len() as u64, "seed {seed}");
        running.stop().unwrap();
    }
}

#[test]
fn the_second_address_is_tried_when_nobody_is_at_the_first() {
    let nobody = TcpListener::bind(free()).unwrap().local_addr().unwrap();
    let listener = TcpListener::bind(free()).unwrap();
    let running = start(Seed(1), None).unwrap();
    let upstream = vec![nobody, listener.local_addr().unwrap()];
    let (id, address) = proxy(&running, upstream, rules(""));
    let (mut near, mut far) = pair(&listener, address);
    near.write_all(b"?").unwrap();
    far.read_exact(&mut [0]).unwrap();
    assert_eq!(streams(&running, id).unreachable, 0);
}

#[test]
fn an_answer_and_its_reset_come_as_late_as_each_other() {
    let listener = TcpListener::bind(free()).unwrap();
    let running = start(Seed(1), None).unwrap();
    let upstream = vec![listener.local_addr().unwrap()];
    let (id, address) = proxy(&running, upstream, rules("down:delay=30ms"));
    let (mut near, mut far) = pair(&listener, address);
    far.write_all(b"answer").unwrap();
    until(|| streams(&running, id).down_received_bytes == 6);
    reset(far);
    // Before, the reset came at once, and the answer that was under way never.
    near.read_exact(&mut [0; 6]).unwrap();
    assert_eq!(near.read(&mut [0; 9]).unwrap_err().kind(), ErrorKind::ConnectionReset);
    until(|| streams(&running, id).cut == 1);
}

#[test]
fn a_client_reset_after_its_own_end_is_reset_upstream() {
    let listener = TcpListener::bind(free()).unwrap();
    let running = start(Seed(1), None).unwrap();
    let (id, address) = proxy(&running, vec![listener.local_addr().unwrap()], rules(""));
    let (near, mut far) = pair(&listener, address);
    near.shutdown(Shutdown::Write).unwrap();
    assert_eq!(far.read(&mut [0]).unwrap(), 0);
    // Nothing is read from a client that has ended: its reset is heard all the same.
    reset(near);
    until(|| streams(&running, id).cut == 1);
    until(|| far.write(b"anybody?").is_err());
}

#[test]
fn a_server_that_speaks_and_resets_was_reached() {
    let listener = TcpListener::bind(free()).unwrap();
    let running = start(Seed(1), None).unwrap();
    let (id, address) = proxy(&running, vec![listener.local_addr().unwrap()], rules(""));
    for round in 1..=200 {
        let (mut near, mut far) = pair(&listener, address);
        // Whether the proxy hears first of the connection or of its end is the scheduler's choice.
        far.write_all(b"busy").unwrap();
        reset(far);
        let mut said = Vec::new();
        assert_eq!(near.read_to_end(&mut said).unwrap_err().kind(), ErrorKind::ConnectionReset);
        until(|| streams(&running, id).cut == round);
        assert_eq!(streams(&running, id).unreachable, 0);
    }
}

#[test]
fn a_reset_reaches_a_client_that_fills_the_way_as_a_reset() {
    let listener = TcpListener::bind(free()).unwrap();
    let running = start(Seed(1), None).unwrap();
    let (id, address) = proxy(&running, vec![listener.local_addr().unwrap()], rules(""));
    let (mut near, far) = pair(&listener, address);
    near.set_nonblocking(true).unwrap();
    let block = vec![b'x'; 1 << 16];
    let mut refused = 0;
    while refused < 200 {
        match near.write(&block) {
            Ok(count) => refused = usize::from(count == 0),
            Err(_) => refused += usize::from(streams(&running, id).open == 1),
        }
    }
    near.set_nonblocking(false).unwrap();
    reset(far);
    // The write to the server is told of its reset; before, the client then read an end in order.
    assert_eq!(near.read(&mut [0; 9]).unwrap_err().kind(), ErrorKind::ConnectionReset);
}

#[test]
fn what_comes_after_a_half_close_is_thrown_away_and_holds_nobody_up() {
    let listener = TcpListener::bind(free()).unwrap();
    let running = start(Seed(1), None).unwrap();
    let upstream = vec![listener.local_addr().unwrap()];
    let (id, address) = proxy(&running, upstream, rules("up:half-close=1ms"));
    let (mut near, mut far) = pair(&listener, address);
    far.read_to_end(&mut Vec::new()).unwrap();
    // More than all buffers on the way hold together.
    let block = vec![b'x'; 1 << 20];
    for _ in 0..24 {
        near.write_all(&block).unwrap();
    }
    far.write_all(b"still here").unwrap();
    far.shutdown(Shutdown::Write).unwrap();
    let mut answer = Vec::new();
    near.read_to_end(&mut answer).unwrap();
    assert_eq!(answer, b"still here");
    near.shutdown(Shutdown::Write).unwrap();
    until(|| streams(&running, id).finished == 1);
}

#[test]
fn little_is_kept_for_whoever_does_not_read() {
    let listener = TcpListener::bind(free()).unwrap();
    let running = start(Seed(1), None).unwrap();
    let upstream = vec![listener.local_addr().unwrap()];
    let (id, address) = proxy(&running, upstream, rules("down:slow-close=1ms"));
    let (mut near, far) = pair(&listener, address);
    far.set_nonblocking(true).unwrap();
    let block = vec![b'x'; 1 << 16];
    let (mut written, mut refused) = (0, 0);
    // The proxy takes no more when nothing goes through for long; every turn of it is asked for.
    while refused < 200 {
        match (&far).write(&block) {
            Ok(count) => (written, refused) = (written + count, 0),
            Err(_) => refused += usize::from(streams(&running, id).open == 1),
        }
    }
    let counts = streams(&running, id);
    assert!(counts.down_received_bytes - counts.down_sent_bytes <= 512 << 10, "{counts:?}");
    let mut rest = written;
    while rest > 0 {
        rest -= near.read(&mut vec![0; 1 << 16]).unwrap();
    }
}

#[test]
fn a_client_that_is_gone_is_not_called_for() {
    // A backlog of none, and one that waits in it: SYNs are dropped, nobody answers.
    let listener =
        socket2::Socket::new(socket2::Domain::IPV4, socket2::Type::STREAM, None).unwrap();
    listener.bind(&free().into()).unwrap();
    listener.listen(0).unwrap();
    let hung = listener.local_addr().unwrap().as_socket().unwrap();
    let full: Vec<_> = (0..4).map(|_| stentor_os::net::dial::tcp(hung).unwrap()).collect();
    let running = start(Seed(1), None).unwrap();
    let (id, address) = proxy(&running, vec![hung], rules(""));
    let near = TcpStream::connect(address).unwrap();
    until(|| streams(&running, id).accepted == 1);
    reset(near);
    until(|| streams(&running, id).cut == 1);
    drop(full);
}

#[test]
fn clients_of_datagrams_keep_their_upstream_when_others_are_led_elsewhere() {
    let server = || {
        let socket = UdpSocket::bind(free()).unwrap();
        socket.set_read_timeout(Some(Duration::from_secs(60))).unwrap();
        socket
    };
    let (first, second) = (server(), server());
    let running = start(Seed(1), None).unwrap();
    let way = || Box::new(Way::default());
    let units = Rules::Units { up: way(), down: way() };
    let (id, address) = proxy(&running, vec![first.local_addr().unwrap()], units);
    let (old, new) = (server(), server());
    old.connect(address).unwrap();
    new.connect(address).unwrap();
    let mut buffer = [0; 9];
    old.send(b"1").unwrap();
    first.recv(&mut buffer).unwrap();
    running.handle().lead(id, vec![second.local_addr().unwrap()]).unwrap();
    running.handle().counts(id).unwrap();
    // An answer of the second would not reach a socket that is connected to the first.
    old.send(b"2").unwrap();
    let (_, from) = first.recv_from(&mut buffer).unwrap();
    first.send_to(b"answer", from).unwrap();
    assert_eq!(old.recv(&mut buffer).unwrap(), 6);
    new.send(b"3").unwrap();
    second.recv(&mut buffer).unwrap();
    let Some(Counts::Units(counts)) = running.handle().close(id).unwrap() else { panic!() };
    assert_eq!((counts.flows, counts.flows_closed, counts.up.delivered), (2, 0, 3));
}
