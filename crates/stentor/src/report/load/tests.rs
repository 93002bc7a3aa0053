//! Every form of a run of load: complete, well formed, and the same numbers in all of them.

use roxmltree::Document;
use stentor_core::load::Tally;

use super::text::WIDTH;
use super::*;
use crate::report::json;

fn head() -> Head {
    Head::of(&samples::config("tcp://127.0.0.1:12000"))
}

#[test]
fn a_stalled_server_for_people() {
    insta::assert_snapshot!(text::text(&head(), &samples::stalled(), WIDTH));
}

#[test]
fn a_bad_network_for_people() {
    insta::assert_snapshot!(text::text(&head(), &samples::bad(), WIDTH));
}

#[test]
fn a_closed_loop_is_labelled_in_every_form() {
    let mut config = samples::config("udp://127.0.0.1:12000");
    config.pace = Pace::Max;
    let (head, outcome) = (Head::of(&config), samples::stalled());
    let said = text::text(&head, &outcome, WIDTH);
    let page = page::html(&head, Some(&config), &outcome);
    assert!(
        said.contains("closed loop: hides waiting") && page.contains("closed loop: hides waiting")
    );
    assert!(!said.contains("offered"));
    let config = serde_json::to_value(json::load::Config::from(&config)).unwrap();
    assert_eq!(
        (config["loop_kind"].as_str(), config["rate_per_second"].as_f64()),
        (Some("closed"), None)
    );
}

#[test]
fn lines_of_the_course() {
    let outcome = samples::bad();
    let lines: Vec<String> = outcome.intervals.iter().take(12).map(text::line).collect();
    insta::assert_snapshot!(lines.join("\n"));
}

#[test]
fn no_line_is_wider_than_the_terminal() {
    for width in [60, 80, 120] {
        for outcome in [samples::empty(), samples::stalled(), samples::bad()] {
            for line in text::text(&head(), &outcome, width).lines() {
                let wide = crate::report::ladder::lines::columns(line);
                assert!(wide <= width.max(76), "{wide} columns: {line}");
            }
        }
    }
}

#[test]
fn the_numbers_of_the_json_add_up() {
    for outcome in [samples::empty(), samples::stalled(), samples::bad()] {
        let shown = json::load::Outcome::of(&head(), &outcome);
        let requests = shown.requests.unwrap();
        let settled =
            requests.verified + requests.wrong + requests.late + requests.lost + requests.error;
        assert_eq!((requests.sent, requests.offered), (settled, requests.sent + requests.unsent));
        assert_eq!(shown.errors.values().sum::<u64>(), requests.error);
        let sent: u64 = shown.intervals.iter().map(|one| one.requests.as_ref().unwrap().sent).sum();
        assert_eq!(sent, requests.sent);
    }
}

#[test]
fn the_table_has_a_line_for_each_interval() {
    let table = csv::csv(&samples::stalled());
    let widths: Vec<usize> = table.lines().map(|line| line.split(',').count()).collect();
    assert_eq!(widths, [17; 21]);
    let nothing = csv::csv(&samples::empty());
    assert_eq!(nothing.lines().count(), 1);
}

#[test]
fn the_page_is_well_formed_and_asks_for_nothing() {
    let hostile = "</script><script>alert(1)</script>\u{0}\u{202e}&\"'";
    for outcome in [samples::empty(), samples::stalled(), samples::bad()] {
        let mut config = samples::config("tcp://127.0.0.1:12000");
        (config.payload, config.verify, config.framing) =
            (hostile.into(), hostile.into(), hostile.into());
        config.fail_if = vec![hostile.into()];
        let mut head = Head::of(&config);
        (head.target, head.logs) = (hostile.into(), vec![hostile.into()]);
        let mut outcome = outcome;
        outcome.warnings.push(hostile.into());
        let page = page::html(&head, Some(&config), &outcome);
        let document = Document::parse_with_options(
            &page,
            roxmltree::ParsingOptions { allow_dtd: true, ..Default::default() },
        );
        let document = document.unwrap_or_else(|error| panic!("{error}"));
        assert!(!document.descendants().any(|node| node.has_tag_name("script")));
        assert!(!page.contains("src=") && !page.contains("href="), "a page asks for nothing");
        assert!(!page.contains("NaN"));
        assert!(Document::parse(&page::svg(&head, &outcome)).is_ok());
    }
}

#[test]
fn lateness_of_our_own_is_told_when_it_is_not_small() {
    let mut outcome = samples::stalled();
    assert!(cautions(&head(), &outcome).is_empty());
    outcome.tally.lateness.record_many(Duration::from_millis(3), 1_000);
    assert!(cautions(&head(), &outcome)[0].starts_with("our own lateness (p99 3 ms)"));
}

mod logs {
    use super::*;
    use crate::report::load::hdr::{Log, Trouble, read};

