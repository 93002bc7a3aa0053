//! `stentor video play`: a player without a decoder, over real sockets, on a virtual clock, or by formula.
//!
//! The words of the command line become a plan (`plan`), which `drive::video::play` carries out. A
//! simulation is in `simulate`, the reference's options in `compat`, the formulae in `predict`, RTP in
//! `datagrams`; what is printed and written is in `output`.

mod choosers;
mod compat;
mod conditions;
mod datagrams;
mod output;
mod plain;
mod plan;
mod predict;
mod queues;
mod screen;
mod simulate;
mod stream;

use std::path::PathBuf;

use stentor_core::units::{Amount, BitRate, Span};

use crate::complaint::{Complaint, Exit};
use crate::drive::video::outcome::Fetch;
use crate::verbs::link::Words;

/// Under which heading of the help an option stands.
const CHOOSING: &str = "Choosing";
const BUFFER: &str = "Buffer";
const NETWORK: &str = "Network";
const MANY_PLAYERS: &str = "Many players";
const RTP_OVER_UDP: &str = "RTP over UDP";
const SIMULATION: &str = "Simulation";
const FORMULA: &str = "Formula";
const REPORT: &str = "Report";

/// The arguments of `video play`.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Manifests are understood by their content: HLS (multivariant and media playlists), DASH, or an MP4 file, \
which is fetched progressively. Chunks are counted and thrown away; nothing is decoded.\n\n\
Exit codes: 0 played to the end; 1 not to the end, or a condition of --fail-if holds; 2 usage; 3 \
cannot resolve or connect; 130 interrupted, after the report so far.")]
pub(super) struct Args {
    /// A manifest or a file over HTTP, or HOST:PORT of an origin (stentor video serve)
    /// [default: http://127.0.0.1:12080/master.m3u8]
    #[arg(value_name = "URL|HOST:PORT")]
    target: Option<String>,
    /// How film is fetched: chunked, a request for each chunk, or progressive, one for the whole file
    /// [default: chunked; an MP4 file progressive]
    #[arg(long, value_enum, value_name = "WAY", hide_possible_values = true)]
    fetch: Option<Fetch>,
    /// What chooses the qualities: throughput, bba0, bola-basic, bola, bola-o, bola-e, dynamic, mpc,
    /// robust-mpc, fixed:N, and oracle with --sim [default: dynamic]
    #[arg(long, value_name = "NAME", group = "chooser", help_heading = CHOOSING,
        conflicts_with = "predict")]
    rule: Option<String>,
    /// Lets a program choose: it reads and writes lines of JSON
    #[arg(long, value_name = "COMMAND", group = "chooser", help_heading = CHOOSING,
        conflicts_with = "predict")]
    abr: Option<String>,
    /// Lets you choose: a quality for each chunk, asked for at a terminal or read as lines
    #[arg(long, group = "chooser", help_heading = CHOOSING, conflicts_with = "predict")]
    manual: bool,
    /// Always this quality, from 0, the lowest: the same as --rule fixed:N
    #[arg(long, value_name = "N", group = "chooser", help_heading = CHOOSING)]
    quality: Option<usize>,
    /// How much film the application buffers (the book's B)
    #[arg(short = 'B', long, value_name = "TIME", default_value = "25s", help_heading = BUFFER)]
    buffer: Span,
    /// With how much film playing begins (the book's Q) [default: 4s, or the buffer if it is less]
    #[arg(short = 'Q', long, value_name = "TIME", help_heading = BUFFER)]
    start: Option<Span>,
    /// With how much film it goes on after a freeze [default: as much as at the start]
    #[arg(long, value_name = "TIME", help_heading = BUFFER)]
    resume: Option<Span>,
    /// Progressive: what the kernel may keep of the film besides (SO_RCVBUF) [default: the kernel's]
    #[arg(long, value_name = "BYTES", conflicts_with_all = ["sim", "predict", "udp"], help_heading = BUFFER)]
    pub(super) receive_buffer: Option<Amount>,
    /// The film, for exact sizes: a JSON file, or lecture, ladder, short, hour
    #[arg(long, value_name = "FILE|PRESET")]
    film: Option<String>,
    /// Silence after which a request is given up, and longest wait for a connection
    #[arg(short = 'w', long, value_name = "TIME", default_value = "5s", help_heading = NETWORK)]
    timeout: Span,
    /// How often a chunk that failed is asked for again before another quality is tried
    #[arg(long, value_name = "N", default_value = "2", help_heading = NETWORK)]
    retries: u32,
    /// Believes any certificate of an https origin
    #[arg(long, help_heading = NETWORK)]
    insecure: bool,
    /// Uses IPv4 addresses alone
    #[arg(short = '4', long, conflicts_with = "ipv6", help_heading = NETWORK)]
    ipv4: bool,
    /// Uses IPv6 addresses alone
    #[arg(short = '6', long, help_heading = NETWORK)]
    ipv6: bool,
    /// Port of the default host, 127.0.0.1 [default: 12080]
    #[arg(short, long, value_name = "PORT", conflicts_with = "target", help_heading = NETWORK)]
    port: Option<u16>,
    /// Puts a worse network before the origin, by the words of impair: rate=2Mbit,trace=FILE
    #[arg(long, value_name = "SPEC", help_heading = NETWORK,
        conflicts_with_all = ["sim", "predict", "compat"])]
    link: Option<Words>,
    /// From which the link's chance and a preset's film follow [default: link new, film 1]
    #[arg(long, value_name = "N", help_heading = NETWORK)]
    seed: Option<u64>,
    /// So many players at once, one report of all
    #[arg(long, value_name = "N", help_heading = MANY_PLAYERS,
        conflicts_with_all = ["manual", "abr", "udp", "sim", "predict"])]
    clients: Option<Amount>,
    /// Time over which the beginnings of --clients are spread [default: the length of a chunk]
    #[arg(long, value_name = "TIME", requires = "clients", help_heading = MANY_PLAYERS)]
    stagger: Option<Span>,
    /// Makes the run bad (exit 1) if this holds: stalls>0, startup>2s, stalled>1s (repeatable)
    #[arg(long, value_name = "CONDITION", help_heading = REPORT, conflicts_with = "predict")]
    fail_if: Vec<String>,
    /// Plays RTP over UDP (stentor video serve --udp): HOST:PORT or udp://HOST:PORT
    #[arg(short = 'u', long, conflicts_with_all = ["fetch", "sim", "predict", "abr", "manual", "rule",
        "start", "resume", "film", "retries", "insecure", "fail_if"], help_heading = RTP_OVER_UDP)]
    udp: bool,
    /// With --udp: the play-out delay, a time or adaptive [default: 200ms]
    #[arg(long, value_name = "TIME|adaptive", requires = "udp", help_heading = RTP_OVER_UDP)]
    playout: Option<String>,
    /// Simulates over a recorded network instead: JSON, time-bandwidth table, Mahimahi, or a rate
    #[arg(long, value_name = "TRACE", conflicts_with = "target", help_heading = SIMULATION)]
    sim: Option<String>,
    /// With --sim: from a request to its first byte, where the trace does not say
    #[arg(long, value_name = "TIME", requires = "sim", help_heading = SIMULATION)]
    latency: Option<Span>,
    /// With --sim: bytes that come before each chunk, as the head of an HTTP reply does [default: 0]
    #[arg(long, value_name = "BYTES", requires = "sim")]
    head: Option<Amount>,
    /// With --sim: begins so far into the trace, as a session over a link does (its began_ns)
    #[arg(long, value_name = "TIME", requires = "sim", help_heading = SIMULATION)]
    from: Option<Span>,
    /// Says what the formulae predict for -x and -R, and plays nothing
    #[arg(long, conflicts_with_all = ["target", "sim"], help_heading = FORMULA)]
    predict: bool,
    /// With --predict: how fast film arrives (the book's x)
    #[arg(short = 'x', long = "arrival", value_name = "RATE", requires = "predict", help_heading = FORMULA)]
    arrival: Option<BitRate>,
    /// With --predict: film arrives at a rate that rises from 0 to this in each such time
    #[arg(long, value_name = "RATE,TIME", help_heading = FORMULA, requires = "predict",
        conflicts_with = "arrival")]
    saw_tooth: Option<predict::Tooth>,
    /// With --predict: how fast it is played (the book's R) [default: that of the film]
    #[arg(short = 'R', long = "playback", value_name = "RATE", requires = "predict",
        conflicts_with_all = ["film", "quality"], help_heading = FORMULA)]
    playback: Option<BitRate>,
    /// Repeats another simulator's figures for the options after --: sabre
    #[arg(long, value_name = "SIMULATOR", conflicts_with_all = ["target", "predict", "rule", "abr",
        "manual", "quality", "buffer", "start", "resume", "latency", "from", "fetch", "udp", "clients",
        "fail_if"], help_heading = SIMULATION)]
    compat: Option<String>,
    /// The other simulator's own options
    #[arg(last = true, value_name = "ARGS", requires = "compat", help_heading = SIMULATION)]
    foreign: Vec<String>,
    /// Prints one JSON object (stentor.video-play/1) instead of the report
    #[arg(short = 'J', long, help_heading = REPORT)]
    json: bool,
    /// Writes the report to a file whose name says its form: .txt, .json, .jsonl, .svg, .html
    /// (repeatable)
    #[arg(short, long, value_name = "FILE.EXT", help_heading = REPORT)]
    output: Vec<PathBuf>,
    /// Writes the session as the input of ITU-T P.1203, mode 0 (JSON)
    #[arg(long, value_name = "FILE", help_heading = REPORT,
        conflicts_with_all = ["clients", "udp", "predict", "compat"])]
    p1203: Option<PathBuf>,
    /// No live picture and no notices
    #[arg(short, long, help_heading = REPORT)]
    quiet: bool,
}

