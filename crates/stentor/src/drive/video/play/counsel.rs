//! Who chooses when no rule does: a program or a person, on a thread of its own, so that the buffer
//! plays on while they think.

use std::fmt;
use std::sync::mpsc;
use std::thread;
use std::time::Duration;

use stentor_core::video::abr::{Choice, Rule, View};
use stentor_core::video::estimate::Estimate;
use stentor_core::video::session::Download;
use stentor_os::failure::Failure;
use tokio::sync::oneshot;

use crate::complaint::Complaint;
use crate::drive::video::outcome::Trouble;

/// What somebody is asked who chooses a quality.
#[derive(Clone, Debug, PartialEq)]
pub struct Asked {
    /// The chunk that is next, from 0.
    pub chunk: usize,
    /// How many there are.
    pub chunks: usize,
    /// How long it plays.
    pub duration: Duration,
    /// How much is buffered.
    pub level: Duration,
    /// How much the buffer holds.
    pub capacity: Duration,
    /// The quality of the chunk before.
    pub last: Option<usize>,
    /// What the next download is expected to meet.
    pub estimate: Option<Estimate>,
    /// The chunk's size in each quality, in bytes.
    pub sizes_bytes: Vec<u64>,
    /// The rate of each quality, in bit/s.
    pub rates_bps: Vec<u64>,
    /// The download before.
    pub download: Option<Download>,
    /// What the throughput rule would do.
    pub advice: usize,
}

impl Asked {
    /// What a view and the last download say.
    pub fn of(view: &View<'_>, download: Option<&Download>) -> Asked {
        let film = view.film;
        let sizes = film.chunks().get(view.chunk).map(|chunk| chunk.bytes.clone());
        let advice = Rule::named("throughput", film).map(|mut rule| rule.choose(view).quality);
        Asked {
            chunk: view.chunk,
            chunks: film.chunks().len(),
            duration: film.duration(view.chunk),
            level: view.level,
            capacity: view.capacity,
            last: view.last,
            estimate: view.estimate,
            sizes_bytes: sizes.unwrap_or_default(),
            rates_bps: film.rates().iter().map(|rate| rate.0).collect(),
            download: download.copied(),
            advice: advice.unwrap_or(0),
        }
    }
}

/// How somebody answers.
pub type Choose = Box<dyn FnMut(&Asked) -> Result<Choice, Trouble> + Send>;

type Question = (Asked, oneshot::Sender<Result<Choice, Trouble>>);

/// Somebody who chooses.
pub struct Counsel {
    questions: Option<mpsc::Sender<Question>>,
    /// Who is waited for at the end, because they take their leave.
    thread: Option<thread::JoinHandle<()>>,
}

impl fmt::Debug for Counsel {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Counsel").finish_non_exhaustive()
    }
}

impl Counsel {
    /// Lets `choose` answer. With `leaves` its end is waited for, which takes as long as an answer at
    /// most; a person at a terminal is not waited for.
    ///
    /// # Errors
    /// No thread can be started.
    pub fn new(mut choose: Choose, leaves: bool) -> Result<Counsel, Complaint> {
        let (questions, asked) = mpsc::channel::<Question>();
        let answer = move || {
            for (asked, reply) in asked {
                let choice = choose(&asked).and_then(|choice| known(&asked, choice));
                // Whoever asked may have gone.
                let _ = reply.send(choice);
            }
        };
        let started = thread::Builder::new().name("counsel".into()).spawn(answer);
        let thread =
            started.map_err(|error| Failure::new("start a thread", "for choices", error))?;
        Ok(Counsel { questions: Some(questions), thread: leaves.then_some(thread) })
    }

    /// Asks; the future may be dropped.
    pub(super) async fn ask(&self, asked: Asked) -> Result<Choice, Trouble> {
        let (reply, answer) = oneshot::channel();
        let sent = self.questions.as_ref().is_some_and(|to| to.send((asked, reply)).is_ok());
        match answer.await {
            Ok(choice) if sent => choice,
            _ => Err(Trouble {
                what: "nobody is there any more to choose a quality".to_owned(),
                next: String::new(),
            }),
        }
    }
}

impl Drop for Counsel {
    fn drop(&mut self) {
        self.questions = None;
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

/// A choice among the qualities that there are.
///
/// # Errors
/// There is no such quality.
pub fn known(asked: &Asked, choice: Choice) -> Result<Choice, Trouble> {
    let count = asked.rates_bps.len();
    match choice.quality < count {
        true => Ok(choice),
        false => Err(Trouble {
            what: format!("quality {} was chosen for chunk {}", choice.quality, asked.chunk),
            next: format!("The film has qualities 0 to {}.", count.saturating_sub(1)),
        }),
    }
}
