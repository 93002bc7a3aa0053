//! One conversation as SVG: boxes for calls, bars for waiting, arrows, pills for states, and thin
//! lines from calls to the packets they caused and from packets to the calls they ended.

use std::collections::BTreeMap;
use std::fmt::Write;

use stentor_core::timeline::Lane;
use stentor_core::timeline::cause::{Grade, Relation};
use stentor_core::timeline::header::{Flags, Transport};
use stentor_core::timeline::ladder::{Arrow, CallMark, Group, Ladder, Mark, Row, StateMark};
use stentor_core::timeline::record::Mode;

use super::{WIDTH, escape, short, text};
use crate::report::ladder::lines::wrap;
use crate::report::ladder::words;

/// Where the columns stand, in pixels: boxes, lifelines, and the time's right edge.
const TIME: usize = 58;
const CLIENT_BOX: usize = 68;
const BOX: usize = 234;
pub(super) const CLIENT_LIFE: usize = 346;
pub(super) const SERVER_LIFE: usize = 632;
const SERVER_BOX: usize = 676;

/// Characters of 12 pixels that a box holds in a line.
const COLUMNS: usize = 30;

/// Lines of a call; the title has the rest.
const LINES_MAX: usize = 4;

/// Packets that a call is tied to in a page.
const TIES_MAX: usize = 2_000;

/// A conversation, drawn from its own y of 0 on.
pub(in crate::report) struct Drawn {
    pub(in crate::report) body: String,
    /// In pixels.
    pub(in crate::report) height: usize,
    pub(in crate::report) rows: usize,
    pub(in crate::report) undrawn: usize,
}

/// Draws the conversation at `place`, at most `rows_max` rows of it.
pub(in crate::report) fn group(ladder: &Ladder, place: usize, rows_max: usize) -> Drawn {
    let Some(group) = ladder.groups.get(place) else {
        return Drawn { body: String::new(), height: 0, rows: 0, undrawn: 0 };
    };
    let mut picture = Picture::new(ladder);
    picture.head(group);
    let top = picture.y;
    for row in group.rows.iter().take(rows_max) {
        picture.row(row);
    }
    picture.y += 6;
    let bottom = picture.y;
    let life = if ladder.header.mode == Mode::Calls { "life unseen" } else { "life" };
    let mut under = String::new();
    for x in [CLIENT_LIFE, SERVER_LIFE] {
        let _ = write!(under, "<path class=\"{life}\" d=\"M{x} {top}V{bottom}\"/>");
    }
    picture.waiting(&mut under, bottom);
    picture.ties(&mut under, group, rows_max);
    picture.findings(group);
    let rows = group.rows.len().min(rows_max);
    Drawn {
        body: format!("{}{under}\n{}{}", picture.heading, picture.crossing, picture.body),
        height: picture.y + 18,
        rows,
        undrawn: group.rows.len() - rows,
    }
}

/// Where a call stands: its lane, the middles of its first and last box, and what is between them.
#[derive(Clone, Copy)]
struct Spot {
    lane: Lane,
    begin: usize,
    end: Option<usize>,
    /// From the bottom of the first box to the top of the last.
    below: usize,
    above: Option<usize>,
}

pub(super) struct Picture<'a> {
    pub(super) ladder: &'a Ladder,
    heading: String,
    pub(super) body: String,
    /// Arrows from one row to another, below what they cross.
    pub(super) crossing: String,
    pub(super) y: usize,
    calls: BTreeMap<u32, Spot>,
    /// Where the arrows begin and end; those that have not arrived end where they begin.
    pub(super) packets: BTreeMap<u32, (usize, usize)>,
    said: [Option<StateMark>; 2],
}

