//! From a record and its explanation to the ladder.
//!
//! Which call and packet belongs to which conversation is in [`super::groups`], findings are in
//! [`super::verdict`]; what is shown and how it looks is left to renderers.

use std::collections::{BTreeMap, BTreeSet};
use std::net::SocketAddr;

use super::call::{CallName, Errno};
use super::cause::{CallNo, PacketNo};
use super::groups::{Draft, shows, sort};
use super::ladder::{
    Arrow, CallMark, Filter, Group, Ladder, Link, Mark, Omitted, Program, Protocol, Relative,
    Remarked, Row, Side, StateMark,
};
use super::matcher::Explained;
use super::record::{Life, Mode, Outcome, Packet, Pid, Place, Record, Remark, SocketId, TcpState};
use super::{Both, Lane, excerpt, verdict, words};
use crate::moment::Moment;

/// Nothing in a table.
const ABSENT: u32 = u32::MAX;
/// Conversations listed though the limit left them no row.
const BARE_MAX: usize = 20;

impl Ladder {
    /// Builds the ladder of a record whose lists are in the order of time.
    pub fn of(record: &Record, explained: &Explained, filter: &Filter) -> Ladder {
        let all = sort(record, explained);
        let (shown, hidden): (Vec<Draft>, Vec<Draft>) =
            all.into_iter().partition(|draft| shows(filter, record, draft));
        let builder = Builder {
            record,
            explained,
            filter,
            commands: commands(record),
            looks: Looks::of(record, explained, &shown),
        };
        let mut groups: Vec<(Group, Draft)> = shown
            .into_iter()
            .enumerate()
            .map(|(place, draft)| (builder.group(place, &draft), draft))
            .collect();
        groups.sort_by_key(|(group, _)| group.began);
        let rows = limit(&mut groups, filter.rows_max);
        let unlisted = if rows > 0 { unlist(&mut groups) } else { 0 };
        let mut ladder = Ladder {
            header: record.header.clone(),
            programs: programs(record),
            remarks: remarks(record),
            omitted: Omitted {
                rows,
                unlisted,
                groups: u64::try_from(hidden.len()).unwrap_or(u64::MAX),
            },
            ..Ladder::default()
        };
        builder.tables(&mut ladder, &mut groups);
        ladder.programs = took_part(ladder.programs, &ladder.calls);
        ladder.groups = groups.into_iter().map(|(group, _)| group).collect();
        ladder
    }
}

/// Cuts off the rows after the first `max` in time; gives how many.
fn limit(groups: &mut [(Group, Draft)], max: Option<u64>) -> u64 {
    let total: usize = groups.iter().map(|(group, _)| group.rows.len()).sum();
    let Some(max) = max.and_then(|max| usize::try_from(max).ok()).filter(|max| *max < total) else {
        return 0;
    };
    let mut moments: Vec<Moment> =
        groups.iter().flat_map(|(group, _)| group.rows.iter().map(|row| row.at)).collect();
    moments.sort_unstable();
    let until = moments.get(max).copied().unwrap_or_default();
    let mut room = max;
    for (group, _) in groups.iter_mut() {
        let keep = group.rows.partition_point(|row| row.at < until);
        room = room.saturating_sub(keep);
    }
    // Of rows at the very moment of the cut, the first groups' are kept.
    for (group, _) in groups.iter_mut() {
        let before = group.rows.partition_point(|row| row.at < until);
        let same = group.rows.partition_point(|row| row.at <= until) - before;
        let kept = same.min(room);
        room -= kept;
        group.rows.truncate(before + kept);
    }
    u64::try_from(total - max).unwrap_or(u64::MAX)
}

/// Drops the conversations that the limit left without a row, but for the first few, whose findings
/// are worth having; gives how many.
fn unlist(groups: &mut Vec<(Group, Draft)>) -> u64 {
    let before = groups.len();
    let mut bare = 0;
    groups.retain(|(group, _)| {
        bare += usize::from(group.rows.is_empty());
        !group.rows.is_empty() || bare <= BARE_MAX
    });
    u64::try_from(before - groups.len()).unwrap_or(u64::MAX)
}

