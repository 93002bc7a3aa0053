//! UDP over the same API: what ours adds, in a form that no client chokes on.

use std::net::{SocketAddr, UdpSocket};

use serde_json::{Value, json};

use super::{Api, PATIENCE, listen};

/// Answers every datagram with itself.
fn echo() -> SocketAddr {
    let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
    let address = socket.local_addr().unwrap();
    std::thread::spawn(move || {
        let mut buffer = [0; 2048];
        while let Ok((count, peer)) = socket.recv_from(&mut buffer) {
            let _ = socket.send_to(&buffer[..count], peer);
        }
    });
    address
}

fn client(proxy: SocketAddr) -> UdpSocket {
    let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
    socket.set_read_timeout(Some(PATIENCE)).unwrap();
    socket.connect(proxy).unwrap();
    socket
}

fn receive(socket: &UdpSocket) -> Vec<u8> {
    let mut buffer = [0; 2048];
    let count = socket.recv(&mut buffer).unwrap();
    buffer[..count].to_vec()
}

fn toxic(api: &Api, body: Value) -> String {
    let made = api.done("POST", "/proxies/u/toxics", body);
    format!("/proxies/u/toxics/{}", made["name"].as_str().unwrap())
}

#[test]
fn a_udp_proxy_is_shown_as_others_with_its_transport() {
    let api = Api::start(&[]);
    let upstream = echo();
    let forms = [
        json!({"name": "u", "upstream": format!("udp://{upstream}")}),
        json!({"name": "u", "upstream": upstream.to_string(), "transport": "udp"}),
        json!({"name": "u", "upstream": upstream.to_string(), "listen": "udp://127.0.0.1:0"}),
    ];
    for form in forms {
        let made = api.done("POST", "/proxies", form.clone());
        assert_eq!(made["transport"], "udp", "{form}");
        assert_eq!(made["upstream"], upstream.to_string(), "{form}");
        let socket = client(listen(&made));
        socket.send(b"hello").unwrap();
        assert_eq!(receive(&socket), b"hello");
        // What a client was told it can send back.
        let mut back = made.clone();
        back["enabled"] = json!(false);
        assert_eq!(api.done("POST", "/proxies/u", back)["enabled"], false);
        assert_eq!(api.done("POST", "/proxies/u", made.clone())["enabled"], true);
        let again = api.done("POST", "/populate", json!([form.clone()]));
        assert_eq!(again["proxies"][0]["transport"], "udp", "{form}");
        api.done("DELETE", "/proxies/u", Value::Null);
    }
    let tcp = api.done("POST", "/proxies", json!({"name": "t", "upstream": "h:1"}));
    assert!(tcp.get("transport").is_none(), "TCP proxies look as Toxiproxy's do: {tcp}");
}

#[test]
fn datagram_toxics_do_what_they_say() {
    let api = Api::start(&["--seed", "1", "--metrics"]);
    let made = json!({"name": "u", "upstream": format!("udp://{}", echo())});
    let socket = client(listen(&api.done("POST", "/proxies", made)));

    let lost = json!({"type": "loss", "stream": "upstream", "attributes": {"probability": 1}});
    let path = toxic(&api, lost);
    socket.send(b"lost").unwrap();
    while api.counted("received", "upstream", "u") < 4 {}
    api.done("DELETE", &path, Value::Null);
    socket.send(b"found").unwrap();
    assert_eq!(receive(&socket), b"found");

    let twice = toxic(&api, json!({"type": "duplicate", "attributes": {"probability": 1}}));
    socket.send(b"two").unwrap();
    assert_eq!((receive(&socket), receive(&socket)), (b"two".to_vec(), b"two".to_vec()));
    api.done("DELETE", &twice, Value::Null);

    let corrupt = toxic(&api, json!({"type": "corrupt", "attributes": {"probability": 1}}));
    socket.send(b"bits").unwrap();
    let flipped: u32 =
        receive(&socket).iter().zip(b"bits").map(|(one, two)| (one ^ two).count_ones()).sum();
    assert_eq!(flipped, 1);
    api.done("DELETE", &corrupt, Value::Null);

    let late = json!({"type": "latency", "attributes": {"latency": 3, "jitter": 1,
        "distribution": "normal", "order": "keep"}});
    let path = toxic(&api, late);
    let shown = api.done("GET", &path, Value::Null)["attributes"].clone();
    assert_eq!(
        shown,
        json!({"latency": 3, "jitter": 1, "distribution": "normal",
        "order": "keep"})
    );
    for number in 0..10_u8 {
        socket.send(&[number]).unwrap();
    }
    let came: Vec<u8> = (0..10).flat_map(|_| receive(&socket)).collect();
    assert_eq!(came, (0..10).collect::<Vec<u8>>());
}

#[test]
fn toxics_that_mean_nothing_for_datagrams_are_refused_with_the_reason() {
    let api = Api::start(&[]);
    api.done("POST", "/proxies", json!({"name": "u", "upstream": "udp://127.0.0.1:9"}));
    api.proxy("t", "h:1");
    for (proxy, body, says) in [
        ("u", json!({"type": "slicer"}), "connections"),
        ("u", json!({"type": "noop", "toxicity": 0.5}), "probability"),
        ("u", json!({"type": "reorder", "attributes": {"probability": 0.1}}), "delay"),
        ("u", json!({"type": "burst"}), "P and R"),
        ("u", json!({"type": "every", "attributes": {"nth": 1}}), "from 2"),
        ("u", json!({"type": "loss", "attributes": {"probability": 2}}), "from 0 to 1"),
        ("u", json!({"type": "latency", "attributes": {"distribution": "flat"}}), "pareto"),
        ("t", json!({"type": "loss"}), "segment"),
        ("t", json!({"type": "duplicate"}), "segment"),
        ("t", json!({"type": "stall"}), "silent"),
    ] {
        let reply = api.send("POST", &format!("/proxies/{proxy}/toxics"), &body);
        assert_eq!(reply.status, 400, "{body}: {reply:?}");
        assert!(reply.text().contains(says), "{body}: {}", reply.text());
    }
    let two = json!({"type": "noop", "name": "second"});
    api.done("POST", "/proxies/u/toxics", json!({"type": "noop"}));
    assert!(api.send("POST", "/proxies/u/toxics", &two).text().contains("noop_downstream"));
    assert_eq!(api.done("GET", "/proxies/u/toxics", Value::Null).as_array().unwrap().len(), 1);
}
