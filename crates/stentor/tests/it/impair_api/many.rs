//! Many proxies, and many clients of the API at once.

use std::process::Command;

use serde_json::{Value, json};

use super::{Api, connect, echo, listen, say};

const MANY: usize = 10_000;

/// Each on an address of its own, so that the ports of other tests are left to them.
fn listed(count: usize, upstream: &str) -> Value {
    let one = |number: usize| {
        let listen = format!("127.77.{}.{}:0", number / 250, number % 250 + 1);
        json!({"name": number.to_string(), "listen": listen, "upstream": upstream})
    };
    (0..count).map(one).collect()
}

#[test]
fn ten_thousand_proxies_come_and_go() {
    let (server, api) = (echo(), Api::start(&[]));
    let mut line = api.line();
    assert_eq!(line.send("GET", "/version", "", b"").status, 200);
    let before = api.descriptors();
    let body = listed(MANY, &server.to_string()).to_string();
    let reply = line.send("POST", "/populate", "", body.as_bytes());
    let answer = reply.json();
    let made = answer["proxies"].as_array().unwrap();
    if reply.status == 201 {
        assert_eq!(made.len(), MANY);
    } else {
        let error = answer["error"].as_str().unwrap();
        assert!(error.contains("ulimit -n"), "{error}");
        eprintln!("SKIPPED in part: descriptors for {} proxies only: {error}", made.len());
    }
    for at in [0, made.len() / 2, made.len() - 1] {
        if reply.status == 201 {
            assert_eq!(say(&mut connect(listen(&made[at])), b"word").unwrap(), b"word");
        }
    }
    let all = line.send("GET", "/proxies", "", b"").json();
    assert_eq!(all.as_object().unwrap().len(), made.len());
    for name in all.as_object().unwrap().keys() {
        assert_eq!(line.send("DELETE", &format!("/proxies/{name}"), "", b"").status, 204);
    }
    assert_eq!(line.send("GET", "/proxies", "", b"").json(), json!({}));
    while api.descriptors() > before {}
}

#[test]
fn a_limit_that_is_reached_is_named_and_what_was_made_can_be_deleted() {
    let binary = env!("CARGO_BIN_EXE_stentor");
    let script = format!("ulimit -n 128 && exec {binary} impair --control=127.0.0.1:0");
    let api = Api::start_by(Command::new("sh").args(["-c", &script]));
    let mut line = api.line();
    for _ in 0..3 {
        let reply = line.send("POST", "/populate", "", listed(200, "h:1").to_string().as_bytes());
        let answer = reply.json();
        assert_eq!(reply.status, 500, "{answer}");
        let error = answer["error"].as_str().unwrap();
        assert!(error.contains("too many open files") && error.contains("ulimit -n"), "{error}");
        let made = answer["proxies"].as_array().unwrap();
        assert!((64..128).contains(&made.len()), "{} were made", made.len());
        let all = line.send("GET", "/proxies", "", b"").json();
        assert_eq!(all.as_object().unwrap().len(), made.len());
        for proxy in made {
            let path = format!("/proxies/{}", proxy["name"].as_str().unwrap());
            assert_eq!(proxy["enabled"], true);
            assert_eq!(line.send("DELETE", &path, "", b"").status, 204);
        }
    }
}

#[test]
fn clients_at_once_do_not_get_in_each_others_way() {
    let (server, api) = (echo(), Api::start(&[]));
    let firsts: usize = std::thread::scope(|scope| {
        let client = |number: usize| {
            let api = &api;
            scope.spawn(move || {
                let mut line = api.line();
                let own = format!("own{number}");
                let mut firsts = 0;
                for turn in 0..20 {
                    let body = |name: &str| {
                        json!({"name": name, "upstream": server.to_string()}).to_string()
                    };
                    let shared = body(&format!("shared{turn}"));
                    let reply = line.send("POST", "/proxies", "", shared.as_bytes());
                    assert!([201, 409].contains(&reply.status), "{reply:?}");
                    firsts += usize::from(reply.status == 201);
                    let made = line.send("POST", "/proxies", "", body(&own).as_bytes());
                    assert_eq!(made.status, 201, "{made:?}");
                    let toxics = format!("/proxies/{own}/toxics");
                    let toxic = br#"{"type":"latency","attributes":{"latency":1}}"#;
                    assert_eq!(line.send("POST", &toxics, "", toxic).status, 200);
                    let mut through = connect(listen(&made.json()));
                    assert_eq!(say(&mut through, b"word").unwrap(), b"word");
                    let own = format!("/proxies/{own}");
                    assert_eq!(line.send("DELETE", &own, "", b"").status, 204);
                }
                firsts
            })
        };
        let clients: Vec<_> = (0..8).map(client).collect();
        clients.into_iter().map(|client| client.join().unwrap()).sum()
    });
    assert_eq!(firsts, 20, "each shared name was made once");
    let all = api.done("GET", "/proxies", Value::Null);
    assert_eq!(all.as_object().unwrap().len(), 20);
}
