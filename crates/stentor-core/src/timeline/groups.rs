//! Calls, packets and sockets sorted into conversations.
//!
//! Putting them into rows is left to [`super::build`].

use std::collections::{BTreeMap, VecDeque};
use std::net::SocketAddr;

use super::call::CallName;
use super::cause::{CallNo, PacketNo};
use super::flows::Segment;
use super::ladder::{Filter, Only, Protocol};
use super::matcher::{Explained, Tie};
use super::record::{Address, Pid, Record};
use super::sockets::{Role, Socket, covers, plain};
use super::{Both, Lane};

/// A conversation before it is drawn.
#[derive(Clone, Debug, Default)]
pub(super) struct Draft {
    pub(super) protocol: Option<Protocol>,
    pub(super) addresses: Both<Option<SocketAddr>>,
    pub(super) sockets: Both<Option<u32>>,
    /// In the order they were entered.
    pub(super) calls: Vec<(CallNo, Lane)>,
    pub(super) packets: Vec<(PacketNo, Lane)>,
    /// Place in `flows.connections`.
    pub(super) connection: Option<usize>,
    /// Place in `flows.talks`.
    pub(super) talk: Option<usize>,
}

/// Sorts a record into conversations.
pub(super) fn sort(record: &Record, explained: &Explained) -> Vec<Draft> {
    let mut sorter = Sorter {
        record,
        explained,
        drafts: Vec::new(),
        of_socket: vec![Vec::new(); explained.sockets.all.len()],
    };
    sorter.flows();
    sorter.pair_the_rest();
    sorter.listeners();
    sorter.alone();
    sorter.calls();
    sorter.drafts
}

/// Whether the filter lets a conversation through.
pub(super) fn shows(filter: &Filter, record: &Record, draft: &Draft) -> bool {
    let ends = [draft.addresses.client, draft.addresses.server];
    let wanted = |only: &Only| match only {
        Only::Address(address) => ends
            .iter()
            .flatten()
            .any(|end| covers(*end, plain(*address)) || *end == plain(*address)),
        Only::Port(port) => ends.iter().flatten().any(|end| end.port() == *port),
        Only::Process(pid) => callers(record, draft).any(|caller| caller == *pid),
    };
    let networked = matches!(draft.protocol, Some(Protocol::Tcp | Protocol::Udp));
    (networked || filter.local) && (filter.only.is_empty() || filter.only.iter().any(wanted))
}

fn callers(record: &Record, draft: &Draft) -> impl Iterator<Item = Pid> {
    draft.calls.iter().filter_map(|(call, _)| record.calls.get(call.index())).map(|call| call.pid)
}

struct Sorter<'a> {
    record: &'a Record,
    explained: &'a Explained,
    drafts: Vec<Draft>,
    /// For each socket, its conversations and which end of them it is.
    of_socket: Vec<Vec<(usize, Lane)>>,
}

