//! A responder that answers every datagram in capitals, whoever sent it: what stentor's own would
//! be without a guard.

use std::net::{SocketAddr, UdpSocket};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread::JoinHandle;
use std::time::Duration;

/// A responder on a free port of 127.0.0.1, ended when dropped.
#[derive(Debug)]
pub(crate) struct Naive {
    pub(crate) address: SocketAddr,
    answered: Arc<AtomicU64>,
    over: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl Naive {
    /// Starts to answer.
    ///
    /// # Errors
    /// No socket can be had.
    pub(crate) fn start() -> Result<Naive, String> {
        let failed = |error: std::io::Error| format!("the naive responder: {error}");
        let socket = UdpSocket::bind("127.0.0.1:0").map_err(failed)?;
        // How long it may take to notice that it is over.
        socket.set_read_timeout(Some(Duration::from_millis(100))).map_err(failed)?;
        let address = socket.local_addr().map_err(failed)?;
        let (answered, over) = (Arc::new(AtomicU64::new(0)), Arc::new(AtomicBool::new(false)));
        let (counted, ending) = (Arc::clone(&answered), Arc::clone(&over));
        let thread = std::thread::spawn(move || {
            let mut buffer = vec![0; 65_536];
            while !ending.load(Ordering::Relaxed) {
                let Ok((count, source)) = socket.recv_from(&mut buffer) else { continue };
                let answer = buffer.get_mut(..count).unwrap_or_default();
                answer.make_ascii_uppercase();
                if socket.send_to(answer, source).is_ok() {
                    counted.fetch_add(1, Ordering::Relaxed);
                }
            }
        });
        Ok(Naive { address, answered, over, thread: Some(thread) })
    }

    /// How many datagrams it has answered.
    pub(crate) fn answered(&self) -> u64 {
        self.answered.load(Ordering::Relaxed)
    }
}

impl Drop for Naive {
    fn drop(&mut self) {
        self.over.store(true, Ordering::Relaxed);
        if let Some(thread) = self.thread.take() {
            // It ends within its read timeout; what it counted is known already.
            let _ = thread.join();
        }
    }
}
