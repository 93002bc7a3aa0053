//! The lesson `peer`: two programs that are each client and server; by hand, and by this program's
//! own engine.

use std::net::SocketAddr;
use std::thread;

use stentor_core::peer::{Dialler, End, Event, Id, Name, Settings, shown};
use stentor_core::seed::{Dice, Seed};
use stentor_os::failure::Failure;
use stentor_os::net::socket_table::{self, Row, Table};

use super::calls::{Door, PATIENCE, Transport, anywhere};
use super::evidence::{rows, settled};
use super::stage::{Stage, Stop};
use crate::drive::peer::{self, Doors, Outcome, Plan, Source, Told};

pub(super) fn play(stage: &mut Stage<'_>) -> Result<(), Stop> {
    by_hand(stage)?;
    by_engine(stage)
}

/// A listening socket of a peer.
fn listening(stage: &mut Stage<'_>, who: &'static str) -> Result<Door, Stop> {
    let door = stage.socket(who, Transport::Tcp)?;
    stage.bind(&door, anywhere())?;
    stage.listen(&door, 1)?;
    Ok(door)
}

fn by_hand(stage: &mut Stage<'_>) -> Result<(), Stop> {
    stage.step(
        "Ann and Bob each make a listening socket: both are servers.",
        "Whoever wants to be dialled must listen at an address that the other knows.",
    )?;
    let ann = listening(stage, "ann")?;
    let bob = listening(stage, "bob")?;
    stage.step(
        "Each dials the other, from a second socket: both are clients.",
        "A listening socket cannot dial. The kernel gives the dialling one a port of its own.",
    )?;
    let from_ann = stage.connected("ann", bob.local())?;
    let from_bob = stage.connected("bob", ann.local())?;
    let at_bob = stage.accept(&bob)?;
    let at_ann = stage.accept(&ann)?;
    let ports = [ann.local().port(), bob.local().port()];
    let wanted = || {
        rows(Table::Tcp, |row| {
            ports.contains(&row.local.port()) || ports.contains(&row.remote.port())
        })
    };
    let seen = settled(wanted, |rows| rows.len() == 6)?;
    for (name, door, dialled) in [("ann", &ann, &from_ann), ("bob", &bob, &from_bob)] {
        for row in &seen {
            let role = match (row.state, row.local) {
                ("LISTEN", local) if local == door.local() => "listens",
                (_, local) if local == door.local() => "accepted, as a server",
                (_, local) if local == dialled.local() => "dialled, as a client",
                _ => continue,
            };
            let other = match row.remote.port() {
                0 => String::new(),
                _ => format!(" - {}", row.remote),
            };
            stage.fact(&format!("{name} {role}"), format!("{}{other}", row.local))?;
        }
    }
    let server = at_ann.peer() == Some(from_bob.local()) && at_bob.peer() == Some(from_ann.local());
    let states = |state| seen.iter().filter(|row| row.state == state).count();
    stage.claim(
        "Each is a server: its listening socket accepted the other.",
        server && states("LISTEN") == 2,
        format!("{} listening, each accepted one", states("LISTEN")),
    )?;
    stage.claim(
        "Each is a client: its second socket dialled, from a port that is not the listening one.",
        !ports.contains(&from_ann.local().port()) && !ports.contains(&from_bob.local().port()),
        format!("{} and {}", from_ann.local(), from_bob.local()),
    )?;
    stage.claim(
        "Both dialled, and so there are two connections, though one is enough for two.",
        states("ESTABLISHED") == 4,
        format!("{} connected sockets, two for each connection", states("ESTABLISHED")),
    )?;
    for door in [from_ann, from_bob, at_ann, at_bob, ann, bob] {
        stage.close(door)?;
    }
    Ok(())
}

/// What one peer of the engine saw.
#[derive(Default)]
struct Seen {
    /// Who dialled, who chose, our end, the other's.
    began: Option<(Dialler, Dialler, Option<SocketAddr>, Option<SocketAddr>)>,
    lines: Vec<String>,
    /// Its sockets at the beginning of the conversation.
    sockets: Vec<Row>,
}

