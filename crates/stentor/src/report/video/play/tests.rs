//! What is said and drawn of sessions whose figures are known.

use std::time::{Duration, SystemTime};

use roxmltree::Document;
use stentor_core::moment::Moment;

use super::crowd::{self, Crowd, Spread};
use super::live::Live;
use super::samples::{broken, ladder, lecture, ms, seconds, stream};
use super::*;
use crate::drive::video::play::News;

type Session = (Config, Outcome, Known);

fn report(session: &Session) -> Report<'_> {
    let (config, outcome, known) = session;
    Report::of(config, outcome, known, SystemTime::UNIX_EPOCH)
}

fn parse(drawn: &str) -> Document<'_> {
    let options = roxmltree::ParsingOptions { allow_dtd: true, ..Default::default() };
    Document::parse_with_options(drawn, options).unwrap_or_else(|error| panic!("{error}"))
}

fn said_of(session: &Session, width: usize) -> String {
    text::text(&report(session), width, false)
}

#[test]
fn the_lecture_s_freezes_for_people() {
    insta::assert_snapshot!(said_of(&lecture(800, 4), 80));
}

#[test]
fn the_lecture_s_full_buffer_for_people() {
    insta::assert_snapshot!(said_of(&lecture(2000, 4), 80));
}

#[test]
fn a_ladder_of_qualities_for_people() {
    insta::assert_snapshot!(said_of(&ladder(), 100));
}

#[test]
fn a_broken_session_for_people() {
    insta::assert_snapshot!(said_of(&broken(), 80));
}

#[test]
fn a_report_fits_a_terminal() {
    for session in
        [lecture(800, 4), lecture(800, 0), lecture(2000, 4), ladder(), stream(), broken()]
    {
        let text = said_of(&session, 80);
        let wide = text.lines().map(|line| line.chars().count()).max().unwrap();
        assert!(text.lines().count() <= 40 && wide <= 80, "{wide} columns:\n{text}");
    }
}

#[test]
fn the_three_columns_are_the_book_s_the_chunks_and_the_measured() {
    let session = lecture(800, 4);
    let report = report(&session);
    let rows = report.predicted.as_ref().unwrap().rows();
    let of = |name| rows.iter().find(|row| row.name == name).unwrap().values.clone();
    assert_eq!(of("start-up"), ["5 s", "5 s", "5 s"]);
    assert_eq!(of("freezes"), ["5", "7", "7"]);
    assert_eq!(of("plays for"), ["20 s", "16 s", "16 s"]);
    assert_eq!(of("each freeze"), ["5 s", "4 s", "4 s"]);
    assert_eq!(of("altogether"), ["25 s", "28 s", "28 s"]);
    let session = lecture(2000, 4);
    let report = super::tests::report(&session);
    let rows = report.predicted.as_ref().unwrap().rows();
    let full = rows.iter().find(|row| row.name == "full at").unwrap();
    assert_eq!(full.values, ["8 s", "7.5 s", "7.5 s"]);
}

#[test]
fn the_fluid_s_saw_tooth_turns_where_the_book_says() {
    let turns = |session: &Session| report(session).predicted.unwrap().fluid_level_s(120.0);
    let rounded = |turns: Vec<(f64, f64)>| {
        let round = |(at, level): &(f64, f64)| ((at * 10.0).round(), (level * 10.0).round().abs());
        turns.iter().map(round).collect::<Vec<_>>()
    };
    let slow = rounded(turns(&lecture(800, 4)));
    let expected = [(0.0, 0.0), (50.0, 40.0), (250.0, 0.0), (300.0, 40.0), (500.0, 0.0)];
    assert_eq!(slow.iter().take(5).copied().collect::<Vec<_>>(), expected);
    let fast = rounded(turns(&lecture(2000, 4)));
    assert_eq!(fast, [(0.0, 0.0), (20.0, 40.0), (80.0, 100.0), (1120.0, 100.0), (1220.0, 0.0)]);
}

#[test]
fn several_qualities_or_an_unknown_link_have_no_prediction() {
    assert!(report(&ladder()).predicted.is_none());
    assert!(report(&broken()).predicted.is_none());
}

#[test]
fn requests_add_up() {
    for session in [lecture(800, 4), ladder(), stream(), broken()] {
        let counts = report(&session).counts;
        let parts = counts.received + counts.abandoned + counts.failed + counts.unfinished;
        assert_eq!(counts.requested, parts, "{counts:?}");
    }
    let (counts, failed) = (report(&ladder()).counts, report(&broken()).counts);
    assert!(counts.abandoned > 0, "the sample has a download that was given up: {counts:?}");
    assert_eq!((failed.received, failed.failed, failed.unfinished), (2, 1, 0));
}

