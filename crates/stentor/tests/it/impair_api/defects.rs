//! What Toxiproxy 2.12 does, and ours must not.

use std::io::{ErrorKind, Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::process::Command;

use serde_json::{Value, json};
use socket2::{Domain, Socket, Type};

use super::{Api, connect, echo, say};

#[test]
fn the_reply_to_a_half_closed_connection_arrives() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let api = Api::start(&[]);
    let proxy = api.proxy("p", listener.local_addr().unwrap());
    for toxic in [
        json!({"type": "noop"}),
        json!({"type": "latency", "attributes": {"latency": 5}}),
        json!({"type": "slicer", "stream": "upstream", "attributes": {"average_size": 10}}),
    ] {
        api.done("POST", "/proxies/p/toxics", toxic);
        let mut client = connect(proxy);
        client.write_all(b"all there is").unwrap();
        client.shutdown(Shutdown::Write).unwrap();
        let (mut server, _) = listener.accept().unwrap();
        let mut asked = String::new();
        server.read_to_string(&mut asked).unwrap();
        // Only now, when it has seen the end, does it answer.
        server.write_all(asked.to_uppercase().as_bytes()).unwrap();
        drop(server);
        let mut answer = String::new();
        client.read_to_string(&mut answer).unwrap();
        assert_eq!(answer, "ALL THERE IS");
    }
}

#[test]
fn proxies_outlive_a_want_of_descriptors() {
    let server = echo();
    let mut shell = Command::new("sh");
    let binary = env!("CARGO_BIN_EXE_stentor");
    let script = format!("ulimit -n 48 && exec {binary} impair --control=127.0.0.1:0");
    let api = Api::start_by(shell.args(["-c", &script]).env("NO_COLOR", "1"));
    let proxy = api.proxy("p", server);
    let mut line = api.line();
    let mut open = Vec::new();
    for _ in 0..40 {
        let mut client = connect(proxy);
        // Those that find no descriptor are reset, or wait in the backlog.
        client.set_read_timeout(Some(std::time::Duration::from_millis(100))).unwrap();
        let served = say(&mut client, b"word").is_ok();
        open.push(client);
        if !served {
            break;
        }
    }
    assert!((10..40).contains(&open.len()), "{} connections found descriptors", open.len());
    // One descriptor may be left; then there are none, and the refusal says what to do.
    let more = |number: usize| json!({"name": number.to_string(), "upstream": "h:1"}).to_string();
    let refused = (0..10)
        .map(|number| line.send("POST", "/proxies", "", more(number).as_bytes()))
        .find(|reply| reply.status != 201)
        .unwrap();
    let error = refused.json()["error"].as_str().unwrap().to_owned();
    assert_eq!(refused.status, 500);
    assert!(error.contains("too many open files") && error.contains("ulimit -n"), "{error}");
    drop(open);
    let shown = line.send("GET", "/proxies/p", "", b"").json();
    assert_eq!(shown["enabled"], true);
    // It is enabled, and it serves: the loop comes back by itself.
    let mut served = false;
    for _ in 0..1000 {
        served |= say(&mut connect(proxy), b"after").is_ok_and(|word| word == b"after");
        if served {
            break;
        }
    }
    assert!(served, "no client was served any more");
}

/// How a read ends that is to meet a reset.
fn reset(stream: &mut TcpStream) -> bool {
    let ended = stream.read(&mut [0; 16]);
    matches!(&ended, Err(error) if error.kind() == ErrorKind::ConnectionReset)
        || panic!("no reset but {ended:?}")
}

#[test]
fn reset_peer_resets_connections_new_and_open() {
    let (server, api) = (echo(), Api::start(&[]));
    for stream in ["downstream", "upstream"] {
        let proxy = api.proxy(stream, server);
        let mut open = connect(proxy);
        assert_eq!(say(&mut open, b"before").unwrap(), b"before");
        let path = format!("/proxies/{stream}/toxics");
        api.done("POST", &path, json!({"type": "reset_peer", "stream": stream}));
        open.write_all(b"after").unwrap();
        assert!(reset(&mut open), "{stream}");
        let mut new = connect(proxy);
        new.write_all(b"after").unwrap();
        assert!(reset(&mut new), "{stream}");
        api.done("DELETE", &format!("{path}/reset_peer_{stream}"), Value::Null);
        assert_eq!(say(&mut connect(proxy), b"again").unwrap(), b"again");
    }
}

/// Which of 40 connections a toxic of half toxicity struck.
fn struck(seed: &[&str]) -> String {
    let (server, api) = (echo(), Api::start(seed));
    let proxy = api.proxy("p", server);
    let toxic = json!({"type": "reset_peer", "toxicity": 0.5});
    api.done("POST", "/proxies/p/toxics", toxic);
    let strike = |_| if say(&mut connect(proxy), b"word").is_ok() { '.' } else { 'x' };
    (0..40).map(strike).collect()
}

#[test]
fn the_same_seed_has_the_same_luck() {
    let seven = struck(&["--seed", "7"]);
    assert_eq!(struck(&["--seed", "7"]), seven);
    assert_ne!(struck(&["--seed", "8"]), seven);
    assert!(seven.contains('.') && seven.contains('x'), "{seven}");
}

#[test]
fn a_hung_upstream_holds_up_only_who_waits_for_it() {
    // A server whose queue is full: its SYNs are dropped, and connect(2) waits for minutes.
    let socket = Socket::new(Domain::IPV4, Type::STREAM, None).unwrap();
    socket.bind(&"127.0.0.1:0".parse::<std::net::SocketAddr>().unwrap().into()).unwrap();
    socket.listen(0).unwrap();
    let hung = socket.local_addr().unwrap().as_socket().unwrap();
    let fill: Vec<Socket> = (0..8)
        .map(|_| {
            let one = Socket::new(Domain::IPV4, Type::STREAM, None).unwrap();
            one.set_nonblocking(true).unwrap();
            let _ = one.connect(&hung.into());
            one
        })
        .collect();
    let (server, api) = (echo(), Api::start(&[]));
    let (mute, well) = (api.proxy("mute", hung), api.proxy("well", server));
    let mut waiting: Vec<TcpStream> = (0..20).map(|_| connect(mute)).collect();
    waiting.iter_mut().for_each(|client| client.write_all(b"hello?").unwrap());
    assert_eq!(say(&mut connect(well), b"word").unwrap(), b"word");
    // The same proxy still takes clients: this one is refused by a rule that came later.
    api.done("POST", "/proxies/mute/toxics", json!({"type": "refuse"}));
    assert!(reset(&mut connect(mute)));
    // And another upstream serves at once.
    api.done("POST", "/reset", Value::Null);
    api.done("PATCH", "/proxies/mute", json!({"upstream": server.to_string()}));
    assert!(waiting.iter_mut().all(reset), "a changed upstream drops what waited for the old one");
    assert_eq!(say(&mut connect(mute), b"word").unwrap(), b"word");
    drop(fill);
}
