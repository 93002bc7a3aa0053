//! Every kind of toxic: its attributes, and what it does to streams and to datagrams.
//!
//! One table. Names, meanings and defaults of the first nine rows are Toxiproxy's (2.12), for
//! streams; the rest is ours. How a toxic is read from JSON and written is in `toxic`.

use std::time::Duration;

use stentor_core::link::stream::{Since, Slice, Stall, Toxic};
use stentor_core::link::{Burst, Jitter, Knobs, Order, Queue, RATE_MAX, Shape};
use stentor_core::units::{BitRate, Probability};

/// The longest time that is told apart from for ever: a year.
const LONGEST: Duration = Duration::from_secs(365 * 24 * 3600);

/// What an attribute holds.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Value {
    /// A whole number from 0.
    Whole(u64),
    /// A probability.
    Chance(f64),
    /// One of a few words.
    Word(&'static str),
}

/// An attribute of a kind of toxic.
#[derive(Debug)]
pub(super) struct Attribute {
    pub(super) name: &'static str,
    /// What it holds unless given, and so of which form it is.
    pub(super) default: Value,
    /// What may be given, for a word; the default among them.
    pub(super) words: &'static [&'static str],
    /// Left out of answers while it has its default: Toxiproxy does not have it.
    pub(super) ours: bool,
}

/// The attributes of one toxic.
#[derive(Clone, Copy, Debug)]
pub(super) struct Values<'a> {
    pub(super) attributes: &'static [Attribute],
    pub(super) values: &'a [Value],
}

impl Values<'_> {
    fn value(self, name: &str) -> Value {
        let mut both = self.attributes.iter().zip(self.values);
        let found = both.find(|(attribute, _)| attribute.name == name);
        found.map_or(Value::Whole(0), |(_, value)| *value)
    }

    fn whole(self, name: &str) -> u64 {
        if let Value::Whole(number) = self.value(name) { number } else { 0 }
    }

    fn chance(self, name: &str) -> Probability {
        if let Value::Chance(chance) = self.value(name) {
            Probability(chance)
        } else {
            Probability(0.0)
        }
    }

    fn word(self, name: &str) -> &'static str {
        if let Value::Word(word) = self.value(name) { word } else { "" }
    }

    fn millis(self, name: &str) -> Duration {
        Duration::from_millis(self.whole(name)).min(LONGEST)
    }

    fn jitter(self) -> Option<Jitter> {
        let spread = self.millis("jitter");
        let name = self.word("distribution");
        let shape = Shape::ALL.into_iter().find(|shape| shape.name() == name).unwrap_or_default();
        (!spread.is_zero()).then_some(Jitter { spread, shape })
    }

    /// Toxiproxy's KB/s are 1000 bytes; 0, and more than any link has, is no limit.
    fn rate(self) -> Option<BitRate> {
        let bits = self.whole("rate").saturating_mul(8000);
        (1..=RATE_MAX.0).contains(&bits).then_some(BitRate(bits))
    }
}

/// What a toxic does to streams.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Strike {
    /// Something to the bytes of its direction.
    Bytes(Toxic),
    /// Connections are reset instead of being led on, as many as its toxicity says.
    Refuse,
    /// Connections are led on so much later.
    Hold(Duration),
}

