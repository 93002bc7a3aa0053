//! What a lab link is set to: its words, the files they name, the seed.

use std::collections::BTreeMap;
use std::ops::Range;

use stentor_core::link::{Direction, Knobs, Link, Scenario, Spec, Trace};
use stentor_core::seed::Seed;
use stentor_os::failure::Failure;

use crate::complaint::Complaint;

/// Which bytes of a packet `corrupt` may strike.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Strikes {
    /// Everything behind the IP header, so that the checksum of the transport has to find it.
    #[default]
    Transport,
    /// Only what the transport carries.
    Payload,
}

/// All settings of a lab link.
#[derive(Clone, Debug)]
pub struct Settings {
    /// Both directions, and how they change.
    pub scenario: Scenario,
    /// The recorded links that it names.
    pub traces: BTreeMap<String, Trace>,
    /// What all chance follows from.
    pub seed: Seed,
    /// Where bits are flipped.
    pub strikes: Strikes,
}

impl Settings {
    /// A link that stays as `spec` says; the files of recorded links are read now.
    ///
    /// # Errors
    /// What makes no sense for packets, and files that cannot be read.
    pub fn of(spec: &Spec, seed: Seed) -> Result<Settings, Complaint> {
        let scenario = Scenario::new(spec, [], None)
            .map_err(|error| Complaint::usage(format!("--link: {error}"), ""))?;
        Settings::new(scenario, seed)
    }

    /// A link that changes as `scenario` says; the files of recorded links are read now.
    ///
    /// # Errors
    /// As [`Settings::of`].
    pub fn new(scenario: Scenario, seed: Seed) -> Result<Settings, Complaint> {
        let mut traces = BTreeMap::new();
        for spec in scenario.settings() {
            for (direction, knobs) in [(Direction::Up, &spec.up), (Direction::Down, &spec.down)] {
                let refused =
                    |error| Complaint::usage(format!("--link: {}: {error}", direction.name()), "");
                knobs.check().map_err(refused)?;
                knobs.check_units().map_err(refused)?;
            }
            for (_, name) in spec.traces() {
                if !traces.contains_key(name) {
                    traces.insert(name.to_owned(), read(name)?);
                }
            }
        }
        Ok(Settings { scenario, traces, seed, strikes: Strikes::default() })
    }

    /// The recorded link that these knobs name.
    pub(super) fn trace(&self, knobs: &Knobs) -> Option<&Trace> {
        self.traces.get(knobs.trace.as_deref()?)
    }

    /// A link of one direction that is perfect until the scenario begins.
    pub(super) fn link(&self, direction: Direction) -> Result<Link<Vec<u8>>, Complaint> {
        Link::new(&Knobs::default(), None, self.seed, direction.name())
            .map_err(|error| Complaint::usage(format!("--link: {error}"), ""))
    }
}

/// Longer than any recorded link that is in use.
const TRACE_BYTES_MAX: u64 = 64 << 20;

fn read(name: &str) -> Result<Trace, Complaint> {
    let failed = |error| Failure::new("read", name, error);
    let length = std::fs::metadata(name).map_err(failed)?.len();
    if length > TRACE_BYTES_MAX {
        let what =
            format!("--link: trace={name}: {length} bytes are more than a recorded link has");
        return Err(Complaint::usage(what, "At most 64 MiB are read."));
    }
    let text = std::fs::read_to_string(name).map_err(failed)?;
    text.parse().map_err(|error| Complaint::usage(format!("--link: trace={name}: {error}"), ""))
}

impl Strikes {
    /// The bytes of an IP packet that may be struck; of what is not understood none.
    pub(super) fn within(self, packet: &[u8]) -> Range<usize> {
        let Some((transport, protocol)) = behind_ip(packet) else { return 0..0 };
        let payload = match (self, protocol) {
            (Strikes::Transport, _) => 0,
            // The data offset, in words of four bytes (RFC 9293, section 3.1).
            (Strikes::Payload, 6) => {
                packet.get(transport + 12).map_or(0, |byte| usize::from(byte >> 4) * 4)
            }
            // RFC 768; ICMP's header is as long.
            (Strikes::Payload, _) => 8,
        };
        (transport + payload).min(packet.len())..packet.len()
    }
}

/// Where the header of the transport begins, and whose it is: RFC 791, RFC 8200.
fn behind_ip(packet: &[u8]) -> Option<(usize, u8)> {
    let first = *packet.first()?;
    match first >> 4 {
        4 => Some((usize::from(first & 0xf) * 4, *packet.get(9)?)),
        6 => Some((40, *packet.get(6)?)),
        _ => None,
    }
}
