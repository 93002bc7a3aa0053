//! The player's sockets: manifests and chunks over HTTP, every read timed.
//!
//! `web` carries HTTP, `script` makes a film of a manifest, `session` drives the core's player,
//! `counsel` asks whoever chooses in place of a rule, `crowd` runs many players at once. What a person
//! sees of it is left to the verb and to `report`.

pub mod counsel;
pub mod crowd;
pub mod progressive;
mod recorder;
pub mod script;
mod session;
pub mod web;

use std::os::fd::AsFd;
use std::sync::Arc;

use stentor_core::moment::Moment;
use stentor_core::video::buffer::Policy;
use stentor_core::video::film::Film;
use stentor_core::video::metrics::Metrics;
use stentor_core::video::player::{Chooser, Player, Retries};
use stentor_core::video::session::Event;
use stentor_os::failure::Failure;
use stentor_os::signal::Interrupts;
use tokio::net::UnixStream;
use tokio::runtime::{Builder, Runtime};
use url::Url;

use self::counsel::Counsel;
use self::recorder::Recorder;
use self::script::{Found, Looked, Script};
use self::session::End;
use self::web::{Fault, Way, Web};
use super::outcome::{Outcome, Sample};
use crate::complaint::{Complaint, Exit};
use crate::drive::race::now;

/// What a session says while it runs.
#[derive(Clone, Copy, Debug)]
pub enum News<'a> {
    /// What will be played; comes first.
    Film(&'a Film),
    /// Something happened.
    Event(&'a Event),
    /// What the buffers hold now.
    Sample(&'a Sample),
    /// Something is odd, or failed and is tried again.
    Note(&'a str),
}

/// How chunks are played.
#[derive(Debug)]
pub struct Plan {
    /// How much is buffered, and when playing begins.
    pub policy: Policy,
    /// What chooses.
    pub chooser: Chooser,
    /// Who chooses, for [`Chooser::Outside`].
    pub counsel: Option<Counsel>,
    /// What is done about failures.
    pub retries: Retries,
}

/// A network with an origin in it, and a runtime to reach it.
#[derive(Debug)]
pub struct Session<'a> {
    web: Web,
    runtime: Option<Runtime>,
    interrupts: &'a Interrupts,
}

impl<'a> Session<'a> {
    /// Prepares to reach origins.
    ///
    /// # Errors
    /// The runtime cannot be started.
    pub fn new(way: Way, interrupts: &'a Interrupts) -> Result<Session<'a>, Complaint> {
        let runtime = Builder::new_current_thread().enable_all().build();
        let runtime = runtime.map_err(|error| Failure::new("start", "the async runtime", error))?;
        Ok(Session { web: Web::new(way, true), runtime: Some(runtime), interrupts })
    }

    /// How origins are reached by now.
    pub fn way(&self) -> Way {
        self.web.way()
    }

    /// Runs a future until it or a signal comes; `None`: a signal did.
    ///
    /// # Errors
    /// The signal pipe cannot be watched.
    pub fn block_on<T>(&self, work: impl Future<Output = T>) -> Result<Option<T>, Complaint> {
        let Some(runtime) = &self.runtime else { return Ok(None) };
        let interrupts = self.interrupts;
        runtime.block_on(async {
            let pipe = interrupts.as_fd().try_clone_to_owned();
            let pipe = pipe.and_then(|pipe| UnixStream::from_std(pipe.into()));
            let pipe = pipe.map_err(|error| Failure::new("watch", "the signals", error))?;
            tokio::select! {
                biased;
                _ = pipe.readable() => Ok(None),
                done = work => Ok(Some(done)),
            }
        })
    }

    /// Finds out what `url` is, and what there is to play.
    ///
    /// # Errors
    /// It cannot be reached (exit 3), is nothing that can be played (exit 1), or a signal came (130).
    pub fn find(&self, url: &Url) -> Result<Found, Complaint> {
        self.found(url, script::find(&self.web, url))
    }

    /// Finds out whether `url` is one file.
    ///
    /// # Errors
    /// As [`Session::find`].
    pub fn look(&self, url: &Url) -> Result<Looked, Complaint> {
        self.found(url, script::look(&self.web, url))
    }

    fn found<T>(
        &self,
        url: &Url,
        work: impl Future<Output = Result<T, Fault>>,
    ) -> Result<T, Complaint> {
        match self.block_on(work)? {
            Some(found) => Ok(found?),
            None => {
                let what = format!("interrupted while fetching {url}");
                Err(Complaint::new(Exit::Interrupted, what, ""))
            }
        }
    }

    /// Fetches a text of at most `bytes_max`.
    ///
    /// # Errors
    /// It cannot be reached (exit 3) or had (1), it is longer (1), or a signal came (130).
    pub fn text(&self, url: &Url, bytes_max: u64) -> Result<Vec<u8>, Complaint> {
        let fetch = async {
            let mut reply = self.web.get(url, None).await?;
            let mut text = Vec::new();
            while let Some(piece) = reply.piece().await? {
                text.extend_from_slice(&piece);
                if reply.bytes() > bytes_max {
                    return Err(Fault::of(url, format!("it has more than {bytes_max} bytes"), ""));
                }
            }
            Ok(text)
        };
        match self.block_on(fetch)? {
            Some(text) => Ok(text?),
            None => {
                let what = format!("interrupted while fetching {url}");
                Err(Complaint::new(Exit::Interrupted, what, ""))
            }
        }
    }

    /// Plays what was found, chunk by chunk.
    ///
    /// # Errors
    /// The signal pipe cannot be watched; everything else is in the outcome.
    pub fn play(
        &self,
        script: Arc<Script>,
        plan: Plan,
        tell: &mut dyn FnMut(News<'_>),
    ) -> Result<Outcome, Complaint> {
        let Plan { policy, chooser, counsel, retries } = plan;
        tell(News::Film(&script.film));
        for note in &script.notes {
            tell(News::Note(note));
        }
        let opened = self.web.opened();
        let mut recorder = Recorder::new(&script, tell);
        let mut player = Player::new(Arc::clone(&script.film), policy, chooser, retries);
        let begun = now();
        let (web, counsel) = (&self.web, counsel.as_ref());
        let ended = self.block_on(session::drive(
            &mut player,
            &script,
            web,
            counsel,
            &mut recorder,
            begun,
        ))?;
        let interrupted = ended.is_none();
        let (end, at) = match ended {
            Some((End::Played, at)) => (None, at),
            Some((End::Stopped(trouble), at)) => (Some(trouble), at),
            None => (None, Moment::START + now().since(begun)),
        };
        let (events, samples, mut account) = recorder.end();
        // The last picture was shown at its own moment, not when the clock was read.
        let at = match (end.is_none() && !interrupted, events.last()) {
            (true, Some(event)) => event.at,
            _ => at,
        };
        account.connections = self.web.opened() - opened;
        account.began = begun;
        Ok(Outcome {
            metrics: Metrics::of(&script.film, &events, at),
            film: Arc::clone(&script.film),
            policy,
            events,
            samples,
            end: at,
            interrupted,
            trouble: end,
            account,
        })
    }
}

impl Drop for Session<'_> {
    /// A resolver that does not answer is not waited for.
    fn drop(&mut self) {
        if let Some(runtime) = self.runtime.take() {
            runtime.shutdown_background();
        }
    }
}
