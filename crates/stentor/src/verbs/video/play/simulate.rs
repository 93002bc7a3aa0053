//! A session on a virtual clock: what is played over which network, and who chooses.

use std::sync::Arc;
use std::time::Duration;

use stentor_core::seed::Seed;
use stentor_core::video::abr::{self, Rule, RuleError};
use stentor_core::video::buffer::Policy;
use stentor_core::video::film::Film;
use stentor_core::video::metrics::Metrics;
use stentor_core::video::network::Network;
use stentor_core::video::simulator::{self, Played};

use super::Args;
use super::choosers::{self, Program};
use super::conditions::Conditions;
use super::output::Outputs;
use super::plan::policy;
use crate::complaint::{Complaint, Exit};
use crate::drive::video::outcome::{Config, Fetch, Outcome};
use crate::drive::video::play::counsel::{Asked, Choose};
use crate::drive::video::simulation;
use crate::report::video::play::Known;
use crate::verbs::video::{film, network};

/// The film, unless another is named.
const FILM: &str = "ladder";
/// The most chunks of a film of which the best session is searched for, to compare with.
const ORACLE_CHUNKS_MAX: usize = 1200;

/// Runs it.
pub(super) fn run(args: &Args) -> Result<Exit, Complaint> {
    let mut outputs = Outputs::open(args)?;
    let mut plan = match Plan::read(args) {
        Ok(plan) => plan,
        Err(complaint) => return outputs.failed(None, complaint),
    };
    let outcome = plan.carry_out();
    let known = Known::recorded(&plan.network, outcome.end);
    outputs.knows(Known { simulated: true, oracle: plan.best(), ..known });
    let failed = plan.conditions.met(std::slice::from_ref(&outcome));
    outputs.finish(&plan.config, &outcome, &failed)
}

/// What is simulated.
struct Plan {
    config: Config,
    film: Arc<Film>,
    network: Network,
    chooser: Chooser,
    conditions: Conditions,
}

/// Who chooses.
enum Chooser {
    Rule(Rule),
    /// A program or a person; the virtual clock stands still while they think.
    Outside(Choose),
}

impl Plan {
    /// What the arguments mean.
    ///
    /// # Errors
    /// A file that cannot be read or a program that cannot be started (exit 3), or whatever is wrong
    /// with them (2).
    fn read(args: &Args) -> Result<Plan, Complaint> {
        if args.fetch == Some(Fetch::Progressive) {
            let next = "--predict says what the formulae say of it.";
            return Err(Complaint::usage("--sim fetches chunks, not one file", next));
        }
        let conditions = Conditions::read(&args.fail_if)?;
        let source = args.sim.clone().unwrap_or_default();
        let written = args.film.clone().unwrap_or_else(|| FILM.to_owned());
        if [source.as_str(), &written].iter().filter(|name| **name == "-").count()
            + usize::from(args.manual)
            > 1
        {
            let what = "standard input can be only one of the network, the film and --manual";
            return Err(Complaint::usage(what, "Name a file for the others."));
        }
        let film = film::read(&written, args.seed.map_or(film::SEED, Seed))?;
        let network = network::read(&source, args.latency)?;
        let network = network.with_heads(args.head.map_or(0, |bytes| bytes.0));
        let network = network.beginning_at(args.from.map_or(Duration::ZERO, |span| span.0));
        let policy = policy(args)?;
        let (chooser, name) = chooser(args, &film, &network, policy)?;
        let config = Config {
            source,
            fetch: Fetch::Chunked,
            chooser: name,
            policy,
            film: Some(written),
            link: None,
            seed: Some(args.seed.unwrap_or(film::SEED.0)),
            silence_max: args.timeout.0,
        };
        Ok(Plan { config, film: Arc::new(film), network, chooser, conditions })
    }

    fn carry_out(&mut self) -> Outcome {
        let Plan { config, film, network, chooser, .. } = self;
        let policy = config.policy;
        let mut trouble = None;
        let played = match chooser {
            Chooser::Rule(rule) => simulator::play(film, network, policy, rule.clone()),
            Chooser::Outside(choose) => {
                simulator::play_asking(film, network, policy, &mut |view, download| {
                    let answer = choose(&Asked::of(view, download));
                    answer.map_err(|why| trouble = Some(why)).ok()
                })
            }
        };
        simulation::outcome(Arc::clone(film), policy, played, trouble)
    }

    /// How good the best session would have been.
    fn best(&self) -> Option<Metrics> {
        let Plan { config, film, network, chooser, .. } = self;
        let plan = match chooser {
            Chooser::Rule(Rule::Planned(plan)) => plan.clone(),
            Chooser::Rule(_) | Chooser::Outside(_) if film.chunks().len() > ORACLE_CHUNKS_MAX => {
                return None;
            }
            Chooser::Rule(_) | Chooser::Outside(_) => abr::plan(film, network, config.policy),
        };
        let rule = Rule::Planned(plan);
        let Played { metrics, .. } = simulator::play(film, network, config.policy, rule);
        Some(metrics)
    }
}

/// Who chooses, and what that is called.
fn chooser(
    args: &Args,
    film: &Film,
    network: &Network,
    policy: Policy,
) -> Result<(Chooser, String), Complaint> {
    if let Some(command) = &args.abr {
        let mut program = Program::start(command, args.timeout.0)?;
        let choose = Box::new(move |asked: &Asked| program.ask(asked));
        return Ok((Chooser::Outside(choose), format!("--abr {command}")));
    }
    if args.manual {
        return Ok((Chooser::Outside(choosers::person()), "by hand".to_owned()));
    }
    let name = choosers::name(args);
    let rule = match Rule::named(&name, film) {
        Err(RuleError::Oracle) => Rule::Planned(abr::plan(film, network, policy)),
        named => named.map_err(|error| Complaint::usage(format!("--rule: {error}"), ""))?,
    };
    Ok((Chooser::Rule(rule), name))
}
