//! The bytes that calls put into a stream or took out of it, counted from 0.
//!
//! Comparing them with sequence numbers is left to the parent module.

use std::ops::Range;

use crate::moment::Moment;
use crate::timeline::call::{CallName, Errno, Purpose};
use crate::timeline::cause::CallNo;
use crate::timeline::record::{Call, Outcome, Record};
use crate::timeline::sockets::Socket;

/// MSG_OOB and MSG_PEEK of recv(2).
const MSG_OOB: u32 = 0x1;
const MSG_PEEK: u32 = 0x2;
// setsockopt(2), tcp(7), socket(7) and include/linux/tls.h.
const SOL_SOCKET: i32 = 1;
const SOL_TCP: i32 = 6;
const SOL_TLS: i32 = 282;
const TCP_ULP: i32 = 31;
const TCP_ZEROCOPY_RECEIVE: i32 = 35;
const SO_ERROR: i32 = 4;
const SO_LINGER: i32 = 13;

/// The share of one call in a stream.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Part {
    pub(super) call: CallNo,
    pub(super) bytes: Range<u64>,
    /// False if another call of the same direction was in the kernel at the same time, or bytes
    /// passed that no call shows: then the order is not proved.
    pub(super) sure: bool,
}

/// All shares of one direction at one socket.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Account {
    pub(super) parts: Vec<Part>,
    /// How many bytes, in all.
    pub(super) total: u64,
    /// True if the last call never came back: its share is what it offered, at most.
    pub(super) open: bool,
}

impl Account {
    /// The shares that lie in `bytes`, in order.
    pub(super) fn within(&self, bytes: &Range<u64>) -> impl Iterator<Item = &Part> {
        let first = self.parts.partition_point(|part| part.bytes.end <= bytes.start);
        let end = bytes.end;
        let from = self.parts.get(first..).unwrap_or_default().iter();
        from.take_while(move |part| part.bytes.start < end)
    }

    /// Adds the next share. `busy` is until when an earlier call was in the kernel.
    fn add(&mut self, number: CallNo, call: &Call, amount: u64, busy: &mut Option<Moment>) {
        let overlaps = busy.is_some_and(|until| call.entered < until);
        if overlaps && let Some(last) = self.parts.last_mut() {
            last.sure = false;
        }
        let sure = !overlaps && !self.open;
        let bytes = self.total..self.total.saturating_add(amount);
        self.total = bytes.end;
        self.open |= call.outcome == Outcome::Unfinished;
        self.parts.push(Part { call: number, bytes, sure });
        let left = call.left.unwrap_or(Moment::from_nanos(u64::MAX));
        *busy = Some(busy.map_or(left, |until| until.max(left)));
    }

    fn doubt(&mut self) {
        self.parts.iter_mut().for_each(|part| part.sure = false);
    }
}

/// What the calls on one socket say, in the order they were made.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Ledger {
    pub(super) sent: Account,
    pub(super) received: Account,
    /// connect(), and the first send of a fast open.
    pub(super) connects: Vec<CallNo>,
    /// shutdown() of the sending direction.
    pub(super) shutdowns: Vec<CallNo>,
    pub(super) closes: Vec<CallNo>,
    /// recv() that returned 0 though it had room.
    pub(super) ends: Vec<CallNo>,
    /// Calls that failed because the other end is gone, or that read such an error from SO_ERROR.
    pub(super) failures: Vec<(CallNo, Errno)>,
    pub(super) accept: Option<CallNo>,
    /// SO_LINGER of 0 s was set.
    pub(super) lingers_not: bool,
    /// The kernel changes bytes on their way (TLS): their places say nothing.
    pub(super) opaque: bool,
}

impl Ledger {
    /// Reads the calls of a socket that belong to one connection. A socket whose connect() failed
    /// may connect again, and counts from 0 then: `again` is when such a later connection began.
    pub(super) fn read(record: &Record, socket: &Socket, again: Option<Moment>) -> Ledger {
        let call = |number: &CallNo| record.calls.get(number.index());
        let until = |at: Moment| {
            let began = |number: &CallNo| call(number).is_some_and(|call| call.entered <= at);
            socket.calls.partition_point(began).saturating_sub(1)
        };
        let mut reader = Reader::default();
        let mut failed = false;
        for number in socket.calls.get(again.map_or(0, until)..).unwrap_or_default() {
            let Some(call) = call(number) else { continue };
            if call.name == CallName::Connect {
                if failed {
                    break;
                }
                failed = matches!(call.outcome, Outcome::Failed(errno) if fatal(errno));
            }
            reader.take(*number, call);
        }
        if reader.hidden_receives {
            reader.ledger.received.doubt();
        }
        reader.ledger
    }
}

