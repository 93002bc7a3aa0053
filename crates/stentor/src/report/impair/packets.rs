//! What `impair --lab` tells: who is where on the link, and what was done to how many packets.

use std::fmt::Write;
use std::time::Duration;

use super::{fates, later};
use crate::drive::lab::{CLIENT, Carried, SERVER, TIER};

/// The lines that say where the programs find each other, and what lies between them.
pub fn lab_ready(link: &str) -> String {
    let link = if link.is_empty() { "nothing is changed" } else { link };
    let ((server, server6), (client, client6)) = (SERVER, CLIENT);
    format!(
        "lab link: the server is {server}, {server6} and 127.0.0.1, the client {client}, {client6} \
         and 127.0.0.2: {link}\n  ({TIER})"
    )
}

/// What was done, in the end.
pub fn lab(carried: &Carried) -> String {
    let mut text = "lab link\n".to_owned();
    let ways = [&carried.up, &carried.down];
    fates(&mut text, "packets", ways.map(|way| &way.link), ways.map(|way| way.inside));
    for (name, [up, down]) in [
        ("refused at the other end", ways.map(|way| way.refused)),
        ("missed: we did not run", ways.map(|way| way.missed)),
    ] {
        if up + down > 0 {
            // Writing to a String cannot fail.
            let _ = writeln!(text, "  {name:<24}{up:>12}{down:>12}");
        }
    }
    let late = &carried.lateness;
    let (mean, worst) = (Duration::from_nanos(late.mean_ns()), Duration::from_nanos(late.worst_ns));
    later(&mut text, late.deliveries, mean, worst);
    text
}
