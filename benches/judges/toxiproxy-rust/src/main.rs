//! The crate toxiproxy_rust against the API at the address it is given; `tests/it/impair_api` runs it.

use std::collections::HashMap;
use std::io::{Read, Write};
use std::net::TcpStream;

use toxiproxy_rust::client::Client;
use toxiproxy_rust::proxy::ProxyPack;

/// Sends a word through a proxy; what came back before the end.
fn through(listen: &str) -> String {
    let mut stream = TcpStream::connect(listen).unwrap();
    stream.write_all(b"hello").unwrap();
    let mut got = Vec::new();
    let mut piece = [0; 64];
    while got.len() < 5 {
        match stream.read(&mut piece) {
            Ok(0) | Err(_) => break,
            Ok(count) => got.extend_from_slice(&piece[..count]),
        }
    }
    String::from_utf8(got).unwrap()
}

fn main() {
    let mut arguments = std::env::args().skip(1);
    let (api, upstream) = (arguments.next().unwrap(), arguments.next().unwrap());
    let client = Client::new(&api);
    assert!(client.is_running());
    assert!(client.version().unwrap().contains("2.12"));
    let pack = |name: &str| ProxyPack::new(name.into(), "localhost:0".into(), upstream.clone());
    let made = client.populate(vec![pack("web"), pack("other")]).unwrap();
    assert_eq!(made.len(), 2);
    assert_eq!(client.all().unwrap().len(), 2);
    let web = client.find_proxy("web").unwrap();
    let listen = web.proxy_pack.listen.clone();
    assert_eq!(through(&listen), "hello");

    web.with_latency("downstream".into(), 2, 1, 1.0)
        .with_bandwidth("upstream".into(), 1000, 1.0)
        .with_slow_close("downstream".into(), 1, 1.0)
        .with_slicer("upstream".into(), 2, 1, 1, 0.5)
        .with_limit_data("downstream".into(), 3, 1.0);
    let toxics = web.toxics().unwrap();
    assert_eq!(toxics.len(), 5);
    let limit = toxics.iter().find(|toxic| toxic.r#type == "limit_data").unwrap();
    assert_eq!(limit.attributes, HashMap::from([("bytes".to_owned(), 3)]));
    assert_eq!(through(&listen), "hel");
    web.delete_all_toxics().unwrap();
    assert!(web.toxics().unwrap().is_empty());
    web.with_timeout("downstream".into(), 1, 1.0)
        .apply(|| assert_eq!(through(&listen), ""))
        .unwrap();
    assert_eq!(through(&listen), "hello");

    web.with_down(|| assert!(TcpStream::connect(&listen).is_err())).unwrap();
    assert_eq!(through(&listen), "hello");
    web.disable().unwrap();
    client.reset().unwrap();
    assert_eq!(through(&listen), "hello");
    assert!(client.find_proxy("nobody").is_err());
    web.delete().unwrap();
    assert!(client.find_proxy("web").is_err());
    println!("all of it worked");
}
