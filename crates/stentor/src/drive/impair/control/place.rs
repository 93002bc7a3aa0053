//! Addresses as clients of the API write them: `localhost:3306`, `:3306`, `udp://127.0.0.1:0`.

use stentor_core::endpoint::{Host, Place, Target, Transport};

/// An address that was understood.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Written {
    /// If it names one.
    pub(super) transport: Option<Transport>,
    /// As it was written, without the transport.
    pub(super) text: String,
    pub(super) host: Host,
    pub(super) port: u16,
}

/// The address without its transport, and which that is: `udp://` is our way to say it in a field
/// that every client passes on as it is.
pub(super) fn split(written: &str) -> (Option<Transport>, &str) {
    match written.split_once("://") {
        Some(("udp", rest)) => (Some(Transport::Udp), rest),
        Some(("tcp", rest)) => (Some(Transport::Tcp), rest),
        Some(_) | None => (None, written),
    }
}

/// Reads an address; a host left out (`:3306`) is `unspecified`. Errors are Go's words where it
/// has some.
pub(super) fn read(written: &str, unspecified: &str) -> Result<Written, String> {
    let (transport, text) = split(written);
    let full = if text.starts_with(':') { format!("{unspecified}{text}") } else { text.to_owned() };
    if !full.contains(':') {
        return Err(format!("address {text}: missing port in address"));
    }
    let target: Target = full.parse().map_err(|error| format!("address {text}: {error}"))?;
    match target.place {
        Place::Inet(host, port) => Ok(Written { transport, text: text.to_owned(), host, port }),
        Place::Path(_) => Err(format!("address {text}: neither TCP nor UDP")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_read_with_and_without_their_transport() {
        let check = |written: &str, transport: Option<Transport>, host: &str, port: u16| {
            let read = read(written, "0.0.0.0").unwrap();
            let found = (read.transport, read.host.to_string(), read.port);
            assert_eq!(found, (transport, host.to_owned(), port), "{written}");
        };
        check("localhost:3306", None, "localhost", 3306);
        check(":3306", None, "0.0.0.0", 3306);
        check("udp://127.0.0.1:53", Some(Transport::Udp), "127.0.0.1", 53);
        check("tcp://[::1]:80", Some(Transport::Tcp), "[::1]", 80);
        assert_eq!(read("udp://a:1", "").unwrap().text, "a:1");
        let refused = |written: &str| read(written, "localhost").unwrap_err();
        assert_eq!(refused("local373"), "address local373: missing port in address");
        assert!(refused("a:b").contains("not a port"));
        assert!(refused("a:70000").contains("not a port"));
        assert!(refused("http://a:80").contains("not a transport"));
    }
}
