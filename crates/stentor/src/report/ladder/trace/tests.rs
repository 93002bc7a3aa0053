//! The ladder as text, against pictures that were looked at, and against any text.

use proptest::prelude::*;
use stentor_core::timeline::stream::Kind;
use unicode_width::UnicodeWidthStr;

use super::*;
use crate::report::samples;

macro_rules! pictures {
    ($($name:ident $sample:ident $width:literal)*) => {
        $(#[test]
        fn $name() {
            insta::assert_snapshot!(terminal(&samples::$sample(), $width, false));
        })*
    };
}

pictures! {
    the_lecture_in_100_columns lecture 100
    the_lecture_in_160_columns lecture 160
    the_lecture_in_80_columns lecture 80
    one_send_in_seven_segments_in_100_columns seven 100
    one_send_in_seven_segments_in_160_columns seven 160
    a_full_buffer_and_every_grade_in_100_columns full 100
    a_full_buffer_and_every_grade_in_160_columns full 160
    datagrams_in_100_columns datagrams 100
    datagrams_in_160_columns datagrams 160
    a_refused_connection_in_100_columns refused 100
    calls_alone_in_100_columns calls 100
    several_conversations_in_120_columns several 120
}

/// Without SGR sequences, the only ones there should be.
fn bare(coloured: &str) -> String {
    let mut bare = String::new();
    let mut parts = coloured.split("\x1b[");
    bare.push_str(parts.next().unwrap());
    for part in parts {
        let (parameters, rest) = part.split_once('m').unwrap();
        assert!(parameters.chars().all(|c| c.is_ascii_digit() || c == ';'), "{parameters:?}");
        bare.push_str(rest);
    }
    bare
}

#[test]
fn colour_moves_no_column() {
    for ladder in [samples::full(), samples::several(), samples::calls()] {
        let coloured = terminal(&ladder, 100, true);
        let plain = terminal(&ladder, 100, false);
        assert_ne!(coloured, plain);
        assert_eq!(bare(&coloured), plain);
        assert!(!plain.contains('\x1b'));
    }
}

#[test]
fn a_closed_window_stands_out() {
    let coloured = terminal(&samples::full(), 100, true);
    assert!(coloured.contains("\x1b[31m ACK seq 1 ack 65484 win 0 \x1b[0m"), "{coloured}");
}

#[test]
fn every_row_is_drawn_and_what_the_ladder_left_out_is_counted() {
    let ladder = samples::long(3_000);
    let drawn = terminal(&ladder, 100, false);
    assert_eq!(drawn.lines().filter(|line| line.contains("PSH,ACK")).count(), 3_000);
    let drawn = terminal(&samples::full(), 100, false);
    assert!(drawn.contains("12 rows are left out by the limit on events."), "{drawn}");
    assert!(
        drawn.contains(
            "1 conversation is not shown: left out by --only, or local (--local shows those)."
        ),
        "{drawn}"
    );
}

#[test]
fn a_ladder_that_refers_to_what_it_lacks_is_drawn_without_it() {
    let mut ladder = samples::several();
    ladder.calls.truncate(2);
    ladder.packets.truncate(1);
    ladder.links.truncate(1);
    assert!(terminal(&ladder, 100, false).contains("#1 listen(3, 1) = 0"));
    ladder.calls.clear();
    ladder.packets.clear();
    assert!(terminal(&ladder, 100, false).contains("ESTABLISHED"));
    assert!(terminal(&Ladder::default(), 0, false).starts_with("lab"));
}

#[test]
fn kinds_that_flags_do_not_tell_are_named_where_there_is_room() {
    let mut ladder = samples::seven();
    ladder.packets[5].tcp.as_mut().unwrap().kind = Kind::DuplicateAck;
    assert!(terminal(&ladder, 200, false).contains("duplicate ACK"));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]
    #[test]
    fn no_text_breaks_the_columns(
        text in "(?s).{0,60}|[\u{1b}\u{7}\u{202e}\u{200d}\u{fe0f}\r\n\t字ж e\u{301}]{0,60}",
        width in 80_usize..=200,
    ) {
        let ladder = samples::hostile(&text);
        let drawn = terminal(&ladder, width, false);
        for line in drawn.lines() {
            prop_assert!(line.width() <= width, "{} > {width}: {line}", line.width());
            prop_assert!(!line.contains(char::is_control), "{line:?}");
            prop_assert!(!line.contains('\u{202e}'), "{line:?}");
        }
        prop_assert_eq!(bare(&terminal(&ladder, width, true)), drawn);
    }
}
