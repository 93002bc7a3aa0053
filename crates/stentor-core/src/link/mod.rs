//! A worse network, honestly: one direction of a path, as a pure machine.
//!
//! [`Spec`] is what a person writes (`delay=20ms,loss=1%`), [`Knobs`] what one direction is set to.
//! [`Link`] carries units (datagrams, packets) and may lose, delay, reorder, double and corrupt
//! them; [`stream::Pipe`] carries the bytes of a connection that is terminated on both sides and can
//! therefore only be late, slow, cut or closed. [`Scenario`] turns knobs while the run goes on.
//! Sockets, devices and files are left to the drivers: time, luck and the text of a trace come in as
//! arguments.
//!
//! Every knob has a die of its own, named after the link and the knob, and rolls it once for each
//! unit whether it is turned up or not. So the same seed and the same units give the same decisions,
//! byte for byte, and turning one knob never changes another's luck.

mod burst;
mod decision;
mod jitter;
mod knobs;
mod luck;
mod machine;
mod preset;
mod scenario;
mod spec;
pub mod stream;
mod trace;
mod transmitter;
mod words;

pub use burst::Burst;
pub use decision::{Counters, Decision, Knob, What};
pub use jitter::{Jitter, Shape};
pub use knobs::{DELAY_MAX, KnobError, Knobs, Order, QUEUE_DEFAULT, Queue, RATE_MAX};
pub use machine::{BYTES_MAX, Delivery, Link, Output, UNITS_MAX, Unit};
pub use preset::{PRESETS, Preset};
pub use scenario::{STEPS_MAX, Scenario, ScenarioError, Turn};
pub use spec::{Spec, SpecError};
pub use trace::{OPPORTUNITY_BYTES, Opportunities, TRACE_LINES_MAX, Table, Trace, TraceError};

/// Which way units go, seen from the client.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Direction {
    /// From the client to the server.
    Up,
    /// From the server to the client.
    Down,
}

impl Direction {
    /// The name in a link's words: `up` or `down`.
    pub const fn name(self) -> &'static str {
        match self {
            Direction::Up => "up",
            Direction::Down => "down",
        }
    }
}
