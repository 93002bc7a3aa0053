//! The player's end of a film over UDP: asks for it, reads what comes, reports, and says what it came
//! to.
//!
//! What is buffered beyond the application's buffer is not read: the kernel keeps it while it has
//! room, and drops the rest, which it counts.

use std::io::{self, ErrorKind};
use std::net::{SocketAddr, UdpSocket};
use std::os::fd::AsFd;
use std::time::Duration;

use stentor_core::moment::Moment;
use stentor_core::video::playout::{Delay, Fate, Packet, Played, Playout};
use stentor_core::video::rtp::words::{Answer, Description, Request};
use stentor_core::video::rtp::{CLOCK_HZ, Control, Header, Report, Unwrap, span_of};
use stentor_os::failure::Failure;
use stentor_os::net::poll::{self, Watch};
use stentor_os::net::queues;
use stentor_os::signal::Interrupts;

use super::super::outcome::Trouble;
use super::{DATAGRAM_MAX, now};
use crate::complaint::Exit;

/// How often is asked for the film until there is an answer.
const ASK_EVERY: Duration = Duration::from_millis(250);
/// How often the origin hears that we are there, and how it goes.
const REPORT_EVERY: Duration = Duration::from_secs(1);
/// How often the buffer is looked at for the picture, and progress is told.
const LOOK_EVERY: Duration = Duration::from_millis(50);
/// The most looks that are kept: then every second one is forgotten.
const LOOKS_MAX: usize = 4096;
/// How much silence after the end of play it takes for what is missing to be lost.
const LINGER: Duration = Duration::from_millis(500);
/// Packets that may come before the words that announce them.
const EARLY_MAX: usize = 1024;
/// Datagrams that are read before anything else has its turn.
const READS_PER_TURN: usize = 256;

/// What is played, and how.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Plan {
    /// The origin, or the near end of a link before it.
    pub peer: SocketAddr,
    /// From 0, the lowest.
    pub quality: usize,
    /// When what comes is played.
    pub delay: Delay,
    /// How much film the application buffers (the book's B).
    pub buffer: Duration,
    /// After how much silence it is over.
    pub patience: Duration,
}

/// A look at the buffer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Look {
    /// Since the first packet.
    pub at: Duration,
    /// What was buffered.
    pub level: Duration,
    /// The jitter so far.
    pub jitter: Duration,
    /// Packets that have come, and that must have been sent for it.
    pub come: u64,
    /// See `come`.
    pub sent: u64,
}

/// What a film over UDP came to.
#[derive(Clone, Debug, Default)]
pub struct Outcome {
    /// What the origin said it sends; `None` if it said nothing.
    pub film: Option<Description>,
    /// What was played.
    pub played: Played,
    /// Bytes of film that came in time.
    pub bytes: u64,
    /// Datagrams that the kernel dropped because nobody read them in time; `None` where it does not
    /// say.
    pub dropped: Option<u64>,
    /// Datagrams that were no packet of this film.
    pub strangers: u64,
    /// How often reading stopped because the application's buffer was full.
    pub full: u64,
    /// The buffer over time.
    pub looks: Vec<Look>,
    /// From the first packet to the end.
    pub took: Duration,
    /// From the first request to the first packet.
    pub asked: Duration,
    /// Whether a signal ended it.
    pub interrupted: bool,
    /// Why it did not come to the film's end, and how the run ends for it.
    pub trouble: Option<(Exit, Trouble)>,
}

/// Plays a film; `progress` is told how it goes.
///
/// # Errors
/// What the system refuses here. What the other end does is in the outcome.
pub fn run(
    plan: Plan,
    interrupts: &Interrupts,
    progress: &mut dyn FnMut(&Look, &Description),
) -> Result<Outcome, Failure> {
    let named =
        |operation| move |error| Failure::new(operation, format!("udp {}", plan.peer), error);
    let any: SocketAddr = match plan.peer {
        SocketAddr::V4(_) => (std::net::Ipv4Addr::UNSPECIFIED, 0).into(),
        SocketAddr::V6(_) => (std::net::Ipv6Addr::UNSPECIFIED, 0).into(),
    };
    let socket = UdpSocket::bind(any).map_err(named("bind"))?;
    socket.connect(plan.peer).map_err(named("connect"))?;
    socket.set_nonblocking(true).map_err(named("fcntl"))?;
    let mut player = Player::new(plan, socket);
    player.run(interrupts, progress).map_err(named("poll"))?;
    Ok(player.finish())
}