struct Builder<'a> {
    record: &'a Record,
    explained: &'a Explained,
    filter: &'a Filter,
    /// The last command of each process.
    commands: BTreeMap<Pid, &'a [String]>,
    looks: Looks,
}

impl Builder<'_> {
    /// One conversation; its rows name calls and packets by their places in the record.
    fn group(&self, place: usize, draft: &Draft) -> Group {
        let mut rows: Vec<Row> = Vec::with_capacity(draft.calls.len() * 2 + draft.packets.len());
        if !self.filter.without_calls {
            for (number, lane) in &draft.calls {
                let Some(call) = self.record.calls.get(number.index()) else { continue };
                rows.push(Row { at: call.entered, mark: Mark::CallBegins(*lane, number.0) });
                if let Some(left) = call.left {
                    rows.push(Row { at: left, mark: Mark::CallEnds(*lane, number.0) });
                }
            }
        }
        if !self.filter.without_packets {
            for (number, _) in &draft.packets {
                let Some(packet) = self.record.packets.get(number.index()) else { continue };
                rows.extend(packet_rows(packet, number.0));
            }
        }
        for (at, lane, state) in self.looks.marks(self.record, place, draft) {
            rows.push(Row { at, mark: Mark::State(lane, state) });
        }
        rows.sort_by_key(|row| (row.at, self.rank(&row.mark)));
        join(&mut rows);
        Group {
            protocol: draft.protocol.unwrap_or(Protocol::Other),
            client: self.side(draft, Lane::Client),
            server: self.side(draft, Lane::Server),
            began: rows.first().map_or(Moment::START, |row| row.at),
            rows,
            findings: verdict::find(self.record, self.explained, draft),
        }
    }

    /// What comes first of one moment: a call comes back before the next goes in, unless it took no
    /// time at all.
    fn rank(&self, mark: &Mark) -> u8 {
        match mark {
            Mark::Arrives(..) => 0,
            Mark::CallEnds(_, number) => {
                let call = self.record.calls.get(*number as usize);
                if call.is_some_and(|call| call.left == Some(call.entered)) { 4 } else { 0 }
            }
            Mark::State(..) => 1,
            Mark::Call(..) | Mark::CallBegins(..) => 2,
            Mark::Packet(_) | Mark::Departs(_) => 3,
        }
    }

    fn side(&self, draft: &Draft, lane: Lane) -> Side {
        let socket = draft.sockets.of(lane).and_then(|place| self.explained.sockets.at(place));
        let caller = draft.calls.iter().find(|(_, at)| *at == lane);
        let caller = caller.and_then(|(call, _)| self.record.calls.get(call.index()));
        let pid = caller.map(|call| call.pid).or(socket.map(|socket| socket.pid));
        let command = pid.and_then(|pid| self.commands.get(&pid));
        Side {
            address: draft.addresses.of(lane).or(socket.and_then(|socket| socket.local)),
            socket: socket.map(|socket| socket.id),
            pid,
            command: command.map(|command| line(command)).unwrap_or_default(),
        }
    }

    /// Fills the tables with what the rows name, and lets the rows name places in them.
    fn tables(&self, ladder: &mut Ladder, groups: &mut [(Group, Draft)]) {
        let mut calls = vec![ABSENT; self.record.calls.len()];
        let mut packets = vec![ABSENT; self.record.packets.len()];
        let mark = |list: &mut Vec<u32>, number: u32| {
            if let Some(slot) = list.get_mut(number as usize) {
                *slot = 0;
            }
        };
        for row in groups.iter().flat_map(|(group, _)| &group.rows) {
            match row.mark {
                Mark::Call(_, number) | Mark::CallBegins(_, number) | Mark::CallEnds(_, number) => {
                    mark(&mut calls, number);
                }
                Mark::Packet(number) | Mark::Departs(number) | Mark::Arrives(number, _) => {
                    mark(&mut packets, number);
                }
                Mark::State(..) => {}
            }
        }
        ladder.calls.reserve_exact(calls.iter().filter(|it| **it != ABSENT).count());
        ladder.calls.extend(number(&mut calls).filter_map(|call| self.call(CallNo(call))));
        self.arrows(ladder, &mut packets, &calls, &self.origins(groups));
        for row in groups.iter_mut().flat_map(|(group, _)| &mut group.rows) {
            match &mut row.mark {
                Mark::Call(_, it) | Mark::CallBegins(_, it) | Mark::CallEnds(_, it) => {
                    *it = calls.get(*it as usize).copied().unwrap_or(ABSENT);
                }
                Mark::Packet(it) | Mark::Departs(it) | Mark::Arrives(it, _) => {
                    *it = packets.get(*it as usize).copied().unwrap_or(ABSENT);
                }
                Mark::State(..) => {}
            }
        }
        for finding in groups.iter().flat_map(|(group, _)| &group.findings) {
            if let [only] = finding.calls.as_slice()
                && let Some(place) = calls.get(only.index())
                && let Some(mark) = ladder.calls.get_mut(*place as usize)
            {
                mark.remarks.push(finding.words.clone());
            }
        }
    }

    /// For each packet its conversation, and its place among that one's packets.
    fn origins<'g>(&self, groups: &'g [(Group, Draft)]) -> Vec<Option<Origin<'g>>> {
        let mut origins = vec![None; self.record.packets.len()];
        for (_, draft) in groups {
            for (place, (packet, _)) in draft.packets.iter().enumerate() {
                if let (Some(slot), Ok(place)) =
                    (origins.get_mut(packet.index()), u32::try_from(place))
                {
                    *slot = Some(Origin { draft, place });
                }
            }
        }
        origins
    }

    /// TCP's numbers of a packet: segments stand beside the packets of their conversation.
    fn relative(&self, origin: &Origin<'_>) -> Option<Relative> {
        let connection = self.explained.flows.connections.get(origin.draft.connection?)?;
        let placed = connection.segments.get(origin.place as usize)?.placed?;
        Some(Relative {
            sequence: placed.sequence,
            acknowledgment: placed.acknowledgment,
            window: placed.window,
            kind: placed.kind,
        })
    }

    fn call(&self, number: CallNo) -> Option<CallMark> {
        let call = self.record.calls.get(number.index())?;
        let shown = if self.filter.without_payload { &[] } else { call.payload.as_ref() };
        Some(CallMark {
            number,
            pid: call.pid,
            tid: call.tid,
            name: call.name,
            arguments: words::arguments(call),
            outcome: words::outcome(call),
            failed: matches!(call.outcome, Outcome::Failed(_)),
            excerpt: excerpt(shown),
            entered: call.entered,
            left: call.left,
            stream: self.explained.stream.get(number.index()).cloned().flatten(),
            links: Vec::new(),
            remarks: Vec::new(),
        })
    }

    fn arrows(
        &self,
        ladder: &mut Ladder,
        packets: &mut [u32],
        calls: &[u32],
        origins: &[Option<Origin<'_>>],
    ) {
        let mut edges = self.explained.edges.iter().peekable();
        ladder.packets.reserve_exact(packets.iter().filter(|it| **it != ABSENT).count());
        for number in number(packets).collect::<Vec<_>>() {
            let index = number as usize;
            let packet = self.record.packets.get(index);
            let headers = super::matcher::headers(self.record, PacketNo(number));
            let origin = origins.get(index).and_then(Option::as_ref);
            let (Some(packet), Some(headers), Some(origin)) = (packet, headers, origin) else {
                continue;
            };
            let place = u32::try_from(ladder.packets.len()).unwrap_or(ABSENT);
            let began = u32::try_from(ladder.links.len()).unwrap_or(ABSENT);
            while edges.next_if(|edge| edge.packet.0 < number).is_some() {}
            while let Some(edge) = edges.next_if(|edge| edge.packet.0 == number) {
                let call = edge.call.and_then(|call| calls.get(call.index()));
                let call = call.copied().filter(|call| *call != ABSENT);
                let link = u32::try_from(ladder.links.len()).unwrap_or(ABSENT);
                if let Some(call) = call.and_then(|call| ladder.calls.get_mut(call as usize)) {
                    call.links.push(link);
                }
                ladder.links.push(Link {
                    packet: place,
                    call,
                    process: edge.process,
                    relation: edge.relation,
                    rule: edge.rule,
                    grade: edge.grade,
                    bytes: edge.bytes.clone(),
                });
            }
            let carried = self.explained.flows.payload(self.record, PacketNo(number));
            let shown = carried.filter(|_| !self.filter.without_payload).unwrap_or_default();
            ladder.packets.push(Arrow {
                number: PacketNo(number),
                at: packet.at,
                from: lane(origin),
                direction: packet.direction,
                headers,
                excerpt: excerpt(shown),
                tcp: self.relative(origin),
                captured: u32::try_from(packet.bytes.len()).unwrap_or(u32::MAX),
                length: packet.length,
                links: began..u32::try_from(ladder.links.len()).unwrap_or(ABSENT),
                crossing: packet.crossing.clone(),
            });
        }
    }
}

