//! The arguments of `video serve`, and the plan they become.

use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::num::NonZeroUsize;
use std::sync::Arc;
use std::sync::mpsc::SyncSender;
use std::time::Duration;

use stentor_core::units::{BitRate, Span};
use stentor_os::failure::Failure;

use crate::complaint::{Complaint, Exit};
use crate::drive::serve::{Address, Wanted};
use crate::drive::video::origin::{Catalogue, Exchange, Limits, Page, Plan, Source};
use crate::report::json::video::{film as json_film, serve as json};
use crate::report::log;
use crate::report::video::origin as report;
use crate::verbs::seed;
use crate::verbs::video::film;

/// The port of an origin, unless another is asked for.
const PORT: u16 = 12_080;

/// The arguments of `video serve`.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// The film: a preset (lecture, ladder, short, hour), or the file of a film's JSON
    #[arg(long, value_name = "FILM", default_value = "ladder")]
    film: String,
    /// Port; 0 takes a free one
    #[arg(short, long, default_value_t = PORT)]
    port: u16,
    /// Where to listen: an address or ADDRESS:PORT (repeatable) [default: 127.0.0.1 and ::1]
    #[arg(short, long, value_name = "ADDRESS")]
    bind: Vec<String>,
    /// Listen on every interface, for other machines to use
    #[arg(long, conflicts_with = "bind")]
    pub(super) public: bool,
    /// The rate of each connection, such as 2Mbit [default: as fast as it goes]
    #[arg(long, value_name = "RATE")]
    rate: Option<BitRate>,
    /// From which chance follows: the film's sizes and the faults [default: a new one, printed]
    #[arg(long, value_name = "N")]
    seed: Option<u64>,
    /// Connections open at once; the others wait in the backlog [default: descriptors - 64]
    #[arg(long, value_name = "N")]
    max_conns: Option<NonZeroUsize>,
    /// Close a connection on which nothing is asked for this time [default: 75s]
    #[arg(long, value_name = "TIME")]
    idle: Option<Span>,
    /// Close a connection whose request takes longer than this to come [default: 15s]
    #[arg(long, value_name = "TIME")]
    head: Option<Span>,
    /// Close a connection whose client takes none of its answer for this time [default: 300s]
    #[arg(long, value_name = "TIME")]
    write_stall: Option<Span>,
    /// After SIGINT or SIGTERM finish the answers that were begun, for at most this time
    /// [default: 5s]
    #[arg(long, value_name = "TIME")]
    drain: Option<Span>,
    /// The form of the log on standard error
    #[arg(long, value_enum, default_value_t = log::Form::Human)]
    pub(super) log: log::Form,
    /// Log connections, too
    #[arg(short, long, action = clap::ArgAction::Count)]
    pub(super) verbose: u8,
    /// No addresses, no line for each request and no summary
    #[arg(short, long)]
    pub(super) quiet: bool,
    /// The summary as one JSON object (schema stentor.video.serve/1) on standard output
    #[arg(short = 'J', long)]
    pub(super) json: bool,
}

impl Args {
    /// The plan these arguments mean; every exchange is told to `log`.
    pub(super) fn plan(&self, log: SyncSender<Exchange>) -> Result<Plan, Complaint> {
        let seed = seed::given_or_fresh(self.seed);
        let read = film::read(&self.film, seed)?;
        let refused = |error: &dyn std::error::Error| {
            Complaint::usage(format!("--film {}: {error}", self.film), "")
        };
        let page = report::film_page(&read);
        let json = json_film::Numbers::of(&read).map_err(|error| refused(&error))?.text();
        let catalogue = Catalogue::new(read).map_err(|error| refused(&error))?;
        let text = |content, body: String| Page { content, body: body.into() };
        let pages = BTreeMap::from([
            ("/".to_owned(), text("text/html; charset=utf-8", page)),
            ("/film.json".to_owned(), text("application/json", json)),
        ]);
        if self.rate == Some(BitRate(0)) {
            let next = "Leave --rate out to send as fast as it goes.";
            return Err(Complaint::usage("--rate 0 would never send anything", next));
        }
        Ok(Plan {
            addresses: self.addresses()?,
            source: Source::Film(Arc::new(catalogue)),
            pages,
            requests: json::lines,
            rate: self.rate,
            seed,
            limits: self.limits()?,
            log,
        })
    }

    fn addresses(&self) -> Result<Vec<Wanted>, Complaint> {
        let wanted = |ip: IpAddr, port, optional| {
            let address = Address::Tcp(SocketAddr::new(ip, port));
            Wanted { address, optional }
        };
        let (v4, v6) = match self.public {
            true => (Ipv4Addr::UNSPECIFIED, Ipv6Addr::UNSPECIFIED),
            false => (Ipv4Addr::LOCALHOST, Ipv6Addr::LOCALHOST),
        };
        if self.bind.is_empty() {
            return Ok(vec![
                wanted(v4.into(), self.port, false),
                wanted(v6.into(), self.port, true),
            ]);
        }
        let read = |written: &String| {
            let alone = written.trim_matches(['[', ']']).parse::<IpAddr>();
            let alone = alone.map(|ip| SocketAddr::new(ip, self.port));
            let address = alone.or_else(|_| written.parse::<SocketAddr>()).map_err(|_| {
                let next = "Write -b 127.0.0.1, -b '[::1]:8080' or -b 0.0.0.0:8080.";
                Complaint::usage(format!("-b {written}: it is no address"), next)
            })?;
            Ok(wanted(address.ip(), address.port(), false))
        };
        self.bind.iter().map(read).collect()
    }

    fn limits(&self) -> Result<Limits, Complaint> {
        let named = |error| Failure::new("getrlimit", "RLIMIT_NOFILE", error);
        let descriptors = stentor_os::limits::raise_descriptors().map_err(named)?;
        let mut limits = Limits::new(descriptors);
        let set = |limit: &mut Duration, given: Option<Span>| {
            *limit = given.map_or(*limit, |span| span.0);
        };
        set(&mut limits.idle, self.idle);
        set(&mut limits.head, self.head);
        set(&mut limits.write_stall, self.write_stall);
        set(&mut limits.drain, self.drain);
        if let Some(most) = self.max_conns {
            if most.get() > limits.connections {
                let possible = limits.connections;
                return Err(Complaint::new(
                    Exit::Impossible,
                    format!("--max-conns {most}: this process may have {possible} connections"),
                    format!("Raise the limit of descriptors first: ulimit -n {}.", most.get() + 64),
                ));
            }
            limits.connections = most.get();
        }
        let times = [
            ("--idle", limits.idle),
            ("--head", limits.head),
            ("--write-stall", limits.write_stall),
        ];
        match times.iter().find(|(_, limit)| limit.is_zero()) {
            None => Ok(limits),
            Some((name, _)) => {
                let what = format!("{name} 0s would close every connection");
                Err(Complaint::usage(what, "To wait for ever in practice, give 10000h."))
            }
        }
    }

    /// The plan as JSON says it; the addresses are those that were got.
    pub(super) fn config(&self, plan: &Plan) -> json::Config {
        let Limits { connections, idle, head, write_stall, drain } = plan.limits;
        json::Config {
            addresses: Vec::new(),
            film: Some(self.film.clone()),
            folder: None,
            rate_bps: plan.rate.map(|rate| rate.0),
            faults: Vec::new(),
            seed: plan.seed.0,
            max_conns: connections,
            idle_ns: json::ns(idle),
            head_ns: json::ns(head),
            write_stall_ns: json::ns(write_stall),
            drain_ns: json::ns(drain),
        }
    }
}
