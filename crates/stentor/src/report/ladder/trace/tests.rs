//! The ladder as text, against pictures that were looked at.

use super::*;
use crate::report::samples;

#[test]
fn show() {
    for width in [100, 160] {
        for ladder in [
            samples::lecture(),
            samples::seven(),
            samples::full(),
            samples::datagrams(),
            samples::refused(),
            samples::calls(),
        ] {
            println!("{}", terminal(&ladder, width, std::env::var_os("COL").is_some()));
        }
    }
}
