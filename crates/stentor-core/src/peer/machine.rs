//! The machine of one peer: greeting, choice, conversation, farewell.
//!
//! What is said once a connection is chosen is in [`talking`]; whom to dial in `search`.

mod talking;

use std::collections::VecDeque;
use std::net::SocketAddr;

use super::channel::{Channel, Stage, Talk};
use super::frame::{Frame, Id, Name, Violation};
use super::search::Search;
use super::{
    CHANNELS_MAX, Counters, Dialler, End, Event, FAREWELL_LIMIT, GREETING_LIMIT, Input, Link,
    Output, Refusal, Settings,
};
use crate::moment::Moment;

/// Of [`CHANNELS_MAX`], those that strangers cannot take.
const OURS: usize = 4;

/// One of two equals.
#[derive(Debug)]
pub struct Peer {
    settings: Settings,
    links: u64,
    channels: Vec<Channel>,
    search: Search,
    /// When a person's address is given up; `None` once there was a conversation.
    patience_ends: Option<Moment>,
    /// It was given up; what is under way may still come to a conversation.
    gave_up: bool,
    talk: Option<Talk>,
    queue: VecDeque<Vec<u8>>,
    no_more_lines: bool,
    leaving: bool,
    /// When a farewell that the other does not answer is over.
    hurry: Option<Moment>,
    outputs: VecDeque<Output>,
    counters: Counters,
    over: Option<End>,
}

impl Peer {
    /// A peer that waits to be dialled; `addresses` are those of the place a person named, in the
    /// order to try, or none.
    pub fn new(settings: Settings, addresses: &[SocketAddr], now: Moment) -> Peer {
        let mut search = Search::default();
        let mut patience_ends = None;
        if !addresses.is_empty() {
            search.fix(addresses, now);
            patience_ends = Some(now + settings.patience);
        }
        Peer {
            settings,
            links: 0,
            channels: Vec::new(),
            search,
            patience_ends,
            gave_up: false,
            talk: None,
            queue: VecDeque::new(),
            no_more_lines: false,
            leaving: false,
            hurry: None,
            outputs: VecDeque::new(),
            counters: Counters::default(),
            over: None,
        }
    }

    /// A number for a connection that somebody made to us.
    pub fn next_link(&mut self) -> Link {
        self.links += 1;
        Link(self.links)
    }

    /// What this peer is known by.
    pub fn id(&self) -> Id {
        self.settings.id
    }

    /// Whether a line of the person would be taken: there is a conversation, and room.
    pub fn takes_lines(&self) -> bool {
        let wanted = self.talk.as_ref().is_some_and(Talk::takes_lines);
        wanted && !self.leaving && !self.no_more_lines && self.queue.len() < super::LINES_MAX
    }

    /// Whether a conversation has begun and is not over.
    pub fn is_talking(&self) -> bool {
        self.talk.is_some_and(|talk| talk.confirmed)
    }

    /// What has become of connections and lines; complete once it is over.
    pub fn counters(&self) -> &Counters {
        &self.counters
    }

    /// Takes what happened. After [`Output::Over`] nothing is taken any more.
    pub fn handle(&mut self, now: Moment, input: Input<'_>) {
        if self.over.is_some() {
            if let Input::Accepted(link) = input {
                self.outputs.push_back(Output::Close(link));
            }
            return;
        }
        match input {
            Input::Time => {}
            Input::Found { key, id, name, addresses } => {
                let wanted = self.settings.wanted.as_ref();
                if id != Some(self.settings.id) && wanted.is_none_or(|w| name.as_ref() == Some(w)) {
                    self.search.found(key, id, addresses, now);
                }
            }
            Input::Gone(key) => self.search.gone(key),
            Input::Accepted(link) => self.accepted(now, link),
            Input::Connected(link) => self.connected(now, link),
            Input::Failed(link) => self.failed(now, link),
            Input::Bytes(link, bytes) => self.bytes(now, link, bytes),
            Input::Ended(link) => self.ended(now, link),
            Input::Broken(link) => self.broken(now, link),
            Input::Written(link) => self.written(now, link),
            Input::Line(line) => self.line(line),
            Input::NoMoreLines => self.no_more_lines = true,
            Input::Leave => self.leaving = true,
        }
        self.speak(now);
        if self.leaving && self.talk.is_none() && self.over.is_none() {
            self.finish(End::Left);
        }
    }

