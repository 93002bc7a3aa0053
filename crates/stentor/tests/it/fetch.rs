//! `fetch` against small servers of every kind, and beside curl and Python where they are present.

mod server;
mod tls;

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{Ipv6Addr, TcpListener};
use std::process::{Child, Command, Stdio};

use serde_json::Value;
use stentor::verbs::fetch::{Piece, Plan};
use stentor_core::timeline::What;

use server::{Folder, Ran, Server, await_close, command, fetch};

/// The words of a run with what differs between runs put in general terms.
fn golden(words: &str, server: &Server) -> String {
    let words = words.replace(&server.address.port().to_string(), "PORT");
    let mut general = Vec::new();
    for word in words.split(' ') {
        let time = word.split_once('.').is_some_and(|(whole, fraction)| {
            fraction.len() == 3 && (whole.to_owned() + fraction).bytes().all(|b| b.is_ascii_digit())
        });
        match word {
            _ if time => general.push("T"),
            word => general.push(word),
        }
    }
    squeeze(&general.join(" "))
}

/// Runs of spaces to one.
fn squeeze(words: &str) -> String {
    let mut squeezed = words.to_owned();
    while squeezed.contains("  ") {
        squeezed = squeezed.replace("  ", " ");
    }
    squeezed
}

fn ok(length: usize, body: &str) -> String {
    format!("HTTP/1.1 200 OK\r\nContent-Length: {length}\r\n\r\n{body}")
}

#[test]
fn the_body_and_nothing_else_is_on_standard_output() {
    let server = Server::of_bytes(ok(6, "hello\n"));
    let ran = fetch(&[&server.url("/x?y=1#z")]);
    let expected = Ran { code: Some(0), out: b"hello\n".to_vec(), err: String::new() };
    assert_eq!(ran, expected);
    let expected = format!(
        "GET /x?y=1 HTTP/1.1\r\nHost: {}\r\nUser-Agent: stentor/{}\r\nAccept: */*\r\n\
         Connection: close\r\n\r\n",
        server.address,
        env!("CARGO_PKG_VERSION")
    );
    assert_eq!(server.requests(), [expected]);
}

#[test]
fn without_a_scheme_it_is_http() {
    let server = Server::of_bytes(ok(2, "hi"));
    assert_eq!(fetch(&[&format!("{}/x", server.address)]).out, b"hi");
}

#[test]
fn phases_are_timed_and_the_winner_is_named() {
    let server = Server::of_bytes(ok(6, "hello\n"));
    let ran = fetch(&["--timing", "-4", &format!("localhost:{}", server.address.port())]);
    assert_eq!(ran.out, b"hello\n");
    let sent = server.requests()[0].len();
    let expected = format!(
        "http://localhost:PORT/: HTTP/1.1 200 OK\n\
         \x20resolve T ms localhost: 127.0.0.1\n\
         \x20connect T ms 127.0.0.1:PORT won in T ms\n\
         \x20first byte T ms {sent} bytes sent\n\
         \x20body T ms 6 of 6 bytes of body; 44 bytes received in 1 read\n\
         \x20total T ms\n"
    );
    assert_eq!(golden(&ran.err, &server), expected);
}

#[test]
fn an_address_that_refuses_is_shown_beside_the_winner() {
    let Ok(six) = TcpListener::bind((Ipv6Addr::LOCALHOST, 0)) else {
        eprintln!("SKIPPED: no IPv6 on this machine");
        return;
    };
    drop(six);
    let server = Server::of_bytes(ok(2, "hi"));
    let url = format!("http://localhost:{}/", server.address.port());
    let ran = fetch(&["-J", &url]);
    let report: Value = serde_json::from_str(ran.text()).unwrap();
    let hop = &report["result"]["hops"][0];
    let addresses = hop["addresses"].as_array().unwrap();
    if addresses.len() < 2 {
        eprintln!("SKIPPED: localhost has one address here: {addresses:?}");
        return;
    }
    let outcomes: Vec<_> = hop["attempts"].as_array().unwrap().iter().collect();
    assert_eq!(outcomes[0]["errno"], "ECONNREFUSED");
    assert_eq!(outcomes[1]["outcome"], "connected");
}

