//! The lecture's UDP server: each datagram goes back in CAPITALS to the address it came from.
use std::env;
use std::net::UdpSocket;

fn main() -> Result<(), String> {
    let port = env::args_os().nth(1).unwrap_or("12000".into());
    // The lecture's '' is 0.0.0.0: every IPv4 interface, so that other machines can reach us too.
    let door = format!("0.0.0.0:{}", port.display());
    // socket() and bind(). No listen(), no accept(): UDP has no connections.
    let socket = UdpSocket::bind(&door).map_err(|error| format!("bind() to {door}: {error}"))?;
    let address = socket.local_addr().map_err(|error| format!("getsockname(): {error}"))?;
    println!("The server is ready to receive on port {}", address.port());
    loop {
        let mut sentence = vec![0; 2048];
        // recvfrom(): one datagram and its sender; what is beyond 2048 bytes is lost.
        let outcome = socket.recv_from(&mut sentence).and_then(|(length, client)| {
            sentence.truncate(length);
            sentence.make_ascii_uppercase(); // a to z only: any byte may come, not only UTF-8
            socket.send_to(&sentence, client) // sendto(): the same socket answers every client
        });
        if let Err(error) = outcome {
            eprintln!("recvfrom() or sendto(): {error}"); // and on to the next datagram
        }
    }
} // close() is left to the system, which closes every socket of a program that has ended
