//! The lines that two peers exchange, and their reader. Bounded: nothing longer than a line is kept.
//!
//! ```text
//! PEER 1 ID NAME    the greeting: version, 16 hexadecimal digits, 1 to 32 printable bytes
//! TALK              this connection is the one
//! SAY TEXT          a line, at most 8192 bytes without its newline
//! PING              still here
//! END               no more lines from here
//! BYE               leaving: no more lines from here, and none wanted
//! BUSY              talking to somebody else
//! TWICE             another connection between us two is the one
//! ```
//!
//! Every frame ends with one LF (0x0a); a CR before it belongs to the text.

use std::fmt;

use thiserror::Error;

/// The version of the protocol that this peer speaks.
pub const VERSION: &str = "1";
/// The longest line of a person, in bytes, without its newline.
pub const LINE_MAX: usize = 8192;
/// The longest name, in bytes.
pub const NAME_MAX: usize = 32;

/// `SAY ` in front of the longest line.
const FRAME_MAX: usize = 4 + LINE_MAX;
/// `PEER 1 `, an id, a space, a name.
const GREETING_MAX: usize = 7 + 16 + 1 + NAME_MAX;
/// How every greeting begins.
const GREETING_WORD: &[u8] = b"PEER ";

/// What one run of a peer is known by; two runs have the same with a chance of 1 in 2^64.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Id(pub u64);

impl Id {
    /// Reads 16 hexadecimal digits in lower case.
    pub fn parse(written: &str) -> Option<Id> {
        let digit = |byte: u8| byte.is_ascii_digit() || (b'a'..=b'f').contains(&byte);
        let plain = written.len() == 16 && written.bytes().all(digit);
        u64::from_str_radix(written, 16).ok().filter(|_| plain).map(Id)
    }
}

/// 16 hexadecimal digits.
impl fmt::Display for Id {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:016x}", self.0)
    }
}

/// What a peer is called: 1 to 32 bytes of UTF-8, none of them a space or a control character.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Name(String);

impl Name {
    /// Takes a name that fits; what could steer a terminal does not.
    pub fn parse(written: &str) -> Option<Name> {
        let plain = |c: char| !c.is_whitespace() && !steers(c);
        let fits = (1..=NAME_MAX).contains(&written.len()) && written.chars().all(plain);
        fits.then(|| Name(written.to_owned()))
    }

    /// The name as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for Name {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// Whether a character would move the cursor, or turn the direction of what follows (Unicode
/// Standard Annex 9, section 2): then it is shown, and not obeyed.
fn steers(c: char) -> bool {
    let direction = matches!(c, '\u{61c}' | '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}'
        | '\u{2066}'..='\u{2069}');
    c.is_control() || direction || matches!(c, '\u{2028}' | '\u{2029}' | '\u{feff}')
}

/// Bytes of a stranger as text for a terminal: what would steer it is written as an escape, and
/// so is what is not UTF-8. A tab stays.
pub fn shown(bytes: &[u8]) -> String {
    let mut text = String::with_capacity(bytes.len());
    for chunk in bytes.utf8_chunks() {
        for c in chunk.valid().chars() {
            match c {
                '\t' => text.push(c),
                '\u{0}'..='\u{7f}' if steers(c) => text.extend(c.escape_default()),
                c if steers(c) => text.extend(c.escape_unicode()),
                c => text.push(c),
            }
        }
        for byte in chunk.invalid() {
            text.push_str(&format!("\\x{byte:02x}"));
        }
    }
    text
}

/// One line of the protocol.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Frame {
    /// The first thing each side says on a connection.
    Peer(Id, Name),
    /// This connection is the one: the greater id says it first, the other answers it.
    Talk,
    /// A line of the person, without its newline.
    Say(Vec<u8>),
    /// Still here.
    Ping,
    /// No more lines from this side, which still listens.
    End,
    /// This side leaves; it waits for the other's `BYE` and end, not for more lines.
    Bye,
    /// This side talks to somebody else.
    Busy,
    /// Another connection between the same two is the one.
    Twice,
}

impl Frame {
    /// Appends the frame with its LF.
    pub fn write(&self, out: &mut Vec<u8>) {
        match self {
            Frame::Peer(id, name) => {
                out.extend_from_slice(format!("PEER {VERSION} {id} {name}").as_bytes());
            }
            Frame::Say(line) => {
                out.extend_from_slice(b"SAY ");
                out.extend_from_slice(line);
            }
            Frame::Talk => out.extend_from_slice(b"TALK"),
            Frame::Ping => out.extend_from_slice(b"PING"),
            Frame::End => out.extend_from_slice(b"END"),
            Frame::Bye => out.extend_from_slice(b"BYE"),
            Frame::Busy => out.extend_from_slice(b"BUSY"),
            Frame::Twice => out.extend_from_slice(b"TWICE"),
        }
        out.push(b'\n');
    }