#[test]
fn chunks_in_pieces_are_joined_and_raw_shows_them() {
    let reply = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n\
                 3\r\nabc\r\n5;name=value\r\ndefgh\r\n0\r\nTrailer: t\r\n\r\n";
    for piece in [1, 2, 7, 1000] {
        let server = Server::of_requests(move |_, stream| {
            stream.set_nodelay(true).unwrap();
            for bytes in reply.as_bytes().chunks(piece) {
                stream.write_all(bytes).unwrap();
            }
        });
        let ran = fetch(&[&server.url("/")]);
        assert_eq!((ran.code, ran.text(), ran.err.as_str()), (Some(0), "abcdefgh", ""));
        let ran = fetch(&["--raw", &server.url("/")]);
        assert_eq!((ran.code, ran.text(), ran.err.as_str()), (Some(0), reply, ""));
    }
}

#[test]
fn a_body_without_a_length_ends_with_the_connection() {
    let server = Server::of_bytes("HTTP/1.0 200 OK\r\n\r\nto the end");
    let ran = fetch(&[&server.url("/")]);
    assert_eq!((ran.code, ran.text()), (Some(0), "to the end"));
}

#[test]
fn head_prints_the_headers_as_they_came() {
    let head = "HTTP/1.1 200 Fine By Me\r\nContent-LENGTH: 100\r\nx-Odd:  two\r\n\r\n";
    let server = Server::of_bytes(head);
    let ran = fetch(&["-I", &server.url("/")]);
    assert_eq!((ran.code, ran.text(), ran.err.as_str()), (Some(0), head, ""));
    assert!(server.requests()[0].starts_with("HEAD / HTTP/1.1\r\n"));
}

#[test]
fn headers_of_ones_own_are_sent() {
    let server = Server::of_bytes(ok(0, ""));
    let args = ["-H", "X-One: 1", "-H", "Accept:", "-H", "Host: other", &server.url("/")];
    assert_eq!(fetch(&args).code, Some(0));
    let request = &server.requests()[0];
    assert!(request.contains("\r\nHost: other\r\n") && request.contains("\r\nX-One: 1\r\n"));
    assert!(!request.contains("Accept"), "{request}");
}

/// A server whose `/1` leads to `/2` and so on, up to `/LAST`; `/loop` leads to itself.
fn redirecting(last: u32) -> Server {
    Server::of_requests(move |request, stream| {
        let path = request.split(' ').nth(1).unwrap();
        let reply = match path.trim_start_matches('/').parse::<u32>() {
            Ok(number) if number == last => ok(4, "last"),
            Ok(number) => format!("HTTP/1.1 302 Found\r\nLocation: {}\r\n\r\nskip", number + 1),
            Err(_) => format!("HTTP/1.1 301 Moved Permanently\r\nLocation: {path}\r\n\r\n"),
        };
        let _ = stream.write_all(reply.as_bytes());
    })
}

#[test]
fn redirects_are_followed_and_each_is_said() {
    let server = redirecting(3);
    let ran = fetch(&[&server.url("/1")]);
    assert_eq!((ran.code, ran.text()), (Some(0), "last"));
    let expected = "stentor: http://127.0.0.1:PORT/1 -> http://127.0.0.1:PORT/2 (302 Found)\n\
                    stentor: http://127.0.0.1:PORT/2 -> http://127.0.0.1:PORT/3 (302 Found)\n";
    assert_eq!(golden(&ran.err, &server), expected);
    let quiet = fetch(&["-q", &server.url("/1")]);
    assert_eq!((quiet.text(), quiet.err.as_str()), ("last", ""));
}

#[test]
fn raw_shows_the_redirect_whole() {
    let skipped = "s".repeat(30_000);
    let first =
        format!("HTTP/1.1 302 Found\r\nLocation: /2\r\nContent-Length: 30000\r\n\r\n{skipped}");
    let last = ok(4, "last");
    let replies = [first.clone(), last.clone()];
    let server = Server::of_requests(move |request, stream| {
        let reply = &replies[usize::from(request.starts_with("GET /2 "))];
        stream.write_all(reply.as_bytes()).unwrap();
    });
    assert_eq!(fetch(&["--raw", &server.url("/1")]).text(), first + &last);
}

