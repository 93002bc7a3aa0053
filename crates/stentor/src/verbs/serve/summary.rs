//! What a service did, for people; and its plan as JSON says it.

use std::fmt::Write;

use stentor_core::service::Case;
use stentor_core::service::counters::{CloseReason, Counters, RefuseReason};
use stentor_core::service::datagram::Dropped;

use crate::drive::serve::{Address, Plan};
use crate::report::json::serve::Config;

/// The counters as a short block; a line without anything to tell is left out.
pub(super) fn text(counters: &Counters) -> String {
    let mut text = String::new();
    let closed = reasons(CloseReason::ALL.map(CloseReason::name), counters.closed);
    let dropped = reasons(Dropped::ALL.map(Dropped::name), counters.dropped);
    let refused = reasons(RefuseReason::ALL.map(RefuseReason::name), counters.refused);
    // Writing to a String cannot fail.
    let _ = writeln!(
        text,
        "connections  {} accepted = {} closed{closed} + {} open; {} bytes in, {} out",
        counters.accepted,
        counters.closed_total(),
        counters.open,
        counters.stream.received,
        counters.stream.sent,
    );
    let _ = writeln!(
        text,
        "datagrams    {} in = {} replies + {} dropped{dropped}; {} bytes in, {} out",
        counters.datagrams_in,
        counters.replies,
        counters.dropped_total(),
        counters.datagram.received,
        counters.datagram.sent,
    );
    if counters.cut > 0 {
        let _ =
            writeln!(text, "cut          {} datagrams longer than the service takes", counters.cut);
    }
    if counters.extra_replies > 0 {
        let _ = writeln!(text, "by fault     {} more datagrams sent", counters.extra_replies);
    }
    if counters.segment_refusals > 0 {
        let times = counters.segment_refusals;
        let _ = writeln!(text, "one by one   answers left {times} times, for want of UDP_SEGMENT");
    }
    if !refused.is_empty() {
        let _ = writeln!(text, "refused     {refused}");
    }
    if counters.accept_errors > 0 {
        let _ = writeln!(text, "accept       failed {} times", counters.accept_errors);
    }
    text
}

/// ` (by_client 3, reset 1)`, or nothing.
fn reasons<const N: usize>(names: [&'static str; N], counts: [u64; N]) -> String {
    let told = names.iter().zip(counts).filter(|(_, count)| *count > 0);
    let told: Vec<String> = told.map(|(name, count)| format!("{name} {count}")).collect();
    if told.is_empty() { String::new() } else { format!(" ({})", told.join(", ")) }
}

/// An address as a target on the command line.
pub(super) fn word(address: &Address) -> String {
    match address {
        Address::Tcp(address) => format!("tcp://{address}"),
        Address::Udp(address) => format!("udp://{address}"),
        Address::Unix(path) => format!("unix:{}", path.display()),
    }
}

/// The plan, as JSON says it.
pub(super) fn config(plan: &Plan) -> Config {
    let ns = |span: std::time::Duration| u64::try_from(span.as_nanos()).unwrap_or(u64::MAX);
    Config {
        addresses: plan.addresses.iter().map(|wanted| word(&wanted.address)).collect(),
        service: plan.contract.service.name(),
        case: match plan.contract.case {
            Case::Unicode => "unicode",
            Case::Ascii => "ascii",
        },
        mode: format!("{:?}", plan.mode).to_lowercase(),
        threads: plan.threads,
        faults: plan.faults.to_string(),
        seed: plan.seed.0,
        backlog: plan.limits.backlog,
        max_conns: plan.limits.connections,
        idle_ns: ns(plan.limits.idle),
        after_fin_ns: ns(plan.limits.after_fin),
        write_stall_ns: ns(plan.limits.write_stall),
        drain_ns: ns(plan.limits.drain),
        udp_mute: plan.guard.is_some(),
        once: plan.once,
        spin: plan.spin,
        congestion: plan.congestion.clone(),
    }
}