    fn written(outcome: &Outcome) -> Vec<u8> {
        let mut bytes = Vec::new();
        hdr::write(&head(), outcome, &mut bytes).unwrap();
        bytes
    }

    fn named(bytes: &[u8]) -> (String, Log) {
        ("a.hdr".into(), read(bytes).unwrap())
    }

    #[test]
    fn one_log_says_what_the_run_said() {
        for outcome in [samples::stalled(), samples::bad()] {
            let (merged_head, merged) = merge::merge(&[named(&written(&outcome))]);
            let numbers = |tally: &Tally| Tally {
                latency: Latency::new(),
                lateness: Latency::new(),
                connect: Latency::new(),
                ..tally.clone()
            };
            assert!(numbers(&merged.tally) == numbers(&outcome.tally), "not the same numbers");
            let times = |tally: &Tally| {
                [&tally.latency, &tally.lateness, &tally.connect].map(|times| {
                    (times.len(), PERCENTILES.map(|percent| times.percentile(percent)))
                })
            };
            // What is read is as precise as three digits.
            for (read, written) in times(&merged.tally).iter().zip(times(&outcome.tally)) {
                assert_eq!(read.0, written.0);
                for (read, written) in read.1.iter().zip(written.1) {
                    let (read, written) = (read.unwrap(), written.unwrap());
                    assert!(read.abs_diff(written) <= written / 1000, "{read:?} {written:?}");
                }
            }
            assert_eq!(merged.started, outcome.started);
            assert_eq!(merged.intervals.len(), outcome.intervals.len());
            for (one, other) in merged.intervals.iter().zip(&outcome.intervals) {
                let replies = [one, other].map(|interval| interval.latency.latency().len());
                assert_eq!((one.from, replies[0]), (other.from, replies[1]));
            }
            assert_eq!(Head { logs: vec![], ..merged_head }, head());
        }
    }

    #[test]
    fn three_logs_add_up() {
        let one = samples::stalled();
        let mut later = one.clone();
        later.started += Duration::from_secs(2);
        let logs = [named(&written(&one)), named(&written(&one)), named(&written(&later))];
        let (head, sum) = merge::merge(&logs);
        assert_eq!(sum.tally.latency.len(), 3 * one.tally.latency.len());
        assert_eq!(sum.tally.counts.sent, 3 * one.tally.counts.sent);
        assert_eq!((head.connections, head.rate_per_second), (192, Some(600.0)));
        assert_eq!((sum.intervals.len(), sum.intervals[0].latency.latency().len()), (22, 400));
        assert_eq!(sum.intervals[5].latency.latency().len(), 600);
        let said = text::text(&head, &sum, WIDTH);
        assert!(
            said.contains("3 logs added up") && said.contains("verified 12000 of 12000 replies"),
            "{said}"
        );
        assert!(said.contains("     90%  600 ms\n"), "{said}");
    }

    #[test]
    fn a_foreign_log_has_latencies_alone() {
        let bytes = String::from_utf8(written(&samples::stalled())).unwrap();
        let foreign: String = bytes
            .lines()
            .filter(|line| !line.contains("stentor"))
            .map(|line| format!("{line}\n"))
            .collect();
        let (head, sum) = merge::merge(&[named(foreign.as_bytes())]);
        assert!(!head.counted && sum.tally.latency.len() == 4000);
        let said = text::text(&head, &sum, WIDTH);
        assert!(
            said.contains("do not say how many were right")
                && said.contains("another program's log"),
            "{said}"
        );
        let json = serde_json::to_value(json::load::Outcome::of(&head, &sum)).unwrap();
        assert!(json["requests"].is_null() && json["latency"]["count"] == 4000);
        assert!(
            roxmltree::Document::parse_with_options(
                &page::html(&head, None, &sum),
                roxmltree::ParsingOptions { allow_dtd: true, ..Default::default() }
            )
            .is_ok()
        );
    }

    /// Python's reader of the HdrHistogram project (PyPI: hdrhistogram).
    #[test]
    fn a_foreign_reader_finds_the_same() {
        let program = "
import sys
from hdrh.histogram import HdrHistogram
from hdrh.log import HistogramLogReader
total = HdrHistogram(1, 3600 * 10**9, 3)
reader = HistogramLogReader(sys.argv[1], total)
lines = 0
while one := reader.get_next_interval_histogram():
    lines += 1
    total.add(one)
times = [total.get_value_at_percentile(p) for p in (50, 90, 99)]
print(lines, total.get_total_count(), *times, round(reader.get_start_time_sec(), 3))
";
        let python = |arguments: &[&str]| {
            std::process::Command::new("python3").arg("-c").args(arguments).output()
        };
        if !python(&["import hdrh"]).is_ok_and(|output| output.status.success()) {
            crate::report::console::notice("skipped: python3 has no hdrh (PyPI: hdrhistogram)");
            return;
        }
        let outcome = samples::stalled();
        let path = std::env::temp_dir().join(format!("stentor-{}.hdr", std::process::id()));
        std::fs::write(&path, written(&outcome)).unwrap();
        let output = python(&[program, path.to_str().unwrap()]).unwrap();
        std::fs::remove_file(&path).unwrap();
        let times: Vec<String> = [50.0, 90.0, 99.0]
            .map(|percent| {
                outcome.tally.latency.percentile(percent).unwrap().as_nanos().to_string()
            })
            .to_vec();
        let expected = format!("20 4000 {} 1700000000.123\n", times.join(" "));
        let errors = String::from_utf8_lossy(&output.stderr);
        assert_eq!(String::from_utf8_lossy(&output.stdout), expected, "{errors}");
    }

