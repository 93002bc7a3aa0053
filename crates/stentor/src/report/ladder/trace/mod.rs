//! The ladder of a traced run as text, for terminals and files.
//!
//! Client calls and socket, wire, server socket and calls, time downwards. Calls that waited have a
//! dotted bar at the outer edge; states hug the lifelines; beside an arrow stands why it left and
//! what came back because of it. The same for the same ladder. What is said is in [`super::words`].

mod ink;
mod link;
#[cfg(test)]
mod tests;

use stentor_core::timeline::Lane;
use stentor_core::timeline::cause::Grade;
use stentor_core::timeline::ladder::{
    Arrow, CallMark, Group, Ladder, Mark, Omitted, Protocol, StateMark,
};
use stentor_core::timeline::record::Mode;

use self::ink::{Ink, Painted};
use super::lines::{columns, fit, pad, wrap};
use super::words;

/// The narrowest drawing, in columns: below it labels would be broken at every word.
pub const WIDTH_MIN: usize = 80;

/// The widest: more room shows no more.
pub const WIDTH_MAX: usize = 220;

/// How many waiting calls of one end have a bar of their own at the same time.
const BARS_MAX: usize = 4;

/// Draws the ladder; no line is wider than `width` (taken as 80 to 220 columns), every row of the
/// ladder is drawn. Colour is by SGR sequences (ECMA-48, section 8.3.117) and changes no column.
pub fn terminal(ladder: &Ladder, width: usize, colour: bool) -> String {
    let width = width.clamp(WIDTH_MIN, WIDTH_MAX);
    let frame = Frame::new(ladder, width);
    let text = String::new();
    let mut page = Page { ladder, frame, width, colour, text, shortened: false };
    page.head();
    for group in &ladder.groups {
        page.group(group);
    }
    page.foot();
    page.text
}

/// The columns: time, half, lifeline, wire, lifeline, half.
#[derive(Clone, Copy)]
struct Frame {
    time: usize,
    half: usize,
    wire: usize,
}

impl Frame {
    fn new(ladder: &Ladder, width: usize) -> Frame {
        let rows = ladder.groups.iter().filter_map(|group| group.rows.last());
        let latest = rows.map(|row| words::time(row.at).len()).max().unwrap_or(0);
        let time = latest.max(8) + 1;
        let room = width.saturating_sub(time + 2);
        let packets = |group: &Group| {
            group.rows.iter().any(|row| matches!(row.mark, Mark::Packet(_) | Mark::Departs(_)))
        };
        let wire = match ladder.groups.iter().any(packets) {
            // 35 columns hold `PSH,ACK seq 1+6 ack 1 win 65536` and its arrow; calls get most of
            // what is left.
            true if room >= 89 => 35 + (room - 89) * 2 / 5,
            true => room.saturating_sub(2 * 24).max(26),
            false => 9,
        };
        let half = room.saturating_sub(wire) / 2;
        Frame { time, half, wire: room.saturating_sub(2 * half) }
    }
}

struct Page<'a> {
    ladder: &'a Ladder,
    frame: Frame,
    width: usize,
    colour: bool,
    text: String,
    /// Whether a label was, and the legend has to say how.
    shortened: bool,
}

/// What is going on in a conversation while it is drawn.
struct Talk {
    /// Waiting calls of the client and of the server, each in its bar's place.
    waiting: [Vec<Option<u32>>; 2],
    /// What was last said of their sockets.
    said: [Option<StateMark>; 2],
    /// The lifeline: dashed where it was not seen.
    life: &'static str,
}

impl Talk {
    fn new(group: &Group, mode: Mode) -> Talk {
        let mut open = [0_usize; 2];
        let mut most = [1_usize; 2];
        for row in &group.rows {
            match row.mark {
                Mark::CallBegins(lane, _) => {
                    let (open, most) = (side(&mut open, lane), side(&mut most, lane));
                    *open += 1;
                    *most = (*most).max(*open).min(BARS_MAX);
                }
                Mark::CallEnds(lane, _) => {
                    let open = side(&mut open, lane);
                    *open = open.saturating_sub(1);
                }
                Mark::Call(..)
                | Mark::Packet(_)
                | Mark::Departs(_)
                | Mark::Arrives(..)
                | Mark::State(..) => {}
            }
        }
        let life = if mode == Mode::Calls { "┆" } else { "│" };
        Talk { waiting: most.map(|bars| vec![None; bars]), said: [None; 2], life }
    }

