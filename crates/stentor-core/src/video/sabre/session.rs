//! A session from the first request to the last picture, in the reference's order.

use super::average::{Estimate, History};
use super::network::{Network, Progress};
use super::options::{Options, Replace};
use super::playback::Playback;
use super::report::{Accuracy, Report};
use super::rules::{Rule, Zero};
use super::{DOWNLOADS_PER_SEGMENT_MAX, Movie, Period, SEGMENTS_MAX, SabreError};

/// Plays `movie`; the inputs have been checked.
pub(super) fn run(
    options: &Options,
    movie: &Movie,
    trace: &[Period],
) -> Result<Report, SabreError> {
    let repeated;
    let movie = match options.length_s {
        Some(seconds) => {
            repeated = of_length(movie, seconds)?;
            &repeated
        }
        None => movie,
    };
    let mut playback = Playback::new(movie, options.buffer_s * 1000.0, options.ramp_up);
    let mut network = Network::new(trace, options.multiplier, &mut playback);
    let mut history = History::new(options, movie.segment_ms);
    let rule = Rule::new(options, &playback)?;

    let size = size_of(movie, 0, 0)?;
    let first = network.download(0, size, &mut playback);
    playback.contents.push_back(0);
    let (time_ms, sample) = sample(&first).map_err(|zero| zero.at(0))?;
    let known = history.push(time_ms, sample);
    playback.total_play_ms += first.time_ms;

    let session =
        Session { options, network, playback, history, rule, known, accuracy: Accuracy::default() };
    session.rest()
}

/// The film again and again, cut to `seconds`.
fn of_length(movie: &Movie, seconds: f64) -> Result<Movie, SabreError> {
    let segments = whole((seconds * 1000.0 / movie.segment_ms).ceil());
    if segments > SEGMENTS_MAX {
        let said = format!("-ml {seconds}: more than {SEGMENTS_MAX} segments; choose less");
        return Err(SabreError::Option(said));
    }
    let sizes_bits = movie.sizes_bits.iter().cycle().take(segments).cloned().collect();
    Ok(Movie { sizes_bits, ..movie.clone() })
}

/// A whole number of things, from a number that is not negative.
#[allow(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "`as` saturates, and what is too many is refused by the caller"
)]
fn whole(number: f64) -> usize {
    number as usize
}

fn size_of(movie: &Movie, segment: usize, quality: usize) -> Result<f64, SabreError> {
    let size = movie.sizes_bits.get(segment).and_then(|sizes| sizes.get(quality));
    size.copied().ok_or_else(|| {
        let count = movie.sizes_bits.len();
        SabreError::Option(format!("-s: there is no segment {segment} in a film of {count}"))
    })
}

/// How long a download's body took, and its throughput and latency.
fn sample(progress: &Progress) -> Result<(f64, Estimate), Zero> {
    let body_ms = progress.time_ms - progress.first_bit_ms;
    if body_ms == 0.0 {
        return Err(Zero("the time of a download"));
    }
    let throughput = progress.downloaded / body_ms;
    Ok((body_ms, Estimate { throughput, latency: progress.first_bit_ms }))
}

struct Session<'a> {
    options: &'a Options,
    network: Network<'a>,
    playback: Playback<'a>,
    history: History,
    rule: Rule,
    known: Estimate,
    accuracy: Accuracy,
}