#[test]
fn the_course_keeps_the_balance() {
    let session = ladder();
    let report = report(&session);
    let received = |at: Moment| {
        let came = report.course.fetched.iter().filter(|one| one.ended <= at);
        let came = came.filter(|one| one.how == course::How::Received);
        came.map(|one| report.outcome.film.duration(one.chunk)).sum::<Duration>()
    };
    for (at, played) in &report.course.played {
        let level = report.course.level.iter().rev().find(|(moment, _)| moment == at).unwrap().1;
        assert_eq!(*played + level, received(*at), "at {at}");
    }
    let stalled: Duration = report.course.stalls.iter().map(|stall| stall.length).sum();
    assert_eq!(stalled, report.outcome.metrics.stalled);
    assert_eq!(report.course.played.last().unwrap().1, report.outcome.metrics.played);
}

#[test]
fn what_a_recorded_network_lets_through_is_told_in_stretches() {
    let (_, outcome, known) = ladder();
    assert_eq!(known.arrival, None);
    assert!(known.rates.len() <= 300 && known.rates.last().unwrap().0 < outcome.end);
    let at = |ms: u64| known.rates.iter().rev().find(|(at, _)| at.as_nanos() <= ms * 1_000_000);
    for (ms, kbps) in [(1000, 4000.0), (15_000, 350.0), (23_000, 2200.0), (41_000, 900.0)] {
        let (_, bps) = at(ms).unwrap();
        assert!((bps / 1e3 / kbps - 1.0).abs() < 0.01, "{ms} ms: {bps} bit/s");
    }
    assert_eq!(lecture(800, 4).2.arrival, Some(BitRate(800_000)));
}

#[test]
fn pictures_and_pages_are_well_formed() {
    for session in [lecture(800, 4), lecture(800, 0), ladder(), stream(), broken()] {
        let report = report(&session);
        for drawn in [page::svg(&report), page::html(&report)] {
            let document = parse(&drawn);
            assert!(!drawn.contains("NaN"));
            assert!(document.descendants().any(|node| node.attribute("class") == Some("span")));
            assert!(!drawn.contains("<b>"), "markup of others stays text");
            let asks = ["<script", " src=", "url(", "@import"];
            assert!(!asks.iter().any(|one| drawn.contains(one)), "nothing is fetched");
        }
    }
    // A session that came to nothing has a picture too.
    let (config, mut outcome, known) = broken();
    (outcome.events, outcome.end) = (Vec::new(), Moment::START);
    let empty = (config, outcome, known);
    parse(&page::html(&report(&empty)));
}

#[test]
fn the_picture_has_a_shade_for_each_stall_and_a_block_for_each_chunk() {
    let session = lecture(800, 4);
    let drawn = page::svg(&report(&session));
    assert_eq!(drawn.matches("<title>stalled at ").count(), 7);
    assert_eq!(drawn.matches("class=\"span\"").count(), 120);
    assert!(drawn.contains("<title>stalled at 21 s for 4 s</title>"), "{drawn}");
    // Both buffers only where there were sockets, and the moments at which the window was shut.
    assert!(!drawn.contains("Both buffers"));
    let session = stream();
    let drawn = page::svg(&report(&session));
    assert!(drawn.contains("Both buffers") && drawn.contains("window 0"));
}

#[test]
fn a_long_film_is_a_small_picture() {
    let (config, outcome, known) = lecture(800, 4);
    let film = stentor_core::video::film::Film::even(&[BitRate(1_000_000)], seconds(1), 40_000);
    let film = std::sync::Arc::new(film.unwrap());
    let network = stentor_core::video::network::Network::steady(BitRate(800_000), Duration::ZERO);
    let rule = stentor_core::video::abr::Rule::Fixed(0);
    let played =
        stentor_core::video::simulator::play(&film, &network.unwrap(), outcome.policy, rule);
    let (events, end, metrics) = (played.events, played.end, played.metrics);
    let session = (config, Outcome { film, events, end, metrics, ..outcome }, known);
    let drawn = page::svg(&report(&session));
    assert!(drawn.len() < 1_500_000, "{} bytes", drawn.len());
}

