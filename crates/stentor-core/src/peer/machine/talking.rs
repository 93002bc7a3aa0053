//! The conversation on the chosen connection: lines, pings, farewells.

use super::super::channel::{Farewell, Talk};
use super::super::frame::{Frame, LINE_MAX, Violation};
use super::super::{
    End, Event, FAREWELL_LIMIT, LINES_MAX, Link, Output, PING_EVERY, Parting, SILENCE_LIMIT,
};
use super::Peer;
use crate::moment::Moment;

/// Lines are handed out together up to this many bytes.
const BATCH_BYTES: usize = 16 * 1024;

impl Talk {
    /// The other has not left.
    pub(super) fn takes_lines(&self) -> bool {
        self.theirs != Some(Farewell::Bye)
    }

    /// When there is something to do for the conversation though nothing happens.
    pub(super) fn next_time(&self, hurry: Option<Moment>) -> Moment {
        let silence = self.heard + SILENCE_LIMIT;
        let ping = (!self.is_shut() && !self.unwritten).then(|| self.spoke + PING_EVERY);
        [ping, hurry].into_iter().flatten().fold(silence, Moment::min)
    }

    /// Whether our side has ended (FIN): after `BYE`, or after both have said `END`.
    fn is_shut(&self) -> bool {
        self.ours == Some(Farewell::Bye) || (self.ours.is_some() && self.theirs.is_some())
    }
}

impl Peer {
    /// A line of the person.
    pub(super) fn line(&mut self, line: &[u8]) {
        let fits = line.len() <= LINE_MAX && !line.contains(&b'\n');
        if fits && self.queue.len() < LINES_MAX && self.takes_lines() {
            self.queue.push_back(line.to_vec());
        } else {
            self.counters.lines_left += 1;
        }
    }

    /// The other has answered our choice: what was sent with it was not in vain.
    pub(super) fn confirm(&mut self, now: Moment) {
        let Some(talk) = &mut self.talk else { return };
        (talk.confirmed, talk.heard) = (true, now);
        let sent = std::mem::take(&mut talk.sent);
        for line in self.queue.drain(..sent.min(self.queue.len())) {
            self.counters.lines_sent += 1;
            self.counters.sent_bytes += line.len() as u64;
        }
    }

    pub(super) fn written(&mut self, now: Moment, link: Link) {
        let Some(talk) = self.talk.as_mut().filter(|talk| talk.link == link) else { return };
        talk.unwritten = false;
        // Whoever takes what we say is not hurried.
        self.hurry = self.hurry.map(|_| now + FAREWELL_LIMIT);
    }

    /// Says what there is to say, if the other takes it.
    pub(super) fn speak(&mut self, now: Moment) {
        let Some(mut talk) = self.talk else { return };
        let wish = match (self.leaving || talk.theirs == Some(Farewell::Bye), self.no_more_lines) {
            (true, _) => Some(Farewell::Bye),
            (false, true) => Some(Farewell::End),
            (false, false) => None,
        };
        if wish == Some(Farewell::Bye) || talk.is_shut() {
            self.hurry.get_or_insert(now + FAREWELL_LIMIT);
        }
        if talk.unwritten {
            return;
        }
        let was_shut = talk.is_shut();
        let mut bytes = Vec::new();
        if talk.ours.is_none() {
            self.lines(&mut talk, &mut bytes);
        }
        let said_all = self.queue.len() == talk.sent;
        if said_all && wish > talk.ours && !was_shut {
            let word = if wish == Some(Farewell::Bye) { Frame::Bye } else { Frame::End };
            word.write(&mut bytes);
            talk.ours = wish;
        }
        if bytes.is_empty() && !was_shut && talk.spoke + PING_EVERY <= now && talk.confirmed {
            Frame::Ping.write(&mut bytes);
        }
        if !bytes.is_empty() {
            (talk.unwritten, talk.spoke) = (true, now);
            self.outputs.push_back(Output::Send(talk.link, bytes));
        }
        if talk.is_shut() && !was_shut {
            self.outputs.push_back(Output::Shut(talk.link));
        }
        self.talk = Some(talk);
    }

    /// Moves lines from the queue to `bytes`; unconfirmed ones stay in the queue as well.
    fn lines(&mut self, talk: &mut Talk, bytes: &mut Vec<u8>) {
        while bytes.len() < BATCH_BYTES {
            let Some(line) = self.queue.get(talk.sent) else { return };
            bytes.extend_from_slice(b"SAY ");
            bytes.extend_from_slice(line);
            bytes.push(b'\n');
            if talk.confirmed {
                self.counters.lines_sent += 1;
                self.counters.sent_bytes += line.len() as u64;
                self.queue.pop_front();
            } else {
                talk.sent += 1;
            }
        }
    }

