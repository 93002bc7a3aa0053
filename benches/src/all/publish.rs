//! Puts what was measured where people read it: between two marks of a document, and nowhere else.

use std::fs;
use std::path::Path;

use super::render::Findings;

/// The repository this bench was built from.
const ROOT: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/..");

/// Writes all tables into docs/performance.md, the chart beside it, and the short form into
/// README.md.
///
/// # Errors
/// A document lacks its marks, or cannot be written.
pub(crate) fn write(findings: &Findings) -> Result<(), String> {
    let root = Path::new(ROOT);
    between(&root.join("docs/performance.md"), "all", &findings.markdown())?;
    let chart = root.join("docs/performance.svg");
    fs::write(&chart, findings.chart()).map_err(|e| format!("write {}: {e}", chart.display()))?;
    between(&root.join("README.md"), "figures", &findings.short())
}

fn between(path: &Path, name: &str, body: &str) -> Result<(), String> {
    let named = |error: std::io::Error| format!("{}: {error}", path.display());
    let text = fs::read_to_string(path).map_err(named)?;
    let renewed = replaced(&text, name, body)
        .ok_or_else(|| format!("{} has no marks of {name:?}", path.display()))?;
    fs::write(path, renewed).map_err(named)
}

/// The text with other words between `<!-- name: begin -->` and `<!-- name: end -->`.
fn replaced(text: &str, name: &str, body: &str) -> Option<String> {
    let (begin, end) = (format!("<!-- {name}: begin -->"), format!("<!-- {name}: end -->"));
    let (before, rest) = text.split_once(&begin)?;
    let (_, after) = rest.split_once(&end)?;
    Some(format!("{before}{begin}\n\n{}\n\n{end}{after}", body.trim()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_stands_between_the_marks_changes() {
        let text = "one\n<!-- x: begin -->\nold\n<!-- x: end -->\ntwo\n";
        let new = replaced(text, "x", "new\n").unwrap();
        assert_eq!(new, "one\n<!-- x: begin -->\n\nnew\n\n<!-- x: end -->\ntwo\n");
        assert_eq!(replaced(&new, "x", "new"), Some(new.clone()));
        assert_eq!(replaced(text, "y", "new"), None);
    }
}
