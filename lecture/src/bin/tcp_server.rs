//! The lecture's TCP server: one client at a time, one recv() from each, the answer in CAPITALS.
use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::{env, io};

fn main() -> Result<(), String> {
    let port = env::args_os().nth(1).unwrap_or("12000".into());
    // The lecture's '' is 0.0.0.0: every IPv4 interface, so that other machines can reach us too.
    let door = format!("0.0.0.0:{}", port.display());
    // socket(), setsockopt(SO_REUSEADDR), bind(), listen(128): Rust picks 128, the lecture picks 1.
    let listener =
        TcpListener::bind(&door).map_err(|error| format!("bind() to {door}: {error}"))?;
    let address = listener.local_addr().map_err(|error| format!("getsockname(): {error}"))?;
    println!("The server is ready to receive on port {}", address.port());
    loop {
        // accept() waits for a client and makes a new socket for it; the listening one remains.
        if let Err(error) = listener.accept().and_then(|(connection, _)| answer(connection)) {
            eprintln!("accept(), recv() or send(): {error}"); // and on to the next client
        }
    }
}

fn answer(mut connection: TcpStream) -> io::Result<()> {
    let mut sentence = vec![0; 1024];
    let length = connection.read(&mut sentence)?; // recv(): what has arrived, at most 1024 bytes
    sentence.truncate(length);
    sentence.make_ascii_uppercase(); // a to z only: any byte may come, and need not be UTF-8
    connection.write_all(&sentence) // send(), again until all is taken
} // close() of this client's socket: Rust closes a socket where its variable ends
