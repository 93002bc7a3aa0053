//! Upper case 64 bytes at a time, on machines with AVX-512 and its second set of permutations
//! (VBMI2). The answers are those of `row.rs`; `vector.rs` asks the machine and calls.
//!
//! A permutation looks up 64 values at once, as many as a row has (see `row.rs`), so a row costs
//! a comparison and two lookups for all its characters in a block. What the comparison needs is a
//! byte that tells each character's row. It comes of two lookups more, which also say of most
//! characters without case that they have none. So text without case is copied, and text with it
//! costs a little more for each row met lately, however many of them meet in a word.

use super::row::{self, FIRST_TOO, GROUP, MISFIT, Row};
use super::table::{MISFITS, ROWS};
use std::arch::x86_64::*;

/// Bytes in a block.
const BLOCK: usize = 64;
/// How many rows are remembered: Vietnamese has characters of six, few texts of more than eight.
const KNOWN: usize = 8;
/// The class of the leads of characters of two bytes, each of which has a row of its own.
const PAIR: u8 = 0x80;

/// Whether this machine has all that [`append`] is compiled for.
pub(super) fn is_here() -> bool {
    use std::arch::is_x86_feature_detected as has;
    has!("avx512bw")
        && has!("avx512vbmi")
        && has!("avx512vbmi2")
        && has!("bmi1")
        && has!("bmi2")
        && has!("lzcnt")
        && has!("popcnt")
}

/// As [`super::vector::append`].
#[target_feature(enable = "avx512bw,avx512vbmi,avx512vbmi2,bmi1,bmi2,lzcnt,popcnt")]
pub(super) fn append(text: &[u8], answer: &mut Vec<u8>) {
    answer.reserve(text.len() + BLOCK);
    let mut known = Known::new();
    let (mut rest, mut ascii) = (text, true);
    while let Some(block) = rest.first_chunk() {
        let group = rest.first_chunk::<GROUP>().filter(|_| ascii);
        if let Some(group) = group.filter(|group| row::is_ascii(group)) {
            let mut group = *group;
            group.make_ascii_uppercase();
            answer.extend_from_slice(&group);
            rest = rest.get(GROUP..).unwrap_or_default();
            continue;
        }
        let done = put(block, &mut known, answer);
        rest = rest.get(done..).unwrap_or_default();
        ascii = mask(load(block)) == 0;
    }
    while !rest.is_empty() {
        let mut padded = [0; BLOCK];
        padded.iter_mut().zip(rest).for_each(|(to, from)| *to = *from);
        let done = put(&padded, &mut known, answer);
        // What the block was filled up with is taken back.
        answer.truncate(answer.len() - done.saturating_sub(rest.len()));
        rest = rest.get(done..).unwrap_or_default();
    }
}

/// The rows met lately. A text keeps to a few; trying those first spares each block the wait for
/// finding out which they are.
struct Known {
    rows: [&'static Row; KNOWN],
    keys: [u8; KNOWN],
    /// How many there are yet.
    len: usize,
    /// Which place the next row takes.
    next: usize,
    /// Whether a character has changed its first byte or its length. In a language that has such,
    /// they are in every other block, and to guess in which costs more than to expect them.
    special: bool,
}

impl Known {
    fn new() -> Known {
        let [first, ..] = &ROWS;
        Known { rows: [first; KNOWN], keys: [0; KNOWN], len: 0, next: 0, special: false }
    }

    fn add(&mut self, row: &'static Row) {
        let place = self.rows.get_mut(self.next).zip(self.keys.get_mut(self.next));
        if let Some((known, key)) = place {
            (*known, *key) = (row, key_of(row));
        }
        self.next = (self.next + 1) % KNOWN;
        self.len = KNOWN.min(self.len + 1);
    }

