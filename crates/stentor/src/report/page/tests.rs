//! The page is well formed whatever the traced programs said, and does what it says in a browser.

use super::*;
use crate::report::samples;

#[test]
fn show() {
    std::fs::write("/tmp/tdraw.html", html(&samples::several(), ROWS_MAX)).unwrap();
}