/// Where a packet belongs.
#[derive(Clone, Copy)]
struct Origin<'g> {
    draft: &'g Draft,
    /// Place in the conversation's packets.
    place: u32,
}

/// The end that a packet left.
fn lane(origin: &Origin<'_>) -> Lane {
    origin.draft.packets.get(origin.place as usize).map_or(Lane::Client, |(_, lane)| *lane)
}

/// Numbers what is not absent from 0 on; gives what is numbered.
fn number(list: &mut [u32]) -> impl Iterator<Item = u32> {
    let mut next = 0;
    list.iter_mut().enumerate().filter_map(move |(place, slot)| {
        if *slot == ABSENT {
            return None;
        }
        *slot = next;
        next += 1;
        u32::try_from(place).ok()
    })
}

/// The rows of a packet: one, or where a lab link carried it one for each of its ends.
fn packet_rows(packet: &Packet, number: u32) -> Vec<Row> {
    let Some(crossing) = &packet.crossing else {
        return vec![Row { at: packet.at, mark: Mark::Packet(number) }];
    };
    let departs = Row { at: packet.at, mark: Mark::Departs(number) };
    let arrives = |(copy, at): (u32, &Moment)| Row { at: *at, mark: Mark::Arrives(number, copy) };
    std::iter::once(departs).chain((0..).zip(&crossing.arrivals).map(arrives)).collect()
}

