//! Draws a conversation as text: the client's lane left, the server's right, time downwards.
//!
//! Plain characters without colour or cursor movement, the same for the same conversation. The
//! time of the first event is zero. Long words are wrapped, never cut.

use std::fmt::Write;

use stentor_core::moment::Moment;
use stentor_core::timeline::{Conversation, Event, Lane, What};

use super::lines::{columns, fit, pad, wrap};

/// The narrowest ladder: below it calls would be wrapped at every word.
pub const WIDTH_MIN: usize = 60;

/// The widest: longer lines are hard to follow with the eye.
pub const WIDTH_MAX: usize = 100;

/// Columns left of the client's lane: the time in milliseconds, and a space on either side.
const TIME: usize = 11;

/// Draws the conversation; no line is wider than `width` (taken as 60 to 100 columns) unless a
/// single word is.
pub fn text(conversation: &Conversation, width: usize) -> String {
    let width = width.clamp(WIDTH_MIN, WIDTH_MAX);
    let mut page = Page { text: String::new(), right: right_lane(conversation, width), width };
    page.head(conversation);
    page.row("", &[], &[]);
    let began = conversation.events.first().map_or(Moment::START, |event| event.at);
    for event in &conversation.events {
        page.event(began, event);
    }
    page.row("", &[], &[]);
    for verdict in &conversation.verdicts {
        for (number, line) in wrap(verdict, width - 4).iter().enumerate() {
            let bullet = if number == 0 { "  * " } else { "    " };
            page.line(&format!("{bullet}{line}"));
        }
    }
    page.text
}

/// The column of the server's lane. What the server says of itself stands right of it; when it
/// says nothing, the lanes move apart and only its name needs the room.
fn right_lane(conversation: &Conversation, width: usize) -> usize {
    let speaks = conversation.events.iter().any(|event| {
        event.lane == Lane::Server && !matches!(event.what, What::Data { .. } | What::Signal(_))
    });
    let half = TIME + (width - TIME) * 11 / 20;
    if speaks { half } else { half.max(width.saturating_sub(columns(&conversation.server).max(1))) }
}

struct Page {
    text: String,
    /// Column of the server's lane; the client's is [`TIME`].
    right: usize,
    width: usize,
}

impl Page {
    fn head(&mut self, conversation: &Conversation) {
        let between = self.right - TIME - 1;
        let left = wrap(&conversation.client, between);
        let right = wrap(&conversation.server, self.width - self.right);
        for number in 0..left.len().max(right.len()) {
            let time = if number == 0 { "time/ms" } else { "" };
            let left = left.get(number).map_or("", String::as_str);
            let right = right.get(number).map_or("", String::as_str);
            let (time, left) = (pad(time, TIME - 2, true), pad(left, between, false));
            self.line(&format!("{time}  {left} {right}"));
        }
    }

    fn event(&mut self, began: Moment, event: &Event) {
        let microseconds = event.at.since(began).as_micros();
        let time = format!("{}.{:03}", microseconds / 1000, microseconds % 1000);
        let words = match &event.what {
            What::Call { name, arguments, outcome } => match outcome.as_str() {
                "" => format!("{name}({arguments})"),
                outcome => format!("{name}({arguments}) = {outcome}"),
            },
            What::State(state) => format!("[{state}]"),
            What::Note(note) => format!("# {note}"),
            What::Signal(signal) => return self.arrow(&time, event.lane, signal),
            What::Data { bytes, excerpt } => {
                let unit = if *bytes == 1 { "byte" } else { "bytes" };
                let label = match excerpt.as_str() {
                    "" => format!("{bytes} {unit}"),
                    excerpt => format!("{bytes} {unit} \"{excerpt}\""),
                };
                return self.arrow(&time, event.lane, &label);
            }
        };
        match event.lane {
            Lane::Client => {
                let lines = wrap(&words, self.right - TIME - 3);
                self.row(&time, &lines, &[]);
            }
            Lane::Server => {
                let lines = wrap(&words, self.width.saturating_sub(self.right + 2).max(8));
                self.row(&time, &[], &lines);
            }
        }
    }

    /// An arrow from the lane of who gave to the other, with its label at the beginning of it.
    fn arrow(&mut self, time: &str, from: Lane, label: &str) {
        let room = self.right - TIME - 1;
        let label = fit(label, room.saturating_sub(8));
        let shaft = "─".repeat(room.saturating_sub(columns(&label) + 6));
        let arrow = match from {
            Lane::Client => format!("─── {label} {shaft}►"),
            Lane::Server => format!("◄── {label} {shaft}─"),
        };
        self.line(&format!("{} │{arrow}│", pad(time, TIME - 1, true)));
    }

    /// What the two ends say beside their lanes: the first line has the time, the others hang.
    fn row(&mut self, time: &str, left: &[String], right: &[String]) {
        for number in 0..left.len().max(right.len()).max(1) {
            let hang = |side: &[String]| match side.get(number) {
                Some(line) if number == 0 => format!(" {line}"),
                Some(line) => format!("   {line}"),
                None => String::new(),
            };
            let time = pad(if number == 0 { time } else { "" }, TIME - 1, true);
            let left = pad(&hang(left), self.right - TIME - 1, false);
            self.line(&format!("{time} │{left}│{}", hang(right)));
        }
    }

