//! What a file seems to be that is not a record, from its first bytes.

/// In words: `a pcapng file`.
pub(super) fn seems(start: &[u8]) -> String {
    const MAGIC: &[(&[u8], &str)] = &[
        (b"\x0a\x0d\x0d\x0a", "a pcapng file, which stentor writes but does not read back"),
        (b"\xd4\xc3\xb2\xa1", "a pcap file"),
        (b"\xa1\xb2\xc3\xd4", "a pcap file"),
        (b"\x4d\x3c\xb2\xa1", "a pcap file"),
        (b"\xa1\xb2\x3c\x4d", "a pcap file"),
        (b"\x1f\x8b", "compressed by gzip: gunzip it first"),
        (b"\x28\xb5\x2f\xfd", "compressed by zstd: unzstd it first"),
        (b"\xfd7zXZ", "compressed by xz: unxz it first"),
        (b"PK\x03\x04", "a zip archive"),
        (b"\x7fELF", "a program (ELF)"),
        (b"\xff\xfe", "UTF-16 text, and a record is UTF-8"),
        (b"\xfe\xff", "UTF-16 text, and a record is UTF-8"),
        (b"<", "HTML, SVG or XML"),
    ];
    if start.is_empty() {
        return "empty".to_owned();
    }
    if let Some((_, name)) = MAGIC.iter().find(|(magic, _)| start.starts_with(magic)) {
        return (*name).to_owned();
    }
    // What was read may end within a character.
    let text = match std::str::from_utf8(start) {
        Ok(text) => text,
        Err(error) if error.error_len().is_none() => start
            .get(..error.valid_up_to())
            .and_then(|start| str::from_utf8(start).ok())
            .unwrap_or(""),
        Err(_) => return "binary data".to_owned(),
    };
    if text.contains('\0') {
        return "binary data".to_owned();
    }
    match text.trim_start().chars().next() {
        None if text.is_empty() => "binary data".to_owned(),
        None => "white space".to_owned(),
        Some('{' | '[') => json(text),
        Some(_) => "text that is not JSON".to_owned(),
    }
}

/// Which JSON it is, by the first `"schema"` in it.
fn json(text: &str) -> String {
    let schema = text.split_once("\"schema\"").and_then(|(_, rest)| {
        rest.trim_start().strip_prefix(':')?.trim_start().strip_prefix('"')?.split_once('"')
    });
    match schema {
        Some((schema, _)) if schema.len() <= 40 && schema.starts_with("stentor.") => {
            format!("JSON of the form {schema}")
        }
        Some(_) => "JSON of another form".to_owned(),
        None if ["{\"process\"", "{\"call\"", "{\"packet\"", "{\"snapshot\""]
            .iter()
            .any(|entry| text.starts_with(entry)) =>
        {
            "a record without its first line".to_owned()
        }
        None => "JSON of something else".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_are_known_by_their_first_bytes() {
        let check = |start: &[u8], expected: &str| {
            let seems = seems(start);
            assert!(seems.starts_with(expected), "{:?}: {seems}", start.escape_ascii().to_string());
        };
        check(b"", "empty");
        check(b"\n \n", "white space");
        check(b"\x0a\x0d\x0d\x0a\x1c\0\0\0\x4d\x3c\x2b\x1a", "a pcapng file");
        check(b"\xd4\xc3\xb2\xa1\x02\0\x04\0", "a pcap file");
        check(b"\x4d\x3c\xb2\xa1\x02\0\x04\0", "a pcap file");
        check(b"\x1f\x8b\x08", "compressed by gzip");
        check(b"\x7fELF\x02", "a program");
        check(b"<!DOCTYPE html>", "HTML");
        check(b"{\n  \"schema\": \"stentor.send/1\",", "JSON of the form stentor.send/1");
        check(b"{\"schema\":\"other\"}", "JSON of another form");
        check(b"{\"schema\":7}", "JSON of something else");
        check(b"[1,2]", "JSON of something else");
        check(b"{\"call\":{\"id\":1", "a record without its first line");
        check(b"socket(AF_INET, SOCK_STREAM, 0) = 3\n", "text that is not JSON");
        check(b"\xc3", "binary data");
        check(b"\x80\x81\x82", "binary data");
        check(b"abc\0def", "binary data");
    }
}
