//! `video play --udp`: film over RTP, played by a play-out delay.

use std::fs::File;
use std::io::Write;
use std::net::{Ipv4Addr, Ipv6Addr};
use std::time::Duration;

use stentor_core::endpoint::{Host, Place, Target, Transport};
use stentor_core::units::Span;
use stentor_core::video::playout::{DELAY_MAX, Delay};
use stentor_os::failure::Failure;
use stentor_os::signal::Interrupts;

use super::Args;
use crate::complaint::{Complaint, Exit};
use crate::drive::reach::{self, Family};
use crate::drive::video::rtp::receiver::{self, Outcome, Plan};
use crate::report::console::{self, Status};
use crate::report::json::Envelope;
use crate::report::json::video::rtp as json;
use crate::report::video::rtp::{self as report, Head};
use crate::verbs::link::Link;
use crate::verbs::outputs::{self, Outputs};
use crate::verbs::seed;

/// The origin's port, unless another is given.
const PORT: u16 = 12_080;
/// The play-out delay, unless it is said.
const PLAYOUT: Duration = Duration::from_millis(200);

/// What a file holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Form {
    Text,
    Json,
    Page,
    Svg,
}

impl outputs::Form for Form {
    const KNOWN: &'static [(&'static str, Form)] =
        &[("txt", Form::Text), ("json", Form::Json), ("html", Form::Page), ("svg", Form::Svg)];
    const JSON: Option<Form> = Some(Form::Json);
}

type Object = Envelope<json::Config, json::Outcome>;

/// What the words mean, before a name is resolved.
struct Wish {
    head: Head,
    host: Host,
    port: u16,
    family: Family,
    link: Option<Link>,
}

/// Runs it.
pub(super) fn run(args: &Args) -> Result<Exit, Complaint> {
    let outputs: Outputs<Form> = Outputs::open(&args.output, args.json)?;
    let wish = match Wish::read(args) {
        Ok(wish) => wish,
        Err(complaint) => return failed(outputs, None, complaint),
    };
    match wish.play(args) {
        Ok(outcome) => finish(outputs, args, &wish.head, &outcome),
        Err(complaint) => failed(outputs, Some(&wish.head), complaint),
    }
}

impl Wish {
    fn read(args: &Args) -> Result<Wish, Complaint> {
        let (host, port) = place(args)?;
        let link = args.link.clone().map(|words| Link::of(words, seed::given_or_fresh(args.seed)));
        let head = Head {
            source: Place::Inet(host.clone(), port).to_string(),
            quality: args.quality.unwrap_or(0),
            delay: args.playout.as_deref().map_or(Ok(Delay::Fixed(PLAYOUT)), delay)?,
            buffer: args.buffer.0,
            patience: args.timeout.0,
            link: link.as_ref().map(|link| link.spec.to_string()),
            seed: link.as_ref().map(|link| link.seed.0),
        };
        if let Delay::Fixed(delay) = head.delay
            && delay > head.buffer
        {
            let what = format!(
                "--playout {}: the buffer holds less of the film, {}",
                Span(delay),
                Span(head.buffer)
            );
            return Err(Complaint::usage(what, "Give a longer -B, or a shorter --playout."));
        }
        let family = match (args.ipv4, args.ipv6) {
            (true, _) => Family::V4,
            (_, true) => Family::V6,
            (false, false) => Family::Any,
        };
        Ok(Wish { head, host, port, family, link })
    }

    fn play(&self, args: &Args) -> Result<Outcome, Complaint> {
        let named = |error| Failure::new("sigaction", "SIGINT and SIGTERM", error);
        let interrupts = Interrupts::install().map_err(named)?;
        let Head { quality, delay, buffer, patience, .. } = self.head;
        let found =
            reach::resolve(&self.host, self.port, self.family, patience, Some(&interrupts))?;
        let mut peers = found.clone();
        let beside = match &self.link {
            Some(link) => Some(link.before(Transport::Udp, &found)?),
            None => None,
        };
        if let Some(beside) = &beside {
            peers.insert(0, beside.address);
        }
        let mut status = Status::default();
        let mut outcome = None;
        for peer in peers {
            let plan = Plan { peer, quality, delay, buffer, patience };
            let came = receiver::run(plan, &interrupts, &mut |look, film| {
                if !args.quiet {
                    status.show(&report::progress(look, film));
                }
            });
            let refused = match &came {
                Ok(came) => matches!(came.trouble, Some((Exit::Environment, _))),
                Err(_) => true,
            };
            outcome = Some(came);
            // Where nobody listens, the name's next address may do.
            if !refused || beside.is_some() {
                break;
            }
        }
        status.clear();
        let missing = || Complaint::new(Exit::Environment, "there is no address", "");
        let outcome = outcome.ok_or_else(missing)?;
        if let (Some(link), Some(beside), false) = (&self.link, &beside, args.quiet) {
            console::notice(format!("stentor: {}", link.told(beside)));
        }
        Ok(outcome?)
    }
}

