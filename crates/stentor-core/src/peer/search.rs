//! Whom to dial, and when: an address given by a person, and peers found by discovery.

use std::net::SocketAddr;
use std::time::Duration;

use super::frame::Id;
use super::{FOUND_MAX, Link};
use crate::moment::Moment;

/// The first pause after a failed attempt; each is twice as long as the one before.
const PAUSE_FIRST: Duration = Duration::from_millis(100);
/// The longest pause between attempts.
const PAUSE_MAX: Duration = Duration::from_secs(5);

/// Somebody to dial.
#[derive(Clone, Debug)]
pub(super) struct Target {
    /// Discovery's key; `None` for the address given by the person.
    key: Option<String>,
    id: Option<Id>,
    addresses: Vec<SocketAddr>,
    /// Which address is next.
    next: usize,
    due: Moment,
    pause: Duration,
    /// The attempt under way, or the connection that came of it.
    link: Option<Link>,
}

impl Target {
    fn new(key: Option<&str>, id: Option<Id>, addresses: &[SocketAddr], now: Moment) -> Target {
        Target {
            key: key.map(str::to_owned),
            id,
            addresses: addresses.to_vec(),
            next: 0,
            due: now,
            pause: PAUSE_FIRST,
            link: None,
        }
    }

    fn failed(&mut self, now: Moment) {
        self.link = None;
        self.next += 1;
        // Every address of a name is tried before the first pause.
        if self.next >= self.addresses.len() {
            self.next = 0;
            self.due = now + self.pause;
            self.pause = (self.pause * 2).min(PAUSE_MAX);
        }
    }
}

/// Everybody there is to dial.
#[derive(Clone, Debug, Default)]
pub(super) struct Search {
    targets: Vec<Target>,
}

impl Search {
    /// Adds the address given by the person, under as many addresses as its name has.
    pub(super) fn fix(&mut self, addresses: &[SocketAddr], now: Moment) {
        self.targets.insert(0, Target::new(None, None, addresses, now));
    }

    /// Nobody is at the address given by the person.
    pub(super) fn give_up_fixed(&mut self) {
        self.targets.retain(|target| target.key.is_some());
    }

    /// Whether `link` leads to whom the person named.
    pub(super) fn leads_to_fixed(&self, link: Link) -> bool {
        self.targets.iter().any(|target| target.key.is_none() && target.link == Some(link))
    }

    /// Adds a found peer, or takes its newer addresses.
    pub(super) fn found(
        &mut self,
        key: &str,
        id: Option<Id>,
        addresses: &[SocketAddr],
        now: Moment,
    ) {
        if addresses.is_empty() {
            return;
        }
        let room = self.targets.len() < FOUND_MAX;
        match self.targets.iter_mut().find(|target| target.key.as_deref() == Some(key)) {
            Some(target) => {
                if target.addresses != addresses {
                    (target.addresses, target.next, target.due) = (addresses.to_vec(), 0, now);
                }
                target.id = id;
            }
            None if room => self.targets.push(Target::new(Some(key), id, addresses, now)),
            None => {}
        }
    }

    /// Forgets a found peer; an attempt under way goes on.
    pub(super) fn gone(&mut self, key: &str) {
        self.targets.retain(|target| target.key.as_deref() != Some(key));
    }

    /// Whom to dial now. Those in `reached` are connected already by another way.
    pub(super) fn due(&mut self, now: Moment, link: Link, reached: &[Id]) -> Option<SocketAddr> {
        let waiting = |target: &&mut Target| {
            target.link.is_none()
                && target.due <= now
                && !target.id.is_some_and(|id| reached.contains(&id))
        };
        let target = self.targets.iter_mut().find(waiting)?;
        let address = target.addresses.get(target.next).copied()?;
        target.link = Some(link);
        Some(address)
    }

    /// When the next attempt is due.
    pub(super) fn next_due(&self, reached: &[Id]) -> Option<Moment> {
        let waiting = |target: &&Target| {
            target.link.is_none() && !target.id.is_some_and(|id| reached.contains(&id))
        };
        self.targets.iter().filter(waiting).map(|target| target.due).min()
    }

    /// An attempt, or the connection that came of it, is over.
    pub(super) fn ended(&mut self, link: Link, now: Moment) {
        if let Some(target) = self.targets.iter_mut().find(|target| target.link == Some(link)) {
            target.failed(now);
        }
    }

    /// After a conversation everybody may be dialled anew.
    pub(super) fn rest(&mut self, now: Moment) {
        for target in &mut self.targets {
            (target.due, target.pause) = (now + PAUSE_FIRST, PAUSE_FIRST);
        }
    }
}