#[test]
fn redirects_end_somewhere() {
    let server = redirecting(100);
    let check = |args: &[&str], path: &str, code: i32, out: &str, err: &str| {
        let url = server.url(path);
        let ran = fetch(&[args, &[&url]].concat());
        let said = golden(ran.err.lines().last().unwrap_or_default(), &server);
        assert_eq!((ran.code, ran.text(), said.as_str()), (Some(code), out, err));
    };
    check(&["--no-redirect"], "/1", 0, "skip", "");
    check(
        &[],
        "/1",
        1,
        "",
        "stentor: http://127.0.0.1:PORT/11 redirects to http://127.0.0.1:PORT/12, \
         after 10 redirects. --max-redirects N follows more.",
    );
    check(
        &["--max-redirects", "0"],
        "/1",
        1,
        "",
        "stentor: http://127.0.0.1:PORT/1 redirects to http://127.0.0.1:PORT/2, \
         after 0 redirects. --max-redirects N follows more.",
    );
    check(
        &[],
        "/loop",
        1,
        "",
        "stentor: http://127.0.0.1:PORT/loop redirects to http://127.0.0.1:PORT/loop, \
         where we have been: a loop. --no-redirect shows the reply itself.",
    );
}

#[test]
fn secrets_stay_with_the_server_they_are_for() {
    let other = Server::of_bytes(ok(5, "other"));
    let to = other.url("/");
    let server = Server::of_bytes(format!("HTTP/1.1 307 Go\r\nLocation: {to}\r\n\r\n"));
    let ran = fetch(&["-H", "Authorization: Basic eDp5", "-H", "X-Kept: 1", &server.url("/")]);
    assert_eq!((ran.code, ran.text()), (Some(0), "other"));
    assert!(
        ran.err.contains("warning: not sent to another server: Authorization\n"),
        "{}",
        ran.err
    );
    assert!(server.requests()[0].contains("Authorization: Basic eDp5"));
    let second = &other.requests()[0];
    assert!(!second.contains("Authorization") && second.contains("X-Kept: 1"), "{second}");
}

/// Runs against one reply and compares all that is seen; the last line of standard error alone.
fn check_reply(reply: impl Into<Vec<u8>>, code: i32, out: &str, err: &str) {
    let server = Server::of_bytes(reply);
    let ran = fetch(&[&server.url("/")]);
    let said = golden(ran.err.trim_end(), &server);
    let prefix = "stentor: http://127.0.0.1:PORT/ at 127.0.0.1:PORT: ";
    let said = said.strip_prefix(prefix).unwrap_or(&said);
    assert_eq!((ran.code, ran.text(), said), (Some(code), out, err));
}

#[test]
fn a_bad_status_is_a_bad_verdict_but_its_body_is_shown() {
    check_reply(
        "HTTP/1.1 404 Not Here\r\nContent-Length: 5\r\n\r\nsorry",
        1,
        "sorry",
        "stentor: GET http://127.0.0.1:PORT/: the server answered 404 Not Here",
    );
}

#[test]
fn replies_that_break_off_are_counted() {
    check_reply(ok(10, "half"), 1, "half", "the body is incomplete: 4 of 10 bytes");
    check_reply(
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n4\r\nhalf\r\n",
        1,
        "half",
        "the body is incomplete: 4 bytes, and the last chunk never came",
    );
    check_reply(
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n4\r\nhalf\r\nxyz\r\n",
        1,
        "half",
        "the body is malformed after 4 bytes: Invalid chunk size line: missing size digit",
    );
    check_reply(
        "HTTP/1.1 200 OK\r\nContent-Le",
        1,
        "",
        "the connection ended in the head of the reply, after 27 bytes. --raw shows what came.",
    );
    check_reply(
        "",
        1,
        "",
        "the server closed the connection without a reply. \
         If the port speaks TLS, use https://.",
    );
}

