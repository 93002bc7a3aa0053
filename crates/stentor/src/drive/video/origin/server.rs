//! One thread of the origin: its listeners, and the bound on connections.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use socket2::Socket;
use stentor_os::failure::describe;
use tokio::net::TcpListener;
use tokio::runtime::{Builder, Runtime};
use tokio::sync::OwnedSemaphorePermit;
use tokio::task::JoinSet;

use super::connection;
use super::shared::{Shared, Stage};

/// How long to wait before the next accept when descriptors are exhausted.
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);

/// Makes the loop of a thread, with its listeners registered.
pub(super) fn prepare(
    sockets: Vec<Socket>,
    shared: Arc<Shared>,
) -> io::Result<impl FnOnce() + Send> {
    let runtime = Builder::new_current_thread().enable_io().enable_time().build()?;
    let listeners = {
        let _inside = runtime.enter();
        let made = sockets.into_iter().map(|socket| TcpListener::from_std(socket.into()));
        made.collect::<io::Result<Vec<_>>>()?
    };
    Ok(move || run(runtime, listeners, shared))
}

fn run(runtime: Runtime, listeners: Vec<TcpListener>, shared: Arc<Shared>) {
    runtime.block_on(async {
        let mut accepting = JoinSet::new();
        for listener in listeners {
            accepting.spawn(accept(listener, Arc::clone(&shared)));
        }
        while accepting.join_next().await.is_some() {}
    });
    // A read of a slow disk is not waited for.
    runtime.shutdown_background();
}

/// Accepts until it is told to end, and waits for what it accepted.
async fn accept(listener: TcpListener, shared: Arc<Shared>) {
    let mut stage = shared.stage();
    let mut connections = JoinSet::new();
    loop {
        let accepted = tokio::select! {
            _ = stage.wait_for(|stage| *stage > Stage::Serving) => break,
            // Those that have ended are not kept.
            Some(_) = connections.join_next() => continue,
            accepted = listener.accept() => accepted,
        };
        match accepted {
            Ok((stream, peer)) => {
                let place = tokio::select! {
                    _ = stage.wait_for(|stage| *stage > Stage::Serving) => break,
                    place = place(&shared) => place,
                };
                let shared = Arc::clone(&shared);
                connections.spawn(async move {
                    connection::converse(stream, peer, shared).await;
                    drop(place);
                });
            }
            // Out of descriptors, or that client has gone again: the next may succeed.
            Err(error) => {
                tracing::warn!("accept: {}; trying again", describe(&error));
                tokio::time::sleep(ACCEPT_PAUSE).await;
            }
        }
    }
    drop(listener);
    let drain = shared.plan.limits.drain;
    let all = async { while connections.join_next().await.is_some() {} };
    if tokio::time::timeout(drain, all).await.is_err() {
        shared.advance(Stage::Ended);
    }
    while connections.join_next().await.is_some() {}
}

/// A place for the connection that was just accepted; says so when all are taken. One for each
/// listener waits here, the others in the backlog.
async fn place(shared: &Arc<Shared>) -> Option<OwnedSemaphorePermit> {
    if let Ok(place) = Arc::clone(&shared.places).try_acquire_owned() {
        return Some(place);
    }
    if shared.may_warn() {
        let most = shared.plan.limits.connections;
        tracing::warn!("{most} connections are open (--max-conns): others wait until one ends");
    }
    Arc::clone(&shared.places).acquire_owned().await.ok()
}
