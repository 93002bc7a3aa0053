//! The ladder of a traced run as one HTML file: the pictures of [`super::svg`], and all header fields
//! on hover or focus, ties on click, a filter for conversations.
//!
//! Payloads, paths and commands are hostile input: they reach the page as escaped text or as JSON
//! that holds no markup, and the script sets text, never markup. What is around this page and every
//! other is in [`shell`].

mod details;
pub mod shell;
#[cfg(test)]
mod tests;

use std::fmt::Write;

use stentor_core::timeline::ladder::{Group, Ladder};

use self::shell::Shell;
use super::ladder::words;
use super::svg::{self, STYLE, WIDTH, escape};

/// Rows of all pictures of a page, unless asked otherwise.
pub const ROWS_MAX: usize = svg::ROWS_MAX;

/// Makes the page, with the first `rows_max` rows of the ladder. It is well-formed XML too.
pub fn html(ladder: &Ladder, rows_max: usize) -> String {
    let mut sections = String::new();
    let mut drawn = details::Drawn::default();
    let (mut room, mut undrawn) = (rows_max, 0);
    for (place, group) in ladder.groups.iter().enumerate() {
        let picture = svg::group(ladder, place, room);
        room -= picture.rows.min(room);
        undrawn += picture.undrawn;
        if picture.rows > 0 || group.rows.is_empty() {
            drawn.add(group, picture.rows);
            section(&mut sections, place, group, &picture.body, picture.height);
        }
    }
    let mut missing = String::new();
    for sentence in words::omitted(&ladder.omitted, undrawn) {
        let _ = writeln!(missing, "<p class=\"warning\">{}</p>", escape(&sentence));
    }
    let mut legend = String::new();
    let height = svg::legend(&mut legend, ladder, 16) + 8;
    let details = details::json(ladder, &drawn);
    let head = head(ladder);
    let body = format!(
        "{head}<main>\n{sections}{missing}\
         <svg width=\"{WIDTH}\" height=\"{height}\" viewBox=\"0 0 {WIDTH} {height}\" role=\"img\">\
         <title>What the lines mean</title>{legend}</svg>\n</main>\n\
         <aside id=\"details\" aria-live=\"polite\"><p id=\"hint\">Point at a call or a packet, or go \
         there with Tab: its fields stand here. Click or Enter shows what it is tied to; Escape lets \
         go.</p></aside>\n\
         <script type=\"application/json\" id=\"data\">{details}</script>\n"
    );
    let styles = [STYLE, include_str!("page.css")];
    let script = Some(include_str!("page.js"));
    Shell { title: "stentor trace", styles: &styles, body: &body, script }.html()
}

fn head(ladder: &Ladder) -> String {
    let mut head = format!(
        "<header>\n<h1>stentor trace</h1>\n<p class=\"faint\">{}</p>\n",
        escape(&words::made(ladder))
    );
    if !ladder.programs.is_empty() {
        head.push_str("<ul class=\"programs\">\n");
        for program in &ladder.programs {
            let _ = writeln!(head, "<li>{}</li>", escape(&words::program(program)));
        }
        head.push_str("</ul>\n");
    }
    for remark in &ladder.remarks {
        let class = if remark.warning { "warning" } else { "faint" };
        let at = words::time(remark.at);
        let _ = writeln!(head, "<p class=\"{class}\">{at} ms: {}</p>", escape(&remark.words));
    }
    let _ = write!(
        head,
        "<p><label for=\"filter\">Conversations with </label><input id=\"filter\" type=\"search\" \
         placeholder=\"port, address, program, pid\" autocomplete=\"off\"/> \
         <span id=\"shown\" role=\"status\"></span></p>\n</header>\n"
    );
    head
}

fn section(sections: &mut String, place: usize, group: &Group, picture: &str, height: usize) {
    let title = escape(&words::title(group));
    let words = format!(
        "{} {} {}",
        words::title(group),
        words::side(&group.client),
        words::side(&group.server)
    );
    let _ = writeln!(
        sections,
        "<section aria-label=\"{title}\" data-words=\"{}\">\n<svg width=\"{WIDTH}\" height=\"{height}\" \
         viewBox=\"0 0 {WIDTH} {height}\" role=\"group\" aria-labelledby=\"talk{place}\">\
         <title id=\"talk{place}\">{title}</title>\n{picture}</svg>\n</section>",
        escape(&words.to_lowercase())
    );
}
