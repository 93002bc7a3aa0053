//! Pictures are well formed whatever the traced programs said, and end where they should.

use super::*;
use crate::report::samples;

#[test]
fn show() {
    std::fs::write("/tmp/tdraw-a.svg", drawing(&samples::lecture(), ROWS_MAX)).unwrap();
    std::fs::write("/tmp/tdraw-b.svg", drawing(&samples::seven(), ROWS_MAX)).unwrap();
    std::fs::write("/tmp/tdraw-c.svg", drawing(&samples::full(), ROWS_MAX)).unwrap();
    std::fs::write("/tmp/tdraw-d.svg", drawing(&samples::calls(), ROWS_MAX)).unwrap();
}