    fn parse(line: &[u8]) -> Result<Frame, Violation> {
        if let Some(text) = line.strip_prefix(b"SAY ") {
            return Ok(Frame::Say(text.to_vec()));
        }
        match line {
            b"TALK" => Ok(Frame::Talk),
            b"PING" => Ok(Frame::Ping),
            b"END" => Ok(Frame::End),
            b"BYE" => Ok(Frame::Bye),
            b"BUSY" => Ok(Frame::Busy),
            b"TWICE" => Ok(Frame::Twice),
            _ => greeting(line),
        }
    }
}

fn greeting(line: &[u8]) -> Result<Frame, Violation> {
    let unknown = || Violation::Unknown(excerpt(line));
    let words = line.strip_prefix(GREETING_WORD).ok_or_else(unknown)?;
    let words = std::str::from_utf8(words).map_err(|_| unknown())?;
    let (version, rest) = words.split_once(' ').ok_or_else(unknown)?;
    if version != VERSION {
        return Err(Violation::Version(excerpt(version.as_bytes())));
    }
    let (id, name) = rest.split_once(' ').ok_or_else(unknown)?;
    let id = Id::parse(id).ok_or_else(unknown)?;
    Ok(Frame::Peer(id, Name::parse(name).ok_or_else(unknown)?))
}

/// The beginning of some bytes, harmless to show.
fn excerpt(bytes: &[u8]) -> String {
    const SHOWN: usize = 24;
    let mut text = shown(bytes.get(..SHOWN).unwrap_or(bytes));
    if bytes.len() > SHOWN {
        text.push('…');
    }
    text
}

/// What the other side said that no peer says.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum Violation {
    /// Its first bytes are no greeting.
    #[error("it is no peer of stentor: it began with \"{0}\"")]
    NoPeer(String),
    /// It speaks another version.
    #[error("it speaks version {0} of the protocol, and this peer {VERSION}")]
    Version(String),
    /// A line of more than [`LINE_MAX`] bytes.
    #[error("a line of more than {LINE_MAX} bytes came")]
    TooLong,
    /// A word that is none of the protocol's.
    #[error("\"{0}\" is none of the protocol's words")]
    Unknown(String),
    /// A word of the protocol at a time where it means nothing.
    #[error("{0} came where it means nothing")]
    Untimely(&'static str),
}

/// Cuts a stream of bytes into frames, however it was segmented.
#[derive(Clone, Debug, Default)]
pub struct Reader {
    /// The beginning of a frame whose LF has not come; at most [`FRAME_MAX`] bytes.
    kept: Vec<u8>,
    greeted: bool,
    broken: bool,
}

impl Reader {
    /// Reads on from `bytes` and returns the frames completed by them, and what ended the reading
    /// if something did: after a violation nothing more is read.
    ///
    /// At most as many frames as `bytes` has LFs; between calls at most one frame is kept.
    pub fn feed(&mut self, bytes: &[u8]) -> (Vec<Frame>, Option<Violation>) {
        let mut frames = Vec::new();
        if self.broken {
            return (frames, None);
        }
        let mut pieces = bytes.split(|byte| *byte == b'\n').peekable();
        while let Some(piece) = pieces.next() {
            let complete = pieces.peek().is_some();
            match self.piece(piece, complete) {
                Ok(frame) => frames.extend(frame),
                Err(violation) => {
                    self.broken = true;
                    self.kept = Vec::new();
                    return (frames, Some(violation));
                }
            }
        }
        (frames, None)
    }

    /// Takes bytes without an LF, behind which one stands if they are `complete`.
    fn piece(&mut self, piece: &[u8], complete: bool) -> Result<Option<Frame>, Violation> {
        let most = if self.greeted { FRAME_MAX } else { GREETING_MAX };
        let length = self.kept.len().saturating_add(piece.len());
        let room = most.saturating_sub(self.kept.len()).min(piece.len());
        self.kept.extend_from_slice(piece.get(..room).unwrap_or_default());
        // A stranger is known by its first bytes; nobody waits for the end of its line.
        if !self.greeted && (length > most || !self.is_beginning(complete)) {
            return Err(Violation::NoPeer(excerpt(&self.kept)));
        }
        if length > most {
            return Err(Violation::TooLong);
        }
        if !complete {
            return Ok(None);
        }
        let frame = Frame::parse(&self.kept);
        self.kept.clear();
        self.greeted = true;
        frame.map(Some)
    }

