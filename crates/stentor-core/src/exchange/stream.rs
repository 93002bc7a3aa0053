//! What an answer on a stream must be: the upper case of what was sent, byte for byte, judged
//! while both still flow.
//!
//! The first MiB that is owed and not yet answered is kept as it is; of what is owed beyond that
//! only a digest is kept for each 64 KiB (a ten-thousandth of it). So a server may answer as late
//! as it likes, and memory stays small.

use std::collections::VecDeque;

use crate::casing::{Case, Upper};
use crate::exchange::first_difference;

/// The unit in which what is owed is kept, in bytes.
pub const BLOCK: usize = 64 * 1024;

/// How many blocks are kept byte for byte.
const EXACT: usize = 16;

/// How many bytes may come before they are owed: a server that holds back less of an incomplete
/// character than we do is not wrong, one that talks by itself is.
const AHEAD: usize = BLOCK;

/// How an answer compares with what is owed so far.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// Every byte owed has come, and nothing else.
    Complete,
    /// What has come is right, and less than is owed.
    Short,
    /// Wrong from this byte on (counted from 0), with the bytes there: expected, and come.
    Differs {
        /// Place of the first wrong byte.
        at: u64,
        /// What was owed from there, at most 16 bytes; empty if nothing more was owed.
        expected: Vec<u8>,
        /// What came, at most 16 bytes.
        come: Vec<u8>,
    },
    /// Wrong somewhere in the block that begins at this byte; its bytes were not kept.
    DiffersWithin {
        /// Place of the block's first byte.
        block: u64,
    },
}

#[derive(Debug)]
enum Block {
    Exact(Vec<u8>),
    Digest(u64),
}

/// Compares the answer of a server with the upper case of what it was sent.
#[derive(Debug)]
pub struct Verifier {
    upper: Upper,
    scratch: Vec<u8>,
    spill: Vec<u8>,
    /// Owed and not yet judged; all but the last are full.
    owed: VecDeque<Block>,
    owed_bytes: u64,
    /// Judged and right, in bytes; how many of them are of the first block of `owed`.
    judged: u64,
    judged_in_block: usize,
    /// What has come of a block of which only the digest is kept.
    gathered: Vec<u8>,
    ahead: Vec<u8>,
    come_bytes: u64,
    fault: Option<Verdict>,
    /// Emptied blocks, to be filled again.
    spare: Vec<Vec<u8>>,
}

impl Verifier {
    /// Starts a stream whose answer has the capitals of `case`.
    pub fn new(case: Case) -> Verifier {
        let (scratch, spill, gathered, ahead, spare) = Default::default();
        Verifier {
            upper: Upper::new(case),
            scratch,
            spill,
            owed: VecDeque::new(),
            owed_bytes: 0,
            judged: 0,
            judged_in_block: 0,
            gathered,
            ahead,
            come_bytes: 0,
            fault: None,
            spare,
        }
    }

    /// Bytes owed so far; those of an incomplete character at the end are not, yet.
    pub fn owed_bytes(&self) -> u64 {
        self.owed_bytes
    }

    /// Bytes that have come.
    pub fn come_bytes(&self) -> u64 {
        self.come_bytes
    }

    /// Bytes that have come and are known to be right.
    pub fn right_bytes(&self) -> u64 {
        self.judged
    }

    /// Takes bytes that were sent.
    pub fn sent(&mut self, bytes: &[u8]) {
        let mut scratch = std::mem::take(&mut self.scratch);
        let mut spill = std::mem::take(&mut self.spill);
        for piece in bytes.chunks(BLOCK) {
            scratch.clear();
            scratch.extend_from_slice(piece);
            let mut rest = scratch.as_mut_slice();
            while !rest.is_empty() {
                // The answer borrows what it was made from, so the taken part is split off after.
                let (taken, answer) = self.upper.feed(rest, &mut spill);
                owe(&mut self.owed, &mut self.spare, answer);
                self.owed_bytes += answer.len() as u64;
                rest = rest.get_mut(taken.max(1)..).unwrap_or_default();
            }
        }
        (self.scratch, self.spill) = (scratch, spill);
        self.catch_up();
    }

    /// Takes the end of what was sent: an incomplete character at the end is owed as it was.
    pub fn ended(&mut self) {
        let held = self.upper.finish().to_vec();
        owe(&mut self.owed, &mut self.spare, &held);
        self.owed_bytes += held.len() as u64;
        self.catch_up();
    }

    /// Takes bytes of the answer.
    pub fn came(&mut self, bytes: &[u8]) {
        self.come_bytes += bytes.len() as u64;
        if self.fault.is_some() {
            return;
        }
        let surplus = if self.ahead.is_empty() { self.compare(bytes) } else { bytes };
        if self.fault.is_none() {
            self.ahead.extend_from_slice(surplus);
            if self.ahead.len() > AHEAD {
                self.fault = Some(self.differs(&[], &self.ahead));
            }
        }
    }

