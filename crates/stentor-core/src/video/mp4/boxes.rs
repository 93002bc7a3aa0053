//! The boxes of fragmented MP4 (ISO/IEC 14496-12; 14496-15 for H.264), and no more than players need.

use super::{SIZE, TIMESCALE, h264};

/// What a sample depends on, in flags (14496-12, 8.8.3.1): nothing, or the one before.
const KEY: u32 = 0x0200_0000;
const NOT_KEY: u32 = 0x0101_0000;

/// The matrix that turns nothing (8.2.2.2).
const IDENTITY: [u32; 9] = [0x1_0000, 0, 0, 0, 0x1_0000, 0, 0, 0, 0x4000_0000];

/// A box of its parts.
fn boxed(kind: &[u8; 4], parts: &[&[u8]]) -> Vec<u8> {
    let length: usize = parts.iter().map(|part| part.len()).sum();
    let mut bytes = size(length + 8).to_vec();
    bytes.extend_from_slice(kind);
    parts.iter().for_each(|part| bytes.extend_from_slice(part));
    bytes
}

/// A box with a version and flags before its numbers, which have 32 bits.
fn full(kind: &[u8; 4], version_and_flags: u32, numbers: &[u32]) -> Vec<u8> {
    boxed(kind, &[&version_and_flags.to_be_bytes(), &words(numbers)])
}

fn words(numbers: &[u32]) -> Vec<u8> {
    numbers.iter().flat_map(|number| number.to_be_bytes()).collect()
}

fn size(length: usize) -> [u8; 4] {
    u32::try_from(length).unwrap_or(u32::MAX).to_be_bytes()
}

/// ftyp and moov: a track of H.264 whose samples are all in fragments.
pub(super) fn initialization() -> Vec<u8> {
    let brands: &[u8] = b"iso6\0\0\0\0iso6cmfcdashavc1";
    let mut header = vec![0, 0, TIMESCALE, 0, 0x1_0000, 0x0100_0000, 0, 0];
    header.extend_from_slice(&IDENTITY);
    header.extend_from_slice(&[0, 0, 0, 0, 0, 0, 2]);
    let extends = boxed(b"mvex", &[&full(b"trex", 0, &[1, 1, 0, 0, NOT_KEY])]);
    let movie = boxed(b"moov", &[&full(b"mvhd", 0, &header), &track(), &extends]);
    [boxed(b"ftyp", &[brands]), movie].concat()
}

fn track() -> Vec<u8> {
    let mut header = vec![0, 0, 1, 0, 0, 0, 0, 0, 0];
    header.extend_from_slice(&IDENTITY);
    header.extend_from_slice(&[SIZE.0 << 16, SIZE.1 << 16]);
    // Enabled, in the film, in its preview.
    let header = full(b"tkhd", 7, &header);
    // The language is und.
    let media_header = full(b"mdhd", 0, &[0, 0, TIMESCALE, 0, 0x55c4_0000]);
    let mut handler = 0_u64.to_be_bytes().to_vec();
    handler.extend_from_slice(b"vide\0\0\0\0\0\0\0\0\0\0\0\0card\0");
    let handler = boxed(b"hdlr", &[&handler]);
    // The data is in this very file.
    let here = full(b"url ", 1, &[]);
    let references = boxed(b"dinf", &[&boxed(b"dref", &[&words(&[0, 1]), &here])]);
    let video_header = full(b"vmhd", 1, &[0, 0]);
    let info = boxed(b"minf", &[&video_header, &references, &tables()]);
    boxed(b"trak", &[&header, &boxed(b"mdia", &[&media_header, &handler, &info])])
}

/// The tables of samples: what they are, and that there are none here.
fn tables() -> Vec<u8> {
    let descriptions = boxed(b"stsd", &[&words(&[0, 1]), &description()]);
    boxed(
        b"stbl",
        &[
            &descriptions,
            &full(b"stts", 0, &[0]),
            &full(b"stsc", 0, &[0]),
            &full(b"stsz", 0, &[0, 0]),
            &full(b"stco", 0, &[0]),
        ],
    )
}

