//! From arguments to a plan: the target told from the message, the flags checked against each
//! other, the limits explained.

use std::ffi::{OsStr, OsString};
use std::io::{self, IsTerminal};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::os::unix::ffi::OsStrExt;
use std::str::FromStr;
use std::time::Duration;

use stentor_core::casing::Case;
use stentor_core::endpoint::{Host, PORT_DEFAULT, Place, Target, TargetError, Transport};
use stentor_core::service::datagram::PAYLOAD_MAX;
use stentor_core::units::{Amount, Span};

use super::Args;
use crate::complaint::Complaint;
use crate::drive::reach::Family;
use crate::verbs::link::Link;

/// What to send.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Source {
    /// These bytes, and no newline.
    Message(Vec<u8>),
    /// Standard input: as it is over a stream, each line as a datagram over UDP.
    Input,
    /// Sentences asked for at the terminal, a new connection for each.
    Prompt,
}

/// A run of `send`, checked.
#[derive(Clone, Debug)]
pub(super) struct Plan {
    /// Over what.
    pub(super) transport: Transport,
    /// Where to.
    pub(super) place: Place,
    /// What.
    pub(super) source: Source,
    /// Which addresses of a name.
    pub(super) family: Family,
    /// For the connection, and for each silence.
    pub(super) timeout: Duration,
    /// How often a datagram is sent again.
    pub(super) retries: u32,
    /// The capitals an answer must have; `None` takes any answer.
    pub(super) verify: Option<Case>,
    /// Pauses: after so many bytes of the stream, so long.
    pub(super) splits: Vec<Split>,
    /// The most bytes given to one `send` call.
    pub(super) chunk: Option<usize>,
    /// Say "no more from me" (FIN) at the end of the input, before the answer is complete.
    pub(super) half_close: bool,
    /// End the connection by a reset.
    pub(super) reset: bool,
    /// The local port.
    pub(super) source_port: Option<u16>,
    /// Print the answer as a hexadecimal dump.
    pub(super) hex: bool,
    /// Print how long each phase took.
    pub(super) timing: bool,
    /// Print one JSON object instead of the answer.
    pub(super) json: bool,
    /// Draw the calls.
    pub(super) verbose: bool,
    /// A worse network before the target.
    pub(super) link: Option<Link>,
}

/// A pause in the stream: `5@20ms`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Split {
    /// After how many bytes of the stream.
    pub(super) at: u64,
    /// How long.
    pub(super) gap: Duration,
}

impl FromStr for Split {
    type Err = String;

    fn from_str(written: &str) -> Result<Split, String> {
        let wanted = format!("{written:?} is not N@TIME, such as 5@20ms: a pause after N bytes");
        let (at, gap) = written.split_once('@').ok_or_else(|| wanted.clone())?;
        let Amount(at) = at.parse().map_err(|_| wanted.clone())?;
        let Span(gap) = gap.parse().map_err(|_| wanted)?;
        Ok(Split { at, gap })
    }
}

impl Plan {
    /// A plan with every default, for what comes from standard input: the prompt if standard
    /// input and output are terminals, the filter otherwise.
    pub(super) fn to(target: Target) -> Plan {
        Plan {
            transport: target.transport.unwrap_or(Transport::Tcp),
            place: target.place,
            source: source(None),
            family: Family::Any,
            timeout: Duration::from_secs(5),
            retries: 2,
            verify: Some(Case::Unicode),
            splits: Vec::new(),
            chunk: None,
            half_close: true,
            reset: false,
            source_port: None,
            hex: false,
            timing: false,
            json: false,
            verbose: false,
            link: None,
        }
    }

