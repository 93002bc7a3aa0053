//! `stentor serve` as clients see it: what it answers, what it survives, how it ends.

mod datagrams;
mod ending;
mod refusals;
mod streams;
mod tuning;

use std::io::{Read, Write};
use std::net::{Shutdown, SocketAddr, TcpStream};

/// Every mode must keep the same promises.
const MODES: [&str; 4] = ["reactor", "threads", "processes", "iterative"];

/// Sends all of `text`, half-closes, and returns all of the answer.
fn ask(address: SocketAddr, text: &[u8]) -> Vec<u8> {
    let mut stream = TcpStream::connect(address).unwrap();
    let mut reader = stream.try_clone().unwrap();
    let text = text.to_vec();
    let writer = std::thread::spawn(move || {
        stream.write_all(&text).unwrap();
        stream.shutdown(Shutdown::Write).unwrap();
    });
    let mut answer = Vec::new();
    reader.read_to_end(&mut answer).unwrap();
    writer.join().unwrap();
    answer
}
