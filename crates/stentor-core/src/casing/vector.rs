//! Upper case 32 bytes at a time, on machines with AVX2. The answer is the same as that of
//! `row.rs`, which does the work elsewhere.
//!
//! A block is loaded once; for each row (see `row.rs`) that its characters belong to, the flips
//! of all its characters of that row are looked up at once; then all flips are applied. So the
//! cost depends on how many rows meet in 32 bytes: in one alphabet, one or two.
//!
//! Every load and store goes through an array, which the compiler makes one instruction: so the
//! only unsafe thing is the call of a function compiled for AVX2.

/// Upper-cases `text` in place up to the first character whose upper case does not fit there, and
/// returns where that begins: the length of `text` if there is none. Nothing beyond is touched.
pub(super) fn in_place(text: &mut [u8]) -> usize {
    #[cfg(target_arch = "x86_64")]
    if std::arch::is_x86_feature_detected!("avx2") {
        #[allow(
            unsafe_code,
            reason = "a function compiled for AVX2 can be called in no other way"
        )]
        // SAFETY: the one condition is that the processor has AVX2, which was just asked.
        return unsafe { avx2::in_place(text) };
    }
    super::row::in_place(text)
}

#[cfg(target_arch = "x86_64")]
mod avx2 {
    use super::super::row::{FIRST_TOO, Row};
    use super::super::table::ROWS;
    use std::arch::x86_64::*;

    /// Bytes in a block.
    const BLOCK: usize = 32;
    /// Blocks of ASCII that are tested as one: as many as stay in registers until written.
    const GROUP: usize = 4;
    /// How many rows are remembered: Vietnamese has characters of five, other languages of fewer.
    const KNOWN: usize = 6;

    /// A block's upper case, as far as it is `done`; the rest is as it was.
    struct Step {
        upper: __m256i,
        done: usize,
        found: Found,
    }

    /// What was in a block.
    #[derive(PartialEq)]
    enum Found {
        /// Nothing but ASCII.
        Ascii,
        /// Characters that fit their places; one that may go on beyond the block is not done.
        Fitting,
        /// A character that does not fit: all before it is done.
        Misfit,
    }

    /// As [`super::in_place`].
    #[target_feature(enable = "avx2")]
    pub(super) fn in_place(text: &mut [u8]) -> usize {
        let mut at = 0;
        loop {
            at += ascii(text.get_mut(at..).unwrap_or_default());
            let rest = text.get_mut(at..).unwrap_or_default();
            let (done, stopped) = if rest.len() < BLOCK { last(rest) } else { blocks(rest) };
            at += done;
            if stopped || at == text.len() {
                return at;
            }
        }
    }

    /// Upper-cases groups of blocks as long as they are ASCII; returns how many bytes.
    #[target_feature(enable = "avx2")]
    fn ascii(text: &mut [u8]) -> usize {
        let (blocks, _) = text.as_chunks_mut::<BLOCK>();
        let (groups, _) = blocks.as_chunks_mut::<GROUP>();
        let mut done = 0;
        for group in groups {
            let loaded = [load(&group[0]), load(&group[1]), load(&group[2]), load(&group[3])];
            let all = or(or(loaded[0], loaded[1]), or(loaded[2], loaded[3]));
            if mask(all) != 0 {
                break;
            }
            for (place, block) in group.iter_mut().zip(loaded) {
                store(place, _mm256_xor_si256(block, ascii_flips(block)));
            }
            done += GROUP * BLOCK;
        }
        done
    }

    /// Upper-cases block by block, until one is all ASCII, less than a block is left, or a
    /// character does not fit (the second result). Returns how many bytes are done.
    #[target_feature(enable = "avx2")]
    fn blocks(text: &mut [u8]) -> (usize, bool) {
        let mut at = 0;
        let mut known = Known::new();
        let mut next = text.first_chunk().map(|bytes| load(bytes));
        while let Some(block) = next {
            let step = step(block, &mut known);
            // The next block may begin inside this one. Read before writing: reading what is about
            // to be written would make each block wait for the one before.
            let rest = text.get(at + step.done..).and_then(<[u8]>::first_chunk);
            next = rest.map(|bytes| load(bytes));
            if let Some(place) = text.get_mut(at..).and_then(<[u8]>::first_chunk_mut) {
                store(place, step.upper);
            }
            at += step.done;
            if step.found != Found::Fitting {
                return (at, step.found == Found::Misfit);
            }
        }
        (at, false)
    }

