//! Prints `src/casing/table.rs`, made from this compiler's `char::to_uppercase`:
//! `cargo run -p stentor-core --example casing-table > casing-table.rs`, then move it there
//! (the crate cannot be compiled while its own table is being overwritten).

use std::io::Write;

mod generate;

fn main() -> std::io::Result<()> {
    std::io::stdout().write_all(generate::table().as_bytes())
}