/// avc1 with its parameter sets in avcC (14496-15, 5.3.3.1).
fn description() -> Vec<u8> {
    let (sequence, picture) = (h264::sequence(), h264::picture());
    let short = |length: usize| u16::try_from(length).unwrap_or(u16::MAX).to_be_bytes();
    let [profile, constraints, level] = h264::PROFILE;
    // Lengths of 4 bytes, one set of each kind.
    let begin = [1, profile, constraints, level, 0xff, 0xe1];
    let (one, other) = (short(sequence.len()), short(picture.len()));
    let sets = boxed(b"avcC", &[&begin, &one, &sequence, &[1], &other, &picture]);
    let (width, height) = (size(SIZE.0 as usize), size(SIZE.1 as usize));
    let mut sample = vec![0, 0, 0, 0, 0, 0, 0, 1];
    sample.extend_from_slice(&[0; 16]);
    sample.extend([width, height].iter().flat_map(|side| side.iter().skip(2)));
    // 72 dots an inch, one picture a sample, no name, 24 bits, no table of colours.
    sample.extend_from_slice(&words(&[0x48_0000, 0x48_0000, 0]));
    sample.extend_from_slice(&[0, 1]);
    sample.extend_from_slice(&[0; 32]);
    sample.extend_from_slice(&[0, 24, 0xff, 0xff]);
    boxed(b"avc1", &[&sample, &sets])
}

/// moof and mdat of a chunk that plays from one tick to another.
pub(super) fn fragment(chunk: usize, (begin, end): (u64, u64), samples: &[Vec<u8>]) -> Vec<u8> {
    let count = samples.len() as u64;
    let tick = |sample: u64| (end - begin) * sample / count.max(1);
    let mut entries = Vec::new();
    for (index, sample) in (0_u64..).zip(samples) {
        let duration = u32::try_from(tick(index + 1) - tick(index)).unwrap_or(u32::MAX);
        entries.extend_from_slice(&duration.to_be_bytes());
        entries.extend_from_slice(&size(sample.len()));
    }
    let number = u32::try_from(chunk + 1).unwrap_or(u32::MAX);
    let movie_header = full(b"mfhd", 0, &[number]);
    // Offsets count from the moof (default-base-is-moof).
    let track_header = full(b"tfhd", 0x02_0000, &[1]);
    let time = boxed(b"tfdt", &[&0x0100_0000_u32.to_be_bytes(), &begin.to_be_bytes()]);
    let run = |offset: usize| {
        // Offset, flags of the first sample, durations and sizes.
        let head = [words(&[0x305]), size(samples.len()).to_vec(), size(offset).to_vec()].concat();
        boxed(b"trun", &[&head, &words(&[KEY]), &entries])
    };
    let moof = |offset: usize| {
        let fragment = boxed(b"traf", &[&track_header, &time, &run(offset)]);
        boxed(b"moof", &[&movie_header, &fragment])
    };
    // The data begins behind the header of the next box.
    let mut bytes = moof(moof(0).len() + 8);
    bytes.extend_from_slice(&boxed(b"mdat", &[&samples.concat()]));
    bytes
}

/// Makes the last box, which is the data of `samples`, longer by `more` bytes that no sample uses.
pub(super) fn lengthen(fragment: &mut [u8], samples: &[Vec<u8>], more: u64) {
    let data: usize = samples.iter().map(Vec::len).sum::<usize>() + 8;
    let at = fragment.len().saturating_sub(data);
    let more = usize::try_from(more).unwrap_or(0);
    if let Some(length) = fragment.get_mut(at..at + 4) {
        length.copy_from_slice(&size(data + more));
    }
}

/// Begins a box of `length` bytes that nobody reads.
pub(super) fn begin_free(fragment: &mut Vec<u8>, length: u64) {
    let length = u32::try_from(length).unwrap_or(u32::MAX);
    fragment.extend_from_slice(&length.to_be_bytes());
    fragment.extend_from_slice(b"free");
}
