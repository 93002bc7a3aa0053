//! The server's side of the drawing: what an origin says of its send queue, put beside what the player
//! saw at the same time.

use std::time::Duration;

use serde::Deserialize;
use stentor_core::moment::Moment;

use crate::drive::video::outcome::Sample;

/// The longest text that is read, in bytes.
pub(super) const BYTES_MAX: u64 = 16 << 20;

/// For how long a sample is believed when no other follows: an origin samples every 100 ms, and stops when
/// its kernel has taken the last byte, which then is still to be sent.
const BELIEVED: Duration = Duration::from_millis(200);

/// A line of `/queues`, as far as it is read.
#[derive(Deserialize)]
struct Watched {
    path: String,
    samples: Vec<Queued>,
}

#[derive(Clone, Copy, Deserialize)]
struct Queued {
    after_ns: u64,
    queued_bytes: u64,
}

/// Adds what the origin held of the latest answer to `path`: at each of the player's samples, what it
/// had seen last. What nobody saw stays unknown, and what cannot be read is left out.
pub(super) fn put(text: &[u8], path: &str, samples: &mut [Sample]) {
    let read = |line: &[u8]| serde_json::from_slice::<Watched>(line).ok();
    let mut lines = text.rsplit(|byte| *byte == b'\n').filter_map(read);
    let Some(Watched { samples: mut queued, .. }) = lines.find(|watched| watched.path == path)
    else {
        return;
    };
    queued.sort_by_key(|queued| queued.after_ns);
    let at = |queued: &Queued| Moment::from_nanos(queued.after_ns);
    for sample in samples {
        let seen = queued.partition_point(|queued| at(queued) <= sample.at);
        let last = seen.checked_sub(1).and_then(|last| queued.get(last));
        let over = seen == queued.len();
        let last = last.filter(|last| !over || sample.at.since(at(last)) <= BELIEVED);
        sample.server_bytes = last.map(|queued| queued.queued_bytes).or(sample.server_bytes);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_latest_answer_is_put_beside_what_the_player_saw() {
        let check = |text: &str, expected: [Option<u64>; 4]| {
            let at = |ms: u64| Moment::from_nanos(ms * 1_000_000);
            let mut samples =
                [0, 150, 400, 900].map(|ms| Sample { at: at(ms), ..Sample::default() });
            put(text.as_bytes(), "/0/film.mp4", &mut samples);
            assert_eq!(samples.map(|sample| sample.server_bytes), expected, "{text}");
        };
        let line = |path: &str, bytes: u64| {
            format!(
                "{{\"path\":\"{path}\",\"samples\":[{{\"after_ns\":300000000,\"queued_bytes\":9}},\
                 {{\"after_ns\":100000000,\"queued_bytes\":{bytes}}}]}}\n"
            )
        };
        let two = format!("{}{}{}", line("/0/film.mp4", 1), line("/0/film.mp4", 7), line("/1", 2));
        // What was not seen any more is not known: 600 ms after the last sample.
        check(&two, [None, Some(7), Some(9), None]);
        check(&line("/1/film.mp4", 7), [None; 4]);
        check("404\n{\"path\":3}\n{", [None; 4]);
        check("", [None; 4]);
    }
}
