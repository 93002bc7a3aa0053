//! Carries out a plan: hop after hop, until a reply that is no redirect.
//!
//! Nothing is printed here: what came is handed to the caller, and so it serves a lesson, too.

use std::collections::BTreeSet;

use stentor_os::failure::Failure;
use stentor_os::signal::Interrupts;
use tokio::runtime::{Builder, Runtime};

use super::account::{Hop, Report};
use super::hop::Leg;
use super::plan::Plan;
use super::redirect;
use crate::complaint::{Complaint, Exit};
use crate::drive::race::now;

/// What a fetch hands on while it runs.
#[derive(Debug)]
pub enum Piece<'a> {
    /// Bytes to show, as the plan asked: of the body, of the head, or raw.
    Bytes(&'a [u8]),
    /// A hop that is over and sends us on.
    Redirected(&'a Hop),
}

/// Takes what a fetch hands on; its complaint ends the fetch.
pub type Deliver<'a> = dyn FnMut(Piece<'_>) -> Result<(), Complaint> + 'a;

/// Fetches as planned and gives an account of it, however it ended.
///
/// Blocks; makes a runtime of its own. A signal in `interrupts` ends it with
/// [`Exit::Interrupted`]; with `None` signals are left to their default.
pub fn fetch(plan: &Plan, interrupts: Option<&Interrupts>, deliver: &mut Deliver<'_>) -> Report {
    let began = now();
    let mut report = Report { began, ended: began, hops: Vec::new(), trouble: None };
    report.trouble = match Builder::new_current_thread().enable_all().build() {
        Ok(runtime) => walk(plan, interrupts, deliver, &runtime, &mut report.hops).err(),
        Err(error) => Some(Failure::new("start", "the async runtime", error).into()),
    };
    report.ended = now();
    report
}

fn walk(
    plan: &Plan,
    interrupts: Option<&Interrupts>,
    deliver: &mut Deliver<'_>,
    runtime: &Runtime,
    hops: &mut Vec<Hop>,
) -> Result<(), Complaint> {
    let mut plan = plan.clone();
    let mut tls = None;
    let mut visited = BTreeSet::new();
    loop {
        visited.insert(plan.url.clone());
        let mut hop = Hop::new(plan.url.clone());
        let leg = Leg { plan: &plan, interrupts, runtime };
        let mut outcome = leg.run(&mut hop, &mut tls, deliver);
        if outcome.is_ok() {
            outcome = match hop.redirect.clone() {
                None => verdict(&plan, &hop),
                Some(next) => onward(&mut plan, &mut hop, next, &visited, hops.len())
                    .and_then(|()| deliver(Piece::Redirected(&hop))),
            };
        }
        let last = hop.redirect.is_none();
        hops.push(hop);
        outcome?;
        if last {
            return Ok(());
        }
    }
}

/// Turns the plan to where the reply sends us. Complaints (exit 1): too many redirects, or a loop.
fn onward(
    plan: &mut Plan,
    hop: &mut Hop,
    next: url::Url,
    visited: &BTreeSet<url::Url>,
    followed: usize,
) -> Result<(), Complaint> {
    // The same question without a cookie or a changed header has the same answer: a loop.
    if visited.contains(&next) {
        let what = format!("{} redirects to {next}, where we have been: a loop", hop.url);
        return Err(Complaint::new(Exit::Bad, what, "--no-redirect shows the reply itself."));
    }
    let allowed = plan.redirects_max.unwrap_or_default();
    if followed >= usize::try_from(allowed).unwrap_or(usize::MAX) {
        let what = format!("{} redirects to {next}, after {followed} redirects", hop.url);
        return Err(Complaint::new(Exit::Bad, what, "--max-redirects N follows more."));
    }
    if hop.url.scheme() == "https" && next.scheme() == "http" {
        hop.warnings.push(format!("{next} is not encrypted any more (https leads to http)"));
    }
    if !redirect::same_origin(&hop.url, &next) {
        let left = plan.forget_secrets();
        if !left.is_empty() {
            hop.warnings.push(format!("not sent to another server: {}", left.join(", ")));
        }
    }
    plan.url = next;
    Ok(())
}

fn verdict(plan: &Plan, hop: &Hop) -> Result<(), Complaint> {
    match &hop.head {
        Some(head) if head.status >= 400 => {
            let said = format!("{} {}", head.status, head.reason);
            let what =
                format!("{} {}: the server answered {}", plan.method(), hop.url, said.trim());
            Err(Complaint::new(Exit::Bad, what, ""))
        }
        Some(_) | None => Ok(()),
    }
}
