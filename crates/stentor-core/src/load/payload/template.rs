//! Templates of payloads: text with placeholders in braces.

use super::{PayloadError, Piece};

/// The longest padding or row of letters that a placeholder may ask for; of digits, 20 are all
/// there are.
const LETTERS_MAX: usize = 65_536;

/// Reads a template into pieces.
pub(super) fn parse(text: &str) -> Result<Vec<Piece>, PayloadError> {
    let mut pieces = Vec::new();
    let mut literal = Vec::new();
    let mut rest = text;
    while let Some(at) = rest.find(['{', '}']) {
        let (before, brace) = rest.split_at(at);
        literal.extend_from_slice(before.as_bytes());
        let place = text.len() - brace.len();
        let wrong = |why: &str| PayloadError::Template { at: place, why: why.to_owned() };
        if let Some(after) = brace.strip_prefix("{{") {
            literal.push(b'{');
            rest = after;
        } else if let Some(after) = brace.strip_prefix("}}") {
            literal.push(b'}');
            rest = after;
        } else if let Some(inside) = brace.strip_prefix('{') {
            let end = inside.find('}').ok_or_else(|| {
                wrong("the brace is never closed; write {{ for a brace of the text")
            })?;
            let (name, after) = inside.split_at(end);
            if !literal.is_empty() {
                pieces.push(Piece::literal(std::mem::take(&mut literal)));
            }
            pieces.push(placeholder(name).map_err(|why| wrong(&why))?);
            rest = after.get(1..).unwrap_or_default();
        } else {
            return Err(wrong("no brace is open here; write }} for a brace of the text"));
        }
    }
    literal.extend_from_slice(rest.as_bytes());
    if !literal.is_empty() {
        pieces.push(Piece::literal(literal));
    }
    Ok(pieces)
}

fn placeholder(name: &str) -> Result<Piece, String> {
    let (word, number) = match name.split_once(':') {
        Some((word, number)) => (word, Some(number)),
        None => (name, None),
    };
    let parsed = |number: &str, most: usize| {
        let parsed = number.parse().ok().filter(|parsed| (1..=most).contains(parsed));
        parsed.ok_or_else(|| format!("{{{name}}}: {number:?} is not a number from 1 to {most}"))
    };
    match (word, number) {
        ("seq", None) => Ok(Piece::Number { digits_min: 1 }),
        ("seq", Some(number)) => Ok(Piece::Number { digits_min: parsed(number, 20)? }),
        ("random", Some(number)) => Ok(Piece::Letters { len: parsed(number, LETTERS_MAX)? }),
        ("random", None) => Err("{random} needs a length, such as {random:8}".to_owned()),
        ("time", None) => Ok(Piece::Time),
        _ => Err(format!(
            "{{{name}}} is no placeholder; there are {{seq}}, {{seq:N}}, {{random:N}} and {{time}}, \
             and {{{{ for a brace"
        )),
    }
}
