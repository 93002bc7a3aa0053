//! The words of a link: how each is read into its knob, and written from it.
//!
//! One table, in the order in which a link is written; lists, directions and presets are left to
//! `spec`.

use std::str::FromStr;
use std::time::Duration;

use super::burst::Burst;
use super::jitter::{Jitter, Shape};
use super::knobs::{Knobs, Order, Queue};
use super::stream::{Slice, Stall};
use crate::units::{Amount, Probability, Span, UnitError};

/// The pause that stands for a lost segment, unless given: Linux's shortest retransmission timeout
/// (TCP_RTO_MIN, 200 ms; RFC 6298 would have 1 s).
const TIMEOUT: Duration = Duration::from_millis(200);

/// What is wrong with the value of a word.
#[derive(Debug)]
pub(super) enum Fault {
    /// One quantity of it is not one.
    Unit(UnitError),
    /// Its parts are not those that the word takes.
    Shape,
}

impl From<UnitError> for Fault {
    fn from(error: UnitError) -> Fault {
        Fault::Unit(error)
    }
}

/// A word of a link.
pub(super) struct Word {
    pub(super) name: &'static str,
    /// What stands behind `=`.
    pub(super) wanted: &'static str,
    pub(super) read: fn(&mut Knobs, Option<&str>) -> Result<(), Fault>,
    /// What stands behind `=`, empty for no `=`, or `None` if the knob is not turned.
    pub(super) write: fn(&Knobs) -> Option<String>,
}

