//! The film that really plays: fragmented MP4 with the simplest H.264 there is.
//!
//! Each chunk is one picture of a card on which "quality-chunk" is written, and then pictures that
//! repeat it in 6 bytes. A `free` box fills the chunk up to its exact size, so that players decode
//! it, and the network carries what the film says. Serving is left to the roof.

mod bits;
mod boxes;
mod card;
mod h264;

#[cfg(test)]
mod tests;

use std::time::Duration;

use thiserror::Error;

use super::film::{CHUNK_BYTES_MAX, Film};

/// Width and height of the pictures, in pixels.
pub const SIZE: (u32, u32) = (640, 360);
/// The codec by RFC 6381: H.264, constrained baseline, level 3.
pub const CODECS: &str = "avc1.42C01E";
/// The media type of every segment.
pub const MIME: &str = "video/mp4";
/// How many pictures there are in a second, about: every chunk has a whole number of them.
pub const PICTURES_PER_SECOND: u32 = 5;
/// The most pictures of a chunk: those of an hour.
const PICTURES_MAX: u32 = 3600 * PICTURES_PER_SECOND;
/// Ticks of a second in the timestamps.
const TIMESCALE: u32 = 90_000;

/// A media segment: what is drawn, and how many zeros follow it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Chunk {
    /// The boxes, up to the padding.
    pub head: Vec<u8>,
    /// How many zeros complete the last box, so that a server need not hold them.
    pub padding_bytes: u64,
}

/// Why a chunk cannot be drawn.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum ChunkError {
    /// There is no such chunk or quality.
    #[error("the film has no chunk {chunk} in quality {quality}")]
    None {
        /// From 0.
        chunk: usize,
        /// From 0.
        quality: usize,
    },
    /// The card alone is larger.
    #[error(
        "chunk {chunk} has {bytes} bytes in quality {quality}, and its pictures need {needed}: \
         choose a higher rate or longer chunks"
    )]
    TooSmall {
        /// From 0.
        chunk: usize,
        /// From 0.
        quality: usize,
        /// What the film says.
        bytes: u64,
        /// What the pictures take.
        needed: u64,
    },
}

impl Chunk {
    /// The whole segment.
    pub fn to_bytes(&self) -> Vec<u8> {
        let mut bytes = self.head.clone();
        let padding = usize::try_from(self.padding_bytes).unwrap_or(usize::MAX);
        bytes.resize(bytes.len().saturating_add(padding), 0);
        bytes
    }
}

/// The initialization segment of a film: the same for all qualities.
pub fn initialization() -> Vec<u8> {
    boxes::initialization()
}

/// How many pictures a chunk of this duration has; at least 1.
pub fn pictures(duration: Duration) -> u32 {
    let exact_ms = duration.as_millis().saturating_mul(u128::from(PICTURES_PER_SECOND));
    let rounded = exact_ms.saturating_add(500) / 1000;
    u32::try_from(rounded).unwrap_or(u32::MAX).clamp(1, PICTURES_MAX)
}

/// Draws a chunk with exactly the size that the film gives it.
///
/// # Errors
/// When there is no such chunk, or its size does not hold the pictures.
pub fn chunk(film: &Film, chunk: usize, quality: usize) -> Result<Chunk, ChunkError> {
    let bytes = film.bytes(chunk, quality);
    if bytes == 0 || bytes > CHUNK_BYTES_MAX {
        return Err(ChunkError::None { chunk, quality });
    }
    let before: Duration = film.chunks().iter().take(chunk).map(|chunk| chunk.duration).sum();
    let end = before + film.duration(chunk);
    let samples = samples(chunk, quality, pictures(film.duration(chunk)));
    let mut head = boxes::fragment(chunk, (ticks(before), ticks(end)), &samples);
    let needed = head.len() as u64;
    let left = bytes.checked_sub(needed);
    let left = left.ok_or(ChunkError::TooSmall { chunk, quality, bytes, needed })?;
    let padding_bytes = match left {
        // Too little for a box of its own: the data box is a little longer than its pictures.
        0..8 => {
            boxes::lengthen(&mut head, &samples, left);
            left
        }
        8.. => {
            boxes::begin_free(&mut head, left);
            left - 8
        }
    };
    Ok(Chunk { head, padding_bytes })
}

/// The pictures of a chunk: the card, and its repetitions.
fn samples(chunk: usize, quality: usize, count: u32) -> Vec<Vec<u8>> {
    let card = card::draw(&format!("{quality}-{chunk}"));
    let repetitions = (1..count).map(|picture| h264::repetition(picture % 16));
    std::iter::once(h264::card(&card, chunk % 2 == 1)).chain(repetitions).collect()
}

fn ticks(time: Duration) -> u64 {
    let ticks = time.as_nanos() * u128::from(TIMESCALE) / 1_000_000_000;
    u64::try_from(ticks).unwrap_or(u64::MAX)
}