    /// What to do next; to be asked until it is [`Output::Wait`], [`Output::Idle`] or
    /// [`Output::Over`].
    pub fn poll(&mut self, now: Moment) -> Output {
        if self.outputs.is_empty() && self.over.is_none() {
            self.expire(now);
            self.speak(now);
            self.search(now);
        }
        if let Some(output) = self.outputs.pop_front() {
            return output;
        }
        match (&self.over, self.next_time()) {
            (Some(end), _) => Output::Over(end.clone()),
            (None, Some(moment)) => Output::Wait(moment),
            (None, None) => Output::Idle,
        }
    }

    fn next_time(&self) -> Option<Moment> {
        let channels = self.channels.iter().filter(|channel| channel.stage != Stage::Talking);
        let channels = channels.map(|channel| channel.until).min();
        let talk = self.talk.as_ref().map(|talk| talk.next_time(self.hurry));
        let idle = self.talk.is_none();
        let dial = self.search.next_due(&self.reached()).filter(|_| idle && self.may_dial());
        let patience = self.patience_ends.filter(|_| idle);
        [channels, talk, dial, patience].into_iter().flatten().min()
    }

    /// Who is greeting us already.
    fn reached(&self) -> Vec<Id> {
        self.channels.iter().filter_map(|channel| channel.other.as_ref()).map(|o| o.0).collect()
    }

    fn may_dial(&self) -> bool {
        let ours = self.channels.iter().filter(|channel| channel.dialler == Dialler::Us);
        ours.count() < OURS && !self.leaving
    }

    /// Whether no connection can still become a conversation.
    fn is_alone(&self) -> bool {
        self.channels.iter().all(|channel| channel.stage == Stage::Closing)
    }

    fn search(&mut self, now: Moment) {
        if self.talk.is_some() || self.over.is_some() {
            return;
        }
        if self.patience_ends.is_some_and(|end| end <= now) {
            (self.patience_ends, self.gave_up) = (None, true);
            self.search.give_up_fixed();
        }
        if self.gave_up && self.is_alone() {
            return self.finish(End::Unreachable);
        }
        while self.may_dial() {
            let link = Link(self.links + 1);
            let Some(address) = self.search.due(now, link, &self.reached()) else { return };
            self.links += 1;
            self.counters.dialled += 1;
            let until = now + GREETING_LIMIT;
            self.channels.push(Channel::new(link, Dialler::Us, Stage::Dialling, until));
            self.outputs.push_back(Output::Dial(link, address));
        }
    }

    fn channel(&mut self, link: Link) -> Option<&mut Channel> {
        self.channels.iter_mut().find(|channel| channel.link == link)
    }

    fn stage(&self, link: Link) -> Option<Stage> {
        self.channels.iter().find(|channel| channel.link == link).map(|channel| channel.stage)
    }

    fn send(&mut self, link: Link, frame: &Frame) {
        let mut bytes = Vec::new();
        frame.write(&mut bytes);
        self.outputs.push_back(Output::Send(link, bytes));
    }

    fn tell(&mut self, event: Event) {
        self.outputs.push_back(Output::Tell(event));
    }

    fn greeting(&self) -> Frame {
        Frame::Peer(self.settings.id, self.settings.name.clone())
    }

    fn accepted(&mut self, now: Moment, link: Link) {
        self.counters.accepted += 1;
        let theirs = self.channels.iter().filter(|channel| channel.dialler == Dialler::Them);
        if theirs.count() >= CHANNELS_MAX - OURS {
            self.counters.unfinished += 1;
            self.tell(Event::Refused(link, Refusal::TooMany));
            self.outputs.push_back(Output::Close(link));
            return;
        }
        let until = now + GREETING_LIMIT;
        self.channels.push(Channel::new(link, Dialler::Them, Stage::Greeting, until));
    }

    fn connected(&mut self, now: Moment, link: Link) {
        if let Some(channel) = self.channel(link) {
            (channel.stage, channel.until) = (Stage::Greeting, now + GREETING_LIMIT);
            let greeting = self.greeting();
            self.send(link, &greeting);
        }
    }

    fn failed(&mut self, now: Moment, link: Link) {
        if self.stage(link) == Some(Stage::Dialling) {
            self.counters.unreached += 1;
            self.search.ended(link, now);
            self.channels.retain(|channel| channel.link != link);
        }
    }

    fn bytes(&mut self, now: Moment, link: Link, bytes: &[u8]) {
        let Some(channel) = self.channel(link) else { return };
        if channel.stage == Stage::Closing {
            return;
        }
        let (frames, violation) = channel.reader.feed(bytes);
        if let Some(talk) = self.talk.as_mut().filter(|talk| talk.link == link) {
            talk.heard = now;
        }
        for frame in frames {
            let refused = self.frame(now, link, frame);
            if let Err(violation) = refused {
                return self.violated(now, link, violation);
            }
        }
        if let Some(violation) = violation {
            self.violated(now, link, violation);
        }
    }

