//! Paths as they stand in a request: percent-encoded (RFC 3986, 2.1).

/// A path without its escapes; `None` if one of them is none.
pub(super) fn decoded(path: &str) -> Option<Vec<u8>> {
    let mut decoded = Vec::with_capacity(path.len());
    let mut rest = path.bytes();
    while let Some(byte) = rest.next() {
        decoded.push(match byte {
            b'%' => digit(rest.next()?)? << 4 | digit(rest.next()?)?,
            byte => byte,
        });
    }
    Some(decoded)
}

fn digit(byte: u8) -> Option<u8> {
    let digit = char::from(byte).to_digit(16)?;
    u8::try_from(digit).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn escapes_are_undone_once() {
        let check = |path: &str, expected: Option<&[u8]>| {
            assert_eq!(decoded(path).as_deref(), expected, "{path}");
        };
        check("/a/b.mp4", Some(b"/a/b.mp4"));
        check("/%2e%2E/%2f", Some(b"/..//"));
        check("/%252e", Some(b"/%2e"));
        check("/%C3%bc%00%ff", Some(b"/\xc3\xbc\0\xff"));
        for path in ["/%", "/%2", "/%2g", "/%+1", "/%\u{e9}0"] {
            check(path, None);
        }
    }
}
