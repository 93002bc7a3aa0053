//! All proxies of a control server, by name, and what can be done to them.
//!
//! Nothing here waits: addresses to listen on come in resolved, upstreams are looked up when a
//! client comes. Errors leave everything as it was, unless an address could not be had: then the
//! proxy is there, disabled, as Toxiproxy leaves it.

use std::collections::BTreeMap;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;

use hyper::StatusCode;
use serde::Serialize;
use stentor_core::endpoint::{Host, Transport};
use stentor_core::link::Direction;
use stentor_core::units::Probability;

use super::answer::Problem;
use super::body::{ProxyBody, ToxicBody, Unread};
use super::kind::Strike;
use super::metrics;
use super::names::Names;
use super::place;
use super::totals::together;
use super::toxic::Toxic;
use super::{Given, Seen};
use crate::drive::impair::{Counts, Handle, Id, Proxy, Refusal, Rules, Way};

/// Where a proxy without `listen` listens: on a free port, for this machine alone.
const LISTEN: &str = "127.0.0.1:0";

/// A proxy.
#[derive(Debug)]
struct Entry {
    transport: Transport,
    listen: String,
    upstream: String,
    host: Host,
    port: u16,
    /// `None` while it is disabled.
    open: Option<Id>,
    /// In the order of addition.
    toxics: Vec<Toxic>,
    /// What the command line asked for, before all toxics.
    given: Option<(Rules, String)>,
    past: Option<Counts>,
}

/// A proxy as it is shown: the keys of Toxiproxy, and ours where they say something.
#[derive(Clone, Debug, Serialize)]
pub(super) struct View {
    name: String,
    listen: String,
    upstream: String,
    enabled: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    transport: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    link: Option<String>,
    toxics: Vec<Toxic>,
}

/// A proxy that is wanted, understood and with its address to listen on looked up.
#[derive(Clone, Debug)]
pub(super) struct Wanted {
    name: String,
    transport: Transport,
    listen: String,
    /// Where that is, or why nowhere.
    address: Result<SocketAddr, String>,
    upstream: String,
    host: Host,
    port: u16,
    enabled: bool,
    toxics: Vec<Toxic>,
}

/// What a change of a proxy is made of.
#[derive(Clone, Debug)]
pub(super) struct Change {
    pub(super) body: ProxyBody,
    /// Where the new, or the old, address to listen on is, or why nowhere.
    pub(super) address: Result<SocketAddr, String>,
}

/// All of them.
pub(super) struct Collection {
    handle: Handle,
    names: Arc<Names>,
    entries: BTreeMap<String, Entry>,
}

/// Toxics as they are shown: upstream ones first.
fn shown(toxics: &[Toxic]) -> Vec<Toxic> {
    let of = |way| toxics.iter().filter(move |toxic| toxic.direction == way);
    of(Direction::Up).chain(of(Direction::Down)).cloned().collect()
}

fn upstream(written: &str) -> Result<place::Written, Problem> {
    // Go dials this machine where the host is left out.
    place::read(written, "localhost").map_err(|what| Unread(format!("upstream {what}")).into())
}

fn transport(name: Option<&str>) -> Result<Option<Transport>, Problem> {
    match name {
        None => Ok(None),
        Some("tcp") => Ok(Some(Transport::Tcp)),
        Some("udp") => Ok(Some(Transport::Udp)),
        Some(other) => Err(Unread(format!("transport takes tcp or udp, not {other:?}")).into()),
    }
}

/// The one transport of all that were named; TCP if none was.
fn agreed(named: [Option<Transport>; 3]) -> Result<Transport, Problem> {
    let mut named = named.into_iter().flatten();
    let Some(first) = named.next() else { return Ok(Transport::Tcp) };
    if named.all(|other| other == first) {
        return Ok(first);
    }
    Err(Unread("transport, listen and upstream name different transports".to_owned()).into())
}

/// Where an address to listen on is; errors are words.
pub(super) async fn address(names: &Arc<Names>, listen: &str) -> Result<SocketAddr, String> {
    let any = Ipv4Addr::UNSPECIFIED.to_string();
    let written = place::read(listen, &any)?;
    names.listen(&written.host, written.port).await
}

