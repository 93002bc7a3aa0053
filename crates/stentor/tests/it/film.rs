//! The generated film before a foreign judge: ffmpeg decodes it without an error, and ffprobe counts
//! its pictures. Skipped, loudly, where they are missing.

use std::process::{Command, Stdio};

use stentor_core::seed::{Dice, Seed};
use stentor_core::video::film::{Film, Plan};
use stentor_core::video::mp4;

/// The whole film in one quality, as a player would put it together.
fn whole(film: &Film, quality: usize) -> Vec<u8> {
    let mut bytes = mp4::initialization();
    for chunk in 0..film.chunks().len() {
        let drawn = mp4::chunk(film, chunk, quality).unwrap().to_bytes();
        assert_eq!(drawn.len() as u64, film.bytes(chunk, quality), "chunk {chunk}");
        bytes.extend(drawn);
    }
    bytes
}

/// What a program says of a file: standard output and standard error.
fn said(words: &[&str], file: &std::path::Path) -> Option<(String, String)> {
    let (program, words) = words.split_first().unwrap();
    let words: Vec<_> =
        words.iter().map(|word| word.replace("FILE", file.to_str().unwrap())).collect();
    let mut command = Command::new(program);
    let output = command.args(words).stdin(Stdio::null()).output().ok()?;
    let text = |bytes: Vec<u8>| String::from_utf8_lossy(&bytes).into_owned();
    Some((text(output.stdout), text(output.stderr)))
}

#[test]
fn ffmpeg_decodes_every_picture_without_an_error() {
    let film = Plan::preset("ladder").unwrap().generate(&mut Dice::new(Seed(1), "film")).unwrap();
    let pictures: u32 = film.chunks().iter().map(|chunk| mp4::pictures(chunk.duration)).sum();
    for quality in [0, film.qualities() - 1] {
        let name = format!("stentor-film-{}-{quality}.mp4", std::process::id());
        let file = std::env::temp_dir().join(name);
        std::fs::write(&file, whole(&film, quality)).unwrap();
        let count = "ffprobe -v error -count_frames -select_streams v \
                     -show_entries stream=nb_read_frames -of csv=p=0 FILE";
        let decode = "ffmpeg -nostdin -v error -i FILE -f null -";
        let words = |line: &'static str| line.split_whitespace().collect::<Vec<_>>();
        let (counted, decoded) = (said(&words(count), &file), said(&words(decode), &file));
        std::fs::remove_file(&file).unwrap();
        let (Some(counted), Some(decoded)) = (counted, decoded) else {
            eprintln!("SKIPPED: ffprobe or ffmpeg is not installed; nobody judges the film");
            return;
        };
        assert_eq!((counted.0.trim(), counted.1.as_str()), (pictures.to_string().as_str(), ""));
        assert_eq!(decoded, (String::new(), String::new()), "quality {quality}");
    }
}
