//! Upper-casing alone: how fast each script goes, beside the standard library and memcpy.
//!
//! Blocks of 64 KiB stay in the cache, as what a socket has just delivered does. The rivals take
//! turns within each round, so that a slow spell of the machine strikes all; medians of rounds.
//! Each text is many blocks, of words in random order: a single block, or a sentence repeated, is
//! soon known by heart to the processor's branch prediction, which no stream is.

use std::fmt::Write;
use std::hint::black_box;
use std::time::{Duration, Instant};

use stentor_core::casing::{self, Case, Upper};
use stentor_core::seed::{Dice, Seed};

const BLOCK_LEN: usize = 64 * 1024;
/// How many blocks each text has.
const BLOCKS: usize = 16;
const ROUNDS: usize = 15;
const ROUNDS_QUICK: usize = 3;
/// Long enough that reading the clock is nothing, short enough that rounds alternate often.
const TURN: Duration = Duration::from_millis(8);

/// What the texts are made of. The words are everyday ones, with the spaces, stops
/// and capitals that sentences have.
const SAMPLES: &[(&str, &str)] = &[
    ("ASCII", "The herald calls across the water, and fifty men could not call louder. "),
    ("Latin, accents", "À l'été dernier, le garçon a mangé une crème brûlée près de la forêt. "),
    ("Latin, Czech", "Příliš žluťoučký kůň běžel přes řeku, když večer přišel déšť. "),
    ("Latin, German", "Über die Straße läuft ein größerer Hund, während es draußen schön ist. "),
    ("Latin, Turkish", "Akşam yaşlı balıkçı evine döndü ve uzun süre sakin ırmağı seyretti. "),
    ("Latin, Vietnamese", "Buổi sáng mùa hạ, những người bạn cũ ngồi uống cà phê bên đường. "),
    ("Russian", "Вечером старый рыбак вернулся домой и долго смотрел на тихую реку. "),
    ("Greek, accents", "Το πρωί ο γέρος ψαράς γύρισε στο λιμάνι και κοίταξε ήσυχα τη θάλασσα. "),
    ("Georgian", "საღამოს მოხუცი მეთევზე სახლში დაბრუნდა და დიდხანს უყურებდა მდინარეს. "),
    ("Armenian", "Երեկոյան ծեր ձկնորսը տուն դարձավ ու երկար նայում էր հանդարտ գետին։ "),
    ("Hindi", "शाम को बूढ़ा मछुआरा घर लौटा और बहुत देर तक शांत नदी को देखता रहा। "),
    ("Chinese", "傍晚，老渔夫回到家里，静静地看着门前的河水，想起了年轻时候的朋友。"),
    ("Korean", "저녁에 늙은 어부는 집으로 돌아와 오랫동안 고요한 강을 바라보았다. "),
    (
        "mixed",
        "The river; река течёт; ο ποταμός κυλά; la rivière coulait; 河水静静地流; मछुआरा; 😀 ok. ",
    ),
];

/// What is demanded of a text, in GB/s: most when hardly anything in it is not ASCII, more of
/// scripts of two bytes a letter, and nothing of bytes that are no text.
fn goal(name: &str) -> Option<f64> {
    match name {
        _ if name.starts_with("one ") => Some(10.0),
        "Russian" | "Greek, accents" | "Armenian" => Some(3.0),
        "ASCII" | "random bytes" => None,
        _ => Some(2.0),
    }
}

/// Measures and renders the table, in Markdown.
pub(crate) fn measure(quick: bool) -> Result<String, String> {
    let rounds = if quick { ROUNDS_QUICK } else { ROUNDS };
    let mut table = format!(
        "GB/s (10^9 bytes of input per second), blocks of 64 KiB, medians of {rounds} rounds.\n\n\
         | text | stentor | str::to_uppercase | ratio | make_ascii_uppercase | memcpy | of memcpy | \
         goal |\n|---|---|---|---|---|---|---|---|\n"
    );
    for (name, blocks) in texts() {
        let [ours, std, ascii, copy] = rivals(&blocks, rounds)?;
        let (ratio, share) = (ours / std, 100.0 * ours / copy);
        let goal = goal(name).map_or("-".to_owned(), |least| {
            format!("{least:.0}: {}", if ours >= least { "met" } else { "**missed**" })
        });
        writeln!(
            table,
            "| {name} | {ours:.2} | {std:.2} | {ratio:.1} | {ascii:.2} | {copy:.2} | {share:.0} % | \
             {goal} |"
        )
        .map_err(|error| error.to_string())?;
    }
    Ok(table)
}

