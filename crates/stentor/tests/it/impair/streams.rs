//! TCP through the proxy: every byte, in order, whatever is done to them that is not named after
//! what it breaks.

use std::io::{ErrorKind, Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::os::fd::AsRawFd;

use super::Proxy;
use crate::program::{Server, run, stentor};

/// Sends `text` and its end, and reads the answer to its end.
fn exchange(proxy: &Proxy, text: &[u8]) -> std::io::Result<Vec<u8>> {
    let mut stream = TcpStream::connect(proxy.address)?;
    let mut writer = stream.try_clone()?;
    let text = text.to_vec();
    let feeder = std::thread::spawn(move || {
        writer.write_all(&text)?;
        writer.shutdown(Shutdown::Write)
    });
    let mut answer = Vec::new();
    let read = stream.read_to_end(&mut answer);
    // A proxy that cuts the stream breaks the pipe: the reader knows more.
    let _ = feeder.join().unwrap();
    read.map(|_| answer)
}

/// Letters that differ from their neighbours, some of more than one byte.
fn text(length: usize) -> Vec<u8> {
    "aßc·źx".bytes().cycle().take(length).collect()
}

#[test]
fn what_goes_in_comes_out_under_every_fault_that_keeps_bytes() {
    let server = Server::start(&[]);
    let links = [
        "",
        "delay=5ms",
        "delay=5ms,jitter=4ms",
        "rate=50Mbit",
        "slice=700/300",
        "stall=10ms/20ms",
        "slow-close=20ms",
        "loss-as-delay=2%/2ms",
        "delay=2ms,jitter=1ms,slice=900/100,rate=80Mbit",
    ];
    for link in links {
        let link = if link.is_empty() { vec![] } else { vec!["--link", link] };
        let proxy = Proxy::start("-t", server.v4, &link);
        for size in [0, 1, 1460, 70_000, 300_000] {
            let text = text(size);
            let answer = exchange(&proxy, &text).unwrap();
            assert!(answer == upper(&text), "{link:?}, {size} bytes");
        }
        let report = proxy.end();
        assert!(report.contains("connections  5 = 5 in order"), "{link:?}: {report}");
    }
}

/// What the service answers, by the standard library.
fn upper(text: &[u8]) -> Vec<u8> {
    let mut upper = Vec::new();
    for chunk in text.utf8_chunks() {
        upper.extend(chunk.valid().to_uppercase().bytes());
        upper.extend(chunk.invalid());
    }
    upper
}

#[test]
fn a_half_closed_client_still_gets_its_answer() {
    // A server that answers only after the end of the input.
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let target = listener.local_addr().unwrap();
    let server = std::thread::spawn(move || {
        let (mut stream, _) = listener.accept().unwrap();
        let mut all = Vec::new();
        stream.read_to_end(&mut all).unwrap();
        all.make_ascii_uppercase();
        stream.write_all(&all).unwrap();
    });
    let proxy = Proxy::start("-t", target, &["--link", "delay=5ms"]);
    assert_eq!(exchange(&proxy, b"late answer").unwrap(), b"LATE ANSWER");
    server.join().unwrap();
}

#[test]
fn truncated_streams_end_in_order_after_so_many_bytes() {
    let server = Server::start(&[]);
    let proxy = Proxy::start("-t", server.v4, &["--link", "down:truncate=1000"]);
    assert_eq!(exchange(&proxy, &[b'a'; 5000]).unwrap(), [b'A'; 1000]);
}

#[test]
fn a_reset_is_a_reset() {
    let server = Server::start(&[]);
    for link in ["reset=10ms", "refuse"] {
        let proxy = Proxy::start("-t", server.v4, &["--link", link]);
        let mut stream = TcpStream::connect(proxy.address).unwrap();
        let error = stream.read(&mut [0; 9]).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::ConnectionReset, "{link}");
        let expected = if link == "refuse" { "1 refused" } else { "1 reset" };
        assert!(proxy.end().contains(expected), "{link}");
    }
}

