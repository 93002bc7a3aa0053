//! What a person meets: the prompt, ^C, a pipe that closes, dumps, and JSON for programs.

use super::*;

#[test]
fn json_is_one_valid_object_also_on_failure() {
    let keys = [
        "argv",
        "config",
        "error",
        "exit_code",
        "host",
        "ok",
        "result",
        "schema",
        "started",
        "version",
        "warnings",
    ];
    let check = |run: Run, code: i32| -> Value {
        assert_eq!(run.code, Some(code), "{}", run.err);
        let json: Value = serde_json::from_slice(&run.out).unwrap();
        let object = json.as_object().unwrap();
        let mut found: Vec<&String> = object.keys().collect();
        found.sort();
        assert_eq!(found, keys);
        assert_eq!(json["schema"], "stentor.send/1");
        assert_eq!((&json["ok"], &json["exit_code"]), (&Value::Bool(code == 0), &code.into()));
        assert_eq!(json["error"].is_null(), code == 0);
        json
    };
    let (server, _handle) = tcp(good);
    let json = check(send(&server, &["-J", "hello"]), 0);
    let result = &json["result"];
    assert_eq!((&result["sent_bytes"], &result["received_bytes"]), (&5.into(), &5.into()));
    assert_eq!((&result["owed_bytes"], &result["verified_bytes"]), (&5.into(), &5.into()));
    assert_eq!((&result["answer"], &result["closed_first"]), (&"HELLO".into(), &"client".into()));
    assert_eq!(result["attempts"][0]["outcome"], "connected");
    assert!(result["phases"]["first_byte_ns"].as_u64().unwrap() > 0);
    assert!(result["tcp"]["segments_out"].as_u64().unwrap() >= 4);

    let (server, _handle) = tcp(|mut stream| {
        five(&mut stream);
        stream.write_all(b"HE").unwrap();
    });
    let json = check(send(&server, &["-J", "hello"]), 1);
    assert_eq!(
        (&json["result"]["owed_bytes"], &json["result"]["verified_bytes"]),
        (&5.into(), &2.into())
    );
    let (_held, server) = refusing();
    assert!(check(send(&server, &["-J", "hello"]), 3)["result"].is_null());
    assert!(check(send(&server, &["-J", "-w", "0s", "hello"]), 2)["config"].is_null());
}

#[test]
fn a_reader_who_has_gone_ends_it_quietly() {
    let (server, _handle) = tcp(|stream| {
        let mut writer = stream.try_clone().unwrap();
        thread::spawn(move || while writer.write_all(&[b'S'; 65_536]).is_ok() {});
        let mut reader = stream;
        while reader.read(&mut [0; 65_536]).is_ok_and(|count| count > 0) {}
    });
    let mut child = start(&server, &["--no-verify"]);
    let mut first = [0; 5];
    let mut out = child.stdout.take().unwrap();
    out.read_exact(&mut first).unwrap();
    drop(out);
    let output = child.wait_with_output().unwrap();
    assert_eq!(&first, b"SSSSS");
    Run::of(output, &server).is(0, "", "");
}

/// Sends SIGINT, as ^C does.
fn interrupt(child: &Child) {
    let status = Command::new("kill").args(["-INT", &child.id().to_string()]).status().unwrap();
    assert!(status.success());
}

#[test]
fn an_interrupt_ends_it_with_what_is_known() {
    let (tell, told) = std::sync::mpsc::channel();
    let (server, _handle) = tcp(move |mut stream| {
        five(&mut stream);
        tell.send(()).unwrap();
        stream
    });
    let child = start(&server, &["-J", "hello"]);
    told.recv().unwrap();
    interrupt(&child);
    let run = Run::of(child.wait_with_output().unwrap(), &server);
    let words = "interrupted: 5 bytes sent to tcp SERVER, 0 of 5 bytes owed came";
    assert_eq!((run.code, run.err), (Some(130), format!("stentor: {words}\n")));
    let json: Value = serde_json::from_slice(&run.out).unwrap();
    assert_eq!((&json["exit_code"], &json["result"]["sent_bytes"]), (&130.into(), &5.into()));
}