/// Every word.
pub(super) const WORDS: [Word; 21] = [
    Word {
        name: "delay",
        wanted: "a time such as 20ms",
        read: |knobs, value| set(&mut knobs.delay, span(value)),
        write: |knobs| (!knobs.delay.is_zero()).then(|| Span(knobs.delay).to_string()),
    },
    Word {
        name: "jitter",
        wanted: "SPREAD[:uniform|normal|pareto], such as 5ms or 5ms:normal",
        read: |knobs, value| set(&mut knobs.jitter, jitter(value)),
        write: |knobs| knobs.jitter.map(|jitter| jitter.to_string()),
    },
    Word {
        name: "order",
        wanted: "keep (jitter never reorders) or free",
        read: |knobs, value| {
            knobs.order = match value {
                Some("keep") => Order::Keep,
                Some("free") => Order::Free,
                _ => return Err(Fault::Shape),
            };
            Ok(())
        },
        write: |knobs| (knobs.order == Order::Keep).then(|| "keep".to_owned()),
    },
    Word {
        name: "rate",
        wanted: "a rate such as 2Mbit, or none",
        read: |knobs, value| set(&mut knobs.rate, or_none(value, str::parse)),
        write: |knobs| knobs.rate.map(|rate| rate.to_string()),
    },
    Word {
        name: "queue",
        wanted: "bytes or packets, such as 64KiB or 100p, or none for the usual",
        read: |knobs, value| set(&mut knobs.queue, or_none(value, queue)),
        write: |knobs| knobs.queue.map(|queue| queue.to_string()),
    },
    Word {
        name: "trace",
        wanted: "the name of a file, or none",
        read: |knobs, value| {
            set(&mut knobs.trace, or_none(value, |file| Ok::<_, Fault>(file.to_owned())))
        },
        write: |knobs| knobs.trace.clone(),
    },
    Word {
        name: "slots",
        wanted: "a time such as 20ms, or none",
        read: |knobs, value| set(&mut knobs.slots, or_none(value, time)),
        write: |knobs| knobs.slots.map(|slot| Span(slot).to_string()),
    },
    Word {
        name: "loss",
        wanted: "a probability such as 1%; losses in bursts are burst=P/R, regular ones every=N",
        read: |knobs, value| set(&mut knobs.loss, chance(value)),
        write: |knobs| percent(knobs.loss),
    },
    Word {
        name: "burst",
        wanted: "P/R[/BAD[/GOOD]]: how likely a good line turns bad before a unit, a bad one good, \
                 and a unit is lost in either, such as 1%/25%; or none",
        read: |knobs, value| set(&mut knobs.burst, or_none(value, burst)),
        write: |knobs| knobs.burst.map(|burst| burst.to_string()),
    },
    Word {
        name: "every",
        wanted: "a number from 2, such as 10, or none",
        read: |knobs, value| {
            set(&mut knobs.every, or_none(value, |n| n.parse::<Amount>().map(|n| n.0)))
        },
        write: |knobs| knobs.every.map(|nth| Amount(nth).to_string()),
    },
    Word {
        name: "duplicate",
        wanted: "a probability such as 1%",
        read: |knobs, value| set(&mut knobs.duplicate, chance(value)),
        write: |knobs| percent(knobs.duplicate),
    },
    Word {
        name: "reorder",
        wanted: "a probability such as 1%",
        read: |knobs, value| set(&mut knobs.reorder, chance(value)),
        write: |knobs| percent(knobs.reorder),
    },
    Word {
        name: "corrupt",
        wanted: "a probability such as 1%",
        read: |knobs, value| set(&mut knobs.corrupt, chance(value)),
        write: |knobs| percent(knobs.corrupt),
    },
    Word {
        name: "stall",
        wanted: "SILENT/EVERY, such as 1s/4s (silent for the first second of every four), or none",
        read: |knobs, value| set(&mut knobs.stream.stall, or_none(value, stall)),
        write: |knobs| knobs.stream.stall.map(|stall| stall.to_string()),
    },
    Word {
        name: "reset",
        wanted: "a time such as 5s, or none",
        read: |knobs, value| set(&mut knobs.stream.reset, or_none(value, time)),
        write: |knobs| knobs.stream.reset.map(|after| Span(after).to_string()),
    },
    Word {
        name: "half-close",
        wanted: "a time such as 5s, or none",
        read: |knobs, value| set(&mut knobs.stream.half_close, or_none(value, time)),
        write: |knobs| knobs.stream.half_close.map(|after| Span(after).to_string()),
    },
    Word {
        name: "slow-close",
        wanted: "a time such as 2s, or none",
        read: |knobs, value| set(&mut knobs.stream.slow_close, or_none(value, time)),
        write: |knobs| knobs.stream.slow_close.map(|after| Span(after).to_string()),
    },
    Word {
        name: "truncate",
        wanted: "a number of bytes such as 10k, or none",
        read: |knobs, value| {
            set(&mut knobs.stream.truncate, or_none(value, |n| n.parse::<Amount>().map(|n| n.0)))
        },
        write: |knobs| knobs.stream.truncate.map(|bytes| Amount(bytes).to_string()),
    },
    Word {
        name: "refuse",
        wanted: "nothing, a probability such as 10%, or none",
        read: |knobs, value| {
            knobs.stream.refuse = match value {
                None => Some(Probability(1.0)),
                value => or_none(value, str::parse)?,
            };
            Ok(())
        },
        write: |knobs| {
            let all = |p: Probability| if p.0 < 1.0 { p.to_string() } else { String::new() };
            knobs.stream.refuse.map(all)
        },
    },
    Word {
        name: "slice",
        wanted: "AVERAGE[/VARIATION[/PAUSE]], such as 100 bytes or 100/50/10us, or none",
        read: |knobs, value| set(&mut knobs.stream.slice, or_none(value, slice)),
        write: |knobs| knobs.stream.slice.map(|slice| slice.to_string()),
    },
    Word {
        name: "loss-as-delay",
        wanted: "PROBABILITY[/TIMEOUT], such as 1% or 1%/200ms, or none",
        read: |knobs, value| set(&mut knobs.stream.loss_as_delay, or_none(value, loss_as_delay)),
        write: |knobs| {
            let (probability, timeout) = knobs.stream.loss_as_delay?;
            let usual = timeout == TIMEOUT;
            let timeout = if usual { String::new() } else { format!("/{}", Span(timeout)) };
            Some(format!("{probability}{timeout}"))
        },
    },
];

