//! What the kernel said, counted by call and errno, in memory of a fixed size.

use std::io;

use stentor_os::failure::{describe, errno_name};

use super::outcome::Trouble;

/// Different errors that are told apart; there are not so many.
const KINDS: usize = 32;

/// Errors of one thread.
#[derive(Debug, Default)]
pub(super) struct Troubles(Vec<(&'static str, i32, u64)>);

impl Troubles {
    /// Counts an error of `call`.
    pub(super) fn note(&mut self, call: &'static str, error: &io::Error) {
        self.add(call, error.raw_os_error().unwrap_or(0), 1);
    }

    /// Adds those of another thread.
    pub(super) fn merge(&mut self, other: &Troubles) {
        for (call, errno, times) in &other.0 {
            self.add(call, *errno, *times);
        }
    }

    fn add(&mut self, call: &'static str, errno: i32, times: u64) {
        let room = self.0.len() < KINDS;
        match self.0.iter_mut().find(|(c, e, _)| (*c, *e) == (call, errno)) {
            Some((_, _, count)) => *count += times,
            None if room => self.0.push((call, errno, times)),
            None => {}
        }
    }

    /// In words, the most frequent first.
    pub(super) fn told(mut self) -> Vec<Trouble> {
        self.0.sort_by_key(|(call, errno, times)| (std::cmp::Reverse(*times), *call, *errno));
        let told = |(operation, errno, times)| {
            let error = io::Error::from_raw_os_error(errno);
            let name = errno_name(&error).unwrap_or_else(|| errno.to_string());
            Trouble { operation, errno: name, words: describe(&error), times }
        };
        self.0.into_iter().map(told).collect()
    }
}