    fn bars(&self, lane: Lane) -> usize {
        let [client, server] = &self.waiting;
        if lane == Lane::Client { client.len() } else { server.len() }
    }

    /// The bars of an end, outermost first; `call`'s own drawn as `mark`.
    fn drawn(&self, lane: Lane, call: Option<u32>, mark: char) -> String {
        let [client, server] = &self.waiting;
        let waiting = if lane == Lane::Client { client } else { server };
        let glyph = |place: &Option<u32>| match place {
            None => ' ',
            Some(_) if *place == call => mark,
            Some(_) => '┊',
        };
        waiting.iter().map(glyph).collect()
    }
}

fn side<T>(both: &mut [T; 2], lane: Lane) -> &mut T {
    let [client, server] = both;
    if lane == Lane::Client { client } else { server }
}

/// The line of a grade: shaft of the arrow and mark beside it.
fn shaft(grade: Grade) -> &'static str {
    match grade {
        Grade::Exact => "━",
        Grade::Kernel => "─",
        Grade::Timer => "┄",
        Grade::Exit => "═",
        Grade::Inferred => "╌",
        Grade::Unknown => "·",
    }
}

impl Page<'_> {
    fn head(&mut self) {
        self.sentence("", Ink::Faint, &words::made(self.ladder));
        for program in &self.ladder.programs {
            // A command line may be as long as the kernel takes.
            self.sentence("  ", Ink::Plain, &fit(&words::program(program), 3 * (self.width - 8)));
        }
        for remark in &self.ladder.remarks {
            let (mark, ink) =
                if remark.warning { ("! ", Ink::Warning) } else { ("# ", Ink::Plain) };
            let words = format!("{} ms: {}", words::time(remark.at), words::clean(&remark.words));
            self.sentence(mark, ink, &words);
        }
    }

    fn group(&mut self, group: &Group) {
        let mut talk = Talk::new(group, self.ladder.header.mode);
        self.group_head(group, talk.life);
        for row in &group.rows {
            let time = words::time(row.at);
            match row.mark {
                Mark::Call(lane, place) => self.call(&talk, &time, lane, place, Part::Whole),
                Mark::CallBegins(lane, place) => {
                    let waiting = side(&mut talk.waiting, lane);
                    if let Some(free) = waiting.iter_mut().rev().find(|bar| bar.is_none()) {
                        *free = Some(place);
                    }
                    self.call(&talk, &time, lane, place, Part::Begin);
                }
                Mark::CallEnds(lane, place) => {
                    self.call(&talk, &time, lane, place, Part::End);
                    for bar in side(&mut talk.waiting, lane) {
                        if *bar == Some(place) {
                            *bar = None;
                        }
                    }
                }
                Mark::Packet(place) | Mark::Departs(place) => {
                    if let Some(arrow) = self.ladder.packets.get(place as usize) {
                        let whole = matches!(row.mark, Mark::Packet(_));
                        self.packet(&talk, &time, group.protocol, (arrow, whole));
                    }
                }
                Mark::Arrives(place, copy) => {
                    if let Some(arrow) = self.ladder.packets.get(place as usize) {
                        self.arrives(&talk, &time, arrow, copy);
                    }
                }
                Mark::State(lane, state) => {
                    let before = side(&mut talk.said, lane).replace(state);
                    self.state(&talk, &time, lane, &state, before.as_ref());
                }
            }
        }
        self.findings(group);
    }

    fn group_head(&mut self, group: &Group, life: &str) {
        let title = fit(&words::title(group), self.width.saturating_sub(8));
        let rule = "━".repeat(self.width.saturating_sub(columns(&title) + 4));
        let mut line = Painted::default();
        line.add(Ink::Faint, "━━ ").add(Ink::Strong, &title).add(Ink::Faint, &format!(" {rule}"));
        self.text.push('\n');
        self.line(&line);
        let half = self.frame.half;
        let client = fit(&words::side(&group.client), half.saturating_sub(3));
        let server = fit(&words::side(&group.server), half.saturating_sub(2));
        let client = pad(&format!("  {client}"), half, false);
        if !client.trim().is_empty() || !server.is_empty() {
            self.row(
                "",
                (Ink::Strong, &client),
                life,
                (Ink::Plain, ""),
                (Ink::Strong, &format!(" {server}")),
            );
        }
        let ends = |first: &str, last: &str| {
            format!("{}{last}", pad(first, half.saturating_sub(columns(last)), false))
        };
        let wire = match self.frame.wire {
            0..12 => String::new(),
            wire => format!("{}wire", " ".repeat((wire - 4) / 2)),
        };
        let names =
            if half < 24 { ["  client", "server  "] } else { ["  client calls", "server calls  "] };
        let [client, server] = names;
        let (left, right) = (ends(client, "socket "), ends(" socket", server));
        self.row("time/ms", (Ink::Faint, &left), life, (Ink::Faint, &wire), (Ink::Faint, &right));
    }

    /// A line of four cells; the wire's is filled up.
    fn row(
        &mut self,
        time: &str,
        left: (Ink, &str),
        life: &str,
        wire: (Ink, &str),
        right: (Ink, &str),
    ) {
        let mut line = self.clock(time);
        line.add(left.0, &pad(left.1, self.frame.half, false)).add(Ink::Faint, life);
        line.add(wire.0, &pad(wire.1, self.frame.wire, false)).add(Ink::Faint, life);
        line.add(right.0, right.1);
        self.line(&line);
    }

    fn clock(&self, time: &str) -> Painted {
        let mut line = Painted::default();
        line.add(Ink::Faint, &pad(time, self.frame.time - 1, true)).add(Ink::Plain, " ");
        line
    }

    fn line(&mut self, line: &Painted) {
        line.write(&mut self.text, self.colour);
        self.text.push('\n');
    }

    /// A sentence over the whole width, wrapped behind its mark.
    fn sentence(&mut self, mark: &str, ink: Ink, words: &str) {
        let hang = " ".repeat(columns(mark));
        for (number, part) in wrap(words, self.width - columns(mark)).iter().enumerate() {
            let mut line = Painted::default();
            // The hanging lines of `wrap` are two columns shorter, to be set in.
            let lead = if number == 0 { mark.to_owned() } else { format!("{hang}  ") };
            line.add(ink, &lead).add(ink, part);
            self.line(&line);
        }
    }

    fn findings(&mut self, group: &Group) {
        for finding in &group.findings {
            self.sentence("  * ", Ink::Found, &words::finding(self.ladder, finding));
        }
    }

    fn foot(&mut self) {
        self.text.push('\n');
        if self.ladder.groups.is_empty() && self.ladder.omitted == Omitted::default() {
            self.sentence("", Ink::Plain, "Nothing to draw: no conversation was seen.");
        }
        for sentence in words::omitted(&self.ladder.omitted, 0) {
            self.sentence("… ", Ink::Warning, &sentence);
        }
        let mut legend = Vec::new();
        for grade in words::grades(self.ladder) {
            legend.push(format!("{0}{0} {1}", shaft(grade), words::grade(grade)));
        }
        let calls =
            |row: &stentor_core::timeline::ladder::Row| matches!(row.mark, Mark::CallBegins(..));
        if self.ladder.groups.iter().any(|group| group.rows.iter().any(calls)) {
            legend.push("┊ the call waits".into());
        }
        if self.shortened {
            legend.push("1+6: bytes 1 to 6; w: window".into());
        }
        let glued: Vec<String> = legend.iter().map(|item| item.replace(' ', "\u{a0}")).collect();
        for line in wrap(&glued.join("  "), self.width) {
            let mut legend = Painted::default();
            legend.add(Ink::Faint, line.trim_start().replace('\u{a0}', " ").as_str());
            self.line(&legend);
        }
    }
}

