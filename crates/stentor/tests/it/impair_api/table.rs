//! Every method, path, code, body and refusal of Toxiproxy 2.12.

use serde_json::{Value, json};

use super::{Api, Reply, listen};

/// Whether `found` has everything that `expected` has; lists are compared item by item.
fn has(found: &Value, expected: &Value) -> bool {
    match (found, expected) {
        (Value::Object(found), Value::Object(expected)) => expected
            .iter()
            .all(|(key, value)| found.get(key).is_some_and(|found| has(found, value))),
        (Value::Array(found), Value::Array(expected)) => {
            found.len() == expected.len()
                && found.iter().zip(expected).all(|(found, expected)| has(found, expected))
        }
        (Value::Number(found), Value::Number(expected)) => found.as_f64() == expected.as_f64(),
        (found, expected) => found == expected,
    }
}

const JSON: Option<&str> = Some("application/json");
const TEXT: Option<&str> = Some("text/plain; charset=utf-8");

#[derive(Debug)]
struct Row {
    request: (&'static str, &'static str),
    body: Value,
    status: u16,
    content: Option<&'static str>,
    /// `Null`: an empty body.
    answer: Value,
}

fn row(method: &'static str, path: &'static str, body: Value, status: u16, answer: Value) -> Row {
    let content = match status {
        200 | 201 => JSON,
        204 | 405 => None,
        _ if path == "/populate" => JSON,
        _ => TEXT,
    };
    Row { request: (method, path), body, status, content, answer }
}

fn refused(method: &'static str, path: &'static str, body: Value, status: u16, error: &str) -> Row {
    row(method, path, body, status, json!({"error": error, "status": status}))
}

fn run(api: &Api, rows: Vec<Row>) {
    let mut ids = std::collections::BTreeSet::new();
    for row in rows {
        let (method, path) = row.request;
        let reply = api.send(method, path, &row.body);
        assert_eq!(reply.status, row.status, "{row:?}\n{reply:?}");
        assert_eq!(reply.header("content-type"), row.content, "{row:?}\n{reply:?}");
        assert!(ids.insert(reply.header("x-toxiproxy-request-id").unwrap().to_owned()));
        if row.answer.is_null() {
            assert!(reply.body.is_empty(), "{row:?}\n{reply:?}");
        } else if let Some(text) = row.answer.as_str() {
            assert_eq!(reply.text(), *text, "{row:?}");
        } else {
            assert!(has(&reply.json(), &row.answer), "{row:?}\n{}", reply.text());
        }
    }
}

#[test]
fn proxies_are_made_shown_changed_and_deleted() {
    let api = Api::start(&[]);
    let web = json!({"name": "web", "listen": "localhost:0", "upstream": "localhost:20001"});
    run(
        &api,
        vec![
            row("GET", "/proxies", Value::Null, 200, json!({})),
            row(
                "POST",
                "/proxies",
                web.clone(),
                201,
                json!({"name": "web", "upstream": "localhost:20001", "enabled": true, "toxics": []}),
            ),
            refused("POST", "/proxies", web.clone(), 409, "proxy already exists"),
            refused("POST", "/proxies", json!({}), 400, "missing required field: name"),
            refused("POST", "/proxies", json!({"name": ""}), 400, "missing required field: name"),
            refused(
                "POST",
                "/proxies",
                json!({"name": "a"}),
                400,
                "missing required field: upstream",
            ),
            row("GET", "/proxies", Value::Null, 200, json!({"web": {"name": "web", "toxics": []}})),
            row("GET", "/proxies/web", Value::Null, 200, json!({"name": "web", "enabled": true})),
            refused("GET", "/proxies/no", Value::Null, 404, "proxy not found"),
            refused("POST", "/proxies/no", json!({"enabled": "x"}), 404, "proxy not found"),
            refused("PATCH", "/proxies/no", json!({}), 404, "proxy not found"),
            refused("DELETE", "/proxies/no", Value::Null, 404, "proxy not found"),
            row("POST", "/proxies/web", json!({"enabled": false}), 200, json!({"enabled": false})),
            row("PATCH", "/proxies/web", json!({"name": "x"}), 200, json!({"name": "web"})),
            row("PATCH", "/proxies/web", json!({}), 200, json!({"enabled": false})),
            row(
                "PATCH",
                "/proxies/web",
                json!({"enabled": true, "upstream": "localhost:20002"}),
                200,
                json!({"enabled": true, "upstream": "localhost:20002"}),
            ),
            row(
                "POST",
                "/proxies",
                json!({"name": "off", "listen": "localhost:0", "upstream": "h:1", "enabled": false}),
                201,
                json!({"name": "off", "listen": "localhost:0", "enabled": false}),
            ),
            row("DELETE", "/proxies/off", Value::Null, 204, Value::Null),
            refused("GET", "/proxies/off", Value::Null, 404, "proxy not found"),
            row("DELETE", "/proxies/web", Value::Null, 204, Value::Null),
            row("GET", "/proxies", Value::Null, 200, json!({})),
        ],
    );
}

