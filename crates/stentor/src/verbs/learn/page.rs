//! How a lesson looks in a terminal of 80 columns: numbered steps, calls, aligned evidence.

use std::io;

use stentor_core::timeline::Conversation;
use stentor_core::timeline::ladder::Ladder;

use super::stage::{Call, Claim, Fact};
use super::text::Text;
use crate::report::ladder;

/// The width for which lines are made, in columns.
const WIDTH: usize = 80;
/// The width of the ladder of a trace, in columns: at 80 its words break too often.
const LADDER: usize = 100;
/// Where the outcome of a call stands.
const OUTCOME: usize = 44;
/// How wide the names of evidence are.
const NAME: usize = 28;

/// How much of a lesson is shown, and how.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct View {
    /// Nothing but the verdict.
    pub(super) quiet: bool,
    /// The reason of each step.
    pub(super) explain: bool,
    /// Whether colour may be used.
    pub(super) colour: bool,
}

/// What a word is, for those who see colour.
#[derive(Clone, Copy, Debug)]
enum Tint {
    Heading,
    Good,
    Bad,
    Faint,
}

/// Writes a lesson as it happens.
pub(super) struct Page<'a> {
    view: View,
    out: &'a mut dyn FnMut(&str) -> io::Result<()>,
    kept: io::Result<()>,
}

