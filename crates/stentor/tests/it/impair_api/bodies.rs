//! What nobody should send, and what happens to who does.

use std::io::Write;

use serde_json::{Value, json};

use super::Api;

#[test]
fn what_is_no_json_or_of_a_wrong_type_is_a_bad_request() {
    let api = Api::start(&[]);
    api.proxy("p", "localhost:1");
    api.done("POST", "/proxies/p/toxics", json!({"type": "latency"}));
    let mut line = api.line();
    let paths =
        ["/proxies", "/proxies/p", "/proxies/p/toxics", "/proxies/p/toxics/latency_downstream"];
    let deep = "[".repeat(200_000);
    for path in paths {
        let bodies: [&[u8]; 9] =
            [b"", b"x", b"{", b"[]", b"5", b"\"\"", b"\xff\xfe", b"{\"toxics\":", deep.as_bytes()];
        for body in bodies {
            let reply = line.send("POST", path, "", body);
            let shown = String::from_utf8_lossy(&body[..body.len().min(20)]);
            assert_eq!(reply.status, 400, "{path} {shown}: {reply:?}");
            let error = reply.json()["error"].as_str().unwrap().to_owned();
            assert!(error.starts_with("bad request body: "), "{path} {shown}: {error}");
        }
    }
    for (path, body) in [
        ("/proxies", json!({"name": 5, "upstream": "h:1"})),
        ("/proxies", json!({"name": "n", "upstream": ["h:1"]})),
        ("/proxies", json!({"name": "n", "upstream": "h:1", "enabled": 1})),
        ("/proxies", json!({"name": "n", "upstream": "no port"})),
        ("/proxies", json!({"name": "n", "upstream": "h:70000"})),
        ("/proxies", json!({"name": "n", "upstream": "h:1", "transport": "sctp"})),
        ("/proxies", json!({"name": "n", "upstream": "udp://h:1", "transport": "tcp"})),
        (
            "/proxies",
            json!({"name": "n", "upstream": "h:1", "toxics": [{"type": "latency",
            "attributes": {"latency": 1.5}}]}),
        ),
        ("/proxies/p", json!({"upstream": "udp://h:1"})),
        ("/proxies/p", json!({"enabled": "false"})),
        ("/proxies/p/toxics", json!({"type": "noop", "toxicity": 1.01})),
        ("/proxies/p/toxics", json!({"type": "noop", "toxicity": -0.01})),
        ("/proxies/p/toxics", json!({"type": "noop", "toxicity": "1"})),
        ("/proxies/p/toxics", json!({"type": "noop", "attributes": []})),
        ("/proxies/p/toxics", json!({"type": "timeout", "attributes": {"timeout": 1e30}})),
        (
            "/proxies/p/toxics/latency_downstream",
            json!({"attributes": {"latency": 7, "jitter": 0.5}}),
        ),
    ] {
        let reply = api.send("POST", path, &body);
        assert_eq!(reply.status, 400, "{path} {body}: {reply:?}");
    }
    let toxic = api.done("GET", "/proxies/p/toxics/latency_downstream", Value::Null);
    assert_eq!(toxic["attributes"]["latency"], 0, "a change that is refused changes nothing");
    assert_eq!(api.done("GET", "/proxies", Value::Null).as_object().unwrap().len(), 1);
}

#[test]
fn keys_are_found_without_case_null_is_nothing_and_the_rest_is_left() {
    let api = Api::start(&[]);
    let mut line = api.line();
    let body =
        br#"{"NAME":"p","Listen":"localhost:0","upstream":"h:1","enabled":null,"toxics":null,
        "colour":{"red":[1]}} and whatever"#;
    assert_eq!(line.send("POST", "/proxies", "", body).status, 201);
    let body = br#"{"type":"latency","attributes":{"LATENCY":5,"jitter":null}}"#;
    let reply = line.send("POST", "/proxies/p/toxics", "", body);
    assert_eq!(reply.json()["attributes"], json!({"latency": 5, "jitter": 0}));
}

#[test]
fn names_may_be_any_text() {
    let api = Api::start(&[]);
    for (name, path) in [
        ("ä b", "%C3%A4%20b"),
        ("a/b", "a%2Fb"),
        ("..", ".."),
        ("?#%", "%3F%23%25"),
        ("toxics", "toxics"),
    ] {
        api.proxy(name, "h:1");
        let path = format!("/proxies/{path}");
        assert_eq!(api.done("GET", &path, Value::Null)["name"], *name);
        let toxics = format!("{path}/toxics");
        api.done("POST", &toxics, json!({"type": "noop", "name": name}));
        api.done("DELETE", &path, Value::Null);
    }
}

#[test]
fn a_huge_body_is_refused_before_it_is_read() {
    let api = Api::start(&[]);
    let mut line = api.line();
    let stream = line.0.get_mut();
    let head = "POST /populate HTTP/1.1\r\nhost: api\r\ncontent-length: 17000000\r\n\r\n";
    stream.write_all(head.as_bytes()).unwrap();
    let reply = line.receive();
    assert_eq!(reply.status, 413, "{reply:?}");
    assert!(reply.text().contains("longer than 16 MiB"), "{reply:?}");
    assert_eq!(api.send("GET", "/proxies", &Value::Null).status, 200);
}

#[test]
fn a_request_that_is_no_http_ends_its_own_connection_only() {
    let api = Api::start(&[]);
    let mut line = api.line();
    line.0.get_mut().write_all(b"\x16\x03\x01 hello\r\n\r\n").unwrap();
    assert_eq!(line.receive().status, 400);
    assert_eq!(api.send("GET", "/proxies", &Value::Null).status, 200);
}
