//! The datagrams of the measurement: one socket, which hears its peer alone.

use std::io::{self, ErrorKind};
use std::net::SocketAddr;
use std::time::Duration;

use socket2::{Domain, Socket, Type};
use stentor_core::moment::Moment;
use stentor_core::qualify::probe::{Climb, ClimbPlan, Output, Text, Train, TrainPlan};
use stentor_os::failure::Failure;

use super::outcome::{Kind, Trouble, Udp};
use super::pace::Pacer;
use super::phase::{Ended, Phase};
use super::{Plan, now};
use crate::complaint::Complaint;

/// Bytes of the datagrams of a train: about those of a game, a little less than of a voice.
const TRAIN_LENGTH: usize = 64;
/// Bytes of those that measure the rate: they pass every IPv6 link unfragmented (RFC 8200,
/// section 5), with room for a tunnel.
const CLIMB_LENGTH: usize = 1200;
/// The rate of the first step, in bit/s.
const CLIMB_FROM_BPS: f64 = 256e3;
/// The longest that the last rate is held.
const HOLD_MAX: Duration = Duration::from_secs(2);
/// From one datagram of a train to the next, at least and at most.
const INTERVAL_MIN: Duration = Duration::from_millis(2);
const INTERVAL_MAX: Duration = Duration::from_millis(100);
/// The part of what passes that a train may take, so that it never waits for itself.
const TRAIN_SHARE: f64 = 0.1;
/// How often is asked whether anybody answers.
const HELLOS: u32 = 4;
/// What the kernel keeps for us while this thread does something else.
const KERNEL_BUFFER: usize = 4 << 20;

/// A machine that sends numbered datagrams.
pub(super) trait Numbered {
    fn poll(&mut self, now: Moment) -> Output;
    fn handle(&mut self, now: Moment, bytes: &[u8]);
}

impl Numbered for Train {
    fn poll(&mut self, now: Moment) -> Output {
        Train::poll(self, now)
    }

    fn handle(&mut self, now: Moment, bytes: &[u8]) {
        Train::handle(self, now, bytes);
    }
}

impl Numbered for Climb {
    fn poll(&mut self, now: Moment) -> Output {
        Climb::poll(self, now)
    }

    fn handle(&mut self, now: Moment, bytes: &[u8]) {
        Climb::handle(self, now, bytes);
    }
}

/// The socket, and what is known of the path.
pub(super) struct Datagram {
    pub(super) socket: Socket,
    peer: SocketAddr,
    pub(super) text: Text,
    /// The number of the next datagram: no two of a run have the same.
    pub(super) next: u64,
    round_trip: Duration,
    rate_bps: Option<f64>,
    /// Whether an ICMP message said that nobody is there.
    refused: std::cell::Cell<bool>,
}

impl Datagram {
    /// Opens the socket and finds out whether anybody answers; `None`, with the reason in `udp`,
    /// if not.
    pub(super) fn open(
        peer: SocketAddr,
        text: Text,
        plan: &Plan,
        pacer: &mut Pacer<'_>,
        udp: &mut Option<Udp>,
    ) -> Result<(Option<Datagram>, Ended), Complaint> {
        let udp = udp.insert(Udp::default());
        let named = |operation| move |error| Failure::new(operation, format!("udp {peer}"), error);
        let socket =
            Socket::new(Domain::for_address(peer), Type::DGRAM, None).map_err(named("socket"))?;
        // As much as the system allows (net.core.rmem_max); less is no failure.
        let _ = socket.set_recv_buffer_size(KERNEL_BUFFER);
        socket.set_nonblocking(true).map_err(named("fcntl"))?;
        if let Err(error) = socket.connect(&peer.into()) {
            let complaint = Complaint::from(named("connect")(error));
            let (what, next) = (complaint.what, complaint.next);
            udp.trouble = Some(Trouble { kind: Kind::Refused, what, next });
            return Ok((None, Ended::Over));
        }
        let refused = std::cell::Cell::new(false);
        let round_trip = plan.timeout;
        let mut datagram =
            Datagram { socket, peer, text, next: 0, round_trip, rate_bps: None, refused };
        let hello = TrainPlan {
            interval: plan.timeout / HELLOS,
            until: now() + plan.timeout,
            count: HELLOS.into(),
            length: TRAIN_LENGTH,
            patience: plan.timeout,
            one_is_enough: true,
        };
        let mut hello = Train::new(now(), hello, datagram.text.clone(), 0);
        let mut phase = Phase::new("looking for UDP");
        phase.datagrams = Some((&datagram, &mut hello));
        let ended = phase.run(pacer)?;
        datagram.next = hello.next_number();
        let found = hello.report();
        match found.course.round_trips.max() {
            Some(round_trip) => datagram.round_trip = round_trip,
            None => {
                let wrong = found.cut + found.corrupted + found.strangers > 0;
                udp.trouble = Some(match (wrong, datagram.refused.get()) {
                    (true, _) => Trouble::wrong_datagrams(found.cut > 0),
                    (false, true) => Trouble::nobody(peer),
                    (false, false) => Trouble::no_answer(peer, found.sent, plan.timeout),
                });
                return Ok((None, ended));
            }
        }
        Ok((Some(datagram), ended))
    }

