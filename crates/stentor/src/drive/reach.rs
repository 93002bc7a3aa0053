//! Turns the host of a target into addresses, and says so plainly when it has none.

use std::io::{self, Write};
use std::net::SocketAddr;
use std::os::fd::AsFd;
use std::os::unix::net::UnixStream;
use std::sync::mpsc;
use std::thread;
use std::time::Duration;

use stentor_core::endpoint::Host;
use stentor_os::failure::Failure;
use stentor_os::net::poll::{self, Watch};
use stentor_os::resolve;
use stentor_os::signal::Interrupts;

use crate::complaint::{Complaint, Exit};
use crate::drive::race;

/// Which addresses are wanted.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Family {
    /// Both families.
    #[default]
    Any,
    /// IPv4 alone.
    V4,
    /// IPv6 alone.
    V6,
}

impl Family {
    /// Whether an address is wanted.
    pub fn takes(self, address: &SocketAddr) -> bool {
        match self {
            Family::Any => true,
            Family::V4 => address.is_ipv4(),
            Family::V6 => address.is_ipv6(),
        }
    }
}

/// The addresses of `host`, at least one, in the resolver's order.
///
/// An address is taken as it is. For a name the system's resolver is asked; it blocks, so it has a
/// thread of its own, which is left behind when `timeout` or a signal comes first. Complaints:
/// unknown name, no address of the family, no answer in time (exit 3); a signal (exit 130).
pub fn resolve(
    host: &Host,
    port: u16,
    family: Family,
    timeout: Duration,
    interrupts: Option<&Interrupts>,
) -> Result<Vec<SocketAddr>, Complaint> {
    let found = match host {
        Host::Address(address) => vec![SocketAddr::new(*address, port)],
        Host::Name(name) => ask(name, port, timeout, interrupts)?,
    };
    let wanted: Vec<SocketAddr> = found.iter().copied().filter(|a| family.takes(a)).collect();
    if !wanted.is_empty() {
        return Ok(wanted);
    }
    let what = match family {
        Family::Any => format!("resolve {host}: the name has no address"),
        Family::V4 => format!("resolve {host}: no IPv4 address"),
        Family::V6 => format!("resolve {host}: no IPv6 address"),
    };
    let has: Vec<String> = found.iter().map(|address| address.ip().to_string()).collect();
    let next = match has.as_slice() {
        [] => String::new(),
        has => format!("It has {}: leave out -4 and -6.", has.join(", ")),
    };
    Err(Complaint::new(Exit::Environment, what, next))
}

fn ask(
    name: &str,
    port: u16,
    timeout: Duration,
    interrupts: Option<&Interrupts>,
) -> Result<Vec<SocketAddr>, Complaint> {
    let fail = |error| Complaint::from(Failure::new("resolve", name, error));
    let (bell, mut ringer) = UnixStream::pair().map_err(fail)?;
    let (sender, receiver) = mpsc::channel();
    let asked = name.to_owned();
    let resolver = move || {
        let _ = sender.send(resolve::addresses(&asked, port));
        // Whoever waited may have gone; then nobody needs the answer.
        let _ = ringer.write_all(b"!");
    };
    thread::Builder::new().name("resolver".into()).spawn(resolver).map_err(fail)?;
    let deadline = race::now() + timeout;
    loop {
        match receiver.try_recv() {
            Ok(answer) => return answer.map_err(|error| unknown(name, &error)),
            Err(mpsc::TryRecvError::Disconnected) => {
                return Err(fail(io::Error::other("the resolver ended without an answer")));
            }
            Err(mpsc::TryRecvError::Empty) => {}
        }
        if race::interrupted(interrupts) {
            let what = format!("interrupted while resolving {name}");
            return Err(Complaint::new(Exit::Interrupted, what, ""));
        }
        let left = deadline.since(race::now());
        if left.is_zero() {
            return Err(Complaint::new(
                Exit::Environment,
                format!("resolve {name}: no answer from the resolver within {timeout:?}"),
                "Check the name servers in /etc/resolv.conf; -w waits longer.",
            ));
        }
        let mut watches = vec![Watch::new(bell.as_fd(), true, false)];
        watches.extend(interrupts.map(|i| Watch::new(i.as_fd(), true, false)));
        poll::wait(&mut watches, Some(left)).map_err(fail)?;
    }
}

/// The resolver's own words, without the standard library's preface.
fn unknown(name: &str, error: &io::Error) -> Complaint {
    let text = error.to_string();
    let words = text.strip_prefix("failed to lookup address information: ").unwrap_or(&text);
    Complaint::new(
        Exit::Environment,
        format!("resolve {name}: {words}"),
        format!("Check the spelling, and what the system knows of it: getent ahosts {name}"),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    const LIMIT: Duration = Duration::from_secs(60);

    #[test]
    fn addresses_need_no_resolver_and_must_be_of_the_family() {
        let host: Host = "127.0.0.1".parse().unwrap();
        let found = resolve(&host, 7, Family::Any, LIMIT, None).unwrap();
        assert_eq!(found, ["127.0.0.1:7".parse().unwrap()]);
        let complaint = resolve(&host, 7, Family::V6, LIMIT, None).unwrap_err();
        assert_eq!(
            complaint.to_string(),
            "resolve 127.0.0.1: no IPv6 address. It has 127.0.0.1: leave out -4 and -6."
        );
        assert_eq!(complaint.exit, Exit::Environment);
    }

    #[test]
    fn localhost_is_found() {
        let found = resolve(&"localhost".parse().unwrap(), 7, Family::V4, LIMIT, None).unwrap();
        assert_eq!(found, ["127.0.0.1:7".parse().unwrap()]);
    }

    #[test]
    fn an_unknown_name_is_said_with_the_next_step() {
        // RFC 6761, section 6.4: "invalid." never resolves.
        let host: Host = "nobody.invalid".parse().unwrap();
        let complaint = resolve(&host, 7, Family::Any, LIMIT, None).unwrap_err();
        assert_eq!(complaint.exit, Exit::Environment);
        assert!(complaint.what.starts_with("resolve nobody.invalid: "), "{complaint}");
        assert!(complaint.next.ends_with("getent ahosts nobody.invalid"), "{complaint}");
    }
}
