//! Durations as XML has them: `PT1H2M3.5S` (ISO 8601, W3C XML Schema xs:duration).

use std::time::Duration;

use crate::manifest::hls::lines::nanoseconds;

/// A duration in nanoseconds; years and months, which have no length, are refused.
pub(in crate::manifest) fn span_ns(written: &str) -> Option<u64> {
    let rest = written.strip_prefix('P')?;
    let (days, time) = match rest.split_once('T') {
        Some((_, "")) => return None,
        Some((days, time)) => (days, time),
        None => (rest, ""),
    };
    if days.is_empty() && time.is_empty() {
        return None;
    }
    let mut total = 0_u64;
    let mut part = |text: &mut &str, unit: char, seconds: u64| -> Option<()> {
        if let Some((number, after)) = text.split_once(unit) {
            // Only seconds have a fraction.
            let whole = unit != 'S' && number.contains('.');
            let ns = nanoseconds(number).filter(|_| !whole)?;
            total = total.checked_add(ns.checked_mul(seconds)?)?;
            *text = after;
        }
        Some(())
    };
    let (mut days, mut time) = (days, time);
    part(&mut days, 'D', 24 * 3600)?;
    part(&mut time, 'H', 3600)?;
    part(&mut time, 'M', 60)?;
    part(&mut time, 'S', 1)?;
    (days.is_empty() && time.is_empty()).then_some(total)
}

/// The same, written in seconds.
pub(super) fn written(span: Duration) -> String {
    let text = format!("{}.{:09}", span.as_secs(), span.subsec_nanos());
    format!("PT{}S", text.trim_end_matches('0').trim_end_matches('.'))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn spans() {
        let check = |written: &str, expected: Option<f64>| {
            let seconds = span_ns(written).map(|ns| ns as f64 / 1e9);
            assert_eq!(seconds, expected, "{written}");
        };
        check("PT60S", Some(60.0));
        check("PT1H2M3.5S", Some(3723.5));
        check("P1DT1S", Some(86401.0));
        check("P2D", Some(172_800.0));
        check("PT0.000000001S", Some(1e-9));
        for odd in ["", "P", "PT", "60", "PT60", "PT1.5M", "PT1S1M", "P1Y", "-PT1S", "PTxS"] {
            check(odd, None);
        }
        check("PT99999999999999S", None);
        for ns in [0, 1, 60_000_000_000, 1_500_000_000, u64::MAX] {
            assert_eq!(span_ns(&written(Duration::from_nanos(ns))), Some(ns));
        }
    }
}
