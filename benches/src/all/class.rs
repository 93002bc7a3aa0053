//! The classes of workload, who takes part in each, and what is demanded.
//!
//! The first of a class is the one that the others are compared with.

use super::ask::Shape;
use super::flood::Sending;
use super::peer::*;

/// What a client does.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Work {
    /// Requests over connections that stay.
    Ask(Shape),
    /// A text of this name, in bulk, and its capitals back.
    Pour(&'static str),
    /// The ASCII text in bulk, and the same back.
    Echo,
    /// The ASCII text in bulk, one way.
    Sink,
    /// New connections.
    Arrive,
    /// Datagrams.
    Flood(Sending),
}

/// The figure that is compared.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Figure {
    /// Things done a second: more is better.
    Rate,
    /// The median round trip: less is better.
    RoundTrip,
    /// Processor time of the server for each: less is better.
    ServerCpu,
}

/// Which of two is divided by which.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Ratio {
    /// Ours by each peer.
    OursToPeer,
    /// Each by the first, where all are ours.
    EachToFirst,
}

/// What a ratio is to be.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Goal {
    /// Not below this.
    AtLeast(f64),
    /// Not below 1; above 0.95 it is noise that decides.
    Equal,
    /// Not above this.
    AtMost(f64),
}

impl Goal {
    pub(crate) fn verdict(self, ratio: f64) -> String {
        let (said, met) = match self {
            Goal::AtLeast(least) => (format!("at least {least}"), ratio >= least),
            Goal::Equal if (0.95..1.0).contains(&ratio) => {
                return "at least 1: met within noise".to_owned();
            }
            Goal::Equal => ("at least 1".to_owned(), ratio >= 1.0),
            Goal::AtMost(most) => (format!("at most {most}"), ratio <= most),
        };
        format!("{said}: {}", if met { "met" } else { "**missed**" })
    }
}

/// One who takes part.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Entrant {
    pub(crate) name: &'static str,
    pub(crate) peer: &'static Peer,
    pub(crate) work: Work,
    pub(crate) goal: Option<Goal>,
    /// Of the ratio of processor time.
    pub(crate) cpu_goal: Option<Goal>,
}

impl Entrant {
    const fn goal(mut self, goal: Goal) -> Entrant {
        self.goal = Some(goal);
        self
    }

    const fn cpu_goal(mut self, goal: Goal) -> Entrant {
        self.cpu_goal = Some(goal);
        self
    }
}

const fn entrant(peer: &'static Peer, work: Work) -> Entrant {
    Entrant { name: peer.name, peer, work, goal: None, cpu_goal: None }
}

/// A class of workload.
#[derive(Debug)]
pub(crate) struct Class {
    /// On the command line.
    pub(crate) name: &'static str,
    pub(crate) title: &'static str,
    pub(crate) about: &'static str,
    /// Of the rate, and how many of the things counted make one of it.
    pub(crate) unit: &'static str,
    pub(crate) scale: f64,
    pub(crate) figure: Figure,
    pub(crate) ratio: Ratio,
    /// Whether both ends run on one processor.
    pub(crate) shared: bool,
    pub(crate) entrants: &'static [Entrant],
}

const REQUESTS: Class = Class {
    name: "",
    title: "",
    about: "",
    unit: "requests/s",
    scale: 1.0,
    figure: Figure::Rate,
    ratio: Ratio::OursToPeer,
    shared: false,
    entrants: &[],
};

const fn ask(connections: usize, depth: usize) -> Work {
    Work::Ask(Shape { connections, depth })
}

const ONE: Work = ask(1, 1);
const FIFTY: Work = ask(50, 1);
const THOUSAND: Work = ask(1000, 1);
const PIPELINED: Work = ask(50, 16);
const ASCII: Work = Work::Pour("ASCII");
const PLAIN: Work = Work::Flood(Sending::Plain);
const BURST_SMALL: Work = Work::Flood(Sending::Burst(32));
const BURST_LARGE: Work = Work::Flood(Sending::Burst(1200));
/// Of bulk in other scripts, to our own ASCII: in rate, and in what the server's processor alone
/// could do. The latter is the stricter where the client is what limits.
const SCRIPT: Goal = Goal::AtLeast(0.6);
const SCRIPT_CPU: Goal = Goal::AtMost(1.67);