impl<'a> Sorter<'a> {
    fn socket(&self, place: u32) -> Option<&'a Socket> {
        self.explained.sockets.at(place)
    }

    fn add(&mut self, draft: Draft) -> usize {
        let place = self.drafts.len();
        for (lane, socket) in
            [(Lane::Client, draft.sockets.client), (Lane::Server, draft.sockets.server)]
        {
            let known = socket.and_then(|socket| self.of_socket.get_mut(socket as usize));
            if let Some(known) = known {
                known.push((place, lane));
            }
        }
        self.drafts.push(draft);
        place
    }

    /// One conversation for each connection and each talk.
    fn flows(&mut self) {
        let explained = self.explained;
        let socket = |tie: Option<Tie>| tie.map(|tie| tie.socket);
        for (place, (connection, ties)) in
            explained.flows.connections.iter().zip(&explained.ties).enumerate()
        {
            let sides = |segment: &Segment| (segment.packet, segment.from);
            self.add(Draft {
                protocol: Some(Protocol::Tcp),
                addresses: Both {
                    client: Some(connection.ends.client),
                    server: Some(connection.ends.server),
                },
                sockets: Both { client: socket(ties.client), server: socket(ties.server) },
                packets: connection.segments.iter().map(sides).collect(),
                connection: Some(place),
                ..Draft::default()
            });
        }
        for (place, (talk, ties)) in
            explained.flows.talks.iter().zip(&explained.talk_ties).enumerate()
        {
            self.add(Draft {
                protocol: Some(Protocol::Udp),
                addresses: Both { client: Some(talk.ends.client), server: Some(talk.ends.server) },
                sockets: Both { client: socket(ties.client), server: socket(ties.server) },
                packets: talk.packets.clone(),
                talk: Some(place),
                ..Draft::default()
            });
        }
    }

    /// Sockets of which no packet was seen: those that name each other belong together.
    fn pair_the_rest(&mut self) {
        // By own port and peer, so that a busy server's sockets are not searched one by one.
        let mut there = BTreeMap::<(u16, Option<SocketAddr>), VecDeque<u32>>::new();
        let free: Vec<u32> = (0..self.of_socket.len())
            .filter(|place| self.of_socket.get(*place).is_some_and(Vec::is_empty))
            .filter_map(|place| u32::try_from(place).ok())
            .collect();
        for place in &free {
            if let Some(socket) = self.socket(*place)
                && !matches!(socket.role, Role::Client | Role::Listening)
                && let Some(local) = socket.local
            {
                there.entry((local.port(), socket.peer)).or_default().push_back(*place);
            }
        }
        for place in free {
            let Some(socket) = self.socket(place) else { continue };
            let Some(to) = self.destination(socket) else { continue };
            if socket.role != Role::Client {
                continue;
            }
            let sockets = &self.explained.sockets;
            let answers = |other: &u32| {
                sockets.at(*other).is_some_and(|other| {
                    other.protocol == socket.protocol
                        && other.local.is_some_and(|local| covers(local, to))
                })
            };
            let mut server = None;
            for key in [(to.port(), socket.local), (to.port(), None)] {
                let Some(there) = there.get_mut(&key) else { continue };
                let Some(position) = there.iter().take(64).position(answers) else { continue };
                // A connection has one socket at that end; a UDP socket may serve many.
                server = match socket.protocol {
                    Protocol::Udp => there.get(position).copied(),
                    Protocol::Tcp | Protocol::Unix | Protocol::Other => there.remove(position),
                };
                break;
            }
            self.add(Draft {
                protocol: Some(socket.protocol),
                addresses: Both { client: socket.local, server: Some(to) },
                sockets: Both { client: Some(place), server },
                ..Draft::default()
            });
        }
    }

    /// Where a socket connected or first sent to.
    fn destination(&self, socket: &Socket) -> Option<SocketAddr> {
        let to = |number: &CallNo| {
            let call = self.record.calls.get(number.index())?;
            let sends = super::call::Purpose::Send == call.name.purpose();
            match &call.arguments.address {
                Some(Address::Inet(to)) if sends => Some(plain(*to)),
                _ => None,
            }
        };
        socket.peer.or_else(|| socket.calls.iter().find_map(to))
    }

    /// A listening socket goes with the first connection that it gave, or that was meant for it.
    fn listeners(&mut self) {
        let mut first = BTreeMap::<u32, usize>::new();
        for (place, draft) in self.drafts.iter().enumerate() {
            let listener = draft.sockets.server.and_then(|it| self.socket(it)?.listener);
            if let Some(listener) = listener {
                first.entry(listener).or_insert(place);
            }
        }
        let mut by_port = BTreeMap::<u16, usize>::new();
        for (place, draft) in self.drafts.iter().enumerate() {
            if let (Some(Protocol::Tcp), Some(server)) = (draft.protocol, draft.addresses.server) {
                by_port.entry(server.port()).or_insert(place);
            }
        }
        for place in 0..self.of_socket.len() {
            let Ok(number) = u32::try_from(place) else { continue };
            let Some(socket) = self.socket(number) else { continue };
            if socket.role != Role::Listening {
                continue;
            }
            let meant = || by_port.get(&socket.local?.port());
            let group = first.get(&number).or_else(meant).copied();
            if let (Some(group), Some(known)) = (group, self.of_socket.get_mut(place)) {
                known.push((group, Lane::Server));
            }
        }
    }

    /// Every other socket is a conversation of its own.
    fn alone(&mut self) {
        for place in 0..self.of_socket.len() {
            let free = self.of_socket.get(place).is_some_and(Vec::is_empty);
            let number = u32::try_from(place).ok().filter(|_| free);
            let Some((number, socket)) = number.and_then(|it| Some((it, self.socket(it)?))) else {
                continue;
            };
            let binds = |number: &CallNo| {
                let call = self.record.calls.get(number.index());
                call.is_some_and(|call| call.name == CallName::Bind)
            };
            let serves = match socket.role {
                Role::Listening | Role::Server => true,
                Role::Client => false,
                Role::Unknown => socket.calls.iter().take(16).any(binds),
            };
            let lane = if serves { Lane::Server } else { Lane::Client };
            let mut draft = Draft { protocol: Some(socket.protocol), ..Draft::default() };
            *draft.sockets.of_mut(lane) = Some(number);
            *draft.addresses.of_mut(lane) = socket.local;
            *draft.addresses.of_mut(lane.opposite()) = socket.peer;
            self.add(draft);
        }
    }

    /// Each call goes to one conversation of its socket; a wait to those of all it found ready.
    fn calls(&mut self) {
        let tied = self.tied();
        for number in 0..self.record.calls.len() {
            let Ok(call) = u32::try_from(number).map(CallNo) else { continue };
            let mut places = Vec::new();
            if let Some(ready) = self.explained.sockets.ready.get(&call) {
                for socket in ready {
                    places.extend(self.place_of(call, *socket, &tied));
                }
                places.sort_by_key(|(group, lane)| (*group, *lane));
                places.dedup();
            }
            let about = self.explained.sockets.of_call.get(number).copied().flatten();
            places.extend(about.and_then(|socket| self.place_of(call, socket, &tied)));
            for (group, lane) in places {
                if let Some(draft) = self.drafts.get_mut(group) {
                    draft.calls.push((call, lane));
                }
            }
        }
    }

    /// For calls on sockets of several conversations: the conversation of a packet they are tied to.
    fn tied(&self) -> BTreeMap<CallNo, usize> {
        let several = |call: CallNo| {
            let socket = self.explained.sockets.of_call.get(call.index()).copied().flatten();
            let known = socket.and_then(|socket| self.of_socket.get(socket as usize));
            known.is_some_and(|known| known.len() > 1)
        };
        let mut of_packet = BTreeMap::new();
        let mut tied = BTreeMap::new();
        for (place, draft) in self.drafts.iter().enumerate() {
            let sockets = [draft.sockets.client, draft.sockets.server];
            let shared = sockets.iter().flatten().any(|socket| {
                self.of_socket.get(*socket as usize).is_some_and(|known| known.len() > 1)
            });
            if shared {
                of_packet.extend(draft.packets.iter().map(|(packet, _)| (*packet, place)));
            }
        }
        if of_packet.is_empty() {
            return tied;
        }
        for edge in &self.explained.edges {
            if let Some(call) = edge.call.filter(|call| several(*call))
                && let Some(place) = of_packet.get(&edge.packet)
            {
                tied.entry(call).or_insert(*place);
            }
        }
        tied
    }

    fn place_of(
        &self,
        call: CallNo,
        socket: u32,
        tied: &BTreeMap<CallNo, usize>,
    ) -> Option<(usize, Lane)> {
        let known = self.of_socket.get(socket as usize)?;
        let first = known.first().copied()?;
        if known.len() == 1 {
            return Some(first);
        }
        let group = |group: usize| known.iter().find(|(known, _)| *known == group).copied();
        if let Some(place) = tied.get(&call).and_then(|place| group(*place)) {
            return Some(place);
        }
        let address = match &self.record.calls.get(call.index())?.arguments.address {
            Some(Address::Inet(address)) => Some(plain(*address)),
            Some(Address::Unix(_) | Address::Other(_)) | None => None,
        };
        let with = |(group, lane): &&(usize, Lane)| {
            let other = self.drafts.get(*group).and_then(|it| *it.addresses.of(lane.opposite()));
            address.is_some() && other == address
        };
        // The last of those looked at: a socket that connects again repeats its address.
        known.iter().take(64).find(with).copied().or(Some(first))
    }
}
