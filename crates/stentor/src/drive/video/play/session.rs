//! One session: the player machine of the core, driven by sockets and the clock.
//!
//! A download is a future of its own, polled beside the player's alarm; dropping it gives the download
//! up. What is witnessed goes to a [`Witness`]: a report wants all of it, a crowd only counts.

use std::cell::RefCell;
use std::collections::VecDeque;
use std::future::Future;
use std::ops::Deref;
use std::os::fd::OwnedFd;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll};

use stentor_core::manifest::ByteRange;
use stentor_core::moment::Moment;
use stentor_core::video::abr::Choice;
use stentor_core::video::film::{CHUNK_BYTES_MAX, Film};
use stentor_core::video::player::{Input, Output, Player};
use stentor_core::video::session::Event;
use tokio::time::{Instant, Sleep};
use url::Url;

use super::counsel::{Asked, Counsel};
use super::script::Script;
use super::web::{Fault, Web};
use crate::drive::race::now;
use crate::drive::video::outcome::Trouble;

/// Sees what happens.
pub(super) trait Witness {
    /// Something happened.
    fn event(&mut self, event: &Event);
    /// Bytes of a chunk have come, as many as in `read`.
    fn read(&mut self, read: &Read<'_>);
    /// A download failed.
    fn failed(&mut self, at: Moment, chunk: usize, quality: usize, fault: &Fault);
}

/// What is known when bytes have come.
pub(super) struct Read<'a> {
    pub(super) at: Moment,
    pub(super) level: std::time::Duration,
    pub(super) buffered_bytes: &'a dyn Fn() -> u64,
    /// Since the last time.
    pub(super) bytes: u64,
    pub(super) socket: Option<&'a OwnedFd>,
}

/// How a session ended by itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum End {
    /// The last picture was shown.
    Played,
    /// It could not go on.
    Stopped(Trouble),
}

/// What a download has to say while it runs.
#[derive(Default)]
struct Post {
    inputs: VecDeque<(Moment, Input)>,
    socket: Option<Rc<OwnedFd>>,
}

type Mail = Rc<RefCell<Post>>;
type Download<'a> = Pin<Box<dyn Future<Output = Result<u64, Fault>> + 'a>>;
type Answer<'a> = Pin<Box<dyn Future<Output = Result<Choice, Trouble>> + 'a>>;

/// Drives `player` through its film. Moments count from `begun`.
pub(super) async fn drive<F: Deref<Target = Film>>(
    player: &mut Player<F>,
    script: &Script,
    web: &Web,
    counsel: Option<&Counsel>,
    witness: &mut dyn Witness,
    begun: Moment,
) -> (End, Moment) {
    let mut session = Session {
        player,
        script,
        web,
        counsel,
        witness,
        begun,
        mail: Mail::default(),
        download: None,
        answer: None,
        came: 0,
        place: (0, 0),
        last: None,
        sleep: Box::pin(tokio::time::sleep_until(Instant::now())),
    };
    let end = session.run().await;
    (end, session.now())
}

struct Session<'a, F> {
    player: &'a mut Player<F>,
    script: &'a Script,
    web: &'a Web,
    counsel: Option<&'a Counsel>,
    witness: &'a mut dyn Witness,
    begun: Moment,
    mail: Mail,
    download: Option<Download<'a>>,
    answer: Option<Answer<'a>>,
    /// Bytes of the chunk that is on its way.
    came: u64,
    /// Its number and quality.
    place: (usize, usize),
    /// Why the last download failed.
    last: Option<Fault>,
    sleep: Pin<Box<Sleep>>,
}

