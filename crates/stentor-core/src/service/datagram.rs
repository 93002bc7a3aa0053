//! One UDP port: a datagram in, at most one out.
//!
//! Decides what is answered and why the rest is not; sockets, batches and counters are left to
//! the driver, waiting ones to [`super::fault`], suspicion to [`super::guard`].

#[cfg(test)]
mod tests;

use std::net::SocketAddr;

use super::guard::{self, Guard};
use super::{Case, Contract, Service, upper_whole};
use crate::casing::Upper;
use crate::moment::Moment;

/// The largest payload of one datagram: 65,535 less the headers of IPv4 and UDP (RFC 791, 768).
pub const PAYLOAD_MAX: usize = 65_507;

/// The bytes that `sentence` takes of a datagram: the lecture's `recvfrom(2048)`.
pub const SENTENCE_MAX: usize = 2048;

/// Ports below this belong to other services (RFC 6335, "System Ports"), not to clients.
const PORT_CLIENT_MIN: u16 = 1024;

/// Why a datagram was not answered.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Dropped {
    /// Its source port is 0: nobody can be answered there (RFC 768).
    PortZero,
    /// It claims to come from a port that this process serves: a loop of our own.
    OwnPort,
    /// It claims to come from a port below 1024: another service, hence a loop.
    LowPort,
    /// Its source repeats itself as a loop would.
    Muted,
    /// It is longer than any datagram over IPv4, or its answer would be.
    TooLarge,
    /// The service answers nothing.
    Discarded,
    /// A fault that was asked for swallowed the answer.
    Fault,
    /// The kernel refused the answer.
    NotSent,
    /// The server is ending.
    Draining,
}

impl Dropped {
    /// Every reason, in the order of the report.
    pub const ALL: [Dropped; 9] = [
        Dropped::PortZero,
        Dropped::OwnPort,
        Dropped::LowPort,
        Dropped::Muted,
        Dropped::TooLarge,
        Dropped::Discarded,
        Dropped::Fault,
        Dropped::NotSent,
        Dropped::Draining,
    ];

    /// The word of the reports.
    pub const fn name(self) -> &'static str {
        match self {
            Dropped::PortZero => "port_zero",
            Dropped::OwnPort => "own_port",
            Dropped::LowPort => "low_port",
            Dropped::Muted => "muted",
            Dropped::TooLarge => "too_large",
            Dropped::Discarded => "discarded",
            Dropped::Fault => "fault",
            Dropped::NotSent => "not_sent",
            Dropped::Draining => "draining",
        }
    }
}

/// The answer to one datagram.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Reply<'a> {
    /// The payload to send back; empty for an empty one.
    pub bytes: &'a [u8],
    /// Whether the datagram was longer than the service takes, and its end left unanswered.
    pub cut: bool,
}

/// The side of a server that answers datagrams.
#[derive(Clone, Debug)]
pub struct Desk {
    contract: Contract,
    guard: Option<Guard>,
    ports: Vec<u16>,
}

impl Desk {
    /// Opens a desk; `guard` is `None` for `--udp-mute off`, `own_ports` are all UDP ports that
    /// this process serves.
    ///
    /// Without the guard, port 0 and our own ports are still refused: no client can have them.
    pub fn new(
        contract: Contract,
        guard: Option<guard::Settings>,
        own_ports: impl IntoIterator<Item = u16>,
    ) -> Desk {
        let guard = guard.map(Guard::new);
        Desk { contract, guard, ports: own_ports.into_iter().collect() }
    }

    /// Takes several datagrams of one sender that came as one buffer, each of `stride` bytes but
    /// the last, which may be shorter; answers all of them where they are, if that can be done at
    /// once: all are ASCII, all have capitals to come, and the guard lets them pass together.
    /// `spill` is only for the work.
    ///
    /// # Errors
    /// The datagrams as they came: each is to be handled by itself.
    pub fn handle_train<'a>(
        &mut self,
        now: Moment,
        source: SocketAddr,
        train: &'a mut [u8],
        stride: usize,
        spill: &mut Vec<u8>,
    ) -> Result<&'a [u8], &'a mut [u8]> {
        let of_one = stride == 0 || train.len() <= stride || stride > PAYLOAD_MAX;
        if of_one || self.contract.service != Service::Upper || self.refusal(source).is_some() {
            return Err(train);
        }
        if self.contract.case == Case::Unicode && !train.is_ascii() {
            return Err(train);
        }
        if let Some(guard) = &mut self.guard {
            let changes = |datagram: &[u8]| datagram.iter().any(u8::is_ascii_lowercase);
            if !train.chunks(stride).all(changes) {
                return Err(train);
            }
            let first = train.get(..stride).unwrap_or_default();
            let told = guard::fingerprint(first);
            spill.clear();
            spill.extend_from_slice(first);
            spill.make_ascii_uppercase();
            if !guard.handle_train(now, source, told, guard::fingerprint(spill)) {
                return Err(train);
            }
        }
        // ASCII is answered in place, and none of it is held back.
        Upper::new(self.contract.case).feed(train, spill);
        Ok(train)
    }

    /// Whom nothing is answered, whatever is asked.
    fn refusal(&self, source: SocketAddr) -> Option<Dropped> {
        match source.port() {
            0 => Some(Dropped::PortZero),
            port if self.ports.contains(&port) => Some(Dropped::OwnPort),
            port if port < PORT_CLIENT_MIN && self.guard.is_some() => Some(Dropped::LowPort),
            _ => None,
        }
    }

    /// Takes a datagram and lends its answer, which borrows from `payload` or from `spill`.
    ///
    /// # Errors
    /// Why it is not answered.
    pub fn handle<'a>(
        &mut self,
        now: Moment,
        source: SocketAddr,
        payload: &'a mut [u8],
        spill: &'a mut Vec<u8>,
    ) -> Result<Reply<'a>, Dropped> {
        if let Some(reason) = self.refusal(source) {
            return Err(reason);
        }
        if payload.len() > PAYLOAD_MAX {
            return Err(Dropped::TooLarge);
        }
        // Taken now: the answer may be written over it.
        let told = self.guard.as_ref().map_or(0, |_| guard::fingerprint(payload));
        let told_len = payload.len();
        let mut cut = false;
        let bytes: &'a [u8] = match self.contract.service {
            Service::Discard => return Err(Dropped::Discarded),
            Service::Echo => payload,
            Service::Half => payload.get(..told_len / 2).unwrap_or_default(),
            Service::Upper => upper_whole(self.contract.case, payload, spill),
            Service::Sentence => {
                cut = told_len > SENTENCE_MAX;
                let taken = payload.get_mut(..told_len.min(SENTENCE_MAX)).unwrap_or_default();
                upper_whole(self.contract.case, taken, spill)
            }
        };
        if bytes.len() > PAYLOAD_MAX {
            return Err(Dropped::TooLarge);
        }
        if let Some(guard) = &mut self.guard {
            let answer = guard::fingerprint(bytes);
            if !guard.handle(now, source, told, answer) {
                return Err(Dropped::Muted);
            }
        }
        Ok(Reply { bytes, cut })
    }
}
