//! The reference's command line, word for word, as a configuration.

use std::collections::VecDeque;

use thiserror::Error;

/// Which rule chooses the quality: `-a`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Policy {
    /// `bola`: BOLA in the variant that [`Options::basic`] and [`Options::oscillation`] say.
    Bola,
    /// `bolae`: BOLA-E, with a placeholder buffer; the reference's default.
    BolaE,
    /// `throughput`: the highest quality that the estimate carries.
    Throughput,
    /// `dynamic`: throughput below 10 s of buffer, BOLA above.
    Dynamic,
    /// `dynamicdash`: throughput and BOLA-E, changed at 5 s and 10 s.
    DynamicDash,
}

/// How the throughput is estimated: `-ma`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Average {
    /// `ewma`: exponentially weighted; the reference's default.
    Ewma,
    /// `sliding`: the mean of the last samples.
    Sliding,
}

/// Which buffered segment is fetched again in a better quality: `-r`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Replace {
    /// `none`: none; the reference's default.
    No,
    /// `left`: the one that plays first.
    Left,
    /// `right`: the one that plays last.
    Right,
}

/// A run of the reference; the defaults are its own.
#[derive(Clone, Debug, PartialEq)]
pub struct Options {
    /// `-n`: the file of the network, for the roof to read; `network.json`.
    pub network: String,
    /// `-nm`: what every bandwidth is multiplied with; 1.
    pub multiplier: f64,
    /// `-m`: the file of the film, for the roof to read; `movie.json`.
    pub movie: String,
    /// `-ml`: the film is repeated and cut to this length, in seconds.
    pub length_s: Option<f64>,
    /// `-a`: [`Policy::BolaE`].
    pub policy: Policy,
    /// `-ab`: BOLA as first published, without its heuristics.
    pub basic: bool,
    /// `-ao`: fewer oscillations (BOLA-O), in place of BOLA-U.
    pub oscillation: bool,
    /// `-gp`: what a second of rebuffering costs, in seconds of utility; 5.
    pub gamma_p: f64,
    /// `-noibr`: without the insufficient-buffer rule.
    pub no_insufficient_buffer_rule: bool,
    /// `-ma`: [`Average::Ewma`].
    pub average: Average,
    /// `-ws`: how many samples each window has; 3.
    pub windows: Vec<usize>,
    /// `-hl`: half-lives in seconds; 3 and 8.
    pub half_lives_s: Vec<f64>,
    /// `-s`: at which second of the film to jump, and to which.
    pub seek_s: Option<(f64, f64)>,
    /// `-r`: [`Replace::No`].
    pub replace: Replace,
    /// `-b`: how much is buffered at most, in seconds; 25.
    pub buffer_s: f64,
    /// `-noa`: no download is abandoned.
    pub no_abandon: bool,
    /// `-rmp`: the quality at which the start is over; the network's when not given.
    pub ramp_up: Option<usize>,
}

/// Why the words were not understood.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum OptionsError {
    /// An option that the reference does not have.
    #[error("{0:?} is no option of the reference; it has {KNOWN}")]
    Unknown(String),
    /// An option of the reference that has no meaning here.
    #[error("{option} is not repeated here: {why}")]
    Refused {
        /// As written.
        option: String,
        /// The reason and the next step.
        why: &'static str,
    },
    /// An option at the end that wants a value.
    #[error("{option} wants {wanted}")]
    Missing {
        /// As written.
        option: String,
        /// What should follow.
        wanted: &'static str,
    },
    /// A value that is not one.
    #[error("{option} {written}: {written:?} is not {wanted}")]
    Value {
        /// As written.
        option: String,
        /// Its value as written.
        written: String,
        /// What it should be.
        wanted: &'static str,
    },
}

const KNOWN: &str =
    "-n -nm -m -ml -a -ab -ao -gp -noibr -ma -ws -hl -s -r -b -noa -rmp, and their long forms";

const PYTHON: &str = "it is Python; a rule of your own runs beside our own engine";

/// Short and long names, as in the reference's help.
const NAMES: [(&str, &str); 18] = [
    ("-n", "--network"),
    ("-nm", "--network-multiplier"),
    ("-m", "--movie"),
    ("-ml", "--movie-length"),
    ("-a", "--abr"),
    ("-ab", "--abr-basic"),
    ("-ao", "--abr-osc"),
    ("-gp", "--gamma-p"),
    ("-noibr", "--no-insufficient-buffer-rule"),
    ("-ma", "--moving-average"),
    ("-ws", "--window-size"),
    ("-hl", "--half-life"),
    ("-s", "--seek"),
    ("-r", "--replace"),
    ("-b", "--max-buffer"),
    ("-noa", "--no-abandon"),
    ("-rmp", "--rampup-threshold"),
    ("-v", "--verbose"),
];

