//! The counters of `GET /metrics`, in the text format of Prometheus (version 0.0.4).
//!
//! Two families of four labels, under Toxiproxy's names: a page of text, which needs no library.

use std::fmt::Write;

use stentor_core::link::Direction;

use crate::drive::impair::Counts;

/// One proxy, as its counters are labelled.
#[derive(Clone, Copy, Debug)]
pub(super) struct Row<'a> {
    pub(super) proxy: &'a str,
    pub(super) listener: &'a str,
    pub(super) upstream: &'a str,
    pub(super) counts: Counts,
}

/// All counters.
pub(super) fn text(rows: &[Row<'_>]) -> String {
    let mut text = String::new();
    let families = [
        ("received", "Bytes that came in from the sender of a direction.", 0),
        ("sent", "Bytes that went out to the receiver of a direction.", 1),
    ];
    for (name, help, which) in families {
        let family = format!("toxiproxy_proxy_{name}_bytes_total");
        // Writing to a String cannot fail.
        let _ = writeln!(text, "# HELP {family} {help}\n# TYPE {family} counter");
        for row in rows {
            for (direction, way) in [("upstream", Direction::Up), ("downstream", Direction::Down)] {
                let (received, sent) = bytes(&row.counts, way);
                let value = if which == 0 { received } else { sent };
                let _ = writeln!(
                    text,
                    "{family}{{direction=\"{direction}\",proxy=\"{}\",listener=\"{}\",\
                     upstream=\"{}\"}} {value}",
                    escaped(row.proxy),
                    escaped(row.listener),
                    escaped(row.upstream)
                );
            }
        }
    }
    text
}

/// What came in and went out in one direction.
const fn bytes(counts: &Counts, direction: Direction) -> (u64, u64) {
    match (counts, direction) {
        (Counts::Stream(streams), Direction::Up) => {
            (streams.up_received_bytes, streams.up_sent_bytes)
        }
        (Counts::Stream(streams), Direction::Down) => {
            (streams.down_received_bytes, streams.down_sent_bytes)
        }
        (Counts::Units(units), Direction::Up) => (units.up.taken_bytes, units.up.delivered_bytes),
        (Counts::Units(units), Direction::Down) => {
            (units.down.taken_bytes, units.down.delivered_bytes)
        }
    }
}

/// A label's value: backslash, quote and line feed are written with a backslash.
fn escaped(label: &str) -> String {
    label.replace('\\', "\\\\").replace('"', "\\\"").replace('\n', "\\n")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::drive::impair::StreamCounts;

    #[test]
    fn counters_have_toxiproxys_names_and_labels() {
        let streams =
            StreamCounts { up_received_bytes: 5, down_sent_bytes: 7, ..StreamCounts::default() };
        let row = Row {
            proxy: "a\"b\\c\n",
            listener: "127.0.0.1:1",
            upstream: "h:2",
            counts: Counts::Stream(streams),
        };
        let text = text(&[row]);
        let labels = r#"proxy="a\"b\\c\n",listener="127.0.0.1:1",upstream="h:2""#;
        for line in [
            format!("toxiproxy_proxy_received_bytes_total{{direction=\"upstream\",{labels}}} 5"),
            format!("toxiproxy_proxy_sent_bytes_total{{direction=\"downstream\",{labels}}} 7"),
            "# TYPE toxiproxy_proxy_sent_bytes_total counter".to_owned(),
        ] {
            assert!(text.lines().any(|found| found == line), "{line}\nin\n{text}");
        }
    }
}
