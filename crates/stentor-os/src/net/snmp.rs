//! The kernel's counters of its protocols, as Linux shows them in /proc/net/snmp (the names are those
//! of RFC 4022, RFC 4113 and of include/uapi/linux/snmp.h). Each network namespace has its own.

use std::fs;
use std::io;

/// Of the network namespace that the calling thread is in.
const HERE: &str = "/proc/thread-self/net/snmp";

/// Reads one counter of this thread's network namespace: `counter_here("Udp", "InCsumErrors")`.
///
/// # Errors
/// The file cannot be read, or has no such counter.
pub fn counter_here(protocol: &str, name: &str) -> io::Result<u64> {
    let text = fs::read_to_string(HERE)?;
    let missing = || io::Error::other(format!("{HERE} has no {protocol} {name}"));
    counter(&text, protocol, name).ok_or_else(missing)
}

/// A protocol has two lines: its counters' names, and below each its value.
fn counter(text: &str, protocol: &str, name: &str) -> Option<u64> {
    let mut of_protocol = text.lines().filter_map(|line| {
        let (label, rest) = line.split_once(": ")?;
        (label == protocol).then_some(rest)
    });
    let (names, values) = (of_protocol.next()?, of_protocol.next()?);
    let place = names.split_ascii_whitespace().position(|it| it == name)?;
    values.split_ascii_whitespace().nth(place)?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_counter_stands_below_its_name() {
        let text = "Tcp: MaxConn InErrs\nTcp: -1 7\nUdp: InDatagrams InErrors\nUdp: 5 6\n\
                    UdpLite: InDatagrams\nUdpLite: 9\n";
        assert_eq!(counter(text, "Udp", "InDatagrams"), Some(5));
        assert_eq!(counter(text, "Udp", "InErrors"), Some(6));
        assert_eq!(counter(text, "Tcp", "InErrs"), Some(7));
        for (protocol, name) in [("Tcp", "MaxConn"), ("Udp", "MaxConn"), ("Ip", "InErrs")] {
            assert_eq!(counter(text, protocol, name), None, "{protocol} {name}");
        }
        assert_eq!(counter("Udp: a b\nUdp: 1", "Udp", "b"), None);
    }

    #[test]
    fn this_kernel_counts_wrong_checksums() {
        for protocol in ["Tcp", "Udp"] {
            assert!(counter_here(protocol, "InCsumErrors").is_ok(), "{protocol}");
        }
    }
}
