//! The ladder of a traced run as a Mermaid sequence diagram: text that README files and wikis draw.
//!
//! Calls and states are notes, packets arrows: solid where a call is proved to have caused them,
//! dotted where none did. Mermaid draws no causes and no waiting; [`super::svg`] does.

use std::fmt::Write;

use stentor_core::timeline::Lane;
use stentor_core::timeline::cause::Grade;
use stentor_core::timeline::header::Flags;
use stentor_core::timeline::ladder::{Arrow, Ladder, Mark, StateMark};

use super::ladder::words;

/// Characters Mermaid takes unless its page allows more (`maxTextSize` is 50,000), less room for
/// the end of ours.
pub const TEXT_MAX: usize = 49_000;

/// A note does not scroll.
const COLUMNS_MAX: usize = 200;

/// Draws as much of the ladder as `text_max` characters hold, and says what is missing.
pub fn diagram(ladder: &Ladder, text_max: usize) -> String {
    let mut text = String::from("sequenceDiagram\n");
    let _ = writeln!(text, "  %% {}", escape(&words::made(ladder)));
    for (place, group) in ladder.groups.iter().enumerate() {
        for (end, name, side) in [("c", "client", &group.client), ("s", "server", &group.server)] {
            let address = side.address.map_or(String::new(), |address| format!(" {address}"));
            let who = escape(&cut(&words::side(side)));
            let line = format!("  participant {end}{place} as {name}{address}<br/>{who}\n");
            if text.len() + line.len() < text_max {
                text.push_str(&line);
            }
        }
    }
    let mut left = 0;
    let mut full = false;
    for (place, group) in ladder.groups.iter().enumerate() {
        let mut said = [None; 2];
        for row in &group.rows {
            let line = match full {
                true => String::new(),
                false => line(ladder, place, row.mark, &mut said).unwrap_or_default(),
            };
            full |= text.len() + line.len() > text_max;
            if full {
                left += 1;
            } else {
                text.push_str(&line);
            }
        }
        for finding in &group.findings {
            let line = escape(&cut(&words::finding(ladder, finding)));
            let line = format!("  Note over c{place},s{place}: {line}\n");
            full |= text.len() + line.len() > text_max;
            if !full {
                text.push_str(&line);
            }
        }
    }
    for sentence in words::omitted(&ladder.omitted, left) {
        let _ = writeln!(text, "  %% {}", escape(&sentence));
        if !ladder.groups.is_empty() {
            let _ = writeln!(text, "  Note over c0,s0: {}", escape(&sentence));
        }
    }
    text
}

fn line(
    ladder: &Ladder,
    place: usize,
    mark: Mark,
    said: &mut [Option<StateMark>; 2],
) -> Option<String> {
    let note = |lane: Lane, words: &str| {
        let (side, end) = if lane == Lane::Client { ("left", "c") } else { ("right", "s") };
        format!("  Note {side} of {end}{place}: {}\n", escape(&cut(words)))
    };
    match mark {
        Mark::Call(lane, call) | Mark::CallEnds(lane, call) => {
            let call = ladder.calls.get(call as usize)?;
            let ended = matches!(mark, Mark::CallEnds(..));
            let words = match ended {
                true => {
                    format!(
                        "{} {} {}",
                        words::number(call.number),
                        call.name,
                        words::outcome(call, COLUMNS_MAX)
                    )
                }
                false => format!("{} {}", words::entered(call), words::outcome(call, COLUMNS_MAX)),
            };
            Some(note(lane, &words))
        }
        Mark::CallBegins(lane, call) => {
            let call = ladder.calls.get(call as usize)?;
            Some(note(lane, &format!("{} ...", words::entered(call))))
        }
        Mark::State(lane, now) => {
            let [client, server] = said;
            let before =
                if lane == Lane::Client { client.replace(now) } else { server.replace(now) };
            let words = words::state(&now, before.as_ref()).join(" ");
            let words = if now.inferred { format!("({words})") } else { words };
            (!words.is_empty()).then(|| note(lane, &words))
        }
        Mark::Packet(packet) | Mark::Departs(packet) => {
            let arrow = ladder.packets.get(packet as usize)?;
            Some(packet_line(ladder, place, arrow))
        }
        // Its arrows take no time, and stand where packets left.
        Mark::Arrives(_, 0) => None,
        Mark::Arrives(packet, copy) => {
            let arrow = ladder.packets.get(packet as usize)?;
            Some(note(arrow.from.opposite(), &words::arrived(arrow, copy)))
        }
    }
}

