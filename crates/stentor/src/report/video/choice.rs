//! What `--manual` shows a person who chooses the quality of a chunk.

use std::fmt::Write;

use crate::drive::video::play::counsel::Asked;
use crate::report::chart::Unit;

/// The question at a terminal; the cursor stays behind it.
pub fn question(asked: &Asked) -> String {
    let mut text = format!("chunk {} of {}", asked.chunk + 1, asked.chunks);
    let level_s = asked.level.as_secs_f64();
    let _ = write!(text, ": {level_s:.1} of {:.0} s buffered", asked.capacity.as_secs_f64());
    match asked.estimate {
        Some(estimate) => {
            let _ = write!(text, ", throughput {}", Unit::BitsPerSecond.said(estimate.bps));
        }
        None => text.push_str(", throughput not known yet"),
    }
    if let Some(last) = asked.last {
        let _ = write!(text, ", last quality {last}");
    }
    text.push('\n');
    for (quality, (rate, bytes)) in asked.rates_bps.iter().zip(&asked.sizes_bytes).enumerate() {
        let expected = asked.estimate.filter(|estimate| estimate.bps > 0.0).map(|estimate| {
            let seconds = estimate.latency_s + *bytes as f64 * 8.0 / estimate.bps;
            format!(", about {seconds:.1} s")
        });
        let _ = writeln!(
            text,
            "  {quality}: {}, {}{}",
            Unit::BitsPerSecond.said(*rate as f64),
            Unit::Bytes.said(*bytes as f64),
            expected.unwrap_or_default()
        );
    }
    let _ = write!(text, "quality [{}]: ", asked.advice);
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;
    use stentor_core::video::estimate::Estimate;

    #[test]
    fn a_person_sees_what_a_rule_sees() {
        let asked = Asked {
            chunk: 3,
            chunks: 60,
            duration: Duration::from_secs(2),
            level: Duration::from_millis(8_040),
            capacity: Duration::from_secs(25),
            last: Some(1),
            estimate: Some(Estimate { bps: 1e6, latency_s: 0.5 }),
            sizes_bytes: vec![50_000, 250_000],
            rates_bps: vec![200_000, 1_000_000],
            download: None,
            advice: 0,
        };
        let expected = "chunk 4 of 60: 8.0 of 25 s buffered, throughput 1 Mbit/s, last quality 1\n  \
                        0: 200 kbit/s, 50 kB, about 0.9 s\n  1: 1 Mbit/s, 250 kB, about \
                        2.5 s\nquality [0]: ";
        assert_eq!(question(&asked), expected);
        let first = Asked { estimate: None, last: None, ..asked };
        assert!(question(&first).contains("throughput not known yet\n"));
    }
}