#[test]
fn replies_that_are_not_http_are_said_so() {
    check_reply(
        "SSH-2.0-OpenSSH_9.6\r\n",
        1,
        "",
        "the reply is not HTTP/1: it begins with \"SSH-2.0-OpenSSH_9.6\\r\\n\". \
         --raw shows what came.",
    );
    check_reply(
        b"\x00\xff\x1b[31m\r\n\r\n".as_slice(),
        1,
        "",
        "the reply is not HTTP/1: it begins with \"\\u{0}\u{fffd}\\u{1b}[31m\\r\\n\\r\\n\". \
         --raw shows what came.",
    );
    check_reply(
        "HTTP/1.1 200 OK\r\nno colon\r\n\r\n",
        1,
        "",
        "the head of the reply is malformed: invalid HTTP header parsed. --raw shows what came.",
    );
    check_reply(
        "HTTP/1.1 200 OK\r\nContent-Length: many\r\n\r\n",
        1,
        "",
        "the head of the reply is malformed: invalid content-length parsed. \
         --raw shows what came.",
    );
}

#[test]
fn huge_heads_are_refused_and_large_ones_are_not() {
    let head = |header: &str| format!("HTTP/1.1 200 OK\r\n{header}Content-Length: 2\r\n\r\nhi");
    let wide = |length: usize| head(&format!("X: {}\r\n", "x".repeat(length)));
    let refused = "the head of the reply is over 256 KiB or 1000 lines. --raw shows what came.";
    check_reply(wide(100_000), 0, "hi", "");
    check_reply(wide(300_000), 1, "", refused);
    check_reply(head(&"X: x\r\n".repeat(900)), 0, "hi", "");
    check_reply(head(&"X: x\r\n".repeat(1100)), 1, "", refused);
}

#[test]
fn raw_shows_what_could_not_be_read() {
    let server = Server::of_bytes("220 mail.example ESMTP\r\n");
    let ran = fetch(&["--raw", &server.url("/")]);
    assert_eq!((ran.code, ran.text()), (Some(1), "220 mail.example ESMTP\r\n"));
}

#[test]
fn a_reset_is_named() {
    let server = Server::of_connections(|stream| {
        // Closing with bytes unread resets the connection (RFC 2525, section 2.17).
        stream.peek(&mut [0]).unwrap();
    });
    let ran = fetch(&[&server.url("/")]);
    assert_eq!(ran.code, Some(1));
    assert_eq!(
        golden(&ran.err, &server),
        "stentor: http://127.0.0.1:PORT/ at 127.0.0.1:PORT: connection reset by peer (ECONNRESET), \
         after 0 bytes of the reply\n"
    );
}

#[test]
fn silence_is_given_up() {
    let check = |reply: &'static str, expected: &str| {
        let server = Server::of_requests(move |_, stream| {
            stream.write_all(reply.as_bytes()).unwrap();
            await_close(stream);
        });
        let ran = fetch(&["-w", "200ms", &server.url("/")]);
        let said = golden(&ran.err, &server);
        let prefix = "stentor: http://127.0.0.1:PORT/ at 127.0.0.1:PORT: nothing came for 200ms ";
        assert_eq!((ran.code, said.strip_prefix(prefix)), (Some(1), Some(expected)), "{said}");
    };
    check("", "waiting for the reply. -w waits longer.\n");
    check("HTTP/1.1 200 OK\r\n", "waiting for the reply. -w waits longer.\n");
    check(
        "HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nhalf",
        "in the body, after 4 of 9 bytes. -w waits longer.\n",
    );
}

#[test]
fn what_cannot_be_reached_is_the_environments_fault() {
    // Bound but not listening: refused, and nobody else can take the port.
    let held = socket2::Socket::new(socket2::Domain::IPV4, socket2::Type::STREAM, None).unwrap();
    held.bind(&std::net::SocketAddr::from(([127, 0, 0, 1], 0)).into()).unwrap();
    let address = held.local_addr().unwrap().as_socket().unwrap();
    let ran = fetch(&[&address.to_string()]);
    assert_eq!(ran.code, Some(3));
    let expected = format!(
        "stentor: connect tcp {address}: connection refused (ECONNREFUSED). The machine answers, \
         but no web server listens on that port: check the port, or start the server.\n"
    );
    assert_eq!(ran.err, expected);
    let ran = fetch(&["http://nobody.invalid/"]);
    assert_eq!(ran.code, Some(3));
    assert!(ran.err.starts_with("stentor: resolve nobody.invalid: "), "{}", ran.err);
    let ran = fetch(&["-6", "127.0.0.1"]);
    assert_eq!(ran.code, Some(3));
    assert!(ran.err.starts_with("stentor: resolve 127.0.0.1: no IPv6 address"), "{}", ran.err);
}