    fn line(&mut self, line: &str) {
        let _ = writeln!(self.text, "{}", line.trim_end());
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use unicode_width::{UnicodeWidthChar, UnicodeWidthStr};

    fn us(microseconds: u64) -> Moment {
        Moment::from_nanos(microseconds * 1000)
    }

    fn hello() -> Conversation {
        let mut talk = Conversation::new("client 127.0.0.1:51234", "server 127.0.0.1:12000");
        let (client, server) = (Lane::Client, Lane::Server);
        talk.call(us(1_000), client, "connect", "127.0.0.1:12000", "0");
        talk.witness(us(1_010), client, What::Signal("SYN".into()));
        talk.witness(us(1_050), server, What::Signal("SYN, ACK".into()));
        talk.call(us(1_100), server, "accept", "3", "5, from 127.0.0.1:51234");
        talk.data(us(1_200), client, b"hello\n");
        let arguments = "5, a buffer of 1024 bytes which is much larger than needed, no flags";
        talk.call(us(1_300), server, "recv", arguments, "6");
        talk.data(us(13_400), server, b"HELLO\n");
        talk.witness(us(13_500), client, What::State("CLOSE_WAIT".into()));
        talk.witness(us(13_600), client, What::Note("the server closed first".into()));
        talk.verdicts.push("1 send = 1 recv".into());
        talk
    }

    fn check(drawn: &str, expected: &str) {
        assert_eq!(drawn, expected, "\n{drawn}");
    }

    #[test]
    fn a_conversation_is_drawn() {
        check(
            &text(&hello(), 100),
            r#"  time/ms  client 127.0.0.1:51234                          server 127.0.0.1:12000
           │                                               │
     0.000 │ connect(127.0.0.1:12000) = 0                  │
     0.010 │─── SYN ──────────────────────────────────────►│
     0.050 │◄── SYN, ACK ──────────────────────────────────│
     0.100 │                                               │ accept(3) = 5, from 127.0.0.1:51234
     0.200 │─── 6 bytes "hello\n" ────────────────────────►│
     0.300 │                                               │ recv(5, a buffer of 1024 bytes which is
           │                                               │   much larger than needed, no flags) =
           │                                               │   6
    12.400 │◄── 6 bytes "HELLO\n" ─────────────────────────│
    12.500 │ [CLOSE_WAIT]                                  │
    12.600 │ # the server closed first                     │
           │                                               │
  * 1 send = 1 recv
"#,
        );
    }

    #[test]
    fn a_silent_server_leaves_the_room_to_the_client() {
        let mut talk = hello();
        talk.events.retain(|e| e.lane == Lane::Client || matches!(e.what, What::Data { .. }));
        check(
            &text(&talk, 72),
            r#"  time/ms  client 127.0.0.1:51234                 server 127.0.0.1:12000
           │                                      │
     0.000 │ connect(127.0.0.1:12000) = 0         │
     0.010 │─── SYN ─────────────────────────────►│
     0.200 │─── 6 bytes "hello\n" ───────────────►│
    12.400 │◄── 6 bytes "HELLO\n" ────────────────│
    12.500 │ [CLOSE_WAIT]                         │
    12.600 │ # the server closed first            │
           │                                      │
  * 1 send = 1 recv
"#,
        );
    }

    #[test]
    fn an_empty_conversation_has_its_head() {
        let drawn = text(&Conversation::new("a", "b"), 0);
        assert_eq!(drawn.lines().count(), 3, "{drawn}");
    }

    proptest! {
        #[test]
        fn no_line_is_wider_than_asked_and_the_lanes_stand_straight(
            words in proptest::collection::vec("[a-zж字 ]{0,90}", 1..12), width in 60_usize..=100,
        ) {
            let mut talk = Conversation::new("client 127.0.0.1:51234", "server");
            for (number, words) in words.into_iter().enumerate() {
                let lane = if number % 2 == 0 { Lane::Client } else { Lane::Server };
                let what = match number % 3 {
                    0 => What::Signal(words),
                    1 => What::Data { bytes: words.len(), excerpt: words },
                    _ => What::Note(words),
                };
                talk.witness(us(number as u64), lane, what);
            }
            let right = right_lane(&talk, width);
            for line in text(&talk, width).lines().skip(1) {
                prop_assert!(line.width() <= width, "{} > {width}: {line}", line.width());
                let before = |column: usize| -> String {
                    let mut so_far = 0;
                    line.chars().take_while(|c| {
                        so_far += c.width().unwrap_or(0);
                        so_far <= column
                    }).collect()
                };
                prop_assert!(line[before(TIME).len()..].starts_with('│'), "{line}");
                prop_assert!(line[before(right).len()..].starts_with('│'), "{line}");
            }
        }
    }
}
