//! What ours adds for streams, the configuration, metrics, and proxies of the command line.

use std::io::{Read, Write};
use std::net::TcpListener;

use serde_json::{Value, json};

use super::{Api, connect, echo, listen, say};
use crate::program;

/// A file of the test's own, gone when dropped.
struct Sheet(std::path::PathBuf);

impl Sheet {
    fn new(name: &str, text: &str) -> Sheet {
        let name = format!("stentor-{}-{name}.json", std::process::id());
        let path = std::env::temp_dir().join(name);
        std::fs::write(&path, text).unwrap();
        Sheet(path)
    }

    fn path(&self) -> &str {
        self.0.to_str().unwrap()
    }
}

impl Drop for Sheet {
    fn drop(&mut self) {
        let _ = std::fs::remove_file(&self.0);
    }
}

#[test]
fn toxics_can_be_there_from_the_beginning() {
    let (server, api) = (echo(), Api::start(&[]));
    let body = json!({"name": "p", "listen": "localhost:0", "upstream": server.to_string(),
        "toxics": [{"type": "limit_data", "attributes": {"bytes": 3}}, {"type": "noop"}]});
    let made = api.done("POST", "/proxies", body.clone());
    assert_eq!(made["toxics"][0]["name"], "limit_data_downstream");
    let mut client = connect(listen(&made));
    client.write_all(b"abcdef").unwrap();
    let mut answer = Vec::new();
    client.read_to_end(&mut answer).unwrap();
    assert_eq!(answer, b"abc");
    let mut twice = body;
    twice["name"] = json!("q");
    twice["toxics"][1] = json!({"type": "limit_data"});
    assert_eq!(api.send("POST", "/proxies", &twice).status, 409);
    assert_eq!(api.send("GET", "/proxies/q", &Value::Null).status, 404);
    // A change does not look at toxics: clients send back what they were told long before.
    let change = json!({"enabled": true, "toxics": []});
    assert_eq!(api.done("POST", "/proxies/p", change)["toxics"].as_array().unwrap().len(), 2);
}

#[test]
fn faults_of_the_connect_phase() {
    let (server, api) = (echo(), Api::start(&[]));
    let proxy = api.proxy("p", server);
    api.done("POST", "/proxies/p/toxics", json!({"type": "refuse"}));
    assert!(connect(proxy).read(&mut [0; 8]).is_err());
    api.done("POST", "/reset", Value::Null);
    // A delay longer than the test: nothing is led on until it is taken away for the next client.
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let late = api.proxy("late", listener.local_addr().unwrap());
    let hour = json!({"type": "connect_delay", "attributes": {"delay": 3_600_000}});
    api.done("POST", "/proxies/late/toxics", hour);
    let mut first = connect(late);
    first.write_all(b"1").unwrap();
    api.done("DELETE", "/proxies/late/toxics/connect_delay_downstream", Value::Null);
    let mut second = connect(late);
    second.write_all(b"2").unwrap();
    let mut came = [0];
    listener.accept().unwrap().0.read_exact(&mut came).unwrap();
    assert_eq!(&came, b"2");
    let half = json!({"type": "connect_delay", "toxicity": 0.5});
    assert_eq!(api.send("POST", "/proxies/late/toxics", &half).status, 400);
}

#[test]
fn disabling_closes_the_door_and_drops_who_is_in() {
    let (server, api) = (echo(), Api::start(&[]));
    let proxy = api.proxy("p", server);
    let mut open = connect(proxy);
    say(&mut open, b"word").unwrap();
    api.done("POST", "/proxies/p", json!({"enabled": false}));
    assert!(!matches!(open.read(&mut [0; 8]), Ok(1..)));
    assert!(std::net::TcpStream::connect(proxy).is_err());
    let back = api.done("PATCH", "/proxies/p", json!({"enabled": true}));
    assert_eq!(listen(&back), proxy, "the port it had");
    assert_eq!(say(&mut connect(proxy), b"word").unwrap(), b"word");
}

#[test]
fn a_removed_timeout_closes_and_an_added_toxic_reaches_open_connections() {
    let (server, api) = (echo(), Api::start(&[]));
    let proxy = api.proxy("p", server);
    let mut open = connect(proxy);
    say(&mut open, b"word").unwrap();
    api.done("POST", "/proxies/p/toxics", json!({"type": "timeout"}));
    open.write_all(b"lost").unwrap();
    api.done("DELETE", "/proxies/p/toxics/timeout_downstream", Value::Null);
    let mut rest = Vec::new();
    open.read_to_end(&mut rest).unwrap();
    assert!(rest.is_empty(), "{rest:?}");
}

