//! Real sockets: what a full buffer does to the sender, and what bad servers do to us.

use std::io::{Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream as Stream};
use std::sync::mpsc::{self, Sender};
use std::thread;

use proptest::prelude::*;
use stentor_core::moment::Moment;
use stentor_core::video::buffer::{Policy, What as Said};
use stentor_os::net::tcp_info::tcp_info;

use super::*;
use crate::drive::video::outcome::Progressive;

const SECOND: Duration = Duration::from_secs(1);

/// A film of `count` chunks, each of 1000 bytes that play for `chunk`.
fn film(chunk: Duration, count: usize) -> Film {
    let rate = 8_000_000_000_000 / u64::try_from(chunk.as_nanos()).unwrap();
    Film::even(&[BitRate(rate)], chunk, count).unwrap()
}

fn plan(address: SocketAddr, film: Film, (b, q): (Duration, Duration)) -> Plan {
    Plan {
        addresses: vec![address],
        authority: address.to_string(),
        path: "/0/film.mp4".to_owned(),
        film,
        quality: 0,
        policy: Policy::new(b, q, q).unwrap(),
        receive_buffer_bytes: Some(32 << 10),
        silence_max: 20 * SECOND,
        sample_every: Duration::from_millis(1),
    }
}

/// A server of one connection, which does as told once it was asked.
fn server<T: Send + 'static>(
    act: impl FnOnce(Stream) -> T + Send + 'static,
) -> (SocketAddr, thread::JoinHandle<T>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    let serving = thread::spawn(move || {
        let (mut stream, _) = listener.accept().unwrap();
        let mut asked = Vec::new();
        while !asked.ends_with(b"\r\n\r\n") {
            let mut byte = [0];
            stream.read_exact(&mut byte).unwrap();
            asked.push(byte[0]);
        }
        act(stream)
    });
    (address, serving)
}

/// Plays it; what was said goes to `said` as it happens.
fn run(plan: &Plan, said: Option<&Sender<Said>>) -> Result<Outcome, Complaint> {
    let mut news = |news: News<'_>| {
        if let (News::Event(Event { what: What::Buffer(what), .. }), Some(said)) = (news, said) {
            // The server may have heard all it wanted to.
            let _ = said.send(*what);
        }
    };
    let mut company = Company { interrupts: None, news: &mut news, server: &mut || None };
    play(plan, &mut company)
}

fn head(length: usize) -> String {
    format!("HTTP/1.1 200 OK\r\nContent-Length: {length}\r\n\r\n")
}

fn told(outcome: &Outcome) -> Vec<Said> {
    let said = |event: &Event| {
        let What::Buffer(what) = event.what else { return None };
        Some(what)
    };
    outcome.events.iter().filter_map(said).collect()
}

fn chunks(outcome: &Outcome) -> Vec<usize> {
    let chunk = |event: &Event| {
        let What::Received(download) = event.what else { return None };
        Some(download.chunk)
    };
    outcome.events.iter().filter_map(chunk).collect()
}

fn seen(outcome: &Outcome) -> Progressive {
    outcome.account.progressive.unwrap()
}

#[test]
fn a_full_buffer_holds_the_sender_to_what_is_played_and_no_byte_is_lost() {
    // R is 1 MB/s: 600 kB play for 600 ms; 50 kB are kept.
    let film = film(Duration::from_millis(1), 600);
    let bytes = 600_000;
    let (address, serving) = server(move |mut stream| {
        let began = now();
        let own_side = socket2::SockRef::from(&stream);
        own_side.set_send_buffer_size(32 << 10).unwrap();
        let own = own_side.send_buffer_size().unwrap();
        stream.write_all(head(bytes).as_bytes()).unwrap();
        stream.write_all(&vec![b'x'; bytes]).unwrap();
        let taken = now().since(began);
        let held = tcp_info(&stream).unwrap().windows.map(|windows| windows.held_back);
        (taken, held, own)
    });
    let ms = Duration::from_millis;
    let plan = plan(address, film, (ms(50), ms(20)));
    let outcome = run(&plan, None).unwrap();
    let (taken, held, own) = serving.join().unwrap();
    let seen = seen(&outcome);
    assert_eq!(outcome.trouble, None);
    assert_eq!((seen.received_bytes, seen.film_bytes), (600_000, 600_000));
    assert_eq!((seen.capacity_bytes, seen.start_bytes), (50_000, 20_000));
    assert_eq!(chunks(&outcome), (0..600).collect::<Vec<_>>());
    assert_eq!(outcome.metrics.played, ms(600));
    let said = told(&outcome);
    assert_eq!(said.first(), Some(&Said::Started));
    assert!(said.contains(&Said::Full), "{said:?}");
    assert_eq!(said.last(), Some(&Said::Ended));
    // What was sent when the last write returned was played, or is in one of three buffers.
    let kept = 50_000 + own as u64 + seen.receive_buffer_bytes;
    let played = seen.film_bytes - kept;
    assert!(taken >= Duration::from_micros(played), "{taken:?} for {played} bytes at 1 MB/s");
    assert!(outcome.samples.iter().all(|sample| sample.buffered_bytes <= 50_000));
    assert!(outcome.samples.iter().any(|sample| sample.socket_bytes > Some(0)));
    // Only Linux from 6.2 on tells of windows.
    if let Some(held) = held {
        assert!(seen.zero_windows > 0, "{seen:?}");
        assert!(outcome.samples.iter().any(|sample| sample.window_bytes == Some(0)));
        assert!(held > Duration::ZERO, "{held:?}");
    }
}