/// Which part of a call a row is about.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Part {
    Whole,
    Begin,
    End,
}

fn said(call: &CallMark, part: Part, room: usize) -> String {
    match part {
        Part::Whole => format!("{} {}", words::entered(call), words::outcome(call, room)),
        Part::Begin if call.left.is_none() => format!("{}: never came back", words::entered(call)),
        Part::Begin => words::entered(call),
        Part::End => {
            let back = format!(
                "{} {} {}",
                words::number(call.number),
                call.name,
                words::outcome(call, room)
            );
            match words::waited(call) {
                // One word, so that no line ends between number and unit.
                Some(waited) => format!("{back} ({})", waited.replace(' ', "\u{a0}")),
                None => back,
            }
        }
    }
}

impl Page<'_> {
    fn call(&mut self, talk: &Talk, time: &str, lane: Lane, place: u32, part: Part) {
        let Some(call) = self.ladder.calls.get(place as usize) else { return };
        let room = self.frame.half.saturating_sub(talk.bars(lane) + 2);
        let ink = if call.failed && part != Part::Begin { Ink::Failed } else { Ink::Plain };
        let mut lines: Vec<(Ink, String)> = Vec::new();
        for (number, line) in
            wrap(&said(call, part, room.saturating_sub(2)), room).into_iter().enumerate()
        {
            let line = line.replace('\u{a0}', " ");
            lines.push((ink, if number == 0 { line } else { format!("  {line}") }));
        }
        let last = lines.len().saturating_sub(1);
        if part != Part::Begin {
            for remark in &call.remarks {
                for (number, line) in wrap(&words::clean(remark), room - 2).into_iter().enumerate()
                {
                    let lead = if number == 0 { "! " } else { "    " };
                    lines.push((Ink::Found, format!("{lead}{line}")));
                }
            }
        }
        let [open, close] = if lane == Lane::Client { ['╭', '╰'] } else { ['╮', '╯'] };
        for (number, (ink, line)) in lines.iter().enumerate() {
            let mark = match part {
                Part::Begin if number == 0 => open,
                Part::End if number == last => close,
                Part::End if number > last => ' ',
                Part::Whole | Part::Begin | Part::End => '┊',
            };
            let bars = talk.drawn(lane, Some(place), mark);
            let time = if number == 0 { time } else { "" };
            let leader = mark == open || mark == close;
            self.spoken(talk, time, lane, (*ink, line), &bars, leader);
        }
    }

    /// A line that an end says: words by its lifeline or outer edge, bars at the edge, and on the
    /// right dots from the words to the bar they belong to.
    fn spoken(
        &mut self,
        talk: &Talk,
        time: &str,
        lane: Lane,
        said: (Ink, &str),
        bars: &str,
        leader: bool,
    ) {
        let half = self.frame.half;
        let mut line = self.clock(time);
        match lane {
            Lane::Client => {
                let room = half.saturating_sub(columns(bars) + 1);
                line.add(Ink::Bar, bars)
                    .add(Ink::Plain, " ")
                    .add(said.0, &pad(said.1, room, false));
                self.wire_between(&mut line, talk);
                self.bars_of_server(&mut line, talk, 0);
            }
            Lane::Server => {
                let others = talk.drawn(Lane::Client, None, ' ');
                line.add(Ink::Bar, &pad(&others, half, false));
                self.wire_between(&mut line, talk);
                line.add(Ink::Plain, " ").add(said.0, said.1);
                let bars: String = bars.chars().rev().collect();
                let inner = bars.find(['╮', '╯']).map_or("", |at| bars.get(..at).unwrap_or(""));
                let dotted = leader && inner.trim().is_empty();
                let reach = half.saturating_sub(columns(said.1) + 1 + columns(&bars));
                let reach = if dotted { reach + columns(inner) } else { reach };
                let bars = if dotted { bars.get(inner.len()..).unwrap_or("") } else { &bars };
                let lead = match reach {
                    reach if dotted && reach > 2 => format!(" {} ", "·".repeat(reach - 2)),
                    reach => " ".repeat(reach),
                };
                line.add(Ink::Faint, &lead).add(Ink::Bar, bars);
            }
        }
        self.line(&line);
    }

    /// Lifeline, empty wire, lifeline.
    fn wire_between(&self, line: &mut Painted, talk: &Talk) {
        line.add(Ink::Faint, talk.life).space(self.frame.wire);
        line.add(Ink::Faint, talk.life);
    }

    /// The server's bars at its outer edge; `used` columns of its half are taken.
    fn bars_of_server(&self, line: &mut Painted, talk: &Talk, used: usize) {
        let bars: String = talk.drawn(Lane::Server, None, ' ').chars().rev().collect();
        let room = self.frame.half.saturating_sub(used + columns(&bars));
        line.space(room).add(Ink::Bar, &bars);
    }

    /// A change of state, by the lifeline it is about.
    fn state(
        &mut self,
        talk: &Talk,
        time: &str,
        lane: Lane,
        now: &StateMark,
        before: Option<&StateMark>,
    ) {
        let dash = if now.inferred { "┄" } else { "" };
        let room = self.frame.half.saturating_sub(talk.bars(lane) + 3 + columns(dash));
        let said = words::state(now, before).join(" ");
        if said.is_empty() {
            return;
        }
        let lines = wrap(&said, room);
        for (number, said) in lines.iter().enumerate() {
            let time = if number == 0 { time } else { "" };
            let mut line = self.clock(time);
            let used = columns(said) + 1 + columns(dash);
            match lane {
                Lane::Client => {
                    let bars = talk.drawn(lane, None, ' ');
                    let room = self.frame.half.saturating_sub(used);
                    line.add(Ink::Bar, &pad(&bars, room, false)).add(Ink::State, said);
                    line.add(Ink::State, &format!(" {dash}")).add(Ink::State, "┤");
                    line.space(self.frame.wire).add(Ink::Faint, talk.life);
                    self.bars_of_server(&mut line, talk, 0);
                }
                Lane::Server => {
                    let bars = talk.drawn(Lane::Client, None, ' ');
                    line.add(Ink::Bar, &pad(&bars, self.frame.half, false));
                    line.add(Ink::Faint, talk.life).space(self.frame.wire);
                    line.add(Ink::State, &format!("├{dash} ")).add(Ink::State, said);
                    self.bars_of_server(&mut line, talk, used);
                }
            }
            self.line(&line);
        }
    }

    /// A packet: why it left beside its beginning, what came of it beside its end; or its beginning
    /// alone, if it is not drawn whole.
    fn packet(
        &mut self,
        talk: &Talk,
        time: &str,
        protocol: Protocol,
        (arrow, whole_way): (&Arrow, bool),
    ) {
        let cause = words::cause(self.ladder, arrow);
        let effect = words::effect(self.ladder, arrow);
        let wide = self.frame.half >= 40;
        let cause_said = match cause.grade {
            Grade::Kernel if wide => format!("kernel: {}", cause.rule),
            Grade::Inferred => format!("{}?", cause.who),
            Grade::Exact | Grade::Kernel | Grade::Timer | Grade::Exit | Grade::Unknown => {
                cause.who.clone()
            }
        };
        let mut words = words::packet(arrow);
        if wide && protocol != Protocol::Unix {
            // Before the payload: findings speak of packets by number.
            let place = words.more.iter().position(|piece| piece.starts_with('"'));
            let number = format!("packet {}", words::capture_number(arrow.number));
            words.more.insert(place.unwrap_or(words.more.len()), number);
        }
        let zero = arrow.tcp.is_some_and(|tcp| tcp.window == Some(0))
            && matches!(&arrow.headers.transport, stentor_core::timeline::header::Transport::Tcp(tcp)
                if !tcp.flags.has(stentor_core::timeline::header::Flags::RST));
        let ink = Ink::Grade(cause.grade);
        let labels = words.lines(self.frame.wire.saturating_sub(4));
        let whole = labels.first().is_some_and(|label| label.starts_with(&words.line()));
        self.shortened |= !whole && arrow.headers.tcp().is_some();
        for (number, label) in labels.iter().enumerate() {
            let first = number == 0;
            let mut line = self.clock(if first { time } else { "" });
            let from = |lane: Lane| match (first, arrow.from == lane) {
                (true, true) => Some((cause_said.as_str(), cause.grade, true)),
                (true, false) if !whole_way => None,
                (true, false) => effect.as_ref().map(|tie| (tie.who.as_str(), tie.grade, false)),
                (false, _) => None,
            };
            self.beside(&mut line, talk, Lane::Client, from(Lane::Client));
            let label_ink = if zero { Ink::Failed } else { Ink::Plain };
            match first {
                true if !whole_way => {
                    self.leaves(&mut line, arrow, ink, (label_ink, label), shaft(cause.grade));
                }
                true => {
                    self.across(&mut line, arrow.from, ink, label_ink, label, shaft(cause.grade))
                }
                false => {
                    let room = self.frame.wire.saturating_sub(2);
                    let before = arrow.from == Lane::Server;
                    line.add(label_ink, &format!(" {} ", pad(label, room, before)));
                }
            }
            self.beside(&mut line, talk, Lane::Server, from(Lane::Server));
            self.line(&line);
        }
        self.harmed(talk, arrow);
    }

    /// The arrow itself, over the whole wire.
    fn across(
        &self,
        line: &mut Painted,
        from: Lane,
        ink: Ink,
        label_ink: Ink,
        label: &str,
        shaft: &str,
    ) {
        let rest = shaft.repeat(self.frame.wire.saturating_sub(columns(label) + 4));
        match from {
            Lane::Client => {
                line.add(ink, shaft).add(label_ink, &format!(" {label} "));
                line.add(ink, &rest).add(ink, "►");
            }
            Lane::Server => {
                line.add(ink, "◄").add(ink, &rest);
                line.add(label_ink, &format!(" {label} ")).add(ink, shaft);
            }
        }
    }

    /// One half of a packet's line, with its lifeline: who stands by this end of the arrow, and
    /// whether the arrow begins here.
    fn beside(
        &self,
        line: &mut Painted,
        talk: &Talk,
        lane: Lane,
        tie: Option<(&str, Grade, bool)>,
    ) {
        let half = self.frame.half;
        let room = half.saturating_sub(talk.bars(lane) + 4);
        let Some((who, grade, begins)) = tie else {
            match lane {
                Lane::Client => {
                    let bars = talk.drawn(lane, None, ' ');
                    line.add(Ink::Bar, &pad(&bars, half, false)).add(Ink::Faint, talk.life);
                }
                Lane::Server => {
                    line.add(Ink::Faint, talk.life);
                    self.bars_of_server(line, talk, 0);
                }
            }
            return;
        };
        let who = fit(who, room);
        let (mark, ink) = (shaft(grade), Ink::Grade(grade));
        let heavy = grade == Grade::Exact;
        let knot = match (lane, begins, heavy) {
            (_, true, true) => "┿",
            (_, true, false) => "┼",
            (Lane::Client, false, true) => "┥",
            (Lane::Client, false, false) => "┤",
            (Lane::Server, false, true) => "┝",
            (Lane::Server, false, false) => "├",
        };
        let used = columns(&who) + 2;
        match lane {
            Lane::Client => {
                let bars = pad(&talk.drawn(lane, None, ' '), half.saturating_sub(used), false);
                line.add(Ink::Bar, &bars)
                    .add(ink, &who)
                    .add(ink, &format!(" {mark}"))
                    .add(ink, knot);
            }
            Lane::Server => {
                line.add(ink, knot).add(ink, &format!("{mark} ")).add(ink, &who);
                self.bars_of_server(line, talk, used);
            }
        }
    }
}