fn place(args: &Args) -> Result<(Host, u16), Complaint> {
    let Some(written) = &args.target else {
        let near = match args.ipv6 {
            true => Ipv6Addr::LOCALHOST.into(),
            false => Ipv4Addr::LOCALHOST.into(),
        };
        return Ok((Host::Address(near), args.port.unwrap_or(PORT)));
    };
    let target = written.parse::<Target>();
    match target {
        Ok(Target { transport: None | Some(Transport::Udp), place: Place::Inet(host, port) }) => {
            Ok((host, port))
        }
        Ok(_) => {
            let what = format!("{written}: with --udp the film comes over UDP");
            Err(Complaint::usage(what, "Write HOST:PORT or udp://HOST:PORT."))
        }
        Err(error) => {
            let next = "With --udp write HOST:PORT or udp://HOST:PORT.";
            Err(Complaint::usage(format!("{written}: {error}"), next))
        }
    }
}

fn delay(written: &str) -> Result<Delay, Complaint> {
    if written == "adaptive" {
        return Ok(Delay::Adaptive);
    }
    let next = "Write a time up to an hour, such as 200ms, or adaptive.";
    let refused = |what: String| Complaint::usage(format!("--playout {written}: {what}"), next);
    let Span(time) = written.parse().map_err(|error| refused(format!("{error}")))?;
    match time <= DELAY_MAX {
        true => Ok(Delay::Fixed(time)),
        false => Err(refused("longer than anybody waits".to_owned())),
    }
}

fn envelope(outputs: &Outputs<Form>, head: Option<&Head>, complaint: Option<&Complaint>) -> Object {
    let exit = complaint.map_or(Exit::Good, |complaint| complaint.exit);
    let error = complaint.map(Complaint::to_string);
    let mut envelope = Envelope::new(json::SCHEMA, outputs.began, exit, error);
    envelope.config = head.map(json::Config::from);
    envelope
}

fn failed(
    outputs: Outputs<Form>,
    head: Option<&Head>,
    complaint: Complaint,
) -> Result<Exit, Complaint> {
    let envelope = envelope(&outputs, head, Some(&complaint));
    outputs.failed(&envelope, complaint)
}

/// Prints and writes the report, and says how the run ends.
fn finish(
    outputs: Outputs<Form>,
    args: &Args,
    head: &Head,
    outcome: &Outcome,
) -> Result<Exit, Complaint> {
    let complaint = complaint(outcome);
    let mut envelope = envelope(&outputs, Some(head), complaint.as_ref());
    envelope.result = Some(json::Outcome::from(outcome));
    let render = |form, file: &mut File, envelope: &Object| {
        let text = match form {
            Form::Text => report::text(head, outcome),
            Form::Json => envelope.text(),
            Form::Page => report::html(head, outcome),
            Form::Svg => report::svg(outcome),
        };
        file.write_all(text.as_bytes())
    };
    let some = outcome.film.is_some();
    outputs.finish(envelope, render, || some.then(|| report::text(head, outcome)))?;
    match complaint {
        Some(complaint) if complaint.exit == Exit::Interrupted && some => {
            if !args.quiet {
                console::notice(format!("stentor: {complaint}"));
            }
            Ok(Exit::Interrupted)
        }
        Some(complaint) => Err(complaint),
        None => Ok(Exit::Good),
    }
}

/// Why the run does not end with 0.
fn complaint(outcome: &Outcome) -> Option<Complaint> {
    if outcome.interrupted {
        let what = "interrupted: these are the figures so far";
        return Some(Complaint::new(Exit::Interrupted, what, ""));
    }
    if let Some((exit, trouble)) = &outcome.trouble {
        return Some(Complaint::new(*exit, &trouble.what, &trouble.next));
    }
    let what = "not one packet came in time";
    let next = "A longer --playout; the table says how long.";
    (outcome.played.in_time == 0).then(|| Complaint::new(Exit::Bad, what, next))
}
