//! The control server: proxies are made and changed over HTTP, as Toxiproxy 2.12 does it, so that
//! its clients work unmodified.
//!
//! Requests become changes of the collection (`route`, `body`), which turns them into proxies and
//! rules of [`super`]; the bytes themselves never pass here. tokio carries it on one thread.
//! hyper without a framework: ten paths, and Toxiproxy's own forms of refusal, are one match.

mod answer;
pub mod body;
mod collection;
mod http;
mod kind;
mod metrics;
mod names;
mod place;
mod route;
mod totals;
mod toxic;

use std::net::{SocketAddr, TcpListener};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::{self, JoinHandle};

use stentor_core::endpoint::{Host, Transport};
use stentor_os::failure::Failure;
use tokio::runtime::{Builder, Runtime};
use tokio::sync::oneshot;

use super::{Counts, Handle, Id, Rules};
use answer::Problem;
use body::ProxyBody;
use collection::Collection;
use names::Names;
use route::Desk;

/// What a control server is started with.
#[derive(Clone, Debug)]
pub struct Options {
    /// Where it listens; the first that can be had.
    pub address: SocketAddr,
    /// What GET /version says.
    pub version: String,
    /// Whether GET /metrics is there.
    pub metrics: bool,
}

/// A proxy that was opened before: it is listed, and can be changed, like those of the API.
#[derive(Clone, Debug)]
pub struct Given {
    /// What it is called.
    pub name: String,
    /// Which it is.
    pub id: Id,
    /// What it carries.
    pub transport: Transport,
    /// Where clients come in.
    pub listen: SocketAddr,
    /// Where it leads, as it was written.
    pub target: String,
    /// Where it leads, as it was understood.
    pub upstream: (Host, u16),
    /// What it does, before all toxics.
    pub rules: Rules,
    /// The same in a link's words.
    pub link: String,
}

/// A proxy that was there in the end, and what it did.
#[derive(Clone, Debug)]
pub struct Seen {
    /// What it was called.
    pub name: String,
    /// What it carried.
    pub transport: Transport,
    /// Where clients came in.
    pub listen: SocketAddr,
    /// Where it led, as it was written.
    pub upstream: String,
    /// What it did in all its lives.
    pub counts: Counts,
}

/// Why a configuration could not be carried out.
#[derive(Debug, thiserror::Error)]
pub enum Unpopulated {
    /// It asks for something that makes no sense.
    #[error("{0}")]
    Wrong(String),
    /// The system refused.
    #[error("{0}")]
    Refused(String),
}

/// A control server that runs; dropping it ends it, and leaves the proxies as they are.
pub struct Control {
    /// Where it listens.
    pub address: SocketAddr,
    desk: Arc<Desk>,
    over: Option<oneshot::Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

impl std::fmt::Debug for Control {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Control").field("address", &self.address).finish_non_exhaustive()
    }
}

/// A control server that listens already, and does not answer yet.
pub struct Bound {
    listener: TcpListener,
    address: SocketAddr,
    runtime: Runtime,
    desk: Arc<Desk>,
}

/// Listens, for proxies of `handle`.
///
/// # Errors
/// The address cannot be had, or the system has no room for the loop.
pub fn bind(options: Options, handle: &Handle, given: Vec<Given>) -> Result<Bound, Failure> {
    let Options { address, version, metrics } = options;
    let named = |operation| move |error| Failure::new(operation, format!("tcp {address}"), error);
    let listener = TcpListener::bind(address).map_err(named("bind"))?;
    listener.set_nonblocking(true).map_err(named("fcntl O_NONBLOCK"))?;
    let address = listener.local_addr().map_err(named("getsockname"))?;
    let runtime = Builder::new_current_thread().enable_io().enable_time().build();
    let runtime = runtime.map_err(named("epoll_create"))?;
    let names = Names::new(handle.clone(), Box::new(stentor_os::resolve::addresses));
    let mut collection = Collection::new(handle.clone(), Arc::clone(&names));
    collection.adopt(given);
    let desk = Arc::new(Desk { collection: Mutex::new(collection), names, version, metrics });
    Ok(Bound { listener, address, runtime, desk })
}

impl Bound {
    /// Opens the proxies of a configuration, as POST /populate does.
    ///
    /// # Errors
    /// One of them makes no sense, or its address cannot be had.
    pub fn populate(&self, proxies: Vec<ProxyBody>) -> Result<(), Unpopulated> {
        match self.runtime.block_on(self.desk.open(proxies)) {
            (_, None) => Ok(()),
            (_, Some(Problem { status, text })) if status.is_client_error() => {
                Err(Unpopulated::Wrong(text))
            }
            (_, Some(Problem { text, .. })) => Err(Unpopulated::Refused(text)),
        }
    }

    /// Begins to answer.
    ///
    /// # Errors
    /// The system has no room for a thread.
    pub fn start(self) -> Result<Control, Failure> {
        let Bound { listener, address, runtime, desk } = self;
        let failed = |error| Failure::new("clone", "the thread of the control server", error);
        let (over, told) = oneshot::channel();
        let served = Arc::clone(&desk);
        let run = move || {
            runtime.block_on(async move {
                match tokio::net::TcpListener::from_std(listener) {
                    Ok(listener) => http::serve(listener, served, told).await,
                    Err(error) => tracing::error!("epoll_ctl: the control server: {error}"),
                }
            });
            // A name that is still looked up is not waited for.
            runtime.shutdown_background();
        };
        let thread = thread::Builder::new().name("control".to_owned()).spawn(run);
        let thread = Some(thread.map_err(failed)?);
        Ok(Control { address, desk, over: Some(over), thread })
    }
}

impl Control {
    fn collection(&self) -> MutexGuard<'_, Collection> {
        self.desk.collection.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Changes what a proxy of the command line does; toxics stay behind it.
    ///
    /// # Errors
    /// In words: it makes no sense together with the toxics.
    pub fn regive(&self, name: &str, rules: Rules, link: String) -> Result<(), String> {
        self.collection().regive(name, rules, link).map_err(|problem| problem.text)
    }

    /// Ends it with all its proxies, and tells what each has done.
    pub fn end(mut self) -> Vec<Seen> {
        self.stop();
        self.collection().end()
    }

    fn stop(&mut self) {
        // Its receiver is gone if the loop has ended by itself.
        drop(self.over.take());
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

impl Drop for Control {
    fn drop(&mut self) {
        self.stop();
    }
}
