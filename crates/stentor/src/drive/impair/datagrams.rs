//! Datagrams through a proxy: one socket for the clients, and for each of them one towards the
//! upstream, so that answers find their way back.
//!
//! All clients share one link in each direction, as they would share a path. What happens to a
//! datagram is decided in core; IP fragmentation, ECN, TTL and ICMP are not carried.

use std::collections::BTreeMap;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::os::fd::{AsRawFd, RawFd};
use std::time::Duration;

use slab::Slab;
use stentor_core::link::{Decision, Delivery, Direction, KnobError, Link, Output, Unit};
use stentor_core::moment::Moment;
use stentor_core::seed::Seed;
use stentor_os::net::datagrams::{Batch, Datagrams};

use super::tally::UnitCounts;
use super::{Lateness, Way};

/// Batches received from one socket before the others have their turn.
const BATCHES_PER_TURN: usize = 16;
/// Clients at once; each costs a descriptor. The one that was silent longest makes room.
const FLOWS_MAX: usize = 1024;
/// A client that was silent this long is forgotten; RFC 4787, REQ-5, asks for two minutes.
const FLOW_IDLE: Duration = Duration::from_secs(120);

/// A datagram inside a link.
#[derive(Clone, Debug)]
struct Parcel {
    flow: usize,
    /// Which client had that place.
    serial: u64,
    bytes: Vec<u8>,
}

impl AsMut<[u8]> for Parcel {
    fn as_mut(&mut self) -> &mut [u8] {
        &mut self.bytes
    }
}

/// One client, and where its answers come.
#[derive(Debug)]
struct Flow {
    client: SocketAddr,
    /// Which address of ours it speaks to.
    local: Option<IpAddr>,
    socket: Datagrams,
    serial: u64,
    active: Moment,
    /// The key of its socket in the loop.
    source: usize,
}

/// What registers a new flow's socket with the loop, and says its key there.
pub(super) type Register<'a> = dyn FnMut(RawFd, usize) -> io::Result<usize> + 'a;

/// One proxy for datagrams.
#[derive(Debug)]
pub(super) struct Exchange {
    socket: Datagrams,
    upstream: Option<SocketAddr>,
    up: Link<Parcel>,
    down: Link<Parcel>,
    clients: BTreeMap<(SocketAddr, Option<IpAddr>), usize>,
    flows: Slab<Flow>,
    serial: u64,
    /// Keys of sockets that the loop can forget.
    pub(super) left: Vec<usize>,
    /// Whether datagrams may be left in a socket although no event will say so: of which flow, or
    /// of the clients' socket.
    pub(super) unread: Vec<Option<usize>>,
    pub(super) counts: UnitCounts,
}

/// Hears what is decided, and which way the datagram went.
pub(super) type Hear<'a> = dyn FnMut(Direction, &Decision) + 'a;

impl Exchange {
    /// A proxy on a bound socket.
    ///
    /// # Errors
    /// A setting that makes no sense.
    pub(super) fn new(
        socket: Datagrams,
        upstream: Option<SocketAddr>,
        (up, down): (&Way, &Way),
        seed: Seed,
        name: &str,
    ) -> Result<Exchange, KnobError> {
        let link = |way: &Way, direction: Direction| {
            let name = format!("{name}/{}", direction.name());
            Link::new(&way.knobs, way.trace.as_ref(), seed, &name)
        };
        Ok(Exchange {
            socket,
            upstream,
            up: link(up, Direction::Up)?,
            down: link(down, Direction::Down)?,
            clients: BTreeMap::new(),
            flows: Slab::new(),
            serial: 0,
            left: Vec::new(),
            unread: Vec::new(),
            counts: UnitCounts::default(),
        })
    }

    /// Turns the knobs; what is under way keeps what was decided about it.
    ///
    /// # Errors
    /// A setting that makes no sense; both directions then stay as they were.
    pub(super) fn set(&mut self, now: Moment, up: &Way, down: &Way) -> Result<(), KnobError> {
        let before = self.up.clone();
        self.up.set(now, &up.knobs, up.trace.as_ref())?;
        let set = self.down.set(now, &down.knobs, down.trace.as_ref());
        if set.is_err() {
            self.up = before;
        }
        set
    }

    /// Leads clients that come from now on elsewhere.
    pub(super) fn lead(&mut self, upstream: Option<SocketAddr>) {
        self.upstream = upstream;
    }

    /// Forgets every client.
    pub(super) fn drop_flows(&mut self) {
        for key in self.flows.iter().map(|(key, _)| key).collect::<Vec<_>>() {
            self.close(key);
        }
    }

    /// What it has done so far.
    pub(super) fn counts(&self) -> UnitCounts {
        UnitCounts {
            flows: self.flows.len() as u64,
            up: self.up.counters(),
            down: self.down.counters(),
            up_waiting: self.up.waiting(),
            down_waiting: self.down.waiting(),
            ..self.counts
        }
    }

    /// Takes what clients have sent into the link, up to a fair share.
    pub(super) fn receive_clients(
        &mut self,
        now: Moment,
        batch: &mut Batch,
        register: &mut Register<'_>,
        hear: &mut Hear<'_>,
    ) {
        for _ in 0..BATCHES_PER_TURN {
            match self.socket.receive(batch) {
                Ok(()) => {}
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                Err(_) => return,
            }
            for mut received in batch.received() {
                let client = (received.source, received.local);
                let Some((flow, serial)) = self.flow(client, now, register) else {
                    self.counts.not_sent += received.datagrams().count() as u64;
                    continue;
                };
                for bytes in received.datagrams() {
                    let parcel = Parcel { flow, serial, bytes: bytes.to_vec() };
                    let log = &mut |decision| hear(Direction::Up, &decision);
                    self.up.handle(now, Unit::new(parcel, bytes.len()), log);
                }
            }
        }
        self.unread.push(None);
    }

