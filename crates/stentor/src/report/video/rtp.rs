//! A film over UDP: what came in time by which play-out delay, for people, and the origin's lines.

use std::fmt::Write;
use std::net::SocketAddr;
use std::time::Duration;

use stentor_core::video::playout::Delay;
use stentor_core::video::rtp::span_of;
use stentor_core::video::rtp::words::Description;

use crate::drive::video::rtp::receiver::{Look, Outcome};
use crate::drive::video::rtp::sender::{Ended, News};
use crate::report::chart::{self, Axis, Chart, Form, Hue, Mark, On, Series, Unit};
use crate::report::page::shell::{self, Shell};
use crate::report::svg::escape;

/// Points of the curve.
const POINTS: u32 = 200;
/// Parts of the packets for which the shortest play-out delay is told.
const SHARES: [f64; 5] = [0.5, 0.1, 0.01, 0.001, 0.0];

/// What was asked for.
#[derive(Clone, Debug, PartialEq)]
pub struct Head {
    /// The origin, as written or by default.
    pub source: String,
    /// From 0, the lowest.
    pub quality: usize,
    /// When what comes is played.
    pub delay: Delay,
    /// How much film the application buffers.
    pub buffer: Duration,
    /// After how much silence it is over.
    pub patience: Duration,
    /// The link before the origin, as written.
    pub link: Option<String>,
    /// From which the link's chance follows.
    pub seed: Option<u64>,
}

fn said(time: Duration) -> String {
    Unit::Nanos.said(time.as_nanos() as f64)
}

fn percent(share: f64) -> String {
    Unit::Share.said(share)
}

/// A play-out delay in words.
pub fn delay(delay: Delay) -> String {
    match delay {
        Delay::Fixed(time) => said(time),
        Delay::Adaptive => "adaptive".to_owned(),
    }
}

/// The report.
pub fn text(head: &Head, outcome: &Outcome) -> String {
    let mut text = title(head, outcome) + "\n";
    if let Some(link) = &head.link {
        let seed = head.seed.unwrap_or_default();
        let _ = writeln!(text, "  behind the link {link} --seed {seed}");
    }
    for (name, words) in facts(outcome) {
        let _ = writeln!(text, "  {name:<16}{words}");
    }
    if came(outcome) == 0 {
        return text;
    }
    let _ = writeln!(text, "\n  play-out delay  missing then: late, or lost on the way");
    for (time, share) in bargains(outcome) {
        let _ = writeln!(text, "  {:>14}  {}", said(time), percent(share));
    }
    text
}

fn title(head: &Head, outcome: &Outcome) -> String {
    let film = outcome.film.map_or(String::new(), |film| format!(": {}", film_of(&film)));
    format!("{} over UDP, quality {}{film}", head.source, head.quality)
}

fn film_of(film: &Description) -> String {
    let bps = film.bytes as f64 * 8.0 / film.length.as_secs_f64().max(1e-9);
    format!(
        "{} of film at {}, {} byte/s, in {} packets",
        said(film.length),
        Unit::BitsPerSecond.said(bps),
        whole(bps / 8.0),
        film.packets
    )
}

fn whole(number: f64) -> String {
    format!("{number:.0}")
}

fn came(outcome: &Outcome) -> u64 {
    outcome.played.in_time + outcome.played.late
}

/// The figures by name, in words.
fn facts(outcome: &Outcome) -> Vec<(&'static str, String)> {
    let played = &outcome.played;
    let mut facts = vec![(
        "packets",
        format!(
            "{} sent = {} in time + {} late + {} lost; {} reordered, {} more than once",
            played.sent, played.in_time, played.late, played.lost, played.reordered, played.again
        ),
    )];
    if came(outcome) == 0 {
        return facts;
    }
    if let Some((least, most)) = played.delays {
        let words = match least == most {
            true => said(most),
            false => format!("{} to {}, decided anew for each chunk", said(least), said(most)),
        };
        facts.push(("play-out delay", words));
    }
    let missing = (played.late + played.lost) as f64 / played.sent.max(1) as f64;
    facts.push(("missing", percent(missing)));
    facts.push(("jitter", format!("{} (RFC 3550, section 6.4.1)", said(played.jitter))));
    facts.push((
        "start-up",
        format!("{} from the first request to the first packet", said(outcome.asked)),
    ));
    if let Some(dropped) = outcome.dropped {
        let full = match outcome.full {
            0 => "the application always read on".to_owned(),
            times => {
                format!("the application's buffer was full {times} times, and nothing was read")
            }
        };
        facts.push(("kernel", format!("{dropped} datagrams dropped for want of room; {full}")));
    }
    if outcome.strangers > 0 {
        facts.push(("strangers", format!("{} datagrams of something else", outcome.strangers)));
    }
    facts
}