    /// Upper-cases less than a block, as a block filled up with zeros.
    #[target_feature(enable = "avx2")]
    fn last(text: &mut [u8]) -> (usize, bool) {
        let mut padded = [0; BLOCK];
        padded.iter_mut().zip(text.iter()).for_each(|(to, from)| *to = *from);
        let (done, stopped) = blocks(&mut padded);
        text.iter_mut().zip(padded).for_each(|(to, from)| *to = from);
        (done.min(text.len()), stopped)
    }

    /// Upper-cases one block.
    #[inline]
    #[target_feature(enable = "avx2")]
    fn step(block: __m256i, known: &mut Known) -> Step {
        let upper = _mm256_xor_si256(block, ascii_flips(block));
        let high = mask(block);
        if high == 0 {
            return Step { upper, done: BLOCK, found: Found::Ascii };
        }
        let leads = high & mask(_mm256_cmpgt_epi8(block, splat(0xBF)));
        // A character that begins in the last three bytes may end beyond the block.
        let done = if leads >> (BLOCK - 3) == 0 { BLOCK } else { highest(leads) };
        let candidates = cased_leads(block) & (u32::MAX >> (BLOCK - done));
        if candidates == 0 {
            return Step { upper: keep(block, upper, done), done, found: Found::Fitting };
        }
        let flips = flips(block, candidates, known);
        let upper = _mm256_xor_si256(upper, flips.last);
        let upper = _mm256_xor_si256(upper, earlier::<1>(and(flips.before, splat(0x3F))));
        let upper = _mm256_xor_si256(upper, flips.first);
        // The flags are where a character ends; it begins at the lead before.
        let stops = mask(flips.before) & (u32::MAX >> (BLOCK - done));
        if stops == 0 {
            return Step { upper: keep(block, upper, done), done, found: Found::Fitting };
        }
        let done = highest(leads & (stops ^ (stops - 1)));
        Step { upper: keep(block, upper, done), done, found: Found::Misfit }
    }

    /// The number of the highest bit that is set; 0 if none is.
    fn highest(bits: u32) -> usize {
        bits.checked_ilog2().unwrap_or(0) as usize
    }

    /// The rows met lately. A text keeps to a few; trying those first spares each block the wait
    /// for finding out which they are.
    struct Known {
        rows: [Option<&'static Row>; KNOWN],
        /// Which place the next row takes.
        next: usize,
    }

    impl Known {
        fn new() -> Known {
            Known { rows: [None; KNOWN], next: 0 }
        }

        #[cold]
        fn add(&mut self, row: &'static Row) {
            if let Some(place) = self.rows.get_mut(self.next % KNOWN) {
                *place = Some(row);
            }
            self.next += 1;
        }
    }

    /// What flips in a block.
    struct Flips {
        /// In last bytes, there.
        last: __m256i,
        /// In the bytes before them, with the flags of [`Row::before`], one byte too late.
        before: __m256i,
        /// In first bytes, there.
        first: __m256i,
    }

    /// Looks up what flips in `block`, whose `candidates` (as bits) may be leads of rows.
    #[inline]
    #[target_feature(enable = "avx2")]
    fn flips(block: __m256i, mut candidates: u32, known: &mut Known) -> Flips {
        let zero = _mm256_setzero_si256();
        let mut flips = Flips { last: zero, before: zero, first: zero };
        let quarters = quarters(block);
        let ahead = [later::<15>(block), later::<14>(block), later::<13>(block)];
        for row in known.rows.iter().map_while(|row| *row) {
            candidates &= !add_row(&mut flips, row, &quarters, &ahead);
        }
        if candidates == 0 {
            return flips;
        }
        let mut bytes = [0; BLOCK];
        store(&mut bytes, block);
        while candidates != 0 {
            let lead = candidates.trailing_zeros() as usize;
            candidates &= candidates - 1;
            let Some(row) = bytes.get(lead..).and_then(Row::of) else { continue };
            candidates &= !add_row(&mut flips, row, &quarters, &ahead);
            known.add(row);
        }
        flips
    }