/// What the words came to.
struct Film {
    told: Description,
    numbers: Unwrap,
    stamps: Unwrap,
}

/// What was said in the last report.
#[derive(Default)]
struct Reported {
    at: Option<Moment>,
    come: u64,
    sent: u64,
}

struct Player {
    plan: Plan,
    socket: UdpSocket,
    began: Moment,
    asked_at: Option<Moment>,
    token: Option<u64>,
    film: Option<Film>,
    early: Vec<(Moment, Vec<u8>)>,
    playout: Playout,
    first: Option<Moment>,
    /// When something came that leads on.
    heard: Moment,
    looked: Option<Moment>,
    reported: Reported,
    /// Whether the origin has sent everything.
    complete: bool,
    is_full: bool,
    ended: bool,
    outcome: Outcome,
}

impl Player {
    fn new(plan: Plan, socket: UdpSocket) -> Player {
        let began = now();
        Player {
            plan,
            socket,
            began,
            asked_at: None,
            token: None,
            film: None,
            early: Vec::new(),
            playout: Playout::new(plan.delay),
            first: None,
            heard: began,
            looked: None,
            reported: Reported::default(),
            complete: false,
            is_full: false,
            ended: false,
            outcome: Outcome::default(),
        }
    }

    fn run(
        &mut self,
        interrupts: &Interrupts,
        progress: &mut dyn FnMut(&Look, &Description),
    ) -> io::Result<()> {
        while !self.ended {
            self.ask_or_report();
            let mut watches = [
                Watch::new(self.socket.as_fd(), !self.is_full, false),
                Watch::new(interrupts.as_fd(), true, false),
            ];
            poll::wait(&mut watches, Some(self.rest()))?;
            let [socket, signal] = watches.map(|watch| watch.readable);
            if signal && interrupts.taken() > 0 {
                self.outcome.interrupted = true;
                return Ok(());
            }
            if socket {
                self.read()?;
            }
            self.look(progress);
            self.judge();
        }
        Ok(())
    }

    /// Says what is due: who waits for the film asks for it, who plays it reports.
    fn ask_or_report(&mut self) {
        let now = now();
        let due = |last: Option<Moment>, every| last.is_none_or(|last| now.since(last) >= every);
        if self.film.is_none() && due(self.asked_at, ASK_EVERY) {
            self.asked_at = Some(now);
            let request = Request { quality: self.plan.quality, token: self.token };
            // What does not get there is said again.
            let _ = self.socket.send(&request.to_bytes());
        } else if due(self.reported.at, REPORT_EVERY)
            && let Some(report) = self.report(now)
        {
            let _ = self.socket.send(&report.to_bytes());
        }
    }

    /// What is to be said of the stream (RFC 3550, 6.4.1), if there is one.
    fn report(&mut self, now: Moment) -> Option<Control> {
        let film = self.film.as_ref()?;
        let (come, sent) = self.playout.progress();
        let new_sent = sent.saturating_sub(self.reported.sent);
        let new_lost = new_sent.saturating_sub(come.saturating_sub(self.reported.come));
        self.reported = Reported { at: Some(now), come, sent };
        let Some(last) = sent.checked_sub(1) else {
            return Some(Control::Present(!film.told.source));
        };
        let share = (new_lost * 256).checked_div(new_sent).unwrap_or(0);
        let jitter = self.playout.jitter().as_nanos() * u128::from(CLOCK_HZ) / 1_000_000_000;
        let highest = u64::from(film.told.sequence) + last;
        Some(Control::Report(Report {
            reporter: !film.told.source,
            source: film.told.source,
            lost_share: u8::try_from(share).unwrap_or(u8::MAX),
            lost: i32::try_from(sent - come).unwrap_or(i32::MAX),
            highest: u32::try_from(highest % (1 << 32)).unwrap_or(0),
            jitter: u32::try_from(jitter).unwrap_or(u32::MAX),
        }))
    }

