//! Two peers and a third on a simulated network, in virtual time: every delay, break and leave is
//! the seed's, and the failing seed is printed.

use std::collections::VecDeque;
use std::net::SocketAddr;
use std::time::Duration;

use super::*;
use crate::seed::{Dice, Seed};

/// One direction of a simulated connection: pieces with the moment they arrive.
#[derive(Default)]
struct Pipe {
    pieces: VecDeque<(Moment, Piece)>,
    latest: Moment,
    shut: bool,
}

#[derive(Clone, Debug)]
enum Piece {
    Bytes(Vec<u8>),
    Fin,
}

struct Wire {
    /// The ends: which peer, under which link; the dialler first. `None` once closed.
    ends: [(usize, Option<Link>); 2],
    /// Towards the dialler, towards the dialled.
    pipes: [Pipe; 2],
    /// When the attempt succeeds or fails.
    opens: Option<(Moment, bool)>,
    /// When it breaks for both.
    breaks: Option<Moment>,
}

struct Actor {
    peer: Peer,
    to_say: VecDeque<Vec<u8>>,
    heard: Vec<Vec<u8>>,
    events: Vec<Event>,
    end: Option<End>,
    leaves: Option<Moment>,
    /// Whether it says that its lines are over.
    ends: bool,
    wakes: Option<Moment>,
}

struct World {
    now: Moment,
    dice: Dice,
    actors: Vec<Actor>,
    wires: Vec<Wire>,
    /// The share of connections that break within 50 ms.
    breaks: f64,
    seed: u64,
}

fn address(actor: usize) -> SocketAddr {
    SocketAddr::from(([127, 0, 0, 1], 1000 + u16::try_from(actor).unwrap()))
}

fn settings(id: u64, name: &str) -> Settings {
    Settings {
        id: Id(id),
        name: Name::parse(name).unwrap(),
        keep: false,
        patience: Duration::from_secs(60),
        wanted: None,
    }
}

fn lines(name: &str, count: usize) -> VecDeque<Vec<u8>> {
    (0..count).map(|number| format!("{name} {number}").into_bytes()).collect()
}

impl World {
    /// Peers that dial each other as `dials` says, each with some lines to say.
    fn new(seed: u64, dials: &[Option<usize>]) -> World {
        let mut dice = Dice::new(Seed(seed), "network");
        let mut actors = Vec::new();
        for (number, dial) in dials.iter().enumerate() {
            let name = ["ann", "bob", "cid"][number];
            let id = dice.bits();
            let to: Vec<SocketAddr> = dial.iter().map(|to| address(*to)).collect();
            let peer = Peer::new(settings(id, name), &to, Moment::START);
            let count = below(&mut dice, 100);
            let (leaves, wakes) = (None, Some(Moment::START + ms(dice.below(3))));
            let (heard, events) = (Vec::new(), Vec::new());
            let to_say = lines(name, count);
            actors.push(Actor {
                peer,
                to_say,
                heard,
                events,
                end: None,
                leaves,
                ends: true,
                wakes,
            });
        }
        World { now: Moment::START, dice, actors, wires: Vec::new(), breaks: 0.0, seed }
    }

    fn delay(&mut self) -> Moment {
        self.now + Duration::from_micros(self.dice.below(3000))
    }

    fn act(&mut self, who: usize, output: Output) -> bool {
        match output {
            Output::Dial(link, to) => {
                let to = usize::from(to.port()) - 1000;
                let (at, breaks) = (self.delay(), self.dice.chance(self.breaks));
                let there = self.actors[to].end.is_none() && !self.dice.chance(self.breaks);
                let breaks = breaks.then(|| at + ms(self.dice.below(50)));
                let ends = [(who, Some(link)), (to, None)];
                let pipes = Default::default();
                self.wires.push(Wire { ends, pipes, opens: Some((at, there)), breaks });
            }
            Output::Send(link, bytes) => {
                // Cut anywhere, as a network does.
                for piece in bytes.chunks(1 + below(&mut self.dice, 40)) {
                    self.push(who, link, Piece::Bytes(piece.to_vec()));
                }
                let now = self.now;
                self.actors[who].peer.handle(now, Input::Written(link));
            }
            Output::Shut(link) => self.push(who, link, Piece::Fin),
            Output::Close(link) => {
                self.push(who, link, Piece::Fin);
                for wire in &mut self.wires {
                    for end in &mut wire.ends {
                        if *end == (who, Some(link)) {
                            end.1 = None;
                        }
                    }
                }
            }
            Output::Tell(Event::Line(line)) => self.actors[who].heard.push(line),
            Output::Tell(event) => self.actors[who].events.push(event),
            Output::Wait(moment) => {
                assert!(moment > self.now, "seed {}: {who} waits for the past", self.seed);
                self.actors[who].wakes = Some(moment);
                return false;
            }
            Output::Idle => {
                self.actors[who].wakes = None;
                return false;
            }
            Output::Over(end) => {
                (self.actors[who].end, self.actors[who].wakes) = (Some(end), None);
                return false;
            }
        }
        true
    }