    /// Adds the flips of all characters of one row; returns where those begin, as bits.
    #[inline]
    #[target_feature(enable = "avx2")]
    fn add_row(flips: &mut Flips, row: &Row, quarters: &[__m256i; 4], ahead: &[__m256i; 3]) -> u32 {
        let mut of_row = _mm256_cmpeq_epi8(ahead[0], splat(row.prefix[0]));
        if row.width > 2 {
            of_row = and(of_row, _mm256_cmpeq_epi8(ahead[1], splat(row.prefix[1])));
        }
        if row.width > 3 {
            of_row = and(of_row, _mm256_cmpeq_epi8(ahead[2], splat(row.prefix[2])));
        }
        let before = and(of_row, lookup(&row.before, quarters));
        flips.last = or(flips.last, and(of_row, lookup(&row.last, quarters)));
        flips.before = or(flips.before, before);
        if row.first != 0 {
            let too = _mm256_cmpeq_epi8(and(before, splat(FIRST_TOO)), splat(FIRST_TOO));
            let first = if row.width == 2 { earlier::<1>(too) } else { earlier::<2>(too) };
            flips.first = or(flips.first, and(first, splat(row.first)));
        }
        mask(of_row) >> (row.width - 1)
    }

    /// What flips in the bytes `a` to `z`; nothing does in others, ASCII or not.
    #[inline]
    #[target_feature(enable = "avx2")]
    fn ascii_flips(block: __m256i) -> __m256i {
        // 'a' to 'z' become the 26 greatest signed numbers.
        let shifted = _mm256_add_epi8(block, splat(0x7F - b'z'));
        and(_mm256_cmpgt_epi8(shifted, splat(0x7F - 26)), splat(0x20))
    }

    /// Which bytes are leads of rows that have case, as bits.
    #[inline]
    #[target_feature(enable = "avx2")]
    fn cased_leads(block: __m256i) -> u32 {
        const HIGH: [u8; 16] = [0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1, 2, 4, 8];
        static LOW: [u8; 16] = low_of_cased_leads();
        let low = and(block, splat(0x0F));
        let high = and(_mm256_srli_epi16::<4>(block), splat(0x0F));
        let cased =
            and(_mm256_shuffle_epi8(twice(&LOW), low), _mm256_shuffle_epi8(twice(&HIGH), high));
        !mask(_mm256_cmpeq_epi8(cased, _mm256_setzero_si256()))
    }

    /// For the lower half of a lead byte, with which upper halves it is the lead of a row.
    const fn low_of_cased_leads() -> [u8; 16] {
        let mut low = [0; 16];
        let mut rows: &[Row] = &ROWS;
        while let [row, rest @ ..] = rows {
            let [before, second, first] = row.prefix;
            let lead = match row.width {
                2 => before,
                3 => second,
                _ => first,
            };
            #[allow(clippy::indexing_slicing, reason = "4 bits index 16 values, at compile time")]
            {
                low[(lead & 0x0F) as usize] |= 1 << ((lead >> 4) - 0x0C);
            }
            rows = rest;
        }
        low
    }

    /// `block` with `upper` in its first `done` bytes.
    #[inline]
    #[target_feature(enable = "avx2")]
    fn keep(block: __m256i, upper: __m256i, done: usize) -> __m256i {
        let places = _mm256_setr_epi8(
            0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16, 17, 18, 19, 20, 21, 22, 23,
            24, 25, 26, 27, 28, 29, 30, 31,
        );
        let done = splat(u8::try_from(done).unwrap_or(0));
        _mm256_blendv_epi8(block, upper, _mm256_cmpgt_epi8(done, places))
    }

