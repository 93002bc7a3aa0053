//! What every HTML file of ours has around its content: the head, the policy, the look.
//!
//! A page needs no network and asks for none (its own policy forbids it), is light or dark with its
//! reader, and is well-formed XML too. What it shows is left to those who make one.

use crate::report::svg::escape;

/// The look of a report, for beside the style of its charts or pictures: one column with a verdict,
/// figures in boxes, charts, and tables of names and values.
pub const REPORT: &str = include_str!("report.css");

/// A page, to be filled in.
#[derive(Clone, Copy, Debug)]
pub struct Shell<'a> {
    /// What stands in the reader's tab; text, not markup.
    pub title: &'a str,
    /// Style sheets, in the order that they are to hold.
    pub styles: &'a [&'a str],
    /// Content that is markup.
    pub body: &'a str,
    /// What runs in the page; without it the page may run nothing.
    pub script: Option<&'a str>,
}

impl Shell<'_> {
    /// The whole file.
    pub fn html(&self) -> String {
        let Shell { title, styles, body, script } = self;
        let style = styles.concat();
        let title = escape(title);
        let scripts = if script.is_some() { " script-src 'unsafe-inline';" } else { "" };
        let script = script
            .map(|script| format!("<script>//<![CDATA[\n{script}//]]></script>\n"))
            .unwrap_or_default();
        format!(
            "<!DOCTYPE html>\n<html lang=\"en\" xmlns=\"http://www.w3.org/1999/xhtml\">\n<head>\n\
             <meta charset=\"utf-8\"/>\n\
             <meta http-equiv=\"Content-Security-Policy\" content=\"default-src 'none'; \
             style-src 'unsafe-inline';{scripts} base-uri 'none'; form-action 'none'\"/>\n\
             <meta name=\"viewport\" content=\"width=device-width, initial-scale=1\"/>\n\
             <meta name=\"color-scheme\" content=\"light dark\"/>\n\
             <title>{title}</title>\n<style>{base}{style}</style>\n</head>\n\
             <body class=\"stentor\">\n{body}{script}</body>\n</html>\n",
            base = include_str!("shell.css")
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_page_may_run_only_what_it_was_given() {
        let page =
            |script| Shell { title: "a <b>", styles: &[], body: "<p>c</p>\n", script }.html();
        let (still, lively) = (page(None), page(Some("'<&';\n")));
        assert!(!still.contains("script"), "{still}");
        assert!(lively.contains("script-src 'unsafe-inline';"), "{lively}");
        for page in [still, lively] {
            let options = roxmltree::ParsingOptions { allow_dtd: true, ..Default::default() };
            let document = roxmltree::Document::parse_with_options(&page, options).unwrap();
            let text = |tag| document.descendants().find(|node| node.has_tag_name(tag)).unwrap();
            let title = document.descendants().find(|node| node.tag_name().name() == "title");
            assert_eq!(title.unwrap().text(), Some("a <b>"));
            let html = "http://www.w3.org/1999/xhtml";
            assert_eq!(text((html, "p")).text(), Some("c"));
            assert!(page.contains("default-src 'none'"), "{page}");
        }
    }
}