#[test]
fn what_makes_no_sense_is_a_usage_error() {
    let check = |args: &[&str], expected: &str| {
        let ran = fetch(args);
        assert_eq!(ran.code, Some(2), "{args:?}");
        assert!(ran.err.contains(expected), "{args:?}: {}", ran.err);
    };
    check(&[], "<URL>");
    check(&["ftp://example.org/"], "is neither http nor https. Write http://HOST");
    check(&["http://h:99999/"], "invalid port number");
    check(&["http://me:pw@h/"], "holds a user name, which fetch does not send");
    check(&["-H", "no colon", "h"], "no colon in it. Write it as -H 'Name: value'");
    check(&["-w", "5", "h"], "is not a time with its unit");
    check(&["-w", "0s", "h"], "leaves no time");
    check(&["-4", "-6", "h"], "cannot be used with");
    check(&["-I", "--raw", "h"], "cannot be used with");
    check(&["--frobnicate", "h"], "unexpected argument");
    check(&["-J", "-o", "-", "h"], "both want standard output");
}

#[test]
fn a_file_takes_the_body_and_keeps_what_came() {
    let folder = Folder::new("output");
    let file = folder.file("body");
    let server = Server::of_bytes(ok(6, "hello\n"));
    let ran = fetch(&["-o", &file, &server.url("/")]);
    assert_eq!((ran.code, ran.text(), ran.err.as_str()), (Some(0), "", ""));
    assert_eq!(std::fs::read(&file).unwrap(), b"hello\n");
    let server = Server::of_bytes(ok(10, "half"));
    let ran = fetch(&["-o", &file, &server.url("/")]);
    assert_eq!(ran.code, Some(1));
    assert!(ran.err.contains(&format!("stentor: {file} keeps the 4 bytes that came\n")));
    assert_eq!(std::fs::read(&file).unwrap(), b"half");
    let missing = folder.file("no/where");
    let ran = fetch(&["-o", &missing, &server.url("/")]);
    let expected = format!(
        "stentor: open {missing}: no such file or directory (ENOENT). \
         Its directory does not exist: mkdir -p makes it.\n"
    );
    assert_eq!((ran.code, ran.err), (Some(3), expected));
    assert_eq!(server.requests().len(), 1, "the file is opened before anything is asked");
}

#[test]
fn json_is_whole_whatever_happened() {
    let server = redirecting(2);
    let ran = fetch(&["-J", &server.url("/1")]);
    let report: Value = serde_json::from_str(ran.text()).unwrap();
    assert_eq!((ran.code, &report["schema"]), (Some(0), &Value::from("stentor.fetch/1")));
    assert_eq!((&report["ok"], &report["exit_code"]), (&Value::from(true), &Value::from(0)));
    let hops = report["result"]["hops"].as_array().unwrap();
    assert_eq!((&hops[0]["status"], &hops[1]["status"]), (&Value::from(302), &Value::from(200)));
    for hop in hops {
        for direction in ["sent", "received"] {
            let moved = &hop[direction];
            let calls = moved["calls"].as_array().unwrap();
            let sum: u64 = calls.iter().map(|call| call["size_bytes"].as_u64().unwrap()).sum();
            assert_eq!(moved["total_bytes"], sum);
            assert_eq!(moved["count"], calls.len());
        }
        let parts = ["connect_ns", "first_byte_ns", "body_ns"];
        let sum: u64 = parts.iter().map(|part| hop[*part].as_u64().unwrap()).sum();
        assert!(sum <= hop["total_ns"].as_u64().unwrap());
    }
    let server = Server::of_bytes(ok(10, "half"));
    let failures = [
        (fetch(&["-J", &server.url("/")]), 1, "4 of 10 bytes"),
        (fetch(&["-J", "http://nobody.invalid/"]), 3, "resolve nobody.invalid"),
        (fetch(&["-J", "ftp://h/"]), 2, "neither http nor https"),
        (fetch(&["-J", "-o", "/", &server.url("/")]), 3, "open /: is a directory (EISDIR)"),
    ];
    for (ran, code, words) in failures {
        let report: Value = serde_json::from_str(ran.text()).unwrap();
        assert_eq!((ran.code, &report["exit_code"]), (Some(code), &Value::from(code)));
        assert_eq!(report["ok"], false);
        assert!(report["error"].as_str().unwrap().contains(words), "{report}");
    }
}