#[test]
fn a_server_that_is_not_there_resets_and_a_second_address_is_tried() {
    let nobody = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let proxy = Proxy::start("-t", nobody, &[]);
    let mut stream = TcpStream::connect(proxy.address).unwrap();
    let error = stream.read(&mut [0; 9]).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::ConnectionReset);
    assert!(proxy.end().contains("1 upstream unreachable"));
}

#[test]
fn a_reset_of_the_server_reaches_the_client_as_one() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let proxy = Proxy::start("-t", listener.local_addr().unwrap(), &[]);
    let mut client = TcpStream::connect(proxy.address).unwrap();
    let (server, _) = listener.accept().unwrap();
    client.write_all(b"unread").unwrap();
    // A close with bytes unread is a reset (RFC 1122, section 4.2.2.13): they must have come.
    let mut one = [0; 1];
    assert_eq!(server.peek(&mut one).unwrap(), 1);
    drop(server);
    let error = client.read(&mut [0; 9]).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::ConnectionReset);
}

#[test]
fn a_slow_reader_slows_the_sender_and_loses_nothing() {
    let server = Server::start(&[]);
    let proxy = Proxy::start("-t", server.v4, &["--link", "delay=1ms"]);
    let mut stream = TcpStream::connect(proxy.address).unwrap();
    let mut writer = stream.try_clone().unwrap();
    let size = 40 << 20;
    let feeder = std::thread::spawn(move || {
        let block = [b'a'; 65_536];
        for _ in 0..size / block.len() {
            writer.write_all(&block).unwrap();
        }
        writer.shutdown(Shutdown::Write).unwrap();
    });
    // In bites of an odd size, each only when asked for.
    let (mut bite, mut read) = (vec![0; 99_991], 0);
    loop {
        let count = stream.read(&mut bite).unwrap();
        if count == 0 {
            break;
        }
        assert!(bite[..count].iter().all(|byte| *byte == b'A'));
        read += count;
    }
    assert_eq!(read, size);
    feeder.join().unwrap();
}

#[test]
fn out_of_descriptors_is_only_a_pause() {
    let server = Server::start(&[]);
    let script = "ulimit -n 40 && exec \"$@\"";
    let mut command = std::process::Command::new("sh");
    command.args(["-c", script, "sh", stentor().get_program().to_str().unwrap()]);
    command.args(["impair", "-t", "0", &server.v4.to_string()]).env("NO_COLOR", "1");
    let proxy = Proxy::start_by(&mut command);
    // More than there are places for; those who wait in the backlog are connected, too.
    let crowd: Vec<TcpStream> =
        (0..40).map(|_| TcpStream::connect(proxy.address).unwrap()).collect();
    assert!(crowd.iter().all(|stream| stream.as_raw_fd() > 0));
    drop(crowd);
    for _ in 0..3 {
        assert_eq!(exchange(&proxy, b"still here").unwrap(), b"STILL HERE");
    }
    let report = proxy.end();
    assert!(report.contains("had to wait"), "{report}");
}

#[test]
fn send_and_fetch_go_through_a_link_of_their_own() {
    let server = Server::start(&[]);
    let target = server.v4.to_string();
    let said = run(&["send", &target, "--link", "delay=1ms", "--seed", "7", "hello"], b"");
    assert_eq!((said.code, said.out().as_str()), (Some(0), "HELLO\n"), "{}", said.err);
    let link = "link delay=1ms --seed 7: 1 connections, 5 bytes up, 5 down";
    assert!(said.err.contains(link), "{}", said.err);
    let nobody = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().to_string();
    let said = run(&["send", &nobody, "--link", "delay=1ms", "hello"], b"");
    assert_eq!(said.code, Some(3), "{}", said.err);
    assert!(said.err.contains("behind the link could not be reached"), "{}", said.err);
    let url = format!("http://{nobody}/");
    let said = run(&["fetch", &url, "--link", "delay=1ms"], b"");
    assert_eq!(said.code, Some(3), "{}", said.err);
}