#[test]
fn an_empty_buffer_freezes_and_goes_on_with_q_bytes() {
    let (said, heard) = mpsc::channel();
    let (address, serving) = server(move |mut stream| {
        stream.write_all(head(50_000).as_bytes()).unwrap();
        stream.write_all(&[0; 20_000]).unwrap();
        assert!(heard.iter().any(|what| what == Said::Stalled));
        // A byte less than Q does not do.
        stream.write_all(&[0; 9_999]).unwrap();
        stream.write_all(&[0; 20_001]).unwrap();
        heard
    });
    let film = film(Duration::from_millis(1), 50);
    let plan = plan(address, film, (SECOND, Duration::from_millis(10)));
    let outcome = run(&plan, Some(&said)).unwrap();
    drop(serving.join().unwrap());
    assert_eq!(told(&outcome), [Said::Started, Said::Stalled, Said::Resumed, Said::Ended]);
    assert_eq!((outcome.metrics.stalls, chunks(&outcome).len()), (1, 50));
    // What was played and what stood still make up the time.
    let at =
        |wanted| outcome.events.iter().find(|event| event.what == What::Buffer(wanted)).unwrap().at;
    let played = outcome.end.since(at(Said::Started)) - at(Said::Resumed).since(at(Said::Stalled));
    let off = played.abs_diff(Duration::from_millis(50));
    assert!(off <= Duration::from_nanos(4), "{played:?}");
    let [fluid, chunked, measured] = compare(&outcome, 0).unwrap();
    assert_eq!(measured.freezes.len(), 1);
    assert!(fluid.start_up_s.is_some() && chunked.end_s.is_some());
}