#[test]
fn the_conversation_is_drawn() {
    let server = Server::of_bytes(ok(6, "hello\n"));
    let ran = fetch(&["-v", &server.url("/")]);
    assert_eq!(ran.out, b"hello\n");
    let drawn = golden(&ran.err, &server);
    for words in ["connect(127.0.0.1:PORT) = 0", "44 bytes \"HTTP/1.1 200 OK", "close() = 0"] {
        assert!(drawn.contains(words), "{words}: {drawn}");
    }
    assert!(drawn.contains("* 44 bytes received = 1 recv\n"), "{drawn}");
}

#[test]
fn the_engine_gives_an_account_of_every_read() {
    let (go, wait) = std::sync::mpsc::channel();
    let pieces = ["HTTP/1.0 200 OK\r\n\r\none ", "two ", "three"];
    let server = Server::of_requests(move |_, stream| {
        for piece in pieces {
            stream.write_all(piece.as_bytes()).unwrap();
            // The next piece leaves when this one has been read: none can be joined to another.
            wait.recv_timeout(server::LIMIT).unwrap();
        }
    });
    let plan = Plan::new(&server.url("/")).unwrap();
    let mut body = Vec::new();
    let report = stentor::verbs::fetch::fetch(&plan, None, &mut |piece| {
        let Piece::Bytes(bytes) = piece else { panic!("nothing redirects here") };
        body.extend_from_slice(bytes);
        go.send(()).unwrap();
        Ok(())
    });
    assert!(report.trouble.is_none(), "{:?}", report.trouble);
    assert_eq!(body, b"one two three");
    let hop = &report.hops[0];
    let sizes: Vec<usize> = hop.reads.kept.iter().map(|read| read.bytes).collect();
    assert_eq!(sizes, pieces.map(str::len));
    let [resolve, connect, tls, first_byte, body] = hop.phases.named().map(|(_, phase)| phase);
    assert_eq!((resolve, tls), (None, None));
    let moments = [connect, first_byte, body].map(Option::unwrap);
    assert!(moments.is_sorted_by(|one, next| one.ended <= next.began), "{moments:?}");
    assert!(report.began <= moments[0].began && moments[2].ended <= report.ended);
    assert!(hop.closed.is_some());
    let fin = What::Signal("FIN".to_owned());
    assert!(hop.conversation.events.iter().any(|event| event.what == fin));
    assert_eq!(hop.conversation.verdicts[1], "32 bytes received = 3 recv");
}

/// Sends bytes until the client is gone.
fn endless() -> Server {
    Server::of_requests(|_, stream| {
        let _ = stream.write_all(b"HTTP/1.1 200 OK\r\n\r\n");
        while stream.write_all(&[b'x'; 4096]).is_ok() {}
    })
}

fn running(server: &Server, args: &[&str]) -> Child {
    let url = server.url("/");
    let mut command = command(&[args, &[&url]].concat());
    command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap()
}

fn interrupt(child: &Child) {
    let done = Command::new("kill").args(["-INT", &child.id().to_string()]).status().unwrap();
    assert!(done.success());
}

#[test]
fn a_reader_who_has_enough_ends_it_quietly() {
    let server = endless();
    let mut child = running(&server, &["--timing"]);
    child.stdout.take().unwrap().read_exact(&mut [0; 10]).unwrap();
    let ran = Ran::from(child.wait_with_output().unwrap());
    assert_eq!((ran.code, ran.err.as_str()), (Some(0), ""));
}