    /// For each quarter of the continuation bytes, what looks them up in 16 values: `shuffle`
    /// yields zero where the upper bit is set, as it is here for every byte of no such quarter.
    #[inline]
    #[target_feature(enable = "avx2")]
    fn quarters(block: __m256i) -> [__m256i; 4] {
        let quarter =
            |first: u8| _mm256_adds_epu8(_mm256_sub_epi8(block, splat(first)), splat(0x70));
        [quarter(0x80), quarter(0x90), quarter(0xA0), quarter(0xB0)]
    }

    /// What a column of a row holds for each continuation byte; zero for others.
    #[inline]
    #[target_feature(enable = "avx2")]
    fn lookup(column: &[[u8; 16]; 4], quarters: &[__m256i; 4]) -> __m256i {
        let [a, b, c, d] = column;
        let [qa, qb, qc, qd] = *quarters;
        or(
            or(_mm256_shuffle_epi8(twice(a), qa), _mm256_shuffle_epi8(twice(b), qb)),
            or(_mm256_shuffle_epi8(twice(c), qc), _mm256_shuffle_epi8(twice(d), qd)),
        )
    }

    /// All bytes 16 - N places later, after zeros.
    #[inline]
    #[target_feature(enable = "avx2")]
    fn later<const N: i32>(block: __m256i) -> __m256i {
        _mm256_alignr_epi8::<N>(block, _mm256_permute2x128_si256::<0x08>(block, block))
    }

    /// All bytes N places earlier, before zeros.
    #[inline]
    #[target_feature(enable = "avx2")]
    fn earlier<const N: i32>(block: __m256i) -> __m256i {
        _mm256_alignr_epi8::<N>(_mm256_permute2x128_si256::<0x81>(block, block), block)
    }

    /// The top bit of each byte.
    #[inline]
    #[target_feature(enable = "avx2")]
    fn mask(block: __m256i) -> u32 {
        _mm256_movemask_epi8(block).cast_unsigned()
    }

    #[inline]
    #[target_feature(enable = "avx2")]
    fn splat(byte: u8) -> __m256i {
        _mm256_set1_epi8(byte.cast_signed())
    }

    #[inline]
    #[target_feature(enable = "avx2")]
    fn and(a: __m256i, b: __m256i) -> __m256i {
        _mm256_and_si256(a, b)
    }

    #[inline]
    #[target_feature(enable = "avx2")]
    fn or(a: __m256i, b: __m256i) -> __m256i {
        _mm256_or_si256(a, b)
    }

    /// 16 values, in both halves.
    #[inline]
    #[target_feature(enable = "avx2")]
    fn twice(values: &[u8; 16]) -> __m256i {
        let (words, _) = values.as_chunks::<8>();
        let [a, b] = *words else { return _mm256_setzero_si256() };
        let [a, b] = [a, b].map(i64::from_le_bytes);
        _mm256_setr_epi64x(a, b, a, b)
    }

    #[inline]
    #[target_feature(enable = "avx2")]
    fn load(bytes: &[u8; BLOCK]) -> __m256i {
        let (words, _) = bytes.as_chunks::<8>();
        let [a, b, c, d] = *words else { return _mm256_setzero_si256() };
        let [a, b, c, d] = [a, b, c, d].map(i64::from_le_bytes);
        _mm256_setr_epi64x(a, b, c, d)
    }

    #[inline]
    #[target_feature(enable = "avx2")]
    fn store(place: &mut [u8; BLOCK], block: __m256i) {
        let words = [
            _mm256_extract_epi64::<0>(block),
            _mm256_extract_epi64::<1>(block),
            _mm256_extract_epi64::<2>(block),
            _mm256_extract_epi64::<3>(block),
        ];
        let (places, _) = place.as_chunks_mut::<8>();
        places.iter_mut().zip(words).for_each(|(place, word)| *place = word.to_le_bytes());
    }
}
