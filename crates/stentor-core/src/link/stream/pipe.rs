//! One direction of one connection: toxics in a chain, with a bounded store.

use std::collections::VecDeque;

use super::stage::{PIECES_MAX, PLACES_KEPT, Piece, Stage};
use super::toxic::Named;
use crate::moment::Moment;
use crate::seed::Seed;

/// The most bytes that wait in one direction of one connection, unless the driver says otherwise.
pub const BUFFER_MAX: usize = 4 << 20;

/// The most bytes that may be due while the receiver takes none, before the pipe has no more room.
/// A reader that is slow thus slows the sender down, as without a proxy; what the toxics hold is
/// theirs.
const DUE_MAX: usize = 256 << 10;

/// What the driver has to do next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Output<'a> {
    /// Send these bytes, which were due at this moment, then say [`Pipe::sent`] how many the
    /// kernel took.
    Send(Moment, &'a [u8]),
    /// Nothing before this moment.
    Wait(Moment),
    /// Nothing until more bytes are handled.
    Idle,
    /// End this direction in order (shutdown(2), SHUT_WR); the other goes on. Said once.
    Finish,
    /// Close both directions in order. Said for ever.
    Close,
    /// Reset the connection (SO_LINGER of 0, then close: socket(7)). Said for ever.
    Reset,
}

/// One direction of one connection.
#[derive(Clone, Debug)]
pub struct Pipe {
    stages: Vec<Stage>,
    /// What has left the last stage, and when; of the first, `gone` bytes are sent.
    out: VecDeque<(Moment, Piece)>,
    gone: usize,
    out_bytes: usize,
    now: Moment,
    seed: Seed,
    name: String,
    buffer_max: usize,
    /// The end of the stream was handed in.
    finished: bool,
    /// A reset by the source was.
    reset: bool,
    /// How the stream ends was put out.
    ended: bool,
}

impl Pipe {
    /// A direction that began at `now`; `name` tells it from all others of the run (such as
    /// `web/down/17`: proxy, direction and number of the connection), and its dice are named after
    /// it. It holds at most about `buffer_max` bytes ([`BUFFER_MAX`]).
    pub fn new(now: Moment, toxics: &[Named], seed: Seed, name: &str, buffer_max: usize) -> Pipe {
        Pipe {
            stages: toxics.iter().map(|named| Stage::new(now, named, seed, name)).collect(),
            out: VecDeque::new(),
            gone: 0,
            out_bytes: 0,
            now,
            seed,
            name: name.to_owned(),
            buffer_max,
            finished: false,
            reset: false,
            ended: false,
        }
    }

    /// Changes the chain at `now`. A toxic whose name and kind were there keeps what it holds and
    /// counted, and if it changed, what it holds is timed anew; what is held by one that is gone
    /// passes on at once, in order. New ones stand where the list says. If the list has kept ones in
    /// another order, everything held passes on at once and all begin anew.
    pub fn set(&mut self, now: Moment, toxics: &[Named]) {
        self.advance(now);
        let same = |stage: &Stage, named: &Named| {
            stage.named.name == named.name
                && std::mem::discriminant(&stage.named.toxic)
                    == std::mem::discriminant(&named.toxic)
        };
        let old = std::mem::take(&mut self.stages);
        let place = |stage: &Stage| toxics.iter().position(|named| same(stage, named));
        let kept: Vec<usize> = old.iter().filter_map(place).collect();
        let in_order = kept.is_sorted_by(|one, next| one < next);
        // What the stages that are gone held, on its way to the next one that stays.
        let mut carried: Vec<Piece> = Vec::new();
        let mut staying: VecDeque<Stage> = VecDeque::new();
        for mut stage in old {
            match place(&stage).and_then(|place| toxics.get(place)).filter(|_| in_order) {
                Some(named) => {
                    carried.drain(..).for_each(|piece| stage.take(self.now, piece));
                    stage.set(self.now, named);
                    staying.push_back(stage);
                }
                None => {
                    let mut first = stage.dissolve();
                    first.append(&mut carried);
                    carried = first;
                }
            }
        }
        for piece in carried {
            self.put(self.now, piece);
        }
        for named in toxics {
            let stays = staying.pop_front_if(|stage| same(stage, named));
            let made = || Stage::new(self.now, named, self.seed, &self.name);
            let stage = stays.unwrap_or_else(made);
            self.stages.push(stage);
        }
        self.advance(now);
    }

    /// How many bytes it may be handed now: read no more than this. 0 once it has ended.
    pub fn room(&self) -> usize {
        if self.finished || self.ended || self.out_bytes >= DUE_MAX {
            return 0;
        }
        let queues = self.stages.iter().filter_map(Stage::queue_room);
        queues.fold(self.buffer_max.saturating_sub(self.holds()), usize::min)
    }

    /// Takes bytes that came at `now`; those behind an end are thrown away.
    pub fn handle(&mut self, now: Moment, bytes: &[u8]) {
        if !bytes.is_empty() && !self.finished {
            self.enter(now, Piece::Bytes(bytes.to_vec()));
        }
    }

