//! Holds the lecture's programs to what they promise a reader: short, std only, and every socket
//! call named in a comment. How they behave is tested in `pairings.rs`.
#![allow(clippy::panic, reason = "a failed check of a test panics, in its helpers too")]

/// Each Rust program, and the socket calls its comments must name.
const RUST: [(&str, &str, &[&str]); 4] = [
    (
        "tcp_server.rs",
        include_str!("../src/bin/tcp_server.rs"),
        &["socket()", "bind()", "listen(", "accept()", "recv()", "send()", "close()"],
    ),
    (
        "tcp_client.rs",
        include_str!("../src/bin/tcp_client.rs"),
        &["getaddrinfo()", "socket()", "connect()", "send()", "recv()", "close()"],
    ),
    (
        "udp_server.rs",
        include_str!("../src/bin/udp_server.rs"),
        &["socket()", "bind()", "recvfrom()", "sendto()", "close()"],
    ),
    (
        "udp_client.rs",
        include_str!("../src/bin/udp_client.rs"),
        &["getaddrinfo()", "socket()", "bind()", "sendto()", "recvfrom()", "close()"],
    ),
];

const PYTHON: [(&str, &str); 6] = [
    ("tcp_server.py", include_str!("../python/tcp_server.py")),
    ("tcp_client.py", include_str!("../python/tcp_client.py")),
    ("udp_server.py", include_str!("../python/udp_server.py")),
    ("udp_client.py", include_str!("../python/udp_client.py")),
    ("half_server.py", include_str!("../python/half_server.py")),
    ("web_client.py", include_str!("../python/web_client.py")),
];

/// What follows `mark` on each line: the comments of a program that has no such mark in a string.
fn comments(source: &str, mark: &str) -> String {
    source
        .lines()
        .filter_map(|line| line.split_once(mark))
        .map(|(_, comment)| comment)
        .collect::<Vec<_>>()
        .join("\n")
}

#[test]
fn rust_programs_have_at_most_30_lines() {
    for (name, source, _) in RUST {
        let lines = source.lines().count();
        assert!(lines <= 30, "{name} has {lines} lines");
        for (number, line) in (1..).zip(source.lines()) {
            let columns = line.chars().count();
            assert!(columns <= 100, "{name}:{number} has {columns} columns");
        }
    }
}

#[test]
fn rust_programs_use_only_std() {
    for (name, source, _) in RUST {
        for line in source.lines().map(str::trim_start) {
            let import = line.strip_prefix("use ").or_else(|| line.strip_prefix("extern crate "));
            if let Some(path) = import {
                assert!(path.starts_with("std::"), "{name} imports {path}");
            }
            assert!(!line.starts_with("mod "), "{name} is more than one file: {line}");
        }
    }
    let manifest = include_str!("../Cargo.toml");
    let table = manifest
        .lines()
        .find(|line| line.trim_start().starts_with('[') && line.contains("dependencies"));
    assert_eq!(table, None, "lecture/Cargo.toml must depend on nothing");
}

#[test]
fn rust_programs_name_every_socket_call() {
    for (name, source, calls) in RUST {
        let comments = comments(source, "//");
        for call in calls {
            assert!(comments.contains(call), "no comment of {name} names {call}");
        }
    }
}

#[test]
fn python_programs_comment_every_socket_call() {
    let calls = [
        "accept(",
        "bind(",
        "close(",
        "connect(",
        "getaddrinfo(",
        "getsockname(",
        "listen(",
        "recv(",
        "recvfrom(",
        "send(",
        "sendto(",
        "setsockopt(",
        "socket(",
    ];
    for (name, source) in PYTHON {
        let body = source.lines().skip(1); // the first line is the text about the file
        for (number, line) in (2..).zip(body) {
            let (code, comment) = line.split_once('#').unwrap_or((line, ""));
            let quoted = code.contains("print(") || code.contains("sys.exit(");
            if !quoted && calls.iter().any(|call| code.contains(call)) {
                assert!(!comment.is_empty(), "{name}:{number} has no comment: {line}");
            }
        }
        let comments = comments(source, "#");
        let used = calls.iter().filter(|call| source.contains(&format!(".{call}")));
        for call in used.filter(|call| **call != "setsockopt(") {
            assert!(comments.contains(call), "no comment of {name} names {call})");
        }
    }
}