    /// Reads the arguments; every complaint is about usage (exit 2).
    pub(super) fn read(args: &Args) -> Result<Plan, Complaint> {
        let (target, message) = words(&args.words)?;
        if target.is_some() && args.port.is_some() {
            let next = "-p is the port of the default host, 127.0.0.1: write HOST:PORT, or -p.";
            return Err(Complaint::usage("-p beside a target that has its port", next));
        }
        let target = target.unwrap_or_else(|| default_target(args));
        let transport = transport(&target, args.udp)?;
        if args.timeout.0.is_zero() {
            return Err(Complaint::usage("-w 0: nothing answers in no time", "Say -w 5s."));
        }
        let mut splits = args.split.clone();
        splits.sort();
        let plan = Plan {
            transport,
            source: source(message),
            family: family(args),
            timeout: args.timeout.0,
            retries: args.retry,
            verify: (!args.no_verify).then_some(args.case.into()),
            splits,
            chunk: args.chunk.map(|Amount(n)| usize::try_from(n).unwrap_or(usize::MAX)),
            // A reset ends both directions at once: what comes first must be the answer.
            half_close: !args.no_half_close && !args.rst,
            reset: args.rst,
            source_port: args.source_port,
            hex: args.hex,
            timing: args.timing,
            json: args.json,
            verbose: args.verbose,
            link: args.link.link(),
            ..Plan::to(target)
        };
        plan.checked(args)
    }

    fn checked(self, args: &Args) -> Result<Plan, Complaint> {
        let stream_only = [
            (!args.split.is_empty(), "--split"),
            (args.chunk.is_some(), "--chunk"),
            (args.rst, "--rst"),
            (args.no_half_close, "--no-half-close"),
        ];
        let named = stream_only.iter().find(|(given, _)| *given).map(|(_, flag)| flag);
        if let (Transport::Udp, Some(flag)) = (self.transport, named) {
            return Err(Complaint::usage(
                format!("{flag} over UDP: a datagram is sent whole, and has no connection"),
                "Leave out -u.",
            ));
        }
        if self.transport == Transport::Unix && args.source_port.is_some() {
            return Err(Complaint::usage("--source-port on a unix socket, which has no port", ""));
        }
        if self.chunk == Some(0) {
            return Err(Complaint::usage("--chunk 0 would never send anything", ""));
        }
        if self.source == Source::Prompt && self.json {
            let next = "Give the message as an argument, or on standard input.";
            return Err(Complaint::usage("--json at a prompt", next));
        }
        if let (Transport::Udp, Source::Message(message)) = (self.transport, &self.source) {
            fits(message.len(), &format!("the message has {} bytes", message.len()))?;
        }
        Ok(self)
    }
}

/// Complains about a datagram that cannot be.
pub(super) fn fits(bytes: usize, what: &str) -> Result<(), Complaint> {
    if bytes <= PAYLOAD_MAX {
        return Ok(());
    }
    Err(Complaint::usage(
        format!(
            "{what}, and a datagram holds at most {PAYLOAD_MAX} (65,535 of an IPv4 packet, less \
             20 of its header and 8 of the UDP header)"
        ),
        "Send it in pieces, or over TCP, which has no such limit: leave out -u.",
    ))
}

fn source(message: Option<Vec<u8>>) -> Source {
    match message {
        Some(message) => Source::Message(message),
        None if io::stdin().is_terminal() && io::stdout().is_terminal() => Source::Prompt,
        None => Source::Input,
    }
}

fn family(args: &Args) -> Family {
    match (args.ipv4, args.ipv6) {
        (true, _) => Family::V4,
        (_, true) => Family::V6,
        (false, false) => Family::Any,
    }
}

fn default_target(args: &Args) -> Target {
    let host =
        if args.ipv6 { IpAddr::V6(Ipv6Addr::LOCALHOST) } else { IpAddr::V4(Ipv4Addr::LOCALHOST) };
    let port = args.port.unwrap_or(PORT_DEFAULT);
    Target { transport: None, place: Place::Inet(Host::Address(host), port) }
}

fn transport(target: &Target, udp: bool) -> Result<Transport, Complaint> {
    match (target.transport, udp) {
        (None, true) | (Some(Transport::Udp), _) => Ok(Transport::Udp),
        (None, false) => Ok(Transport::Tcp),
        (Some(other), false) => Ok(other),
        (Some(other), true) => Err(Complaint::usage(
            format!("-u asks for UDP, and {target} for {other}"),
            "Leave one of them out.",
        )),
    }
}

