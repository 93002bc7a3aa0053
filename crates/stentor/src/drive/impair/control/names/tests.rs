//! A resolver that is mute holds up only who waits for it.

use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::mpsc::{self, Receiver};

use stentor_core::seed::Seed;

use super::*;
use crate::drive::impair::{Before, Proxy, Rules, Running, start};

/// Proxies whose resolver knows every name, but says `mute` only when it is told to.
struct Bench {
    running: Running,
    names: Arc<Names>,
    speak: mpsc::Sender<()>,
    /// Every question, as it is asked.
    asked: Receiver<String>,
    server: TcpListener,
}

impl Bench {
    fn new() -> Bench {
        let server = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = server.local_addr().unwrap();
        let (speak, told) = mpsc::channel();
        let (asks, asked) = mpsc::channel();
        let (told, asks) = (Mutex::new(told), Mutex::new(asks));
        let ask = move |name: &str, _| {
            asks.lock().unwrap().send(name.to_owned()).unwrap();
            match name {
                "mute" => told.lock().unwrap().recv().unwrap(),
                "unknown" => return Err(io::Error::other("no such name")),
                _ => {}
            }
            Ok(vec![address])
        };
        let running = start(Seed(1), None).unwrap();
        let names = Names::new(running.handle().clone(), Box::new(ask));
        Bench { running, names, speak, asked, server }
    }

    fn proxy(&self, name: &str) -> SocketAddr {
        let proxy = Proxy {
            name: name.to_owned(),
            listen: "127.0.0.1:0".parse().unwrap(),
            upstream: Vec::new(),
            rules: Rules::Stream { up: vec![], down: vec![], before: Before::default() },
            lookup: Some(self.names.lookup(name, 1)),
        };
        self.running.handle().open(proxy).unwrap().1
    }

    /// Answers the next client that comes through with a word.
    fn serve(&self, word: &[u8]) {
        self.server.accept().unwrap().0.write_all(word).unwrap();
    }
}

fn heard(mut client: TcpStream) -> io::Result<String> {
    let mut text = String::new();
    client.read_to_string(&mut text).map(|_| text)
}

#[test]
fn a_mute_resolver_holds_up_only_who_waits_for_it() {
    let bench = Bench::new();
    let (mute, well) = (bench.proxy("mute"), bench.proxy("well"));
    let waiting = [TcpStream::connect(mute).unwrap(), TcpStream::connect(mute).unwrap()];
    assert_eq!(bench.asked.recv().unwrap(), "mute");
    let other = TcpStream::connect(well).unwrap();
    assert_eq!(bench.asked.recv().unwrap(), "well");
    bench.serve(b"well");
    assert_eq!(heard(other).unwrap(), "well");
    // The two that waited asked once, and both go on with the answer.
    bench.speak.send(()).unwrap();
    for client in waiting {
        bench.serve(b"at last");
        assert_eq!(heard(client).unwrap(), "at last");
    }
    assert!(bench.asked.try_recv().is_err());
}

#[test]
fn a_name_that_is_not_known_resets_the_client_and_is_asked_for_again_later() {
    let bench = Bench::new();
    let address = bench.proxy("unknown");
    let refused = heard(TcpStream::connect(address).unwrap()).unwrap_err();
    assert_eq!(refused.kind(), io::ErrorKind::ConnectionReset);
    assert_eq!(bench.asked.recv().unwrap(), "unknown");
}

#[test]
fn more_questions_than_there_is_room_for_are_refused_not_kept() {
    let bench = Bench::new();
    let (release, held) = mpsc::channel::<()>();
    let held = Arc::new(Mutex::new(held));
    for _ in 0..QUESTIONS_MAX {
        let held = Arc::clone(&held);
        // Ends when the sender is gone.
        let wait = move || {
            let _ = held.lock().unwrap().recv();
        };
        bench.names.question(wait).unwrap();
    }
    assert!(bench.names.question(|| {}).is_err());
    drop(release);
    while bench.names.running.load(Ordering::Relaxed) > 0 {
        thread::yield_now();
    }
    bench.names.question(|| {}).unwrap();
}

#[test]
fn localhost_and_addresses_need_no_question() {
    let known = |host: Host| Names::known(&host, 7).map(|found| found[0].to_string());
    let name = |name: &str| Host::Name(name.to_owned());
    assert_eq!(known(name("LocalHost")).as_deref(), Some("127.0.0.1:7"));
    assert_eq!(known(Host::Address(Ipv6Addr::LOCALHOST.into())).as_deref(), Some("[::1]:7"));
    assert_eq!(known(name("example.org")), None);
}
