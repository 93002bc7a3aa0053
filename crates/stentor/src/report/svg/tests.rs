//! Pictures are well formed whatever the traced programs said, and end where they should.

use proptest::prelude::*;
use roxmltree::Document;

use super::*;
use crate::report::samples;

#[test]
fn a_refused_connection_as_a_picture() {
    let drawn = drawing(&samples::refused(), ROWS_MAX);
    insta::assert_snapshot!(drawn.replace(STYLE, "..."));
}

/// The texts of a picture, in the order they stand.
fn texts(drawn: &str) -> Vec<String> {
    let document = Document::parse(drawn).unwrap();
    let texts = document.descendants().filter(|node| node.has_tag_name("text"));
    texts.map(|node| node.text().unwrap_or_default().to_owned()).collect()
}

#[test]
fn the_lecture_is_all_there() {
    let ladder = samples::lecture();
    let drawn = drawing(&ladder, ROWS_MAX);
    let texts = texts(&drawn);
    for said in [
        "TCP 127.0.0.1:51234 → 127.0.0.1:12000",
        "SYN seq 0 win 65495 mss 1460 wscale 7",
        "PSH,ACK seq 1 len 6 ack 7 win 65536",
        "\"HELLO\\n\"",
        "#2 connect = 0 (90 us)",
        "TIME_WAIT",
        "• handshake finished 0.2 ms before accept() (#2, #3; packet 3 at 1.050 ms)",
    ] {
        assert!(texts.iter().any(|text| text == said), "{said} is not among {texts:?}");
    }
    let document = Document::parse(&drawn).unwrap();
    let ties = document
        .descendants()
        .filter(|node| node.attribute("class").is_some_and(|class| class.starts_with("tie ")));
    assert_eq!(ties.count(), ladder.links.iter().filter(|link| link.call.is_some()).count());
    let titled = document.descendants().filter(|node| {
        let item = node.attribute("class").is_some_and(|class| class.starts_with("item"));
        item && node.first_element_child().is_some_and(|child| child.has_tag_name("title"))
    });
    // Of twelve calls nine waited, and have a box where they began and one where they ended.
    assert_eq!(titled.count(), ladder.packets.len() + 12 + 9);
}

#[test]
fn grades_and_guesses_have_looks_of_their_own() {
    let drawn = drawing(&samples::full(), ROWS_MAX);
    for grade in ["exact", "kernel", "timer", "exit", "inferred", "unknown"] {
        assert!(drawn.contains(&format!("class=\"shaft {grade}\"")), "{grade}");
    }
    let guessed = drawing(&samples::calls(), ROWS_MAX);
    assert_eq!(guessed.matches("class=\"state guess\"").count(), 3);
    assert!(guessed.contains("class=\"life unseen\"") && !guessed.contains("class=\"shaft"));
}

#[test]
fn a_picture_ends_where_it_should_and_counts_what_is_missing() {
    let ladder = samples::long(5_000);
    let drawn = drawing(&ladder, 300);
    let rows = drawn.matches("class=\"time\"").count() - 1;
    assert_eq!(rows, 300);
    assert!(drawn.contains("9700 further rows are in the record but not drawn here"));
    let mut several = samples::several();
    let all: usize = several.groups.iter().map(|group| group.rows.len()).sum();
    let drawn = drawing(&several, 10);
    assert!(drawn.contains(&format!("{} further rows are", all - 10)), "{drawn}");
    assert!(!drawn.contains(">UDP 127"), "a conversation without a row is not begun");
    several.calls.clear();
    several.packets.clear();
    assert!(Document::parse(&drawing(&several, ROWS_MAX)).is_ok());
    assert!(Document::parse(&drawing(&Ladder::default(), 0)).is_ok());
}

/// Prints how long a picture of a million packets takes, and its size, by every form. Run with
/// `cargo test -p stentor --lib million -- --ignored --nocapture`.
#[test]
#[ignore = "measures, and proves nothing"]
fn a_million_packets() {
    use std::time::Instant;
    let ladder = samples::long(1_000_000);
    let mut limited = ladder.clone();
    limited.groups[0].rows.truncate(2_000);
    for (name, ladder) in [("2,000 rows", &limited), ("all rows", &ladder)] {
        let forms: [(&str, &dyn Fn() -> String); 4] = [
            ("text", &|| crate::report::ladder::trace::terminal(ladder, 100, false)),
            ("svg", &|| drawing(ladder, ROWS_MAX)),
            ("html", &|| crate::report::page::html(ladder, ROWS_MAX)),
            ("mermaid", &|| {
                crate::report::mermaid::diagram(ladder, crate::report::mermaid::TEXT_MAX)
            }),
        ];
        for (form, draw) in forms {
            let began = Instant::now();
            let bytes = draw().len();
            let took = began.elapsed().as_millis();
            crate::report::console::notice(format!("{name}, {form}: {took} ms, {bytes} bytes"));
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]
    #[test]
    fn no_text_becomes_markup(text in "(?s).{0,40}|[<>&\"'\u{0}\u{1b}\u{fffe}\\]\u{a0}-]{0,30}|</?(title|style|script|svg)>.*") {
        let plain = Document::parse(&drawing(&samples::hostile("x"), ROWS_MAX)).unwrap()
            .descendants().filter(|node| node.has_tag_name("script")).count();
        prop_assert_eq!(plain, 0);
        let drawn = drawing(&samples::hostile(&text), ROWS_MAX);
        let document = match Document::parse(&drawn) {
            Ok(document) => document,
            Err(error) => return Err(TestCaseError::fail(format!("{error}: {drawn}"))),
        };
        for node in document.descendants().filter(|node| node.is_element()) {
            let name = node.tag_name().name();
            let ours = ["svg", "g", "title", "desc", "style", "rect", "path", "text"];
            prop_assert!(ours.contains(&name), "{}", name);
            let handler = node.attributes().any(|attribute| attribute.name().starts_with("on"));
            prop_assert!(!handler, "{:?}", node);
        }
        let styles = document.descendants().filter(|node| node.has_tag_name("style"));
        prop_assert_eq!(styles.count(), 1);
    }
}
