//! What the kernel refused: the operation, the address, the errno. Advice is left to the roof.

use std::fmt;
use std::io;

/// A system call that failed.
#[derive(Debug)]
pub struct Failure {
    /// The call, as in its man page: `bind`, `connect`.
    pub operation: &'static str,
    /// What it was about: `tcp 127.0.0.1:12000`.
    pub address: String,
    /// What the kernel said.
    pub error: io::Error,
}

impl Failure {
    /// Tags an error with the operation and the address it belongs to.
    pub fn new(operation: &'static str, address: impl fmt::Display, error: io::Error) -> Failure {
        Failure { operation, address: address.to_string(), error }
    }
}

impl std::error::Error for Failure {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        Some(&self.error)
    }
}

/// `bind tcp 127.0.0.1:12000: address already in use (EADDRINUSE)`.
impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}: {}", self.operation, self.address, describe(&self.error))
    }
}

/// The name of an error's errno, such as `EADDRINUSE`; `None` if it did not come from the kernel.
pub fn errno_name(error: &io::Error) -> Option<String> {
    let errno = nix::errno::Errno::from_raw(error.raw_os_error()?);
    (errno != nix::errno::Errno::UnknownErrno).then(|| format!("{errno:?}"))
}

/// The kernel's words in lower case, and the errno by name.
pub fn describe(error: &io::Error) -> String {
    let Some(code) = error.raw_os_error() else { return error.to_string() };
    let errno = nix::errno::Errno::from_raw(code);
    let words = errno.desc();
    let mut letters = words.chars();
    // "Address already in use" becomes "address already in use"; "I/O error" stays.
    let lower = match (letters.next(), letters.next()) {
        (Some(first), Some(second)) if second.is_lowercase() => {
            first.to_lowercase().chain(words.chars().skip(1)).collect()
        }
        (Some(_) | None, Some(_) | None) => words.to_owned(),
    };
    match errno_name(error) {
        Some(name) => format!("{lower} ({name})"),
        None => format!("{lower} (errno {code})"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_failure_names_what_where_and_why() {
        let error = io::Error::from_raw_os_error(libc::EADDRINUSE);
        let failure = Failure::new("bind", "tcp 127.0.0.1:12000", error);
        let expected = "bind tcp 127.0.0.1:12000: address already in use (EADDRINUSE)";
        assert_eq!(failure.to_string(), expected);
    }

    #[test]
    fn an_error_without_errno_keeps_its_words() {
        assert_eq!(describe(&io::Error::other("odd")), "odd");
        assert_eq!(errno_name(&io::Error::other("odd")), None);
    }
}
