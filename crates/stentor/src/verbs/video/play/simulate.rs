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
use super::output::Outputs;
use crate::complaint::{Complaint, Exit};
use crate::drive::video::outcome::{Config, Fetch};
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
    let Plan { config, film, network, rule } = plan;
    let policy = config.policy;
    let best = best(&film, &network, policy, &rule);
    let played = simulator::play(&film, &network, policy, rule);
    let known = Known::recorded(&network, played.end);
    outputs.knows(Known { simulated: true, oracle: best, ..known });
    outputs.finish(&config, &simulation::outcome(film, policy, played), &[])
}

/// What is simulated.
struct Plan {
    config: Config,
    film: Film,
    network: Network,
    rule: Rule,
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
        let capacity = args.buffer.0;
        let start = args.start.map_or(START.min(capacity), |span| span.0);
        let resume = args.resume.map_or(start, |span| span.0);
        let policy = Policy::new(capacity, start, resume)
            .map_err(|error| Complaint::usage(error.to_string(), "-B says how much it holds."))?;
        let name = match args.quality {
            Some(quality) => format!("fixed:{quality}"),
            None => args.rule.clone(),
        };
        let rule = match Rule::named(&name, &film) {
            Err(RuleError::Oracle) => Rule::Planned(abr::plan(&film, &network, policy)),
            named => named.map_err(|error| Complaint::usage(format!("--rule: {error}"), ""))?,
        };
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
        Ok(Plan { config, film, network, rule })
    }
}

/// How good the best session would have been.
fn best(film: &Film, network: &Network, policy: Policy, rule: &Rule) -> Option<Metrics> {
    let plan = match rule {
        Rule::Planned(plan) => plan.clone(),
        _ if film.chunks().len() > ORACLE_CHUNKS_MAX => return None,
        _ => abr::plan(film, network, policy),
    };
    let Played { metrics, .. } = simulator::play(film, network, policy, Rule::Planned(plan));
    Some(metrics)
}
