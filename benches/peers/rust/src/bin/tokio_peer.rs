//! A task for each connection on tokio: `tokio_peer multi|current [BUFFER]`, the scheduler with its
//! threads or the one of a single thread; the buffer of each task, 4 KiB if not given.

use std::io;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpSocket, TcpStream};
use tokio::runtime::Builder;

fn main() -> io::Result<()> {
    let mut arguments = std::env::args().skip(1);
    let current = arguments.next().as_deref() == Some("current");
    let buffer = arguments.next().and_then(|bytes| bytes.parse().ok()).unwrap_or(4096);
    let mut builder =
        if current { Builder::new_current_thread() } else { Builder::new_multi_thread() };
    let runtime = builder.enable_io().build()?;
    // In a task of its own: what block_on runs stays outside the scheduler.
    let accepting = runtime.spawn(accept(buffer));
    runtime.block_on(accepting).map_err(io::Error::other)?
}

async fn accept(buffer: usize) -> io::Result<()> {
    let socket = TcpSocket::new_v4()?;
    socket.bind(([127, 0, 0, 1], 0).into())?;
    let listener = socket.listen(4096)?;
    println!("The server is ready to receive on port {}", listener.local_addr()?.port());
    loop {
        let (stream, _) = listener.accept().await?;
        stream.set_nodelay(true)?;
        // A client that leaves ends its task; there is nothing to say about it.
        tokio::spawn(async move { drop(serve(stream, buffer).await) });
    }
}

async fn serve(mut stream: TcpStream, buffer: usize) -> io::Result<()> {
    let mut buffer = vec![0; buffer];
    loop {
        let count = stream.read(&mut buffer).await?;
        if count == 0 {
            return Ok(());
        }
        let answer = &mut buffer[..count];
        answer.make_ascii_uppercase();
        stream.write_all(answer).await?;
    }
}
