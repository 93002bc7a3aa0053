//! Names to addresses, so that nobody waits for the resolver who did not ask.
//!
//! The system's resolver blocks (getaddrinfo(3)), for half a minute if its server is mute. Each
//! question therefore has a thread of its own, questions for one name are asked once, and there are
//! only so many at a time.

use std::collections::BTreeMap;
use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;
use std::time::Duration;

use stentor_core::endpoint::Host;

use crate::drive::impair::{Handle, Id, Lookup};

/// Questions at a time; who asks more is told that there is no address.
const QUESTIONS_MAX: usize = 64;
/// How long a request may wait for the address that it wants to listen on.
const LISTEN_MAX: Duration = Duration::from_secs(5);

/// Asks the system.
type Ask = dyn Fn(&str, u16) -> io::Result<Vec<SocketAddr>> + Send + Sync;

/// Answers questions for proxies.
pub(super) struct Names {
    handle: Handle,
    ask: Box<Ask>,
    /// Which proxies wait for a name that is being asked for.
    waiting: Mutex<BTreeMap<(String, u16), Vec<Id>>>,
    running: AtomicUsize,
}

impl Names {
    pub(super) fn new(handle: Handle, ask: Box<Ask>) -> Arc<Names> {
        let (waiting, running) = (Mutex::default(), AtomicUsize::new(0));
        Arc::new(Names { handle, ask, waiting, running })
    }

    /// The addresses of a host that need no question: written ones, and `localhost`, which is
    /// always this machine (RFC 6761, section 6.3).
    pub(super) fn known(host: &Host, port: u16) -> Option<Vec<SocketAddr>> {
        let addresses: Vec<IpAddr> = match host {
            Host::Address(address) => vec![*address],
            Host::Name(name) if name.eq_ignore_ascii_case("localhost") => {
                vec![Ipv4Addr::LOCALHOST.into(), Ipv6Addr::LOCALHOST.into()]
            }
            Host::Name(_) => return None,
        };
        Some(addresses.into_iter().map(|address| SocketAddr::new(address, port)).collect())
    }

    /// What asks for a name when a proxy needs it.
    pub(super) fn lookup(self: &Arc<Names>, name: &str, port: u16) -> Lookup {
        let (names, key) = (Arc::clone(self), (name.to_owned(), port));
        Lookup(Arc::new(move |id| names.begin(&key, id)))
    }

    fn begin(self: &Arc<Names>, key: &(String, u16), id: Id) {
        let mut waiting = self.waiting.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(ids) = waiting.get_mut(key) {
            return ids.push(id);
        }
        waiting.insert(key.clone(), vec![id]);
        drop(waiting);
        let (names, asked) = (Arc::clone(self), key.clone());
        let begun = self.question(move || {
            let found = (names.ask)(&asked.0, asked.1);
            if let Err(error) = &found {
                tracing::warn!("resolve {}: {error}", asked.0);
            }
            names.answer(&asked, &found.unwrap_or_default());
        });
        if let Err(error) = begun {
            tracing::warn!("resolve {}: {error}", key.0);
            self.answer(key, &[]);
        }
    }

    fn answer(&self, key: &(String, u16), addresses: &[SocketAddr]) {
        let mut waiting = self.waiting.lock().unwrap_or_else(PoisonError::into_inner);
        for id in waiting.remove(key).unwrap_or_default() {
            // The proxies may have ended meanwhile.
            let _ = self.handle.lead(id, addresses.to_vec());
        }
    }

    /// Runs `question` on a thread of its own, unless there are too many.
    fn question(self: &Arc<Names>, question: impl FnOnce() + Send + 'static) -> io::Result<()> {
        if self.running.fetch_add(1, Ordering::Relaxed) >= QUESTIONS_MAX {
            self.running.fetch_sub(1, Ordering::Relaxed);
            return Err(io::Error::other("too many names are being looked up"));
        }
        let names = Arc::clone(self);
        let run = move || {
            question();
            names.running.fetch_sub(1, Ordering::Relaxed);
        };
        let begun = thread::Builder::new().name("resolver".to_owned()).spawn(run);
        begun.map(drop).inspect_err(|_| {
            self.running.fetch_sub(1, Ordering::Relaxed);
        })
    }

    /// The address to listen on; errors are words.
    pub(super) async fn listen(
        self: &Arc<Names>,
        host: &Host,
        port: u16,
    ) -> Result<SocketAddr, String> {
        let name = match (Names::known(host, port), host) {
            (Some(known), _) => return known.into_iter().next().ok_or_else(String::new),
            (None, Host::Name(name)) => name.clone(),
            (None, Host::Address(address)) => return Ok(SocketAddr::new(*address, port)),
        };
        let (sender, answer) = tokio::sync::oneshot::channel();
        let (names, asked) = (Arc::clone(self), name.clone());
        let begun = self.question(move || {
            // Whoever asked may have given up.
            let _ = sender.send((names.ask)(&asked, port));
        });
        begun.map_err(|error| format!("lookup {name}: {error}"))?;
        match tokio::time::timeout(LISTEN_MAX, answer).await {
            Err(_) => Err(format!("lookup {name}: no answer within {LISTEN_MAX:?}")),
            Ok(Err(_)) => Err(format!("lookup {name}: the resolver ended without an answer")),
            Ok(Ok(Err(error))) => Err(format!("lookup {name}: {error}")),
            Ok(Ok(Ok(addresses))) => {
                let v4 = addresses.iter().find(|address| address.is_ipv4());
                let none = || format!("lookup {name}: the name has no address");
                v4.or(addresses.first()).copied().ok_or_else(none)
            }
        }
    }
}

#[cfg(test)]
mod tests;
