//! The origin's own page: a small player that shows its buffer, its requests and the book's formulae.
//!
//! It is text for a browser, kept as the browser reads it: a page, a style, and one module of JavaScript
//! for each thing the player does. It asks for nothing but its origin, and its own policy forbids more.
//! Serving is left to the origin.

#[cfg(test)]
mod tests;

use std::fmt::Write as _;

use crate::report::svg::escape;

/// What a page consists of besides itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct File {
    /// Where it is served.
    pub path: &'static str,
    /// Its media type.
    pub mime: &'static str,
    /// What it holds.
    pub text: &'static str,
}

const STYLE: &str = concat!(include_str!("../../palette.css"), include_str!("player.css"));

macro_rules! script {
    ($name:literal) => {
        File {
            path: concat!("/player/", $name),
            mime: "text/javascript; charset=utf-8",
            text: include_str!($name),
        }
    };
}

/// Every file that the page asks its origin for.
pub const FILES: [File; 11] = [
    File { path: "/player/player.css", mime: "text/css; charset=utf-8", text: STYLE },
    script!("main.js"),
    script!("film.js"),
    script!("download.js"),
    script!("rules.js"),
    script!("player.js"),
    script!("record.js"),
    script!("predict.js"),
    script!("figures.js"),
    script!("chart.js"),
    script!("words.js"),
];

/// The file that is served at a path.
pub fn file(path: &str) -> Option<File> {
    FILES.into_iter().find(|file| file.path == path)
}

/// The page of an origin: `playlist` is the reference of its HLS playlist, `sizes` that of the film's JSON,
/// which an origin has that generates its film, and `places` what else there is, by path and in words.
pub fn page(playlist: &str, sizes: Option<&str>, places: &[(String, String)]) -> String {
    let mut links = String::new();
    for (path, what) in places {
        let (path, what) = (escape(path), escape(what));
        let _ = writeln!(links, "<li><a href=\"{path}\">{path}</a> {what}</li>");
    }
    // One pass: what was filled in is not looked at again.
    let mut page = String::new();
    let mut rest = include_str!("page.html");
    while let Some((before, (name, after))) =
        rest.split_once('{').and_then(|(before, after)| Some((before, after.split_once('}')?)))
    {
        page.push_str(before);
        match name {
            "playlist" => page.push_str(&escape(playlist)),
            "sizes" => page.push_str(&escape(sizes.unwrap_or_default())),
            _ => page.push_str(&links),
        }
        rest = after;
    }
    page + rest
}