#[derive(Default)]
struct Reader {
    ledger: Ledger,
    sending: Option<Moment>,
    receiving: Option<Moment>,
    hidden_receives: bool,
}

impl Reader {
    #[allow(clippy::wildcard_enum_match_arm, reason = "of some forty calls few change a stream")]
    fn take(&mut self, number: CallNo, call: &Call) {
        let ledger = &mut self.ledger;
        let worked = matches!(call.outcome, Outcome::Value(_));
        match call.name {
            CallName::Connect => ledger.connects.push(number),
            CallName::Accept | CallName::Accept4 if worked => ledger.accept = Some(number),
            CallName::Shutdown if worked && matches!(call.arguments.number, Some(1 | 2)) => {
                ledger.shutdowns.push(number);
            }
            CallName::Close => ledger.closes.push(number),
            CallName::Setsockopt | CallName::Getsockopt if worked => self.option(number, call),
            name => match direction(name, call) {
                Some(Purpose::Send) => self.sent(number, call),
                Some(Purpose::Receive) => self.received(number, call),
                _ => {}
            },
        }
        if let Outcome::Failed(errno) = call.outcome
            && fatal(errno)
        {
            self.ledger.failures.push((number, errno));
        }
    }

    fn sent(&mut self, number: CallNo, call: &Call) {
        /// MSG_FASTOPEN of send(2).
        const MSG_FASTOPEN: u32 = 0x2000_0000;
        if call.arguments.flags & MSG_FASTOPEN != 0 {
            self.ledger.connects.push(number);
        }
        let amount = amount(call);
        if amount > 0 {
            self.ledger.sent.add(number, call, amount, &mut self.sending);
        }
    }

    fn received(&mut self, number: CallNo, call: &Call) {
        if call.arguments.flags & MSG_PEEK != 0 {
            return;
        }
        if call.arguments.flags & MSG_OOB != 0 {
            self.hidden_receives = true;
            return;
        }
        if call.outcome == Outcome::Unfinished {
            return;
        }
        let amount = amount(call);
        if amount > 0 {
            self.ledger.received.add(number, call, amount, &mut self.receiving);
        } else if call.outcome == Outcome::Value(0) && call.arguments.length != Some(0) {
            self.ledger.ends.push(number);
        }
    }

    fn option(&mut self, number: CallNo, call: &Call) {
        let Some(option) = call.arguments.option.as_deref() else { return };
        let word = |at: usize| {
            let bytes = option.value.get(at..)?.first_chunk::<4>()?;
            Some(i32::from_ne_bytes(*bytes))
        };
        match (call.name, option.level, option.name) {
            (CallName::Setsockopt, SOL_SOCKET, SO_LINGER) => {
                self.ledger.lingers_not = word(0).is_some_and(|on| on != 0) && word(4) == Some(0);
            }
            (CallName::Setsockopt, SOL_TCP, TCP_ULP) | (CallName::Setsockopt, SOL_TLS, _) => {
                self.ledger.opaque = true;
            }
            (CallName::Getsockopt, SOL_TCP, TCP_ZEROCOPY_RECEIVE) => self.hidden_receives = true,
            (CallName::Getsockopt, SOL_SOCKET, SO_ERROR) => {
                if let Some(errno) = word(0).filter(|errno| *errno != 0).map(Errno) {
                    self.ledger.failures.push((number, errno));
                }
            }
            _ => {}
        }
    }
}

/// Whether a call puts bytes in or takes them out.
pub(in crate::timeline) fn direction(name: CallName, call: &Call) -> Option<Purpose> {
    if name == CallName::Splice && call.arguments.number == Some(0) {
        return Some(Purpose::Receive);
    }
    Some(name.purpose()).filter(|it| matches!(it, Purpose::Send | Purpose::Receive))
}

/// How many bytes a call moved; of one that never came back, how many it offered.
fn amount(call: &Call) -> u64 {
    match call.outcome {
        Outcome::Value(_) if !call.messages.is_empty() => {
            call.messages.iter().map(|message| message.length).sum()
        }
        Outcome::Value(value) => u64::try_from(value).unwrap_or(0),
        Outcome::Failed(_) => 0,
        Outcome::Unfinished => call.arguments.length.unwrap_or(0),
    }
}

/// Errors that say that the other end, or the way to it, is gone.
fn fatal(errno: Errno) -> bool {
    const FATAL: [Errno; 6] = [
        Errno::ECONNREFUSED,
        Errno::ECONNRESET,
        Errno::EPIPE,
        Errno::ETIMEDOUT,
        Errno::EHOSTUNREACH,
        Errno::ENETUNREACH,
    ];
    FATAL.contains(&errno)
}
