//! The lecture's UDP client: one sentence out as one datagram, one datagram back.
use std::io::{self, BufRead, Write};
use std::net::{SocketAddr, ToSocketAddrs, UdpSocket};

fn main() -> Result<(), String> {
    let mut arguments = std::env::args_os().skip(1);
    let host = arguments.next().unwrap_or("localhost".into());
    let port = arguments.next().unwrap_or("12000".into());
    let server = format!("{}:{}", host.display(), port.display());
    let failed = |call: &str, error: io::Error| format!("{call} {server}: {error}");
    // getaddrinfo(); the lecture's sockets are IPv4, so the first IPv4 address is the one.
    let mut found = server.to_socket_addrs().map_err(|error| failed("getaddrinfo() of", error))?;
    let address = found.find(SocketAddr::is_ipv4).ok_or(format!("{server} has no IPv4 address"))?;
    // socket(), and bind() to any free port, which Python leaves to its first sendto().
    let socket = UdpSocket::bind("0.0.0.0:0").map_err(|error| format!("bind(): {error}"))?;
    print!("Input lowercase sentence:");
    io::stdout().flush().map_err(|error| format!("write() to standard output: {error}"))?;
    let line = io::stdin().lock().split(b'\n').next().transpose(); // the newline is taken off
    let line = line.map_err(|error| format!("read() from standard input: {error}"))?;
    let sentence = line.unwrap_or_default(); // may be empty: a datagram of 0 bytes is one, too
    // sendto(): there is no connection, so each datagram carries its destination.
    socket.send_to(&sentence, address).map_err(|error| failed("sendto()", error))?;
    let mut reply = vec![0; 2048];
    // recvfrom(): waits, for ever if need be, for one datagram and takes at most 2048 bytes of it.
    let (length, _) = socket.recv_from(&mut reply).map_err(|error| failed("recvfrom()", error))?;
    println!("From Server: {}", String::from_utf8_lossy(reply.get(..length).unwrap_or(&reply)));
    Ok(())
} // close(): Rust closes a socket where its variable ends