impl Wanted {
    /// Understands a body; `at` is its number in a list.
    pub(super) fn read(body: ProxyBody, at: Option<usize>) -> Result<Wanted, Problem> {
        let filled = |text: Option<String>| text.filter(|text| !text.is_empty());
        let name = filled(body.name).ok_or_else(|| Problem::missing("name", at))?;
        let leads = filled(body.upstream).ok_or_else(|| Problem::missing("upstream", at))?;
        let leads = upstream(&leads)?;
        let listen = filled(body.listen).unwrap_or_else(|| LISTEN.to_owned());
        let (listens, listen) = place::split(&listen);
        let named = [transport(body.transport.as_deref())?, listens, leads.transport];
        let transport = agreed(named)?;
        let mut toxics: Vec<Toxic> = Vec::new();
        for toxic in body.toxics {
            add(&mut toxics, &[], Toxic::new(toxic, transport)?, transport)?;
        }
        Ok(Wanted {
            name,
            transport,
            listen: listen.to_owned(),
            address: Err("its name was not looked up".to_owned()),
            upstream: leads.text,
            host: leads.host,
            port: leads.port,
            enabled: body.enabled.unwrap_or(true),
            toxics,
        })
    }

    /// Looks up where to listen.
    pub(super) async fn located(mut self, names: &Arc<Names>) -> Wanted {
        self.address = address(names, &self.listen).await;
        self
    }
}

/// Adds a toxic to others, if it fits among them.
fn add(
    toxics: &mut Vec<Toxic>,
    given: &[String],
    toxic: Toxic,
    transport: Transport,
) -> Result<(), Problem> {
    if toxics.iter().any(|other| other.name == toxic.name) || given.contains(&toxic.name) {
        return Err(Problem::TOXIC_EXISTS.into());
    }
    let like = toxics.iter().find(|other| other.is_like(&toxic));
    if let (Transport::Udp, Some(other)) = (transport, like) {
        let what = format!("datagrams meet one toxic of a type in each direction: {}", other.name);
        return Err(Unread(what).into());
    }
    toxics.push(toxic);
    Ok(())
}

impl Entry {
    fn new(wanted: Wanted) -> Entry {
        Entry {
            transport: wanted.transport,
            listen: wanted.listen,
            upstream: wanted.upstream,
            host: wanted.host,
            port: wanted.port,
            open: None,
            toxics: wanted.toxics,
            given: None,
            past: None,
        }
    }

    fn view(&self, name: &str) -> View {
        View {
            name: name.to_owned(),
            listen: self.listen.clone(),
            upstream: self.upstream.clone(),
            enabled: self.open.is_some(),
            transport: (self.transport == Transport::Udp).then_some("udp"),
            link: self.given.as_ref().map(|(_, words)| words.clone()).filter(|w| !w.is_empty()),
            toxics: shown(&self.toxics),
        }
    }

    /// The names of what the command line put before all toxics.
    fn given_names(&self) -> Vec<String> {
        match &self.given {
            Some((Rules::Stream { up, down, .. }, _)) => {
                up.iter().chain(down).map(|named| named.name.clone()).collect()
            }
            Some((Rules::Units { .. }, _)) | None => Vec::new(),
        }
    }

    /// What these toxics do on this proxy.
    fn rules(&self, toxics: &[Toxic]) -> Result<Rules, Problem> {
        let empty = || match self.transport {
            Transport::Udp => Rules::Units { up: Box::default(), down: Box::default() },
            Transport::Tcp | Transport::Unix => {
                Rules::Stream { up: Vec::new(), down: Vec::new(), before: Default::default() }
            }
        };
        let mut rules = self.given.as_ref().map_or_else(empty, |(rules, _)| rules.clone());
        match &mut rules {
            Rules::Stream { up, down, before } => {
                let mut led = 1.0 - before.refuse.map_or(0.0, |Probability(refused)| refused);
                for toxic in toxics {
                    match toxic.strike() {
                        Some(Strike::Refuse) => led *= 1.0 - toxic.toxicity().0,
                        Some(Strike::Hold(delay)) => before.delay += delay,
                        Some(Strike::Bytes(_)) | None => match toxic.direction {
                            Direction::Up => up.extend(toxic.named()),
                            Direction::Down => down.extend(toxic.named()),
                        },
                    }
                }
                before.refuse = (led < 1.0).then_some(Probability(1.0 - led));
            }
            Rules::Units { up, down } => {
                for toxic in toxics {
                    let way: &mut Way = match toxic.direction {
                        Direction::Up => up,
                        Direction::Down => down,
                    };
                    toxic.turn(&mut way.knobs);
                }
                for way in [up, down] {
                    way.knobs.check().map_err(|error| Unread(error.to_string()))?;
                }
            }
        }
        Ok(rules)
    }