    /// How the answer compares now; final once the stream has ended.
    pub fn verdict(&self) -> Verdict {
        match &self.fault {
            Some(fault) => fault.clone(),
            None if !self.ahead.is_empty() => self.differs(&[], &self.ahead),
            None if self.come_bytes < self.owed_bytes => Verdict::Short,
            None => Verdict::Complete,
        }
    }

    /// Whether something wrong has come already.
    pub fn is_wrong(&self) -> bool {
        self.fault.is_some()
    }

    /// Judges what came before it was owed.
    fn catch_up(&mut self) {
        if !self.ahead.is_empty() && self.fault.is_none() {
            let ahead = std::mem::take(&mut self.ahead);
            self.ahead = self.compare(&ahead).to_vec();
        }
    }

    /// Judges bytes against what is owed; gives back those beyond it.
    fn compare<'a>(&mut self, mut bytes: &'a [u8]) -> &'a [u8] {
        while let Some(block) = self.owed.front()
            && !bytes.is_empty()
        {
            let (full, taken) = match block {
                Block::Exact(block) => {
                    let owed = block.get(self.judged_in_block..).unwrap_or_default();
                    let taken = owed.len().min(bytes.len());
                    let (owed_now, come) = (owed.get(..taken), bytes.get(..taken));
                    if owed_now != come {
                        let at = first_difference(owed, bytes);
                        self.judged += at as u64;
                        let rest = |bytes: &[u8]| bytes.get(at..).unwrap_or_default().to_vec();
                        self.fault = Some(self.differs(&rest(owed), &rest(bytes)));
                        return &[];
                    }
                    self.judged += taken as u64;
                    (block.len() == BLOCK && taken == owed.len(), taken)
                }
                Block::Digest(expected) => {
                    let taken = (BLOCK - self.judged_in_block).min(bytes.len());
                    self.gathered.extend_from_slice(bytes.get(..taken).unwrap_or_default());
                    let full = self.gathered.len() == BLOCK;
                    if full && digest(&self.gathered) != *expected {
                        self.fault = Some(Verdict::DiffersWithin { block: self.judged });
                        return &[];
                    }
                    self.judged += if full { BLOCK as u64 } else { 0 };
                    (full, taken)
                }
            };
            bytes = bytes.get(taken..).unwrap_or_default();
            self.judged_in_block += taken;
            if full {
                self.judged_in_block = 0;
                self.gathered.clear();
                if let Some(Block::Exact(block)) = self.owed.pop_front() {
                    self.spare.push(block);
                }
            } else if taken == 0 {
                break;
            }
        }
        bytes
    }

    fn differs(&self, expected: &[u8], come: &[u8]) -> Verdict {
        let short = |bytes: &[u8]| bytes.get(..16).unwrap_or(bytes).to_vec();
        Verdict::Differs { at: self.judged, expected: short(expected), come: short(come) }
    }
}

/// Adds to what is owed; a block that fills up beyond the first MiB becomes its digest.
fn owe(owed: &mut VecDeque<Block>, spare: &mut Vec<Vec<u8>>, mut bytes: &[u8]) {
    while !bytes.is_empty() {
        let waiting = owed.len();
        let open = match owed.back_mut() {
            Some(Block::Exact(block)) if block.len() < BLOCK => block,
            Some(Block::Exact(_) | Block::Digest(_)) | None => {
                let mut block = spare.pop().unwrap_or_default();
                block.clear();
                owed.push_back(Block::Exact(block));
                continue;
            }
        };
        let room = (BLOCK - open.len()).min(bytes.len());
        let (now, later) = bytes.split_at(room);
        open.extend_from_slice(now);
        bytes = later;
        if open.len() == BLOCK && waiting > EXACT {
            let digest = Block::Digest(digest(open));
            if let Some(Block::Exact(block)) = owed.pop_back() {
                spare.push(block);
            }
            owed.push_back(digest);
        }
    }
}

