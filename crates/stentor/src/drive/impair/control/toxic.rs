//! One toxic of a proxy: made of what was written, changed, written again, and put to work.

use serde::ser::{Serialize, SerializeMap, SerializeStruct, Serializer};
use serde_json::{Map, Value as Json};
use stentor_core::endpoint::Transport;
use stentor_core::link::stream::Named;
use stentor_core::link::{Direction, Knobs};
use stentor_core::units::Probability;

use super::answer::Problem;
use super::body::{ToxicBody, Unread, wanted};
use super::kind::{Attribute, Kind, Strike, Value, Values};

/// A toxic.
#[derive(Clone, Debug)]
pub(super) struct Toxic {
    pub(super) name: String,
    kind: &'static Kind,
    /// As it was written; [`Toxic::direction`] is what it means.
    stream: String,
    pub(super) direction: Direction,
    toxicity: f64,
    values: Vec<Value>,
}

impl Toxic {
    /// The toxic that a body asks for on a proxy of this transport.
    pub(super) fn new(body: ToxicBody, transport: Transport) -> Result<Toxic, Problem> {
        let stream = body.stream.unwrap_or_else(|| "downstream".to_owned());
        let direction = match stream.to_lowercase().as_str() {
            "upstream" => Direction::Up,
            "downstream" => Direction::Down,
            _ => return Err(Problem::STREAM.into()),
        };
        let written = body.kind.unwrap_or_default();
        let kind = Kind::named(&written).ok_or(Problem::KIND)?;
        let name = body.name.filter(|name| !name.is_empty());
        let toxic = Toxic {
            name: name.unwrap_or_else(|| format!("{written}_{stream}")),
            kind,
            stream,
            direction,
            toxicity: 1.0,
            values: kind.attributes.iter().map(|attribute| attribute.default).collect(),
        };
        toxic.changed(body.toxicity, &body.attributes, transport)
    }

    /// The same with some attributes, and perhaps its toxicity, changed.
    pub(super) fn changed(
        &self,
        toxicity: Option<f64>,
        attributes: &Map<String, Json>,
        transport: Transport,
    ) -> Result<Toxic, Problem> {
        let mut toxic = self.clone();
        toxic.toxicity = toxicity.unwrap_or(self.toxicity);
        for (attribute, value) in self.kind.attributes.iter().zip(&mut toxic.values) {
            let exact = attributes.get(attribute.name);
            let same = |(key, _): &(&String, _)| key.eq_ignore_ascii_case(attribute.name);
            let alike = || attributes.iter().find(same).map(|(_, given)| given);
            if let Some(given) = exact.or_else(alike).filter(|given| !given.is_null()) {
                *value = read(attribute, given)?;
            }
        }
        (self.kind.check)(toxic.values()).map_err(|what| Unread(what.to_owned()))?;
        toxic.check(transport)?;
        Ok(toxic)
    }

    fn check(&self, transport: Transport) -> Result<(), Problem> {
        let name = self.kind.name;
        let what = match transport {
            Transport::Udp if self.kind.units.is_none() => {
                format!("{name} means nothing for datagrams: it is a fault of connections")
            }
            Transport::Udp if self.toxicity < 1.0 => {
                "toxicity is drawn for each connection, and datagrams have none: give the toxic a \
                 probability"
                    .to_owned()
            }
            Transport::Tcp | Transport::Unix if self.kind.streams.is_none() => format!(
                "{name} means nothing for a stream: TCP ends at the proxy, so no segment can be \
                 lost, copied or overtaken; try it on a udp:// upstream, or loss_as_delay"
            ),
            Transport::Tcp | Transport::Unix
                if self.toxicity < 1.0 && matches!(self.strike(), Some(Strike::Hold(_))) =>
            {
                format!("{name} delays every connection: its toxicity is 1")
            }
            Transport::Tcp | Transport::Udp | Transport::Unix => return Ok(()),
        };
        Err(Unread(what).into())
    }

    fn values(&self) -> Values<'_> {
        Values { attributes: self.kind.attributes, values: &self.values }
    }

    /// What it does to streams, if anything.
    pub(super) fn strike(&self) -> Option<Strike> {
        self.kind.streams.map(|strike| strike(self.values()))
    }

    /// How likely it strikes.
    pub(super) const fn toxicity(&self) -> Probability {
        Probability(self.toxicity)
    }

    /// The link of `core` that it is among others, if it does something to bytes.
    pub(super) fn named(&self) -> Option<Named> {
        match self.strike()? {
            Strike::Bytes(toxic) => {
                Some(Named { name: self.name.clone(), toxic, toxicity: self.toxicity() })
            }
            Strike::Refuse | Strike::Hold(_) => None,
        }
    }

    /// Turns the knobs of its direction, for datagrams.
    pub(super) fn turn(&self, knobs: &mut Knobs) {
        if let Some(turn) = self.kind.units {
            turn(self.values(), knobs);
        }
    }

    /// Whether both are of one kind: datagrams can have only one of each in a direction.
    pub(super) fn is_like(&self, other: &Toxic) -> bool {
        self.kind.name == other.kind.name && self.direction == other.direction
    }
}

fn read(attribute: &Attribute, given: &Json) -> Result<Value, Unread> {
    let name = attribute.name;
    match attribute.default {
        // Go's int64: what is larger was refused by Toxiproxy, too.
        Value::Whole(_) => match given.as_i64().and_then(|number| u64::try_from(number).ok()) {
            Some(number) => Ok(Value::Whole(number)),
            None => Err(wanted(name, "a whole number from 0", given)),
        },
        Value::Chance(_) => match given.as_f64().filter(|chance| (0.0..=1.0).contains(chance)) {
            Some(chance) => Ok(Value::Chance(chance)),
            None => Err(wanted(name, "a number from 0 to 1", given)),
        },
        Value::Word(_) => {
            let word = given.as_str().and_then(|word| {
                attribute.words.iter().find(|known| known.eq_ignore_ascii_case(word))
            });
            let known = || format!("one of {}", attribute.words.join(", "));
            word.map(|word| Value::Word(word)).ok_or_else(|| wanted(name, &known(), given))
        }
    }
}

/// The keys of Toxiproxy, in its order.
impl Serialize for Toxic {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut object = serializer.serialize_struct("Toxic", 5)?;
        object.serialize_field("attributes", &Attributes(self.values()))?;
        object.serialize_field("name", &self.name)?;
        object.serialize_field("type", self.kind.name)?;
        object.serialize_field("stream", &self.stream)?;
        object.serialize_field("toxicity", &Number(self.toxicity))?;
        object.end()
    }
}

struct Attributes<'a>(Values<'a>);

impl Serialize for Attributes<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut object = serializer.serialize_map(None)?;
        for (attribute, value) in self.0.attributes.iter().zip(self.0.values) {
            if attribute.ours && *value == attribute.default {
                continue;
            }
            match value {
                Value::Whole(number) => object.serialize_entry(attribute.name, number)?,
                Value::Chance(chance) => {
                    object.serialize_entry(attribute.name, &Number(*chance))?
                }
                Value::Word(word) => object.serialize_entry(attribute.name, word)?,
            }
        }
        object.end()
    }
}

/// A number from 0 to 1; its ends are whole numbers, as clients expect to see them.
struct Number(f64);

impl Serialize for Number {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self.0 {
            0.0 => serializer.serialize_u64(0),
            1.0 => serializer.serialize_u64(1),
            number => serializer.serialize_f64(number),
        }
    }
}