impl Default for Options {
    fn default() -> Options {
        Options {
            network: "network.json".to_owned(),
            multiplier: 1.0,
            movie: "movie.json".to_owned(),
            length_s: None,
            policy: Policy::BolaE,
            basic: false,
            oscillation: false,
            gamma_p: 5.0,
            no_insufficient_buffer_rule: false,
            average: Average::Ewma,
            windows: vec![3],
            half_lives_s: vec![3.0, 8.0],
            seek_s: None,
            replace: Replace::No,
            buffer_s: 25.0,
            no_abandon: false,
            ramp_up: None,
        }
    }
}

/// Reads the reference's options, such as `-a bola -ab -b 10`; a later one wins.
///
/// # Errors
/// Options that the reference does not have, or that make no sense here, are refused by name.
pub fn parse<'a>(words: impl IntoIterator<Item = &'a str>) -> Result<Options, OptionsError> {
    let mut options = Options::default();
    let mut words = Words { rest: words.into_iter().collect(), option: String::new() };
    while let Some(word) = words.rest.pop_front() {
        let (name, value) = match word.split_once('=') {
            Some((name, value)) if name.starts_with("--") => (name, Some(value)),
            _ => (word, None),
        };
        let known = NAMES.iter().find(|(short, long)| *short == name || *long == name);
        let (short, _) = known.ok_or_else(|| OptionsError::Unknown(word.to_owned()))?;
        words.option = name.to_owned();
        if flag(&mut options, short) {
            if let Some(value) = value {
                return Err(words.wrong(value, "allowed: it takes no value"));
            }
        } else {
            if let Some(value) = value {
                words.rest.push_front(value);
            }
            take(&mut options, short, &mut words)?;
        }
    }
    Ok(options)
}

/// Sets an option without a value; false if it is none.
fn flag(options: &mut Options, short: &str) -> bool {
    match short {
        "-ab" => options.basic = true,
        "-ao" => options.oscillation = true,
        "-noibr" => options.no_insufficient_buffer_rule = true,
        "-noa" => options.no_abandon = true,
        _ => return false,
    }
    true
}

/// Sets an option with its value or values.
fn take(options: &mut Options, short: &str, words: &mut Words<'_>) -> Result<(), OptionsError> {
    match short {
        "-n" => options.network = words.value("a file")?.to_owned(),
        "-m" => options.movie = words.value("a file")?.to_owned(),
        "-nm" => options.multiplier = words.number("a number above 0", |number| number > 0.0)?,
        "-ml" => {
            let seconds = words.number("a number of seconds above 0", |seconds| seconds > 0.0)?;
            options.length_s = Some(seconds);
        }
        "-a" => options.policy = policy(words)?,
        "-gp" => options.gamma_p = words.number("a number above 0", |number| number > 0.0)?,
        "-ma" => {
            options.average = match words.value("ewma or sliding")? {
                "ewma" => Average::Ewma,
                "sliding" => Average::Sliding,
                other => return Err(words.wrong(other, "ewma or sliding")),
            };
        }
        "-ws" => {
            let wanted = "a whole number above 0";
            let window = |word: &str| word.parse().ok().filter(|window: &usize| *window > 0);
            options.windows = words.list(wanted, window)?;
        }
        "-hl" => {
            let wanted = "a number of seconds above 0";
            let half_life =
                |word: &str| word.parse().ok().filter(|s: &f64| *s > 0.0 && s.is_finite());
            options.half_lives_s = words.list(wanted, half_life)?;
        }
        "-s" => {
            let sound = |seconds: f64| seconds >= 0.0;
            let when = words.number("two numbers of seconds, from and to", sound)?;
            let place = words.number("two numbers of seconds, from and to", sound)?;
            options.seek_s = Some((when, place));
        }
        "-r" => options.replace = replacement(words)?,
        "-b" => {
            options.buffer_s =
                words.number("a number of seconds above 0", |seconds| seconds > 0.0)?;
        }
        "-rmp" => {
            let wanted = "the number of a quality, from 0";
            let written = words.value(wanted)?;
            options.ramp_up = Some(written.parse().map_err(|_| words.wrong(written, wanted))?);
        }
        other => {
            return Err(OptionsError::Refused {
                option: other.to_owned(),
                why: "its diary has no fixed form; leave it out",
            });
        }
    }
    Ok(())
}

fn policy(words: &mut Words<'_>) -> Result<Policy, OptionsError> {
    let wanted = "bola, bolae, throughput, dynamic or dynamicdash";
    let written = words.value(wanted)?;
    Ok(match written {
        "bola" => Policy::Bola,
        "bolae" => Policy::BolaE,
        "throughput" => Policy::Throughput,
        "dynamic" => Policy::Dynamic,
        "dynamicdash" => Policy::DynamicDash,
        "bba" => {
            let why = "the reference names it without implementing it; bba0 of our own engine does";
            return Err(words.refused(written, why));
        }
        python if python.ends_with(".py") => return Err(words.refused(python, PYTHON)),
        other => return Err(words.wrong(other, wanted)),
    })
}