/// Play-out delays with the part that would be missing, the shortest first.
pub fn bargains(outcome: &Outcome) -> Vec<(Duration, f64)> {
    let mut bargains: Vec<(Duration, f64)> = Vec::new();
    let played = &outcome.played;
    let reachable = SHARES.iter().filter_map(|share| played.delay_for(*share));
    for time in std::iter::once(Duration::ZERO).chain(reachable).chain([played.slowest()]) {
        if bargains.last().is_none_or(|(last, _)| *last < time) {
            bargains.push((time, played.late_share(time)));
        }
    }
    bargains
}

/// What would be missing, by the play-out delay: the curve of the bargain.
pub fn curve(outcome: &Outcome) -> Vec<(Duration, f64)> {
    let slowest = outcome.played.slowest().max(Duration::from_millis(1));
    let end = slowest + slowest / 10;
    let point = |place| {
        let time = end * place / POINTS;
        (time, outcome.played.late_share(time))
    };
    (0..=POINTS).map(point).collect()
}

fn chart_of_curve(outcome: &Outcome) -> Chart {
    let points = curve(outcome).into_iter().map(|(time, share)| (time.as_nanos() as f64, share));
    let missing = Series {
        name: "missing".into(),
        hue: Hue::First,
        form: Form::Line,
        points: points.collect(),
    };
    let said: Vec<String> = bargains(outcome)
        .iter()
        .map(|(time, share)| format!("With {} {} are missing.", said(*time), percent(*share)))
        .collect();
    Chart {
        title: "What a longer play-out delay saves".into(),
        about: said.join(" "),
        x: Axis { label: "play-out delay".into(), unit: Unit::Nanos, ..Axis::default() },
        y: Axis { label: "late or lost".into(), unit: Unit::Share, ..Axis::default() },
        series: vec![missing],
        ..Chart::default()
    }
}

fn chart_of_buffer(head: &Head, outcome: &Outcome) -> Chart {
    let point = |look: &Look| (look.at.as_nanos() as f64, look.level.as_nanos() as f64);
    let points = outcome.looks.iter().map(point).collect();
    let level = Series { name: "buffered".into(), hue: Hue::Second, form: Form::Line, points };
    let highest = outcome.looks.iter().map(|look| look.level).max().unwrap_or_default();
    let marks = match highest * 2 >= head.buffer {
        true => vec![Mark {
            on: On::Y,
            at: head.buffer.as_nanos() as f64,
            label: "B".into(),
            hue: Hue::Fourth,
        }],
        false => Vec::new(),
    };
    Chart {
        title: "The application's buffer".into(),
        about: format!("It held {} at most.", said(highest)),
        x: Axis {
            label: "time since the first packet".into(),
            unit: Unit::Nanos,
            ..Axis::default()
        },
        y: Axis { label: "film that waits".into(), unit: Unit::Nanos, ..Axis::default() },
        series: vec![level],
        marks,
        ..Chart::default()
    }
}

/// The curve alone, as a picture that stands alone.
pub fn svg(outcome: &Outcome) -> String {
    chart_of_curve(outcome).svg()
}

/// The report as a page.
pub fn html(head: &Head, outcome: &Outcome) -> String {
    let title = title(head, outcome);
    let mut body = format!("<header>\n<h1>{}</h1>\n</header>\n", escape(&title));
    body.push_str(&chart_of_curve(outcome).figure("curve"));
    body.push_str(&chart_of_buffer(head, outcome).figure("buffer"));
    body.push_str("<table>\n");
    for (name, words) in facts(outcome) {
        let _ = writeln!(body, "<tr><th>{name}</th><td>{}</td></tr>", escape(&words));
    }
    body.push_str("</table>\n");
    let styles = [chart::style(), shell::REPORT];
    Shell { title: &title, styles: &styles, body: &body, script: None }.html()
}

