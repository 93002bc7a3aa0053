//! Words with colours, which may be left out without moving a column.
//!
//! Where they stand is left to [`super`].

use stentor_core::timeline::cause::Grade;

/// What kind of words they are, and so how they look.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Ink {
    Plain,
    Faint,
    Strong,
    Bar,
    Failed,
    State,
    Found,
    Warning,
    Grade(Grade),
}

impl Ink {
    /// Parameters of SGR: the eight colours that every terminal lets its owner choose.
    fn parameters(self) -> &'static str {
        match self {
            Ink::Plain => "",
            Ink::Faint => "2",
            Ink::Strong => "1",
            Ink::Bar | Ink::Grade(Grade::Timer) => "33",
            Ink::Failed | Ink::Grade(Grade::Unknown) => "31",
            Ink::State => "32",
            Ink::Found => "1;33",
            Ink::Warning => "1;31",
            Ink::Grade(Grade::Exact) => "36",
            Ink::Grade(Grade::Kernel) => "90",
            Ink::Grade(Grade::Exit) => "35",
            Ink::Grade(Grade::Inferred) => "34",
        }
    }
}

/// A line in the making.
#[derive(Clone, Debug, Default)]
pub(super) struct Painted(Vec<(Ink, String)>);

impl Painted {
    /// Adds words at its end.
    pub(super) fn add(&mut self, ink: Ink, words: &str) -> &mut Painted {
        match self.0.last_mut() {
            Some((last, so_far)) if *last == ink => so_far.push_str(words),
            _ if !words.is_empty() => self.0.push((ink, words.to_owned())),
            _ => {}
        }
        self
    }

    /// Appends it to `text`, without the spaces at its end.
    pub(super) fn write(&self, text: &mut String, colour: bool) {
        let inked = self.0.iter().rposition(|(_, words)| !words.trim_end().is_empty());
        let Some(last) = inked else { return };
        for (place, (ink, words)) in self.0.iter().enumerate().take(last + 1) {
            let words = if place == last { words.trim_end() } else { words.as_str() };
            match ink.parameters() {
                parameters if colour && !parameters.is_empty() && !words.trim().is_empty() => {
                    text.push_str("\x1b[");
                    text.push_str(parameters);
                    text.push('m');
                    text.push_str(words);
                    text.push_str("\x1b[0m");
                }
                _ => text.push_str(words),
            }
        }
    }
}
