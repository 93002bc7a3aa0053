//! The file of a record: what is written reads back equal, and nothing that is read panics.

use std::io::{self, ErrorKind, Write};

use proptest::prelude::*;
use stentor_core::moment::Moment;
use stentor_core::timeline::record::*;

use super::*;

const FIRST: &str = r#"{"schema":"stentor.trace/1","stentor":"0.1.0","kernel":"6.18.5","machine":"x86_64","mode":"lab","wire":"ethernet","snaplen":262144,"began_unix_ns":1}"#;
const PACKET: &str = r#"{"packet":{"at_ns":5,"length":60,"bytes":"00ff"}}"#;

fn written(record: &Record) -> Vec<u8> {
    write(record, Vec::new(), "memory").unwrap()
}

fn text(lines: &[&str]) -> String {
    lines.iter().map(|line| format!("{line}\n")).collect()
}

fn refusal(text: impl AsRef<[u8]>) -> String {
    read(text.as_ref()).unwrap_err().to_string()
}

proptest! {
    #[test]
    fn records_read_as_they_were_written(record in arbitrary::record()) {
        let (back, warnings) = read(&*written(&record)).unwrap();
        prop_assert_eq!(back, record);
        prop_assert_eq!(warnings, Warnings::default());
    }

    /// Wherever a run died, what was whole is read, and the rest is told.
    #[test]
    fn a_record_cut_anywhere_is_read_up_to_there(record in arbitrary::record(), cut in 0.0..1.0) {
        let file = written(&record);
        #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a place in it")]
        let cut = (file.len() as f64 * cut) as usize;
        let start = &file[..cut];
        let newlines = start.iter().filter(|byte| **byte == b'\n').count();
        match read(start) {
            Err(Trouble::Foreign { .. }) => prop_assert_eq!(newlines, 0),
            Err(trouble) => prop_assert!(false, "{}", trouble),
            Ok((back, warnings)) => {
                let whole = start.ends_with(b"\n") || warnings.torn_line.is_none();
                prop_assert_eq!(whole, back.losses.len() <= record.losses.len()
                    && warnings.torn_line.is_none());
                let torn = usize::from(!whole);
                let entries = back.processes.len() + back.calls.len() + back.snapshots.len()
                    + back.packets.len() + back.losses.len() + back.notes.len();
                // A line without its newline may be whole all the same.
                let lines = newlines + usize::from(!start.ends_with(b"\n") && whole);
                prop_assert_eq!(entries, lines - 1 + torn);
            }
        }
    }

    #[test]
    fn no_change_of_a_byte_makes_reading_panic(
        record in arbitrary::record(),
        place in any::<prop::sample::Index>(),
        byte in any::<u8>(),
    ) {
        let mut file = written(&record);
        let place = place.index(file.len());
        file[place] = byte;
        if let Ok((read_once, _)) = read(&*file) {
            prop_assert_eq!(read(&*written(&read_once)).unwrap().0, read_once);
        }
    }
}

#[test]
fn lines_are_as_documented() {
    let (record, warnings) = read(text(&[FIRST, PACKET]).as_bytes()).unwrap();
    assert_eq!(warnings, Warnings::default());
    assert_eq!(record.header.snaplen, 262_144);
    assert_eq!(record.packets[0].bytes[..], [0, 255]);
    assert_eq!(String::from_utf8(written(&record)).unwrap(), text(&[FIRST, PACKET]));
}

#[test]
fn what_a_later_version_adds_is_skipped_and_counted() {
    let file = text(&[
        &FIRST.replace("\"snaplen\"", "\"new\":{\"a\":[1]},\"snaplen\""),
        r#"{"packet":{"at_ns":5,"length":60,"bytes":"00","vlan":7}}"#,
        r#"{"weather":{"at_ns":6}}"#,
        r#"{"call":{"id":1,"pid":2,"entered_ns":7,"name":"sendto2","returned":1}}"#,
        r#"{"call":{"id":2,"pid":2,"entered_ns":8,"name":"socket","returned":3,"made":{"domain":2,"type":1,"protocol":0,"x":1}}}"#,
        r#"{"note":{"at_ns":9,"remark":"sunny"}}"#,
    ]);
    let (record, warnings) = read(file.as_bytes()).unwrap();
    assert_eq!((record.packets.len(), record.calls.len(), record.notes.len()), (1, 1, 0));
    assert_eq!(warnings.unknown_keys, 3);
    assert_eq!(warnings.unknown_entries, 3);
    assert_eq!(warnings.first_unknown, Some((3, "a kind of entry".to_owned())));
    let lost = Loss { at: Moment::from_nanos(8), place: Place::Record, count: 3 };
    assert_eq!(record.losses, [lost]);
    assert_eq!(
        warnings.sentences(),
        [
            "3 entries skipped that this version does not know, the first in line 3: a kind of entry",
            "3 keys skipped that this version does not know",
        ]
    );
}