/// Where an origin has its film over UDP, one address on each line, to be copied.
pub fn ready(addresses: &[SocketAddr]) -> String {
    let places: Vec<String> = addresses.iter().map(|address| format!("udp://{address}")).collect();
    let width = places.iter().map(String::len).max().unwrap_or(0);
    places.iter().map(|place| format!("{place:<width$}  the film by RTP\n")).collect()
}

/// How it goes, in a line.
pub fn progress(look: &Look, film: &Description) -> String {
    format!(
        "{} of {}: {} of {} packets came, {} buffered, jitter {}",
        said(look.at),
        said(film.length),
        look.come,
        look.sent,
        said(look.level),
        said(look.jitter)
    )
}

/// A line of the origin's log.
pub fn line(peer: SocketAddr, quality: usize, news: News) -> String {
    let words = match news {
        News::Began(film) => format!("plays quality {quality}: {}", film_of(&film)),
        News::Told(report) => format!(
            "reports {} lost ({} of late), jitter {}",
            report.lost,
            percent(f64::from(report.lost_share) / 256.0),
            said(span_of(report.jitter.into()))
        ),
        News::Ended { packets, refused, bytes, how } => {
            let how = match how {
                Ended::Whole => "all was sent",
                Ended::Goodbye => "the player left",
                Ended::Silence => "the player was silent",
                Ended::Origin => "the origin ends",
            };
            let refused = match refused {
                0 => String::new(),
                refused => format!(", {refused} that the system did not take"),
            };
            format!("{how}: {packets} packets, {bytes} bytes of film{refused}")
        }
    };
    format!("udp {peer} {words}")
}

#[cfg(test)]
mod tests {
    use super::*;
    use stentor_core::moment::Moment;
    use stentor_core::video::playout::{Packet, Playout};

    fn outcome() -> Outcome {
        let ms = Duration::from_millis;
        let mut playout = Playout::new(Delay::Fixed(ms(20)));
        for number in (0..1000).filter(|number| number % 100 != 3) {
            let plays = ms(number * 10);
            let transit = ms(100 + number * 7 % 30);
            let packet = Packet { number, plays, marker: false };
            playout.handle(Moment::START + plays + transit, packet);
        }
        let film = Description {
            source: 1,
            sequence: 2,
            timestamp: 3,
            packets: 1000,
            bytes: 1_250_000,
            length: Duration::from_secs(10),
        };
        Outcome {
            film: Some(film),
            played: playout.finish(1000),
            bytes: 1_000_000,
            dropped: Some(0),
            took: Duration::from_secs(10),
            asked: ms(3),
            ..Outcome::default()
        }
    }

    fn head() -> Head {
        Head {
            source: "127.0.0.1:12080".into(),
            quality: 0,
            delay: Delay::Fixed(Duration::from_millis(20)),
            buffer: Duration::from_secs(25),
            patience: Duration::from_secs(5),
            link: Some("jitter=10ms".into()),
            seed: Some(7),
        }
    }

    #[test]
    fn people_read_what_a_delay_costs() {
        insta::assert_snapshot!(text(&head(), &outcome()));
    }

    #[test]
    fn the_curve_falls_and_the_page_is_well_formed() {
        let outcome = outcome();
        let curve = curve(&outcome);
        assert!(curve.windows(2).all(|pair| pair[0].1 >= pair[1].1));
        assert!((curve.last().unwrap().1 - 0.01).abs() < 1e-9, "what was lost stays missing");
        for page in [html(&head(), &outcome), svg(&outcome)] {
            let options = roxmltree::ParsingOptions { allow_dtd: true, ..Default::default() };
            roxmltree::Document::parse_with_options(&page, options).unwrap();
        }
        let nothing = Outcome::default();
        assert!(!text(&head(), &nothing).contains("missing then"));
    }
}
