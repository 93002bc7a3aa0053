//! Where a conversation goes: `tcp://h:p`, `udp://h:p`, `unix:PATH`, or `h:p`.
//!
//! Only the words are read here; turning a name into addresses is left to `stentor-os`.

use std::fmt;
use std::net::IpAddr;
use std::str::FromStr;

use thiserror::Error;

/// The port of the lecture, on TCP and on UDP.
pub const PORT_DEFAULT: u16 = 12000;

/// The transport a target asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Transport {
    /// A reliable, ordered stream of bytes (RFC 9293).
    Tcp,
    /// Datagrams, each on its own (RFC 768).
    Udp,
    /// A stream between processes of one machine (unix(7)).
    Unix,
}

/// A machine, by address or by a name still to be resolved.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Host {
    /// An address, as it was written.
    Address(IpAddr),
    /// A name of at most 253 characters (RFC 1035, section 2.3.4).
    Name(String),
}

/// Where something listens.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Place {
    /// A host and a port.
    Inet(Host, u16),
    /// A path in the file system.
    Path(String),
}

/// A place, and the transport if the words named one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Target {
    /// `None` when only `h:p` was written: the verb's flags decide.
    pub transport: Option<Transport>,
    /// Where to.
    pub place: Place,
}

/// Why a target was not understood.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum TargetError {
    /// No `:PORT` at the end.
    #[error("{0:?} has no port: write HOST:PORT, such as 127.0.0.1:12000")]
    NoPort(String),
    /// The port is not a number from 0 to 65535.
    #[error("{0:?} is not a port: a number from 0 to 65535 (16 bits, RFC 9293 section 3.1)")]
    BadPort(String),
    /// The host is empty, too long, or has characters that no host name has.
    #[error("{0:?} is not a host: an address such as 127.0.0.1 or [::1], or a name")]
    BadHost(String),
    /// A scheme other than `tcp`, `udp` and `unix`.
    #[error("{0:?} is not a transport: tcp://HOST:PORT, udp://HOST:PORT or unix:PATH")]
    BadScheme(String),
    /// `unix:` with no path, or one longer than an address holds.
    #[error("unix:PATH takes a path of 1 to 107 bytes without NUL (unix(7)), not {0:?}")]
    BadPath(String),
}

impl FromStr for Target {
    type Err = TargetError;

    fn from_str(written: &str) -> Result<Target, TargetError> {
        if let Some(path) = written.strip_prefix("unix:") {
            let path = path.strip_prefix("//").unwrap_or(path);
            if path.is_empty() || path.len() > 107 || path.contains('\0') {
                return Err(TargetError::BadPath(path.to_owned()));
            }
            let place = Place::Path(path.to_owned());
            return Ok(Target { transport: Some(Transport::Unix), place });
        }
        let (transport, rest) = match written.split_once("://") {
            Some(("tcp", rest)) => (Some(Transport::Tcp), rest),
            Some(("udp", rest)) => (Some(Transport::Udp), rest),
            Some((scheme, _)) => return Err(TargetError::BadScheme(scheme.to_owned())),
            None => (None, written),
        };
        let (host, port) =
            rest.rsplit_once(':').ok_or_else(|| TargetError::NoPort(rest.to_owned()))?;
        // "::1" has colons of its own: without brackets nobody can tell where the port begins.
        if host.contains(':') && !host.starts_with('[') {
            return Err(TargetError::BadHost(rest.to_owned()));
        }
        let digits = !port.is_empty() && port.bytes().all(|b| b.is_ascii_digit());
        let port = port.parse().ok().filter(|_| digits);
        let port = port.ok_or_else(|| {
            TargetError::BadPort(rest.rsplit(':').next().unwrap_or_default().to_owned())
        })?;
        Ok(Target { transport, place: Place::Inet(host.parse()?, port) })
    }
}

impl FromStr for Host {
    type Err = TargetError;

    fn from_str(written: &str) -> Result<Host, TargetError> {
        let refused = || TargetError::BadHost(written.to_owned());
        if let Some(inner) = written.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')) {
            return inner.parse().map(|v6| Host::Address(IpAddr::V6(v6))).map_err(|_| refused());
        }
        if let Ok(address) = written.parse() {
            return Ok(Host::Address(address));
        }
        let plausible = |c: char| c.is_alphanumeric() || matches!(c, '-' | '.' | '_');
        if written.is_empty() || written.len() > 253 || !written.chars().all(plausible) {
            return Err(refused());
        }
        Ok(Host::Name(written.to_owned()))
    }
}

impl fmt::Display for Transport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Transport::Tcp => "tcp",
            Transport::Udp => "udp",
            Transport::Unix => "unix",
        })
    }
}

impl fmt::Display for Host {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Host::Address(IpAddr::V6(v6)) => write!(f, "[{v6}]"),
            Host::Address(IpAddr::V4(v4)) => write!(f, "{v4}"),
            Host::Name(name) => f.write_str(name),
        }
    }
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Place::Inet(host, port) => write!(f, "{host}:{port}"),
            Place::Path(path) => f.write_str(path),
        }
    }
}

/// Reads back as it was written: `tcp://h:p`, `unix:PATH`, or `h:p`.
impl fmt::Display for Target {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.transport {
            Some(Transport::Unix) => write!(f, "unix:{}", self.place),
            Some(transport) => write!(f, "{transport}://{}", self.place),
            None => write!(f, "{}", self.place),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn targets_are_read() {
        let check = |written: &str, expected: &str| {
            let read = match written.parse::<Target>() {
                Ok(target) => format!("{:?} {}", target.transport, target.place),
                Err(error) => format!("{error:?}"),
            };
            assert_eq!(read, expected, "{written}");
        };
        check("127.0.0.1:12000", "None 127.0.0.1:12000");
        check("tcp://localhost:80", "Some(Tcp) localhost:80");
        check("udp://[::1]:7", "Some(Udp) [::1]:7");
        check("unix:/tmp/s", "Some(Unix) /tmp/s");
        check("unix:", "BadPath(\"\")");
        check("localhost", "NoPort(\"localhost\")");
        check("::1:80", "BadHost(\"::1:80\")");
        check("[::1]:65536", "BadPort(\"65536\")");
        check("[::1:80", "BadHost(\"[::1\")");
        check("h:+80", "BadPort(\"+80\")");
        check("h:", "BadPort(\"\")");
        check(":80", "BadHost(\"\")");
        check("sctp://h:1", "BadScheme(\"sctp\")");
        check("hello world: 12", "BadPort(\" 12\")");
    }

    proptest! {
        #[test]
        fn reading_never_panics_and_what_is_read_reads_back(written in "\\PC{0,40}") {
            if let Ok(target) = written.parse::<Target>() {
                prop_assert_eq!(target.to_string().parse::<Target>(), Ok(target));
            }
        }

        #[test]
        fn every_plausible_target_reads_back(
            scheme in "(tcp://|udp://|)", host in "([a-z0-9.-]{1,20}|\\[::[0-9a-f]{1,4}\\])",
            port: u16,
        ) {
            let target: Target = format!("{scheme}{host}:{port}").parse().unwrap();
            prop_assert_eq!(target.to_string().parse::<Target>(), Ok(target));
        }
    }
}