/// A begin and an end with nothing between them become one row: of a call, of a packet's way.
fn join(rows: &mut Vec<Row>) {
    rows.dedup_by(|row, last| match (row.mark, last.mark) {
        (Mark::CallEnds(lane, call), Mark::CallBegins(other, begun))
            if (lane, call) == (other, begun) =>
        {
            last.mark = Mark::Call(lane, call);
            true
        }
        (Mark::Arrives(packet, 0), Mark::Departs(left)) if packet == left => {
            last.mark = Mark::Packet(packet);
            true
        }
        _ => false,
    });
    rows.shrink_to_fit();
}

/// Looks at sockets, by the conversation they belong to.
struct Looks(Vec<Vec<(Moment, Lane, StateMark)>>);

impl Looks {
    fn of(record: &Record, explained: &Explained, drafts: &[Draft]) -> Looks {
        let mut of_socket = BTreeMap::<SocketId, Vec<(usize, Lane)>>::new();
        let mut of_addresses = BTreeMap::<(SocketAddr, SocketAddr), (usize, Lane)>::new();
        for (place, draft) in drafts.iter().enumerate() {
            for lane in [Lane::Client, Lane::Server] {
                let socket = draft.sockets.of(lane).and_then(|it| explained.sockets.at(it));
                if let Some(socket) = socket {
                    of_socket.entry(socket.id).or_default().push((place, lane));
                }
                let (own, other) = (draft.addresses.of(lane), draft.addresses.of(lane.opposite()));
                if let (Some(own), Some(other)) = (own, other) {
                    of_addresses.insert((*own, *other), (place, lane));
                }
            }
        }
        let mut looks = vec![Vec::new(); drafts.len()];
        for snapshot in &record.snapshots {
            let state = StateMark {
                state: snapshot.state,
                unread: snapshot.unread,
                // The kernel's count means nothing once the connection is closed.
                unsent: snapshot.unsent.filter(|_| snapshot.state != Some(TcpState::Close)),
                inferred: false,
            };
            let known = snapshot.socket.and_then(|socket| of_socket.get(&socket));
            let known = known.and_then(|groups| groups.first()).or_else(|| {
                let plain = super::sockets::plain;
                of_addresses.get(&(plain(snapshot.local?), plain(snapshot.peer?)))
            });
            if let Some((place, lane)) = known
                && let Some(looks) = looks.get_mut(*place)
            {
                looks.push((snapshot.at, *lane, state));
            }
        }
        Looks(looks)
    }

