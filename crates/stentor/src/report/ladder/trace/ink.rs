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

/// A line in the making: its words in one piece, and where each ink ends in them.
#[derive(Clone, Debug, Default)]
pub(super) struct Painted {
    words: String,
    runs: Vec<(Ink, usize)>,
}

impl Painted {
    /// Adds words at its end.
    pub(super) fn add(&mut self, ink: Ink, words: &str) -> &mut Painted {
        if words.is_empty() {
            return self;
        }
        self.words.push_str(words);
        let end = self.words.len();
        match self.runs.last_mut() {
            Some((last, so_far)) if *last == ink => *so_far = end,
            _ => self.runs.push((ink, end)),
        }
        self
    }

    /// Adds spaces at its end, as many as there are.
    pub(super) fn space(&mut self, columns: usize) -> &mut Painted {
        const SPACES: &str = "                                                                ";
        let mut left = columns;
        while let Some(spaces) =
            SPACES.get(..left.min(SPACES.len())).filter(|some| !some.is_empty())
        {
            self.add(Ink::Plain, spaces);
            left -= spaces.len();
        }
        self
    }

    /// Appends it to `text`, without the spaces at its end.
    pub(super) fn write(&self, text: &mut String, colour: bool) {
        let inked = self.words.trim_end().len();
        if !colour {
            text.push_str(self.words.get(..inked).unwrap_or_default());
            return;
        }
        let mut begin = 0;
        for (ink, end) in &self.runs {
            let words = self.words.get(begin..(*end).min(inked)).unwrap_or_default();
            begin = *end;
            match ink.parameters() {
                parameters if !parameters.is_empty() && !words.trim().is_empty() => {
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
