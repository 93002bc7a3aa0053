//! Which sockets stand at the ends of a connection.
//!
//! By addresses where the calls or snapshots told them; by the one call that was in the kernel when
//! the SYN left where not. What is not proved is said to be so.

use std::collections::{BTreeMap, BTreeSet};
use std::net::SocketAddr;

use crate::moment::Moment;
use crate::timeline::call::CallName;
use crate::timeline::flows::Connection;
use crate::timeline::ladder::Protocol;
use crate::timeline::record::{Address, Mode, Outcome, Record};
use crate::timeline::sockets::{Role, Sockets, covers, plain};
use crate::timeline::stream::Kind;
use crate::timeline::{Both, Lane};

/// How many calls are looked at, from the SYN backwards: calls that stay in the kernel are few.
const LOOK_BACK: usize = 256;

/// A socket at one end of a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Tie {
    /// Its place in [`Sockets::all`].
    pub socket: u32,
    /// Whether the addresses prove it; else it is likely.
    pub proved: bool,
}

/// An attempt to connect, or an accept that worked.
#[derive(Clone, Copy, Debug)]
struct Opening {
    socket: u32,
    entered: Moment,
    left: Option<Moment>,
}

/// Finds the sockets of connections; each accepted socket is given once.
pub(super) struct Ties<'a> {
    sockets: &'a Sockets,
    /// Attempts to connect, by the address given, in the order they were entered.
    connects: BTreeMap<SocketAddr, Vec<Opening>>,
    /// Accepted sockets with a known peer, by it.
    accepted: BTreeMap<SocketAddr, Vec<Opening>>,
    /// Accepted sockets whose peer nobody asked for, in the order they were accepted.
    anonymous: Vec<Opening>,
    /// Sockets that were there before the record: by own port and peer.
    inherited: BTreeMap<(u16, SocketAddr), Vec<u32>>,
    taken: BTreeSet<u32>,
    /// How many of `anonymous` are known to be taken, from the front.
    given: usize,
    /// Nobody but the traced programs is on the network.
    private: bool,
}

impl<'a> Ties<'a> {
    #[allow(clippy::wildcard_enum_match_arm, reason = "of some forty calls three open connections")]
    pub(super) fn new(record: &Record, sockets: &'a Sockets) -> Ties<'a> {
        let mut ties = Ties {
            sockets,
            connects: BTreeMap::new(),
            accepted: BTreeMap::new(),
            anonymous: Vec::new(),
            inherited: BTreeMap::new(),
            taken: BTreeSet::new(),
            given: 0,
            private: record.header.mode == Mode::Lab,
        };
        for (call, place) in record.calls.iter().zip(&sockets.of_call) {
            let Some((place, socket)) = place.and_then(|place| Some((place, sockets.at(place)?)))
            else {
                continue;
            };
            let opening = Opening { socket: place, entered: call.entered, left: call.left };
            match (call.name, &call.arguments.address, socket.peer) {
                (CallName::Connect | CallName::Sendto | CallName::Sendmsg, address, _)
                    if socket.protocol != Protocol::Udp =>
                {
                    if let Some(Address::Inet(to)) = address {
                        ties.connects.entry(plain(*to)).or_default().push(opening);
                    }
                }
                (CallName::Accept | CallName::Accept4, _, peer)
                    if matches!(call.outcome, Outcome::Value(_)) =>
                {
                    match peer {
                        Some(peer) => ties.accepted.entry(peer).or_default().push(opening),
                        None => ties.anonymous.push(opening),
                    }
                }
                _ => {}
            }
        }
        ties.anonymous.sort_by_key(|opening| opening.left);
        ties.learn_inherited();
        ties
    }

    fn learn_inherited(&mut self) {
        for (place, socket) in self.sockets.all.iter().enumerate() {
            if let (Some(local), Some(peer), Ok(place)) =
                (socket.local, socket.peer, u32::try_from(place))
                && socket.protocol != Protocol::Udp
                && socket.role != Role::Listening
            {
                self.inherited.entry((local.port(), peer)).or_default().push(place);
            }
        }
    }

    /// The client's and the server's socket of a connection that began at `at`.
    pub(super) fn find(&mut self, connection: &Connection, at: Moment) -> Both<Option<Tie>> {
        let Both { client, server } = connection.ends;
        let client_tie = self.client(client, server, at).or_else(|| self.lasting(client, server));
        let answered = connection.segments.iter().take(16).any(|segment| {
            segment.from == Lane::Server
                && segment.placed.is_some_and(|placed| placed.kind == Kind::Syn)
        });
        let whole = connection.streams.client.is_proved();
        let server_tie = if answered || !whole {
            self.server(client, server, at).or_else(|| self.lasting(server, client))
        } else {
            None
        };
        Both { client: client_tie, server: server_tie }
    }

    fn client(&self, own: SocketAddr, other: SocketAddr, at: Moment) -> Option<Tie> {
        let connects = self.connects.get(&other)?;
        let end = connects.partition_point(|opening| opening.entered <= at);
        let recent = connects.get(end.saturating_sub(LOOK_BACK)..end)?;
        let inside = |opening: &&Opening| opening.left.is_none_or(|left| left >= at);
        let local = |opening: &&Opening| self.sockets.at(opening.socket).and_then(|it| it.local);
        let mut named = recent.iter().rev().filter(|it| local(it).is_some_and(|l| covers(l, own)));
        // In the kernel at that moment, or at least the last before it.
        let best = named.clone().find(inside).or_else(|| named.next());
        if let Some(opening) = best {
            return Some(Tie { socket: opening.socket, proved: true });
        }
        // A socket that tried again may have had another port then: only its last one is known.
        let mut nameless = recent.iter().rev().filter(inside);
        let only = nameless.next()?;
        let known = local(&only).is_none() || self.private;
        Some(Tie { socket: only.socket, proved: known && nameless.next().is_none() })
    }

    fn server(&mut self, client: SocketAddr, own: SocketAddr, at: Moment) -> Option<Tie> {
        let here = |opening: &&Opening| {
            let local = self.sockets.at(opening.socket).and_then(|socket| socket.local);
            opening.left.is_none_or(|left| left >= at)
                && !self.taken.contains(&opening.socket)
                && local.is_none_or(|local| covers(local, own))
        };
        let named = self.accepted.get(&client);
        let named = named.and_then(|accepted| accepted.iter().find(here));
        let tie = match named {
            Some(opening) => Tie { socket: opening.socket, proved: true },
            // The queue of a listening socket is first in, first out; likely, no more than that.
            None => {
                let free = self.anonymous.get(self.given..).unwrap_or_default();
                Tie { socket: free.iter().find(here)?.socket, proved: false }
            }
        };
        self.taken.insert(tie.socket);
        while self.anonymous.get(self.given).is_some_and(|it| self.taken.contains(&it.socket)) {
            self.given += 1;
        }
        Some(tie)
    }

    /// A socket that neither connected nor was accepted within the record.
    fn lasting(&self, own: SocketAddr, other: SocketAddr) -> Option<Tie> {
        let candidates = self.inherited.get(&(own.port(), other))?;
        let mut fitting = candidates.iter().filter(|place| {
            let local = self.sockets.at(**place).and_then(|socket| socket.local);
            !self.taken.contains(place) && local.is_some_and(|local| covers(local, own))
        });
        let first = fitting.next()?;
        Some(Tie { socket: *first, proved: fitting.next().is_none() })
    }
}