const fn script(name: &'static str) -> Entrant {
    Entrant { name, ..entrant(&OURS, Work::Pour(name)).goal(SCRIPT).cpu_goal(SCRIPT_CPU) }
}

pub(crate) const CLASSES: &[Class] = &[
    Class {
        name: "ask-1",
        title: "Ping-pong, 1 connection",
        about: "One line of 32 bytes under way; each trip crosses from one processor to another twice.",
        entrants: &[
            entrant(&OURS, ONE),
            entrant(&EPOLL, ONE).goal(Goal::Equal),
            entrant(&MIO, ONE),
            entrant(&TOKIO, ONE),
            entrant(&TOKIO_ONE, ONE),
            entrant(&GO, ONE),
            entrant(&REDIS, ONE),
            entrant(&PROTOCOL, ONE),
            entrant(&STREAMS, ONE),
            entrant(&LECTURE, ONE),
        ],
        ..REQUESTS
    },
    Class {
        name: "ask-50",
        title: "Ping-pong, 50 connections",
        about: "One line of 32 bytes under way on each. socat, ncat and xinetd start a `sed` for each \
                connection.",
        entrants: &[
            entrant(&OURS, FIFTY),
            entrant(&EPOLL, FIFTY).goal(Goal::Equal),
            entrant(&MIO, FIFTY),
            entrant(&TOKIO, FIFTY),
            entrant(&TOKIO_ONE, FIFTY),
            entrant(&GO, FIFTY),
            entrant(&REDIS, FIFTY),
            entrant(&PROTOCOL, FIFTY),
            entrant(&STREAMS, FIFTY),
            entrant(&SOCAT, FIFTY),
            entrant(&NCAT, FIFTY),
            entrant(&XINETD, FIFTY),
        ],
        ..REQUESTS
    },
    Class {
        name: "ask-1000",
        title: "Ping-pong, 1,000 connections",
        about: "One line of 32 bytes under way on each.",
        entrants: &[
            entrant(&OURS, THOUSAND),
            entrant(&EPOLL, THOUSAND).goal(Goal::Equal),
            entrant(&MIO, THOUSAND),
            entrant(&TOKIO, THOUSAND),
            entrant(&GO, THOUSAND),
            entrant(&REDIS, THOUSAND),
        ],
        ..REQUESTS
    },
    Class {
        name: "one-core",
        title: "Ping-pong, both ends on one processor",
        about: "50 connections. Nothing crosses processors, so the server's own time is a stable figure.",
        figure: Figure::ServerCpu,
        shared: true,
        entrants: &[
            entrant(&OURS, FIFTY),
            entrant(&EPOLL, FIFTY),
            entrant(&MIO, FIFTY),
            entrant(&TOKIO, FIFTY),
            entrant(&GO, FIFTY),
        ],
        ..REQUESTS
    },
    Class {
        name: "pipelined",
        title: "Pipelined, 16 lines at a time",
        about: "50 connections, each of which sends 16 lines of 32 bytes at once and awaits 16 answers.",
        unit: "lines/s",
        entrants: &[
            entrant(&OURS, PIPELINED),
            entrant(&EPOLL, PIPELINED).goal(Goal::Equal),
            entrant(&MIO, PIPELINED).goal(Goal::Equal),
            entrant(&TOKIO, PIPELINED),
            entrant(&GO, PIPELINED),
            entrant(&REDIS, PIPELINED).goal(Goal::AtLeast(3.5)),
        ],
        ..REQUESTS
    },
    Class {
        name: "bulk-ascii",
        title: "Bulk, ASCII",
        about: "One connection, written and read at the same time in pieces of 256 KiB.",
        unit: "MB/s",
        scale: 1e6,
        entrants: &[
            entrant(&OURS, ASCII),
            entrant(&EPOLL, ASCII).goal(Goal::Equal),
            entrant(&MIO, ASCII),
            entrant(&TOKIO_BULK, ASCII),
            entrant(&ECHO, Work::Echo).goal(Goal::AtLeast(0.8)),
            entrant(&SINK, Work::Sink),
        ],
        ..REQUESTS
    },
    Class {
        name: "bulk-scripts",
        title: "Bulk, other scripts than ASCII",
        about: "The same through `stentor` alone, in texts of several scripts: the ratios are to its ASCII, in \
                CPU that of the server for each byte.",
        unit: "MB/s",
        scale: 1e6,
        ratio: Ratio::EachToFirst,
        entrants: &[
            Entrant { name: "ASCII", ..entrant(&OURS, ASCII) },
            script("one é per KiB"),
            script("Latin, accents"),
            script("Latin, Czech"),
            script("Latin, German"),
            script("Latin, Turkish"),
            script("Latin, Vietnamese"),
            script("Russian"),
            script("Greek, accents"),
            script("Hindi"),
            script("Chinese"),
            script("Korean"),
            script("mixed"),
        ],
        ..REQUESTS
    },
    Class {
        name: "arrive",
        title: "New connections",
        about: "Each connects, asks one line, has its answer and leaves; 16 at a time. Without ncat, \
                whose queue of 10 makes the others wait for a second SYN.",
        unit: "connections/s",
        entrants: &[
            entrant(&OURS, Work::Arrive),
            entrant(&EPOLL, Work::Arrive).goal(Goal::Equal),
            entrant(&MIO, Work::Arrive).goal(Goal::Equal),
            entrant(&TOKIO, Work::Arrive),
            entrant(&GO, Work::Arrive),
            entrant(&LECTURE, Work::Arrive),
            entrant(&SOCAT, Work::Arrive),
            entrant(&XINETD, Work::Arrive).goal(Goal::AtLeast(50.0)),
        ],
        ..REQUESTS
    },
    Class {
        name: "flood",
        title: "UDP, plain senders",
        about: "Datagrams of 32 bytes, each sent by itself; 192 of 4 sockets under way.",
        unit: "datagrams/s",
        entrants: &[
            entrant(&OURS, PLAIN),
            entrant(&RECVFROM, PLAIN).goal(Goal::AtLeast(0.95)).cpu_goal(Goal::AtMost(0.85)),
            entrant(&RECVMMSG, PLAIN).goal(Goal::AtLeast(0.95)),
            entrant(&OFFLOAD, PLAIN).goal(Goal::AtLeast(0.95)),
            entrant(&LECTURE_UDP, PLAIN),
        ],
        ..REQUESTS
    },
    Class {
        name: "burst-32",
        title: "UDP, bursts of 64 datagrams of 32 bytes",
        about: "The client hands the kernel a burst in one call (UDP_SEGMENT), as QUIC does; 4 of them \
                under way.",
        unit: "datagrams/s",
        entrants: &[
            entrant(&OURS, BURST_SMALL),
            entrant(&RECVFROM, BURST_SMALL).goal(Goal::AtLeast(20.0)),
            entrant(&RECVMMSG, BURST_SMALL),
            entrant(&OFFLOAD, BURST_SMALL),
        ],
        ..REQUESTS
    },
    Class {
        name: "burst-1200",
        title: "UDP, bursts of 54 datagrams of 1,200 bytes",
        about: "The same with datagrams of the size that QUIC begins with.",
        unit: "datagrams/s",
        entrants: &[
            entrant(&OURS, BURST_LARGE),
            entrant(&RECVFROM, BURST_LARGE).goal(Goal::AtLeast(5.0)),
            entrant(&RECVMMSG, BURST_LARGE),
            entrant(&OFFLOAD, BURST_LARGE),
        ],
        ..REQUESTS
    },
    Class {
        name: "spin",
        title: "Waiting awake: `--spin`",
        about: "One connection; the ratio is of median round trips, to the same server without it.",
        figure: Figure::RoundTrip,
        ratio: Ratio::EachToFirst,
        entrants: &[entrant(&OURS, ONE), entrant(&SPINNING, ONE).goal(Goal::AtMost(0.75))],
        ..REQUESTS
    },
];
