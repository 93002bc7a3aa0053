//! Upper case a vector at a time, on machines that have AVX2 or AVX-512. The answers are those of
//! `row.rs`, which does the work elsewhere.
//!
//! ASCII needs no code of its own: the compiler makes vectors of the loops in `row.rs`, as wide as
//! the function into which they are inlined may use. Other text is turned as `avx512.rs` tells
//! where the machine has what that needs, and else, with AVX2, in this way: a block is loaded once;
//! for each row (see `row.rs`) that its characters belong to, the flips of all its characters of
//! that row are looked up at once; then all flips are applied. So the cost depends on how many
//! rows meet in 32 bytes: in one alphabet, one or two.
//!
//! Every load and store goes through an array, which the compiler makes one instruction: so the
//! only unsafe thing is the call of a function compiled for what this machine has. All such calls
//! are here.

use super::row;

/// Upper-cases the ASCII that `text` begins with, in place, and returns its length.
pub(super) fn ascii_in_place(text: &mut [u8]) -> usize {
    if text.len() < row::GROUP {
        // Too short for wide vectors, and sooner done than asked which there are.
        return row::ascii_in_place(text);
    }
    let done = ascii_by_avx512(text).or_else(|| ascii_by_avx2(text));
    done.unwrap_or_else(|| row::ascii_in_place(text))
}

/// Appends the upper case of `text` to `answer`. What is left in `text` is of no meaning.
pub(super) fn append(text: &mut [u8], answer: &mut Vec<u8>) {
    if !append_by_avx512(text, answer) && !append_by_avx2(text, answer) {
        row::append(text, answer);
    }
}

/// As [`append`]. `false`: this machine lacks AVX-512 with VBMI2, and nothing was done.
pub(super) fn append_by_avx512(text: &mut [u8], answer: &mut Vec<u8>) -> bool {
    #[cfg(target_arch = "x86_64")]
    if super::avx512::is_here() {
        #[allow(unsafe_code, reason = "a function compiled for AVX-512 is called no other way")]
        // SAFETY: the one condition is that the processor has what was just asked for.
        unsafe {
            super::avx512::append(text, answer);
        }
        return true;
    }
    let _ = (text, answer);
    false
}

/// As [`append`]. `false`: this machine has no AVX2, and nothing was done.
pub(super) fn append_by_avx2(text: &mut [u8], answer: &mut Vec<u8>) -> bool {
    #[cfg(target_arch = "x86_64")]
    if std::arch::is_x86_feature_detected!("avx2") {
        #[allow(unsafe_code, reason = "a function compiled for AVX2 is called no other way")]
        // SAFETY: the one condition is that the processor has AVX2, which was just asked.
        unsafe {
            x86::append(text, answer);
        }
        return true;
    }
    let _ = (text, answer);
    false
}

/// As [`ascii_in_place`]. `None`: this machine has no AVX-512, and nothing was done.
pub(super) fn ascii_by_avx512(text: &mut [u8]) -> Option<usize> {
    #[cfg(target_arch = "x86_64")]
    if std::arch::is_x86_feature_detected!("avx512bw") {
        #[allow(unsafe_code, reason = "a function compiled for AVX-512 is called no other way")]
        // SAFETY: the one condition is that the processor has AVX-512BW, which was just asked.
        return Some(unsafe { x86::ascii_by_avx512(text) });
    }
    let _ = text;
    None
}

/// As [`ascii_in_place`]. `None`: this machine has no AVX2, and nothing was done.
pub(super) fn ascii_by_avx2(text: &mut [u8]) -> Option<usize> {
    #[cfg(target_arch = "x86_64")]
    if std::arch::is_x86_feature_detected!("avx2") {
        #[allow(unsafe_code, reason = "a function compiled for AVX2 is called no other way")]
        // SAFETY: the one condition is that the processor has AVX2, which was just asked.
        return Some(unsafe { x86::ascii_by_avx2(text) });
    }
    let _ = text;
    None
}

#[cfg(target_arch = "x86_64")]
mod x86 {
    use super::super::row::{self, FIRST_TOO, GROUP, Row};
    use super::super::table::{MISFITS, ROWS};
    use std::arch::x86_64::*;

    /// Bytes in a block.
    const BLOCK: usize = 32;
    /// What the upper case of a block may take: three times its length, and the block that is
    /// written where the last of it begins. A group of ASCII takes no more.
    const ROOM: usize = 4 * BLOCK;
    const _: () = assert!(GROUP <= ROOM);
    /// Room that is made at once beyond that, in order to do so seldom.
    const ROOM_AHEAD: usize = 4096;
    /// How many rows are remembered: Vietnamese has characters of five, other languages of fewer.
    const KNOWN: usize = 6;

