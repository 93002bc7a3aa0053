//! The server's side of the drawing: what an origin says of its send queue, put beside what the player
//! saw at the same time.

use serde::Deserialize;
use stentor_core::moment::Moment;

use crate::drive::video::outcome::Sample;

/// The longest text that is read, in bytes.
pub(super) const BYTES_MAX: u64 = 16 << 20;

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
/// had seen last. What it cannot read it leaves out.
pub(super) fn put(text: &[u8], path: &str, samples: &mut [Sample]) {
    let read = |line: &[u8]| serde_json::from_slice::<Watched>(line).ok();
    let mut lines = text.rsplit(|byte| *byte == b'\n').filter_map(read);
    let Some(Watched { samples: mut queued, .. }) = lines.find(|watched| watched.path == path)
    else {
        return;
    };
    queued.sort_by_key(|queued| queued.after_ns);
    for sample in samples {
        let seen =
            queued.partition_point(|queued| Moment::from_nanos(queued.after_ns) <= sample.at);
        let last = seen.checked_sub(1).and_then(|last| queued.get(last));
        sample.server_bytes = last.map(|queued| queued.queued_bytes).or(sample.server_bytes);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_latest_answer_is_put_beside_what_the_player_saw() {
        let check = |text: &str, expected: [Option<u64>; 3]| {
            let at = |ms: u64| Moment::from_nanos(ms * 1_000_000);
            let mut samples = [0, 150, 900].map(|ms| Sample { at: at(ms), ..Sample::default() });
            put(text.as_bytes(), "/0/film.mp4", &mut samples);
            assert_eq!(samples.map(|sample| sample.server_bytes), expected, "{text}");
        };
        let line = |path: &str, bytes: u64| {
            format!(
                "{{\"path\":\"{path}\",\"samples\":[{{\"after_ns\":200000000,\"queued_bytes\":9}},\
                 {{\"after_ns\":100000000,\"queued_bytes\":{bytes}}}]}}\n"
            )
        };
        let two = format!("{}{}{}", line("/0/film.mp4", 1), line("/0/film.mp4", 7), line("/1", 2));
        check(&two, [None, Some(7), Some(9)]);
        check(&line("/1/film.mp4", 7), [None; 3]);
        check("404\n{\"path\":3}\n{", [None; 3]);
        check("", [None; 3]);
    }
}