#[test]
fn listen_is_told_as_it_was_resolved_and_a_taken_port_in_the_systems_words() {
    let api = Api::start(&[]);
    let one = api.proxy("one", "localhost:1");
    assert!(one.ip().is_loopback() && one.port() > 0, "{one}");
    let taken = json!({"name": "two", "listen": format!("localhost:{}", one.port()),
        "upstream": "localhost:1"});
    let refused = api.send("POST", "/proxies", &taken);
    let expected = format!("listen tcp 127.0.0.1:{}: bind: address already in use", one.port());
    assert_eq!((refused.status, refused.json()["error"].as_str()), (500, Some(expected.as_str())));
    assert_eq!(api.send("GET", "/proxies/two", &Value::Null).status, 404);
    // A change that cannot be had leaves the proxy disabled, and says so.
    let two = api.proxy("two", "localhost:1");
    let body = json!({"listen": one.to_string()});
    assert_eq!(api.send("PATCH", "/proxies/two", &body).status, 500);
    assert_eq!(api.done("GET", "/proxies/two", Value::Null)["enabled"], false);
    let back = json!({"listen": two.to_string(), "enabled": true});
    assert_eq!(listen(&api.done("PATCH", "/proxies/two", back)), two);
}

#[test]
fn toxics_are_added_shown_changed_and_deleted() {
    let api = Api::start(&[]);
    api.proxy("p", "localhost:1");
    let rows = vec![
        row("GET", "/proxies/p/toxics", Value::Null, 200, json!([])),
        row(
            "POST",
            "/proxies/p/toxics",
            json!({"type": "latency", "attributes": {"latency": 100}}),
            200,
            json!({"name": "latency_downstream", "type": "latency", "stream": "downstream",
                "toxicity": 1.0, "attributes": {"latency": 100, "jitter": 0}}),
        ),
        refused(
            "POST",
            "/proxies/p/toxics",
            json!({"type": "latency"}),
            409,
            "toxic already exists",
        ),
        row(
            "POST",
            "/proxies/p/toxics",
            json!({"type": "latency", "stream": "UPstream", "toxicity": 0.25}),
            200,
            json!({"name": "latency_UPstream", "stream": "UPstream", "toxicity": 0.25}),
        ),
        row(
            "POST",
            "/proxies/p/toxics",
            json!({"name": "slow", "type": "bandwidth", "stream": "upstream",
                "attributes": {"rate": 5, "unknown": 1.5}}),
            200,
            json!({"name": "slow", "attributes": {"rate": 5}}),
        ),
        refused(
            "POST",
            "/proxies/p/toxics",
            json!({"name": "slow", "type": "noop"}),
            409,
            "toxic already exists",
        ),
        row(
            "GET",
            "/proxies/p/toxics",
            Value::Null,
            200,
            json!([{"name": "latency_UPstream"}, {"name": "slow"}, {"name": "latency_downstream"}]),
        ),
        row("GET", "/proxies/p", Value::Null, 200, json!({"toxics": [{}, {}, {}]})),
    ];
    run(&api, rows);
    run(&api, changes_of_toxics());
    run(&api, refusals_of_toxics());
    let path = "/proxies/p/toxics/slow";
    run(
        &api,
        vec![
            row("DELETE", path, Value::Null, 204, Value::Null),
            refused("DELETE", path, Value::Null, 404, "toxic not found"),
        ],
    );
}