    fn push(&mut self, who: usize, link: Link, piece: Piece) {
        let at = self.delay();
        for wire in &mut self.wires {
            for side in 0..2 {
                let pipe = &mut wire.pipes[1 - side];
                if wire.ends[side] == (who, Some(link)) && !pipe.shut {
                    pipe.shut = matches!(piece, Piece::Fin);
                    pipe.latest = pipe.latest.max(at);
                    pipe.pieces.push_back((pipe.latest, piece.clone()));
                }
            }
        }
    }

    /// Lets a peer say and do all it can.
    fn run(&mut self, who: usize) {
        loop {
            let (now, actor) = (self.now, &mut self.actors[who]);
            if actor.leaves.is_some_and(|leaves| leaves <= now) {
                actor.leaves = None;
                actor.peer.handle(now, Input::Leave);
            }
            while actor.peer.takes_lines() {
                match actor.to_say.pop_front() {
                    Some(line) => actor.peer.handle(now, Input::Line(&line)),
                    None if actor.ends => actor.peer.handle(now, Input::NoMoreLines),
                    None => break,
                }
            }
            let output = actor.peer.poll(now);
            if !self.act(who, output) {
                let takes = self.actors[who].peer.takes_lines();
                if !takes || self.actors[who].to_say.is_empty() {
                    return;
                }
            }
        }
    }

    /// What happens next on the wires, and when.
    fn next(&self) -> Option<Moment> {
        let wires = self.wires.iter().flat_map(|wire| {
            let heads = wire.pipes.iter().filter_map(|pipe| pipe.pieces.front()).map(|p| p.0);
            heads.chain(wire.opens.map(|opens| opens.0)).chain(wire.breaks)
        });
        let actors = self.actors.iter().filter(|actor| actor.end.is_none());
        wires.chain(actors.flat_map(|a| [a.wakes, a.leaves].into_iter().flatten())).min()
    }

    fn tell(&mut self, who: usize, input: Input<'_>) {
        let now = self.now;
        self.actors[who].peer.handle(now, input);
        self.run(who);
    }

    fn step(&mut self) {
        let now = self.now;
        for number in 0..self.wires.len() {
            if let Some((_, there)) = self.wires[number].opens.filter(|opens| opens.0 <= now) {
                self.wires[number].opens = None;
                let [(from, link), (to, _)] = self.wires[number].ends;
                let Some(link) = link else { continue };
                if !there || self.actors[to].end.is_some() {
                    self.wires[number].breaks = None;
                    self.tell(from, Input::Failed(link));
                    continue;
                }
                let theirs = self.actors[to].peer.next_link();
                self.wires[number].ends[1].1 = Some(theirs);
                self.tell(to, Input::Accepted(theirs));
                self.tell(from, Input::Connected(link));
            }
            if self.wires[number].breaks.is_some_and(|breaks| breaks <= now) {
                self.wires[number].breaks = None;
                self.wires[number].pipes = Default::default();
                for side in 0..2 {
                    let (who, link) = self.wires[number].ends[side];
                    self.wires[number].ends[side].1 = None;
                    if let Some(link) = link {
                        self.tell(who, Input::Broken(link));
                    }
                }
            }
            for side in 0..2 {
                while let Some((_, piece)) =
                    self.wires[number].pipes[side].pieces.pop_front_if(|(at, _)| *at <= now)
                {
                    let (who, link) = self.wires[number].ends[side];
                    match (piece, link) {
                        (_, None) => {}
                        (Piece::Bytes(bytes), Some(link)) => {
                            self.tell(who, Input::Bytes(link, &bytes));
                        }
                        (Piece::Fin, Some(link)) => self.tell(who, Input::Ended(link)),
                    }
                }
            }
        }
        for who in 0..self.actors.len() {
            self.run(who);
        }
    }

