//! What a server did, in numbers that must add up.
//!
//! Plain numbers: each thread keeps its own and they are merged for a report, so that no hot path
//! shares a cache line. Names for Prometheus and JSON are left to the report.

use super::datagram::Dropped;

/// Why a connection ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum CloseReason {
    /// The client sent its FIN and everything owed was sent.
    ByClient,
    /// The contract of the service says so (`sentence`, `half`).
    ByService,
    /// No traffic for too long.
    Idle,
    /// The client sent no FIN in time after ours.
    AfterFin,
    /// The client took nothing of its answer for too long.
    WriteStall,
    /// The client reset it.
    Reset,
    /// A fault that was asked for ended it.
    Fault,
    /// The server ended.
    Drained,
    /// The kernel refused a read or a write in another way.
    Error,
}

impl CloseReason {
    /// Every reason, in the order of the report.
    pub const ALL: [CloseReason; 9] = [
        CloseReason::ByClient,
        CloseReason::ByService,
        CloseReason::Idle,
        CloseReason::AfterFin,
        CloseReason::WriteStall,
        CloseReason::Reset,
        CloseReason::Fault,
        CloseReason::Drained,
        CloseReason::Error,
    ];

    /// The word of the reports.
    pub const fn name(self) -> &'static str {
        match self {
            CloseReason::ByClient => "by_client",
            CloseReason::ByService => "by_service",
            CloseReason::Idle => "idle",
            CloseReason::AfterFin => "after_fin",
            CloseReason::WriteStall => "write_stall",
            CloseReason::Reset => "reset",
            CloseReason::Fault => "fault",
            CloseReason::Drained => "drained",
            CloseReason::Error => "error",
        }
    }
}

/// Why a connection was turned away; such connections are not counted as accepted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum RefuseReason {
    /// As many connections were open as may be.
    Full,
    /// As many from this source as may be.
    Source,
    /// No descriptor was left: accepted on the spare one and closed at once.
    Descriptors,
    /// The server is ending.
    Draining,
}

impl RefuseReason {
    /// Every reason, in the order of the report.
    pub const ALL: [RefuseReason; 4] = [
        RefuseReason::Full,
        RefuseReason::Source,
        RefuseReason::Descriptors,
        RefuseReason::Draining,
    ];

    /// The word of the reports.
    pub const fn name(self) -> &'static str {
        match self {
            RefuseReason::Full => "full",
            RefuseReason::Source => "source",
            RefuseReason::Descriptors => "descriptors",
            RefuseReason::Draining => "draining",
        }
    }
}

/// Bytes each way.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Bytes {
    /// From clients.
    pub received: u64,
    /// To clients.
    pub sent: u64,
}

/// What a server, or one thread of it, did since it began.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counters {
    /// Connections that became a conversation.
    pub accepted: u64,
    /// Conversations that go on.
    pub open: u64,
    /// Conversations that ended, by reason, in the order of [`CloseReason::ALL`].
    pub closed: [u64; CloseReason::ALL.len()],
    /// Connections turned away, by reason, in the order of [`RefuseReason::ALL`].
    pub refused: [u64; RefuseReason::ALL.len()],
    /// accept(2) failed; which errno is the driver's to log.
    pub accept_errors: u64,
    /// Bytes of streams (TCP and unix).
    pub stream: Bytes,
    /// Bytes of the payloads of datagrams.
    pub datagram: Bytes,
    /// Datagrams received.
    pub datagrams_in: u64,
    /// Of these, answered.
    pub replies: u64,
    /// Of these, not answered, by reason, in the order of [`Dropped::ALL`].
    pub dropped: [u64; Dropped::ALL.len()],
    /// Of the answered, those of which only the first 2048 bytes were taken.
    pub cut: u64,
    /// Answers sent once more, or in parts, because a fault was asked for: beyond `replies`.
    pub extra_replies: u64,
    /// The kernel refused to cut one buffer into several answers (UDP_SEGMENT, udp(7)), so that
    /// they left one by one.
    pub segment_refusals: u64,
}

/// Adds one to the counter at `index` of a table as long as its enum.
fn bump(table: &mut [u64], index: usize) {
    if let Some(counter) = table.get_mut(index) {
        *counter += 1;
    }
}

impl Counters {
    /// A connection became a conversation.
    pub fn opened(&mut self) {
        self.accepted += 1;
        self.open += 1;
    }

    /// A conversation ended.
    pub fn closed(&mut self, reason: CloseReason) {
        self.open = self.open.saturating_sub(1);
        bump(&mut self.closed, reason as usize);
    }

    /// A connection was turned away.
    pub fn refused(&mut self, reason: RefuseReason) {
        bump(&mut self.refused, reason as usize);
    }

    /// A datagram of `received` bytes was answered with `sent` bytes; `cut`: not taken whole.
    pub fn replied(&mut self, received: usize, sent: usize, cut: bool) {
        self.datagrams_in += 1;
        self.replies += 1;
        self.cut += u64::from(cut);
        self.datagram.received += received as u64;
        self.datagram.sent += sent as u64;
    }

    /// So many datagrams, of so many bytes together, were each answered with as many bytes.
    pub fn replied_alike(&mut self, datagrams: usize, bytes: usize) {
        self.datagrams_in += datagrams as u64;
        self.replies += datagrams as u64;
        self.datagram.received += bytes as u64;
        self.datagram.sent += bytes as u64;
    }

