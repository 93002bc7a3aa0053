//! One question over UDP, until it is answered or given up: retries, late and duplicate answers.