/// Tells the target from the message: the first word is a target only in one of its forms.
fn words(words: &[OsString]) -> Result<(Option<Target>, Option<Vec<u8>>), Complaint> {
    let (target, rest) = match words.split_first() {
        Some((first, rest)) => match target(first)? {
            Some(target) => (Some(target), rest),
            None => (None, words),
        },
        None => (None, words),
    };
    let spoken: Vec<&[u8]> = rest.iter().map(|word| word.as_bytes()).collect();
    Ok((target, (!spoken.is_empty()).then(|| spoken.join(&b' '))))
}

/// `tcp://`, `udp://` and `unix:` mean a target, and so does HOST:DIGITS; then mistakes in it are
/// mistakes. Everything else is text.
fn target(word: &OsStr) -> Result<Option<Target>, Complaint> {
    let Some(word) = word.to_str() else { return Ok(None) };
    let scheme = ["tcp://", "udp://", "unix:"].iter().any(|scheme| word.starts_with(scheme));
    match word.parse::<Target>() {
        Ok(target) => Ok(Some(target)),
        Err(error) => {
            let digits = word.rsplit_once(':').is_some_and(|(host, port)| {
                let numeric = !port.is_empty() && port.bytes().all(|b| b.is_ascii_digit());
                numeric && host.parse::<Host>().is_ok()
            });
            if scheme || (digits && matches!(error, TargetError::BadPort(_))) {
                let next = "A target is tcp://HOST:PORT, udp://HOST:PORT, unix:PATH or HOST:PORT.";
                return Err(Complaint::usage(error.to_string(), next));
            }
            Ok(None)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_word_is_a_target_only_in_its_forms() {
        let check = |given: &[&str], expected: &str| {
            let given: Vec<OsString> = given.iter().map(OsString::from).collect();
            let read = match words(&given) {
                Ok((target, message)) => {
                    let target = target.map_or("-".to_owned(), |target| target.to_string());
                    let message = message.map(|bytes| String::from_utf8(bytes).unwrap());
                    format!("{target} {message:?}")
                }
                Err(complaint) => complaint.what,
            };
            assert_eq!(read, expected, "{given:?}");
        };
        check(&[], "- None");
        check(&["hello"], "- Some(\"hello\")");
        check(&["hello", "wide", "world"], "- Some(\"hello wide world\")");
        check(&["tcp://h:1", "hello"], "tcp://h:1 Some(\"hello\")");
        check(&["unix:/s"], "unix:/s None");
        check(&["h:1"], "h:1 None");
        check(&["[::1]:7", "a", "b"], "[::1]:7 Some(\"a b\")");
        check(&["it is 10:30"], "- Some(\"it is 10:30\")");
        check(&["note:", "x"], "- Some(\"note: x\")");
        check(&["http://h:1"], "- Some(\"http://h:1\")");
        check(&["::1:80"], "- Some(\"::1:80\")");
        check(&["a", "h:1"], "- Some(\"a h:1\")");
        check(&[""], "- Some(\"\")");
        check(&["tcp://h"], "\"h\" has no port: write HOST:PORT, such as 127.0.0.1:12000");
        check(
            &["h:99999"],
            "\"99999\" is not a port: a number from 0 to 65535 (16 bits, RFC 9293 section 3.1)",
        );
    }

    #[test]
    fn pauses_are_read() {
        let split = |at, ms| Split { at, gap: Duration::from_millis(ms) };
        assert_eq!("5@20ms".parse(), Ok(split(5, 20)));
        assert_eq!("1Ki@2s".parse(), Ok(split(1024, 2000)));
        for wrong in ["", "5", "5@", "@5ms", "5@5", "-1@5ms"] {
            assert!(wrong.parse::<Split>().is_err(), "{wrong}");
        }
    }
}