/// A kind of toxic.
#[derive(Debug)]
pub(super) struct Kind {
    pub(super) name: &'static str,
    pub(super) attributes: &'static [Attribute],
    /// `None`: it means nothing for streams.
    pub(super) streams: Option<fn(Values<'_>) -> Strike>,
    /// Turns knobs; `None`: it means nothing for datagrams.
    pub(super) units: Option<fn(Values<'_>, &mut Knobs)>,
    /// What no single attribute can say; an error says what is wrong.
    pub(super) check: fn(Values<'_>) -> Result<(), &'static str>,
}

impl Kind {
    /// The kind of this name.
    pub(super) fn named(name: &str) -> Option<&'static Kind> {
        KINDS.iter().find(|kind| kind.name == name)
    }
}

const fn whole(name: &'static str) -> Attribute {
    Attribute { name, default: Value::Whole(0), words: &[], ours: false }
}

const fn chance(name: &'static str, default: f64) -> Attribute {
    Attribute { name, default: Value::Chance(default), words: &[], ours: false }
}

const fn word(
    name: &'static str,
    default: &'static str,
    words: &'static [&'static str],
) -> Attribute {
    Attribute { name, default: Value::Word(default), words, ours: true }
}

const fn sound(_: Values<'_>) -> Result<(), &'static str> {
    Ok(())
}

/// Something to the bytes.
const fn bytes(toxic: Toxic) -> Strike {
    Strike::Bytes(toxic)
}

const SILENT: &str = "silent must be above 0 and below every";

/// Every kind.
static KINDS: [Kind; 20] = [
    Kind {
        name: "latency",
        attributes: &[
            whole("latency"),
            whole("jitter"),
            word("distribution", "uniform", &["uniform", "normal", "pareto"]),
            word("order", "free", &["free", "keep"]),
        ],
        streams: Some(|of| {
            bytes(Toxic::Latency { delay: of.millis("latency"), jitter: of.jitter() })
        }),
        units: Some(|of, knobs| {
            knobs.delay += of.millis("latency");
            knobs.jitter = of.jitter().or(knobs.jitter);
            if of.word("order") == "keep" {
                knobs.order = Order::Keep;
            }
        }),
        check: sound,
    },
    Kind {
        name: "bandwidth",
        attributes: &[
            whole("rate"),
            Attribute { name: "queue", default: Value::Whole(0), words: &[], ours: true },
        ],
        streams: Some(|of| bytes(of.rate().map_or(Toxic::Noop, Toxic::Bandwidth))),
        units: Some(|of, knobs| {
            knobs.rate = of.rate().or(knobs.rate);
            let queue = of.whole("queue");
            knobs.queue = (queue > 0).then_some(Queue::Units(queue)).or(knobs.queue);
        }),
        check: sound,
    },
    Kind {
        name: "slow_close",
        attributes: &[whole("delay")],
        streams: Some(|of| bytes(Toxic::SlowClose(of.millis("delay")))),
        units: None,
        check: sound,
    },
    Kind {
        name: "timeout",
        attributes: &[whole("timeout")],
        streams: Some(|of| {
            let after = of.millis("timeout");
            bytes(Toxic::Timeout((!after.is_zero()).then_some(after)))
        }),
        units: None,
        check: sound,
    },
    Kind {
        name: "reset_peer",
        attributes: &[whole("timeout")],
        streams: Some(|of| {
            bytes(Toxic::ResetPeer { after: of.millis("timeout"), since: Since::Data })
        }),
        units: None,
        check: sound,
    },
    Kind {
        name: "slicer",
        attributes: &[whole("average_size"), whole("size_variation"), whole("delay")],
        streams: Some(|of| {
            let pause = Duration::from_micros(of.whole("delay")).min(LONGEST);
            let (average, variation) = (of.whole("average_size"), of.whole("size_variation"));
            // Nothing would ever pass in pieces of 0 bytes; Toxiproxy ends by it.
            let toxic = Toxic::Slicer(Slice { average, variation, pause });
            bytes(if average == 0 { Toxic::Noop } else { toxic })
        }),
        units: None,
        check: sound,
    },
    Kind {
        name: "limit_data",
        attributes: &[whole("bytes")],
        streams: Some(|of| bytes(Toxic::LimitData(of.whole("bytes")))),
        units: None,
        check: sound,
    },
    Kind {
        name: "noop",
        attributes: &[],
        streams: Some(|_| bytes(Toxic::Noop)),
        units: Some(|_, _| {}),
        check: sound,
    },
    Kind {
        name: "refuse",
        attributes: &[],
        streams: Some(|_| Strike::Refuse),
        units: None,
        check: sound,
    },
    Kind {
        name: "connect_delay",
        attributes: &[whole("delay")],
        streams: Some(|of| Strike::Hold(of.millis("delay"))),
        units: None,
        check: sound,
    },
    Kind {
        name: "half_close",
        attributes: &[whole("timeout")],
        streams: Some(|of| bytes(Toxic::HalfClose(of.millis("timeout")))),
        units: None,
        check: sound,
    },
    Kind {
        name: "stall",
        attributes: &[whole("silent"), whole("every")],
        streams: Some(|of| {
            bytes(Toxic::Stall(Stall { silent: of.millis("silent"), every: of.millis("every") }))
        }),
        units: None,
        check: |of| {
            let silent = of.whole("silent");
            if silent > 0 && silent < of.whole("every") { Ok(()) } else { Err(SILENT) }
        },
    },
    Kind {
        name: "loss_as_delay",
        attributes: &[chance("probability", 0.0), whole("timeout")],
        streams: Some(|of| {
            let (probability, timeout) = (of.chance("probability"), of.millis("timeout"));
            bytes(Toxic::LossAsDelay { probability, timeout })
        }),
        units: None,
        check: sound,
    },
    Kind {
        name: "corrupt",
        attributes: &[chance("probability", 0.0)],
        streams: Some(|of| bytes(Toxic::Corrupt(of.chance("probability")))),
        units: Some(|of, knobs| knobs.corrupt = of.chance("probability")),
        check: sound,
    },
    Kind {
        name: "loss",
        attributes: &[chance("probability", 0.0)],
        streams: None,
        units: Some(|of, knobs| knobs.loss = of.chance("probability")),
        check: sound,
    },
    Kind {
        name: "burst",
        attributes: &[
            chance("enter", 0.0),
            chance("leave", 0.0),
            chance("bad", 1.0),
            chance("good", 0.0),
        ],
        streams: None,
        units: Some(|of, knobs| {
            let (p, r) = (of.chance("enter"), of.chance("leave"));
            let (bad, good) = (of.chance("bad"), of.chance("good"));
            knobs.burst = Some(Burst { p, r, bad, good });
        }),
        check: sound,
    },
    Kind {
        name: "every",
        attributes: &[whole("nth")],
        streams: None,
        units: Some(|of, knobs| knobs.every = Some(of.whole("nth"))),
        check: sound,
    },
    Kind {
        name: "duplicate",
        attributes: &[chance("probability", 0.0)],
        streams: None,
        units: Some(|of, knobs| knobs.duplicate = of.chance("probability")),
        check: sound,
    },
    Kind {
        name: "reorder",
        attributes: &[chance("probability", 0.0)],
        streams: None,
        units: Some(|of, knobs| knobs.reorder = of.chance("probability")),
        check: sound,
    },
    Kind {
        name: "slots",
        attributes: &[whole("interval")],
        streams: None,
        units: Some(|of, knobs| knobs.slots = Some(of.millis("interval"))),
        check: sound,
    },
];
