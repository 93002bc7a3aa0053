//! The program: parse, plan, run, exit code. Everything else is in the library beside it.

use std::process::ExitCode;

fn main() -> ExitCode {
    stentor::run(std::env::args_os())
}
