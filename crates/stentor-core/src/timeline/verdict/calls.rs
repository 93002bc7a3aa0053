//! Findings from calls: short reads and writes, boundaries that TCP does not keep, EAGAIN, bind.

use std::ops::Range;

use super::{Case, Kind, several};
use crate::moment::Moment;
use crate::timeline::Lane;
use crate::timeline::call::{CallName, Errno, Purpose};
use crate::timeline::cause::{CallNo, Relation};
use crate::timeline::flows::Connection;
use crate::timeline::ladder::Protocol;
use crate::timeline::matcher::direction;
use crate::timeline::record::{Address, Call, Outcome, TcpState};
use crate::timeline::sockets::{Ending, Role, plain};
use crate::timeline::words::{count, span};

/// MSG_TRUNC as recvmsg(2) gives it back.
const MSG_TRUNC: u32 = 0x20;

/// All kinds, in no order.
pub(super) fn findings(case: &Case<'_>) -> Vec<Kind> {
    let mut kinds = Vec::from(failures(case));
    kinds.push(short_sends(case));
    match case.draft.protocol {
        Some(Protocol::Udp) => kinds.push(cut_datagrams(case)),
        Some(Protocol::Tcp) => {
            for from in [Lane::Client, Lane::Server] {
                kinds.extend(boundaries(case, from));
                kinds.push(short_receives(case, from));
            }
            kinds.push(first_to_close(case));
        }
        Some(Protocol::Unix | Protocol::Other) | None => {}
    }
    kinds
}

/// EAGAIN, bind, calls that never came back.
fn failures(case: &Case<'_>) -> [Kind; 4] {
    let mut kinds: [Kind; 4] = Default::default();
    let [full, empty, bind, stuck] = &mut kinds;
    for (number, lane, call) in case.calls() {
        let end = Some(lane);
        match (call.outcome, direction(call.name, call)) {
            (Outcome::Failed(Errno::EAGAIN), Some(Purpose::Send)) => {
                let words = || "EAGAIN: send buffer full".to_owned();
                full.add(call.entered, end, words).call(number);
            }
            (Outcome::Failed(Errno::EAGAIN), Some(Purpose::Receive)) => {
                let words = || "EAGAIN: nothing to read yet".to_owned();
                empty.add(call.entered, end, words).call(number);
            }
            (Outcome::Failed(Errno::EADDRINUSE), _) if call.name == CallName::Bind => {
                bind.add(call.entered, end, || in_use(case, call)).call(number);
            }
            (Outcome::Unfinished, _) => {
                let words = || format!("{} never came back", call.name);
                stuck.add(call.entered, end, words).call(number);
            }
            _ => {}
        }
    }
    kinds
}

/// Why bind said EADDRINUSE.
fn in_use(case: &Case<'_>, bind: &Call) -> String {
    let Some(Address::Inet(wanted)) = &bind.arguments.address else {
        return "bind failed: the address is in use".to_owned();
    };
    let wanted = plain(*wanted);
    let held = case.explained.sockets.all.iter().find(|socket| {
        let alive = match socket.ending {
            Some(Ending::Call(call)) => case.call(call).is_none_or(|it| it.entered > bind.entered),
            Some(Ending::Process(_, at)) => at > bind.entered,
            None => true,
        };
        alive
            && socket.began < bind.entered
            && socket.role != Role::Client
            && socket.listener.is_none()
            && socket.local.is_some_and(|local| local.port() == wanted.port())
    });
    if let Some(socket) = held {
        return format!("bind failed: process {} has port {}", socket.pid, wanted.port());
    }
    if in_time_wait(case, wanted.port(), bind.entered) {
        return "bind failed: the old connection is in TIME_WAIT".to_owned();
    }
    format!("bind failed: port {} is in use, by whom was not seen", wanted.port())
}

/// Whether an old connection of this port was told, or is bound, to be in TIME_WAIT: for 60 s at the
/// end that closed first (`TCP_TIMEWAIT_LEN`; RFC 9293, section 3.6.1).
fn in_time_wait(case: &Case<'_>, port: u16, at: Moment) -> bool {
    const LASTS_S: u64 = 60;
    let told = case.record.snapshots.iter().any(|snapshot| {
        snapshot.state == Some(TcpState::TimeWait)
            && snapshot.local.is_some_and(|local| local.port() == port)
            && at.since(snapshot.at).as_secs() < LASTS_S
    });
    let closed_first = |connection: &Connection| {
        let fin =
            |it: &&crate::timeline::flows::Segment| it.placed.is_some_and(|placed| placed.fin);
        let mut fins = connection.segments.iter().filter(fin);
        let first = fins.next().filter(|it| connection.ends.of(it.from).port() == port);
        let other = first.is_some_and(|first| fins.any(|it| it.from != first.from));
        let when = first.and_then(|it| case.packet(it.packet));
        other && when.is_some_and(|it| it.at <= at && at.since(it.at).as_secs() < LASTS_S)
    };
    told || case.explained.flows.connections.iter().any(closed_first)
}

/// Sends that took less than they were given.
fn short_sends(case: &Case<'_>) -> Kind {
    let mut kind = Kind::default();
    for (number, lane, call) in case.calls() {
        if let (Outcome::Value(value), Some(offered), Some(Purpose::Send)) =
            (call.outcome, call.arguments.length, direction(call.name, call))
            && let Ok(taken) = u64::try_from(value)
            && taken < offered
            && call.messages.is_empty()
            && !matches!(call.name, CallName::Sendfile | CallName::Splice)
        {
            let words =
                || format!("send took {taken} of {}: send buffer full", count(offered, "byte"));
            kind.add(call.entered, Some(lane), words).call(number);
        }
    }
    kind
}