    /// What the other says in the conversation.
    pub(super) fn hear(&mut self, now: Moment, frame: Frame) -> Result<(), Violation> {
        let Some(talk) = &mut self.talk else { return Ok(()) };
        match (frame, talk.theirs) {
            (Frame::Say(line), None) => {
                self.counters.lines_received += 1;
                self.counters.received_bytes += line.len() as u64;
                self.tell(Event::Line(line));
            }
            (Frame::Ping, None | Some(Farewell::End)) => {}
            (Frame::End, None) => {
                let was_shut = talk.is_shut();
                talk.theirs = Some(Farewell::End);
                let shut = talk.is_shut() && !was_shut;
                let link = talk.link;
                if shut {
                    self.hurry = Some(now + FAREWELL_LIMIT);
                    self.outputs.push_back(Output::Shut(link));
                } else if !self.leaving {
                    self.tell(Event::TheirEnd);
                }
            }
            (Frame::Bye, None | Some(Farewell::End)) => talk.theirs = Some(Farewell::Bye),
            (Frame::Say(_), Some(_)) => return Err(Violation::Untimely("SAY")),
            (Frame::Ping, Some(_)) => return Err(Violation::Untimely("PING")),
            (Frame::End, Some(_)) => return Err(Violation::Untimely("END")),
            (Frame::Bye, Some(_)) => return Err(Violation::Untimely("BYE")),
            (Frame::Peer(..), _) => return Err(Violation::Untimely("PEER")),
            (Frame::Talk, _) => return Err(Violation::Untimely("TALK")),
            (Frame::Busy, _) => return Err(Violation::Untimely("BUSY")),
            (Frame::Twice, _) => return Err(Violation::Untimely("TWICE")),
        }
        Ok(())
    }

    /// The other has ended its side: in order only after a farewell.
    pub(super) fn their_end(&mut self, now: Moment) {
        // Our own BYE may just be due.
        self.speak(now);
        let Some(talk) = self.talk.as_mut() else { return };
        match (talk.is_shut(), talk.theirs) {
            (true, Some(_)) if !talk.unwritten => {
                let parting = self.parting();
                self.part(now, parting);
            }
            // The last of our lines are on their way; the other still reads.
            (_, Some(Farewell::Bye)) | (true, Some(_)) => talk.ended = true,
            (_, Some(Farewell::End) | None) => self.part(now, Parting::Broken),
        }
    }

    /// The connection broke: after both farewells that is nobody's loss.
    pub(super) fn lost(&mut self, now: Moment) {
        let done = self
            .talk
            .is_some_and(|talk| talk.is_shut() && talk.theirs.is_some() && !talk.unwritten);
        let parting = if done { self.parting() } else { Parting::Broken };
        self.part(now, parting);
    }

    fn parting(&self) -> Parting {
        match self.talk.and_then(|talk| talk.theirs) {
            _ if self.leaving => Parting::WeLeft,
            Some(Farewell::Bye) => Parting::TheyLeft,
            Some(Farewell::End) | None => Parting::BothEnded,
        }
    }

    pub(super) fn expire_talk(&mut self, now: Moment) {
        let Some(talk) = self.talk.filter(|talk| talk.confirmed) else {
            // The person leaves while our choice is unanswered.
            if self.leaving && self.hurry.is_some_and(|end| end <= now) {
                self.finish(End::Left);
            }
            return;
        };
        if talk.ended && talk.is_shut() && !talk.unwritten {
            let parting = self.parting();
            self.part(now, parting);
        } else if talk.heard + SILENCE_LIMIT <= now {
            self.part(now, Parting::Silent);
        } else if self.hurry.is_some_and(|end| end <= now) {
            // Whoever left us has heard all it wanted, in time or not.
            let theirs = talk.theirs.is_some() && talk.is_shut() && !talk.unwritten;
            let parting = if theirs { self.parting() } else { Parting::Unanswered };
            self.part(now, parting);
        }
    }

    /// The conversation is over: the next one, or all.
    pub(super) fn part(&mut self, now: Moment, parting: Parting) {
        if let Some(talk) = self.talk.take() {
            self.search.ended(talk.link, now);
            self.close(talk.link);
        }
        // They were meant for who has gone, and for nobody else.
        self.counters.lines_left += self.queue.len() as u64;
        self.queue.clear();
        self.hurry = None;
        self.tell(Event::Parted(parting.clone()));
        if self.settings.keep && !self.leaving {
            self.search.rest(now);
        } else {
            self.finish(End::Parted(parting));
        }
    }
}
