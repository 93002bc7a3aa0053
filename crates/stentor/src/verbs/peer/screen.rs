//! What a person sees of a peer: notices on standard error, the other's lines, and an account.

use std::io::{self, IsTerminal};
use std::net::SocketAddr;

use stentor_core::peer::{Counters, Dialler, Event, Id, Name, Parting, Refusal, shown};
use stentor_core::seed::Seed;
use stentor_os::net::interfaces;

use super::parting_words;
use super::prompt::Printer;
use crate::complaint::Complaint;
use crate::drive::peer::{Outcome, Plan, Scope, Told};
use crate::report::console;
use crate::report::json::peer::{Connections, Conversation, Outcome as Account};

/// Notices about strangers; more are only counted.
const STRANGERS_MAX: usize = 50;
/// Bytes of the other's lines that `--json` keeps.
const KEPT_MAX: usize = 64 * 1024;
/// Conversations that `--json` keeps.
const CONVERSATIONS_MAX: usize = 1000;

/// What was shown and seen so far.
pub(super) struct Screen {
    quiet: bool,
    json: bool,
    printer: Option<Printer>,
    name: String,
    other: String,
    listening: Vec<SocketAddr>,
    conversations: Vec<Conversation>,
    strangers: usize,
    last: String,
    kept: Vec<String>,
    kept_bytes: usize,
    complete: bool,
    warnings: Vec<String>,
}

impl Screen {
    pub(super) fn new(quiet: bool, json: bool) -> Screen {
        Screen {
            quiet,
            json,
            printer: None,
            name: String::new(),
            other: String::new(),
            listening: Vec::new(),
            conversations: Vec::new(),
            strangers: 0,
            last: String::new(),
            kept: Vec::new(),
            kept_bytes: 0,
            complete: true,
            warnings: Vec::new(),
        }
    }

    /// Says who we are, and whom we look for.
    pub(super) fn introduce(&mut self, plan: &Plan, seed: Seed) {
        self.name = plan.settings.name.to_string();
        self.say(format!("this is {}, id {} (--seed {})", self.name, plan.settings.id, seed.0));
        let target: Vec<_> = plan.target.iter().map(ToString::to_string).collect();
        let wanted = plan.settings.wanted.as_ref().map_or("another peer", Name::as_str);
        match (plan.scope, target.is_empty()) {
            (_, false) => self.say(format!("dialling {}", target.join(", "))),
            (Some(Scope::Loopback), true) => self.say(format!(
                "looking for {wanted} on this machine by mDNS; --public looks on the network"
            )),
            (Some(Scope::Interface(_) | Scope::Everywhere), true) => {
                self.say(format!("looking for {wanted} on the network by mDNS"));
            }
            (None, true) => {}
        }
    }

    /// From now on everything appears above a prompt.
    pub(super) fn print_by(&mut self, printer: Printer) {
        self.printer = Some(printer);
    }

    /// Whether there is a prompt.
    pub(super) fn has_prompt(&self) -> bool {
        self.printer.is_some()
    }

    /// The prompt is over: its line ends.
    pub(super) fn leave(&mut self) {
        if self.printer.take().is_some() {
            // Nobody may be there to see it.
            let _ = console::data("\r\n");
        }
    }

    fn say(&mut self, line: impl Into<String>) {
        if !self.quiet {
            self.notice(&line.into());
        }
    }

    fn notice(&mut self, line: &str) {
        match &mut self.printer {
            Some(printer) if io::stderr().is_terminal() => {
                // A terminal that has gone shows itself when the prompt reads from it.
                let _ = printer.print(format!("* {line}\n"));
            }
            Some(_) | None => console::notice(line),
        }
    }

    fn warn(&mut self, line: String) {
        self.say(line.clone());
        if self.warnings.len() < STRANGERS_MAX {
            self.warnings.push(line);
        }
    }

