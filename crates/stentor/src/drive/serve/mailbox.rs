//! One UDP socket on the readiness loop: receives batches, lets the desk answer, sends.
//!
//! Which datagrams are answered, and what a fault does to an answer, is decided in core.

use std::io;
use std::net::{IpAddr, SocketAddr};
use std::os::fd::{AsRawFd, RawFd};

use stentor_core::moment::Moment;
use stentor_core::service::counters::Counters;
use stentor_core::service::datagram::{Desk, Dropped, Reply};
use stentor_core::service::fault::datagrams::{FaultyDatagrams, Outbox, Outgoing};
use stentor_os::net::datagrams::Datagrams;
use stentor_os::net::send_batch::{Outcome, SendBatch};

use super::Plan;
use super::connection::Hot;

/// Batches received before the connections have their turn.
const BATCHES_PER_TURN: usize = 16;

/// One UDP socket and its desk.
#[derive(Debug)]
pub(super) struct Mailbox {
    socket: Datagrams,
    desk: Desk,
    faults: Option<FaultyDatagrams>,
    /// Answers that a fault holds back: from which of our addresses, and where to.
    outbox: Outbox<(Option<IpAddr>, SocketAddr)>,
    /// When the first of them is due.
    next: Option<Moment>,
    /// Whether datagrams may be left in the socket although no event will say so.
    unread: bool,
    /// Whether no more is taken: what a fault holds back is still sent.
    closed: bool,
}

impl Mailbox {
    pub(super) fn new(socket: Datagrams, plan: &Plan, own_ports: &[u16]) -> Mailbox {
        let desk = Desk::new(plan.contract, plan.guard, own_ports.iter().copied());
        let faults = FaultyDatagrams::new(&plan.faults, plan.seed);
        let faults = (!plan.faults.is_empty()).then_some(faults);
        Mailbox {
            socket,
            desk,
            faults,
            outbox: Outbox::new(),
            next: None,
            unread: false,
            closed: false,
        }
    }

    /// When the mailbox wants its next turn without an event.
    pub(super) fn due(&self) -> Option<Moment> {
        if self.unread { Some(Moment::START) } else { self.next }
    }

    /// Answers what has come, up to a fair share, and sends what was held back until now.
    pub(super) fn receive(&mut self, now: Moment, hot: &mut Hot, counters: &mut Counters) {
        if !self.closed {
            self.read(now, hot, counters);
        }
        self.send_delayed(now);
    }

    fn read(&mut self, now: Moment, hot: &mut Hot, counters: &mut Counters) {
        self.unread = true;
        for _ in 0..BATCHES_PER_TURN {
            match self.socket.receive(&mut hot.batch) {
                Ok(filled) => {
                    self.answer_batch(now, hot, counters);
                    self.unread = filled;
                    if !filled {
                        return;
                    }
                }
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => {
                    // An unconnected socket hears of no ICMP error (udp(7)): only "nothing there"
                    // is usual, and anything else comes again as an event.
                    if error.kind() != io::ErrorKind::WouldBlock {
                        tracing::warn!("recvmmsg: {}", stentor_os::failure::describe(&error));
                    }
                    self.unread = false;
                    return;
                }
            }
        }
    }

    /// Answers what is there, and takes no more.
    pub(super) fn close(&mut self, now: Moment, hot: &mut Hot, counters: &mut Counters) {
        self.receive(now, hot, counters);
        self.unread = false;
        self.closed = true;
    }

    fn answer_batch(&mut self, now: Moment, hot: &mut Hot, counters: &mut Counters) {
        let Hot { batch, spill, copies, .. } = hot;
        let mut answers = Answers::new(std::mem::take(copies));
        for mut received in batch.received() {
            let (source, local) = (received.source, received.local);
            if self.faults.is_none() {
                let (train, stride) = (received.bytes, received.stride);
                match self.desk.handle_train(now, source, train, stride, spill) {
                    Ok(train) => {
                        answers.push_train((local, source), train, stride);
                        answers.send_if_full(&mut self.socket, counters);
                        continue;
                    }
                    Err(train) => received.bytes = train,
                }
            }
            for payload in received.datagrams() {
                let told = payload.len();
                let reply = match self.desk.handle(now, source, payload, spill) {
                    Ok(reply) => reply,
                    Err(reason) => {
                        counters.dropped(told, reason);
                        continue;
                    }
                };
                let Some(faults) = &mut self.faults else {
                    answers.push((local, source), told, reply);
                    answers.send_if_full(&mut self.socket, counters);
                    continue;
                };
                let post = Post { socket: &self.socket, faults, outbox: &mut self.outbox };
                match post.deliver(now, (local, source), reply.bytes) {
                    Ok(sent) => {
                        counters.replied(told, reply.bytes.len(), reply.cut);
                        counters.extra_replies += sent.saturating_sub(1);
                    }
                    Err(reason) => counters.dropped(told, reason),
                }
            }
        }
        answers.send(&mut self.socket, counters);
        *copies = answers.batch.into_room();
    }

