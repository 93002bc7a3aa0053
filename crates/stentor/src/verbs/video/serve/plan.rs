//! The arguments of `video serve`, and the plan they become.

use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::num::NonZeroUsize;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::mpsc::SyncSender;
use std::time::Duration;

use hyper::body::Bytes;
use stentor_core::seed::Seed;
use stentor_core::units::{BitRate, Span};
use stentor_core::video::fault::Fault;
use stentor_os::failure::Failure;

use crate::complaint::{Complaint, Exit};
use crate::drive::serve::{Address, Wanted};
use crate::drive::video::origin::{Catalogue, Exchange, Folder, Limits, Page, Plan, Source};
use crate::report::json::ns;
use crate::report::json::video::film::Numbers;
use crate::report::json::video::serve as json;
use crate::report::log;
use crate::report::video::origin as report;
use crate::report::video::player::{self, File};
use crate::verbs::seed;
use crate::verbs::video::film;

/// The port of an origin, unless another is asked for.
const PORT: u16 = 12_080;

/// The arguments of `video serve`.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// A folder with HLS or DASH that other tools have made [default: a generated film]
    folder: Option<PathBuf>,
    /// The film that is generated: lecture, ladder, short, hour, or a film's JSON [default: ladder]
    #[arg(long, value_name = "FILM", conflicts_with = "folder")]
    film: Option<String>,
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
    /// Do something wrong on purpose, to test players: 404 (or any code from 400 to 599),
    /// late=300ms, slow=200kbit, stall=10s, stall=forever, truncate, rst; each with paths and how
    /// often, as in 503@/2/*:10%, rst:every=5, stall@*/3.m4s:once (repeatable)
    #[arg(long, value_name = "FAULT", value_delimiter = ',')]
    fault: Vec<Fault>,
    /// Serve the generated film by RTP over UDP, too, on the same addresses; with --rate as fast as
    /// that, otherwise as fast as it is played
    #[arg(short, long, conflicts_with = "folder")]
    pub(super) udp: bool,
    /// From which chance follows: a generated film's sizes, and the faults' [default: the film that
    /// everyone has, and new luck for faults, printed]
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
    /// The summary as one JSON object (schema stentor.video-serve/1) on standard output
    #[arg(short = 'J', long)]
    pub(super) json: bool,
}

/// The page that plays a film, and what it asks for.
fn pages(path: &str, page: String) -> BTreeMap<String, Page> {
    let page = Page { content: "text/html; charset=utf-8", body: page.into() };
    let file = |File { path, mime, text }: File| {
        (path.to_owned(), Page { content: mime, body: Bytes::from_static(text.as_bytes()) })
    };
    player::FILES.into_iter().map(file).chain([(path.to_owned(), page)]).collect()
}

impl Args {
    /// The plan these arguments mean; every exchange is told to `log`.
    pub(super) fn plan(&self, log: SyncSender<Exchange>) -> Result<Plan, Complaint> {
        let (source, pages) = self.source()?;
        if self.rate == Some(BitRate(0)) {
            let next = "Leave --rate out to send as fast as it goes.";
            return Err(Complaint::usage("--rate 0 would never send anything", next));
        }
        Ok(Plan {
            addresses: self.addresses()?,
            source,
            pages,
            requests: json::lines,
            queues: json::queues,
            listing: report::folder_page,
            rate: self.rate,
            faults: self.fault.clone(),
            seed: seed::given_or_fresh(self.seed),
            limits: self.limits()?,
            log,
        })
    }

    /// What is served, and the pages with it.
    fn source(&self) -> Result<(Source, BTreeMap<String, Page>), Complaint> {
        if let Some(folder) = &self.folder {
            let folder = Folder::open(folder).map_err(|failure| {
                let complaint = Complaint::from(failure);
                let next =
                    "Give a folder with .m3u8 or .mpd in it, or --film for a generated film.";
                Complaint { next: next.to_owned(), ..complaint }
            })?;
            return Ok((
                Source::Folder(folder),
                pages(player::PLAYER, player::page("", None, &[])),
            ));
        }
        let name = self.film();
        let seed = self.seed.map_or(film::SEED, Seed);
        let film = film::read(name, seed)?;
        let refused = |error: String| Complaint::usage(format!("--film {name}: {error}"), "");
        let json = Numbers::of(&film).map_err(|error| refused(error.to_string()))?.text();
        let page = player::page("/master.m3u8", Some("/film.json"), &report::film_places(&film));
        let catalogue = Catalogue::new(film).map_err(|error| refused(error.to_string()))?;
        let mut pages = pages("/", page);
        let json = Page { content: "application/json", body: json.into() };
        pages.insert("/film.json".to_owned(), json);
        Ok((Source::Film(Arc::new(catalogue)), pages))
    }

    /// The film that is asked for.
    fn film(&self) -> &str {
        self.film.as_deref().unwrap_or("ladder")
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
            film: self.folder.is_none().then(|| self.film().to_owned()),
            folder: self.folder.as_ref().map(|folder| folder.display().to_string()),
            rate_bps: plan.rate.map(|rate| rate.0),
            faults: plan.faults.iter().map(ToString::to_string).collect(),
            seed: plan.seed.0,
            max_conns: connections,
            idle_ns: ns(idle),
            head_ns: ns(head),
            write_stall_ns: ns(write_stall),
            drain_ns: ns(drain),
        }
    }
}