    fn frame(&mut self, now: Moment, link: Link, frame: Frame) -> Result<(), Violation> {
        let stage = self.stage(link);
        match (frame, stage) {
            // It may have been closed by the frame before.
            (_, None | Some(Stage::Closing | Stage::Dialling)) => {}
            (Frame::Peer(id, name), Some(Stage::Greeting)) => self.greeted(now, link, id, name),
            (Frame::Talk, Some(Stage::Offered)) => self.offered(now, link),
            (Frame::Talk, Some(Stage::Chosen)) => self.begin(now, link, Dialler::Us),
            (Frame::Busy, Some(Stage::Greeting | Stage::Offered | Stage::Chosen)) => {
                self.refuse(now, link, Refusal::TheyAreBusy, None);
            }
            (Frame::Twice, Some(Stage::Greeting | Stage::Offered | Stage::Chosen)) => {
                self.double(now, link, None);
            }
            (frame, Some(Stage::Talking)) => return self.hear(now, frame),
            (Frame::Peer(..), _) => return Err(Violation::Untimely("PEER")),
            (Frame::Talk, _) => return Err(Violation::Untimely("TALK")),
            (Frame::Say(_), _) => return Err(Violation::Untimely("SAY")),
            (Frame::Ping, _) => return Err(Violation::Untimely("PING")),
            (Frame::End, _) => return Err(Violation::Untimely("END")),
            (Frame::Bye, _) => return Err(Violation::Untimely("BYE")),
        }
        Ok(())
    }

    /// The other has said who it is: one of us two now chooses.
    fn greeted(&mut self, now: Moment, link: Link, id: Id, name: Name) {
        if id == self.settings.id {
            // Our own dialling end is to learn it, too.
            let dialled = self.channel(link).is_some_and(|channel| channel.dialler == Dialler::Us);
            let word = (!dialled).then(|| self.greeting());
            return self.refuse(now, link, Refusal::Ourselves, word);
        }
        let unwanted = self.settings.wanted.as_ref().is_some_and(|wanted| *wanted != name);
        let talk = self.talk.map(|talk| talk.link);
        let same = |channel: &Channel| Some(channel.link) == talk && channel.leads_to(id);
        if self.channels.iter().any(same) {
            return self.double(now, link, Some(Frame::Twice));
        }
        if talk.is_some() || unwanted || self.leaving {
            return self.refuse(now, link, Refusal::WeAreBusy, Some(Frame::Busy));
        }
        let we_choose = self.settings.id > id;
        let Some(channel) = self.channel(link) else { return };
        (channel.other, channel.until) = (Some((id, name)), now + GREETING_LIMIT);
        channel.stage = if we_choose { Stage::Chosen } else { Stage::Offered };
        if channel.dialler == Dialler::Them {
            let greeting = self.greeting();
            self.send(link, &greeting);
        }
        if we_choose {
            self.send(link, &Frame::Talk);
            self.talk = Some(Talk::new(link, false, now));
            self.clear_others(now, link);
        }
    }

    /// The other, who has the greater id, chose this connection.
    fn offered(&mut self, now: Moment, link: Link) {
        // Whoever chose us first has us; a second choice of the same peer means that its first
        // connection is lost, which will show itself here, too.
        if self.talk.is_some() || self.leaving {
            return self.refuse(now, link, Refusal::WeAreBusy, Some(Frame::Busy));
        }
        self.send(link, &Frame::Talk);
        self.talk = Some(Talk::new(link, true, now));
        self.begin(now, link, Dialler::Them);
        self.clear_others(now, link);
    }

    fn begin(&mut self, now: Moment, link: Link, chooser: Dialler) {
        let Some(channel) = self.channel(link) else { return };
        channel.stage = Stage::Talking;
        let dialler = channel.dialler;
        let Some((id, name)) = channel.other.clone() else { return };
        self.counters.conversations += 1;
        (self.patience_ends, self.gave_up) = (None, false);
        self.confirm(now);
        self.tell(Event::Began { link, dialler, chooser, id, name });
    }

    /// Gives up every other connection that has greeted: one is enough.
    fn clear_others(&mut self, now: Moment, chosen: Link) {
        let id = self.channels.iter().find(|c| c.link == chosen).and_then(|c| c.other.as_ref());
        let Some(id) = id.map(|(id, _)| *id) else { return };
        let others: Vec<_> = self
            .channels
            .iter()
            .filter(|channel| channel.link != chosen && channel.stage == Stage::Offered)
            .map(|channel| (channel.link, channel.leads_to(id)))
            .collect();
        for (link, same) in others {
            match same {
                true => self.double(now, link, Some(Frame::Twice)),
                false => self.refuse(now, link, Refusal::WeAreBusy, Some(Frame::Busy)),
            }
        }
    }

