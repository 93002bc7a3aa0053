//! The options and the figures of another simulator: the reference's own words after `--`, and its own
//! metrics under its own names.

use stentor_core::seed::Seed;
use stentor_core::video::sabre::{self, Movie, Options, Report};

use super::Args;
use super::plain::{self, Outputs};
use crate::complaint::{Complaint, Exit};
use crate::report::json::video::sabre::{Config, Outcome, SCHEMA};
use crate::verbs::video::{film, network};

/// The simulator that is repeated.
const SABRE: &str = "sabre";

/// Runs it.
pub(super) fn run(args: &Args) -> Result<Exit, Complaint> {
    let outputs = Outputs::open(&args.output, args.json)?;
    let found = simulate(args).map(|(config, report)| {
        let text = report.to_string();
        (config, Outcome::from(&report), text)
    });
    plain::finish(outputs, SCHEMA, found)
}

fn simulate(args: &Args) -> Result<(Config, Report), Complaint> {
    match args.compat.as_deref() {
        Some(SABRE) | None => {}
        Some(other) => {
            let what = format!("--compat {other}: no such simulator is known here");
            return Err(Complaint::usage(what, "The only one is sabre."));
        }
    }
    let refused = |error: String| {
        Complaint::usage(
            format!("--compat sabre: {error}"),
            "Its options stand after --, such as: --sim network.json --film film.json --compat \
             sabre -- -a bola -b 12.",
        )
    };
    let words = args.foreign.iter().map(String::as_str);
    let options = sabre::parse(words).map_err(|error| refused(error.to_string()))?;
    let network = named("-n", "--network", "--sim", args.sim.as_ref(), args, &options.network)?;
    let film = named("-m", "--movie", "--film", args.film.as_ref(), args, &options.movie)?;
    if network == "-" && film == "-" {
        return Err(refused("standard input cannot be both the network and the film".to_owned()));
    }
    let seed = args.seed.map_or(film::SEED, Seed);
    let movie = film::numbers(&film, seed)?.movie();
    let periods = network::periods(&network)?.sabre();
    let report = sabre::simulate(&options, &movie, &periods);
    let report = report.map_err(|error| refused(error.to_string()))?;
    let config = config(args, &options, &movie, network, film);
    Ok((config, report))
}

fn config(args: &Args, options: &Options, movie: &Movie, network: String, film: String) -> Config {
    let seconds_ns = std::time::Duration::try_from_secs_f64(options.buffer_s);
    Config {
        simulator: SABRE,
        network,
        film,
        arguments: args.foreign.clone(),
        segments: movie.sizes_bits.len(),
        qualities: movie.bitrates_kbps.len(),
        buffer_ns: seconds_ns.ok().and_then(|span| u64::try_from(span.as_nanos()).ok()),
    }
}

/// The file that one of our options names, or one of the reference's.
fn named(
    short: &str,
    long: &str,
    ours: &str,
    given: Option<&String>,
    args: &Args,
    theirs: &str,
) -> Result<String, Complaint> {
    let named = |word: &String| {
        word == short || word == long || word.strip_prefix(long).is_some_and(|v| v.starts_with('='))
    };
    match given {
        None => Ok(theirs.to_owned()),
        Some(_) if args.foreign.iter().any(named) => {
            let what = format!("{ours} and the reference's {short} name the same thing");
            Err(Complaint::usage(what, "Leave one of them out."))
        }
        Some(given) => Ok(given.clone()),
    }
}
