//! One toxic at work: what it holds, and when the next bytes leave it.
