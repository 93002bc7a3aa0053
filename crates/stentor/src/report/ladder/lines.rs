//! Words in columns: filled up, broken into lines, or cut.
//!
//! A column is what a terminal calls one: some characters take two, some none.

use unicode_width::UnicodeWidthStr;

/// How many columns the words take. Most are ASCII without control characters, a column each.
pub(in crate::report) fn columns(words: &str) -> usize {
    if words.is_ascii() { words.len() } else { words.width() }
}

/// Fills with spaces up to `room` columns, before the words or after them.
pub(in crate::report) fn pad(words: &str, room: usize, before: bool) -> String {
    let space = room.saturating_sub(columns(words));
    let mut filled = String::with_capacity(words.len() + space);
    if !before {
        filled.push_str(words);
    }
    filled.extend(std::iter::repeat_n(' ', space));
    if before {
        filled.push_str(words);
    }
    filled
}

/// Breaks at spaces into lines of at most `room` columns, the later ones two columns less; a word
/// that is longer than that is broken where the line ends.
pub(in crate::report) fn wrap(words: &str, room: usize) -> Vec<String> {
    if columns(words) <= room {
        return vec![words.to_owned()];
    }
    let mut lines: Vec<String> = Vec::new();
    let mut line = String::new();
    let here = |lines: &[String]| if lines.is_empty() { room } else { room.saturating_sub(2) };
    for word in words.split(' ') {
        let wide = columns(word);
        if !line.is_empty() && columns(&line) + 1 + wide > here(&lines) {
            lines.push(std::mem::take(&mut line));
        } else if !line.is_empty() {
            line.push(' ');
        }
        if columns(&line) + wide <= here(&lines) {
            line.push_str(word);
            continue;
        }
        for character in word.chars() {
            // The width of a line is not the sum of its characters': some change the one before.
            line.push(character);
            if columns(&line) > here(&lines) && line.chars().nth(1).is_some() {
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
pub(in crate::report) fn fit(label: &str, room: usize) -> String {
    if columns(label) <= room {
        return label.to_owned();
    }
    let mut short = String::new();
    for character in label.chars() {
        short.push(character);
        if columns(&short) + 1 > room {
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
        assert_eq!(wrap("字字 字", 3), ["字", "字", "字"]);
    }
}
