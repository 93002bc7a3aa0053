//! Words in columns: filled up, broken into lines, or cut.
//!
//! A column is what a terminal calls one: some characters take two, some none.

use unicode_width::UnicodeWidthStr;

/// Fills with spaces up to `columns`, before the words or after them.
pub(in crate::report) fn pad(words: &str, columns: usize, before: bool) -> String {
    let space = " ".repeat(columns.saturating_sub(words.width()));
    if before { format!("{space}{words}") } else { format!("{words}{space}") }
}

/// Breaks at spaces into lines of at most `columns`, the later ones two columns less; a word
/// that is longer than that is broken where the line ends.
pub(in crate::report) fn wrap(words: &str, columns: usize) -> Vec<String> {
    let mut lines: Vec<String> = Vec::new();
    let mut line = String::new();
    for word in words.split(' ') {
        let room = if lines.is_empty() { columns } else { columns.saturating_sub(2) };
        if !line.is_empty() && line.width() + 1 + word.width() > room {
            lines.push(std::mem::take(&mut line));
        } else if !line.is_empty() {
            line.push(' ');
        }
        for character in word.chars() {
            let room = if lines.is_empty() { columns } else { columns.saturating_sub(2) };
            // The width of a line is not the sum of its characters': some change the one before.
            line.push(character);
            if line.width() > room && line.chars().nth(1).is_some() {
                line.pop();
                lines.push(std::mem::take(&mut line));
                line.push(character);
            }
        }
    }
    lines.push(line);
    lines
}

/// A label for an arrow: what does not fit is left out, marked by an ellipsis.
pub(in crate::report) fn fit(label: &str, columns: usize) -> String {
    if label.width() <= columns {
        return label.to_owned();
    }
    let mut short = String::new();
    for character in label.chars() {
        short.push(character);
        if short.width() + 1 > columns {
            short.pop();
            break;
        }
    }
    short + "…"
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn long_words_are_wrapped_and_nothing_of_them_is_lost() {
        assert_eq!(wrap("one two three", 7), ["one two", "three"]);
        assert_eq!(wrap("abcdefghij", 4), ["abcd", "ef", "gh", "ij"]);
        assert_eq!(wrap("", 4), [""]);
    }
}
