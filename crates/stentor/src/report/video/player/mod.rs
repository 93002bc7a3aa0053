//! The origin's own page: a small player that shows its buffer, its requests and the book's formulae.
//!
//! It is text for a browser, kept as the browser reads it: a page, a style, and one module of JavaScript
//! for each thing the player does. It asks for nothing but its origin, and its own policy forbids more.
//! Serving is left to the origin.

#[cfg(test)]
mod tests;

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

/// The page of an origin: `playlist` is the reference of its HLS playlist, and `sizes` that of the film's
/// JSON, which an origin has that generates its film.
pub fn page(playlist: &str, sizes: Option<&str>) -> String {
    include_str!("page.html")
        .replace("{playlist}", &escape(playlist))
        .replace("{sizes}", &escape(sizes.unwrap_or_default()))
}