fn packet_line(ladder: &Ladder, place: usize, arrow: &Arrow) -> String {
    let cause = words::cause(ladder, arrow);
    let reset = arrow.headers.tcp().is_some_and(|tcp| tcp.flags.has(Flags::RST));
    let shaft = match (cause.grade, reset) {
        (Grade::Exact | Grade::Exit, false) => "->>",
        (Grade::Exact | Grade::Exit, true) => "-x",
        (Grade::Kernel | Grade::Timer | Grade::Inferred | Grade::Unknown, false) => "-->>",
        (Grade::Kernel | Grade::Timer | Grade::Inferred | Grade::Unknown, true) => "--x",
    };
    let (from, to) = if arrow.from == Lane::Client { ("c", "s") } else { ("s", "c") };
    let lost = arrow.crossing.as_ref().is_some_and(|crossing| crossing.arrivals.is_empty());
    let shaft = if lost { shaft.replace("->>", "-x") } else { shaft.to_owned() };
    let crossed = words::transit(arrow, 0).into_iter().chain(words::harm(arrow));
    let crossed: String = crossed.map(|words| format!(", {words}")).collect();
    let words = words::packet(arrow).line();
    let words = escape(&cut(&format!("{words} ({}{crossed})", cause.who)));
    format!("  {from}{place}{shaft}{to}{place}: {words}\n")
}

fn cut(words: &str) -> String {
    super::ladder::lines::fit(words, COLUMNS_MAX)
}

/// Text that Mermaid takes for nothing else: entities by number, as it writes them (`#59;`).
fn escape(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for character in words::clean(text).chars() {
        match character {
            '#' | ';' | '"' | '<' | '>' | '&' | '%' | '{' | '}' | '`' | '$' | '\\' | '\u{a0}' => {
                let _ = write!(escaped, "#{};", u32::from(character));
            }
            c => escaped.push(c),
        }
    }
    escaped
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::samples;
    use proptest::prelude::*;

    #[test]
    fn the_lecture_as_a_diagram() {
        insta::assert_snapshot!(diagram(&samples::lecture(), TEXT_MAX));
    }

    #[test]
    fn a_diagram_that_would_be_too_long_ends_and_says_so() {
        let ladder = samples::long(2_000);
        let text = diagram(&ladder, TEXT_MAX);
        assert!(text.len() < 50_000, "{} characters", text.len());
        let drawn = text.lines().filter(|line| line.contains("sendto")).count();
        let left = ladder.groups[0].rows.len() - drawn;
        let said = format!("{left} further rows are in the record but not drawn here");
        assert!(drawn > 100 && text.contains(&said), "{drawn} drawn, {said}");
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]
        #[test]
        fn no_text_becomes_syntax(text in "(?s).{0,40}|[;#%{}<>\n\r:&\"end ]{1,30}") {
            for line in diagram(&samples::hostile(&text), TEXT_MAX).lines().skip(1) {
                let starts = ["  participant ", "  Note ", "  %% ", "  c", "  s"];
                prop_assert!(starts.iter().any(|start| line.starts_with(start)), "{line}");
                // What is left of ; and # belongs to an entity of digits.
                for part in line.split('#').skip(1) {
                    let number = part.split(';').next().unwrap();
                    prop_assert!(part.contains(';') && number.parse::<u32>().is_ok(), "{line}");
                }
                prop_assert_eq!(line.matches(';').count(), line.matches('#').count(), "{}", line);
            }
        }
    }
}
