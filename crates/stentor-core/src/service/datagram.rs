//! One UDP port: a datagram in, at most one out.
//!
//! Decides what is answered and why the rest is not; sockets, batches and counters are left to
//! the driver, waiting ones to [`super::fault`], suspicion to [`super::guard`].

use std::net::SocketAddr;

use super::guard::{self, Guard};
use super::{Contract, Service, upper_whole};
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
        match source.port() {
            0 => return Err(Dropped::PortZero),
            port if self.ports.contains(&port) => return Err(Dropped::OwnPort),
            port if port < PORT_CLIENT_MIN && self.guard.is_some() => {
                return Err(Dropped::LowPort);
            }
            _ => {}
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::casing::Case;
    use crate::seed::Seed;
    use crate::service::counters::Counters;
    use proptest::prelude::*;

    /// The answer of `service` to one datagram: its bytes and whether it was cut, or why not.
    fn answer(service: Service, case: Case, payload: &[u8]) -> Result<(Vec<u8>, bool), Dropped> {
        let (mut payload, mut spill) = (payload.to_vec(), vec![1, 2, 3]);
        let source = SocketAddr::from(([127, 0, 0, 1], 40_000));
        let mut desk = Desk::new(Contract { service, case }, None, [12000]);
        let reply = desk.handle(Moment::START, source, &mut payload, &mut spill)?;
        Ok((reply.bytes.to_vec(), reply.cut))
    }

    #[test]
    fn each_service_answers_one_datagram() {
        let check = |service: Service, payload: &str, expected: Result<&str, Dropped>| {
            let answer = answer(service, Case::Unicode, payload.as_bytes());
            let expected = expected.map(|text| (text.as_bytes().to_vec(), false));
            assert_eq!(answer, expected, "{service} {payload:?}");
        };
        check(Service::Upper, "hello", Ok("HELLO"));
        check(Service::Sentence, "hello", Ok("HELLO"));
        check(Service::Half, "hello", Ok("he"));
        check(Service::Echo, "hello", Ok("hello"));
        check(Service::Discard, "hello", Err(Dropped::Discarded));
        for service in [Service::Upper, Service::Sentence, Service::Half, Service::Echo] {
            check(service, "", Ok(""));
        }
    }

    #[test]
    fn every_size_up_to_the_largest_is_taken_and_a_cut_is_said() {
        let check = |service: Service, len: usize, expected: Result<(usize, bool), Dropped>| {
            let answer = answer(service, Case::Unicode, &vec![b'a'; len]);
            assert_eq!(answer.map(|(bytes, cut)| (bytes.len(), cut)), expected, "{service} {len}");
        };
        check(Service::Upper, 65_507, Ok((65_507, false)));
        check(Service::Upper, 65_508, Err(Dropped::TooLarge));
        check(Service::Echo, 65_507, Ok((65_507, false)));
        check(Service::Half, 65_507, Ok((32_753, false)));
        check(Service::Sentence, 2048, Ok((2048, false)));
        check(Service::Sentence, 2049, Ok((2048, true)));
        check(Service::Sentence, 65_507, Ok((2048, true)));
    }

    #[test]
    fn an_answer_that_outgrew_a_datagram_is_dropped_whole() {
        for count in [1, 10_917, 10_918, 10_919, 32_753] {
            let text = "\u{390}".repeat(count).into_bytes();
            // What a stream answers to the same bytes.
            let mut session = crate::service::Session::new(Contract::default());
            let (mut input, mut spill, mut streamed) = (text.clone(), Vec::new(), Vec::new());
            let mut rest = input.as_mut_slice();
            while !rest.is_empty() {
                let answer = session.feed(rest, &mut spill);
                streamed.extend_from_slice(answer.bytes);
                let taken = answer.taken;
                rest = &mut rest[taken..];
            }
            let fits = streamed.len() <= PAYLOAD_MAX;
            let expected = if fits { Ok((streamed, false)) } else { Err(Dropped::TooLarge) };
            assert_eq!(answer(Service::Upper, Case::Unicode, &text), expected, "{count}");
        }
    }

    #[test]
    fn counters_tell_each_reason() {
        let mut counters = Counters::default();
        for (index, reason) in Dropped::ALL.into_iter().enumerate() {
            counters.dropped(10, reason);
            assert_eq!(reason as usize, index, "{}", reason.name());
        }
        assert_eq!(counters.dropped, [1; Dropped::ALL.len()]);
    }

    proptest! {
        #[test]
        fn an_answer_has_at_most_three_bytes_for_one_and_in_ascii_exactly_one(
            payload in proptest::collection::vec(any::<u8>(), 0..3000),
            text in "[a-zßŉΐΰżж ]{0,300}",
        ) {
            for told in [&payload[..], text.as_bytes()] {
                let (unicode, _) = answer(Service::Upper, Case::Unicode, told).unwrap();
                prop_assert!(unicode.len() <= 3 * told.len());
                let (ascii, _) = answer(Service::Upper, Case::Ascii, told).unwrap();
                prop_assert_eq!(ascii, told.to_ascii_uppercase());
            }
        }

        #[test]
        fn half_of_a_datagram_is_its_first_half(payload in "\\PC{0,300}") {
            let payload = payload.as_bytes();
            let (half, _) = answer(Service::Half, Case::Unicode, payload).unwrap();
            prop_assert_eq!(&half[..], &payload[..payload.len() / 2]);
        }

        #[test]
        fn every_datagram_is_a_reply_or_a_drop(
            told in proptest::collection::vec(("[a-zA-Z]{0,3}", any::<u16>(), 0..2_000_u64), 0..300),
            service in 0..Service::ALL.len(),
        ) {
            let contract = Contract { service: Service::ALL[service], case: Case::Unicode };
            let guard = guard::Settings { seed: Seed(1) };
            let mut desk = Desk::new(contract, Some(guard), [500]);
            let (mut counters, mut spill) = (Counters::default(), Vec::new());
            let (mut now, mut count) = (Moment::START, 0);
            for (text, port, wait_us) in told {
                now = now + std::time::Duration::from_micros(wait_us);
                let source = SocketAddr::from(([10, 0, 0, 1], port % 1100));
                let mut payload = text.into_bytes();
                match desk.handle(now, source, &mut payload, &mut spill) {
                    Ok(reply) => counters.replied(3, reply.bytes.len(), reply.cut),
                    Err(reason) => counters.dropped(3, reason),
                }
                count += 1;
            }
            prop_assert_eq!(counters.datagrams_in, count);
            prop_assert_eq!(counters.check(), Ok(()));
        }
    }
}
