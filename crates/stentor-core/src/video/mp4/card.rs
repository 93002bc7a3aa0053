//! What is written on a card: digits of three by five, one macroblock or two each way a point.

use super::h264::{COLUMNS, ROWS};

/// The luma of paper and ink, within video's range (16 to 235).
const PAPER: u8 = 48;
const INK: u8 = 220;

/// The rows of a character from the top, its three points the lowest bits.
const fn rows(character: char) -> [u8; 5] {
    match character {
        '0' => [0b111, 0b101, 0b101, 0b101, 0b111],
        '1' => [0b010, 0b110, 0b010, 0b010, 0b111],
        '2' => [0b111, 0b001, 0b111, 0b100, 0b111],
        '3' => [0b111, 0b001, 0b111, 0b001, 0b111],
        '4' => [0b101, 0b101, 0b111, 0b001, 0b001],
        '5' => [0b111, 0b100, 0b111, 0b001, 0b111],
        '6' => [0b111, 0b100, 0b111, 0b101, 0b111],
        '7' => [0b111, 0b001, 0b001, 0b010, 0b010],
        '8' => [0b111, 0b101, 0b111, 0b101, 0b111],
        '9' => [0b111, 0b101, 0b111, 0b001, 0b111],
        '-' => [0b000, 0b000, 0b111, 0b000, 0b000],
        _ => [0; 5],
    }
}

/// Draws a text in the middle: the luma of each macroblock, row by row.
pub(super) fn draw(text: &str) -> Vec<u8> {
    let (columns, lines) = (COLUMNS as usize, ROWS as usize);
    let width = (text.chars().count() * 4).saturating_sub(1);
    let scale = if width * 2 <= columns { 2 } else { 1 };
    let left = columns.saturating_sub(width * scale) / 2;
    let top = lines.saturating_sub(5 * scale) / 2;
    let inked = |row: usize, column: usize| {
        let (row, column) = (row.checked_sub(top)? / scale, column.checked_sub(left)? / scale);
        let character = text.chars().nth(column / 4)?;
        let points = rows(character).get(row).copied()?;
        // The fourth column is the gap between two characters.
        let point = 2_usize.checked_sub(column % 4)?;
        Some(points >> point & 1 == 1)
    };
    let luma = |at: usize| match inked(at / columns, at % columns) {
        Some(true) => INK,
        Some(false) | None => PAPER,
    };
    (0..columns * lines).map(luma).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn picture(text: &str) -> Vec<String> {
        let points = draw(text);
        let row =
            |row: &[u8]| row.iter().map(|luma| if *luma == INK { '#' } else { ' ' }).collect();
        points.chunks(COLUMNS as usize).map(row).collect()
    }

    #[test]
    fn what_is_written_can_be_read() {
        let large = picture("1-7");
        assert_eq!(large.len(), 23);
        assert_eq!(large[6].trim_end(), "           ##            ######");
        assert_eq!(large[10].trim_end(), "           ##    ######      ##");
        let small = picture("63-1048575");
        assert_eq!(small[9], "### ###      #  ### # # ### ### ### ### ");
    }
}