impl<'a> Page<'a> {
    pub(super) fn new(view: View, out: &'a mut dyn FnMut(&str) -> io::Result<()>) -> Page<'a> {
        Page { view, out, kept: Ok(()) }
    }

    /// How it shows.
    pub(super) const fn view(&self) -> View {
        self.view
    }

    /// Adds what was shown elsewhere, in the same view.
    pub(super) fn relay(&mut self, shown: &str) -> io::Result<()> {
        self.write(shown)
    }

    /// Remembers how a write ended where it could not be told; the next write tells.
    pub(super) fn keep(&mut self, shown: io::Result<()>) {
        if self.kept.is_ok() {
            self.kept = shown;
        }
    }

    fn write(&mut self, text: &str) -> io::Result<()> {
        std::mem::replace(&mut self.kept, Ok(()))?;
        if self.view.quiet { Ok(()) } else { (self.out)(text) }
    }

    fn tint(&self, tint: Tint, text: &str) -> String {
        tinted(self.view.colour, tint, text)
    }

    pub(super) fn opening(&mut self, number: u8, name: &str, text: &Text) -> io::Result<()> {
        let title = self.tint(Tint::Heading, &format!("{number} {name}: {}", text.title));
        let mut shown = format!("{title}\n\n");
        for paragraph in &text.question {
            shown.push_str(&block("   ", "   ", paragraph));
            shown.push('\n');
        }
        self.write(&shown)
    }

    pub(super) fn step(&mut self, number: usize, title: &str, reason: &str) -> io::Result<()> {
        let first = format!("{number:>2} ");
        let mut shown = self.tint(Tint::Heading, block(&first, "   ", title).trim_end());
        shown.push('\n');
        if number > 1 {
            shown.insert(0, '\n');
        }
        if self.view.explain {
            shown.push_str(&self.tint(Tint::Faint, block("   ", "   ", reason).trim_end()));
            shown.push('\n');
        }
        self.write(&shown)
    }

    pub(super) fn call(&mut self, call: &Call) -> io::Result<()> {
        let made = format!("   {:<9} {}({})", call.who, call.name, call.arguments);
        let column = made.chars().count().max(OUTCOME - 1) + 1;
        let gap = " ".repeat(column - made.chars().count());
        // The words of an errno go if they do not fit: its name is what one looks up.
        let outcome = match call.outcome.split_once(" (") {
            Some((name, _)) if column + 2 + call.outcome.chars().count() > WIDTH => name,
            Some(_) | None => &call.outcome,
        };
        let outcome = match outcome.starts_with("-1") {
            true => self.tint(Tint::Bad, &format!("= {outcome}")),
            false => format!("= {outcome}"),
        };
        self.write(&format!("{made}{gap}{outcome}\n"))
    }

    pub(super) fn fact(&mut self, fact: &Fact) -> io::Result<()> {
        let first = format!("     {:<NAME$} ", fact.name);
        let rest = " ".repeat(first.chars().count().min(NAME + 6));
        let shown = block(&first, &rest, &fact.value);
        self.write(&shown)
    }

    pub(super) fn claim(&mut self, claim: &Claim) -> io::Result<()> {
        let (word, tint) = if claim.held { ("holds", Tint::Good) } else { ("FAILS", Tint::Bad) };
        let lines = block("   holds: ", "          ", &claim.text);
        let mut shown = lines.replacen("holds", &self.tint(tint, word), 1);
        if !claim.seen.is_empty() {
            let seen = block("          seen: ", "                ", &claim.seen);
            shown.push_str(&self.tint(Tint::Faint, seen.trim_end()));
            shown.push('\n');
        }
        self.write(&shown)
    }

    pub(super) fn conversation(&mut self, conversation: &Conversation) -> io::Result<()> {
        let drawn = ladder::text(conversation, WIDTH - 1);
        let mut shown = "\n".to_owned();
        for line in drawn.lines() {
            shown.push_str(&format!(" {line}\n"));
        }
        shown.push('\n');
        self.write(&shown)
    }

    pub(super) fn ladder(&mut self, drawn: &Ladder) -> io::Result<()> {
        let text = ladder::trace::terminal(drawn, LADDER, self.view.colour);
        self.write(&format!("\n{text}\n"))
    }

    pub(super) fn figure(&mut self, lines: &[String]) -> io::Result<()> {
        let mut shown = "\n".to_owned();
        for line in lines {
            shown.push_str(&format!("     {line}\n"));
        }
        self.write(&format!("{shown}\n"))
    }

    pub(super) fn closing(&mut self, text: &Text) -> io::Result<()> {
        let mut shown = String::new();
        for (quote, truth) in &text.notes {
            let heading = self.tint(Tint::Heading, "The notes say");
            shown.push_str(&format!("\n   {heading} \"{quote}\"\n"));
            shown.push_str(&block("   ", "   ", truth));
        }
        let heading = self.tint(Tint::Heading, "Lesson");
        let lesson = block("   Lesson: ", "   ", &text.lesson);
        shown.push_str(&format!("\n{}", lesson.replacen("Lesson", &heading, 1)));
        let heading = self.tint(Tint::Heading, "Try it");
        let go = block("   Try it: ", "   ", &text.go);
        shown.push_str(&format!("\n{}\n", go.replacen("Try it", &heading, 1)));
        self.write(&shown)
    }
}

/// The last line of a lesson: `backlog: holds, 6 of 6 claims`.
pub(super) fn verdict_line(name: &str, claims: &[Claim], good: bool, colour: bool) -> String {
    let held = claims.iter().filter(|claim| claim.held).count();
    let word = match good {
        true => tinted(colour, Tint::Good, "holds"),
        false => tinted(colour, Tint::Bad, "FAILS"),
    };
    format!("{name}: {word}, {held} of {} claims seen on real sockets\n", claims.len())
}

/// `text` as a heading.
pub(super) fn heading(colour: bool, text: &str) -> String {
    tinted(colour, Tint::Heading, text)
}

fn tinted(colour: bool, tint: Tint, text: &str) -> String {
    let code = match tint {
        Tint::Heading => "1",
        Tint::Good => "1;32",
        Tint::Bad => "1;31",
        Tint::Faint => "2",
    };
    if colour { format!("\x1b[{code}m{text}\x1b[0m") } else { text.to_owned() }
}

/// `text` broken between words into lines of at most 80 columns, each ended by a newline; `first`
/// stands before the first line, `rest` before the others. A longer word has a line of its own.
pub(super) fn block(first: &str, rest: &str, text: &str) -> String {
    let mut shown = first.to_owned();
    let mut column = first.chars().count();
    let mut fresh = true;
    for word in text.split_whitespace() {
        let wide = word.chars().count();
        if !fresh && column + 1 + wide > WIDTH {
            shown.push('\n');
            shown.push_str(rest);
            column = rest.chars().count();
            fresh = true;
        }
        if !fresh {
            shown.push(' ');
            column += 1;
        }
        shown.push_str(word);
        column += wide;
        fresh = false;
    }
    shown.push('\n');
    shown
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn blocks_break_between_words_and_lose_none() {
        let text = "word ".repeat(60);
        let shown = block(" 1 ", "   ", &text);
        assert!(shown.lines().all(|line| line.chars().count() <= WIDTH), "{shown}");
        assert_eq!(shown.matches("word").count(), 60);
        assert!(shown.starts_with(" 1 word word"));
        assert!(shown.lines().nth(1).unwrap().starts_with("   word"));
        assert_eq!(block("a ", "", &"x".repeat(90)), format!("a {}\n", "x".repeat(90)));
    }

    #[test]
    fn quiet_shows_nothing_and_colour_is_asked_for() {
        let mut shown = String::new();
        let mut out = |text: &str| {
            shown.push_str(text);
            Ok(())
        };
        let claim = Claim { step: 1, text: "It is so.".into(), seen: "1".into(), held: true };
        Page::new(View { quiet: true, ..View::default() }, &mut out).claim(&claim).unwrap();
        Page::new(View::default(), &mut out).claim(&claim).unwrap();
        assert_eq!(shown, "   holds: It is so.\n          seen: 1\n");
        assert!(verdict_line("x", &[claim], false, true).contains("\x1b[1;31mFAILS"));
    }
}