/// Runs it.
pub(super) fn run(args: Args) -> Result<Exit, Complaint> {
    refuse_idle(&args)?;
    if args.compat.is_some() {
        compat::run(&args)
    } else if args.predict {
        predict::run(&args)
    } else if args.sim.is_some() {
        simulate::run(&args)
    } else if args.udp {
        datagrams::run(&args)
    } else {
        plan::run(&args)
    }
}

/// Refuses options that would do nothing. The parser does not do it for a flag whose own flag is in
/// conflict with another word, such as `--latency` beside a URL.
fn refuse_idle(args: &Args) -> Result<(), Complaint> {
    let idle = [
        ("--latency", args.latency.is_some(), "--sim", args.sim.is_some()),
        ("--from", args.from.is_some(), "--sim", args.sim.is_some()),
        ("-x", args.arrival.is_some(), "--predict", args.predict),
        ("--saw-tooth", args.saw_tooth.is_some(), "--predict", args.predict),
        ("-R", args.playback.is_some(), "--predict", args.predict),
        ("--stagger", args.stagger.is_some(), "--clients", args.clients.is_some()),
        ("--playout", args.playout.is_some(), "--udp", args.udp),
    ];
    if let Some((flag, _, mode, _)) = idle.into_iter().find(|(_, given, _, on)| *given && !on) {
        let what = format!("{flag} means something with {mode} only");
        return Err(Complaint::usage(what, format!("Add {mode}, or leave {flag} out.")));
    }
    match args.timeout.0.is_zero() {
        true => Err(Complaint::usage("-w 0s: no answer comes in no time", "5s is the default.")),
        false => Ok(()),
    }
}