    /// Shows what happened.
    pub(super) fn show(&mut self, told: Told<'_>) -> Result<(), Complaint> {
        match told {
            Told::Listening(addresses) => self.listening(addresses),
            Told::Event { event, local, remote } => self.event(event, local, remote),
            Told::Unreached(failure) => {
                let line = format!("{failure}; trying again");
                self.once(line);
            }
            Told::Found(name, addresses) => {
                let words: Vec<_> = addresses.iter().map(ToString::to_string).collect();
                let name = name.map_or("a peer", Name::as_str);
                self.once(format!("mDNS found {name} at {}", words.join(", ")));
            }
            Told::NoDiscovery(what) => self.warn(format!(
                "mDNS is not possible here: {}; give the other's address instead",
                shown(what.as_bytes())
            )),
            Told::LineTooLong => {
                self.warn("a line of more than 8192 bytes was not sent".to_owned());
            }
            Told::LineRefused => self.warn("nobody is here yet: a line was not kept".to_owned()),
        }
        Ok(())
    }

    /// The same notice twice in a row says nothing new, and strangers are not to flood a screen.
    fn once(&mut self, line: String) {
        if line != self.last && self.strangers < STRANGERS_MAX {
            self.last.clone_from(&line);
            self.strangers += 1;
            self.say(line);
            if self.strangers == STRANGERS_MAX {
                self.say("more of this kind is only counted");
            }
        }
    }

    fn listening(&mut self, addresses: &[SocketAddr]) {
        self.listening = addresses.to_vec();
        let mut dial = Vec::new();
        for address in addresses {
            match address.ip().is_unspecified() {
                false => dial.push(address.to_string()),
                // 0.0.0.0 is nothing that the other could dial.
                true if address.is_ipv4() => {
                    let known = interfaces::ipv4().unwrap_or_default();
                    let ours = known.iter().filter(|known| !known.address.is_loopback());
                    dial.extend(ours.map(|i| format!("{}:{}", i.address, address.port())));
                }
                true => {}
            }
        }
        if dial.is_empty() {
            dial.extend(addresses.first().map(ToString::to_string));
        }
        self.say(format!("listening; to dial by hand: stentor peer {}", dial.join(" or ")));
    }

    fn event(&mut self, event: &Event, local: Option<SocketAddr>, remote: Option<SocketAddr>) {
        match event {
            Event::Began { dialler, chooser, id, name, .. } => {
                self.began(*dialler, *chooser, *id, name, local, remote);
            }
            Event::Doubled { dialler, .. } => {
                if let Some(conversation) = self.conversations.last_mut() {
                    conversation.both_dialled = true;
                }
                let ends = self.ends(*dialler, local, remote);
                self.say(format!("both dialled: one connection is enough, {ends} is given up"));
            }
            Event::Line(line) => self.line(line),
            Event::TheirEnd => {
                let next = if self.has_prompt() { "; ^D leaves" } else { "" };
                let line = format!("{} has no more lines{next}", self.other);
                self.say(line);
            }
            Event::Refused(_, refusal) => self.refused(refusal, remote),
            Event::Parted(parting) => self.parted(parting),
        }
    }

    /// `ann 127.0.0.1:51000 -> bob 127.0.0.1:40002`, from who dialled to who listened.
    fn ends(
        &self,
        dialler: Dialler,
        local: Option<SocketAddr>,
        remote: Option<SocketAddr>,
    ) -> String {
        let word = |name: &str, address: Option<SocketAddr>| match address {
            Some(address) => format!("{name} {address}"),
            None => name.to_owned(),
        };
        let other = if self.other.is_empty() { "the other" } else { &self.other };
        let (ours, theirs) = (word(&self.name, local), word(other, remote));
        match dialler {
            Dialler::Us => format!("{ours} -> {theirs}"),
            Dialler::Them => format!("{theirs} -> {ours}"),
        }
    }