    #[test]
    fn a_damaged_log_is_refused_or_read() {
        let good = written(&samples::stalled());
        let mut dice = stentor_core::seed::Dice::new(stentor_core::seed::Seed(1), "damage");
        for _ in 0..300 {
            let mut bytes = good.clone();
            for _ in 0..=dice.below(3) {
                let at = usize::try_from(dice.below(bytes.len() as u64)).unwrap();
                bytes[at] =
                    b"0123456789,.#=[]{}\"-AZaz+/\n"[usize::try_from(dice.below(27)).unwrap()];
            }
            match read(&*bytes) {
                Ok(log) => {
                    let (head, sum) = merge::merge(&[("a".into(), log)]);
                    assert!(!text::text(&head, &sum, WIDTH).is_empty());
                }
                Err(trouble) => assert!(!trouble.to_string().is_empty()),
            }
        }
    }

    #[test]
    fn tags_choose_and_are_told() {
        let bytes = String::from_utf8(written(&samples::stalled())).unwrap();
        let tagged = |tag: &str| -> String {
            let tag = |line: &str| {
                if line.starts_with('#') {
                    format!("{line}\n")
                } else {
                    format!("Tag={tag},{line}\n")
                }
            };
            bytes.lines().map(tag).collect()
        };
        assert_eq!(read(tagged("latency").as_bytes()).unwrap().lines.len(), 20);
        let trouble = read(tagged("gc").as_bytes()).unwrap_err();
        assert!(matches!(&trouble, Trouble::Empty { tags } if tags == &["gc"]), "{trouble}");
        let both = read(format!("{}{bytes}", tagged("gc")).as_bytes()).unwrap();
        assert_eq!((both.lines.len(), both.tags), (20, vec!["gc".to_owned()]));
    }

    #[test]
    fn what_is_no_log_is_refused_by_its_line() {
        let good = String::from_utf8(written(&samples::stalled())).unwrap();
        let check = |text: &str, expected: &str| {
            let said = read(text.as_bytes()).unwrap_err().to_string();
            assert!(said.contains(expected), "{said:?} does not say {expected:?}");
        };
        check("", "no interval is in it");
        check("#[StartTime: x (seconds since epoch)]\n", "line 1: \"x\" is no number of seconds");
        check("#\n1,2\n", "line 2: it is not START,LENGTH,MAX,HISTOGRAM");
        check("-1,1,1,AAAA\n", "line 1: -1 seconds are beyond all measure");
        check("1,1,1,!\n", "line 1: the histogram: Invalid");
        check("1,1,1,AAAA\n", "line 1: it is no histogram");
        check("1,1,1,HISTFAAAAAB42gMAAAAAAQ==\n", "line 1: it is no histogram");
        check(&good.replace("\"sent_bytes\":", "\"x\":0,\"sent_bytes\":-"), "line 3: the counts: ");
        check(&good.replace("[4000,4000,", "[4000,3999,"), "line 3: the counts do not add up");
        let trouble = read(&[b'x'; 5 << 20][..]).unwrap_err();
        assert!(trouble.to_string().contains("line 1: lines of more than"), "{trouble}");
        assert!(trouble.complaint("a.hdr").to_string().contains("stentor load --hdr FILE"));
    }
}

/// Writes everything into the folder LOOK names, for eyes to judge.
#[test]
#[ignore = "for eyes: LOOK=FOLDER cargo test -p stentor --lib report::load -- --ignored"]
fn reports_to_look_at() {
    let folder = std::path::PathBuf::from(std::env::var_os("LOOK").unwrap_or_default());
    let config = samples::config("tcp://127.0.0.1:12000");
    for (name, outcome) in
        [("stalled", samples::stalled()), ("bad", samples::bad()), ("none", samples::empty())]
    {
        let write = |end: &str, text: String| {
            std::fs::write(folder.join(format!("{name}.{end}")), text).unwrap()
        };
        write("html", page::html(&head(), Some(&config), &outcome));
        write("80.txt", text::text(&head(), &outcome, 80));
        write("120.txt", text::text(&head(), &outcome, 120));
        write("csv", csv::csv(&outcome));
        let mut log = Vec::new();
        hdr::write(&head(), &outcome, &mut log).unwrap();
        write("hdr", String::from_utf8(log).unwrap());
    }
}