    /// Changes of state and queues. Where nobody looked, states follow from the calls.
    fn marks(
        &self,
        record: &Record,
        place: usize,
        draft: &Draft,
    ) -> Vec<(Moment, Lane, StateMark)> {
        let seen = self.0.get(place).map(Vec::as_slice).unwrap_or_default();
        let mut last: Both<Option<StateMark>> = Both::default();
        let mut marks = Vec::new();
        for (at, lane, state) in seen {
            if last.of(*lane).as_ref() != Some(state) {
                marks.push((*at, *lane, *state));
                *last.of_mut(*lane) = Some(*state);
            }
        }
        for lane in [Lane::Client, Lane::Server] {
            if last.of(lane).is_none() && draft.protocol == Some(Protocol::Tcp) {
                marks.extend(inferred(record, draft, lane));
            }
        }
        marks
    }
}

/// States of one end as its calls suggest them (RFC 9293, section 3.3.2).
#[allow(clippy::wildcard_enum_match_arm, reason = "of some forty calls few change the state")]
fn inferred(record: &Record, draft: &Draft, lane: Lane) -> Vec<(Moment, Lane, StateMark)> {
    let mut marks = Vec::new();
    let mut state: Option<TcpState> = None;
    for (number, at) in &draft.calls {
        let Some(call) = record.calls.get(number.index()).filter(|_| *at == lane) else { continue };
        let Some(left) = call.left else { continue };
        let received =
            super::matcher::direction(call.name, call) == Some(super::call::Purpose::Receive);
        let next = match (call.name, call.outcome, state) {
            (CallName::Listen, Outcome::Value(_), _) => Some(TcpState::Listen),
            (CallName::Connect, Outcome::Value(_), _) => Some(TcpState::Established),
            (CallName::Connect, Outcome::Failed(Errno::EINPROGRESS), _) => Some(TcpState::SynSent),
            (CallName::Accept | CallName::Accept4, Outcome::Value(_), _) => {
                Some(TcpState::Established)
            }
            (_, Outcome::Failed(Errno::ECONNRESET | Errno::ECONNREFUSED), _) => {
                Some(TcpState::Close)
            }
            (CallName::Shutdown | CallName::Close, Outcome::Value(_), state) => match state {
                Some(TcpState::Established) if call.arguments.number != Some(0) => {
                    Some(TcpState::FinWait1)
                }
                Some(TcpState::CloseWait) => Some(TcpState::LastAck),
                Some(TcpState::Listen) => Some(TcpState::Close),
                _ => None,
            },
            (_, Outcome::Value(0), Some(TcpState::Established))
                if received && call.arguments.length != Some(0) =>
            {
                Some(TcpState::CloseWait)
            }
            (_, Outcome::Value(0), Some(TcpState::FinWait1))
                if received && call.arguments.length != Some(0) =>
            {
                Some(TcpState::TimeWait)
            }
            _ => None,
        };
        if next.is_some() && next != state {
            state = next;
            let mark = StateMark { state, unread: None, unsent: None, inferred: true };
            marks.push((left, lane, mark));
        }
    }
    marks
}

fn commands(record: &Record) -> BTreeMap<Pid, &[String]> {
    let mut commands = BTreeMap::new();
    for process in &record.processes {
        match &process.life {
            Life::Started { command } | Life::Execed { command } => {
                commands.insert(process.pid, command.as_slice());
            }
            Life::Forked { parent, .. } => {
                if let Some(command) = commands.get(parent).copied() {
                    commands.entry(process.pid).or_insert(command);
                }
            }
            Life::Thread | Life::ThreadExited | Life::Exited { .. } | Life::Killed { .. } => {}
        }
    }
    commands
}