fn replacement(words: &mut Words<'_>) -> Result<Replace, OptionsError> {
    let wanted = "none, left or right";
    match words.value(wanted)? {
        "none" => Ok(Replace::No),
        "left" => Ok(Replace::Left),
        "right" => Ok(Replace::Right),
        python if python.ends_with(".py") => Err(words.refused(python, PYTHON)),
        other => Err(words.wrong(other, wanted)),
    }
}

/// What has not been read yet, and the option being read.
struct Words<'a> {
    rest: VecDeque<&'a str>,
    option: String,
}

impl<'a> Words<'a> {
    fn value(&mut self, wanted: &'static str) -> Result<&'a str, OptionsError> {
        // An option is no value, but a negative number is for `number` to refuse.
        let next = self.rest.front().copied().filter(|word| !is_option(word));
        self.rest.pop_front();
        next.ok_or_else(|| OptionsError::Missing { option: self.option.clone(), wanted })
    }

    fn number(
        &mut self,
        wanted: &'static str,
        sound: impl Fn(f64) -> bool,
    ) -> Result<f64, OptionsError> {
        let written = self.value(wanted)?;
        let number = written.parse().ok().filter(|number: &f64| number.is_finite());
        number.filter(|number| sound(*number)).ok_or_else(|| self.wrong(written, wanted))
    }

    /// One value or more, up to the next option.
    fn list<T>(
        &mut self,
        wanted: &'static str,
        read: impl Fn(&str) -> Option<T>,
    ) -> Result<Vec<T>, OptionsError> {
        let mut values = Vec::new();
        while values.is_empty() || self.rest.front().is_some_and(|word| !is_option(word)) {
            let written = self.value(wanted)?;
            values.push(read(written).ok_or_else(|| self.wrong(written, wanted))?);
        }
        Ok(values)
    }

    fn wrong(&self, written: &str, wanted: &'static str) -> OptionsError {
        OptionsError::Value { option: self.option.clone(), written: written.to_owned(), wanted }
    }

    fn refused(&self, written: &str, why: &'static str) -> OptionsError {
        OptionsError::Refused { option: format!("{} {written}", self.option), why }
    }
}

/// Whether a word begins as an option does: `-b`, not `-5`.
fn is_option(word: &str) -> bool {
    word.strip_prefix('-')
        .is_some_and(|rest| rest.starts_with(|c: char| c == '-' || c.is_alphabetic()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(line: &str) -> Result<Options, String> {
        parse(line.split_whitespace()).map_err(|error| error.to_string())
    }

    #[test]
    fn the_reference_s_words_are_read() {
        let check = |line: &str, change: fn(&mut Options)| {
            let mut expected = Options::default();
            change(&mut expected);
            assert_eq!(read(line), Ok(expected), "{line}");
        };
        check("", |_| {});
        check("-a bola -ab -b 10", |options| {
            (options.policy, options.basic, options.buffer_s) = (Policy::Bola, true, 10.0);
        });
        check("--abr=dynamic --abr-osc -r left", |options| {
            (options.policy, options.oscillation) = (Policy::Dynamic, true);
            options.replace = Replace::Left;
        });
        check("-ma sliding -ws 3 5 -noibr -noa", |options| {
            (options.average, options.windows) = (Average::Sliding, vec![3, 5]);
            (options.no_insufficient_buffer_rule, options.no_abandon) = (true, true);
        });
        check("-hl 1.5 6 -s 20 60 -rmp 2 -gp 7 -nm 0.5 -ml 90", |options| {
            (options.half_lives_s, options.seek_s) = (vec![1.5, 6.0], Some((20.0, 60.0)));
            (options.ramp_up, options.gamma_p) = (Some(2), 7.0);
            (options.multiplier, options.length_s) = (0.5, Some(90.0));
        });
        check("-n net.json -m film.json -b 5 -b 12", |options| {
            (options.network, options.movie) = ("net.json".into(), "film.json".into());
            options.buffer_s = 12.0;
        });
    }

    #[test]
    fn what_is_refused_is_named() {
        let check = |line: &str, said: &str| {
            let error = read(line).unwrap_err();
            assert!(error.contains(said), "{line}: {error}");
        };
        check("-x", "\"-x\" is no option of the reference; it has -n");
        check("film.json", "\"film.json\" is no option");
        check("-b", "-b wants a number of seconds above 0");
        check("-b -ab", "-b wants a number of seconds above 0");
        check("-b -5", "-b -5: \"-5\" is not a number of seconds");
        check("-b nan", "-b nan: \"nan\" is not");
        check("-s 20", "-s wants two numbers");
        check("-ws", "-ws wants a whole number above 0");
        check("-ws 3 x", "-ws x: \"x\" is not a whole number");
        check("-a festive", "-a festive: \"festive\" is not bola, bolae");
        check("-a bba", "-a bba is not repeated here: the reference names it without implementing");
        check("-a mine.py", "-a mine.py is not repeated here: it is Python");
        check("-r mine.py", "-r mine.py is not repeated here");
        check("-v", "-v is not repeated here: its diary");
        check("--abr-basic=yes", "--abr-basic yes: \"yes\" is not allowed");
    }
}