#[test]
fn an_interrupt_ends_a_write_that_nobody_reads() {
    let (server, handle) = tcp(|mut stream| {
        stream.set_write_timeout(Some(Duration::from_millis(500))).unwrap();
        // Until the client, whose output nobody reads, takes no more.
        while stream.write_all(&[b'S'; 65_536]).is_ok() {}
        stream
    });
    let mut child = start(&server, &["--no-verify"]);
    let stream = handle.join().unwrap();
    interrupt(&child);
    assert_eq!(child.wait().unwrap().code(), Some(130));
    drop(stream);
}

#[test]
fn an_interrupt_ends_the_wait_for_a_datagram_and_for_standard_input() {
    let (tell, told) = std::sync::mpsc::channel();
    let (server, handle) = udp(1, move |_, _| {
        tell.send(()).unwrap();
        vec![]
    });
    let mut child = start(&server, &["-u", "--retry", "0", "-w", "60s"]);
    child.stdin.as_mut().unwrap().write_all(b"one\n").unwrap();
    told.recv().unwrap();
    interrupt(&child);
    let run = Run::of(child.wait_with_output().unwrap(), &server);
    run.is(130, "", "stentor: interrupted: 0 of 1 questions answered rightly\n");
    handle.join().unwrap();

    let (server, handle) = udp(1, |_, question| vec![upper(question)]);
    let mut child = start(&server, &["-u"]);
    child.stdin.as_mut().unwrap().write_all(b"one\n").unwrap();
    let mut answer = [0; 4];
    child.stdout.as_mut().unwrap().read_exact(&mut answer).unwrap();
    assert_eq!(&answer, b"ONE\n");
    interrupt(&child);
    let run = Run::of(child.wait_with_output().unwrap(), &server);
    run.is(130, "", "stentor: interrupted while waiting for standard input\n");
    handle.join().unwrap();
}

#[test]
fn a_dump_and_the_phases_are_printed() {
    let (server, _handle) = tcp(good);
    let run = send(&server, &["--hex", "--timing", "hello"]);
    let row = "00000000  48 45 4c 4c 4f                                    |HELLO|\n";
    assert_eq!((run.code, String::from_utf8(run.out).unwrap().as_str()), (Some(0), row));
    let names: Vec<&str> = run.err.lines().map(|line| line[..10].trim()).collect();
    assert_eq!(names, ["resolve", "connect", "first byte", "total"]);
    assert!(run.err.lines().all(|line| line.ends_with(" ms")), "{}", run.err);
}

#[test]
fn at_a_terminal_it_prompts_in_the_lectures_words() {
    // script(1) of util-linux gives a program a terminal.
    if Command::new("script").arg("--version").output().is_err() {
        eprintln!("SKIPPED: script(1) is not installed, the prompt was not tested");
        return;
    }
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let server = listener.local_addr().unwrap().to_string();
    let handle = thread::spawn(move || {
        let mut ports = Vec::new();
        for _ in 0..2 {
            let (stream, peer) = listener.accept().unwrap();
            stream.set_read_timeout(Some(ASTRAY)).unwrap();
            good(stream);
            ports.push(peer.port());
        }
        ports
    });
    let command = format!("{} send {server}", env!("CARGO_BIN_EXE_stentor"));
    let mut child = Command::new("script")
        .args(["-qec", &command, "/dev/null"])
        .env("NO_COLOR", "1")
        .env("TERM", "dumb")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut stdin = child.stdin.take().unwrap();
    stdin.write_all(b"hello\rworld\r\x04").unwrap();
    let output = child.wait_with_output().unwrap();
    let shown = String::from_utf8_lossy(&output.stdout).replace('\r', "");
    assert_eq!(output.status.code(), Some(0), "{shown}");
    for part in [
        "Input lowercase sentence: ",
        "From Server: HELLO\n5 bytes out, 5 back; ",
        "From Server: WORLD\n5 bytes out, 5 back; ",
        "; the client closed first\n",
    ] {
        assert!(shown.contains(part), "{part}: {shown}");
    }
    let ports = handle.join().unwrap();
    assert_ne!(ports[0], ports[1], "a new connection for each sentence");
}