fn set<T>(knob: &mut T, read: Result<T, Fault>) -> Result<(), Fault> {
    *knob = read?;
    Ok(())
}

fn time(written: &str) -> Result<Duration, Fault> {
    Ok(written.parse::<Span>()?.0)
}

fn span(value: Option<&str>) -> Result<Duration, Fault> {
    time(value.ok_or(Fault::Shape)?)
}

fn chance(value: Option<&str>) -> Result<Probability, Fault> {
    Ok(value.ok_or(Fault::Shape)?.parse()?)
}

fn percent(chance: Probability) -> Option<String> {
    (chance.0 > 0.0).then(|| chance.to_string())
}

fn or_none<T, E: Into<Fault>>(
    value: Option<&str>,
    read: impl FnOnce(&str) -> Result<T, E>,
) -> Result<Option<T>, Fault> {
    match value {
        None => Err(Fault::Shape),
        Some("none") => Ok(None),
        Some(value) => read(value).map(Some).map_err(Into::into),
    }
}

fn jitter(value: Option<&str>) -> Result<Option<Jitter>, Fault> {
    let value = value.ok_or(Fault::Shape)?;
    let (spread, shape) = match value.split_once(':') {
        None => (value, Shape::Uniform),
        Some((spread, name)) => {
            let shape = Shape::ALL.into_iter().find(|shape| shape.name() == name);
            (spread, shape.ok_or(Fault::Shape)?)
        }
    };
    let spread = time(spread)?;
    Ok((!spread.is_zero()).then_some(Jitter { spread, shape }))
}

fn queue(written: &str) -> Result<Queue, Fault> {
    if let Some(units) = written.strip_suffix('p') {
        return Ok(Queue::Units(units.parse::<Amount>()?.0));
    }
    let bytes = written.strip_suffix('B').unwrap_or(written);
    Ok(Queue::Bytes(bytes.parse::<Amount>().map_err(|_| Fault::Shape)?.0))
}

/// The parts between slashes, of which the first `least` must be there.
fn parts<const MOST: usize>(written: &str, least: usize) -> Result<[Option<&str>; MOST], Fault> {
    let mut parts = [None; MOST];
    let mut found = written.split('/');
    for part in &mut parts {
        *part = found.next();
    }
    let enough = parts.iter().flatten().count() >= least;
    if enough && found.next().is_none() { Ok(parts) } else { Err(Fault::Shape) }
}

fn or_usual<T: FromStr<Err = UnitError>>(part: Option<&str>, usual: T) -> Result<T, Fault> {
    part.map_or(Ok(usual), |part| Ok(part.parse()?))
}

fn burst(written: &str) -> Result<Burst, Fault> {
    let [p, r, bad, good] = parts(written, 2)?;
    Ok(Burst {
        p: or_usual(p, Probability(0.0))?,
        r: or_usual(r, Probability(0.0))?,
        bad: or_usual(bad, Probability(1.0))?,
        good: or_usual(good, Probability(0.0))?,
    })
}

fn stall(written: &str) -> Result<Stall, Fault> {
    let [silent, every] = parts(written, 2)?;
    let silent = or_usual(silent, Span(Duration::ZERO))?.0;
    Ok(Stall { silent, every: or_usual(every, Span(Duration::ZERO))?.0 })
}

fn slice(written: &str) -> Result<Slice, Fault> {
    let [average, variation, pause] = parts(written, 1)?;
    Ok(Slice {
        average: or_usual(average, Amount(0))?.0,
        variation: or_usual(variation, Amount(0))?.0,
        pause: or_usual(pause, Span(Duration::ZERO))?.0,
    })
}

fn loss_as_delay(written: &str) -> Result<(Probability, Duration), Fault> {
    let [probability, timeout] = parts(written, 1)?;
    Ok((or_usual(probability, Probability(0.0))?, or_usual(timeout, Span(TIMEOUT))?.0))
}
