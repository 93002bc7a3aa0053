//! The lecture's TCP client: one sentence out, one recv() back.
use std::io::{BufRead, Read, Write};
use std::net::TcpStream;
use std::{env, io};

fn main() -> Result<(), String> {
    let mut arguments = env::args_os().skip(1);
    let host = arguments.next().unwrap_or("localhost".into());
    let port = arguments.next().unwrap_or("12000".into());
    let server = format!("{}:{}", host.display(), port.display());
    let failed = |call: &str, error: io::Error| format!("{call} {server}: {error}");
    // getaddrinfo() finds the addresses of the name; socket(), connect() to each until one works.
    let mut socket = TcpStream::connect(&server).map_err(|error| failed("connect() to", error))?;
    print!("Input lowercase sentence:");
    io::stdout().flush().map_err(|error| format!("write() to standard output: {error}"))?;
    let line = io::stdin().lock().split(b'\n').next().transpose(); // the newline is taken off
    let line = line.map_err(|error| format!("read() from standard input: {error}"))?;
    // Without this, both ends would wait for ever: an empty sentence puts no byte on a connection.
    let sentence = line.filter(|line| !line.is_empty()).ok_or("nothing to send()")?;
    // send(), again until all is taken.
    socket.write_all(&sentence).map_err(|error| failed("send() to", error))?;
    let mut reply = vec![0; 1024];
    // recv(): waits, then takes what has arrived, at most 1024 bytes, once.
    let length = socket.read(&mut reply).map_err(|error| failed("recv() from", error))?;
    reply.truncate(length);
    println!("From Server: {}", String::from_utf8_lossy(&reply));
    Ok(())
} // close(): Rust closes a socket where its variable ends