    /// As [`row::ascii_in_place`], compiled for wider vectors.
    #[target_feature(enable = "avx512bw")]
    pub(super) fn ascii_by_avx512(text: &mut [u8]) -> usize {
        row::ascii_in_place(text)
    }

    /// As [`row::ascii_in_place`], compiled for wider vectors.
    #[target_feature(enable = "avx2")]
    pub(super) fn ascii_by_avx2(text: &mut [u8]) -> usize {
        row::ascii_in_place(text)
    }

    /// As [`super::append`].
    #[target_feature(enable = "avx2")]
    pub(super) fn append(text: &[u8], answer: &mut Vec<u8>) {
        let mut out = Out { at: answer.len(), answer };
        let mut known = Known::new();
        let (mut rest, mut ascii) = (text, true);
        while !rest.is_empty() {
            out.make_room(rest.len());
            if let Some(group) = rest.first_chunk().filter(|_| ascii)
                && out.put_if_ascii(group)
            {
                rest = rest.get(GROUP..).unwrap_or_default();
                continue;
            }
            let block = rest.first_chunk().map_or_else(|| padded(rest), |bytes| load(bytes));
            let done = out.put(block, &mut known);
            // What a block was filled up with is taken back.
            out.at -= done.saturating_sub(rest.len());
            rest = rest.get(done..).unwrap_or_default();
            ascii = mask(block) == 0;
        }
        out.answer.truncate(out.at);
    }

    /// Less than a block, as a block filled up with zeros.
    #[target_feature(enable = "avx2")]
    fn padded(text: &[u8]) -> __m256i {
        let mut padded = [0; BLOCK];
        padded.iter_mut().zip(text).for_each(|(to, from)| *to = *from);
        load(&padded)
    }