    /// Listens. On an error it is disabled.
    fn start(
        &mut self,
        name: &str,
        address: Result<SocketAddr, String>,
        handle: &Handle,
        names: &Arc<Names>,
    ) -> Result<(), Problem> {
        let rules = self.rules(&self.toxics)?;
        let transport = self.transport.to_string();
        let nowhere = |what: String| {
            let gap = if what.starts_with("address ") { "" } else { self.listen.as_str() };
            Problem::listen(&transport, gap, &what)
        };
        let listen = address.map_err(nowhere)?;
        let known = Names::known(&self.host, self.port);
        let lookup = match (&known, &self.host) {
            (None, Host::Name(host)) => Some(names.lookup(host, self.port)),
            (None | Some(_), Host::Address(_) | Host::Name(_)) => None,
        };
        let upstream = known.unwrap_or_default();
        let proxy = Proxy { name: name.to_owned(), listen, upstream, rules, lookup };
        let (id, at) = handle.open(proxy)?;
        // What the loop has no room for it closes: it must not be told as enabled.
        if handle.counts(id)?.is_none() {
            let what =
                "epoll_ctl: no room for another socket (/proc/sys/fs/epoll/max_user_watches)";
            return Err(Problem::listen(&transport, &self.listen, what));
        }
        self.listen = at.to_string();
        self.open = Some(id);
        Ok(())
    }

    /// Stops listening, and drops all connections.
    fn stop(&mut self, handle: &Handle) -> Result<(), Refusal> {
        let Some(id) = self.open.take() else { return Ok(()) };
        self.past = together(self.past, handle.close(id)?);
        Ok(())
    }

    fn counts(&self, handle: &Handle) -> Result<Option<Counts>, Refusal> {
        let now = self.open.map_or(Ok(None), |id| handle.counts(id))?;
        Ok(together(self.past, now))
    }

    /// Takes these toxics instead of its own, at once.
    fn set(&mut self, toxics: Vec<Toxic>, handle: &Handle) -> Result<(), Problem> {
        let rules = self.rules(&toxics)?;
        if let Some(id) = self.open {
            handle.set(id, rules)?;
        }
        self.toxics = toxics;
        Ok(())
    }

    /// Whether another address is wanted than it has.
    fn differs(&self, address: &Result<SocketAddr, String>, listen: &str, upstream: &str) -> bool {
        let same = self.listen == listen
            || address.as_ref().is_ok_and(|address| address.to_string() == self.listen);
        !same || self.upstream != upstream
    }
}

impl Collection {
    pub(super) const fn new(handle: Handle, names: Arc<Names>) -> Collection {
        Collection { handle, names, entries: BTreeMap::new() }
    }

    /// Takes over proxies that the command line opened.
    pub(super) fn adopt(&mut self, given: Vec<Given>) {
        for Given { name, id, transport, listen, target, upstream, rules, link } in given {
            let entry = Entry {
                transport,
                listen: listen.to_string(),
                host: upstream.0,
                port: upstream.1,
                upstream: target,
                open: Some(id),
                toxics: Vec::new(),
                given: Some((rules, link)),
                past: None,
            };
            self.entries.insert(name, entry);
        }
    }

    /// Changes what the command line asked for; toxics stay behind it.
    pub(super) fn regive(&mut self, name: &str, rules: Rules, link: String) -> Result<(), Problem> {
        let Some(entry) = self.entries.get_mut(name) else { return Ok(()) };
        // One that was deleted and made anew by the API is none of the command line's any more.
        if entry.given.is_none() {
            return Ok(());
        }
        entry.given = Some((rules, link));
        entry.set(entry.toxics.clone(), &self.handle)
    }

