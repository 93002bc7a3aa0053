//! A part of the measurement: datagrams, questions and bulk side by side on one loop.

use std::os::fd::AsFd;
use std::time::Duration;

use stentor_core::moment::Moment;
use stentor_core::qualify::probe::{Bulk, BulkPlan, Output, Questions, Train};
use stentor_os::failure::Failure;
use stentor_os::net::poll::Watch;

use super::datagrams::{Datagram, Numbered};
use super::outcome::{Outcome, Trouble};
use super::pace::Pacer;
use super::stream::{Line, Streams};
use super::{Plan, now};
use crate::complaint::Complaint;

/// How a part ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Ended {
    Over,
    Interrupted,
}

/// Things done before the sockets are looked at again.
const SHARE: usize = 64;

/// What goes on at the same time.
pub(super) struct Phase<'a, 's> {
    pub(super) doing: &'static str,
    pub(super) datagrams: Option<(&'a Datagram, &'a mut dyn Numbered)>,
    pub(super) questions: Option<(&'a mut Line, &'a mut Questions<'s>)>,
    pub(super) bulk: Option<(&'a mut Line, &'a mut Bulk<'s>)>,
    /// Why the streams ended before their time.
    pub(super) trouble: Option<Trouble>,
}

impl<'a, 's> Phase<'a, 's> {
    pub(super) fn new(doing: &'static str) -> Phase<'a, 's> {
        Phase { doing, datagrams: None, questions: None, bulk: None, trouble: None }
    }

    /// Goes on until all machines are over.
    pub(super) fn run(&mut self, pacer: &mut Pacer<'_>) -> Result<Ended, Failure> {
        loop {
            if pacer.interrupted() {
                return Ok(Ended::Interrupted);
            }
            pacer.tell(now(), self.doing);
            let next = [self.datagrams(pacer)?, self.questions(pacer), self.bulk()];
            let Some(until) = next.into_iter().flatten().min() else { return Ok(Ended::Over) };
            let mut watches = Vec::with_capacity(5);
            if let Some((datagram, _)) = &self.datagrams {
                watches.push(Watch::new(datagram.socket.as_fd(), true, false));
            }
            let lines = [
                self.questions.as_ref().map(|(line, _)| &**line),
                self.bulk.as_ref().map(|(line, _)| &**line),
            ];
            for line in lines.into_iter().flatten() {
                watches.push(Watch::new(line.socket.as_fd(), true, line.is_full()));
            }
            pacer.wait(watches, until)?;
        }
    }

    /// When datagrams want to be looked at again; `None`: they are over.
    fn datagrams(&mut self, pacer: &mut Pacer<'_>) -> Result<Option<Moment>, Failure> {
        let Some((datagram, machine)) = &mut self.datagrams else { return Ok(None) };
        for _ in 0..SHARE {
            datagram.receive(&mut **machine)?;
            match machine.poll(now()) {
                Output::Send { number, length, late } => {
                    datagram.send(number, length)?;
                    if let Some(late) = late {
                        pacer.late.record(late);
                    }
                }
                Output::Wait(until) => return Ok(Some(until)),
                Output::Over => return Ok(None),
            }
        }
        Ok(Some(now()))
    }

    fn questions(&mut self, pacer: &mut Pacer<'_>) -> Option<Moment> {
        let (line, machine) = self.questions.as_mut()?;
        let went = line.receive(&mut |now, bytes| machine.handle(now, bytes));
        let went = went.and_then(|()| match machine.poll(now()) {
            Output::Send { number, length, late } => {
                pacer.late.record(late.unwrap_or_default());
                line.queue(number, length);
                line.flush()?;
                Ok(Some(now()))
            }
            Output::Wait(until) => line.flush().map(|_| Some(until)),
            Output::Over if machine.has_given_up() => {
                Err(Trouble::silent(machine.missing_bytes(), machine.sent_bytes()))
            }
            Output::Over => Ok(None),
        });
        match went {
            Ok(next) => next,
            Err(trouble) => {
                self.trouble = Some(trouble);
                self.questions = None;
                None
            }
        }
    }

    fn bulk(&mut self) -> Option<Moment> {
        let (line, machine) = self.bulk.as_mut()?;
        let mut went = line.receive(&mut |now, bytes| machine.handle(now, bytes)).map(|()| None);
        for _ in 0..SHARE {
            if went.is_err() {
                break;
            }
            match machine.poll(now()) {
                Output::Send { number, length, .. } => {
                    went = line.offer(number, length).map(|taken| {
                        machine.sent(taken);
                        Some(now())
                    });
                    if line.is_full() {
                        // The kernel says when there is room; the end is not far.
                        went = went.map(|_| Some(now() + Duration::from_millis(50)));
                        break;
                    }
                }
                Output::Wait(until) => {
                    went = Ok(Some(until));
                    break;
                }
                Output::Over => {
                    went = Ok(None);
                    break;
                }
            }
        }
        match went {
            Ok(next) => next,
            Err(trouble) => {
                self.trouble = Some(trouble);
                self.bulk = None;
                None
            }
        }
    }
}

/// Datagrams and questions with nothing beside them.
pub(super) fn alone(
    datagram: &mut Option<Datagram>,
    streams: &mut Option<Streams>,
    span: Duration,
    plan: &Plan,
    pacer: &mut Pacer<'_>,
    outcome: &mut Outcome,
) -> Result<Ended, Complaint> {
    let until = now() + span;
    let mut train = datagram.as_ref().map(|datagram| {
        Train::new(now(), datagram.train(until, plan), datagram.text.clone(), datagram.next)
    });
    let letters = streams.as_ref().map(|streams| streams.letters.clone());
    let mut questions = letters.as_ref().map(|letters| Streams::questions(letters, until, plan));
    let mut phase = Phase::new("round trips");
    if let (Some(datagram), Some(train)) = (datagram.as_ref(), &mut train) {
        phase.datagrams = Some((datagram, train));
    }
    if let (Some(streams), Some(questions)) = (streams.as_mut(), &mut questions) {
        phase.questions = Some((&mut streams.line, questions));
    }
    let ended = phase.run(pacer)?;
    let trouble = phase.trouble.take();
    if let (Some(udp), Some(train), Some(datagram)) = (&mut outcome.udp, train, datagram) {
        datagram.next = train.next_number();
        udp.interval = datagram.interval();
        let trained = train.report();
        if trained.answered == 0 && ended == Ended::Over {
            udp.trouble = Some(Trouble::fell_silent(trained.sent));
        }
        udp.train = Some(trained);
    }
    if let (Some(tcp), Some(questions)) = (&mut outcome.tcp, questions) {
        tcp.count(&questions, trouble.is_some());
        tcp.messages = Some(questions.course().clone());
        if trouble.is_some() {
            tcp.trouble = trouble;
            *streams = None;
        }
    }
    Ok(ended)
}

/// The same beside a bulk transfer: what is left of it under load.
pub(super) fn loaded(
    datagram: &mut Option<Datagram>,
    streams: &mut Streams,
    span: Duration,
    plan: &Plan,
    pacer: &mut Pacer<'_>,
    outcome: &mut Outcome,
) -> Result<Ended, Complaint> {
    let Some(tcp) = &mut outcome.tcp else { return Ok(Ended::Over) };
    let Some(mut bulk_line) = streams.another(plan, pacer, tcp)? else {
        return Ok(if pacer.interrupted() { Ended::Interrupted } else { Ended::Over });
    };
    let began = now();
    let until = began + span;
    // A new connection starts slowly (RFC 5681): what comes in its first third does not count.
    let counted_from = began + span / 3;
    let letters = streams.letters.clone();
    let bulk = BulkPlan { cap_bps: plan.cap_bps, counted_from, until };
    let mut bulk = Bulk::new(began, bulk, &letters);
    let mut questions = Streams::questions(&letters, until, plan);
    let mut train = datagram.as_ref().map(|datagram| {
        Train::new(began, datagram.train(until, plan), datagram.text.clone(), datagram.next)
    });
    let mut phase = Phase::new("bulk transfer, and round trips beside it");
    if let (Some(datagram), Some(train)) = (datagram.as_ref(), &mut train) {
        phase.datagrams = Some((datagram, train));
    }
    phase.questions = Some((&mut streams.line, &mut questions));
    phase.bulk = Some((&mut bulk_line, &mut bulk));
    let ended = phase.run(pacer)?;
    let trouble = phase.trouble.take();
    bulk_line.abort();
    tcp.count(&questions, trouble.is_some());
    tcp.loaded = Some(questions.course().clone());
    tcp.throughput_bps = bulk.rate_bps();
    tcp.capped = bulk.is_capped();
    tcp.sent_bytes += bulk.sent_bytes();
    tcp.verified_bytes += bulk.verified_bytes();
    let under_way = bulk.sent_bytes() - bulk.verified_bytes();
    match trouble {
        Some(trouble) => {
            tcp.missing_bytes += under_way;
            tcp.trouble = Some(trouble);
        }
        None => tcp.unawaited_bytes += under_way,
    }
    if let (Some(udp), Some(train)) = (&mut outcome.udp, train) {
        udp.loaded = Some(train.report());
    }
    Ok(ended)
}