fn by_engine(stage: &mut Stage<'_>) -> Result<(), Stop> {
    stage.step(
        "stentor peer, twice: both dial at once, one connection stays, each says a line.",
        "Without a rule each might keep another connection. Here each has a random number; the \
         greater one chooses, and its choice travels in front of its first line.",
    )?;
    let (ann, bob) = (doors()?, doors()?);
    let (at_ann, at_bob) = (first(&ann), first(&bob));
    let plans = (plan("ann", at_bob)?, plan("bob", at_ann)?);
    let (ann, bob) = thread::scope(|scope| {
        let other = scope.spawn(|| converse(&plans.1, bob, "hello from bob"));
        let ann = converse(&plans.0, ann, "hello from ann");
        (ann, other.join())
    });
    let bob = bob.map_err(|_| Stop::Contradicted {
        what: "a peer ended in an unforeseen way".into(),
        next: String::new(),
    })?;
    let ((ann, ann_ended), (bob, bob_ended)) = (ann?, bob?);
    for (name, plan, seen, ended) in
        [("ann", &plans.0, &ann, &ann_ended), ("bob", &plans.1, &bob, &bob_ended)]
    {
        stage.fact(&format!("{name}'s number"), plan.settings.id)?;
        for row in &seen.sockets {
            stage.fact(
                &format!("{name} {}", row.state),
                format!("{} - {}", row.local, row.remote),
            )?;
        }
        let counters = &ended.counters;
        let counts = format!("{} dialled, {} accepted", counters.dialled, counters.accepted);
        stage.fact(&format!("{name}'s connections"), counts)?;
    }
    agreed(stage, &plans, &ann, &bob)?;
    stage.claim(
        "Each heard what the other said, and both ended in order.",
        ann.lines == ["hello from bob"]
            && bob.lines == ["hello from ann"]
            && [&ann_ended, &bob_ended].into_iter().all(is_orderly),
        format!("{:?} and {:?}", ann.lines, bob.lines),
    )
}

fn agreed(stage: &mut Stage<'_>, plans: &(Plan, Plan), ann: &Seen, bob: &Seen) -> Result<(), Stop> {
    let (Some(one), Some(two)) = (ann.began, bob.began) else {
        return stage.claim("The two found each other.", false, "no conversation began");
    };
    let word = |address: Option<SocketAddr>| address.map_or_else(String::new, |a| a.to_string());
    let (from, to) = match one.0 {
        Dialler::Us => (format!("ann {}", word(one.2)), format!("bob {}", word(one.3))),
        Dialler::Them => (format!("bob {}", word(one.3)), format!("ann {}", word(one.2))),
    };
    stage.claim(
        "One connection stayed, and both mean the same one.",
        one.2.is_some() && one.2 == two.3 && one.3 == two.2 && one.0 != two.0,
        format!("{from} dialled {to}"),
    )?;
    let ann_chose = plans.0.settings.id > plans.1.settings.id;
    stage.claim(
        "The greater number chose it.",
        (one.1 == Dialler::Us) == ann_chose && one.1 != two.1,
        if ann_chose { "ann chose" } else { "bob chose" },
    )?;
    let listen = |seen: &Seen| seen.sockets.iter().any(|row| row.state == "LISTEN");
    // Whoever has said all may have ended its side by then: connected is connected.
    let talks = |seen: &Seen| seen.sockets.iter().any(|row| row.remote.port() != 0);
    stage.claim(
        "During the conversation each has a listening and a connected socket; there is no server \
         between.",
        listen(ann) && talks(ann) && listen(bob) && talks(bob),
        format!("{} and {} sockets", ann.sockets.len(), bob.sockets.len()),
    )
}

fn doors() -> Result<Doors, Stop> {
    Ok(peer::listen(&[anywhere()])?)
}

fn first(doors: &Doors) -> SocketAddr {
    doors.addresses.first().copied().unwrap_or_else(anywhere)
}

/// A peer that dials `target`; its number follows from its name and our process.
fn plan(name: &str, target: SocketAddr) -> Result<Plan, Stop> {
    let seed = Seed(u64::from(std::process::id()) ^ super::stage::now().as_nanos());
    let called = Name::parse(name).ok_or_else(|| Stop::Contradicted {
        what: format!("{name} is no name"),
        next: String::new(),
    })?;
    let settings = Settings {
        id: Id(Dice::new(seed, name).bits()),
        name: called,
        keep: false,
        patience: PATIENCE,
        wanted: None,
    };
    Ok(Plan { settings, target: vec![target], listen: Vec::new(), scope: None })
}

fn converse(plan: &Plan, doors: Doors, line: &str) -> Result<(Seen, Outcome), Stop> {
    let door = first(&doors);
    let mut seen = Seen::default();
    let lines = Source::Known([line.as_bytes().to_vec()].into());
    let outcome = peer::run(plan, doors, lines, None, None, &mut |told| {
        let Told::Event { event, local, remote } = told else { return Ok(()) };
        if let Event::Began { dialler, chooser, .. } = event {
            seen.began = Some((*dialler, *chooser, local, remote));
            let table = socket_table::read(Table::Tcp)
                .map_err(|error| Failure::new("read", Table::Tcp.path(), error))?;
            let ours = |row: &Row| {
                row.local == door || (Some(row.local) == local && Some(row.remote) == remote)
            };
            seen.sockets = table.into_iter().filter(ours).collect();
        } else if let Event::Line(line) = event {
            seen.lines.push(shown(line));
        }
        Ok(())
    });
    Ok((seen, outcome.map_err(Stop::Refused)?))
}

fn is_orderly(outcome: &Outcome) -> bool {
    matches!(&outcome.end, End::Parted(parting) if parting.is_orderly())
}
