//! The reference's rules, one after the other, with its constants and its order of operations.

use super::SabreError;
use super::average::Estimate;
use super::network::{Progress, maximum, minimum};
use super::options::{Options, Policy};
use super::playback::Playback;

/// What a rule answers: the quality, and for how many ms it wants to wait.
pub(super) type Choice = (usize, f64);

/// The rule of a session.
pub(super) enum Rule {
    Bola(Bola),
    Enhanced(Enhanced),
    Throughput(Throughput),
    Dynamic { bola: Bola, throughput: Throughput, on: bool },
    DynamicDash { bola: Enhanced, throughput: Throughput, on: bool },
}

/// `dynamic` changes its rule at this level, in ms.
const DYNAMIC_MS: f64 = 10_000.0;
/// `dynamicdash` leaves BOLA-E below the first level and enters it above the second, in ms.
const DYNAMIC_DASH_MS: (f64, f64) = (5_000.0, 10_000.0);

impl Rule {
    /// # Errors
    /// BOLA-E divides by zero where all qualities have the same utility.
    pub(super) fn new(options: &Options, playback: &Playback<'_>) -> Result<Rule, SabreError> {
        let enhanced = matches!(options.policy, Policy::BolaE | Policy::DynamicDash);
        if enhanced && !options.no_insufficient_buffer_rule && playback.utilities.len() < 2 {
            return Err(SabreError::Option(
                "bolae divides by zero with one quality, in the reference too; use -noibr".into(),
            ));
        }
        Ok(match options.policy {
            Policy::Bola => Rule::Bola(Bola::new(options, playback)),
            Policy::BolaE => Rule::Enhanced(Enhanced::new(options, playback)),
            Policy::Throughput => Rule::Throughput(Throughput::new(options)),
            Policy::Dynamic => Rule::Dynamic {
                bola: Bola::new(options, playback),
                throughput: Throughput::new(options),
                on: false,
            },
            Policy::DynamicDash => Rule::DynamicDash {
                bola: Enhanced::new(options, playback),
                throughput: Throughput::new(options),
                on: false,
            },
        })
    }

    pub(super) fn choose(
        &mut self,
        segment: usize,
        playback: &Playback<'_>,
        known: Estimate,
    ) -> Choice {
        let level = playback.level_ms();
        match self {
            Rule::Bola(bola) => bola.choose(segment, playback, known),
            Rule::Enhanced(bola) => bola.choose(playback, known),
            Rule::Throughput(rule) => rule.choose(playback, known),
            Rule::Dynamic { bola, throughput, on } => {
                let (b, t) =
                    (bola.choose(segment, playback, known), throughput.choose(playback, known));
                if *on {
                    *on = !(level < DYNAMIC_MS && b.0 < t.0);
                } else {
                    *on = level > DYNAMIC_MS && b.0 >= t.0;
                }
                if *on { b } else { t }
            }
            Rule::DynamicDash { bola, throughput, on } => {
                let (low, high) = DYNAMIC_DASH_MS;
                *on = if *on { level >= low } else { level > high };
                if *on { bola.choose(playback, known) } else { throughput.choose(playback, known) }
            }
        }
    }

    /// Whether to give up a download, and for which quality.
    pub(super) fn abandon(
        &mut self,
        progress: &Progress,
        level: f64,
        playback: &Playback<'_>,
        latency: f64,
    ) -> Result<Option<usize>, Zero> {
        match self {
            Rule::Bola(bola) => Ok(bola.abandon(progress, level, playback)),
            Rule::Enhanced(bola) | Rule::DynamicDash { bola, on: true, .. } => {
                bola.abandon(progress, level, playback)
            }
            Rule::Throughput(_) | Rule::Dynamic { .. } | Rule::DynamicDash { on: false, .. } => {
                Throughput::abandon(progress, playback, latency)
            }
        }
    }

    /// The buffer was full for so many ms.
    pub(super) fn waited(&mut self, ms: f64) {
        if let Rule::Enhanced(bola) | Rule::DynamicDash { bola, .. } = self {
            bola.placeholder += ms;
        }
    }

    pub(super) fn downloaded(
        &mut self,
        progress: &Progress,
        abandoned: Option<usize>,
        replacement: bool,
        playback: &Playback<'_>,
    ) {
        match self {
            Rule::Enhanced(bola) | Rule::DynamicDash { bola, .. } => {
                bola.downloaded(progress, abandoned, replacement, playback);
            }
            Rule::Dynamic { on, .. } if replacement => *on = false,
            Rule::Bola(_) | Rule::Throughput(_) | Rule::Dynamic { .. } => {}
        }
    }

