//! Writes the casing table as Rust text. Shared by the command that prints it and by the test
//! that it is current.

/// How many characters share all bytes but the last: the 64 values of a continuation byte.
const ROW_LEN: u32 = 64;
/// Scalars below this may have an upper case (the highest in Unicode 17 is U+1E943).
const CASED_END: u32 = 0x2_0000;
/// See `Row::before`.
const MISFIT: u8 = 0x80;
const FIRST_TOO: u8 = 0x40;

/// What becomes of the 64 characters of one row.
struct Row {
    page: u32,
    prefix: Vec<u8>,
    last: Vec<u8>,
    before: Vec<u8>,
    first: u8,
}

/// The text of `table.rs`.
pub(crate) fn table() -> String {
    let mut pages = Vec::new();
    let mut rows = Vec::new();
    let mut misfits = Vec::new();
    for page in 0..CASED_END / ROW_LEN {
        match row(page, &mut misfits) {
            Some(row) => {
                rows.push(row);
                pages.push(rows.len());
            }
            None => pages.push(0),
        }
    }
    assert!((CASED_END..=0x10_FFFF).filter_map(char::from_u32).all(|c| upper(c) == bytes(c)));
    assert!(misfits.len() <= 0x100, "their numbers are bytes");
    render(&pages, &rows, &misfits)
}

/// The row of the scalars `page * 64 ..`, if any of them changes; ASCII has no rows. Upper case that
/// does not fit is added to `misfits`.
fn row(page: u32, misfits: &mut Vec<char>) -> Option<Row> {
    let scalars = page * ROW_LEN..(page + 1) * ROW_LEN;
    let mut row = Row { page, prefix: Vec::new(), last: Vec::new(), before: Vec::new(), first: 0 };
    for c in scalars.map(char::from_u32) {
        let (last, before) = match c {
            Some(c) if !c.is_ascii() => {
                row.prefix = bytes(c);
                row.prefix.pop();
                let (from, to) = (bytes(c), upper(c));
                change(&from, &to, &mut row.first).unwrap_or_else(|| {
                    let number = u8::try_from(misfits.len()).unwrap_or_default();
                    misfits.push(c);
                    (number, MISFIT | shrink(&from, &to, &mut row.first))
                })
            }
            _ => (0, 0),
        };
        row.last.push(last);
        row.before.push(before);
    }
    let changes = row.before.iter().chain(&row.last).any(|&change| change != 0);
    changes.then_some(row)
}

/// The bits that change in the last byte, and in the one before it. `None`: it does not fit.
fn change(from: &[u8], to: &[u8], first: &mut u8) -> Option<(u8, u8)> {
    let flips: Vec<u8> = from.iter().zip(to).map(|(from, to)| from ^ to).collect();
    match flips[..] {
        _ if from.len() != to.len() => None,
        [before, last] if before < FIRST_TOO => Some((last, before)),
        [flip, last] if first_too(first, flip) => Some((last, FIRST_TOO)),
        [0, before, last] | [0, 0, before, last] => Some((last, before)),
        [flip, before, last] if before < FIRST_TOO && first_too(first, flip) => {
            Some((last, before | FIRST_TOO))
        }
        _ => None,
    }
}

/// The mark of a misfit of two bytes whose upper case is its first byte, flipped; 0: it is none.
fn shrink(from: &[u8], to: &[u8], first: &mut u8) -> u8 {
    match (from, to) {
        ([from, _], [to]) if first_too(first, from ^ to) => FIRST_TOO,
        _ => 0,
    }
}

/// Whether `flip` can be what flips in the first bytes of a row: only one thing can.
fn first_too(first: &mut u8, flip: u8) -> bool {
    let agreed = *first == 0 || *first == flip;
    if agreed {
        *first = flip;
    }
    agreed
}

fn bytes(c: char) -> Vec<u8> {
    c.to_string().into_bytes()
}

fn upper(c: char) -> Vec<u8> {
    c.to_uppercase().to_string().into_bytes()
}

fn render(pages: &[usize], rows: &[Row], misfits: &[char]) -> String {
    let (major, minor, update) = char::UNICODE_VERSION;
    let mut text = format!(
        "//! Which characters have an upper case, and which bits it flips: see `row.rs`.\n\
         //! Made by `cargo run -p stentor-core --example casing-table`; not for editing.\n\n\
         use super::row::{{Misfit, Row}};\n\n\
         /// The version of Unicode whose upper case this is.\n\
         pub const UNICODE_VERSION: &str = \"{major}.{minor}.{update}\";\n\n"
    );
    let mut put = |line: &str| text.push_str(line);
    put("/// For each 64 scalars the number of their row in `ROWS`, from 1; 0: no case.\n");
    put(&format!("#[rustfmt::skip]\npub(super) static PAGES: [u8; {}] = [\n", pages.len()));
    for line in pages.chunks(32) {
        put(&format!("    {},\n", numbers(line)));
    }
    put("];\n\n/// The rows, by scalar.\n");
    put(&format!("#[rustfmt::skip]\npub(super) static ROWS: [Row; {}] = [\n", rows.len()));
    for row in rows {
        put(&format!("    // U+{:04X}\n", row.page * ROW_LEN));
        // From the byte before the last backwards, as `Row::prefix` tells.
        let mut prefix: Vec<u8> = row.prefix.iter().rev().copied().collect();
        prefix.resize(3, 0);
        let (width, prefix) = (row.prefix.len() + 1, numbers(&prefix));
        put(&format!("    Row {{ width: {width}, prefix: [{prefix}], first: {},\n", row.first));
        put(&format!("        last: [{}\n", quarters(&row.last)));
        put(&format!("        before: [{} }},\n", quarters(&row.before)));
    }
    put("];\n\n/// The misfits, by scalar.\n");
    put(&format!("#[rustfmt::skip]\npub(super) static MISFITS: [Misfit; {}] = [\n", misfits.len()));
    for &c in misfits {
        let mut upper = upper(c);
        let len = upper.len();
        assert!(len <= 3 * bytes(c).len());
        upper.resize(8, 0);
        let upper = numbers(&upper);
        put(&format!("    Misfit {{ upper: [{upper}], len: {len} }}, // U+{:04X}\n", u32::from(c)));
    }
    put("];\n");
    text
}

/// A column by quarters, as many to a line as fit, with the brackets that close it.
fn quarters(column: &[u8]) -> String {
    let mut lines: Vec<String> = Vec::new();
    for quarter in column.chunks(16) {
        let alike = quarter.windows(2).all(|pair| pair.first() == pair.last());
        let quarter = match quarter.first() {
            Some(value) if alike => format!("[{value}; 16]"),
            _ => format!("[{}]", numbers(quarter)),
        };
        match lines.last_mut() {
            Some(line) if line.len() + quarter.len() < 75 => *line = format!("{line}, {quarter}"),
            _ => lines.push(quarter),
        }
    }
    lines.join(",\n            ") + "],"
}

fn numbers<N: ToString>(numbers: &[N]) -> String {
    numbers.iter().map(N::to_string).collect::<Vec<_>>().join(", ")
}
