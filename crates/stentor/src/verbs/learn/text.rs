//! The words of a lesson, from its file in `lessons/`: what is asked, where the notes are
//! inexact, the lesson in one sentence, what to try.

/// The words of a lesson. Paragraphs are single lines here.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Text {
    /// After `#`.
    pub(super) title: String,
    /// What is asked: the paragraphs after the title.
    pub(super) question: Vec<String>,
    /// Under `## The notes`: a quotation (`>`), and what is true.
    pub(super) notes: Vec<(String, String)>,
    /// Under `## Lesson`: one sentence.
    pub(super) lesson: String,
    /// Under `## Try it`.
    pub(super) go: String,
}

impl Text {
    /// Reads the file of a lesson; what it does not know it leaves out.
    pub(super) fn parse(source: &str) -> Text {
        let mut text = Text::default();
        let mut heading = "";
        for paragraph in source.split("\n\n") {
            let paragraph = paragraph.trim();
            let words = || paragraph.lines().map(str::trim).collect::<Vec<_>>().join(" ");
            if let Some(title) = paragraph.strip_prefix("# ") {
                text.title = title.trim().to_owned();
            } else if let Some(title) = paragraph.strip_prefix("## ") {
                heading = title.trim();
            } else if paragraph.is_empty() {
                continue;
            } else {
                match heading {
                    "" => text.question.push(words()),
                    "The notes" => match (paragraph.strip_prefix("> "), text.notes.last_mut()) {
                        (Some(quote), _) => text.notes.push((quote.to_owned(), String::new())),
                        (None, Some((_, truth))) => *truth = words(),
                        (None, None) => {}
                    },
                    "Lesson" => text.lesson = words(),
                    "Try it" => text.go = words(),
                    _ => {}
                }
            }
        }
        text
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_parts_of_a_text_are_found() {
        let source = "# A title\n\nOne\nquestion?\n\nTwo?\n\n## The notes\n\n> it is so\n\nIt\nis not.\n\n\
                      ## Lesson\n\nThus.\n\n## Try it\n\nRun it.\n";
        let text = Text::parse(source);
        assert_eq!(text.title, "A title");
        assert_eq!(text.question, ["One question?", "Two?"]);
        assert_eq!(text.notes, [("it is so".to_owned(), "It is not.".to_owned())]);
        assert_eq!((text.lesson.as_str(), text.go.as_str()), ("Thus.", "Run it."));
    }
}