    /// Where upper case is written.
    struct Out<'a> {
        answer: &'a mut Vec<u8>,
        /// How much of `answer` is written; beyond is room.
        at: usize,
    }

    impl Out<'_> {
        /// Makes room for a group of ASCII or one block, and for more if `len` bytes are to come.
        #[inline]
        fn make_room(&mut self, len: usize) {
            if self.answer.len() - self.at < ROOM {
                self.answer.resize(self.at + ROOM + len.min(ROOM_AHEAD), 0);
            }
        }

        /// Writes the upper case of `group` if it is ASCII.
        #[inline]
        #[target_feature(enable = "avx2")]
        fn put_if_ascii(&mut self, group: &[u8; GROUP]) -> bool {
            let place = self.answer.get_mut(self.at..).and_then(<[u8]>::first_chunk_mut);
            let Some(place) = place.filter(|_| row::is_ascii(group)) else { return false };
            *place = *group;
            place.make_ascii_uppercase();
            self.at += GROUP;
            true
        }

        /// Writes the upper case of what `block` holds, except for a character at its end that may
        /// go on beyond it. Returns how many bytes of the block are done.
        #[inline]
        #[target_feature(enable = "avx2")]
        fn put(&mut self, block: __m256i, known: &mut Known) -> usize {
            let upper = _mm256_xor_si256(block, ascii_flips(block));
            let high = mask(block);
            let leads = high & mask(_mm256_cmpgt_epi8(block, splat(0xBF)));
            // A character that begins in the last three bytes may end beyond the block.
            let all = leads >> (BLOCK - 3) == 0;
            let done = std::hint::select_unpredictable(all, BLOCK, highest(leads));
            let within = u32::MAX >> (BLOCK - done);
            let followed = (high & !leads & within) >> 1;
            let candidates = if followed == 0 { 0 } else { cased_leads(block) & followed };
            if candidates == 0 {
                self.put_bytes(upper, done);
                return done;
            }
            let flips = flips(block, candidates, known);
            let upper = _mm256_xor_si256(upper, flips.last);
            let upper = _mm256_xor_si256(upper, earlier::<1>(and(flips.before, splat(0x3F))));
            let upper = _mm256_xor_si256(upper, flips.first);
            // The flags are where a character ends.
            let misfits = mask(flips.before) & within;
            // The next flag comes to the top.
            let shrunk = mask(_mm256_add_epi8(flips.before, flips.before)) & misfits;
            if misfits == 0 && !known.shrinking {
                self.put_bytes(upper, done);
            } else if misfits == shrunk {
                known.shrinking = true;
                self.put_without(upper, done, shrunk);
            } else {
                self.put_with_misfits(upper, done, leads, misfits, flips.last);
            }
            done
        }

        /// Writes the first `len` bytes of `upper`.
        #[inline]
        #[target_feature(enable = "avx2")]
        fn put_bytes(&mut self, upper: __m256i, len: usize) {
            if let Some(place) = self.answer.get_mut(self.at..).and_then(<[u8]>::first_chunk_mut) {
                store(place, upper);
            }
            self.at += len;
        }

        /// Writes the first `len` bytes of `upper` without those at `dropped`.
        #[inline]
        #[target_feature(enable = "avx2")]
        fn put_without(&mut self, upper: __m256i, len: usize, dropped: u32) {
            static KEPT: [u64; 256] = kept();
            let by_word = dropped.to_le_bytes();
            let kept = by_word.map(|dropped| KEPT.get(usize::from(dropped)).copied().unwrap_or(0));
            // Each word closes its gaps for itself. Two words share a half, in which places count
            // from 0.
            let [a, b, c, d] = kept.map(u64::cast_signed);
            let second = 0x0808_0808_0808_0808;
            let places = _mm256_setr_epi64x(a, b | second, c, d | second);
            let mut at = self.at;
            for (word, dropped) in words(_mm256_shuffle_epi8(upper, places)).zip(by_word) {
                if let Some(place) = self.answer.get_mut(at..).and_then(<[u8]>::first_chunk_mut) {
                    *place = word.to_le_bytes();
                }
                at += (8 - dropped.count_ones()) as usize;
            }
            self.at += len - dropped.count_ones() as usize;
        }

        /// Writes the first `len` bytes of `upper`, but something longer or shorter for the
        /// characters that end where `misfits` says; `numbers` tells there what.
        #[target_feature(enable = "avx2")]
        fn put_with_misfits(
            &mut self,
            upper: __m256i,
            len: usize,
            leads: u32,
            mut misfits: u32,
            numbers: __m256i,
        ) {
            // Followed by another block, so that a block can be read from anywhere in the first.
            let (mut bytes, mut number_at) = ([0; 2 * BLOCK], [0; BLOCK]);
            if let Some(first) = bytes.first_chunk_mut() {
                store(first, upper);
            }
            store(&mut number_at, numbers);
            let mut from = 0;
            while misfits != 0 {
                let last = misfits.trailing_zeros() as usize;
                misfits &= misfits - 1;
                let begin = highest(leads & !(u32::MAX << last));
                self.put_part(&bytes, from, begin);
                let misfit = number_at.get(last).and_then(|n| MISFITS.get(usize::from(*n)));
                if let Some(misfit) = misfit {
                    let place = self.answer.get_mut(self.at..).and_then(<[u8]>::first_chunk_mut);
                    if let Some(place) = place {
                        *place = misfit.upper;
                    }
                    self.at += usize::from(misfit.len);
                }
                from = last + 1;
            }
            self.put_part(&bytes, from, len);
        }

        /// Writes the `bytes` from `from` to `to`.
        #[inline]
        #[target_feature(enable = "avx2")]
        fn put_part(&mut self, bytes: &[u8; 2 * BLOCK], from: usize, to: usize) {
            if let Some(part) = bytes.get(from..).and_then(<[u8]>::first_chunk) {
                self.put_bytes(load(part), to - from);
            }
        }
    }

    /// For each choice of bytes to be dropped from a word, where its others come from, in order.
    const fn kept() -> [u64; 256] {
        let mut kept = [0; 256];
        let mut dropped = 0;
        while dropped < 256 {
            let (mut byte, mut shift) = (0_u64, 0);
            while byte < 8 {
                if dropped >> byte & 1 == 0 {
                    #[allow(clippy::indexing_slicing, reason = "below 256, at compile time")]
                    {
                        kept[dropped] |= byte << shift;
                    }
                    shift += 8;
                }
                byte += 1;
            }
            dropped += 1;
        }
        kept
    }

    /// The number of the highest bit that is set; 0 if none is.
    fn highest(bits: u32) -> usize {
        (bits | 1).ilog2() as usize
    }

    /// The rows met lately. A text keeps to a few; trying those first spares each block the wait
    /// for finding out which they are.
    struct Known {
        rows: [Option<&'static Row>; KNOWN],
        /// Which place the next row takes.
        next: usize,
        /// Whether a character has shrunk to its first byte. In a language that has such, they are
        /// in every other block, and to guess in which costs more than to close no gap.
        shrinking: bool,
    }

    impl Known {
        fn new() -> Known {
            Known { rows: [None; KNOWN], next: 0, shrinking: false }
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
        let (places, _) = place.as_chunks_mut::<8>();
        places.iter_mut().zip(words(block)).for_each(|(place, word)| *place = word.to_le_bytes());
    }

    /// The four words of a block.
    #[inline]
    #[target_feature(enable = "avx2")]
    fn words(block: __m256i) -> impl Iterator<Item = i64> {
        let words = [
            _mm256_extract_epi64::<0>(block),
            _mm256_extract_epi64::<1>(block),
            _mm256_extract_epi64::<2>(block),
            _mm256_extract_epi64::<3>(block),
        ];
        words.into_iter()
    }
}