#[test]
fn a_last_line_cut_short_is_left_out_with_a_warning() {
    let file = text(&[FIRST, PACKET]) + r#"{"packet":{"at_ns":6,"len"#;
    let (record, warnings) = read(file.as_bytes()).unwrap();
    assert_eq!(record.packets.len(), 1);
    assert_eq!(warnings.torn_line, Some(3));
    assert_eq!(record.losses[0].count, 1);
    assert!(warnings.sentences()[0].starts_with("line 3, the last, is cut short"));
    // The same in the middle is no accident.
    let file = text(&[FIRST, r#"{"packet":{"at_ns":6,"len"#, PACKET]);
    assert_eq!(refusal(file), "line 2, column 25: EOF while parsing a string");
}

#[test]
fn a_wrong_line_is_named_with_its_column() {
    let check = |line: &str, expected: &str| {
        assert_eq!(refusal(text(&[FIRST, PACKET, "", line])), expected, "{line}");
    };
    check("{]", "line 4, column 2: key must be a string");
    check("7", "line 4, column 1: invalid type: integer `7`, expected struct Line");
    check("{}", "line 4: an object without an entry");
    check(
        r#"{"packet":{"at_ns":-5,"length":60}}"#,
        "line 4, column 21: invalid value: integer `-5`, expected u64",
    );
    check(
        r#"{"packet":{"at_ns":5,"length":60,"bytes":"0"}}"#,
        "line 4, column 44: a string that is not hexadecimal digits, two for each byte",
    );
    check(r#"{"packet":{"at_ns":5}}"#, "line 4, column 21: missing field `length`");
    check(
        r#"{"packet":{"at_ns":5,"length":1},"loss":{"at_ns":5,"place":"capture","count":1}}"#,
        "line 4: two entries in one line",
    );
    check(
        r#"{"call":{"id":1,"pid":2,"entered_ns":7,"name":"close","returned":1,"errno":"EIO"}}"#,
        "line 4: a call that both returned and failed",
    );
    check(
        r#"{"process":{"at_ns":1,"pid":2,"life":"exited"}}"#,
        "line 4: an exit without its status",
    );
    check(
        r#"{"snapshot":{"at_ns":1,"local":"localhost"}}"#,
        "line 4, column 42: \"localhost\" is not an address with its port",
    );
}

#[test]
fn foreign_files_are_refused_by_what_they_seem_to_be() {
    let check = |file: &[u8], seems: &str| {
        let expected = format!(
            "this is no record of a trace: it seems to be {seems}; expected is JSON Lines that \
             begin with {{\"schema\":\"stentor.trace/1\""
        );
        assert_eq!(refusal(file), expected);
    };
    check(b"", "empty");
    check(b"\xd4\xc3\xb2\xa1\x02\0\x04\0\0\0\0\0\0\0\0\0\0\0\x04\0\x01\0\0\0", "a pcap file");
    check(
        b"\x0a\x0d\x0d\x0a\x1c\0\0\0",
        "a pcapng file, which stentor writes but does not read back",
    );
    check(b"{\n  \"schema\": \"stentor.send/1\",\n", "JSON of the form stentor.send/1");
    check(PACKET.as_bytes(), "a record without its first line");
    check(&FIRST.as_bytes()[..60], "a record that was cut short in its first line");
    check(&[b'x'; LINE_MAX + 7], "text that is not JSON");
    check(&[0xfe; 100], "binary data");
    assert_eq!(
        refusal(text(&[&FIRST.replace("trace/1", "trace/2"), PACKET])),
        "the record is of the form stentor.trace/2, and this version reads stentor.trace/1"
    );
    assert_eq!(
        refusal(text(&[&FIRST.replace("\"lab\"", "\"moon\"")])),
        "line 1: mode \"moon\" is not known"
    );
}

#[test]
fn lines_and_lists_have_limits() {
    let long =
        format!(r#"{{"note":{{"at_ns":1,"remark":"text","text":"{}"}}}}"#, "x".repeat(LINE_MAX));
    assert_eq!(refusal(text(&[FIRST, &long])), "line 2 is longer than 4 MiB");
    // What is listed in an entry counts: a small line may hold a great many messages.
    let call = |messages: usize| {
        let messages = vec![r#"{"length":0}"#; messages].join(",");
        format!(
            r#"{{"call":{{"id":1,"pid":1,"entered_ns":1,"name":"sendmmsg","messages":[{messages}]}}}}"#
        )
    };
    let file = text(&[FIRST, PACKET, &call(98), PACKET]);
    let refused = reader::read_at_most(100, file.as_bytes()).unwrap_err();
    assert_eq!(refused.to_string(), "line 4: more than 100 entries");
    assert!(reader::read_at_most(101, file.as_bytes()).is_ok());
    let complaint = refused.complaint("run.jsonl").to_string();
    assert!(complaint.ends_with("Show its beginning: head -n 3 run.jsonl."), "{complaint}");
}

#[test]
fn an_entry_too_long_for_a_line_is_told_as_lost() {
    let mut record = Record::new(Header::default());
    let remark = Remark::Text("x".repeat(LINE_MAX));
    record.push(Entry::Note(Note { at: Moment::from_nanos(7), pid: None, remark }));
    let (back, _) = read(&*written(&record)).unwrap();
    assert!(back.notes.is_empty());
    assert_eq!(back.losses, [Loss { at: Moment::from_nanos(7), place: Place::Record, count: 1 }]);
}

/// A disk with room for so many bytes, which takes at most 100 at a time.
struct Disk {
    room: usize,
    held: Vec<u8>,
}

impl Write for &mut Disk {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let taken = bytes.len().min(100).min(self.room - self.held.len());
        self.held.extend_from_slice(&bytes[..taken]);
        // ENOSPC.
        if taken == 0 { Err(io::Error::from_raw_os_error(28)) } else { Ok(taken) }
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

fn packet(at: u64, length: usize) -> Packet {
    let bytes = vec![0x5a; length].into_boxed_slice();
    Packet {
        at: Moment::from_nanos(at),
        direction: Direction::Unknown,
        link: Link::Ethernet,
        bytes,
        length: 1514,
        crossing: None,
    }
}

/// Writes until the disk is full, and goes on.
fn fill(disk: &mut Disk) -> Stopped {
    let mut writer = match Writer::new(disk, "run.jsonl", &Header::default()) {
        Ok(writer) => writer,
        Err(stopped) => return stopped,
    };
    let mut stopped = false;
    for at in 0..2_000 {
        match writer.write(&Entry::Packet(packet(at, 40))) {
            Ok(()) => assert!(!stopped, "it stays stopped"),
            Err(_) => stopped = true,
        }
    }
    writer.finish().err().unwrap()
}

#[test]
fn a_full_disk_is_told_with_what_is_safe() {
    for room in [0, 50, 200, 5_000, 70_000, 100_000] {
        let mut disk = Disk { room, held: Vec::new() };
        let stopped = fill(&mut disk);
        assert_eq!(disk.held.len() as u64, stopped.bytes + stopped.torn, "room {room}");
        let safe = &disk.held[..usize::try_from(stopped.bytes).unwrap()];
        if safe.is_empty() {
            assert_eq!(stopped.entries, 0);
        } else {
            assert_eq!(read(safe).unwrap().0.packets.len() as u64, stopped.entries);
            let (all, warnings) = read(&*disk.held).unwrap();
            assert_eq!(all.packets.len() as u64, stopped.entries);
            assert_eq!(warnings.torn_line.is_some(), stopped.torn > 0);
        }
        let said = crate::complaint::Complaint::from(stopped).to_string();
        assert!(said.starts_with("write run.jsonl: no space left on device (ENOSPC); "), "{said}");
        assert!(said.ends_with("Make room there, or write to another place."), "{said}");
    }
}

/// A writer that counts and forgets, and tells how much it was given at once.
#[derive(Default)]
struct Sink {
    most: usize,
}

impl Write for Sink {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.most = self.most.max(bytes.len());
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[test]
fn memory_does_not_grow_with_the_run() {
    let mut writer = Writer::new(Sink::default(), "sink", &Header::default()).unwrap();
    for at in 0..10_000 {
        writer.write(&Entry::Packet(packet(at, 128))).unwrap();
    }
    assert!(writer.finish().unwrap().most < 66_000);
}

#[test]
fn what_was_gathered_is_handed_on_when_the_writer_goes() {
    let mut disk = Disk { room: 10_000, held: Vec::new() };
    let mut writer = Writer::new(&mut disk, "file", &Header::default()).unwrap();
    writer.write(&Entry::Packet(packet(1, 40))).unwrap();
    drop(writer);
    assert_eq!(read(&*disk.held).unwrap().0.packets.len(), 1);
}

#[test]
fn a_reader_that_went_away_is_no_complaint() {
    #[derive(Debug)]
    struct Gone;
    impl Write for Gone {
        fn write(&mut self, _: &[u8]) -> io::Result<usize> {
            Err(ErrorKind::BrokenPipe.into())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }
    let stopped = Writer::new(Gone, "pipe", &Header::default()).unwrap_err();
    let complaint = crate::complaint::Complaint::from(stopped);
    assert_eq!((complaint.exit, complaint.what.as_str()), (crate::complaint::Exit::Good, ""));
}