    fn began(
        &mut self,
        dialler: Dialler,
        chooser: Dialler,
        id: Id,
        name: &Name,
        local: Option<SocketAddr>,
        remote: Option<SocketAddr>,
    ) {
        self.other = name.to_string();
        let ends = self.ends(dialler, local, remote);
        let who = |side| match side {
            Dialler::Us => &self.name,
            Dialler::Them => &self.other,
        };
        let line = format!(
            "connected with {name}: {ends} ({} dialled; {} has the greater id and chose)",
            who(dialler),
            who(chooser)
        );
        self.say(line);
        let side = |side| match side {
            Dialler::Us => "this",
            Dialler::Them => "other",
        };
        if self.conversations.len() < CONVERSATIONS_MAX {
            self.conversations.push(Conversation {
                peer: name.to_string(),
                peer_id: id.to_string(),
                local: local.map(|address| address.to_string()),
                remote: remote.map(|address| address.to_string()),
                dialled_by: side(dialler),
                chosen_by: side(chooser),
                both_dialled: false,
                ended: None,
            });
        }
    }

    fn line(&mut self, line: &[u8]) {
        let text = shown(line);
        if self.json {
            self.complete &= self.kept_bytes + text.len() <= KEPT_MAX;
            if self.complete {
                self.kept_bytes += text.len() + 1;
                self.kept.push(text);
            }
        } else if let Some(printer) = &mut self.printer {
            let _ = printer.print(format!("{}: {text}\n", self.other));
        }
    }

    fn refused(&mut self, refusal: &Refusal, remote: Option<SocketAddr>) {
        let place =
            remote.map_or_else(|| "a connection".to_owned(), |remote| format!("tcp {remote}"));
        self.once(format!("{place}: {}", refusal_words(refusal)));
    }

    fn parted(&mut self, parting: &Parting) {
        let name = match parting {
            Parting::BothEnded => "both-ended",
            Parting::WeLeft => "we-left",
            Parting::TheyLeft => "they-left",
            Parting::Unanswered => "unanswered",
            Parting::Broken => "broken",
            Parting::Silent => "silent",
            Parting::Violation(_) => "violation",
        };
        if let Some(conversation) = self.conversations.last_mut() {
            conversation.ended = Some(name);
        }
        let line =
            format!("the conversation with {} is over: {}", self.other, parting_words(parting));
        self.say(line);
    }

    /// What a reader of the JSON should know besides.
    pub(super) fn warnings(&self) -> Vec<String> {
        self.warnings.clone()
    }

    /// The run as JSON shows it.
    pub(super) fn account(&self, outcome: &Outcome) -> Account {
        let counters = &outcome.counters;
        Account {
            listening: self.listening.iter().map(ToString::to_string).collect(),
            conversations: self.conversations.clone(),
            connections: connections(counters),
            lines_sent: counters.lines_sent,
            sent_bytes: counters.sent_bytes,
            lines_received: counters.lines_received,
            received_bytes: counters.received_bytes,
            lines_left: counters.lines_left,
            lines_too_long: outcome.lines_too_long,
            received: self.kept.clone(),
            received_complete: self.complete,
        }
    }
}

fn connections(counters: &Counters) -> Connections {
    Connections {
        dialled: counters.dialled,
        accepted: counters.accepted,
        unreached: counters.unreached,
        conversations: counters.conversations,
        doubled: counters.doubled,
        busy: counters.busy,
        violations: counters.violations,
        ourselves: counters.ourselves,
        unfinished: counters.unfinished,
    }
}

/// Why a connection came to nothing, in words.
pub(super) fn refusal_words(refusal: &Refusal) -> String {
    match refusal {
        Refusal::WeAreBusy => "somebody else wants to talk, and was told that we are busy".into(),
        Refusal::TheyAreBusy => "busy with another peer".into(),
        Refusal::Violation(violation) => format!("{violation}; the connection is closed"),
        Refusal::Ourselves => {
            "that is this peer itself, or one started with the same --seed".into()
        }
        Refusal::Silent => "said nothing for 5 s; the connection is closed".into(),
        Refusal::Closed => "closed before there was a conversation".into(),
        Refusal::TooMany => "one connection too many at once; it is closed".into(),
    }
}
