//! A server that stalls for one second of every four: what `load` says of it, beside arithmetic.
//!
//! At a constant rate a quarter of all requests is due in a stall and waits for its end, the later
//! the less. So the share that waits longer than t is (1 s - t) / 4 s: the 90th percentile is
//! 600 ms, the 99th 960 ms. Two servers, so that no mistake of ours answers to itself.

use std::fmt::Write as _;
use std::io::{BufRead, BufReader};
use std::net::SocketAddr;
use std::process::{Command, Stdio};

use crate::program::{Running, Server, stentor};

/// What the percentiles are by arithmetic, and how far the reported ones may be off.
const EXPECTED: [(&str, f64); 2] = [("p90_ns", 600.0), ("p99_ns", 960.0)];
const OFF_MAX_MS: f64 = 10.0;

/// The same server by another hand: it answers at once but in the first second of every four,
/// when it sleeps. It answers lines in capitals.
const INDEPENDENT: &str = r#"
import select, socket, time
listener = socket.create_server(("127.0.0.1", 0), backlog=128)
began = time.monotonic()
print(listener.getsockname()[1], flush=True)
clients = []
while True:
    into = (time.monotonic() - began) % 4
    if into < 1:
        time.sleep(1 - into)
    until = 4 - (time.monotonic() - began) % 4
    for ready in select.select([listener] + clients, [], [], until)[0]:
        if ready is listener:
            clients.append(listener.accept()[0])
        elif data := ready.recv(65536):
            ready.sendall(data.upper())
        else:
            clients.remove(ready)
            ready.close()
"#;

/// Measures and renders the table, in Markdown.
pub(crate) fn measure(quick: bool) -> Result<String, String> {
    // Whole periods: a part of one would shift the shares.
    let seconds = if quick { "8s" } else { "40s" };
    let mut table = "| server | transport | p90, ms (600) | p99, ms (960) | verified |\n\
                     |---|---|---|---|---|\n"
        .to_owned();
    let mut off = Vec::new();
    let ours = Server::start(&["-p", "0", "-b", "127.0.0.1", "--fault", "stall=1s/4s"])?;
    let address = ours.address()?;
    row(&mut table, &mut off, "serve --fault stall=1s/4s", &format!("tcp://{address}"), seconds)?;
    row(&mut table, &mut off, "serve --fault stall=1s/4s", &format!("udp://{address}"), seconds)?;
    ours.end()?;
    match independent() {
        Ok((_running, address)) => {
            let target = format!("tcp://{address}");
            row(&mut table, &mut off, "30 lines of Python", &target, seconds)?;
        }
        Err(error) => crate::notice(&format!("SKIPPED: the server in Python: {error}")),
    }
    match off.as_slice() {
        [] => Ok(table),
        off => Err(format!("more than {OFF_MAX_MS} ms off: {}\n\n{table}", off.join(", "))),
    }
}

fn independent() -> Result<(Running, SocketAddr), String> {
    let mut command = Command::new("python3");
    command.args(["-c", INDEPENDENT]).stdin(Stdio::null()).stdout(Stdio::piped());
    let mut running = Running::start(&mut command)?;
    let out = running.child.stdout.take().ok_or("no pipe")?;
    let mut port = String::new();
    BufReader::new(out).read_line(&mut port).map_err(|error| error.to_string())?;
    let port: u16 = port.trim().parse().map_err(|_| format!("no port but {port:?}"))?;
    Ok((running, SocketAddr::from(([127, 0, 0, 1], port))))
}

fn row(
    table: &mut String,
    off: &mut Vec<String>,
    server: &str,
    target: &str,
    seconds: &str,
) -> Result<(), String> {
    let output = Command::new(stentor()?)
        .args(["load", target, "-r", "200", "-d", seconds, "--json", "-q"])
        .stderr(Stdio::inherit())
        .output()
        .map_err(|error| format!("start stentor load: {error}"))?;
    let json: serde_json::Value =
        serde_json::from_slice(&output.stdout).map_err(|error| format!("its JSON: {error}"))?;
    let result = json.get("result").ok_or("no result")?;
    let number = |group: &str, key: &str| {
        let found = result.get(group).and_then(|group| group.get(key));
        found.and_then(serde_json::Value::as_f64).ok_or_else(|| format!("no {group}.{key}: {json}"))
    };
    let transport = target.split(':').next().unwrap_or_default();
    let mut cells = Vec::new();
    for (key, expected_ms) in EXPECTED {
        let ms = number("latency", key)? / 1e6;
        if (ms - expected_ms).abs() > OFF_MAX_MS {
            off.push(format!("{transport} {key} {ms:.1} ms"));
        }
        cells.push(format!("{ms:.1}"));
    }
    let (verified, sent) = (number("requests", "verified")?, number("requests", "sent")?);
    let cells = cells.join(" | ");
    let _ = writeln!(table, "| {server} | {transport} | {cells} | {verified} of {sent} |");
    Ok(())
}