impl Session<'_> {
    fn rest(mut self) -> Result<Report, SabreError> {
        let segments = self.playback.movie.sizes_bits.len();
        let mut seek = self.options.seek_s;
        let mut next = 1;
        let mut left = segments.saturating_mul(DOWNLOADS_PER_SEGMENT_MAX);
        while next < segments {
            left = left.checked_sub(1).ok_or(SabreError::Endless { segment: next })?;
            if let Some((when, place)) = seek
                && next as f64 * self.playback.movie.segment_ms >= 1000.0 * when
            {
                seek = None;
                next = self.jump(place);
            }
            self.wait_for_room();
            if self.fetch(next)? {
                next += 1;
            }
        }
        self.playback.play_out(self.network.sustainable);
        Ok(Report::new(self.options, &self.playback, &self.accuracy))
    }

    /// Goes on at second `place`, and returns the segment there.
    fn jump(&mut self, place: f64) -> usize {
        let segment = whole((1000.0 * place / self.playback.movie.segment_ms).floor());
        self.playback.clear();
        self.rule.sought(segment);
        self.playback.ramp_up_origin_ms = self.playback.total_play_ms;
        self.playback.ramp_up_ms = None;
        segment
    }

    fn wait_for_room(&mut self) {
        let playback = &mut self.playback;
        let buffer_ms = self.options.buffer_s * 1000.0;
        let excess = playback.level_ms() + playback.movie.segment_ms - buffer_ms;
        if excess > 0.0 {
            playback.deplete(excess, self.network.sustainable);
            self.network.pause(excess, playback);
            self.rule.waited(excess);
        }
    }

    /// Downloads segment `next`, or a buffered one in a better quality; true if `next` has come.
    fn fetch(&mut self, next: usize) -> Result<bool, SabreError> {
        let Session { network, playback, rule, .. } = self;
        let (quality, delay) = rule.choose(next, playback, self.known);
        let replaced = replaced(self.options.replace, quality, playback);
        // Counted from the end, since what plays meanwhile leaves at the front.
        let from_end = replaced.map(|index| playback.contents.len() - index);
        let size = size_of(playback.movie, next.saturating_sub(from_end.unwrap_or(0)), quality)?;
        if from_end.is_none() && delay > 0.0 {
            playback.deplete(delay, network.sustainable);
            network.pause(delay, playback);
        }
        let latency = self.known.latency;
        let (progress, abandoned) = if self.options.no_abandon {
            (network.download(quality, size, playback), None)
        } else {
            network.download_watched(quality, size, playback, |progress, level, playback| {
                match from_end {
                    // What is replaced has begun to play: too late.
                    Some(back) => {
                        let late = level - playback.movie.segment_ms * back as f64 <= 0.0;
                        Ok(late.then_some(0))
                    }
                    None => rule
                        .abandon(progress, level, playback, latency)
                        .map_err(|zero| zero.at(next)),
                }
            })?
        };
        playback.deplete(progress.time_ms, network.sustainable);
        let fetched = abandoned.is_none() && from_end.is_none();
        if fetched {
            playback.contents.push_back(quality);
        }
        if let (None, Some(back)) = (abandoned, from_end) {
            put_back(playback, back, quality);
        }
        rule.downloaded(&progress, abandoned, from_end.is_some(), playback);
        let (body_ms, sample) = sample(&progress).map_err(|zero| zero.at(next))?;
        self.accuracy.compare(self.known.throughput, sample.throughput);
        if abandoned.is_none() {
            self.known = self.history.push(body_ms, sample);
        }
        Ok(fetched)
    }
}

/// The buffered segment to fetch again, by its place in the buffer: one of a lower quality that does
/// not play soon.
fn replaced(replace: Replace, quality: usize, playback: &Playback<'_>) -> Option<usize> {
    let skip = whole((1.5 + playback.consumed_ms / playback.movie.segment_ms).ceil());
    let lower = |index: &usize| playback.contents.get(*index).is_some_and(|held| *held < quality);
    let mut candidates = skip..playback.contents.len();
    match replace {
        Replace::No => None,
        Replace::Left => candidates.find(lower),
        Replace::Right => candidates.rfind(lower),
    }
}

/// Puts a better segment in the place of the one that is `back` from the end, unless it has begun.
fn put_back(playback: &mut Playback<'_>, back: usize, quality: usize) {
    let in_time = playback.level_ms() - playback.movie.segment_ms * back as f64 >= 0.0;
    let index = playback.contents.len().checked_sub(back);
    let held = index.and_then(|index| playback.contents.get_mut(index));
    if let (true, Some(held)) = (in_time, held) {
        *held = quality;
    }
}