    /// Runs until nothing more happens; says so if that never comes.
    fn play(&mut self) {
        for who in 0..self.actors.len() {
            self.run(who);
        }
        for _ in 0..200_000 {
            let Some(next) = self.next() else { break };
            self.now = self.now.max(next);
            self.step();
            if self.actors.iter().all(|actor| actor.end.is_some()) {
                break;
            }
        }
        for (who, actor) in self.actors.iter().enumerate() {
            let counters = actor.peer.counters();
            let seed = self.seed;
            assert!(actor.end.is_some(), "seed {seed}: {who} hangs: {:?}", actor.peer);
            assert!(counters.check(), "seed {seed}: {who}: {counters:?}");
        }
    }

    fn conversations(&self, who: usize) -> u64 {
        self.actors[who].peer.counters().conversations
    }
}

fn below(dice: &mut Dice, bound: u64) -> usize {
    usize::try_from(dice.below(bound)).unwrap()
}

fn ms(count: u64) -> Duration {
    Duration::from_millis(count)
}

#[test]
fn every_simultaneous_open_ends_in_one_conversation_and_loses_no_line() {
    let mut doubled = 0;
    for seed in 0..2000 {
        let mut world = World::new(seed, &[Some(1), Some(0)]);
        let said: Vec<_> = world.actors.iter().map(|actor| actor.to_say.clone()).collect();
        world.play();
        for who in 0..2 {
            let actor = &world.actors[who];
            assert_eq!(world.conversations(who), 1, "seed {seed}");
            assert_eq!(actor.end, Some(End::Parted(Parting::BothEnded)), "seed {seed}");
            assert_eq!(said[1 - who], actor.heard, "seed {seed}: what {who} heard");
            assert_eq!(actor.peer.counters().lines_left, 0, "seed {seed}");
            doubled += actor.peer.counters().doubled;
        }
        let chosen = |who: usize| {
            world.actors[who].events.iter().find_map(|event| {
                let Event::Began { dialler, chooser, .. } = event else { return None };
                Some((*dialler, *chooser))
            })
        };
        let (one, two) = (chosen(0).unwrap(), chosen(1).unwrap());
        assert!(one.0 != two.0 && one.1 != two.1, "seed {seed}: {one:?} {two:?}");
    }
    assert!(doubled > 1000, "only {doubled} connections were one too many: nothing was tried");
}

#[test]
fn whoever_dials_first_and_whoever_waits_they_meet() {
    for seed in 0..300 {
        for dials in [[Some(1), None], [None, Some(0)]] {
            let mut world = World::new(seed, &dials);
            world.play();
            assert_eq!((world.conversations(0), world.conversations(1)), (1, 1), "seed {seed}");
        }
    }
}

#[test]
fn a_peer_may_leave_at_any_moment_and_what_it_had_taken_arrives() {
    let mut talked = 0;
    for seed in 0..2000 {
        let mut world = World::new(seed, &[Some(1), Some(0)]);
        let mut dice = Dice::new(Seed(seed), "leaving");
        let leaver = below(&mut dice, 2);
        world.actors[leaver].leaves =
            Some(Moment::START + Duration::from_micros(dice.below(20_000)));
        if dice.chance(0.3) {
            world.actors[1 - leaver].leaves =
                Some(Moment::START + Duration::from_micros(dice.below(20_000)));
        }
        let said: Vec<_> = world.actors.iter().map(|actor| actor.to_say.clone()).collect();
        world.play();
        if (0..2).any(|who| world.conversations(who) == 0) {
            continue;
        }
        talked += 1;
        for who in 0..2 {
            let Some(End::Parted(parting)) = &world.actors[who].end else {
                panic!("seed {seed}: {:?}", world.actors[who].end);
            };
            assert!(parting.is_orderly(), "seed {seed}: {who} {parting:?}");
            let taken = said[1 - who].len() - world.actors[1 - who].to_say.len();
            let heard = &world.actors[who].heard;
            assert_eq!(heard.len(), taken, "seed {seed}: {who} heard not all that was taken");
            assert!(said[1 - who].iter().zip(heard).all(|(said, heard)| said == heard));
        }
    }
    assert!(talked > 500, "only {talked}");
}