/// The texts to measure, as blocks: every sample, two with a rare stranger, and random bytes.
pub(crate) fn texts() -> Vec<(&'static str, Vec<Vec<u8>>)> {
    let mut dice = Dice::new(Seed(1), "texts");
    let mut blocks = |sample| -> Vec<_> { (0..BLOCKS).map(|_| block(sample, &mut dice)).collect() };
    let mut texts: Vec<_> = SAMPLES.iter().map(|(name, text)| (*name, blocks(text))).collect();
    let ascii = texts.first().map(|(_, blocks)| blocks.clone()).unwrap_or_default();
    for (name, rare) in [("one é per KiB", "é"), ("one ı per KiB", "ı")] {
        let mut blocks = ascii.clone();
        for kib in blocks.iter_mut().flat_map(|block| block.chunks_exact_mut(1024)) {
            if let Some(place) = kib.get_mut(500..502) {
                place.copy_from_slice(rare.as_bytes());
            }
        }
        texts.insert(1, (name, blocks));
    }
    let mut random = || (0..BLOCK_LEN / 8).flat_map(|_| dice.bits().to_le_bytes()).collect();
    texts.push(("random bytes", (0..BLOCKS).map(|_| random()).collect()));
    texts
}

/// A block of the words of `sample`, each drawn by chance. It ends after a whole character and is
/// filled up with spaces.
fn block(sample: &str, dice: &mut Dice) -> Vec<u8> {
    let words: Vec<&str> = sample.split_inclusive([' ', '，']).collect();
    let mut text = String::new();
    while text.len() < BLOCK_LEN {
        let word = usize::try_from(dice.below(words.len() as u64)).unwrap_or_default();
        text.push_str(words.get(word).copied().unwrap_or(" "));
    }
    text.truncate(text.floor_char_boundary(BLOCK_LEN));
    let mut block = text.into_bytes();
    block.resize(BLOCK_LEN, b' ');
    block
}

/// GB/s of ours, `str::to_uppercase`, `make_ascii_uppercase` and memcpy on the blocks of a text.
///
/// Bytes that are no text are made text for `str::to_uppercase` outside the time: with U+FFFD
/// where they are invalid, and cut to a block's length.
fn rivals(blocks: &[Vec<u8>], rounds: usize) -> Result<[f64; 4], String> {
    let texts: Vec<String> = blocks
        .iter()
        .map(|block| {
            let mut text = String::from_utf8_lossy(block).into_owned();
            text.truncate(text.floor_char_boundary(BLOCK_LEN));
            text
        })
        .collect();
    let (mut spill, mut copied) = (Vec::new(), vec![0; BLOCK_LEN]);
    let mut rates: [Vec<f64>; 4] = Default::default();
    blocks.iter().try_for_each(|block| check(block))?;
    for _ in 0..rounds {
        let [ours, std, ascii, copy] = &mut rates;
        ours.push(rate(blocks, |work, _| upper(work, &mut spill)));
        std.push(rate(blocks, |_, block| {
            let text = texts.get(block).map(String::as_str).unwrap_or_default();
            drop(black_box(black_box(text).to_uppercase()));
        }));
        ascii.push(rate(blocks, |work, _| work.make_ascii_uppercase()));
        copy.push(rate(blocks, |work, _| {
            black_box(copied.as_mut_slice()).copy_from_slice(work);
        }));
    }
    Ok(rates.map(median))
}

/// Upper-cases one block as a stream does, answer by answer.
fn upper(mut rest: &mut [u8], spill: &mut Vec<u8>) {
    let mut upper = Upper::new(Case::Unicode);
    while !rest.is_empty() {
        let (taken, answer) = upper.feed(rest, spill);
        black_box(answer);
        rest = rest.get_mut(taken..).unwrap_or_default();
    }
}

/// Refuses to time a wrong answer.
fn check(block: &[u8]) -> Result<(), String> {
    let expected: Vec<u8> = block
        .utf8_chunks()
        .flat_map(|chunk| [chunk.valid().to_uppercase().into_bytes(), chunk.invalid().to_vec()])
        .flatten()
        .collect();
    match casing::upper(Case::Unicode, block) == expected {
        true => Ok(()),
        false => Err("the answer differs from str::to_uppercase".to_owned()),
    }
}

/// GB/s of the median `pass` of one turn. Each pass finds a fresh copy of the next block, in the
/// cache, as what a socket has just delivered is, and its number; only the pass itself is timed.
fn rate(blocks: &[Vec<u8>], mut pass: impl FnMut(&mut [u8], usize)) -> f64 {
    let mut work = vec![0; BLOCK_LEN];
    let mut passes = Vec::new();
    let turn = Instant::now();
    for (number, block) in blocks.iter().enumerate().cycle() {
        if turn.elapsed() >= TURN {
            break;
        }
        work.copy_from_slice(block);
        let start = Instant::now();
        pass(black_box(work.as_mut_slice()), number);
        passes.push(start.elapsed().as_secs_f64());
    }
    BLOCK_LEN as f64 / median(passes) / 1e9
}

fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    values.get(values.len() / 2).copied().unwrap_or_default()
}
