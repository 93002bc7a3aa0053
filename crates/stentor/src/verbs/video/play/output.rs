//! What a session prints and writes: news while it runs, then the report in every form asked for, and
//! how the run ends.

use std::time::Duration;

use super::Args;
use crate::complaint::{Complaint, Exit};
use crate::drive::video::outcome::{Config, Outcome};
use crate::drive::video::play::News;
use crate::drive::video::play::crowd::Standing;
use crate::report::console::{self, Status};

/// Where the report goes.
#[derive(Debug)]
pub(super) struct Outputs {
    quiet: bool,
    status: Status,
}

impl Outputs {
    /// Opens every file.
    ///
    /// # Errors
    /// A name that does not say its form (exit 2), a file that cannot be made.
    pub(super) fn open(args: &Args) -> Result<Outputs, Complaint> {
        Ok(Outputs { quiet: args.quiet, status: Status::default() })
    }

    /// Shows what happens while a session runs; nothing that moves when `still`, because a person is
    /// being asked.
    pub(super) fn tell(&mut self, news: News<'_>, _still: bool) {
        if let (News::Note(words), false) = (news, self.quiet) {
            console::notice(format!("stentor: {words}"));
        }
    }

    /// Shows how many players fare.
    pub(super) fn stands(&mut self, standing: Standing) {
        let Standing { clients, begun, ended, bytes } = standing;
        if !self.quiet {
            let line = format!("{begun} of {clients} players begun, {ended} ended, {bytes} bytes");
            self.status.show(&line);
        }
    }

    /// Prints how many players fared.
    ///
    /// # Errors
    /// Those of [`Outputs::finish`].
    pub(super) fn finish_all(
        mut self,
        _config: &Config,
        outcomes: &[Outcome],
        took: Duration,
        failed: &[String],
    ) -> Result<Exit, Complaint> {
        self.status.clear();
        let stalls: u64 = outcomes.iter().map(|one| one.metrics.stalls).sum();
        let wrong: u64 = outcomes.iter().map(|one| one.account.wrong_sizes).sum();
        let ended = outcomes.iter().filter(|one| one.trouble.is_none() && !one.interrupted).count();
        console::data(&format!(
            "{ended} of {} played, {stalls} stalls, {wrong} wrong sizes, {took:?}\n",
            outcomes.len()
        ))?;
        if outcomes.iter().any(|one| one.interrupted) {
            return Ok(Exit::Interrupted);
        }
        match outcomes.iter().find_map(|one| one.trouble.as_ref()) {
            Some(trouble) => Err(Complaint::new(Exit::Bad, &trouble.what, &trouble.next)),
            None if failed.is_empty() => Ok(Exit::Good),
            None => Err(Complaint::new(Exit::Bad, failed.join("; "), "")),
        }
    }

    /// Ends a run that came to no session.
    ///
    /// # Errors
    /// Always the complaint, and with it what could not be written.
    pub(super) fn failed(
        self,
        _config: Option<&Config>,
        complaint: Complaint,
    ) -> Result<Exit, Complaint> {
        Err(complaint)
    }

    /// Prints and writes the report. `failed` are the conditions of `--fail-if` that hold.
    ///
    /// # Errors
    /// What could not be written, and why the run does not end with 0.
    pub(super) fn finish(
        self,
        _config: &Config,
        outcome: &Outcome,
        failed: &[String],
    ) -> Result<Exit, Complaint> {
        let metrics = &outcome.metrics;
        console::data(&format!(
            "start-up {:?}, {} stalls of {:?} altogether, {:.0} bit/s on average, {} switches\n",
            metrics.start_up, metrics.stalls, metrics.stalled, metrics.mean_bps, metrics.switches
        ))?;
        match &outcome.trouble {
            _ if outcome.interrupted => Ok(Exit::Interrupted),
            Some(trouble) => Err(Complaint::new(Exit::Bad, &trouble.what, &trouble.next)),
            None if failed.is_empty() => Ok(Exit::Good),
            None => Err(Complaint::new(Exit::Bad, failed.join("; "), "")),
        }
    }
}