#[test]
fn breaking_connections_never_hang_a_peer_and_never_make_two_conversations() {
    let mut whole = 0;
    for seed in 0..2000 {
        let mut world = World::new(seed, &[Some(1), Some(0)]);
        world.breaks = 0.4;
        let said: Vec<_> = world.actors.iter().map(|actor| actor.to_say.clone()).collect();
        world.play();
        for who in 0..2 {
            assert!(world.conversations(who) <= 1, "seed {seed}");
            let orderly = world.actors[who].end == Some(End::Parted(Parting::BothEnded));
            whole += u64::from(orderly);
            // In order, without a gap, whatever broke on the way to the conversation.
            let heard = &world.actors[who].heard;
            assert!(
                said[1 - who].iter().zip(heard).all(|(said, heard)| said == heard),
                "seed {seed}"
            );
            assert!(!orderly || said[1 - who] == *heard, "seed {seed}");
        }
    }
    assert!(whole > 1000, "only {whole} orderly ends");
}

#[test]
fn a_third_is_told_busy_and_the_two_are_not_disturbed() {
    for seed in 0..1000 {
        let mut world = World::new(seed, &[Some(1), Some(0), Some(0)]);
        world.play();
        let talked: u64 = (0..3).map(|who| world.conversations(who)).sum();
        // Two meet; the third is refused, or comes when one is free no more.
        assert_eq!(talked, 2, "seed {seed}");
        let refused = world.actors.iter().filter(|actor| {
            matches!(actor.end, Some(End::Refused(Refusal::TheyAreBusy) | End::Unreachable))
        });
        assert_eq!(refused.count(), 1, "seed {seed}");
    }
}

#[test]
fn in_a_ring_of_three_somebody_always_talks() {
    for seed in 0..1000 {
        let mut world = World::new(seed, &[Some(1), Some(2), Some(0)]);
        world.play();
        let talked: u64 = (0..3).map(|who| world.conversations(who)).sum();
        assert_eq!(talked, 2, "seed {seed}");
    }
}

/// Drives one peer by hand: what it says to an input, without waits.
fn say(peer: &mut Peer, now: Moment, input: Input<'_>) -> Vec<Output> {
    peer.handle(now, input);
    let mut said = Vec::new();
    loop {
        let output = peer.poll(now);
        if matches!(output, Output::Wait(_) | Output::Idle) {
            return said;
        }
        let over = matches!(output, Output::Over(_));
        said.push(output);
        if over {
            return said;
        }
    }
}

fn waiting(id: u64) -> Peer {
    Peer::new(settings(id, "ann"), &[], Moment::START)
}

const BOB: &[u8] = b"PEER 1 0000000000000001 bob\n";

/// A peer with the greater id in a conversation with bob.
fn talking() -> (Peer, Link) {
    let mut peer = waiting(9);
    let link = peer.next_link();
    say(&mut peer, Moment::START, Input::Accepted(link));
    say(&mut peer, Moment::START, Input::Bytes(link, BOB));
    say(&mut peer, Moment::START, Input::Bytes(link, b"TALK\n"));
    assert!(peer.is_talking());
    say(&mut peer, Moment::START, Input::Written(link));
    (peer, link)
}

#[test]
fn a_stranger_is_refused_by_what_it_says_and_by_what_it_does_not_say() {
    let mut peer = waiting(9);
    let link = peer.next_link();
    say(&mut peer, Moment::START, Input::Accepted(link));
    let said = say(&mut peer, Moment::START, Input::Bytes(link, b"GET / HTTP/1.1\r\n"));
    let refused = matches!(&said[..], [Output::Tell(Event::Refused(l, Refusal::Violation(Violation::NoPeer(_)))), Output::Close(c)] if *l == link && *c == link);
    assert!(refused, "{said:?}");
    let link = peer.next_link();
    say(&mut peer, Moment::START, Input::Accepted(link));
    let later = Moment::START + GREETING_LIMIT;
    let said = say(&mut peer, later, Input::Time);
    assert_eq!(said, [Output::Tell(Event::Refused(link, Refusal::Silent)), Output::Close(link)]);
    let link = peer.next_link();
    say(&mut peer, later, Input::Accepted(link));
    let said = say(&mut peer, later, Input::Bytes(link, b"PEER 1 0000000000000009 ann\n"));
    let own = Output::Send(link, b"PEER 1 0000000000000009 ann\n".to_vec());
    let told = Output::Tell(Event::Refused(link, Refusal::Ourselves));
    assert_eq!(said, [told, own, Output::Shut(link)]);
    assert!(peer.counters().check());
}

