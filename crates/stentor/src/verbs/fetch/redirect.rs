//! Where a reply sends us (RFC 9110, section 15.4). Whether it is followed is the plan's matter.

use url::Url;

/// The address that `location` means, read at `from`; `None` for a reply that is no redirect.
///
/// Errors, in words: a location that is no URL, or one of another scheme.
pub(super) fn target(
    from: &Url,
    status: u16,
    location: Option<&[u8]>,
) -> Result<Option<Url>, String> {
    let (301 | 302 | 303 | 307 | 308, Some(location)) = (status, location) else {
        return Ok(None);
    };
    let location = String::from_utf8_lossy(location);
    let mut to =
        from.join(&location).map_err(|error| format!("redirects to {location:?}: {error}"))?;
    if !matches!(to.scheme(), "http" | "https") {
        return Err(format!("redirects to {to}, which is neither http nor https"));
    }
    to.set_fragment(None);
    // What a stranger puts before the @ is no secret of ours to send.
    let _ = to.set_username("");
    let _ = to.set_password(None);
    Ok(Some(to))
}

/// Whether both are one origin: scheme, host and port (RFC 6454, section 4).
pub(super) fn same_origin(one: &Url, other: &Url) -> bool {
    one.origin() == other.origin()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn locations_are_read_relative_to_where_they_were_said() {
        let check = |status: u16, location: Option<&str>, expected: &str| {
            let from = Url::parse("https://a.example/dir/page?x=1").unwrap();
            let read = match target(&from, status, location.map(str::as_bytes)) {
                Ok(Some(to)) => to.to_string(),
                Ok(None) => "stay".to_owned(),
                Err(words) => words,
            };
            assert_eq!(read, expected);
        };
        check(301, Some("/new"), "https://a.example/new");
        check(302, Some("other"), "https://a.example/dir/other");
        check(303, Some("?y=2"), "https://a.example/dir/page?y=2");
        check(307, Some("//b.example"), "https://b.example/");
        check(308, Some("http://me:pw@b.example/#end"), "http://b.example/");
        check(301, None, "stay");
        check(304, Some("/new"), "stay");
        check(200, Some("/new"), "stay");
        check(301, Some("ftp://x/"), "redirects to ftp://x/, which is neither http nor https");
        check(301, Some("http://"), "redirects to \"http://\": empty host");
    }

    #[test]
    fn origins_differ_by_scheme_host_or_port() {
        let check = |other: &str, expected: bool| {
            let one = Url::parse("http://a.example/x").unwrap();
            assert_eq!(same_origin(&one, &Url::parse(other).unwrap()), expected, "{other}");
        };
        check("http://a.example:80/y", true);
        check("https://a.example/x", false);
        check("http://b.example/x", false);
        check("http://a.example:81/x", false);
    }
}