/// Datagrams longer than the room for them.
fn cut_datagrams(case: &Case<'_>) -> Kind {
    let mut kind = Kind::default();
    // Only calls with a packet tell how long it was.
    for (packet, from) in &case.draft.packets {
        for edge in case.explained.edges_of(*packet) {
            let receive = edge.call.filter(|_| edge.relation == Relation::Effect);
            let Some((number, call)) = receive.and_then(|call| Some((call, case.call(call)?)))
            else {
                continue;
            };
            let Outcome::Value(value) = call.outcome else { continue };
            let got = u64::try_from(value).unwrap_or(0);
            let whole = edge.bytes.end;
            let cut = got < whole || call.arguments.flags_back & MSG_TRUNC != 0;
            if cut && call.messages.is_empty() && edge.bytes.end > 0 {
                let words = || {
                    let bytes = count(whole, "byte");
                    format!("recv returned {got} of {bytes}: the rest of the datagram is lost")
                };
                let told = kind.add(call.entered, Some(from.opposite()), words);
                told.call(number).packet(*packet);
            }
        }
    }
    kind
}

/// Calls of one end that moved bytes of a stream, with the bytes, in the stream's order.
fn moved(case: &Case<'_>, lane: Lane, purpose: Purpose) -> Vec<(CallNo, Range<u64>)> {
    let mut moved: Vec<_> = case
        .calls()
        .filter(|(_, at, call)| *at == lane && direction(call.name, call) == Some(purpose))
        .filter_map(|(number, ..)| {
            let bytes = case.explained.stream.get(number.index())?.clone()?;
            (!bytes.is_empty()).then_some((number, bytes))
        })
        .collect();
    moved.sort_by_key(|(_, bytes)| bytes.start);
    moved
}

/// TCP keeps no boundaries: sends that took several receives, and receives that got several sends.
fn boundaries(case: &Case<'_>, from: Lane) -> [Kind; 2] {
    let (mut split, mut merged) = (Kind::default(), Kind::default());
    let sends = moved(case, from, Purpose::Send);
    let receives = moved(case, from.opposite(), Purpose::Receive);
    for (one, many, kind, sending) in
        [(&sends, &receives, &mut split, true), (&receives, &sends, &mut merged, false)]
    {
        let mut next = 0;
        for (number, bytes) in one {
            while many.get(next).is_some_and(|(_, other)| other.end <= bytes.start) {
                next += 1;
            }
            let rest = many.get(next..).unwrap_or_default();
            let within = rest.iter().take_while(|(_, other)| other.start < bytes.end).count();
            let Some(call) = case.call(*number).filter(|_| within > 1) else { continue };
            let number_of = u64::try_from(within).unwrap_or(u64::MAX);
            let lane = if sending { from } else { from.opposite() };
            let words = || match sending {
                true => format!("1 send = {number_of} recv"),
                false => format!("{} came in one recv", several(number_of, "send")),
            };
            let told = kind.add(call.entered, Some(lane), words).call(*number);
            rest.iter().take(within.min(8)).fold(told, |told, (other, _)| told.call(*other));
        }
    }
    [split, merged]
}

/// Receives that took all they had room for while more had arrived.
fn short_receives(case: &Case<'_>, from: Lane) -> Kind {
    let mut kind = Kind::default();
    let place = case.draft.connection;
    let Some(connection) = place.and_then(|it| case.explained.flows.connections.get(it)) else {
        return kind;
    };
    // How many bytes had arrived by when: one entry for each segment that brought some.
    let mut arrived: Vec<(Moment, u64)> = Vec::new();
    for segment in connection.segments.iter().filter(|segment| segment.from == from) {
        let end = segment.placed.map_or(0, |placed| placed.bytes().end);
        if let Some(packet) = case.packet(segment.packet)
            && end > arrived.last().map_or(0, |(_, end)| *end)
        {
            arrived.push((packet.at, end));
        }
    }
    for (number, bytes) in moved(case, from.opposite(), Purpose::Receive) {
        let Some(call) = case.call(number) else { continue };
        let got = bytes.end - bytes.start;
        let Some(left) = call.left.filter(|_| call.arguments.length == Some(got)) else { continue };
        let by_then = arrived.partition_point(|(at, _)| *at <= left);
        let there = by_then.checked_sub(1).and_then(|last| arrived.get(last));
        let there = there.map_or(0, |(_, end)| end.saturating_sub(bytes.start));
        if there > got {
            let words = || format!("recv returned {got} of {}", count(there, "byte"));
            kind.add(call.entered, Some(from.opposite()), words).call(number);
        }
    }
    kind
}

/// The end that closes first keeps the connection in TIME_WAIT (RFC 9293, section 3.6.1).
fn first_to_close(case: &Case<'_>) -> Kind {
    let mut kind = Kind::default();
    let place = case.draft.connection;
    let Some(connection) = place.and_then(|it| case.explained.flows.connections.get(it)) else {
        return kind;
    };
    let mut fins = connection.segments.iter().filter(|it| it.placed.is_some_and(|it| it.fin));
    let Some((first, at)) = fins.next().and_then(|it| Some((it, case.packet(it.packet)?.at)))
    else {
        return kind;
    };
    if let Some(last) = fins.find(|it| it.from != first.from).and_then(|it| case.packet(it.packet))
    {
        let who = match first.from {
            Lane::Client => "client",
            Lane::Server => "server",
        };
        let half = span(last.at.since(at));
        let words =
            || format!("the {who} closed first ({half} before the other): TIME_WAIT is its");
        kind.add(at, Some(first.from), words).packet(first.packet);
    }
    kind
}