    /// Gives a connection up because another leads to the same peer.
    fn double(&mut self, now: Moment, link: Link, word: Option<Frame>) {
        let Some(dialler) = self.channel(link).map(|channel| channel.dialler) else { return };
        self.counters.doubled += 1;
        self.tell(Event::Doubled { link, dialler });
        self.dismiss(now, link, word);
    }

    /// Gives a connection up before there was a conversation on it.
    fn refuse(&mut self, now: Moment, link: Link, refusal: Refusal, word: Option<Frame>) {
        let counters = &mut self.counters;
        let (counter, final_) = match &refusal {
            Refusal::TheyAreBusy => (&mut counters.busy, true),
            Refusal::WeAreBusy => (&mut counters.busy, false),
            Refusal::Violation(_) => (&mut counters.violations, true),
            Refusal::Ourselves => (&mut counters.ourselves, true),
            Refusal::Silent | Refusal::Closed | Refusal::TooMany => {
                (&mut counters.unfinished, false)
            }
        };
        *counter += 1;
        let named = self.search.leads_to_fixed(link) && !self.settings.keep;
        self.tell(Event::Refused(link, refusal.clone()));
        self.dismiss(now, link, word);
        if final_ && named && self.talk.is_none() && self.is_alone() {
            self.finish(End::Refused(refusal));
        }
    }

    /// Says a last word, if there is one, and closes. A close with something unread would be a
    /// reset, which can overtake the word (RFC 9293, section 3.10.4): so the other's end is awaited.
    fn dismiss(&mut self, now: Moment, link: Link, word: Option<Frame>) {
        self.search.ended(link, now);
        if self.talk.is_some_and(|talk| talk.link == link) {
            self.talk = None;
        }
        match (word, self.channel(link)) {
            (Some(word), Some(channel)) => {
                (channel.stage, channel.until) = (Stage::Closing, now + FAREWELL_LIMIT);
                self.send(link, &word);
                self.outputs.push_back(Output::Shut(link));
            }
            _ => self.close(link),
        }
    }

    fn close(&mut self, link: Link) {
        self.channels.retain(|channel| channel.link != link);
        self.outputs.push_back(Output::Close(link));
    }

    fn violated(&mut self, now: Moment, link: Link, violation: Violation) {
        match self.stage(link) {
            Some(Stage::Talking) => self.part(now, super::Parting::Violation(violation)),
            // It was closed by the frame before.
            None | Some(Stage::Closing) => {}
            Some(_) => self.refuse(now, link, Refusal::Violation(violation), None),
        }
    }

    fn ended(&mut self, now: Moment, link: Link) {
        match self.stage(link) {
            Some(Stage::Talking) => self.their_end(now),
            Some(Stage::Closing) => self.close(link),
            Some(_) => self.refuse(now, link, Refusal::Closed, None),
            None => {}
        }
    }

    fn broken(&mut self, now: Moment, link: Link) {
        match self.stage(link) {
            Some(Stage::Talking) => self.lost(now),
            Some(Stage::Closing) => self.close(link),
            Some(Stage::Dialling) => self.failed(now, link),
            Some(_) => self.refuse(now, link, Refusal::Closed, None),
            None => {}
        }
    }

    /// Gives up what has taken too long.
    fn expire(&mut self, now: Moment) {
        let late = |channel: &&Channel| channel.stage != Stage::Talking && channel.until <= now;
        let late: Vec<_> = self.channels.iter().filter(late).map(|c| (c.link, c.stage)).collect();
        for (link, stage) in late {
            match stage {
                Stage::Dialling => {
                    self.failed(now, link);
                    self.outputs.push_back(Output::Close(link));
                }
                Stage::Closing => self.close(link),
                Stage::Greeting | Stage::Offered | Stage::Chosen | Stage::Talking => {
                    self.refuse(now, link, Refusal::Silent, None);
                }
            }
        }
        self.expire_talk(now);
    }

    /// Closes everything.
    fn finish(&mut self, end: End) {
        let open = std::mem::take(&mut self.channels);
        for channel in open {
            let counted = matches!(channel.stage, Stage::Talking | Stage::Closing);
            self.counters.unfinished += u64::from(!counted);
            self.outputs.push_back(Output::Close(channel.link));
        }
        self.talk = None;
        self.counters.lines_left += self.queue.len() as u64;
        self.queue.clear();
        self.over = Some(end);
    }
}
