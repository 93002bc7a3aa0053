//! Links that change while the run goes on: which knobs are turned when.
//!
//! The roof reads the file; here its plain values are checked, once, before the run begins.

use std::time::Duration;

use thiserror::Error;

use super::spec::{Spec, SpecError};
use crate::moment::Moment;

/// The most steps of a scenario.
pub const STEPS_MAX: usize = 100_000;

/// A link, and the times at which it changes.
#[derive(Clone, Debug)]
pub struct Scenario {
    /// In the order of their times; the first is the link as it begins, at 0.
    steps: Vec<(Duration, Spec)>,
    period: Option<Duration>,
    next: usize,
    /// When the steps that are now walked through began.
    begun: Moment,
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
    /// More than [`STEPS_MAX`] steps.
    #[error("more than {STEPS_MAX} steps: a trace says in less how a rate changes")]
    TooMany,
}

/// What the driver has to do next.
#[derive(Clone, Debug, PartialEq)]
pub enum Turn {
    /// Set both directions to this, as of this moment.
    Set(Moment, Box<Spec>),
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
        let mut last = (Duration::ZERO, base.clone());
        let mut all = vec![last.clone()];
        for (index, (at, words)) in steps.into_iter().enumerate() {
            let step = index + 1;
            if step > STEPS_MAX {
                return Err(ScenarioError::TooMany);
            }
            if at < last.0 {
                return Err(ScenarioError::Order(step));
            }
            let turned = last.1.with(words);
            last = (at, turned.map_err(|source| ScenarioError::Spec { step, source })?);
            all.push(last.clone());
        }
        if period.is_some_and(|period| period.is_zero() || period <= last.0) {
            return Err(ScenarioError::Period);
        }
        Ok(Scenario { steps: all, period, next: 0, begun: Moment::START })
    }

    /// Every setting that the link will ever have, the first first: what the roof needs to find all
    /// traces, and to ask whether a tier can do it.
    pub fn settings(&self) -> impl Iterator<Item = &Spec> {
        self.steps.iter().map(|(_, spec)| spec)
    }

    /// Says what to do at `now`, until it says to wait or that it is over. The first answer is
    /// always the link as it begins. Whole periods that nobody asked about are passed over.
    pub fn poll(&mut self, now: Moment) -> Turn {
        if let Some(period) = self.period {
            let period = u64::try_from(period.as_nanos()).unwrap_or(u64::MAX).max(1);
            let passed = now.since(self.begun).as_nanos() / u128::from(period);
            let passed = passed.max(u128::from(self.next >= self.steps.len()));
            // What a past period still had to turn, the beginning of this one turns back.
            if passed > 0 {
                let passed = u64::try_from(passed).unwrap_or(u64::MAX);
                self.begun = self.begun + Duration::from_nanos(period.saturating_mul(passed));
                self.next = 0;
            }
        }
        let Some((at, spec)) = self.steps.get(self.next) else { return Turn::Over };
        let at = self.begun + *at;
        if at > now {
            return Turn::Wait(at);
        }
        self.next += 1;
        Turn::Set(at, Box::new(spec.clone()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn second(seconds: u64) -> Duration {
        Duration::from_secs(seconds)
    }

    /// All turns from second to second, as `when:words`.
    fn run(scenario: &mut Scenario, until: u64) -> String {
        let mut log = Vec::new();
        for now in 0..=until {
            loop {
                match scenario.poll(Moment::START + second(now)) {
                    Turn::Set(at, spec) => {
                        log.push(format!("{}:{spec}", at.as_nanos() / 1_000_000))
                    }
                    Turn::Wait(at) => break assert!(at > Moment::START + second(now)),
                    Turn::Over => break,
                }
            }
        }
        log.join(" ")
    }

    #[test]
    fn steps_turn_what_they_name() {
        let base: Spec = "delay=20ms".parse().unwrap();
        let steps = [(second(1), "loss=5%"), (second(3), "up:delay=0s"), (second(3), "loss=0%")];
        let mut scenario = Scenario::new(&base, steps, None).unwrap();
        assert_eq!(scenario.settings().count(), 4);
        let expected = "0:delay=20ms 1000:delay=20ms,loss=5% 3000:down:delay=20ms,loss=5% \
                        3000:down:delay=20ms";
        assert_eq!(run(&mut scenario, 9), expected);
        assert_eq!(scenario.poll(Moment::START + second(99)), Turn::Over);
    }

    #[test]
    fn a_period_begins_again_and_skips_what_nobody_saw() {
        let steps = [(second(2), "loss=5%")];
        let mut scenario = Scenario::new(&Spec::default(), steps, Some(second(5))).unwrap();
        assert_eq!(run(&mut scenario, 8), "0: 2000:loss=5% 5000: 7000:loss=5%");
        let late = scenario.poll(Moment::START + second(1_000_003));
        assert_eq!(late, Turn::Set(Moment::START + second(1_000_000), Box::default()));
    }

    #[test]
    fn what_makes_no_sense_is_refused() {
        let check = |steps: &[(u64, &'static str)], period: Option<u64>, expected: &str| {
            let steps = steps.iter().map(|(at, words)| (second(*at), *words));
            let made = Scenario::new(&Spec::default(), steps, period.map(second));
            assert!(made.unwrap_err().to_string().starts_with(expected));
        };
        check(&[(1, "loss=1%"), (0, "loss=0%")], None, "step 2 comes before");
        check(&[(1, "lost=1%")], None, "step 1: \"lost=1%\" is not known");
        check(&[(1, "rate=0")], None, "step 1: rate=0bit would deliver nothing");
        check(&[(5, "loss=1%")], Some(5), "the period must be longer");
        check(&[], Some(0), "the period must be longer");
    }
}
