//! Sizes to the byte, boxes that add up, and pictures that a foreign decoder decodes without an error.

use super::*;
use crate::units::BitRate;
use crate::video::film::Chunk as FilmChunk;

/// The boxes of a level: kind and length of each, which fill the bytes exactly.
fn boxes(mut bytes: &[u8]) -> Vec<(String, &[u8])> {
    let mut found = Vec::new();
    while !bytes.is_empty() {
        let length = u32::from_be_bytes(bytes[..4].try_into().unwrap()) as usize;
        let kind = String::from_utf8(bytes[4..8].to_vec()).unwrap();
        found.push((kind, &bytes[8..length]));
        bytes = &bytes[length..];
    }
    found
}

fn kinds(bytes: &[u8]) -> Vec<String> {
    boxes(bytes).into_iter().map(|(kind, _)| kind).collect()
}

#[test]
fn chunks_have_their_exact_size_whatever_it_is() {
    let duration = Duration::from_secs(2);
    let least = {
        let film = Film::even(&[BitRate(1_000_000)], duration, 1).unwrap();
        let drawn = chunk(&film, 0, 0).unwrap();
        drawn.head.len() as u64 - 8
    };
    for more in 0..40 {
        let bytes = vec![least + more];
        let film = Film::new(vec![BitRate(1)], vec![FilmChunk { duration, bytes }]).unwrap();
        let drawn = chunk(&film, 0, 0).unwrap().to_bytes();
        assert_eq!(drawn.len() as u64, least + more);
        let expected: &[&str] =
            if more < 8 { &["moof", "mdat"] } else { &["moof", "mdat", "free"] };
        assert_eq!(kinds(&drawn), expected, "{more}");
    }
    let film = Film::new(vec![BitRate(1)], vec![FilmChunk { duration, bytes: vec![least - 1] }]);
    let error = chunk(&film.unwrap(), 0, 0).unwrap_err();
    assert_eq!(
        error,
        ChunkError::TooSmall { chunk: 0, quality: 0, bytes: least - 1, needed: least }
    );
}

#[test]
fn a_chunk_that_is_not_there_is_refused() {
    let film = Film::even(&[BitRate(1_000_000)], Duration::from_secs(2), 3).unwrap();
    assert_eq!(chunk(&film, 3, 0), Err(ChunkError::None { chunk: 3, quality: 0 }));
    assert_eq!(chunk(&film, 0, 1), Err(ChunkError::None { chunk: 0, quality: 1 }));
}

#[test]
fn pictures_are_whole() {
    let check = |ms, expected| assert_eq!(pictures(Duration::from_millis(ms)), expected, "{ms}");
    check(1, 1);
    check(1000, 5);
    check(2000, 10);
    check(2002, 10);
    check(2100, 11);
    check(3_600_000, 18_000);
}

#[test]
fn boxes_add_up() {
    let bytes = initialization();
    assert_eq!(kinds(&bytes), ["ftyp", "moov"]);
    let all = boxes(&bytes);
    assert_eq!(kinds(all[1].1), ["mvhd", "trak", "mvex"]);
    let film = Film::even(&[BitRate(1_000_000)], Duration::from_secs(2), 3).unwrap();
    let drawn = chunk(&film, 2, 0).unwrap();
    let bytes = drawn.to_bytes();
    let all = boxes(&bytes);
    assert_eq!(kinds(all[0].1), ["mfhd", "traf"]);
    let traf = boxes(boxes(all[0].1)[1].1);
    let time = traf.iter().find(|(kind, _)| kind == "tfdt").unwrap().1;
    assert_eq!(u64::from_be_bytes(time[4..12].try_into().unwrap()), 4 * u64::from(TIMESCALE));
    let run = traf.iter().find(|(kind, _)| kind == "trun").unwrap().1;
    assert_eq!(u32::from_be_bytes(run[4..8].try_into().unwrap()), 10);
    let ticks: u32 =
        run[16..].chunks(8).map(|one| u32::from_be_bytes(one[..4].try_into().unwrap())).sum();
    assert_eq!(ticks, 2 * TIMESCALE);
}