/// Stands for a block of which the bytes are not kept.
///
/// Four lanes of eight bytes, each step a bijection of the lane and of the word: a change of one
/// word is always found, others all but once in 2^64. The standard library's SipHash withstands an
/// adversary, which a server under test is not, and costs more than the socket.
fn digest(block: &[u8]) -> u64 {
    // 2^64 divided by the golden ratio: odd, with bits all over.
    const FACTOR: u64 = 0x9e37_79b9_7f4a_7c15;
    let step = |lane: u64, word: u64| (lane ^ word).wrapping_mul(FACTOR).rotate_left(29);
    let mut lanes = [1_u64, 2, 3, 4];
    for words in block.as_chunks::<8>().0.as_chunks::<4>().0 {
        for (lane, word) in lanes.iter_mut().zip(words) {
            *lane = step(*lane, u64::from_le_bytes(*word));
        }
    }
    lanes.into_iter().fold(0, step)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::seed::{Dice, Seed};

    fn letters(count: usize) -> Vec<u8> {
        (0..count).map(|n| b"abcdefghijklmnopqrstuvwxyz\n"[n * 7 % 27]).collect()
    }

    fn check(sent: &[u8], come: &[u8]) -> Verdict {
        let mut verifier = Verifier::new(Case::Unicode);
        verifier.sent(sent);
        verifier.ended();
        verifier.came(come);
        assert_eq!(verifier.come_bytes(), come.len() as u64);
        verifier.verdict()
    }

    #[test]
    fn short_answers_are_judged_to_the_byte() {
        assert_eq!(check(b"hello", b"HELLO"), Verdict::Complete);
        assert_eq!(check(b"", b""), Verdict::Complete);
        assert_eq!(check(b"hello", b"HEL"), Verdict::Short);
        let differs = |at, expected: &[u8], come: &[u8]| Verdict::Differs {
            at,
            expected: expected.to_vec(),
            come: come.to_vec(),
        };
        assert_eq!(check(b"hello", b"HElLO"), differs(2, b"LLO", b"lLO"));
        assert_eq!(check(b"hello", b"HELLO!"), differs(5, b"", b"!"));
        // Bytes that are not UTF-8 come back as they are.
        assert_eq!(check(b"a\xffb\xc3", b"A\xffB\xc3"), Verdict::Complete);
    }

    #[test]
    fn what_comes_before_it_is_owed_waits_for_it() {
        let mut verifier = Verifier::new(Case::Ascii);
        verifier.came(b"HE");
        assert!(matches!(verifier.verdict(), Verdict::Differs { at: 0, .. }));
        verifier.sent(b"hello");
        assert_eq!(verifier.verdict(), Verdict::Short);
        verifier.came(b"LLO");
        assert_eq!(verifier.verdict(), Verdict::Complete);
        verifier.came(&vec![b'X'; AHEAD + 1]);
        assert!(verifier.is_wrong());
    }

    #[test]
    fn an_answer_after_everything_was_sent_needs_little_memory() {
        let sent = letters(300 * BLOCK + 17);
        let right = sent.to_ascii_uppercase();
        let mut verifier = Verifier::new(Case::Unicode);
        verifier.sent(&sent);
        let kept: usize = verifier
            .owed
            .iter()
            .map(|block| match block {
                Block::Exact(bytes) => bytes.len(),
                Block::Digest(_) => 0,
            })
            .sum();
        assert!(kept <= (EXACT + 1) * BLOCK && verifier.spare.len() <= 1, "{kept}");
        for piece in right.chunks(100_003) {
            verifier.came(piece);
        }
        verifier.ended();
        assert_eq!(verifier.verdict(), Verdict::Complete);
        assert_eq!(verifier.right_bytes(), right.len() as u64);

        let mut wrong = right.clone();
        wrong[200 * BLOCK + 5] = b'?';
        assert_eq!(check(&sent, &wrong), Verdict::DiffersWithin { block: 200 * BLOCK as u64 });
        wrong[BLOCK + 9] = b'?';
        assert!(
            matches!(check(&sent, &wrong), Verdict::Differs { at, .. } if at == BLOCK as u64 + 9)
        );
        assert_eq!(check(&sent, &right[..right.len() - 1]), Verdict::Short);
        wrong = right.clone();
        wrong.push(b'?');
        assert!(matches!(check(&sent, &wrong), Verdict::Differs { .. }));
    }

    #[test]
    fn a_digest_sees_every_byte_and_the_order() {
        let block = letters(BLOCK);
        let whole = digest(&block);
        for at in (0..BLOCK).step_by(1021) {
            let mut other = block.clone();
            other[at] ^= 1;
            assert_ne!(digest(&other), whole, "{at}");
        }
        let mut turned = block.clone();
        turned.rotate_left(8);
        assert_ne!(digest(&turned), whole);
    }

    #[test]
    fn any_interleaving_of_right_bytes_is_complete_and_one_flip_is_found() {
        for seed in 0..300 {
            let mut dice = Dice::new(Seed(seed), "stream");
            let mut pick = |bound: usize| usize::try_from(dice.below(bound as u64)).unwrap();
            let sent = letters(pick(40 * BLOCK));
            let mut answer = sent.to_ascii_uppercase();
            let flipped = (!answer.is_empty() && seed % 2 == 1).then(|| pick(answer.len()));
            if let Some(at) = flipped {
                answer[at] ^= 0x80;
            }
            let mut verifier = Verifier::new(Case::Unicode);
            let (mut asked, mut come) = (0, 0);
            while come < answer.len() {
                let more = (asked + pick(5 * BLOCK)).min(sent.len());
                verifier.sent(&sent[asked..more]);
                asked = more;
                // Never further ahead than a server may be.
                let until = (come + pick(5 * BLOCK)).min(asked);
                verifier.came(&answer[come..until]);
                come = until;
            }
            verifier.ended();
            match (flipped, verifier.verdict()) {
                (None, verdict) => assert_eq!(verdict, Verdict::Complete, "seed {seed}"),
                (Some(at), Verdict::Differs { at: found, .. }) => assert_eq!(found, at as u64),
                (Some(at), Verdict::DiffersWithin { block }) => {
                    assert!((block..block + BLOCK as u64).contains(&(at as u64)), "seed {seed}");
                }
                (Some(at), other) => panic!("seed {seed}, flipped {at}: {other:?}"),
            }
        }
    }
}