    /// Takes what the upstream has answered to one client into the link.
    pub(super) fn receive_upstream(
        &mut self,
        key: usize,
        now: Moment,
        batch: &mut Batch,
        hear: &mut Hear<'_>,
    ) {
        let Some(flow) = self.flows.get_mut(key) else { return };
        for _ in 0..BATCHES_PER_TURN {
            match flow.socket.receive(batch) {
                Ok(()) => {}
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return,
                // The error of an earlier datagram (ICMP), told once: it was taken off the socket.
                Err(_) => {
                    self.counts.unreachable += 1;
                    continue;
                }
            }
            flow.active = now;
            for mut received in batch.received() {
                for bytes in received.datagrams() {
                    let parcel = Parcel { flow: key, serial: flow.serial, bytes: bytes.to_vec() };
                    let log = &mut |decision| hear(Direction::Down, &decision);
                    self.down.handle(now, Unit::new(parcel, bytes.len()), log);
                }
            }
        }
        self.unread.push(Some(key));
    }

    /// Sends what has arrived at an end of a link, and says when the next does.
    pub(super) fn deliver(&mut self, now: Moment) -> Option<Moment> {
        let up = loop {
            match self.up.poll(now) {
                Output::Deliver(delivery) => self.send_upstream(delivery, now),
                Output::Wait(moment) => break Some(moment),
                Output::Idle => break None,
            }
        };
        let down = loop {
            match self.down.poll(now) {
                Output::Deliver(delivery) => self.send_client(delivery, now),
                Output::Wait(moment) => break Some(moment),
                Output::Idle => break None,
            }
        };
        [up, down].into_iter().flatten().min()
    }

    fn send_upstream(&mut self, mut delivery: Delivery<Parcel>, now: Moment) {
        note(&mut self.counts.lateness, &delivery, now);
        delivery.flip();
        let Parcel { flow, serial, bytes } = delivery.payload;
        let flow = self.flows.get(flow).filter(|flow| flow.serial == serial);
        let (Some(flow), Some(upstream)) = (flow, self.upstream) else {
            self.counts.not_sent += 1;
            return;
        };
        let sent = match flow.socket.send(None, upstream, &bytes) {
            // The error of an earlier datagram (udp(7)): this one was not tried yet.
            Err(error) if error.kind() == io::ErrorKind::ConnectionRefused => {
                self.counts.unreachable += 1;
                flow.socket.send(None, upstream, &bytes)
            }
            other => other,
        };
        self.counts.not_sent += u64::from(sent.is_err());
    }

    fn send_client(&mut self, mut delivery: Delivery<Parcel>, now: Moment) {
        note(&mut self.counts.lateness, &delivery, now);
        delivery.flip();
        let Parcel { flow, serial, bytes } = delivery.payload;
        let flow = self.flows.get(flow).filter(|flow| flow.serial == serial);
        let sent = flow.map(|flow| self.socket.send(flow.local, flow.client, &bytes));
        self.counts.not_sent += u64::from(!matches!(sent, Some(Ok(()))));
    }

    /// The place of a client, made if it is new.
    fn flow(
        &mut self,
        client: (SocketAddr, Option<IpAddr>),
        now: Moment,
        register: &mut Register<'_>,
    ) -> Option<(usize, u64)> {
        if let Some(key) = self.clients.get(&client)
            && let Some(flow) = self.flows.get_mut(*key)
        {
            flow.active = now;
            return Some((*key, flow.serial));
        }
        self.make_room(now);
        let socket = match Datagrams::connect(self.upstream?) {
            Ok(socket) => socket,
            Err(failure) => {
                // Out of descriptors, most likely: the client that was silent longest has to go.
                tracing::debug!("{failure}");
                self.close(self.quietest()?);
                Datagrams::connect(self.upstream?).ok()?
            }
        };
        self.serial += 1;
        let (serial, fd) = (self.serial, socket.as_raw_fd());
        let entry = self.flows.vacant_entry();
        let key = entry.key();
        let source = register(fd, key).ok()?;
        let (address, local) = client;
        entry.insert(Flow { client: address, local, socket, serial, active: now, source });
        self.clients.insert(client, key);
        Some((key, serial))
    }

    /// Closes clients that were silent for long, and one more if there are too many.
    fn make_room(&mut self, now: Moment) {
        let silent = |flow: &Flow| now.since(flow.active) > FLOW_IDLE;
        let silent: Vec<usize> =
            self.flows.iter().filter(|(_, flow)| silent(flow)).map(|(key, _)| key).collect();
        for key in silent {
            self.close(key);
        }
        if self.flows.len() >= FLOWS_MAX
            && let Some(key) = self.quietest()
        {
            self.close(key);
        }
    }

    fn quietest(&self) -> Option<usize> {
        self.flows.iter().min_by_key(|(_, flow)| flow.active).map(|(key, _)| key)
    }

    fn close(&mut self, key: usize) {
        let Some(flow) = self.flows.try_remove(key) else { return };
        self.clients.remove(&(flow.client, flow.local));
        self.left.push(flow.source);
        self.counts.flows_closed += 1;
    }
}

fn note(lateness: &mut Lateness, delivery: &Delivery<Parcel>, now: Moment) {
    if delivery.due > delivery.sent {
        lateness.note(delivery.due, now);
    }
}

impl AsRawFd for Exchange {
    fn as_raw_fd(&self) -> RawFd {
        self.socket.as_raw_fd()
    }
}