fn changes_of_toxics() -> Vec<Row> {
    vec![
        row(
            "PATCH",
            "/proxies/p/toxics/latency_downstream",
            json!({"attributes": {"jitter": 7}, "name": "x", "stream": "upstream"}),
            200,
            json!({"name": "latency_downstream", "stream": "downstream", "toxicity": 1,
                "attributes": {"latency": 100, "jitter": 7}}),
        ),
        row(
            "POST",
            "/proxies/p/toxics/latency_downstream",
            json!({"toxicity": 0.5}),
            200,
            json!({"toxicity": 0.5, "attributes": {"latency": 100, "jitter": 7}}),
        ),
    ]
}

fn refusals_of_toxics() -> Vec<Row> {
    vec![
        row("GET", "/proxies/p/toxics/slow", Value::Null, 200, json!({"type": "bandwidth"})),
        refused("GET", "/proxies/p/toxics/no", Value::Null, 404, "toxic not found"),
        refused("PATCH", "/proxies/p/toxics/no", json!({}), 404, "toxic not found"),
        refused("DELETE", "/proxies/p/toxics/no", Value::Null, 404, "toxic not found"),
        refused("GET", "/proxies/q/toxics", Value::Null, 404, "proxy not found"),
        refused("POST", "/proxies/q/toxics", json!({"type": "noop"}), 404, "proxy not found"),
        refused("GET", "/proxies/q/toxics/slow", Value::Null, 404, "proxy not found"),
        refused("DELETE", "/proxies/q/toxics/slow", Value::Null, 404, "proxy not found"),
        refused("POST", "/proxies/p/toxics", json!({"type": "packet"}), 400, "invalid toxic type"),
        refused("POST", "/proxies/p/toxics", json!({}), 400, "invalid toxic type"),
        refused(
            "POST",
            "/proxies/p/toxics",
            json!({"type": "noop", "stream": "sideways"}),
            400,
            "stream was invalid, can be either upstream or downstream",
        ),
    ]
}

#[test]
fn every_type_has_its_attributes() {
    let api = Api::start(&[]);
    api.proxy("p", "localhost:1");
    for (kind, attributes) in [
        ("latency", json!({"latency": 0, "jitter": 0})),
        ("bandwidth", json!({"rate": 0})),
        ("slow_close", json!({"delay": 0})),
        ("timeout", json!({"timeout": 0})),
        ("reset_peer", json!({"timeout": 0})),
        ("slicer", json!({"average_size": 0, "size_variation": 0, "delay": 0})),
        ("limit_data", json!({"bytes": 0})),
        ("noop", json!({})),
    ] {
        let toxic = api.done("POST", "/proxies/p/toxics", json!({"type": kind}));
        assert_eq!(toxic["attributes"], attributes, "{kind}");
        for name in attributes.as_object().unwrap().keys() {
            let path = format!("/proxies/p/toxics/{kind}_downstream");
            let one = |value: Value| json!({"attributes": {name: value}});
            let refused = api.send("PATCH", &path, &one(json!(1.5)));
            assert_eq!(refused.status, 400, "{kind} {name}: {refused:?}");
            assert!(refused.json()["error"].as_str().unwrap().starts_with("bad request body: "));
            for wrong in [json!(-1), json!("1"), json!(true), json!([1])] {
                assert_eq!(api.send("PATCH", &path, &one(wrong)).status, 400);
            }
            assert_eq!(api.done("PATCH", &path, one(json!(12)))["attributes"][name], 12);
        }
    }
}

