//! The ladder of a traced run as SVG: one file that stands alone, in light and dark.
//!
//! Text stays text; each call and packet has a title for those who cannot see it. A picture has an
//! end: rows beyond the limit are counted, not drawn. `page` puts the same pictures into HTML.

mod group;
#[cfg(test)]
mod tests;

use std::fmt::Write;

use stentor_core::timeline::ladder::Ladder;

pub(super) use self::group::group;
use super::ladder::lines::wrap;
use super::ladder::words;

/// Rows of a picture, unless asked otherwise: some 150,000 pixels high, which browsers still
/// scroll smoothly.
pub const ROWS_MAX: usize = 5_000;

/// Width in pixels, as a README shows it.
pub(super) const WIDTH: usize = 920;

/// Colours and fonts, for the page too.
pub(super) const STYLE: &str = concat!(include_str!("../palette.css"), include_str!("style.css"));

/// Draws the first `rows_max` rows of the ladder, all conversations below one another.
pub fn drawing(ladder: &Ladder, rows_max: usize) -> String {
    let mut body = String::new();
    let mut y = 14;
    for line in wrap(&words::made(ladder), 122) {
        y += 15;
        text(&mut body, 18, y, "faint", &line);
    }
    for program in &ladder.programs {
        y += 15;
        text(&mut body, 18, y, "faint", &short(&words::program(program), 122));
    }
    for remark in &ladder.remarks {
        let class = if remark.warning { "warning" } else { "faint" };
        let said = format!("{} ms: {}", words::time(remark.at), words::clean(&remark.words));
        for line in wrap(&said, 120) {
            y += 15;
            text(&mut body, 18, y, class, &line);
        }
    }
    y += 10;
    let (mut room, mut undrawn) = (rows_max, 0);
    for place in 0..ladder.groups.len() {
        let drawn = group(ladder, place, room);
        room -= drawn.rows.min(room);
        undrawn += drawn.undrawn;
        if drawn.rows > 0 || drawn.undrawn == 0 {
            let _ = writeln!(body, "<g transform=\"translate(0 {y})\">{}</g>", drawn.body);
            y += drawn.height;
        }
    }
    for sentence in words::omitted(&ladder.omitted, undrawn) {
        y += 16;
        text(&mut body, 18, y, "warning", &sentence);
    }
    y = legend(&mut body, ladder, y + 22);
    let height = y + 14;
    let about = escape(&about(ladder));
    format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" class=\"stentor\" role=\"img\" \
         aria-labelledby=\"stentor-title stentor-about\" width=\"{WIDTH}\" height=\"{height}\" \
         viewBox=\"0 0 {WIDTH} {height}\">\n\
         <title id=\"stentor-title\">Socket calls and the packets they caused</title>\n\
         <desc id=\"stentor-about\">{about}</desc>\n<style>{STYLE}</style>\n\
         <rect class=\"ground\" width=\"{WIDTH}\" height=\"{height}\" rx=\"8\"/>\n{body}</svg>\n"
    )
}

/// The picture in words: its conversations and what is to be learnt from them.
fn about(ladder: &Ladder) -> String {
    let mut about = String::new();
    for group in ladder.groups.iter().take(20) {
        let _ = write!(about, "{}. ", words::title(group));
        for finding in &group.findings {
            let _ = write!(about, "{}. ", words::clean(&finding.words));
        }
    }
    about.trim_end().to_owned()
}

/// What the lines mean; only those that occur.
pub(super) fn legend(body: &mut String, ladder: &Ladder, mut y: usize) -> usize {
    let mut x = 18;
    for grade in words::grades(ladder) {
        let said = words::grade(grade);
        let width = 44 + said.len() * 7;
        if x + width > WIDTH - 10 {
            (x, y) = (18, y + 16);
        }
        let _ = write!(body, "<path class=\"shaft {grade}\" d=\"M{x} {}h26\"/>", y - 4);
        text(body, x + 32, y, "small", said);
        x += width;
    }
    y
}

/// Text that is markup nowhere, and of characters that XML and HTML have.
pub(super) fn escape(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for character in words::clean(text).chars() {
        match character {
            // What keeps a number by its unit while lines are broken.
            '\u{a0}' => escaped.push(' '),
            '&' => escaped.push_str("&amp;"),
            '<' => escaped.push_str("&lt;"),
            '>' => escaped.push_str("&gt;"),
            '"' => escaped.push_str("&quot;"),
            '\'' => escaped.push_str("&#39;"),
            c => escaped.push(c),
        }
    }
    escaped
}

fn short(words: &str, columns: usize) -> String {
    super::ladder::lines::fit(words, columns)
}

/// A line of text.
fn text(body: &mut String, x: usize, y: usize, class: &str, words: &str) {
    let words = escape(words);
    let _ = writeln!(body, "<text x=\"{x}\" y=\"{y}\" class=\"{class}\">{words}</text>");
}
