//! A session on a virtual clock: what is played over which network, and who chooses.

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
use crate::complaint::{Complaint, Exit};
use crate::drive::video::outcome::{Config, Fetch, Outcome, Trouble};
use crate::drive::video::play::counsel::{self, Asked, Choose};
use crate::drive::video::simulation;
use crate::report::video::play::Known;
use crate::verbs::video::{film, network};

/// With how much film playing begins, unless the buffer holds less.
const START: Duration = Duration::from_secs(4);
/// The film, unless another is named.
const FILM: &str = "ladder";
/// The most chunks of a film of which the best session is searched for, to compare with.
const ORACLE_CHUNKS_MAX: usize = 1200;

/// Runs it.
pub(super) fn run(args: &Args) -> Result<Exit, Complaint> {
    let mut outputs = Outputs::open(args)?;
    let plan = match Plan::read(args) {
        Ok(plan) => plan,
        Err(complaint) => return outputs.failed(None, complaint),
    };
    let Plan { config, film, network, who, conditions } = plan;
    let policy = config.policy;
    let best = best(&film, &network, policy, &who);
    let (played, trouble) = match who {
        Who::Rule(rule) => (simulator::play(&film, &network, policy, rule), None),
        Who::Asked(choose) => asked(&film, &network, policy, choose),
    };
    let known = Known::recorded(&network, played.end);
    outputs.knows(Known { simulated: true, oracle: best, ..known });
    let outcome = Outcome { trouble, ..simulation::outcome(film, policy, played) };
    let failed = conditions.met(std::slice::from_ref(&outcome));
    outputs.finish(&config, &outcome, &failed)
}

/// A session whose qualities somebody outside chooses; why it ended early, if it did.
fn asked(
    film: &Film,
    network: &Network,
    policy: Policy,
    mut choose: Choose,
) -> (Played, Option<Trouble>) {
    let mut trouble = None;
    let played = simulator::play_asking(film, network, policy, &mut |view, download| {
        let asked = Asked::of(view, download);
        let choice = choose(&asked).and_then(|choice| counsel::known(&asked, choice));
        choice.map_err(|refused| trouble = Some(refused)).ok()
    });
    (played, trouble)
}

/// What chooses the qualities.
enum Who {
    Rule(Rule),
    Asked(Choose),
}

/// What is simulated.
struct Plan {
    config: Config,
    film: Film,
    network: Network,
    who: Who,
    conditions: Conditions,
}

impl Plan {
    /// What the arguments mean.
    ///
    /// # Errors
    /// A file that cannot be read (exit 3), or whatever is wrong with them (2).
    fn read(args: &Args) -> Result<Plan, Complaint> {
        if args.fetch == Some(Fetch::Progressive) {
            let next = "--predict says what the formulae say of it.";
            return Err(Complaint::usage("--sim fetches chunks, not one file", next));
        }
        let source = args.sim.clone().unwrap_or_default();
        let written = args.film.clone().unwrap_or_else(|| FILM.to_owned());
        if source == "-" && written == "-" {
            let what = "standard input cannot be both the network and the film";
            return Err(Complaint::usage(what, "Name a file for one of them."));
        }
        let film = film::read(&written, args.seed.map_or(film::SEED, Seed))?;
        let network = network::read(&source, args.latency)?;
        let network = network.beginning_at(args.from.map_or(Duration::ZERO, |span| span.0));
        let capacity = args.buffer.0;
        let start = args.start.map_or(START.min(capacity), |span| span.0);
        let resume = args.resume.map_or(start, |span| span.0);
        let policy = Policy::new(capacity, start, resume)
            .map_err(|error| Complaint::usage(error.to_string(), "-B says how much it holds."))?;
        if args.manual && (source == "-" || written == "-") {
            let what = "standard input cannot be both a file and the choices of --manual";
            return Err(Complaint::usage(what, "Name a file."));
        }
        let name = choosers::name(args);
        let who = match (&args.abr, args.manual) {
            (Some(command), _) => {
                let mut program = Program::start(command, args.timeout.0)?;
                Who::Asked(Box::new(move |asked| program.ask(asked)))
            }
            (None, true) => Who::Asked(choosers::person()),
            (None, false) => Who::Rule(match Rule::named(&name, &film) {
                Err(RuleError::Oracle) => Rule::Planned(abr::plan(&film, &network, policy)),
                named => named.map_err(|error| Complaint::usage(format!("--rule: {error}"), ""))?,
            }),
        };
        let conditions = Conditions::read(&args.fail_if)?;
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
        Ok(Plan { config, film, network, who, conditions })
    }
}

/// How good the best session would have been.
fn best(film: &Film, network: &Network, policy: Policy, who: &Who) -> Option<Metrics> {
    let plan = match who {
        Who::Rule(Rule::Planned(plan)) => plan.clone(),
        _ if film.chunks().len() > ORACLE_CHUNKS_MAX => return None,
        _ => abr::plan(film, network, policy),
    };
    let Played { metrics, .. } = simulator::play(film, network, policy, Rule::Planned(plan));
    Some(metrics)
}