#[test]
fn words_out_of_turn_end_the_conversation() {
    for word in
        ["TALK", "PEER 1 0000000000000001 bob", "BUSY", "TWICE", "END\nEND", "END\nSAY x", "hm"]
    {
        let (mut peer, link) = talking();
        let said =
            say(&mut peer, Moment::START, Input::Bytes(link, format!("{word}\n").as_bytes()));
        let Some(Output::Over(End::Parted(Parting::Violation(_)))) = said.last() else {
            panic!("{word}: {said:?}");
        };
    }
}

#[test]
fn silence_is_broken_by_pings_and_ends_after_thirty_seconds() {
    let (mut peer, link) = talking();
    let said = say(&mut peer, Moment::START + PING_EVERY, Input::Time);
    assert_eq!(said, [Output::Send(link, b"PING\n".to_vec())]);
    let said = say(&mut peer, Moment::START + SILENCE_LIMIT, Input::Time);
    assert_eq!(said.last(), Some(&Output::Over(End::Parted(Parting::Silent))));
}

#[test]
fn the_queue_is_bounded_and_nothing_is_sent_to_who_does_not_take_it() {
    let (mut peer, _) = talking();
    let mut handed = Vec::new();
    let mut taken = 0;
    while peer.takes_lines() {
        handed.extend(say(&mut peer, Moment::START, Input::Line(&[b'x'; LINE_MAX])));
        taken += 1;
    }
    // One handed out, the rest in the queue: nothing has been written.
    assert_eq!((handed.len(), taken), (1, LINES_MAX + 1));
    peer.handle(Moment::START, Input::Line(b"one too many"));
    assert_eq!(peer.counters().lines_left, 1);
}

#[test]
fn whoever_leaves_waits_five_seconds_for_an_answer() {
    let (mut peer, link) = talking();
    let said = say(&mut peer, Moment::START, Input::Leave);
    assert_eq!(said, [Output::Send(link, b"BYE\n".to_vec()), Output::Shut(link)]);
    say(&mut peer, Moment::START, Input::Written(link));
    let said = say(&mut peer, Moment::START + FAREWELL_LIMIT, Input::Time);
    assert_eq!(said.last(), Some(&Output::Over(End::Parted(Parting::Unanswered))));
}

#[test]
fn after_a_conversation_it_waits_for_the_next_if_it_should() {
    let mut peer = Peer::new(Settings { keep: true, ..settings(9, "ann") }, &[], Moment::START);
    for _ in 0..3 {
        let link = peer.next_link();
        say(&mut peer, Moment::START, Input::Accepted(link));
        say(&mut peer, Moment::START, Input::Bytes(link, BOB));
        say(&mut peer, Moment::START, Input::Bytes(link, b"TALK\nSAY x\nBYE\n"));
        say(&mut peer, Moment::START, Input::Written(link));
        let said = say(&mut peer, Moment::START, Input::Ended(link));
        assert!(said.contains(&Output::Tell(Event::Parted(Parting::TheyLeft))), "{said:?}");
    }
    assert_eq!(peer.counters().conversations, 3);
}

#[test]
fn strangers_cannot_take_every_place() {
    let mut peer = waiting(9);
    let mut refused = 0;
    for _ in 0..100 {
        let link = peer.next_link();
        let said = say(&mut peer, Moment::START, Input::Accepted(link));
        refused += u64::from(said.contains(&Output::Close(link)));
    }
    assert_eq!(refused, 100 - (CHANNELS_MAX as u64 - 4));
    let said = say(
        &mut peer,
        Moment::START,
        Input::Found {
            key: "bob",
            id: Some(Id(1)),
            name: Name::parse("bob"),
            addresses: &[address(1)],
        },
    );
    assert!(matches!(said[..], [Output::Dial(_, to)] if to == address(1)), "{said:?}");
}

#[test]
fn a_found_peer_of_another_name_or_this_one_itself_is_not_dialled() {
    let wanted = Settings { wanted: Name::parse("bob"), ..settings(9, "ann") };
    let mut peer = Peer::new(wanted, &[], Moment::START);
    let mut found = |key, id, name| {
        let (id, name) = (Some(Id(id)), Name::parse(name));
        say(&mut peer, Moment::START, Input::Found { key, id, name, addresses: &[address(1)] })
            .len()
    };
    assert_eq!((found("a", 1, "cid"), found("b", 9, "bob"), found("c", 2, "bob")), (0, 0, 1));
}
