//! The picture that moves while a session runs: drawn a few times a second by a thread of its own, so
//! that it goes on while nothing comes, and the session never waits for a terminal.
//!
//! What it looks like is in `report::video::play::live`, how lines are drawn over one another in
//! `report::console`.

use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use crate::drive::video::play::News;
use crate::report::console::{self, Picture};
use crate::report::video::play::live::Live;

/// From a picture to the next: a few a second, which the eye can follow.
const REDRAWN: Duration = Duration::from_millis(125);

/// The picture and its thread.
#[derive(Debug)]
pub(super) struct Screen {
    shared: Arc<Shared>,
    painter: Option<JoinHandle<()>>,
}

#[derive(Debug)]
struct Shared {
    shown: Mutex<Shown>,
    over: Condvar,
}

/// What the picture shows.
#[derive(Debug)]
struct Shown {
    live: Live,
    picture: Picture,
    /// When news last came: the session has gone on since.
    told: Instant,
    still: bool,
    over: bool,
}

impl Screen {
    /// Nothing is drawn before there are news.
    pub(super) fn new(live: Live) -> Screen {
        let (picture, told) = (Picture::default(), Instant::now());
        let shown = Shown { live, picture, told, still: false, over: false };
        let shared = Shared { shown: Mutex::new(shown), over: Condvar::new() };
        Screen { shared: Arc::new(shared), painter: None }
    }

    /// Takes news; nothing moves while `still`. Where there is no terminal, notes are all there is.
    pub(super) fn tell(&mut self, news: News<'_>, still: bool) {
        let mut shown = self.shared.shown();
        shown.told = Instant::now();
        shown.still = still;
        if let News::Note(words) = news {
            shown.picture.clear();
            return console::notice(format!("stentor: {words}"));
        }
        shown.live.take(news);
        if still {
            return shown.picture.clear();
        }
        let drawn = shown.picture.room().is_some();
        drop(shown);
        if drawn && self.painter.is_none() {
            let shared = Arc::clone(&self.shared);
            // Without a thread there is no picture, and the session is as good.
            self.painter = thread::Builder::new().spawn(move || shared.paint()).ok();
        }
    }

    /// One request is for all of the film.
    pub(super) fn stream(&self) {
        self.shared.shown().live.stream();
    }

    /// Takes the picture away, for good.
    pub(super) fn end(&mut self) {
        self.shared.shown().over = true;
        self.shared.over.notify_all();
        if let Some(painter) = self.painter.take() {
            // A painter that failed has nothing more to say.
            let _ = painter.join();
        }
        self.shared.shown().picture.clear();
    }
}

impl Drop for Screen {
    fn drop(&mut self) {
        self.end();
    }
}

impl Shared {
    fn shown(&self) -> MutexGuard<'_, Shown> {
        // A picture is whole between two lines of code, whoever failed.
        self.shown.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn paint(&self) {
        let mut shown = self.shown();
        while !shown.over {
            shown.draw();
            let waited = self.over.wait_timeout(shown, REDRAWN);
            shown = waited.unwrap_or_else(PoisonError::into_inner).0;
        }
    }
}

impl Shown {
    fn draw(&mut self) {
        let Some((columns, _)) = self.picture.room().filter(|_| !self.still) else { return };
        let lines = self.live.lines(columns, self.told.elapsed());
        self.picture.show(&lines);
    }
}
