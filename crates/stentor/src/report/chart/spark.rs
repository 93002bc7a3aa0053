//! Sparklines: a series in one line of text.

/// Draws the values, each as a block as high as it is beside the greatest; a value that is no number
/// is a space. More values than columns share them, and the greatest is seen.
pub fn sparkline(values: &[f64], columns: usize) -> String {
    const BLOCKS: [char; 8] = ['▁', '▂', '▃', '▄', '▅', '▆', '▇', '█'];
    let columns = columns.clamp(1, values.len().max(1));
    let greatest = values.iter().copied().filter(|value| value.is_finite()).fold(0.0, f64::max);
    let cell = |column: usize| {
        let shared = values.len() * column / columns..values.len() * (column + 1) / columns;
        let shared = values.get(shared).unwrap_or_default();
        let value = shared.iter().copied().filter(|value| value.is_finite()).reduce(f64::max)?;
        let part = if greatest > 0.0 { (value / greatest).clamp(0.0, 1.0) } else { 0.0 };
        let part = BLOCKS.iter().zip(1u8..).find(|(_, step)| part * 8.0 <= f64::from(*step));
        Some(part.map_or('█', |(block, _)| *block))
    };
    let cells = (0..columns).map(|column| cell(column).unwrap_or(' '));
    if values.is_empty() { String::new() } else { cells.collect() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_become_blocks() {
        let check = |values: &[f64], columns, expected: &str| {
            assert_eq!(sparkline(values, columns), expected, "{values:?} in {columns}");
        };
        check(&[], 10, "");
        check(&[0.0, 0.0], 10, "▁▁");
        check(&[1.0, 4.0, 8.0], 10, "▁▄█");
        check(&[1.0, f64::NAN, 8.0], 3, "▁ █");
        check(&[1.0, 8.0, 1.0, 2.0], 2, "█▂");
        check(&[7.0], 0, "█");
        check(&[1.0, f64::INFINITY], 2, "█ ");
    }
}