#[test]
fn populate_validates_all_first_and_leaves_equal_ones_alone() {
    let api = Api::start(&[]);
    let one = json!({"name": "one", "listen": "localhost:0", "upstream": "localhost:1"});
    let made = api.done("POST", "/populate", json!([one]));
    let address = listen(&made["proxies"][0]);
    let path = "/proxies/one/toxics";
    api.done("POST", path, json!({"type": "noop"}));
    let same = json!({"name": "one", "listen": address.to_string(), "upstream": "localhost:1"});
    let two = json!({"name": "two", "listen": "localhost:0", "upstream": "localhost:1",
        "enabled": false});
    let mut other = same.clone();
    other["upstream"] = json!("localhost:2");
    let all_first = |second: Value| json!([other, second]);
    run(
        &api,
        vec![
            row(
                "POST",
                "/populate",
                json!([same, two]),
                201,
                json!({"proxies": [{"name": "one", "toxics": [{}]}, {"name": "two", "enabled": false}]}),
            ),
            row(
                "POST",
                "/populate",
                all_first(json!({"name": ""})),
                400,
                json!({"error": "missing required field: name at proxy 2", "status": 400,
                "proxies": []}),
            ),
            row(
                "POST",
                "/populate",
                all_first(json!({"name": "three"})),
                400,
                json!({"error": "missing required field: upstream at proxy 2"}),
            ),
            // None of them has touched the first.
            row("GET", "/proxies/one", Value::Null, 200, json!({"upstream": "localhost:1"})),
            row(
                "POST",
                "/populate",
                all_first(json!({"name": "bad", "listen": "local373", "upstream": "localhost:1"})),
                500,
                json!({"error": "listen tcp: address local373: missing port in address",
                "status": 500,
                "proxies": [{"name": "one", "upstream": "localhost:2", "toxics": []}]}),
            ),
            row("GET", "/proxies", Value::Null, 200, json!({"one": {}, "two": {}})),
            row("POST", "/populate", json!([]), 201, json!({"proxies": []})),
            row("POST", "/populate", json!({"name": "x"}), 400, json!({"proxies": []})),
        ],
    );
    let all = api.done("GET", "/proxies", Value::Null);
    assert_eq!(all.as_object().unwrap().len(), 2);
    assert_eq!(listen(&all["one"]), address);
}

#[test]
fn reset_enables_all_proxies_and_removes_all_toxics() {
    let api = Api::start(&[]);
    let body = json!({"name": "off", "listen": "localhost:0", "upstream": "h:1", "enabled": false,
        "toxics": [{"type": "timeout"}]});
    api.done("POST", "/proxies", body);
    api.proxy("on", "localhost:1");
    api.done("POST", "/proxies/on/toxics", json!({"type": "noop"}));
    run(
        &api,
        vec![
            row("POST", "/reset", Value::Null, 204, Value::Null),
            row("POST", "/reset", Value::Null, 204, Value::Null),
            row(
                "GET",
                "/proxies",
                Value::Null,
                200,
                json!({
                    "on": {"enabled": true, "toxics": []},
                    "off": {"enabled": true, "toxics": []},
                }),
            ),
        ],
    );
}

#[test]
fn pages_that_are_not_there_and_methods_that_are_not_theirs() {
    let api = Api::start(&[]);
    let no_page = |path| row("GET", path, Value::Null, 404, json!("404 page not found\n"));
    let no_method = |method, path| row(method, path, Value::Null, 405, Value::Null);
    run(
        &api,
        vec![
            no_page("/"),
            no_page("/nowhere"),
            no_page("/proxies/"),
            no_page("/proxies/a/b"),
            no_page("/metrics"),
            no_method("PUT", "/proxies"),
            no_method("DELETE", "/proxies"),
            no_method("PUT", "/proxies/a"),
            no_method("DELETE", "/proxies/a/toxics"),
            no_method("PUT", "/proxies/a/toxics/b"),
            no_method("GET", "/populate"),
            no_method("GET", "/reset"),
            no_method("POST", "/version"),
        ],
    );
}

fn agent(api: &Api, name: &str) -> Reply {
    api.line().send("GET", "/proxies", &format!("user-agent: {name}\r\n"), b"")
}

#[test]
fn browsers_are_turned_away() {
    let api = Api::start(&[]);
    let browser = agent(&api, "Mozilla/5.0 (X11; Linux x86_64)");
    assert_eq!((browser.status, browser.text().as_str()), (403, "User agent not allowed\n"));
    assert!(browser.header("x-toxiproxy-request-id").is_some());
    for name in ["curl/8", "Go-http-client/1.1", "mozilla/5.0", ""] {
        assert_eq!(agent(&api, name).status, 200, "{name}");
    }
}

#[test]
fn the_version_can_be_any_text() {
    let api = Api::start(&[]);
    let reply = api.send("GET", "/version", &Value::Null);
    assert_eq!(reply.header("content-type"), Some("application/json;charset=utf-8"));
    assert!(reply.json()["version"].as_str().unwrap().starts_with("2.12.0+stentor."));
    let api = Api::start(&["--version-string", "git-\"x\""]);
    assert_eq!(api.done("GET", "/version", Value::Null), json!({"version": "git-\"x\""}));
}