    /// A datagram of `received` bytes was not answered.
    pub fn dropped(&mut self, received: usize, reason: Dropped) {
        self.dropped_alike(1, received, reason);
    }

    /// So many datagrams, of so many bytes together, were not answered.
    pub fn dropped_alike(&mut self, datagrams: usize, bytes: usize, reason: Dropped) {
        self.datagrams_in += datagrams as u64;
        self.datagram.received += bytes as u64;
        if let Some(counter) = self.dropped.get_mut(reason as usize) {
            *counter += datagrams as u64;
        }
    }

    /// Adds what another thread did.
    pub fn merge(&mut self, other: &Counters) {
        fn add(table: &mut [u64], other: &[u64]) {
            table.iter_mut().zip(other).for_each(|(mine, theirs)| *mine += theirs);
        }
        self.accepted += other.accepted;
        self.open += other.open;
        add(&mut self.closed, &other.closed);
        add(&mut self.refused, &other.refused);
        self.accept_errors += other.accept_errors;
        self.stream.received += other.stream.received;
        self.stream.sent += other.stream.sent;
        self.datagram.received += other.datagram.received;
        self.datagram.sent += other.datagram.sent;
        self.datagrams_in += other.datagrams_in;
        self.replies += other.replies;
        add(&mut self.dropped, &other.dropped);
        self.cut += other.cut;
        self.extra_replies += other.extra_replies;
        self.segment_refusals += other.segment_refusals;
    }

    /// Conversations that ended, for whatever reason.
    pub fn closed_total(&self) -> u64 {
        self.closed.iter().sum()
    }

    /// Datagrams not answered, for whatever reason.
    pub fn dropped_total(&self) -> u64 {
        self.dropped.iter().sum()
    }

    /// Checks that every connection and every datagram is accounted for.
    ///
    /// # Errors
    /// The sum that does not come out, in words.
    pub fn check(&self) -> Result<(), String> {
        let (closed, dropped) = (self.closed_total(), self.dropped_total());
        if self.accepted != closed + self.open {
            let (accepted, open) = (self.accepted, self.open);
            return Err(format!("{accepted} accepted, but {closed} closed + {open} open"));
        }
        if self.datagrams_in != self.replies + dropped {
            let (arrived, replies) = (self.datagrams_in, self.replies);
            return Err(format!(
                "{arrived} datagrams in, but {replies} replies + {dropped} dropped"
            ));
        }
        if self.cut > self.replies {
            return Err(format!("{} replies cut, but only {} sent", self.cut, self.replies));
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn each_reason_has_its_place() {
        let mut counters = Counters::default();
        for (index, reason) in CloseReason::ALL.into_iter().enumerate() {
            assert_eq!(reason as usize, index, "{}", reason.name());
            counters.opened();
            counters.closed(reason);
        }
        for (index, reason) in RefuseReason::ALL.into_iter().enumerate() {
            assert_eq!(reason as usize, index, "{}", reason.name());
            counters.refused(reason);
        }
        assert_eq!(counters.closed, [1; CloseReason::ALL.len()]);
        assert_eq!(counters.refused, [1; RefuseReason::ALL.len()]);
        assert_eq!(counters.check(), Ok(()));
    }

    #[test]
    fn what_does_not_add_up_is_said() {
        let check = |counters: Counters, expected: &str| {
            assert_eq!(counters.check(), Err(expected.to_owned()));
        };
        check(
            Counters { accepted: 3, open: 1, ..Counters::default() },
            "3 accepted, but 0 closed + 1 open",
        );
        let mut forgotten = Counters::default();
        forgotten.closed(CloseReason::Reset);
        check(forgotten, "0 accepted, but 1 closed + 0 open");
        check(
            Counters { datagrams_in: 2, replies: 1, ..Counters::default() },
            "2 datagrams in, but 1 replies + 0 dropped",
        );
        check(
            Counters { datagrams_in: 1, replies: 1, cut: 2, ..Counters::default() },
            "2 replies cut, but only 1 sent",
        );
    }

    proptest! {
        #[test]
        fn whatever_happens_adds_up_on_each_thread_and_together(
            happenings in proptest::collection::vec((0..3_usize, 0..7_u8, any::<usize>()), 0..200),
        ) {
            let mut threads = [Counters::default(); 3];
            for &(thread, what, which) in &happenings {
                let counters = &mut threads[thread];
                match what {
                    0 => counters.opened(),
                    1 if counters.open > 0 => {
                        counters.closed(CloseReason::ALL[which % CloseReason::ALL.len()]);
                    }
                    2 => counters.refused(RefuseReason::ALL[which % RefuseReason::ALL.len()]),
                    3 => counters.dropped(which % 99, Dropped::ALL[which % Dropped::ALL.len()]),
                    4 => counters.replied_alike(1, which % 99),
                    5 => counters.dropped_alike(1, which % 99, Dropped::NotSent),
                    _ => counters.replied(which % 99, which % 98, which % 2 == 0),
                }
                prop_assert_eq!(counters.check(), Ok(()));
            }
            let mut all = Counters::default();
            threads.iter().for_each(|thread| all.merge(thread));
            prop_assert_eq!(all.check(), Ok(()));
            let said = all.accepted + all.closed_total() + all.datagrams_in
                + all.refused.iter().sum::<u64>();
            prop_assert_eq!(said, happenings.len() as u64);
        }
    }
}