    /// Raises the rate until no more gets through.
    pub(super) fn climb(
        &mut self,
        span: Duration,
        plan: &Plan,
        pacer: &mut Pacer<'_>,
        udp: &mut Option<Udp>,
    ) -> Result<Ended, Complaint> {
        let climb = ClimbPlan {
            length: CLIMB_LENGTH,
            from_bps: CLIMB_FROM_BPS,
            cap_bps: plan.cap_bps,
            round_trip: self.round_trip,
            hold: (span * 2 / 3).min(HOLD_MAX),
            until: now() + span,
        };
        let mut climb = Climb::new(now(), climb, self.text.clone(), self.next);
        let mut phase = Phase::new("rate of UDP");
        phase.datagrams = Some((self, &mut climb));
        let ended = phase.run(pacer)?;
        self.next = climb.next_number();
        let climbed = climb.report();
        self.rate_bps = climbed.rate_bps;
        if let Some(udp) = udp {
            udp.climbed = Some(climbed);
        }
        Ok(ended)
    }

    /// From one datagram of a train to the next, so that it takes little of what passes.
    pub(super) fn interval(&self) -> Duration {
        let bits = TRAIN_LENGTH as f64 * 8.0;
        let slowest = self
            .rate_bps
            .map_or(INTERVAL_MAX.as_secs_f64(), |rate| bits / (rate * TRAIN_SHARE).max(1.0));
        Duration::try_from_secs_f64(slowest)
            .unwrap_or(INTERVAL_MAX)
            .clamp(INTERVAL_MIN, INTERVAL_MAX)
    }

    /// A train until a moment.
    pub(super) fn train(&self, until: Moment, plan: &Plan) -> TrainPlan {
        TrainPlan {
            interval: self.interval(),
            until,
            count: u64::MAX,
            length: TRAIN_LENGTH,
            patience: plan.timeout,
            one_is_enough: false,
        }
    }

    /// Sends the datagram of a number. What the kernel does not take is lost on the way out.
    pub(super) fn send(&self, number: u64, length: usize) -> Result<(), Failure> {
        let bytes = self.text.write(number, length);
        for _ in 0..2 {
            match self.socket.send(&bytes) {
                Ok(_) => return Ok(()),
                // The error of an earlier datagram (udp(7)): this one was not tried yet.
                Err(error) if self.is_of_the_path(&error) => {}
                Err(error) if is_full(&error) => return Ok(()),
                Err(error) => return Err(self.failure("send", error)),
            }
        }
        Ok(())
    }

    /// Takes all datagrams that have come.
    pub(super) fn receive(&self, machine: &mut dyn Numbered) -> Result<(), Failure> {
        use std::io::Read;
        let mut bytes = [0; 2048];
        loop {
            match (&self.socket).read(&mut bytes) {
                Ok(length) => machine.handle(now(), bytes.get(..length).unwrap_or_default()),
                Err(error) if error.kind() == ErrorKind::WouldBlock => return Ok(()),
                Err(error) if self.is_of_the_path(&error) => {}
                Err(error) => return Err(self.failure("recv", error)),
            }
        }
    }

    /// Whether an error is news from the path (ICMP: udp(7)), or a signal's.
    fn is_of_the_path(&self, error: &io::Error) -> bool {
        let refused = error.kind() == ErrorKind::ConnectionRefused;
        self.refused.set(self.refused.get() || refused);
        refused
            || matches!(
                error.kind(),
                ErrorKind::Interrupted | ErrorKind::HostUnreachable | ErrorKind::NetworkUnreachable
            )
    }

    fn failure(&self, operation: &'static str, error: io::Error) -> Failure {
        Failure::new(operation, format!("udp {}", self.peer), error)
    }
}

/// Whether the kernel has no room for another datagram (send(2)).
fn is_full(error: &io::Error) -> bool {
    error.kind() == ErrorKind::WouldBlock
        || stentor_os::failure::errno_name(error).is_some_and(|name| name == "ENOBUFS")
}

impl Trouble {
    fn nobody(peer: SocketAddr) -> Trouble {
        Trouble {
            kind: Kind::Refused,
            what: format!("UDP does not answer: {peer} refuses (ECONNREFUSED)"),
            next: "Nothing listens on that port of UDP; -t measures TCP alone.".to_owned(),
        }
    }

    fn no_answer(peer: SocketAddr, sent: u64, timeout: Duration) -> Trouble {
        Trouble {
            kind: Kind::Silent,
            what: format!("UDP does not answer: {sent} datagrams to {peer} in {timeout:?}"),
            next: "A firewall may drop it, or the service is TCP's alone; -t measures TCP alone, \
                   -w waits longer."
                .to_owned(),
        }
    }

    fn wrong_datagrams(cut: bool) -> Trouble {
        let what = if cut {
            "UDP answers wrongly: a part of what was asked"
        } else {
            "UDP answers wrongly: neither what was asked nor its capitals"
        };
        let next = "Measure against a service that echoes or upper-cases: stentor serve.";
        Trouble { kind: Kind::Wrong, what: what.to_owned(), next: next.to_owned() }
    }

    /// Once it answered, and then to none of so many.
    pub(super) fn fell_silent(sent: u64) -> Trouble {
        Trouble {
            kind: Kind::Broken,
            what: format!("UDP fell silent: none of {sent} datagrams was answered"),
            next: "The service has ended, or rations what it answers.".to_owned(),
        }
    }
}