    fn all(&self) -> impl Iterator<Item = (u8, &'static Row)> {
        self.keys.iter().copied().zip(self.rows.iter().copied()).take(self.len)
    }
}

/// Where characters that may have case end in a block, and the keys of their rows there.
struct Cased {
    at: u64,
    keys: __m512i,
}

/// What flips in a block, all of it where characters end.
struct Flips {
    /// In last bytes.
    last: __m512i,
    /// In the bytes before them, with the flags of [`Row::before`].
    before: __m512i,
    /// In first bytes, if the flags say so.
    first: __m512i,
}

/// Appends the upper case of `bytes`, except for a character at their end that may go on beyond
/// it. Returns how many bytes are done.
#[inline]
#[target_feature(enable = "avx512bw,avx512vbmi,avx512vbmi2,bmi1,bmi2,lzcnt,popcnt")]
fn put(bytes: &[u8; BLOCK], known: &mut Known, answer: &mut Vec<u8>) -> usize {
    let block = load(bytes);
    let leads = _mm512_cmpge_epu8_mask(block, splat(0xC0));
    let done = whole(bytes);
    let within = u64::MAX >> (BLOCK - done);
    let cased = cased(block, leads);
    let flips = flips(bytes, leads, &cased, known);
    let letters = _mm512_cmplt_epu8_mask(_mm512_sub_epi8(block, splat(b'a')), splat(26));
    let upper = _mm512_mask_sub_epi8(block, letters, block, splat(0x20));
    let upper = xor(upper, flips.last);
    let upper = xor(upper, earlier::<1>(and(flips.before, splat(!(MISFIT | FIRST_TOO)))));
    let special = _mm512_test_epi8_mask(flips.before, splat(MISFIT | FIRST_TOO)) & within;
    if special == 0 && !known.special {
        extend(answer, upper, done);
        return done;
    }
    known.special = true;
    let too = _mm512_test_epi8_mask(flips.before, splat(FIRST_TOO));
    let pairs = leads << 1;
    let upper = xor(upper, earlier::<1>(_mm512_maskz_mov_epi8(too & pairs, flips.first)));
    let upper = xor(upper, earlier::<2>(_mm512_maskz_mov_epi8(too & !pairs, flips.first)));
    let misfits = mask(flips.before) & within;
    let shrunk = misfits & too;
    if misfits == shrunk {
        let kept = _mm512_maskz_compress_epi8(within & !shrunk, upper);
        extend(answer, kept, done - shrunk.count_ones() as usize);
    } else {
        let (mut upper_bytes, mut numbers) = ([0; BLOCK], [0; BLOCK]);
        store(&mut upper_bytes, upper);
        store(&mut numbers, flips.last);
        let upper = upper_bytes.get(..done).unwrap_or_default();
        extend_with_misfits(answer, upper, leads, misfits, &numbers);
    }
    done
}

/// How many of `bytes` come before a character that may go on beyond them: one that begins in the
/// last three. The next block waits for nothing but this, so it is not asked of the vector, which
/// would be known later.
#[inline]
fn whole(bytes: &[u8; BLOCK]) -> usize {
    let end = u32::from_le_bytes(bytes.last_chunk().copied().unwrap_or_default());
    // The upper two bits of a lead byte are set.
    let leads = end & end << 1 & 0x8080_8000;
    let highest = BLOCK - 1 - (leads.leading_zeros() / 8) as usize;
    std::hint::select_unpredictable(leads == 0, BLOCK, highest)
}

/// Appends the first `len` bytes of `upper`.
#[inline]
#[target_feature(enable = "avx512bw")]
fn extend(answer: &mut Vec<u8>, upper: __m512i, len: usize) {
    // All of them, and then less: the copy of a known length is one instruction.
    let end = answer.len() + len;
    let mut bytes = [0; BLOCK];
    store(&mut bytes, upper);
    answer.extend_from_slice(&bytes);
    answer.truncate(end);
}

/// Appends `upper`, but something longer or shorter for the characters that end where `misfits`
/// says; `numbers` tells there what.
fn extend_with_misfits(
    answer: &mut Vec<u8>,
    upper: &[u8],
    leads: u64,
    mut misfits: u64,
    numbers: &[u8; BLOCK],
) {
    let mut from = 0;
    while misfits != 0 {
        let last = misfits.trailing_zeros() as usize;
        misfits &= misfits - 1;
        let begin = highest(leads & !(u64::MAX << last));
        answer.extend_from_slice(upper.get(from..begin).unwrap_or_default());
        if let Some(misfit) = numbers.get(last).and_then(|n| MISFITS.get(usize::from(*n))) {
            let end = answer.len() + usize::from(misfit.len);
            answer.extend_from_slice(&misfit.upper);
            answer.truncate(end);
        }
        from = last + 1;
    }
    answer.extend_from_slice(upper.get(from..).unwrap_or_default());
}

/// Finds the characters of `block` that belong to a row.
#[inline]
#[target_feature(enable = "avx512bw,avx512vbmi")]
fn cased(block: __m512i, leads: u64) -> Cased {
    static LEADS: [u8; 64] = classes(2, false);
    static SECONDS: [u8; 64] = classes(3, true);
    let continuations = mask(block) & !leads;
    let class = _mm512_maskz_permutexvar_epi8(leads, block, load(&LEADS));
    let (previous, class_before) = (later::<1>(block), later::<2>(class));
    let pairs = mask(class) << 1 & continuations;
    let triples = _mm512_mask_test_epi8_mask(
        continuations & continuations << 1,
        class_before,
        _mm512_permutexvar_epi8(previous, load(&SECONDS)),
    );
    let told = _mm512_mask_mov_epi8(class_before, pairs, splat(PAIR));
    let mut cased = Cased { at: pairs | triples, keys: xor(previous, told) };
    // Four bytes have the emoji and a few scripts.
    let fours = _mm512_cmpeq_epi8_mask(block, splat(0xF0)) << 3
        & continuations
        & continuations << 1
        & continuations << 2;
    if fours != 0 {
        static SECONDS: [u8; 64] = classes(4, false);
        static THIRDS: [u8; 64] = classes(4, true);
        let class = _mm512_permutexvar_epi8(later::<2>(block), load(&SECONDS));
        let thirds = _mm512_permutexvar_epi8(previous, load(&THIRDS));
        let fours = _mm512_mask_test_epi8_mask(fours, class, thirds);
        cased.keys = _mm512_mask_mov_epi8(cased.keys, fours, xor(previous, class));
        cased.at |= fours;
    }
    cased
}

/// Looks up what flips in the block of `bytes`.
#[inline]
#[target_feature(enable = "avx512bw,avx512vbmi")]
fn flips(bytes: &[u8; BLOCK], leads: u64, cased: &Cased, known: &mut Known) -> Flips {
    let zero = _mm512_setzero_si512();
    let mut flips = Flips { last: zero, before: zero, first: zero };
    let block = load(bytes);
    let mut left = cased.at;
    for (key, row) in known.all() {
        left &= !add_row(&mut flips, block, cased, key, row);
    }
    while left != 0 {
        let last = left.trailing_zeros() as usize;
        left &= left - 1;
        let lead = highest(leads & !(u64::MAX << last));
        let Some(row) = bytes.get(lead..).and_then(Row::of) else { continue };
        left &= !add_row(&mut flips, block, cased, key_of(row), row);
        known.add(row);
    }
    flips
}

/// Adds the flips of all characters of one row; returns where those end, as bits.
#[inline]
#[target_feature(enable = "avx512bw,avx512vbmi")]
fn add_row(flips: &mut Flips, block: __m512i, cased: &Cased, key: u8, row: &Row) -> u64 {
    let of_row = _mm512_mask_cmpeq_epi8_mask(cased.at, cased.keys, splat(key));
    let column = |column: &[[u8; 16]; 4]| {
        column.as_flattened().first_chunk().map_or(_mm512_setzero_si512(), |column| load(column))
    };
    // A lookup is by the lower six bits.
    let (last, before) = (column(&row.last), column(&row.before));
    flips.last = _mm512_mask_permutexvar_epi8(flips.last, of_row, block, last);
    flips.before = _mm512_mask_permutexvar_epi8(flips.before, of_row, block, before);
    flips.first = _mm512_mask_mov_epi8(flips.first, of_row, splat(row.first));
    of_row
}

/// The class of a character whose row is told by its last byte but one: of its second-last
/// byte but one. Each class is a bit, so that a byte can say which classes go with it.
const fn class_of(row: &Row) -> u8 {
    match (row.width, row.prefix[1]) {
        (2, _) => PAIR,
        (3, 0xE1) | (4, 0x91) => 0x40,
        (3, 0xE2) | (4, 0x9E) => 0x20,
        (3, 0xEA) => 0x01,
        (3, 0xEF) => 0x02,
        (4, 0x90) => 0x80,
        (4, 0x96) => 0x10,
        _ => 0,
    }
}

/// A byte that no two rows share.
const fn key_of(row: &Row) -> u8 {
    row.prefix[0] ^ class_of(row)
}

const _: () = {
    let mut rows: &[Row] = &ROWS;
    while let [row, rest @ ..] = rows {
        assert!(class_of(row) != 0, "a new lead byte of cased characters needs a class");
        let mut others = rest;
        while let [other, rest @ ..] = others {
            assert!(key_of(row) != key_of(other), "the classes are to be chosen anew");
            others = rest;
        }
        rows = rest;
    }
};

/// By the lower six bits of a byte, its class as the second-last but one, or those that go with it
/// as the last but one, in characters of `width` bytes; those of two have their lead for the former.
const fn classes(width: u8, last_but_one: bool) -> [u8; 64] {
    let mut classes = [0; 64];
    let mut rows: &[Row] = &ROWS;
    while let [row, rest @ ..] = rows {
        let byte = if last_but_one || row.width == 2 { row.prefix[0] } else { row.prefix[1] };
        // One lookup serves the leads of two bytes and of three.
        if row.width == width || row.width == 3 && width == 2 {
            #[allow(clippy::indexing_slicing, reason = "6 bits index 64 values, at compile time")]
            {
                classes[(byte & 0x3F) as usize] |= class_of(row);
            }
        }
        rows = rest;
    }
    classes
}

/// The number of the highest bit that is set; 0 if none is.
fn highest(bits: u64) -> usize {
    (bits | 1).ilog2() as usize
}

/// All bytes N places later, after zeros.
#[inline]
#[target_feature(enable = "avx512bw,avx512vbmi")]
fn later<const N: u8>(block: __m512i) -> __m512i {
    static PLACES: [u8; 64] = places();
    let from = _mm512_sub_epi8(load(&PLACES), splat(N));
    _mm512_maskz_permutexvar_epi8(u64::MAX << N, from, block)
}

/// All bytes N places earlier, before zeros.
#[inline]
#[target_feature(enable = "avx512bw,avx512vbmi")]
fn earlier<const N: u8>(block: __m512i) -> __m512i {
    static PLACES: [u8; 64] = places();
    let from = _mm512_add_epi8(load(&PLACES), splat(N));
    _mm512_maskz_permutexvar_epi8(u64::MAX >> N, from, block)
}

/// 0 to 63.
const fn places() -> [u8; 64] {
    let mut places = [0; 64];
    let mut place = 0;
    while place < 64 {
        #[allow(clippy::indexing_slicing, reason = "below 64, at compile time")]
        {
            places[place as usize] = place;
        }
        place += 1;
    }
    places
}

/// The top bit of each byte.
#[inline]
#[target_feature(enable = "avx512bw")]
fn mask(block: __m512i) -> u64 {
    _mm512_movepi8_mask(block)
}

#[inline]
#[target_feature(enable = "avx512bw")]
fn splat(byte: u8) -> __m512i {
    _mm512_set1_epi8(byte.cast_signed())
}

#[inline]
#[target_feature(enable = "avx512bw")]
fn and(a: __m512i, b: __m512i) -> __m512i {
    _mm512_and_si512(a, b)
}

#[inline]
#[target_feature(enable = "avx512bw")]
fn xor(a: __m512i, b: __m512i) -> __m512i {
    _mm512_xor_si512(a, b)
}

#[inline]
#[target_feature(enable = "avx512bw")]
fn load(bytes: &[u8; BLOCK]) -> __m512i {
    let (words, _) = bytes.as_chunks::<8>();
    let [a, b, c, d, e, f, g, h] = *words else { return _mm512_setzero_si512() };
    let [a, b, c, d, e, f, g, h] = [a, b, c, d, e, f, g, h].map(i64::from_le_bytes);
    _mm512_setr_epi64(a, b, c, d, e, f, g, h)
}

#[inline]
#[target_feature(enable = "avx512bw")]
fn store(place: &mut [u8; BLOCK], block: __m512i) {
    let (low, high) = (_mm512_castsi512_si256(block), _mm512_extracti64x4_epi64::<1>(block));
    let words = [
        _mm256_extract_epi64::<0>(low),
        _mm256_extract_epi64::<1>(low),
        _mm256_extract_epi64::<2>(low),
        _mm256_extract_epi64::<3>(low),
        _mm256_extract_epi64::<0>(high),
        _mm256_extract_epi64::<1>(high),
        _mm256_extract_epi64::<2>(high),
        _mm256_extract_epi64::<3>(high),
    ];
    let (places, _) = place.as_chunks_mut::<8>();
    places.iter_mut().zip(words).for_each(|(place, word)| *place = word.to_le_bytes());
}