    fn entry(&mut self, name: &str) -> Result<&mut Entry, Problem> {
        self.entries.get_mut(name).ok_or_else(|| Problem::PROXY_NOT_FOUND.into())
    }

    pub(super) fn all(&self) -> BTreeMap<&str, View> {
        self.entries.iter().map(|(name, entry)| (name.as_str(), entry.view(name))).collect()
    }

    pub(super) fn one(&mut self, name: &str) -> Result<View, Problem> {
        Ok(self.entry(name)?.view(name))
    }

    pub(super) fn create(&mut self, wanted: Wanted) -> Result<View, Problem> {
        if self.entries.contains_key(&wanted.name) {
            return Err(Problem::PROXY_EXISTS.into());
        }
        self.open(wanted)
    }

    fn open(&mut self, wanted: Wanted) -> Result<View, Problem> {
        let (name, enabled) = (wanted.name.clone(), wanted.enabled);
        let address = wanted.address.clone();
        let mut entry = Entry::new(wanted);
        // Toxics that make no sense together are told at once, also where nothing listens yet.
        entry.rules(&entry.toxics)?;
        if enabled {
            entry.start(&name, address, &self.handle, &self.names)?;
        }
        let view = entry.view(&name);
        self.entries.insert(name, entry);
        Ok(view)
    }

    /// Opens what is not there as it is wanted; what was done before an error stays done.
    pub(super) fn populate(&mut self, wanted: Vec<Wanted>) -> (Vec<View>, Option<Problem>) {
        let mut views = Vec::new();
        for one in wanted {
            match self.open_or_replace(one) {
                Ok(view) => views.push(view),
                Err(problem) => return (views, Some(problem)),
            }
        }
        (views, None)
    }

    fn open_or_replace(&mut self, wanted: Wanted) -> Result<View, Problem> {
        if let Some(entry) = self.entries.get_mut(&wanted.name) {
            let same = entry.transport == wanted.transport;
            if same && !entry.differs(&wanted.address, &wanted.listen, &wanted.upstream) {
                return Ok(entry.view(&wanted.name));
            }
            entry.stop(&self.handle)?;
        }
        self.open(wanted)
    }

    /// The address to listen on that a change is about: the new one, or its own.
    pub(super) fn listen(&mut self, name: &str, body: &ProxyBody) -> Result<String, Problem> {
        let entry = self.entry(name)?;
        Ok(body.listen.clone().unwrap_or_else(|| entry.listen.clone()))
    }

    pub(super) fn update(&mut self, name: &str, change: Change) -> Result<View, Problem> {
        let Change { body, address } = change;
        let (handle, names) = (self.handle.clone(), Arc::clone(&self.names));
        let entry = self.entry(name)?;
        let leads = body.upstream.as_deref().filter(|text| !text.is_empty()).map(upstream);
        let leads = leads.transpose()?;
        let listen = body.listen.as_deref().filter(|text| !text.is_empty()).map(place::split);
        let named = [
            transport(body.transport.as_deref())?,
            listen.and_then(|(transport, _)| transport),
            leads.as_ref().and_then(|leads| leads.transport),
        ];
        if named.into_iter().flatten().any(|transport| transport != entry.transport) {
            let what = "the transport of a proxy cannot change: delete it, and create another";
            return Err(Unread(what.to_owned()).into());
        }
        let enabled = body.enabled.unwrap_or(entry.open.is_some());
        let listen = listen.map_or_else(|| entry.listen.clone(), |(_, text)| text.to_owned());
        let leads_to = leads.as_ref().map_or(&entry.upstream, |leads| &leads.text);
        if entry.differs(&address, &listen, leads_to) {
            entry.stop(&handle)?;
            entry.listen = listen;
            if let Some(leads) = leads {
                (entry.upstream, entry.host, entry.port) = (leads.text, leads.host, leads.port);
            }
        }
        match (enabled, entry.open) {
            (true, None) => entry.start(name, address, &handle, &names)?,
            (false, Some(_)) => entry.stop(&handle)?,
            (true, Some(_)) | (false, None) => {}
        }
        Ok(entry.view(name))
    }

    pub(super) fn delete(&mut self, name: &str) -> Result<(), Problem> {
        let handle = self.handle.clone();
        self.entry(name)?.stop(&handle)?;
        self.entries.remove(name);
        Ok(())
    }