    /// Takes the end of the stream (a FIN), which passes behind all bytes before it.
    pub fn finish(&mut self, now: Moment) {
        if !self.finished {
            self.finished = true;
            self.enter(now, Piece::End);
        }
    }

    /// Takes a reset by the source, which passes behind all bytes before it, as late as they: only
    /// what the receiver did not take by then is lost, as on a network. Nothing comes after it.
    pub fn reset(&mut self, now: Moment) {
        (self.finished, self.reset) = (true, true);
        self.enter(now, Piece::Reset);
    }

    /// Whether a reset waits behind bytes that are due: a driver whose socket is full resets the
    /// connection, as nobody else keeps those bytes for the receiver.
    pub fn is_reset(&self) -> bool {
        matches!(self.out.back(), Some((_, Piece::Reset)))
    }

    /// Says what to do at `now`. `Send` is repeated until [`Pipe::sent`] says that it is done; a
    /// driver whose socket is full also waits until [`Pipe::due`], for a reset overtakes bytes.
    pub fn poll(&mut self, now: Moment) -> Output<'_> {
        self.advance(now);
        let word = match self.out.front() {
            None => return self.due().map_or(Output::Idle, Output::Wait),
            Some((_, Piece::Bytes(_))) => None,
            Some((_, Piece::End)) => Some(Output::Finish),
            Some((_, Piece::Close)) => return Output::Close,
            Some((_, Piece::Reset)) => return Output::Reset,
        };
        if let Some(word) = word {
            self.out.pop_front();
            return word;
        }
        match self.out.front() {
            Some((at, Piece::Bytes(bytes))) => {
                Output::Send(*at, bytes.get(self.gone..).unwrap_or_default())
            }
            _ => Output::Idle,
        }
    }

    /// Notes that the kernel took the first `bytes` of what `poll` lent.
    pub fn sent(&mut self, bytes: usize) {
        let Some((_, Piece::Bytes(first))) = self.out.front() else { return };
        let bytes = bytes.min(first.len() - self.gone);
        self.gone += bytes;
        self.out_bytes -= bytes;
        if self.gone == first.len() {
            self.out.pop_front();
            self.gone = 0;
            if self.out.is_empty() {
                self.out.shrink_to(PLACES_KEPT);
            }
        }
    }

    /// When something happens inside by itself, if it does: something leaves a toxic, or one ends
    /// the stream.
    pub fn due(&mut self) -> Option<Moment> {
        self.stages.iter_mut().filter_map(Stage::due).min()
    }

    /// Whether bytes pass as they come: no toxic that strikes, nothing held. A driver may then copy
    /// from socket to socket by itself.
    pub fn is_plain(&self) -> bool {
        self.out.is_empty() && !self.ended && self.stages.iter().all(Stage::is_plain)
    }

    /// The names of the toxics that strike this connection.
    pub fn struck_by(&self) -> impl Iterator<Item = &str> {
        let striking = self.stages.iter().filter(|stage| stage.strikes);
        striking.map(|stage| stage.named.name.as_str())
    }

    /// How many bytes it holds.
    pub fn holds(&self) -> usize {
        self.out_bytes + self.stages.iter().map(Stage::holds).sum::<usize>()
    }

    fn enter(&mut self, now: Moment, piece: Piece) {
        self.now = self.now.max(now);
        match self.stages.first_mut() {
            Some(stage) => stage.take(self.now, piece),
            None => self.put(self.now, piece),
        }
        self.advance(now);
    }

    /// Moves everything along the chain that has left a stage by `now`, stage by stage: what leaves
    /// one comes to the next when it left, not now.
    fn advance(&mut self, now: Moment) {
        self.now = self.now.max(now);
        let mut done = std::mem::take(&mut self.stages);
        let mut rest = done.as_mut_slice();
        while let Some((stage, behind)) = rest.split_first_mut() {
            while let Some((at, piece)) = stage.release(self.now) {
                match behind.first_mut() {
                    Some(next) => next.take(at, piece),
                    None => self.put(at, piece),
                }
            }
            rest = behind;
        }
        self.stages = done;
    }

    /// Puts out what has left the last stage.
    fn put(&mut self, at: Moment, piece: Piece) {
        match &piece {
            Piece::Bytes(_) | Piece::End if self.ended => return,
            // What the source sent before its reset came before it, however late the driver is.
            Piece::Reset if self.reset => {}
            // Whatever was not sent yet is gone with the connection, as with SO_LINGER of 0.
            Piece::Reset => {
                self.out.clear();
                (self.gone, self.out_bytes) = (0, 0);
            }
            Piece::Bytes(_) | Piece::End | Piece::Close => {}
        }
        self.ended |= !matches!(piece, Piece::Bytes(_));
        self.out_bytes += piece.len();
        if self.out.len() >= PIECES_MAX
            && let (Piece::Bytes(more), Some((_, Piece::Bytes(last)))) =
                (&piece, self.out.back_mut())
        {
            return last.extend_from_slice(more);
        }
        self.out.push_back((at, piece));
    }
}

#[cfg(test)]
mod tests;