/// The programs worth naming: those that the tracer started, that made a call which is shown, or
/// that a signal ended. A shell starts many that have nothing to do with sockets.
fn took_part(programs: Vec<Program>, calls: &[CallMark]) -> Vec<Program> {
    let callers: BTreeSet<Pid> = calls.iter().map(|call| call.pid).collect();
    let part = |program: &Program| {
        program.parent.is_none()
            || callers.contains(&program.pid)
            || program.ending.starts_with("killed")
    };
    programs.into_iter().filter(part).collect()
}

/// A command as one line, its program without the folders before it.
fn line(command: &[String]) -> String {
    let (program, arguments) = command
        .split_first()
        .map_or(("", &[][..]), |(first, rest)| (first.rsplit('/').next().unwrap_or(first), rest));
    let mut line = program.to_owned();
    for argument in arguments {
        line.push(' ');
        line.push_str(argument);
    }
    line
}

fn programs(record: &Record) -> Vec<Program> {
    let mut programs: Vec<Program> = Vec::new();
    let mut place = BTreeMap::<Pid, usize>::new();
    for process in &record.processes {
        let known = place.get(&process.pid).copied().unwrap_or_else(|| {
            place.insert(process.pid, programs.len());
            programs.push(Program {
                pid: process.pid,
                parent: None,
                command: Vec::new(),
                began: process.at,
                ended: None,
                ending: String::new(),
            });
            programs.len() - 1
        });
        let inherited = if let Life::Forked { parent, .. } = &process.life {
            let parent = place.get(parent).and_then(|place| programs.get(*place));
            parent.map(|parent| parent.command.clone())
        } else {
            None
        };
        let Some(program) = programs.get_mut(known) else { continue };
        match &process.life {
            Life::Started { command } | Life::Execed { command } => {
                program.command.clone_from(command);
            }
            Life::Forked { parent, .. } => {
                program.parent = Some(*parent);
                program.command = inherited.unwrap_or_default();
            }
            Life::Thread | Life::ThreadExited => {}
            Life::Exited { status } => {
                program.ended = Some(process.at);
                program.ending = format!("exit {status}");
            }
            Life::Killed { signal } => {
                program.ended = Some(process.at);
                program.ending = format!("killed by signal {signal}");
            }
        }
    }
    programs
}

/// What limits the whole, and what else the tracer had to say.
fn remarks(record: &Record) -> Vec<Remarked> {
    let mut remarks = Vec::new();
    if record.header.mode == Mode::Calls {
        let words = "packets could not be captured: states are concluded from calls".to_owned();
        remarks.push(Remarked { at: Moment::START, words, warning: true });
    }
    for loss in &record.losses {
        let words = match loss.place {
            Place::Capture => format!(
                "the capture lost {}: what sequence numbers do not prove is only inferred",
                words::count(loss.count, "packet")
            ),
            Place::Record => {
                let verb = if loss.count == 1 { "is" } else { "are" };
                format!("{} of the record {verb} missing", words::count(loss.count, "line"))
            }
            Place::ReceiveQueue(_) => continue,
        };
        remarks.push(Remarked { at: loss.at, words, warning: true });
    }
    for note in &record.notes {
        let who = note.pid.map(|pid| format!("process {pid}: ")).unwrap_or_default();
        let (words, warning) = match &note.remark {
            Remark::IoUringRefused => {
                ("io_uring was refused, so that its calls are seen".to_owned(), false)
            }
            Remark::IoUringAllowed => ("io_uring active: calls not visible".to_owned(), true),
            Remark::LeftBehind => ("it goes on without the tracer".to_owned(), true),
            Remark::NotTraced(why) => (format!("not traced: {why}"), true),
            Remark::Text(text) => (text.clone(), false),
        };
        remarks.push(Remarked { at: note.at, words: format!("{who}{words}"), warning });
    }
    remarks.sort_by_key(|remark| remark.at);
    remarks
}

#[cfg(test)]
mod tests;