    /// The proxies that a reset has to enable, and where they are to listen.
    pub(super) fn disabled(&self) -> Vec<(String, String)> {
        let disabled = self.entries.iter().filter(|(_, entry)| entry.open.is_none());
        disabled.map(|(name, entry)| (name.clone(), entry.listen.clone())).collect()
    }

    /// Enables every proxy and removes every toxic; `located` says where the disabled ones listen.
    pub(super) fn reset(
        &mut self,
        mut located: BTreeMap<String, Result<SocketAddr, String>>,
    ) -> Result<(), Problem> {
        for (name, entry) in &mut self.entries {
            entry.set(Vec::new(), &self.handle)?;
            if let (None, Some(address)) = (entry.open, located.remove(name)) {
                entry.start(name, address, &self.handle, &self.names)?;
            }
        }
        Ok(())
    }

    pub(super) fn toxics(&mut self, proxy: &str) -> Result<Vec<Toxic>, Problem> {
        Ok(shown(&self.entry(proxy)?.toxics))
    }

    pub(super) fn toxic(&mut self, proxy: &str, name: &str) -> Result<Toxic, Problem> {
        let toxics = &self.entry(proxy)?.toxics;
        let found = toxics.iter().find(|toxic| toxic.name == name);
        found.cloned().ok_or_else(|| Problem::TOXIC_NOT_FOUND.into())
    }

    pub(super) fn add_toxic(&mut self, proxy: &str, body: ToxicBody) -> Result<Toxic, Problem> {
        let handle = self.handle.clone();
        let entry = self.entry(proxy)?;
        let toxic = Toxic::new(body, entry.transport)?;
        let mut toxics = entry.toxics.clone();
        add(&mut toxics, &entry.given_names(), toxic.clone(), entry.transport)?;
        entry.set(toxics, &handle)?;
        Ok(toxic)
    }

    pub(super) fn update_toxic(
        &mut self,
        proxy: &str,
        name: &str,
        body: &ToxicBody,
    ) -> Result<Toxic, Problem> {
        let handle = self.handle.clone();
        let entry = self.entry(proxy)?;
        let mut toxics = entry.toxics.clone();
        let toxic = toxics.iter_mut().find(|toxic| toxic.name == name);
        let toxic = toxic.ok_or(Problem::TOXIC_NOT_FOUND)?;
        *toxic = toxic.changed(body.toxicity, &body.attributes, entry.transport)?;
        let changed = toxic.clone();
        entry.set(toxics, &handle)?;
        Ok(changed)
    }

    pub(super) fn delete_toxic(&mut self, proxy: &str, name: &str) -> Result<(), Problem> {
        let handle = self.handle.clone();
        let entry = self.entry(proxy)?;
        let mut toxics = entry.toxics.clone();
        let at = toxics.iter().position(|toxic| toxic.name == name);
        toxics.remove(at.ok_or(Problem::TOXIC_NOT_FOUND)?);
        entry.set(toxics, &handle)
    }

    pub(super) fn metrics(&self) -> Result<String, Problem> {
        let mut rows = Vec::new();
        for (name, entry) in &self.entries {
            if let Some(counts) = entry.counts(&self.handle)? {
                let (listener, upstream) = (entry.listen.as_str(), entry.upstream.as_str());
                rows.push(metrics::Row { proxy: name, listener, upstream, counts });
            }
        }
        Ok(metrics::text(&rows))
    }

    /// Closes every proxy, and tells what each has done.
    pub(super) fn end(&mut self) -> Vec<Seen> {
        let mut seen = Vec::new();
        for (name, mut entry) in std::mem::take(&mut self.entries) {
            // If the loop has ended by itself, what is known is told.
            let _ = entry.stop(&self.handle);
            let listen = entry.listen.parse();
            if let (Some(counts), Ok(listen)) = (entry.past, listen) {
                let (transport, upstream) = (entry.transport, entry.upstream);
                seen.push(Seen { name, transport, listen, upstream, counts });
            }
        }
        seen
    }
}

/// A body longer than is read.
pub(super) fn too_long(most: usize) -> Problem {
    let text = format!("bad request body: longer than {} MiB", most >> 20);
    Problem::new(StatusCode::PAYLOAD_TOO_LARGE, text)
}
