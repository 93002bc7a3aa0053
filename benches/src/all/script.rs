//! What clients ask, and what the answer must be to the byte.

use std::collections::BTreeMap;

use stentor_core::casing::{self, Case};
use stentor_core::seed::{Dice, Seed};

use crate::casing::texts;

/// Bytes of a line, its end included.
pub(crate) const LINE: usize = 32;
const LINES: usize = 1024;

/// How a server is spoken to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Dialect {
    /// A line goes in and comes back in capitals.
    Capitals,
    /// ECHO of the Redis protocol (RESP): the same line comes back, in its frame.
    Redis,
}

/// Lines of random letters and their answers.
#[derive(Debug)]
pub(crate) struct Script {
    questions: Vec<u8>,
    answers: Vec<u8>,
}

impl Script {
    pub(crate) fn new(dialect: Dialect) -> Script {
        let mut dice = Dice::new(Seed(1), "lines");
        let (mut questions, mut answers) = (Vec::new(), Vec::new());
        for _ in 0..LINES {
            let letters = std::iter::repeat_with(|| letter(&mut dice)).take(LINE - 1);
            let line: Vec<u8> = letters.chain([b'\n']).collect();
            match dialect {
                Dialect::Capitals => {
                    questions.extend_from_slice(&line);
                    answers.extend_from_slice(&line.to_ascii_uppercase());
                }
                Dialect::Redis => {
                    let frame = [format!("${LINE}\r\n").as_bytes(), &line, b"\r\n"].concat();
                    questions.extend_from_slice(b"*2\r\n$4\r\nECHO\r\n");
                    questions.extend_from_slice(&frame);
                    answers.extend_from_slice(&frame);
                }
            }
        }
        Script { questions, answers }
    }

    /// `depth` questions from one place of the script on.
    pub(crate) fn questions(&self, place: usize, depth: usize) -> &[u8] {
        part(&self.questions, place, depth)
    }

    /// Their answers.
    pub(crate) fn answers(&self, place: usize, depth: usize) -> &[u8] {
        part(&self.answers, place, depth)
    }
}

fn part(all: &[u8], place: usize, depth: usize) -> &[u8] {
    let (each, from) = (all.len() / LINES, place % (LINES - depth));
    all.get(from * each..(from + depth) * each).unwrap_or_default()
}

fn letter(dice: &mut Dice) -> u8 {
    let place = usize::try_from(dice.below(32)).unwrap_or_default();
    b"abcdefghijklmnopqrstuvwxyz      ".get(place).copied().unwrap_or(b' ')
}

/// A text for bulk, sent over and over: whole characters, so that the answer repeats as well.
#[derive(Debug)]
pub(crate) struct Text {
    pub(crate) asked: Vec<u8>,
    pub(crate) capitals: Vec<u8>,
}

/// All texts of the `casing` measurement, a MiB of each, by their names.
pub(crate) fn all_texts() -> BTreeMap<&'static str, Text> {
    let whole = |(name, blocks): (_, Vec<Vec<u8>>)| {
        let asked = blocks.concat();
        let capitals = casing::upper(Case::Unicode, &asked);
        (name, Text { asked, capitals })
    };
    texts().into_iter().map(whole).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn answers_stand_where_their_questions_do() {
        let script = Script::new(Dialect::Capitals);
        for place in [0, 1, 1007, 1024, 99_999] {
            let (asked, due) = (script.questions(place, 16), script.answers(place, 16));
            assert_eq!(asked.len(), 16 * LINE);
            assert_eq!(asked.to_ascii_uppercase(), due);
            assert_ne!(asked, due);
        }
        let redis = Script::new(Dialect::Redis);
        assert!(redis.questions(5, 1).ends_with(redis.answers(5, 1)));
    }
}