#[test]
fn an_interrupt_ends_it_even_when_nobody_reads() {
    let server = endless();
    let mut child = running(&server, &[]);
    let mut stdout = child.stdout.take().unwrap();
    stdout.read_exact(&mut [0; 10]).unwrap();
    interrupt(&child);
    let ran = Ran::from(child.wait_with_output().unwrap());
    drop(stdout);
    assert_eq!(ran.code, Some(130));
    assert!(ran.err.contains("interrupted"), "{}", ran.err);
}

#[test]
fn an_interrupt_reports_how_far_it_came() {
    let server = Server::of_requests(|_, stream| {
        stream.write_all(ok(10, "half").as_bytes()).unwrap();
        await_close(stream);
    });
    let mut child = running(&server, &[]);
    child.stdout.as_mut().unwrap().read_exact(&mut [0; 4]).unwrap();
    interrupt(&child);
    let ran = Ran::from(child.wait_with_output().unwrap());
    let expected = "stentor: http://127.0.0.1:PORT/ at 127.0.0.1:PORT: interrupted in the body, \
                    after 4 of 10 bytes\n";
    assert_eq!((ran.code, golden(&ran.err, &server).as_str()), (Some(130), expected));
}

/// Whether a foreign judge is here; says so loudly if not.
fn present(program: &str) -> bool {
    let found = Command::new(program).arg("--version").output().is_ok_and(|o| o.status.success());
    if !found {
        eprintln!("SKIPPED: {program} is not here");
    }
    found
}

#[test]
fn pythons_server_is_understood() {
    if !present("python3") {
        return;
    }
    let folder = Folder::new("python");
    let body: Vec<u8> =
        (0..300_000_u32).map(|n| n.to_le_bytes()[usize::from(n % 7 == 0)]).collect();
    std::fs::create_dir(folder.0.join("sub")).unwrap();
    std::fs::write(folder.0.join("sub/index.html"), &body).unwrap();
    let mut python = Command::new("python3")
        .args(["-u", "-m", "http.server", "0", "--bind", "127.0.0.1"])
        .current_dir(&folder.0)
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let mut line = String::new();
    BufReader::new(python.stdout.as_mut().unwrap()).read_line(&mut line).unwrap();
    let port = line.split(' ').skip_while(|word| *word != "port").nth(1).unwrap_or("none");
    let ran = fetch(&[&format!("127.0.0.1:{port}/sub")]);
    python.kill().unwrap();
    python.wait().unwrap();
    assert_eq!(ran.code, Some(0), "{}", ran.err);
    assert!(ran.out == body, "{} bytes of {}", ran.out.len(), body.len());
    assert!(ran.err.contains("/sub -> "), "{}", ran.err);
}

#[test]
fn curl_reads_the_same_bodies() {
    if !present("curl") {
        return;
    }
    let replies = [
        ok(5, "hello"),
        ok(3, "more than announced"),
        "HTTP/1.0 200 OK\r\n\r\nto the end".to_owned(),
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n\
         2;x\r\nab\r\n1\r\nc\r\n0\r\nT: t\r\n\r\n"
            .to_owned(),
        "HTTP/1.1 103 Early\r\nLink: x\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nhi"
            .into(),
        "HTTP/1.1 204 Nothing\r\n\r\n".to_owned(),
        "HTTP/1.1 500 Oops\r\nContent-Length: 4\r\n\r\noops".to_owned(),
        ok(10, "half"),
    ];
    for reply in replies {
        let server = Server::of_bytes(reply.clone());
        let url = server.url("/");
        let theirs = Command::new("curl").args(["-s", "--noproxy", "*", &url]).output().unwrap();
        assert_eq!(fetch(&[&url]).out, theirs.stdout, "{reply:?}");
        let theirs = Command::new("curl")
            .args(["-s", "-I", "--noproxy", "*", "--max-time", "10", &url])
            .output()
            .unwrap();
        if !reply.contains("103") {
            assert_eq!(fetch(&["-I", &url]).out, theirs.stdout, "{reply:?}");
        }
    }
}
