//! The measurements: what each figure in the documents was made with.

fn main() {}