#[test]
fn the_live_picture_of_a_session() {
    let (config, outcome, _) = stream();
    let mut live = Live::new(&config.source, Some(config.policy));
    live.stream();
    live.take(News::Film(&outcome.film));
    let mut events = outcome.events.iter().peekable();
    for sample in outcome.samples.iter().take_while(|sample| sample.at < ms(6000)) {
        while let Some(event) = events.next_if(|event| event.at <= sample.at) {
            live.take(News::Event(event));
        }
        live.take(News::Sample(sample));
    }
    let lines = live.lines(79, Duration::ZERO);
    let shown: Vec<&str> = lines.iter().map(|line| line.words.trim_end()).collect();
    insta::assert_snapshot!(shown.join("\n"));
    for columns in [0, 24, 40, 80, 200] {
        let wide =
            live.lines(columns, Duration::ZERO).iter().map(|line| line.words.chars().count()).max();
        assert!(wide.unwrap() <= columns.clamp(24, 120), "{columns}");
    }
}

#[test]
fn the_live_picture_says_what_stands_still() {
    let (config, outcome, _) = lecture(800, 4);
    let mut live = Live::new("lecture", Some(config.policy));
    live.take(News::Film(&outcome.film));
    let first = live.lines(80, Duration::ZERO);
    assert!(first.first().unwrap().words.contains("waiting to begin"));
    for event in outcome.events.iter().take_while(|event| event.at <= ms(22_000)) {
        live.take(News::Event(event));
    }
    let all: Vec<String> =
        live.lines(80, Duration::ZERO).into_iter().map(|line| line.words).collect();
    assert!(all.first().unwrap().contains("STALLED"), "{all:#?}");
    assert!(all.last().unwrap().contains("stalls    1, 0.2 s"), "{all:#?}");
    // It goes on while nothing is heard.
    let later = live.lines(80, seconds(2));
    assert!(later.last().unwrap().words.contains("stalls    1, 2.2 s"), "{later:#?}");
}

#[test]
fn a_session_that_never_began_says_so() {
    let (config, mut outcome, known) = ladder();
    assert!(said_of(&(config.clone(), outcome.clone(), known.clone()), 80).contains("to oracle"));
    outcome.events.truncate(1);
    let outcome = Outcome {
        metrics: Metrics::of(&outcome.film, &outcome.events, ms(2000)),
        end: ms(2000),
        interrupted: true,
        ..outcome
    };
    let shown = said_of(&(config, outcome, known), 80);
    assert!(shown.contains("never  no picture was shown in 2 s"), "{shown}");
    assert!(!shown.contains("to oracle"), "{shown}");
}

#[test]
fn a_stream_is_of_one_file_to_its_end() {
    let (config, outcome, _) = ladder();
    let mut live = Live::new("film", Some(config.policy));
    live.stream();
    live.take(News::Film(&outcome.film));
    for event in outcome.events.iter().take_while(|event| event.at <= ms(22_000)) {
        live.take(News::Event(event));
    }
    let lines = live.lines(80, Duration::ZERO);
    let quality = lines.iter().find(|line| line.words.starts_with("quality")).unwrap();
    assert!(quality.words.contains("one file: "), "{}", quality.words);
}

#[test]
fn many_players_for_people() {
    let (config, slow, _) = lecture(800, 4);
    let (_, fast, _) = lecture(2000, 4);
    let (_, failed, _) = broken();
    let mut outcomes = vec![slow; 3];
    outcomes.extend(vec![fast; 7]);
    outcomes.push(failed);
    let crowd = Crowd::of(&outcomes);
    assert_eq!(crowd.clients, crowd.ended + crowd.troubled + crowd.interrupted);
    assert_eq!((crowd.ended, crowd.troubled, crowd.smooth), (10, 1, 7));
    insta::assert_snapshot!(crowd::text(&config, &crowd, seconds(200), 80));
    parse(&crowd::html(&config, &crowd, seconds(200)));
    parse(&crowd::svg(&config, &Crowd::of(&[])));
}

#[test]
fn quantiles_are_those_of_the_nearest_rank() {
    let spread = Spread::of((1..=10).rev().map(f64::from).collect());
    let found = [spread.min, spread.p50, spread.p90, spread.p99, spread.max, spread.mean];
    assert_eq!(found, [1.0, 5.0, 9.0, 10.0, 10.0, 5.5].map(Some));
    assert_eq!(Spread::of(Vec::new()), Spread::default());
}