#[test]
fn a_configuration_opens_proxies_with_toxics_and_a_seed() {
    let server = echo();
    let proxy = json!({"name": "p", "listen": "localhost:0", "upstream": server.to_string(),
        "toxics": [{"type": "noop"}]});
    let with_seed = Sheet::new("seed", &json!({"seed": 5, "proxies": [proxy]}).to_string());
    let plain = Sheet::new("plain", &json!([proxy]).to_string());
    for sheet in [&with_seed, &plain] {
        let api = Api::start(&["--config", sheet.path()]);
        let shown = api.done("GET", "/proxies/p", Value::Null);
        assert_eq!(shown["toxics"][0]["type"], "noop");
        assert_eq!(say(&mut connect(listen(&shown)), b"word").unwrap(), b"word");
        let report = api.end();
        assert!(report.contains("connections  1 = "), "{report}");
    }
    let run = |sheet: &Sheet, more: &[&str]| {
        let all = ["impair", "-d", "1ms", "--config", sheet.path(), "--control=127.0.0.1:0"];
        program::run(&[&all, more].concat(), b"")
    };
    assert!(run(&with_seed, &[]).err.contains("--seed 5"));
    assert!(run(&with_seed, &["--seed", "6"]).err.contains("--seed 6"));
    for (text, code, says) in [
        ("", 2, "EOF"),
        ("[{}]", 2, "missing required field: name at proxy 1"),
        (r#"[{"name":"p"}]"#, 2, "upstream at proxy 1"),
        (r#"[{"name":"p","upstream":"h:1","listen":"192.0.2.1:1"}]"#, 3, "cannot assign"),
    ] {
        let said = run(&Sheet::new("wrong", text), &[]);
        assert_eq!(said.code, Some(code), "{text}: {}", said.err);
        assert!(said.err.contains(says), "{text}: {}", said.err);
    }
}

#[test]
fn proxies_of_the_command_line_are_listed_and_keep_their_link() {
    let server = echo().to_string();
    let words = ["-t", "127.0.0.1:0", &server, "--link", "slice=2"];
    let api = Api::start(&words);
    assert!(api.ready.starts_with("tcp://127.0.0.1:"), "{}", api.ready);
    let shown = api.done("GET", "/proxies/tcp", Value::Null);
    assert_eq!((&shown["link"], &shown["toxics"]), (&json!("slice=2"), &json!([])));
    assert_eq!(shown["upstream"], *server);
    // A toxic comes behind the link, under a name that the link does not have.
    let limit = json!({"type": "limit_data", "attributes": {"bytes": 3}});
    let mut taken = limit.clone();
    taken["name"] = json!("slice");
    assert_eq!(api.send("POST", "/proxies/tcp/toxics", &taken).status, 409);
    api.done("POST", "/proxies/tcp/toxics", limit);
    let mut client = connect(listen(&shown));
    client.write_all(b"abcdef").unwrap();
    let mut answer = Vec::new();
    client.read_to_end(&mut answer).unwrap();
    assert_eq!(answer, b"abc");
    api.done("POST", "/reset", Value::Null);
    assert_eq!(api.done("GET", "/proxies/tcp", Value::Null)["link"], "slice=2");
    api.done("DELETE", "/proxies/tcp", Value::Null);
}

#[test]
fn bytes_are_counted_across_lives_of_a_proxy() {
    let (server, api) = (echo(), Api::start(&["--metrics"]));
    let proxy = api.proxy("p", server);
    for life in 1..=2 {
        let mut client = connect(proxy);
        say(&mut client, b"four").unwrap();
        for what in ["received", "sent"] {
            for direction in ["upstream", "downstream"] {
                assert_eq!(api.counted(what, direction, "p"), 4 * life, "{what} {direction}");
            }
        }
        api.done("POST", "/proxies/p", json!({"enabled": false}));
        api.done("POST", "/proxies/p", json!({"enabled": true}));
    }
    let reply = api.send("GET", "/metrics", &Value::Null);
    assert_eq!(reply.header("content-type"), Some("text/plain; version=0.0.4; charset=utf-8"));
}

#[test]
fn arguments_that_do_not_fit_say_what_does() {
    let check = |arguments: &[&str], says: &str| {
        let said = program::run(&[&["impair"], arguments].concat(), b"");
        assert_eq!(said.code, Some(2), "{arguments:?}: {}", said.err);
        assert!(said.err.contains(says), "{arguments:?}: {}", said.err);
    };
    check(&["--config", "x"], "--control");
    check(&["--metrics"], "--control");
    check(&["--control", "8000", "127.0.0.1:1"], "write it last");
    check(&["--control=nonsense"], "--control nonsense");
    check(&["--control=udp://127.0.0.1:1"], "HTTP over TCP");
    check(&["--link", "delay=1ms", "--control=127.0.0.1:0"], "LISTEN and TARGET");
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = format!("--control={}", taken.local_addr().unwrap());
    let said = program::run(&["impair", &address], b"");
    assert_eq!(said.code, Some(3), "{}", said.err);
    assert!(said.err.contains("EADDRINUSE"), "{}", said.err);
}

#[test]
fn a_command_runs_beside_the_control_server_and_finds_it() {
    let script = "echo at {}";
    let all = ["impair", "--control=127.0.0.1:0", "--json", "--", "sh", "-c", script];
    let said = program::run(&all, b"");
    assert_eq!(said.code, Some(0), "{}", said.err);
    let out = said.out();
    let (first, object) = out.split_once('\n').unwrap();
    let address = first.strip_prefix("at ").unwrap();
    let object: Value = serde_json::from_str(object).unwrap();
    assert_eq!(object["config"]["control"], address);
}