    /// The film was jumped to the segment with this number.
    pub(super) fn sought(&mut self, segment: usize) {
        match self {
            Rule::Bola(bola) => bola.last_seek = segment,
            Rule::Enhanced(bola) => bola.starting = true,
            // The reference does not hand a jump on to the two halves.
            Rule::Throughput(_) | Rule::Dynamic { .. } | Rule::DynamicDash { .. } => {}
        }
    }
}

/// A division by zero: of what.
pub(super) struct Zero(pub(super) &'static str);

impl Zero {
    pub(super) fn at(self, segment: usize) -> SabreError {
        SabreError::Division { segment, of: self.0 }
    }
}

/// The highest quality whose segment arrives, latency included, within its own duration.
fn carried(playback: &Playback<'_>, throughput: f64, latency: f64) -> usize {
    let segment = playback.movie.segment_ms;
    let higher = playback.movie.bitrates_kbps.iter().skip(1);
    higher.take_while(|rate| latency + segment * **rate / throughput <= segment).count()
}

/// The quality with the highest score (Vp(u + gp) - level) / b; of equals the lowest.
fn best(playback: &Playback<'_>, utilities: &[f64], vp: f64, gp: f64, level: f64) -> usize {
    let rates = playback.movie.bitrates_kbps.iter().zip(utilities);
    let scores = rates.map(|(rate, utility)| (vp * (utility + gp) - level) / rate);
    let mut best: Option<(usize, f64)> = None;
    for (quality, score) in scores.enumerate() {
        if best.is_none_or(|(_, highest)| score > highest) {
            best = Some((quality, score));
        }
    }
    best.map_or(0, |(quality, _)| quality)
}

fn at(numbers: &[f64], index: usize) -> f64 {
    numbers.get(index).copied().unwrap_or(0.0)
}

/// BOLA: basic, U or O.
pub(super) struct Bola {
    utilities: Vec<f64>,
    gp: f64,
    vp: f64,
    buffer_ms: f64,
    basic: bool,
    oscillation: bool,
    last_seek: usize,
    last_quality: usize,
}

impl Bola {
    fn new(options: &Options, playback: &Playback<'_>) -> Bola {
        let utilities = utilities(playback, 0.0);
        let (gp, buffer_ms) = (options.gamma_p, options.buffer_s * 1000.0);
        let last = utilities.last().copied().unwrap_or(0.0);
        Bola {
            vp: (buffer_ms - playback.movie.segment_ms) / (last + gp),
            utilities,
            gp,
            buffer_ms,
            basic: options.basic,
            oscillation: options.oscillation,
            last_seek: 0,
            last_quality: 0,
        }
    }

    fn choose(&mut self, segment: usize, playback: &Playback<'_>, known: Estimate) -> Choice {
        let movie = playback.movie;
        if !self.basic {
            // Near the start and the end only as much buffer counts as there is film.
            let since = segment as f64 - self.last_seek as f64;
            let left = movie.sizes_bits.len() as f64 - segment as f64;
            let around = maximum(minimum(since, left) / 2.0, 3.0) * movie.segment_ms;
            let buffer_ms = minimum(self.buffer_ms, around);
            let last = self.utilities.last().copied().unwrap_or(0.0);
            self.vp = (buffer_ms - movie.segment_ms) / (last + self.gp);
        }
        let level = playback.level_ms();
        let mut quality = best(playback, &self.utilities, self.vp, self.gp, level);
        let mut delay = 0.0;
        if quality > self.last_quality {
            let carried = carried(playback, known.throughput, known.latency);
            if quality > carried {
                if self.last_quality > carried {
                    quality = self.last_quality;
                } else if !self.oscillation {
                    quality = carried + 1;
                } else {
                    quality = carried;
                    let highest = self.vp * (self.gp + at(&self.utilities, quality));
                    delay = maximum(0.0, level - highest);
                    if quality + 1 == movie.bitrates_kbps.len() {
                        delay = 0.0;
                    }
                }
            }
        }
        self.last_quality = quality;
        (quality, delay)
    }

    fn abandon(
        &mut self,
        progress: &Progress,
        level: f64,
        playback: &Playback<'_>,
    ) -> Option<usize> {
        let remain = progress.size - progress.downloaded;
        if self.basic || progress.downloaded <= 0.0 || remain <= 0.0 {
            return None;
        }
        let utility = at(&self.utilities, progress.quality);
        let mut score = (self.vp * (self.gp + utility) - level) / remain;
        if score < 0.0 {
            return None;
        }
        let mut to = None;
        for (quality, utility) in self.utilities.iter().enumerate().take(progress.quality) {
            let size = other_size(progress, quality, playback);
            let other = (self.vp * (self.gp + utility) - level) / size;
            if size < remain && other > score {
                score = other;
                to = Some(quality);
            }
        }
        self.last_quality = to.unwrap_or(self.last_quality);
        to
    }
}

fn utilities(playback: &Playback<'_>, lowest: f64) -> Vec<f64> {
    let offset = lowest - playback.bitrate(0).ln();
    playback.movie.bitrates_kbps.iter().map(|rate| rate.ln() + offset).collect()
}

/// How large the segment of a download would be in another quality.
fn other_size(progress: &Progress, quality: usize, playback: &Playback<'_>) -> f64 {
    progress.size * playback.bitrate(quality) / playback.bitrate(progress.quality)
}

/// BOLA-E: BOLA with a placeholder buffer.
pub(super) struct Enhanced {
    utilities: Vec<f64>,
    gp: f64,
    vp: f64,
    oscillation: bool,
    no_insufficient_buffer_rule: bool,
    starting: bool,
    placeholder: f64,
    last_quality: usize,
    safety: f64,
}

/// The level at which BOLA-E prefers the lowest quality, in ms.
const ENHANCED_MINIMUM_MS: f64 = 10_000.0;
/// How much more buffer each quality wants at least, in ms.
const ENHANCED_PER_LEVEL_MS: f64 = 2_000.0;
/// The safety of the insufficient-buffer rule: at first, and at the least.
const SAFETY: (f64, f64) = (0.9, 0.5);

impl Enhanced {
    fn new(options: &Options, playback: &Playback<'_>) -> Enhanced {
        let utilities = utilities(playback, 1.0);
        let last = utilities.last().copied().unwrap_or(1.0);
        let configured = options.buffer_s * 1000.0;
        let (gp, vp);
        if options.no_insufficient_buffer_rule {
            gp = options.gamma_p - 1.0;
            vp = (configured - playback.movie.segment_ms) / (last + gp);
        } else {
            let levels = ENHANCED_PER_LEVEL_MS * utilities.len() as f64;
            let buffer = maximum(ENHANCED_MINIMUM_MS + levels, configured);
            gp = (last - 1.0) / (buffer / ENHANCED_MINIMUM_MS - 1.0);
            vp = ENHANCED_MINIMUM_MS / gp;
        }
        Enhanced {
            utilities,
            gp,
            vp,
            oscillation: options.oscillation,
            no_insufficient_buffer_rule: options.no_insufficient_buffer_rule,
            starting: true,
            placeholder: 0.0,
            last_quality: 0,
            safety: SAFETY.0,
        }
    }

    /// The level from which `quality` is preferred to every lower one.
    fn level_min(&self, quality: usize, playback: &Playback<'_>) -> f64 {
        let (rate, utility) = (playback.bitrate(quality), at(&self.utilities, quality));
        let lower = playback.movie.bitrates_kbps.iter().zip(&self.utilities).take(quality);
        let mut level = 0.0;
        for (b, u) in lower.filter(|(_, u)| **u < utility) {
            let from = self.vp * (self.gp + (rate * u - b * utility) / (rate - b));
            level = maximum(level, from);
        }
        level
    }

    fn level_max(&self, quality: usize) -> f64 {
        self.vp * (at(&self.utilities, quality) + self.gp)
    }

    fn choose(&mut self, playback: &Playback<'_>, known: Estimate) -> Choice {
        let level = playback.level_ms();
        let carried = carried(playback, known.throughput, known.latency);
        if self.starting {
            self.starting = false;
            self.safety = SAFETY.0;
            self.placeholder = maximum(0.0, self.level_min(carried, playback) - level);
            return (carried, 0.0);
        }
        let with_placeholder = level + self.placeholder;
        let mut quality = best(playback, &self.utilities, self.vp, self.gp, with_placeholder);
        if quality > self.last_quality && quality > carried {
            quality = self.last_quality.max(carried);
            if !self.oscillation {
                quality += 1;
            }
        }
        let mut delay = level + self.placeholder - self.level_max(quality);
        if delay > 0.0 {
            if delay <= self.placeholder {
                self.placeholder -= delay;
                delay = 0.0;
            } else {
                delay -= self.placeholder;
                self.placeholder = 0.0;
            }
        } else {
            delay = 0.0;
        }
        if quality + 1 == playback.movie.bitrates_kbps.len() {
            delay = 0.0;
        }
        if !self.no_insufficient_buffer_rule
            && let Some(lower) = insufficient(&mut self.safety, quality, playback, known)
        {
            let placeholder = maximum(0.0, self.level_min(lower, playback) - level);
            self.placeholder = minimum(placeholder, self.placeholder);
            (quality, delay) = (lower, 0.0);
        }
        (quality, delay)
    }

    fn downloaded(
        &mut self,
        progress: &Progress,
        abandoned: Option<usize>,
        replacement: bool,
        playback: &Playback<'_>,
    ) {
        self.last_quality = progress.quality;
        let level = playback.level_ms();
        match abandoned {
            None if replacement => self.placeholder += playback.movie.segment_ms,
            None => {
                let before = level + progress.time_ms;
                let most = maximum(0.0, self.level_max(progress.quality) - before);
                self.placeholder = minimum(self.placeholder, most);
                // An empty buffer means a rebuffering, which must not inflate the placeholder.
                if level > 0.0 {
                    let least = self.level_min(progress.quality, playback) - before;
                    self.placeholder = maximum(self.placeholder, least);
                }
            }
            Some(_) if replacement => {}
            Some(to) => {
                let wanted = match to {
                    0 => ENHANCED_MINIMUM_MS,
                    to => self.level_min(to, playback),
                };
                self.placeholder = minimum(self.placeholder, maximum(0.0, wanted - level));
            }
        }
    }

    fn abandon(
        &self,
        progress: &Progress,
        level: f64,
        playback: &Playback<'_>,
    ) -> Result<Option<usize>, Zero> {
        let remain = progress.size - progress.downloaded;
        if progress.downloaded <= 0.0 || remain <= 0.0 {
            return Ok(None);
        }
        // A new request costs another latency.
        let level = maximum(0.0, level + self.placeholder - progress.first_bit_ms);
        let body_ms = progress.time_ms - progress.first_bit_ms;
        if body_ms == 0.0 {
            return Err(Zero("the time of a download"));
        }
        let throughput = progress.downloaded / body_ms;
        let size = remain - progress.first_bit_ms * throughput;
        if size <= 0.0 {
            return Ok(None);
        }
        let utility = at(&self.utilities, progress.quality);
        let mut score = (self.vp * (self.gp + utility) - level) / size;
        let mut to = None;
        for (quality, utility) in self.utilities.iter().enumerate().take(progress.quality) {
            let smaller = other_size(progress, quality, playback);
            let other = (self.vp * (self.gp + utility) - level) / smaller;
            if smaller < size && other > score {
                score = other;
                to = Some(quality);
            }
        }
        Ok(to)
    }
}

/// The insufficient-buffer rule: the quality to fall to, if what is buffered does not carry
/// `quality`.
fn insufficient(
    safety: &mut f64,
    quality: usize,
    playback: &Playback<'_>,
    known: Estimate,
) -> Option<usize> {
    let safe_bits = *safety * (playback.level_ms() - known.latency) * known.throughput;
    *safety *= SAFETY.0;
    *safety = maximum(*safety, SAFETY.1);
    let segment = playback.movie.segment_ms;
    (0..quality).find(|lower| playback.bitrate(lower + 1) * segment > safe_bits)
}

/// The throughput rule.
pub(super) struct Throughput {
    safety: f64,
    no_insufficient_buffer_rule: bool,
}

/// How much of the estimate is used.
const THROUGHPUT_SAFETY: f64 = 0.9;
/// No download is abandoned before so many ms.
const GRACE_MS: f64 = 500.0;
/// A download that takes longer than so many segments is abandoned.
const ABANDON_SEGMENTS: f64 = 1.8;

impl Throughput {
    fn new(options: &Options) -> Throughput {
        let no_insufficient_buffer_rule = options.no_insufficient_buffer_rule;
        Throughput { safety: SAFETY.0, no_insufficient_buffer_rule }
    }

    fn choose(&mut self, playback: &Playback<'_>, known: Estimate) -> Choice {
        let mut quality = carried(playback, known.throughput * THROUGHPUT_SAFETY, known.latency);
        if !self.no_insufficient_buffer_rule {
            quality = insufficient(&mut self.safety, quality, playback, known).unwrap_or(quality);
        }
        (quality, 0.0)
    }

    fn abandon(
        progress: &Progress,
        playback: &Playback<'_>,
        latency: f64,
    ) -> Result<Option<usize>, Zero> {
        let body_ms = progress.time_ms - progress.first_bit_ms;
        if progress.time_ms < GRACE_MS || body_ms <= 0.0 {
            return Ok(None);
        }
        let throughput = progress.downloaded / body_ms;
        let left = progress.size - progress.downloaded;
        if throughput == 0.0 {
            return Err(Zero("the throughput of a download"));
        }
        let left_ms = left / throughput;
        if progress.time_ms + left_ms <= ABANDON_SEGMENTS * playback.movie.segment_ms {
            return Ok(None);
        }
        let quality = carried(playback, throughput * THROUGHPUT_SAFETY, latency);
        let worse = quality >= progress.quality || other_size(progress, quality, playback) >= left;
        Ok((!worse).then_some(quality))
    }
}