impl<F: Deref<Target = Film>> Session<'_, F> {
    fn now(&self) -> Moment {
        Moment::START + now().since(self.begun)
    }

    async fn run(&mut self) -> End {
        loop {
            let now = self.now();
            match self.player.poll(now) {
                Output::Event(event) => self.witness.event(&event),
                Output::Request { chunk, quality } => self.request(chunk, quality),
                Output::Cancel => self.download = None,
                Output::Ask => {
                    let Some(counsel) = self.counsel else {
                        let what = "nobody is there to choose a quality".to_owned();
                        return End::Stopped(Trouble { what, next: String::new() });
                    };
                    let asked = Asked::of(&self.player.view(now), self.player.last_download());
                    self.answer = Some(Box::pin(counsel.ask(asked)));
                }
                Output::Wait(until) => {
                    if let Some(end) = self.wait(Some(until)).await {
                        return end;
                    }
                }
                Output::Idle => {
                    if let Some(end) = self.wait(None).await {
                        return end;
                    }
                }
                Output::Ended => return End::Played,
                Output::GaveUp => return End::Stopped(self.gave_up()),
            }
        }
    }

    fn gave_up(&self) -> Trouble {
        let (chunk, _) = self.place;
        let (what, next) = match &self.last {
            Some(fault) => (fault.what.as_str(), fault.next.as_str()),
            None => ("", ""),
        };
        let next = match next {
            "" => "The origin's log says more; --retries N tries oftener.".to_owned(),
            next => next.to_owned(),
        };
        Trouble { what: format!("chunk {chunk} could not be had in any quality: {what}"), next }
    }

    fn request(&mut self, chunk: usize, quality: usize) {
        self.place = (chunk, quality);
        self.came = 0;
        let mail = Mail::default();
        self.mail = Rc::clone(&mail);
        let (web, begun) = (self.web, self.begun);
        let address = self.script.address(chunk, quality);
        self.download = Some(Box::pin(async move {
            let (url, range) = address?;
            fetch(web, &url, range, &mail, begun).await
        }));
    }

    /// Waits until something came, or until a moment; an end if an answer was none.
    async fn wait(&mut self, until: Option<Moment>) -> Option<End> {
        if let Some(until) = until {
            let due = Instant::now() + until.since(self.now());
            self.sleep.as_mut().reset(due);
        }
        let news = std::future::poll_fn(|cx| self.poll_news(cx, until.is_some())).await;
        let mut inputs = std::mem::take(&mut self.mail.borrow_mut().inputs);
        for (at, input) in inputs.drain(..) {
            self.player.handle(at, input);
            self.witness_read(at, input);
        }
        let now = self.now();
        match news {
            News::Alarm => {}
            News::Downloaded(Ok(bytes)) => self.player.handle(now, Input::Complete { bytes }),
            News::Downloaded(Err(fault)) => {
                let (chunk, quality) = self.place;
                self.witness.failed(now, chunk, quality, &fault);
                self.last = Some(fault);
                self.player.handle(now, Input::Failed);
            }
            News::Chosen(Ok(choice)) => self.player.handle(now, Input::Choice(choice)),
            News::Chosen(Err(trouble)) => return Some(End::Stopped(trouble)),
        }
        None
    }

    fn witness_read(&mut self, at: Moment, input: Input) {
        let Input::Progress { bytes } = input else { return };
        let fresh = bytes.saturating_sub(self.came);
        self.came = bytes;
        let socket = self.mail.borrow().socket.clone();
        let player = &*self.player;
        self.witness.read(&Read {
            at,
            level: player.buffer().level(at),
            buffered_bytes: &|| player.buffered_bytes(at),
            bytes: fresh,
            socket: socket.as_deref(),
        });
    }

    fn poll_news(&mut self, cx: &mut Context<'_>, timed: bool) -> Poll<News> {
        if let Some(download) = &mut self.download
            && let Poll::Ready(done) = download.as_mut().poll(cx)
        {
            self.download = None;
            return Poll::Ready(News::Downloaded(done));
        }
        if let Some(answer) = &mut self.answer
            && let Poll::Ready(choice) = answer.as_mut().poll(cx)
        {
            self.answer = None;
            return Poll::Ready(News::Chosen(choice));
        }
        let came = !self.mail.borrow().inputs.is_empty();
        if came || (timed && self.sleep.as_mut().poll(cx).is_ready()) {
            return Poll::Ready(News::Alarm);
        }
        Poll::Pending
    }
}

enum News {
    Alarm,
    Downloaded(Result<u64, Fault>),
    Chosen(Result<Choice, Trouble>),
}

/// Fetches a chunk and throws it away; what came goes to `mail` with its moment. Its length is checked
/// against what was announced and what was asked for.
async fn fetch(
    web: &Web,
    url: &Url,
    range: Option<ByteRange>,
    mail: &Mail,
    begun: Moment,
) -> Result<u64, Fault> {
    let at = || Moment::START + now().since(begun);
    let mut reply = web.get(url, range).await?;
    {
        let mut post = mail.borrow_mut();
        post.socket.clone_from(&reply.socket);
        post.inputs.push_back((at(), Input::Begins { size_bytes: reply.length }));
    }
    let too_large = |bytes: u64| {
        let what = format!("a chunk of {bytes} bytes: {CHUNK_BYTES_MAX} are believable");
        Fault::of(url, what, "stentor video check URL measures the whole film.")
    };
    if let Some(bytes) = reply.length.filter(|bytes| *bytes > CHUNK_BYTES_MAX) {
        return Err(too_large(bytes));
    }
    let mut came = 0;
    while reply.piece().await?.is_some() {
        let bytes = reply.bytes();
        let input = match came {
            0 => Input::Burst { bytes },
            _ => Input::Progress { bytes },
        };
        mail.borrow_mut().inputs.push_back((at(), input));
        came = bytes;
        if bytes > CHUNK_BYTES_MAX {
            return Err(too_large(bytes));
        }
    }
    let bytes = reply.bytes();
    if let Some(range) = range.filter(|range| range.length != bytes) {
        let what = format!("{bytes} bytes came of a range of {}", range.length);
        return Err(Fault::of(url, what, "The manifest names more than the file has."));
    }
    web.keep(reply);
    match bytes {
        0 => Err(Fault::of(url, "an empty body", "")),
        bytes => Ok(bytes),
    }
}