    /// How long nothing is due.
    fn rest(&self) -> Duration {
        let now = now();
        let left = |last: Option<Moment>, every: Duration| {
            last.map_or(Duration::ZERO, |last| every.saturating_sub(now.since(last)))
        };
        match self.film {
            None => left(self.asked_at, ASK_EVERY),
            Some(_) => left(self.reported.at, REPORT_EVERY).min(left(self.looked, LOOK_EVERY)),
        }
    }

    fn read(&mut self) -> io::Result<()> {
        let mut datagram = [0; DATAGRAM_MAX];
        for _ in 0..READS_PER_TURN {
            if self.is_full || self.ended {
                return Ok(());
            }
            match self.socket.recv(&mut datagram) {
                Ok(count) => self.take(now(), datagram.get(..count).unwrap_or_default()),
                Err(error) if error.kind() == ErrorKind::WouldBlock => return Ok(()),
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) if error.kind() == ErrorKind::ConnectionRefused => {
                    self.nobody();
                    return Ok(());
                }
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }

    fn take(&mut self, now: Moment, datagram: &[u8]) {
        if Control::is_one(datagram) {
            match Control::read(datagram) {
                Ok(Control::Goodbye(source)) if self.is_ours(source) => self.complete = true,
                Ok(Control::Stopped(source)) if self.is_ours(source) => self.stopped(),
                _ => self.outcome.strangers += 1,
            }
        } else if let Ok(answer) = Answer::read(datagram) {
            self.hear(now, answer);
        } else if self.film.is_some() {
            self.play(now, datagram);
        } else if self.early.len() < EARLY_MAX {
            self.early.push((now, datagram.to_vec()));
        }
    }

    fn is_ours(&self, source: u32) -> bool {
        self.film.as_ref().is_some_and(|film| film.told.source == source)
    }

    /// The origin ends before its film does, which is nothing to whoever has it all.
    fn stopped(&mut self) {
        if !self.complete {
            let what = format!("udp {}: the origin stopped before the film's end", self.plan.peer);
            self.give_up(Exit::Bad, what, "");
        }
    }

    fn hear(&mut self, now: Moment, answer: Answer) {
        match answer {
            Answer::Token(token) if self.film.is_none() => {
                // At once the first time. An origin that began anew has other tokens: then when the
                // next turn to ask comes.
                if self.token.replace(token).is_none() {
                    self.asked_at = None;
                    self.heard = now;
                }
            }
            Answer::Film(told) if self.film.is_none() => {
                self.heard = now;
                self.outcome.film = Some(told);
                let numbers = Unwrap::new(told.sequence.into(), 16);
                let stamps = Unwrap::new(told.timestamp.into(), 32);
                self.film = Some(Film { told, numbers, stamps });
                for (at, packet) in std::mem::take(&mut self.early) {
                    self.play(at, &packet);
                }
            }
            Answer::Refused(why) if self.film.is_none() => {
                let what = format!("udp {}: the origin refuses: {why}", self.plan.peer);
                self.give_up(Exit::Bad, what, "Another --quality, or later.");
            }
            // Said twice.
            Answer::Token(_) | Answer::Film(_) | Answer::Refused(_) => {}
        }
    }

    fn play(&mut self, now: Moment, datagram: &[u8]) {
        let Some(film) = &mut self.film else { return };
        let header = Header::read(datagram);
        let Some((header, payload)) =
            header.ok().filter(|(header, _)| header.source == film.told.source)
        else {
            self.outcome.strangers += 1;
            return;
        };
        let number = film.numbers.feed(header.sequence.into());
        let number = number.filter(|number| *number < film.told.packets);
        let plays = film.stamps.feed(header.timestamp.into()).map(span_of);
        // What plays after the film's end would be waited for.
        let plays = plays.filter(|plays| *plays <= film.told.length);
        let (Some(number), Some(plays)) = (number, plays) else {
            self.outcome.strangers += 1;
            return;
        };
        self.heard = now;
        if self.first.is_none() {
            self.first = Some(now);
            self.outcome.asked = now.since(self.began);
        }
        let packet = Packet { number, plays, marker: header.marker };
        if let Fate::InTime(_) = self.playout.handle(now, packet) {
            self.outcome.bytes += payload.len() as u64;
        }
        let (_, sent) = self.playout.progress();
        self.complete |= sent == film.told.packets;
        if self.holds_enough(now) {
            self.is_full = true;
            self.outcome.full += 1;
        }
    }

    /// Whether the application's buffer is full; one that holds nothing never is.
    fn holds_enough(&self, now: Moment) -> bool {
        let level = self.playout.level(now);
        level >= self.plan.buffer && !level.is_zero()
    }

    /// Looks at the buffer, when it is time.
    fn look(&mut self, progress: &mut dyn FnMut(&Look, &Description)) {
        let now = now();
        let level = self.playout.level(now);
        self.is_full &= self.holds_enough(now);
        let (Some(first), Some(film)) = (self.first, &self.film) else { return };
        if self.looked.is_some_and(|looked| now.since(looked) < LOOK_EVERY) {
            return;
        }
        self.looked = Some(now);
        let (come, sent) = self.playout.progress();
        let look = Look { at: now.since(first), level, jitter: self.playout.jitter(), come, sent };
        progress(&look, &film.told);
        if self.outcome.looks.len() == LOOKS_MAX {
            let mut keep = false;
            self.outcome.looks.retain(|_| {
                keep = !keep;
                keep
            });
        }
        self.outcome.looks.push(look);
    }

    /// Whether it is over: everything was played, or nothing comes any more.
    fn judge(&mut self) {
        let now = now();
        if self.complete && self.playout.level(now).is_zero() {
            let (come, _) = self.playout.progress();
            let all = self.film.as_ref().is_some_and(|film| come >= film.told.packets);
            // What is still on its way is late, and not lost.
            self.ended = all || now.since(self.heard) >= LINGER;
            return;
        }
        // What is not read may be there.
        if self.is_full || self.complete || now.since(self.heard) < self.plan.patience {
            return;
        }
        let (peer, patience) = (self.plan.peer, self.plan.patience);
        let what = match (&self.film, self.first) {
            (None, _) => format!("udp {peer}: no answer within {patience:?}"),
            (Some(_), None) => {
                format!("udp {peer}: the film was announced, and nothing came in {patience:?}")
            }
            (Some(_), Some(_)) => {
                format!("udp {peer}: the film stopped: nothing came for {patience:?}")
            }
        };
        self.give_up(
            Exit::Bad,
            what,
            "Does stentor video serve --udp run there? A firewall, a link?",
        );
    }

    fn nobody(&mut self) {
        let what = format!("udp {}: connection refused (ECONNREFUSED)", self.plan.peer);
        let exit = if self.first.is_none() { Exit::Environment } else { Exit::Bad };
        self.give_up(exit, what, "Start an origin there: stentor video serve --udp.");
    }

    fn give_up(&mut self, exit: Exit, what: String, next: &str) {
        self.outcome.trouble = Some((exit, Trouble { what, next: next.to_owned() }));
        self.ended = true;
    }

    fn finish(self) -> Outcome {
        let now = now();
        if let Some(film) = &self.film {
            let _ = self.socket.send(&Control::Goodbye(!film.told.source).to_bytes());
        }
        let (_, sent) = self.playout.progress();
        // Whoever leaves early lost only what must have been sent by then.
        let sent = match (&self.film, self.complete) {
            (Some(film), true) => film.told.packets,
            _ => sent,
        };
        Outcome {
            played: self.playout.finish(sent),
            dropped: queues::dropped(&self.socket).ok(),
            took: self.first.map_or(Duration::ZERO, |first| now.since(first)),
            ..self.outcome
        }
    }
}