    fn send_delayed(&mut self, now: Moment) {
        self.next = loop {
            match self.outbox.poll(now) {
                Outgoing::Send((from, to), payload) => {
                    if let Err(error) = self.socket.send(from, to, &payload) {
                        tracing::debug!("sendmsg to {to}: {error}");
                    }
                }
                Outgoing::Wait(moment) => break Some(moment),
                Outgoing::Idle => break None,
            }
        };
    }
}

/// Answers gathered to leave together.
#[derive(Debug)]
struct Answers<'a> {
    batch: SendBatch<'a>,
    asked: Vec<Asked>,
}

/// What was asked, of which the answer is gathered.
#[derive(Clone, Copy, Debug)]
enum Asked {
    /// A datagram of so many bytes, and whether only a part of it was taken.
    One(usize, bool),
    /// Several, each as long as its answer.
    Train,
}

impl<'a> Answers<'a> {
    fn new(copies: Vec<u8>) -> Answers<'a> {
        Answers { batch: SendBatch::with_room(copies), asked: Vec::new() }
    }

    fn push(&mut self, (from, to): (Option<IpAddr>, SocketAddr), told: usize, reply: Reply<'_>) {
        self.batch.push(from, to, reply.bytes);
        self.asked.push(Asked::One(told, reply.cut));
    }

    fn push_train(
        &mut self,
        (from, to): (Option<IpAddr>, SocketAddr),
        answers: &'a [u8],
        stride: usize,
    ) {
        let calls = self.batch.push_train(from, to, answers, stride);
        self.asked.extend(std::iter::repeat_n(Asked::Train, calls));
    }

    fn send_if_full(&mut self, socket: &mut Datagrams, counters: &mut Counters) {
        if self.batch.is_full() {
            self.send(socket, counters);
        }
    }

    /// Sends all of them, and counts each.
    fn send(&mut self, socket: &mut Datagrams, counters: &mut Counters) {
        if self.batch.is_empty() {
            return;
        }
        let refused = socket.trains_refused();
        socket.send_batch(&mut self.batch);
        let refused = socket.trains_refused() - refused;
        if refused > 0 {
            tracing::info!("sendmmsg: UDP_SEGMENT was refused; such datagrams leave one by one");
            counters.segment_refusals += refused;
        }
        for (asked, Outcome { sent, refused }) in self.asked.drain(..).zip(self.batch.outcomes()) {
            match asked {
                Asked::One(told, cut) if sent.datagrams > 0 => {
                    counters.replied(told, sent.bytes, cut);
                }
                Asked::One(told, _) => counters.dropped(told, Dropped::NotSent),
                Asked::Train => {
                    counters.replied_alike(sent.datagrams, sent.bytes);
                    counters.dropped_alike(refused.datagrams, refused.bytes, Dropped::NotSent);
                }
            }
        }
        self.batch.clear();
    }
}

/// Where answers leave that a fault has its hands on: now, or after a delay.
struct Post<'a> {
    socket: &'a Datagrams,
    faults: &'a mut FaultyDatagrams,
    outbox: &'a mut Outbox<(Option<IpAddr>, SocketAddr)>,
}

impl Post<'_> {
    /// Sends an answer, as the faults want it; returns how many datagrams it became.
    fn deliver(
        self,
        now: Moment,
        (from, to): (Option<IpAddr>, SocketAddr),
        bytes: &[u8],
    ) -> Result<u64, Dropped> {
        let mut became = 0;
        for portion in self.faults.handle(now, bytes.len()) {
            let part = bytes.get(portion.bytes).unwrap_or_default();
            let taken = if portion.delay.is_zero() {
                self.socket.send(from, to, part).is_ok()
            } else {
                self.outbox.handle(now + portion.delay, (from, to), part)
            };
            if !taken {
                return Err(Dropped::NotSent);
            }
            became += 1;
        }
        if became == 0 { Err(Dropped::Fault) } else { Ok(became) }
    }
}

impl AsRawFd for Mailbox {
    fn as_raw_fd(&self) -> RawFd {
        self.socket.as_raw_fd()
    }
}
