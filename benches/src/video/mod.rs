//! Stored video: what its documents claim, a part for each claim.

mod fluid;

/// A part: its name, what it shows, and how it runs; `true` is the quick form.
type Part = (&'static str, &'static str, fn(bool) -> Result<String, String>);

/// The parts, in the order in which they run.
pub(crate) const PARTS: &[Part] = &[(
    "fluid",
    "progressive play through the link engine, beside the book's formulae",
    fluid::measure,
)];

/// Runs the parts that are named, or all.
pub(crate) fn measure(names: &[String], quick: bool) -> Result<String, String> {
    let known = |name: &String| PARTS.iter().any(|(known, ..)| known == name);
    if let Some(unknown) = names.iter().find(|name| !known(name)) {
        let list: Vec<&str> = PARTS.iter().map(|(name, ..)| *name).collect();
        return Err(format!("there is no part {unknown}; there are {}", list.join(", ")));
    }
    let mut text = String::new();
    for (name, shows, run) in PARTS {
        if names.is_empty() || names.iter().any(|wanted| wanted == name) {
            text.push_str(&format!("## {shows}\n\n{}\n", run(quick)?));
        }
    }
    Ok(text)
}