impl<'a> Picture<'a> {
    fn new(ladder: &'a Ladder) -> Picture<'a> {
        Picture {
            ladder,
            heading: String::new(),
            body: String::new(),
            crossing: String::new(),
            y: 0,
            calls: BTreeMap::new(),
            packets: BTreeMap::new(),
            said: [None; 2],
        }
    }

    fn head(&mut self, group: &Group) {
        let heading = &mut self.heading;
        let _ = write!(heading, "<path class=\"rule\" d=\"M18 4H{}\"/>", WIDTH - 18);
        text(heading, 18, 26, "title", &words::title(group));
        for (x, end, side) in
            [(CLIENT_BOX, "client", &group.client), (SERVER_BOX, "server", &group.server)]
        {
            text(heading, x, 48, "small", &short(&format!("{end} {}", words::side(side)), 34));
        }
        let _ = writeln!(
            heading,
            "<text x=\"{TIME}\" y=\"48\" class=\"time\" text-anchor=\"end\">ms</text>"
        );
        self.y = 58;
    }

    fn row(&mut self, row: &Row) {
        let time = words::time(row.at);
        match row.mark {
            Mark::Call(lane, place)
            | Mark::CallBegins(lane, place)
            | Mark::CallEnds(lane, place) => {
                if let Some(call) = self.ladder.calls.get(place as usize) {
                    self.call(&time, lane, place, call, row.mark);
                }
            }
            Mark::Packet(place) => {
                if let Some(arrow) = self.ladder.packets.get(place as usize) {
                    self.packet(&time, place, arrow);
                }
            }
            Mark::Departs(place) => {
                if let Some(arrow) = self.ladder.packets.get(place as usize) {
                    self.departs(&time, place, arrow);
                }
            }
            Mark::Arrives(place, copy) => {
                if let Some(arrow) = self.ladder.packets.get(place as usize) {
                    self.arrives(&time, place, arrow, copy);
                }
            }
            Mark::State(lane, now) => self.state(&time, lane, &now),
        }
    }

    pub(super) fn clock(&mut self, time: &str, y: usize) {
        let _ = write!(
            self.body,
            "<text x=\"{TIME}\" y=\"{y}\" class=\"time\" text-anchor=\"end\">{time}</text>"
        );
    }

    fn call(&mut self, time: &str, lane: Lane, place: u32, call: &CallMark, mark: Mark) {
        let whole = format!("{} {}", words::entered(call), words::outcome(call, COLUMNS - 2));
        let waited = words::waited(call)
            .map_or(String::new(), |waited| format!(" ({})", waited.replace(' ', "\u{a0}")));
        let said = match mark {
            Mark::CallBegins(..) if call.left.is_none() => {
                format!("{}: never came back", words::entered(call))
            }
            Mark::CallBegins(..) => words::entered(call),
            Mark::CallEnds(..) => {
                let number = words::number(call.number);
                format!("{number} {} {}{waited}", call.name, words::outcome(call, COLUMNS - 2))
            }
            Mark::Call(..)
            | Mark::Packet(_)
            | Mark::Departs(_)
            | Mark::Arrives(..)
            | Mark::State(..) => whole.clone(),
        };
        let begins = matches!(mark, Mark::CallBegins(..));
        let mut lines: Vec<(String, &str)> =
            wrap(&said, COLUMNS).into_iter().map(|line| (line, "said")).collect();
        if lines.len() > LINES_MAX {
            lines.truncate(LINES_MAX);
            if let Some((last, _)) = lines.last_mut() {
                *last = short(&format!("{last} …"), COLUMNS);
            }
        }
        if !begins {
            for remark in call.remarks.iter().take(3) {
                let remark = wrap(&words::clean(remark), COLUMNS + 1);
                lines.extend(remark.into_iter().take(LINES_MAX).map(|line| (line, "remark")));
            }
        }
        let height = lines.len() * 15 + 7;
        let middle = self.y + 3 + height / 2;
        let (top, below) = (self.y + 3, self.y + 3 + height);
        let new = Spot { lane, begin: middle, end: None, below, above: None };
        let spot = self.calls.entry(place).or_insert(new);
        if !begins {
            (spot.end, spot.above) = (Some(middle), Some(top));
        }
        let x = if lane == Lane::Client { CLIENT_BOX } else { SERVER_BOX };
        let failed = if call.failed && !begins { " failed" } else { "" };
        let to = self.tied_packets(call);
        let title = escape(&format!("{whole}{waited}"));
        self.clock(time, self.y + 18);
        let _ = write!(
            self.body,
            "<g class=\"item call{failed}\" data-key=\"c{place}\" data-to=\"{to}\"><title>{title}</title>\
             <rect class=\"box\" x=\"{x}\" y=\"{}\" width=\"{BOX}\" height=\"{height}\" rx=\"4\"/>",
            self.y + 3
        );
        for (number, (line, class)) in lines.iter().enumerate() {
            let hang = if number == 0 || *class == "remark" { 8 } else { 20 };
            text(&mut self.body, x + hang, self.y + 18 + 15 * number, class, line);
        }
        self.body.push_str("</g>\n");
        self.y += height + 7;
    }

    fn tied_packets(&self, call: &CallMark) -> String {
        let links = call.links.iter().filter_map(|link| self.ladder.links.get(*link as usize));
        let mut keys: Vec<u32> = links.map(|link| link.packet).take(TIES_MAX).collect();
        keys.sort_unstable();
        keys.dedup();
        keys.iter().map(|key| format!("p{key}")).collect::<Vec<_>>().join(" ")
    }

    fn state(&mut self, time: &str, lane: Lane, now: &StateMark) {
        let [client, server] = &mut self.said;
        let (before, x) = match lane {
            Lane::Client => (client.replace(*now), CLIENT_LIFE),
            Lane::Server => (server.replace(*now), SERVER_LIFE),
        };
        let said = words::state(now, before.as_ref()).join(" ");
        if said.is_empty() {
            return;
        }
        let guess = if now.inferred { " guess" } else { "" };
        let (y, width) = (self.y, said.len() * 7 + 18);
        self.clock(time, y + 15);
        let inferred =
            if now.inferred { "<title>concluded from calls, not seen</title>" } else { "" };
        let _ = writeln!(
            self.body,
            "<g class=\"state{guess}\">{inferred}<rect x=\"{}\" y=\"{}\" width=\"{width}\" height=\"18\" rx=\"9\"/>\
             <text x=\"{x}\" y=\"{}\">{}</text></g>",
            x - width / 2,
            y + 2,
            y + 15,
            escape(&said)
        );
        self.y += 24;
    }

    fn packet(&mut self, time: &str, place: u32, arrow: &Arrow) {
        let cause = words::cause(self.ladder, arrow);
        let mut said = words::packet(arrow);
        let payload = said.more.pop_if(|piece| piece.starts_with('"'));
        let label = said.lines(40).join(" ");
        let top = self.y + 16;
        // The slant says which way time goes.
        let (from, to, point, tag, anchor) = match arrow.from {
            Lane::Client => (CLIENT_LIFE + 3, SERVER_LIFE - 3, -9_i32, CLIENT_LIFE - 8, "end"),
            Lane::Server => (SERVER_LIFE - 3, CLIENT_LIFE + 3, 9, SERVER_LIFE + 8, "start"),
        };
        let bottom = top + 6;
        self.packets.insert(place, (top, bottom));
        let to_calls = self.tied_calls(arrow);
        let title = self.title(arrow);
        let closed = arrow.tcp.is_some_and(|tcp| tcp.window == Some(0))
            && matches!(&arrow.headers.transport, Transport::Tcp(tcp) if !tcp.flags.has(Flags::RST));
        let zero = if closed { "label zero" } else { "label" };
        let grade = cause.grade;
        self.clock(time, top + 4);
        let middle = (CLIENT_LIFE + SERVER_LIFE) / 2;
        let _ = write!(
            self.body,
            "<g class=\"item packet\" data-key=\"p{place}\" data-to=\"{to_calls}\"><title>{}</title>\
             <rect x=\"{}\" y=\"{}\" width=\"{}\" height=\"24\" fill=\"transparent\"/>\
             <path class=\"shaft {grade}\" d=\"M{from} {top}L{to} {bottom}\"/>\
             <path class=\"head {grade}\" d=\"M{to} {bottom}l{point} -5v9z\"/>\
             <text x=\"{middle}\" y=\"{}\" class=\"{zero}\" text-anchor=\"middle\">{}</text>",
            escape(&title),
            CLIENT_LIFE + 2,
            self.y + 2,
            SERVER_LIFE - CLIENT_LIFE - 4,
            self.y + 12,
            escape(&short(&label, 42)),
        );
        let tag_said = match grade {
            Grade::Exact | Grade::Inferred => "",
            Grade::Kernel | Grade::Timer | Grade::Exit => grade.name(),
            Grade::Unknown => "?",
        };
        if !tag_said.is_empty() {
            let _ = write!(
                self.body,
                "<text x=\"{tag}\" y=\"{}\" class=\"tag {grade}\" text-anchor=\"{anchor}\">{tag_said}</text>",
                top + 3
            );
        }
        if let Some(payload) = &payload {
            let _ = write!(
                self.body,
                "<text x=\"{middle}\" y=\"{}\" class=\"payload\" text-anchor=\"middle\">{}</text>",
                self.y + 32,
                escape(&short(payload, 38))
            );
        }
        self.body.push_str("</g>\n");
        self.y += if payload.is_some() { 40 } else { 28 };
    }

    /// All that is known of a packet, in a sentence.
    pub(super) fn title(&self, arrow: &Arrow) -> String {
        let cause = words::cause(self.ladder, arrow);
        let effect = words::effect(self.ladder, arrow);
        let effect = effect.map_or(String::new(), |tie| format!("; so returned {}", tie.who));
        let crossed = words::transit(arrow, 0).map(|transit| format!("arrived after {transit}"));
        let crossed: String =
            crossed.into_iter().chain(words::harm(arrow)).map(|it| format!("; {it}")).collect();
        format!(
            "packet {}: {}. Why: {} ({}, {}){effect}{crossed}",
            words::capture_number(arrow.number),
            words::packet(arrow).line(),
            cause.who,
            cause.rule,
            cause.grade
        )
    }

    pub(super) fn tied_calls(&self, arrow: &Arrow) -> String {
        let mut keys: Vec<u32> = [Relation::Cause, Relation::Effect]
            .into_iter()
            .flat_map(|relation| words::links(self.ladder, arrow, relation))
            .filter_map(|link| link.call)
            .collect();
        keys.sort_unstable();
        keys.dedup();
        keys.iter().map(|key| format!("c{key}")).collect::<Vec<_>>().join(" ")
    }

    /// Dotted bars beside the boxes of calls that waited; one that never came back waits to the end.
    fn waiting(&self, under: &mut String, bottom: usize) {
        let mut busy = [Vec::new(), Vec::new()];
        let mut spots: Vec<&Spot> = self.calls.values().collect();
        spots.sort_by_key(|spot| spot.begin);
        for spot in spots {
            let end = spot.above.unwrap_or(bottom);
            if end <= spot.below {
                continue;
            }
            let [client, server] = &mut busy;
            let lane = if spot.lane == Lane::Client { client } else { server };
            let slot = lane.iter().position(|until: &usize| *until < spot.below);
            let slot = slot.unwrap_or_else(|| {
                lane.push(0);
                lane.len() - 1
            });
            if let Some(until) = lane.get_mut(slot) {
                *until = end;
            }
            // At the outer edge, where no line to a packet crosses it.
            let offset = 6 + 7 * slot.min(4);
            let x = match spot.lane {
                Lane::Client => CLIENT_BOX + offset,
                Lane::Server => SERVER_BOX + BOX - offset,
            };
            let _ =
                write!(under, "<path class=\"wait\" d=\"M{x} {}V{}\"/>", spot.below + 4, end - 3);
        }
    }

    /// Lines between calls and packets, through the gutter between boxes and lifeline.
    fn ties(&self, under: &mut String, group: &Group, rows_max: usize) {
        for row in group.rows.iter().take(rows_max) {
            let (Mark::Packet(place) | Mark::Departs(place)) = row.mark else { continue };
            let arrow = self.ladder.packets.get(place as usize);
            let (Some(arrow), Some((from, to))) = (arrow, self.packets.get(&place)) else {
                continue;
            };
            for relation in [Relation::Cause, Relation::Effect] {
                for link in words::links(self.ladder, arrow, relation) {
                    let Some((key, spot)) =
                        link.call.and_then(|call| Some((call, self.calls.get(&call)?)))
                    else {
                        continue;
                    };
                    let packet = if relation == Relation::Cause { *from } else { *to };
                    let call = match relation {
                        Relation::Cause => spot.begin,
                        Relation::Effect => spot.end.unwrap_or(spot.begin),
                    };
                    let (edge, bend, life) = match spot.lane {
                        Lane::Client => (CLIENT_BOX + BOX, CLIENT_LIFE - 22, CLIENT_LIFE),
                        Lane::Server => (SERVER_BOX, SERVER_LIFE + 22, SERVER_LIFE),
                    };
                    let _ = write!(
                        under,
                        "<path class=\"tie {}\" data-tie=\"c{key} p{place}\" \
                         d=\"M{edge} {call}C{bend} {call} {bend} {packet} {life} {packet}\"/>",
                        link.grade
                    );
                }
            }
        }
    }

    fn findings(&mut self, group: &Group) {
        for finding in &group.findings {
            for (number, line) in
                wrap(&words::finding(self.ladder, finding), 116).iter().enumerate()
            {
                self.y += 17;
                let bullet = if number == 0 { "• " } else { "  " };
                text(&mut self.body, 30, self.y, "finding", &format!("{bullet}{line}"));
            }
        }
    }
}
