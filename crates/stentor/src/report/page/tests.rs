//! The page is well formed whatever the traced programs said, and does what it says in a browser.

use std::path::Path;
use std::process::Command;

use proptest::prelude::*;
use roxmltree::{Document, ParsingOptions};
use serde_json::Value;

use super::*;
use crate::report::judges::installed;
use crate::report::samples;

fn parse(page: &str) -> Result<Document<'_>, roxmltree::Error> {
    Document::parse_with_options(page, ParsingOptions { allow_dtd: true, ..Default::default() })
}

fn data(page: &str) -> Value {
    let document = parse(page).unwrap();
    let data = document.descendants().find(|node| node.attribute("id") == Some("data"));
    serde_json::from_str(data.unwrap().text().unwrap()).unwrap()
}

/// The value of a field of a call or packet.
fn field<'a>(data: &'a Value, key: &str, name: &str) -> &'a str {
    let fields = data[key][1].as_array().unwrap_or_else(|| panic!("no {key}"));
    let found = fields.iter().find(|field| field[0] == name);
    found.unwrap_or_else(|| panic!("{key} has no {name}: {fields:?}"))[1].as_str().unwrap()
}

#[test]
fn all_fields_of_udp_and_its_ties_are_told() {
    let data = data(&html(&samples::datagrams(), ROWS_MAX));
    assert_eq!(data["p0"][0], "Packet 1: UDP");
    assert_eq!(field(&data, "p0", "source port"), "40000");
    assert_eq!(field(&data, "p0", "destination port"), "12000");
    assert_eq!(field(&data, "p0", "length"), "14 bytes: header 8, data 6");
    // 7f00 + 0001, twice, + protocol 17 + length 14: what the kernel leaves on lo.
    assert!(field(&data, "p0", "checksum").starts_with("0xfe21 (partial: "));
    assert_eq!(field(&data, "p2", "checksum"), "0xfe21 (as captured; not verified here)");
    assert!(field(&data, "p0", "sendto #2").contains("(datagram, exact)"));
    assert!(field(&data, "p0", "recvfrom #1").contains("(datagram, exact)"));
    assert_eq!(field(&data, "c1", "returned"), "1.050 ms, after 50 us");
    assert!(field(&data, "c1", "caused packet 1").contains("addresses, length, bytes"));
    assert_eq!(field(&data, "p3", "about"), "UDP 127.0.0.1:40001 to 127.0.0.1:12999");
}

#[test]
fn numbers_of_tcp_are_told_as_people_count_and_as_on_the_wire() {
    let data = data(&html(&samples::lecture(), ROWS_MAX));
    assert_eq!(field(&data, "p3", "sequence"), "1, on the wire 3000000001");
    assert_eq!(field(&data, "p3", "acknowledgment"), "1, on the wire 4294967291");
    assert_eq!(field(&data, "p3", "window"), "65536 bytes, on the wire 512");
    assert_eq!(field(&data, "p3", "flags"), "PSH,ACK");
    let options = "mss 1460, wscale 7, sackOK, timestamp 1020 echo 1";
    assert_eq!(field(&data, "p0", "options"), options);
}

#[test]
fn a_checksum_of_zero_is_none_over_udp_alone() {
    let mut ladder = samples::datagrams();
    let stentor_core::timeline::header::Transport::Udp(udp) =
        &mut ladder.packets[0].headers.transport
    else {
        panic!("the first is no datagram")
    };
    udp.checksum = 0;
    let data = data(&html(&ladder, ROWS_MAX));
    assert_eq!(field(&data, "p0", "checksum"), "0x0000 (none was sent)");
}

#[test]
fn a_page_ends_where_it_should_and_knows_only_what_it_shows() {
    let page = html(&samples::long(3_000), 100);
    assert!(page.contains("5900 further rows are in the record but not drawn here"));
    assert_eq!(data(&page).as_object().unwrap().len(), 100);
}

#[test]
fn a_page_asks_for_nothing() {
    let page = html(&samples::several(), ROWS_MAX);
    let document = parse(&page).unwrap();
    for node in document.descendants() {
        for name in ["src", "href", "action", "data", "style"] {
            assert!(node.attribute(name).is_none(), "{node:?} has {name}");
        }
    }
    assert!(page.contains("default-src 'none'"));
    let sections: Vec<_> =
        document.descendants().filter_map(|node| node.attribute("data-words")).collect();
    assert_eq!(sections.len(), 3);
    assert!(sections[1].contains("udp 127.0.0.1:40000"), "{sections:?}");
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]
    #[test]
    fn no_text_becomes_markup(text in "(?s).{0,40}|[<>&\"'\u{0}\u{1b}\u{2028}\u{fffe}\\]\u{a0}-]{0,30}|(]]>|-->|<!--|</script>|</style>|<img onerror=broken=1 src=x>).*") {
        let page = html(&samples::hostile(&text), ROWS_MAX);
        let document = match parse(&page) {
            Ok(document) => document,
            Err(error) => return Err(TestCaseError::fail(format!("{error}: {page}"))),
        };
        let scripts = document.descendants().filter(|node| node.has_tag_name("script")).count();
        prop_assert_eq!(scripts, 2);
        prop_assert!(!document.descendants().any(|node| node.has_tag_name("img")));
        // HTML, unlike XML, ends a script at its first end tag.
        prop_assert_eq!(page.matches("</script").count(), 2);
        prop_assert_eq!(page.matches("<!--").count(), 0);
        prop_assert_eq!(page.matches("</style").count(), 1);
        let json = data(&page);
        prop_assert_eq!(field(&json, "c0", "outcome"), words::clean(&text));
    }
}

#[test]
fn hover_click_keys_and_filter_work_in_a_browser() {
    let chromium = installed(&["chromium", "chromium-browser", "google-chrome"]);
    let (Some(chromium), Some(node)) = (chromium, installed(&["node", "nodejs"])) else {
        // Not by eprintln!, which a passing test keeps to itself.
        crate::report::console::notice(
            "SKIPPED: the page in a browser needs chromium and node (apt install chromium nodejs)",
        );
        return;
    };
    let driver = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/browser/page.mjs");
    let folder = std::env::temp_dir().join(format!("stentor-page-test-{}", std::process::id()));
    std::fs::create_dir_all(&folder).unwrap();
    let mut failures = Vec::new();
    let hostile = "</script><img src=x onerror=\"window.broken=1\">]]>'&#39;<b>\u{202e}";
    for (name, ladder) in [("plain", samples::several()), ("hostile", samples::hostile(hostile))] {
        let file = folder.join(format!("{name}.html"));
        std::fs::write(&file, html(&ladder, ROWS_MAX)).unwrap();
        let run = Command::new(&node).arg(&driver).arg(&chromium).arg(&file).output().unwrap();
        if !run.status.success() {
            failures.push(format!("{name}: {}", String::from_utf8_lossy(&run.stderr)));
        }
    }
    std::fs::remove_dir_all(&folder).unwrap();
    assert!(failures.is_empty(), "{failures:?}");
}
