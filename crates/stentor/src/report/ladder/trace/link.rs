//! Packets that a lab link carried: where they left, where they arrived, and those that did not.

use stentor_core::timeline::Lane;
use stentor_core::timeline::ladder::Arrow;

use super::ink::{Ink, Painted};
use super::{Page, Talk};
use crate::report::ladder::lines::{columns, fit, pad};
use crate::report::ladder::words;

impl Page<'_> {
    /// The beginning of an arrow: it goes on in another row, or ends in a cross.
    pub(super) fn leaves(
        &self,
        line: &mut Painted,
        arrow: &Arrow,
        ink: Ink,
        (label_ink, label): (Ink, &str),
        shaft: &str,
    ) {
        let lost = arrow.crossing.as_ref().is_some_and(|crossing| crossing.arrivals.is_empty());
        let (head_ink, head) = if lost { (Ink::Failed, "✗") } else { (ink, "╴") };
        let rest = self.frame.wire.saturating_sub(columns(label) + 4);
        match arrow.from {
            Lane::Client => {
                line.add(ink, shaft).add(label_ink, &format!(" {label} "));
                line.add(head_ink, head).space(rest);
            }
            Lane::Server => {
                let head = if lost { head } else { "╶" };
                line.space(rest).add(head_ink, head);
                line.add(label_ink, &format!(" {label} ")).add(ink, shaft);
            }
        }
    }

    /// What a link did to a packet, below it.
    pub(super) fn harmed(&mut self, talk: &Talk, arrow: &Arrow) {
        let Some(words) = words::harm(arrow) else { return };
        let room = self.frame.wire.saturating_sub(2);
        let words = fit(&format!("✗ {words}"), room);
        let mut line = self.clock("");
        self.beside(&mut line, talk, Lane::Client, None);
        let words = pad(&words, room, arrow.from == Lane::Server);
        line.add(Ink::Failed, &format!(" {words} "));
        self.beside(&mut line, talk, Lane::Server, None);
        self.line(&line);
    }

    /// The end of an arrow that began in another row, and what came of it.
    pub(super) fn arrives(&mut self, talk: &Talk, time: &str, arrow: &Arrow, copy: u32) {
        let room = self.frame.wire.saturating_sub(5);
        let mut label = words::arrived(arrow, copy);
        if columns(&label) > room {
            label = label.replace("seq ", "");
        }
        let label = fit(&label, room);
        let grade = words::cause(self.ladder, arrow).grade;
        let ink = Ink::Grade(grade);
        // Which of two copies a receive got cannot be told apart; the first is as good.
        let effect = words::effect(self.ladder, arrow).filter(|_| copy == 0);
        let tie = effect.as_ref().map(|tie| (tie.who.as_str(), tie.grade, false));
        let rest = self.frame.wire.saturating_sub(columns(&label) + 4);
        let mut line = self.clock(time);
        match arrow.from {
            Lane::Client => {
                self.beside(&mut line, talk, Lane::Client, None);
                line.space(rest).add(ink, "╶").add(Ink::Plain, &format!(" {label} "));
                line.add(ink, "►");
                self.beside(&mut line, talk, Lane::Server, tie);
            }
            Lane::Server => {
                self.beside(&mut line, talk, Lane::Client, tie);
                line.add(ink, "◄").add(Ink::Plain, &format!(" {label} "));
                line.add(ink, "╴").space(rest);
                self.beside(&mut line, talk, Lane::Server, None);
            }
        }
        self.line(&line);
    }
}