    /// Whether a peer may begin like this: with a greeting, or with a refusal instead of it.
    fn is_beginning(&self, complete: bool) -> bool {
        let kept = self.kept.as_slice();
        if complete {
            return kept.starts_with(GREETING_WORD) || kept == b"BUSY" || kept == b"TWICE";
        }
        let so_far = |word: &[u8]| word.starts_with(kept.get(..word.len()).unwrap_or(kept));
        so_far(GREETING_WORD) || so_far(b"BUSY") || so_far(b"TWICE")
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn read(bytes: &[u8]) -> String {
        let (frames, violation) = Reader::default().feed(bytes);
        let mut said: Vec<String> = frames.iter().map(|frame| format!("{frame:?}")).collect();
        said.extend(violation.map(|violation| violation.to_string()));
        said.join("; ")
    }

    #[test]
    fn what_comes_is_read_or_refused() {
        let check = |bytes: &[u8], expected: &str| assert_eq!(read(bytes), expected);
        let hello = b"PEER 1 00000000000000ff bob\n";
        check(hello, "Peer(Id(255), Name(\"bob\"))");
        check(
            &[hello, &b"TALK\nSAY \nPI"[..]].concat(),
            "Peer(Id(255), Name(\"bob\")); Talk; Say([])",
        );
        check(b"BUSY\n", "Busy");
        check(b"BU", "");
        check(b"PEER", "");
        check(b"", "");
        check(
            b"GET / HTTP/1.1\r\n",
            "it is no peer of stentor: it began with \"GET / HTTP/1.1\\r\"",
        );
        check(b"\x16\x03\x01", "it is no peer of stentor: it began with \"\\u{16}\\u{3}\\u{1}\"");
        check(b"\n", "it is no peer of stentor: it began with \"\"");
        check(b"PEER 2 x\n", "it speaks version 2 of the protocol, and this peer 1");
        check(b"PEER 1 ff bob\n", "\"PEER 1 ff bob\" is none of the protocol's words");
        check(&[b'P'; 5], "it is no peer of stentor: it began with \"PPPPP\"");
        let mut long = b"PEER 1 00000000000000ff ".to_vec();
        long.extend([b'x'; NAME_MAX + 1]);
        check(&long, "it is no peer of stentor: it began with \"PEER 1 00000000000000ff …\"");
    }

    #[test]
    fn a_line_may_have_8192_bytes_and_not_one_more() {
        for (length, fits) in [(LINE_MAX, true), (LINE_MAX + 1, false)] {
            let mut reader = Reader::default();
            reader.feed(b"PEER 1 00000000000000ff bob\nSAY ");
            let (frames, violation) = reader.feed(&vec![b'x'; length]);
            assert_eq!((frames.len(), violation.is_none()), (0, fits));
            let (frames, violation) = reader.feed(b"\nTALK\n");
            assert_eq!((frames.len(), violation), (if fits { 2 } else { 0 }, None));
        }
    }

    #[test]
    fn a_name_and_a_line_do_not_steer_a_terminal() {
        assert_eq!(shown(b"a\x1b[31m\tb\xff\r"), "a\\u{1b}[31m\tb\\xff\\r");
        assert_eq!(shown("x\u{202e}y\u{9b}".as_bytes()), "x\\u{202e}y\\u{9b}");
        for name in ["", "a b", "a\u{1b}", "\u{202e}x", &"x".repeat(33)] {
            assert_eq!(Name::parse(name), None, "{name:?}");
        }
        assert!(Name::parse("Jürgen").is_some());
    }

    fn any_frame() -> impl Strategy<Value = Frame> {
        let line = proptest::collection::vec(any::<u8>().prop_filter("LF", |b| *b != b'\n'), 0..40);
        prop_oneof![
            line.prop_map(Frame::Say),
            (any::<u64>(), "[a-zé]{1,16}")
                .prop_map(|(id, name)| { Frame::Peer(Id(id), Name::parse(&name).unwrap()) }),
            Just(Frame::Talk),
            Just(Frame::Ping),
            Just(Frame::End),
            Just(Frame::Bye),
            Just(Frame::Busy),
            Just(Frame::Twice),
        ]
    }

    proptest! {
        #[test]
        fn what_was_written_is_read_however_it_was_cut(
            frames in proptest::collection::vec(any_frame(), 0..8), cut in 1_usize..50,
        ) {
            let mut all = vec![Frame::Peer(Id(1), Name::parse("a").unwrap())];
            all.extend(frames);
            let mut bytes = Vec::new();
            all.iter().for_each(|frame| frame.write(&mut bytes));
            let mut reader = Reader::default();
            let mut read = Vec::new();
            for piece in bytes.chunks(cut) {
                let (frames, violation) = reader.feed(piece);
                prop_assert_eq!(violation, None);
                read.extend(frames);
            }
            prop_assert_eq!(read, all);
        }

        #[test]
        fn any_bytes_keep_the_reader_small(
            pieces in proptest::collection::vec(proptest::collection::vec(any::<u8>(), 0..300), 0..60),
        ) {
            let mut reader = Reader::default();
            for piece in pieces {
                reader.feed(&piece);
                prop_assert!(reader.kept.len() <= FRAME_MAX);
            }
        }
    }
}