#[test]
fn a_film_comes_whole_with_any_framing() {
    let film = film(Duration::from_micros(100), 10);
    let ways: [fn(&mut Stream); 3] = [
        // The head of the file counts as film.
        |stream| stream.write_all(&[head(10_700).as_bytes(), &[0; 10_700]].concat()).unwrap(),
        |stream| {
            stream.write_all(b"HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n").unwrap();
            stream.write_all(&[0; 10_000]).unwrap();
        },
        |stream| {
            stream.write_all(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n").unwrap();
            for _ in 0..100 {
                stream.write_all(&[&b"64\r\n"[..], &[0; 100], b"\r\n"].concat()).unwrap();
            }
            stream.write_all(b"0\r\n\r\n").unwrap();
        },
    ];
    for (number, way) in ways.into_iter().enumerate() {
        let (address, serving) = server(move |mut stream| way(&mut stream));
        let plan = plan(address, film.clone(), (SECOND, Duration::ZERO));
        let outcome = run(&plan, None).unwrap();
        serving.join().unwrap();
        assert_eq!(outcome.trouble, None, "{number}");
        assert_eq!(chunks(&outcome).len(), 10, "{number}");
        let whole = if number == 0 { 10_700 } else { 10_000 };
        assert_eq!(seen(&outcome).received_bytes, whole, "{number}");
        assert_eq!(told(&outcome).last(), Some(&Said::Ended), "{number}");
    }
}

#[test]
fn a_film_that_breaks_off_is_played_as_far_as_it_came() {
    let check = |act: fn(&mut Stream), said: &str| {
        let (address, serving) = server(move |mut stream| act(&mut stream));
        let film = film(Duration::from_micros(100), 10);
        let plan = plan(address, film, (SECOND, Duration::ZERO));
        let outcome = run(&plan, None).unwrap();
        serving.join().unwrap();
        let what = outcome.trouble.clone().unwrap().what;
        assert!(what.starts_with("GET http://127.0.0.1:") && what.contains(said), "{what}");
        assert_eq!(told(&outcome).last(), Some(&Said::Ended), "{what}");
        outcome
    };
    let half = |stream: &mut Stream| {
        stream.write_all(&[head(10_000).as_bytes(), &[0; 5_000]].concat()).unwrap();
    };
    let outcome = check(half, "5000 of 10000 bytes came");
    assert_eq!(chunks(&outcome), [0, 1, 2, 3, 4]);
    assert_eq!(outcome.metrics.played, Duration::from_micros(500));
    let short = |stream: &mut Stream| {
        stream.write_all(b"HTTP/1.0 200 OK\r\n\r\n").unwrap();
        stream.write_all(&[0; 3_000]).unwrap();
    };
    check(short, "the stream ended: 3000 of 10000 bytes came");
    let endless = |stream: &mut Stream| {
        stream.write_all(b"HTTP/1.0 200 OK\r\n\r\n").unwrap();
        while stream.write_all(&[0; 65_536]).is_ok() {}
    };
    check(endless, "without an announced length, and the film has 10000");
}

#[test]
fn silence_ends_it() {
    let (over, wait) = mpsc::channel::<()>();
    let (address, serving) = server(move |mut stream| {
        stream.write_all(head(10_000).as_bytes()).unwrap();
        stream.write_all(&[0; 2_000]).unwrap();
        // Until the player has gone.
        assert!(wait.recv().is_err());
    });
    let film = film(Duration::from_micros(100), 10);
    let silence_max = Duration::from_millis(50);
    let plan = Plan { silence_max, ..plan(address, film, (SECOND, Duration::ZERO)) };
    let outcome = run(&plan, None).unwrap();
    drop(over);
    serving.join().unwrap();
    let what = outcome.trouble.unwrap().what;
    assert!(what.contains("nothing came for 50ms: 2000 of 10000 bytes came"), "{what}");
}

#[test]
fn what_is_no_film_is_refused_with_the_reason() {
    let check = |reply: &'static [u8], said: &str| {
        let (address, serving) = server(move |mut stream| {
            stream.write_all(reply).unwrap();
            stream.shutdown(Shutdown::Write).unwrap();
        });
        let film = film(Duration::from_micros(100), 10);
        let complaint = run(&plan(address, film, (SECOND, Duration::ZERO)), None).unwrap_err();
        serving.join().unwrap();
        assert_eq!(complaint.exit, Exit::Bad, "{complaint}");
        assert!(complaint.what.contains(said), "{complaint}");
    };
    check(b"HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n", "answered 404 Not Found");
    check(b"HTTP/1.1 302 Found\r\nLocation: /x\r\n\r\n", "answered 302 Found");
    check(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n", "Some(0) bytes are no film");
    let huge = b"HTTP/1.1 200 OK\r\nContent-Length: 9000000000000000000\r\n\r\n";
    check(huge, "Some(9000000000000000000) bytes are no film");
    check(b"SSH-2.0-OpenSSH_9.2\r\n", "GET http://127.0.0.1:");
    check(b"", "GET http://127.0.0.1:");
}

#[test]
fn nobody_there_is_exit_3() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    drop(listener);
    let film = film(Duration::from_micros(100), 10);
    let complaint = run(&plan(address, film, (SECOND, Duration::ZERO)), None).unwrap_err();
    assert_eq!(complaint.exit, Exit::Environment);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    /// Whatever a server answers: an outcome or a complaint, and what came is what is counted.
    #[test]
    fn any_answer_ends(
        start in prop::sample::select(vec![
            "", "HTTP/1.1 200 OK\r\n", "HTTP/1.1 200 OK\r\nContent-Length: 3000\r\n\r\n",
            "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n", "HTTP/1.0 200 OK\r\n\r\n",
        ]),
        rest in prop::collection::vec(any::<u8>(), 0..6000),
        reset in any::<bool>(),
    ) {
        let length = rest.len() as u64;
        let (address, serving) = server(move |mut stream| {
            // A reset throws away what the client has not read: it may come to nothing.
            let _ = stream.write_all(&[start.as_bytes(), &rest].concat());
            let linger = if reset { Some(Duration::ZERO) } else { None };
            let _ = socket2::SockRef::from(&stream).set_linger(linger);
        });
        let film = film(Duration::from_micros(10), 5);
        let outcome = run(&plan(address, film, (SECOND, Duration::ZERO)), None);
        serving.join().unwrap();
        if let Ok(outcome) = outcome {
            let seen = seen(&outcome);
            prop_assert!(seen.received_bytes <= length);
            let whole = seen.received_bytes >= seen.film_bytes;
            prop_assert!(whole || outcome.trouble.is_some());
            // Without a length nobody knows that a reset comes behind the last byte.
            prop_assert!(!whole || reset || outcome.trouble.is_none());
            let said = told(&outcome);
            prop_assert_eq!(said.last(), Some(&Said::Ended));
            prop_assert!(outcome.events.is_sorted_by_key(|event| event.at));
            prop_assert!(outcome.end >= Moment::START);
        }
    }
}
