//! A great text through `stentor send` and `serve`, compared byte by byte as it comes, beside the
//! same bytes through socat's echo.
//!
//! This bench is both ends of the pipe: it makes the text as it goes and compares the answer with
//! what it must be, so that no gibibyte lies in memory or on a disk. Both cost the same for all
//! rivals. A rival that stands still for some seconds is ended and counted as stuck: programs that
//! write without reading block each other once the buffers between them are full.

use std::fmt::Write as _;
use std::io::{Read, Write as _};
use std::process::{ChildStdin, ChildStdout, Command, Stdio};
use std::sync::Arc;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::time::{Duration, Instant};

use crate::figures::{median, mib, yes};
use crate::notice;
use crate::program::{self, Running, Server};
use crate::watch;

const BLOCK_LEN: usize = 1 << 20;
const BLOCKS: u64 = 1 << 10;
const BLOCKS_QUICK: u64 = 1 << 6;
const ROUNDS: usize = 5;
const ROUNDS_QUICK: usize = 3;
/// Without a byte for so long, a rival is stuck.
const STUCK: Duration = Duration::from_secs(3);
/// Bytes of the pipes at both ends (F_SETPIPE_SZ, fcntl(2)); the default of 64 KiB is for people.
const PIPE: i32 = 1 << 20;

const ASCII: &str = "The herald calls across the water, and fifty men could not call louder. ";
const MIXED: &str = "Вечером старый рыбак вернулся домой и долго смотрел на тихую реку. The river; \
                     ο ποταμός κυλά; la rivière coulait; 河水静静地流; straße, fluß. ";

/// One who takes the text and gives it back.
#[derive(Clone, Copy)]
enum Rival {
    Stentor { verify: bool },
    Socat { buffer: Option<&'static str> },
}

impl Rival {
    fn name(self) -> String {
        match self {
            Rival::Stentor { verify: true } => "send, serve".to_owned(),
            Rival::Stentor { verify: false } => "send --no-verify, serve".to_owned(),
            Rival::Socat { buffer: Some(buffer) } => format!("socat -b {buffer}, echo"),
            Rival::Socat { buffer: None } => "socat (-b 8192), echo".to_owned(),
        }
    }
}

const OURS: &[Rival] = &[Rival::Stentor { verify: true }, Rival::Stentor { verify: false }];
/// Not larger than a pipe: its echo writes a whole buffer into one before it reads any of it.
const SOCAT: &[Rival] = &[Rival::Socat { buffer: None }, Rival::Socat { buffer: Some("65536") }];
/// The larger buffer is mostly stuck, and being found so takes its time.
const SOCAT_QUICK: &[Rival] = &[Rival::Socat { buffer: None }];

/// A text that never repeats: one block, over and over, headed by its number.
struct Text {
    name: &'static str,
    asked: Vec<u8>,
    capitals: Vec<u8>,
}

const HEAD_LEN: usize = 18;

impl Text {
    fn new(name: &'static str, sample: &str) -> Text {
        let mut block = "-".repeat(HEAD_LEN);
        while block.len() < BLOCK_LEN {
            block.push_str(sample);
        }
        block.truncate(block.floor_char_boundary(BLOCK_LEN));
        // Lengths differ in capitals; both are whole characters.
        Text { name, capitals: block.to_uppercase().into_bytes(), asked: block.into_bytes() }
    }

    /// Puts the number of a block at its head.
    fn number(block: &mut [u8], number: u64, lower: bool) {
        let mut head = format!("block {number:011}\n");
        if !lower {
            head.make_ascii_uppercase();
        }
        if let Some(place) = block.get_mut(..HEAD_LEN) {
            place.copy_from_slice(head.as_bytes());
        }
    }
}

/// What a rival did with one text.
#[derive(Default)]
struct Tally {
    rates: Vec<f64>,
    stuck: usize,
    wrong: usize,
    client_peak: u64,
    server_peak: u64,
}

/// How one passage ended.
enum Passage {
    Done { took: Duration, client_peak: u64, server_peak: u64 },
    Stuck,
    Wrong(String),
}

/// Measures and renders the table, in Markdown.
pub(crate) fn measure(quick: bool) -> Result<String, String> {
    let (blocks, rounds) = match quick {
        true => (BLOCKS_QUICK, ROUNDS_QUICK),
        false => (BLOCKS, ROUNDS),
    };
    let mut rivals = OURS.to_vec();
    match Command::new("socat").arg("-V").stdout(Stdio::null()).status() {
        Ok(status) if status.success() => {
            rivals.extend(if quick { SOCAT_QUICK } else { SOCAT });
        }
        _ => notice("SKIPPED: socat is not there (apt-get install socat); only ours is measured"),
    }
    let mut table = format!(
        "{} MiB a passage, MB/s (10^6 bytes of input per second, from the start of the client to \
         the last byte), medians of {rounds} rounds in which the rivals take turns. Peaks are \
         VmHWM.\n\n\
         | text | rival | MB/s | to socat's default | peak of client, MiB | peak of server, MiB | \
         stuck | equal |\n|---|---|---|---|---|---|---|---|\n",
        (blocks * BLOCK_LEN as u64) >> 20,
    );
    for text in [Text::new("ASCII", ASCII), Text::new("Russian, mixed", MIXED)] {
        let text = Arc::new(text);
        let mut tallies: Vec<Tally> = rivals.iter().map(|_| Tally::default()).collect();
        for _ in 0..rounds {
            for (rival, tally) in rivals.iter().zip(&mut tallies) {
                turn(*rival, &text, blocks, tally)?;
            }
        }
        rows(&mut table, &text, &rivals, tallies, rounds)?;
    }
    Ok(table)
}

fn rows(
    table: &mut String,
    text: &Text,
    rivals: &[Rival],
    tallies: Vec<Tally>,
    rounds: usize,
) -> Result<(), String> {
    let is_default = |rival: &Rival| matches!(rival, Rival::Socat { buffer: None });
    let reference = rivals.iter().position(is_default).and_then(|place| tallies.get(place));
    let reference = reference.map_or(0.0, |tally| median(tally.rates.clone()));
    for (rival, tally) in rivals.iter().zip(tallies) {
        let (name, come) = (rival.name(), tally.rates.len());
        let rate = median(tally.rates);
        let ratio = match rate > 0.0 && reference > 0.0 {
            true => format!("{:.2}", rate / reference),
            false => "-".to_owned(),
        };
        let equal = if come == 0 { "-" } else { yes(tally.wrong == 0) };
        writeln!(
            table,
            "| {} | {name} | {rate:.0} | {ratio} | {:.1} | {:.1} | {} of {rounds} | {equal} |",
            text.name,
            mib(tally.client_peak),
            mib(tally.server_peak),
            tally.stuck,
        )
        .map_err(|error| error.to_string())?;
    }
    Ok(())
}

fn turn(rival: Rival, text: &Arc<Text>, blocks: u64, tally: &mut Tally) -> Result<(), String> {
    let passage = match rival {
        Rival::Stentor { verify } => {
            let server = Server::start(&["-p", "0"])?;
            let mut command = Command::new(program::stentor()?);
            command.args(["send", &format!("tcp://{}", server.address()?)]);
            command.args((!verify).then_some("--no-verify"));
            let passage = pass(&mut command, server.pid(), text, blocks, true)?;
            server.end()?;
            passage
        }
        Rival::Socat { buffer } => {
            let address = program::free_port()?;
            let size = buffer.unwrap_or("8192");
            let listen = format!("TCP-LISTEN:{},bind={},reuseaddr", address.port(), address.ip());
            // Without fork: it serves this one client, and its peak is its own.
            let mut echo = Command::new("socat");
            echo.args(["-b", size, &listen, "PIPE"]).stdin(Stdio::null()).stderr(Stdio::null());
            let echo = Running::start(&mut echo)?;
            program::await_listener(address)?;
            let mut command = Command::new("socat");
            command.args(["-b", size, "-", &format!("TCP:{address}")]);
            pass(&mut command, echo.pid(), text, blocks, false)?
        }
    };
    match passage {
        Passage::Done { took, client_peak, server_peak } => {
            let bytes = blocks as f64 * text.asked.len() as f64;
            tally.rates.push(bytes / took.as_secs_f64() / 1e6);
            tally.client_peak = tally.client_peak.max(client_peak);
            tally.server_peak = tally.server_peak.max(server_peak);
        }
        Passage::Stuck => tally.stuck += 1,
        Passage::Wrong(what) => {
            notice(&format!("{}: {what}", rival.name()));
            tally.wrong += 1;
        }
    }
    Ok(())
}

/// Sends the text through a client and compares what comes back, in `capitals` or as it was.
fn pass(
    command: &mut Command,
    server: u32,
    text: &Arc<Text>,
    blocks: u64,
    capitals: bool,
) -> Result<Passage, String> {
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::null());
    let from = Instant::now();
    let mut client = Running::start(command)?;
    let (input, output) = (client.child.stdin.take(), client.child.stdout.take());
    let (Some(input), Some(output)) = (input, output) else { return Err("no pipes".to_owned()) };
    for size in [enlarge(&input), enlarge(&output)] {
        size.map_err(|errno| format!("fcntl F_SETPIPE_SZ {PIPE}: {errno}"))?;
    }
    let (progress, told) = channel();
    let asked = Arc::clone(text);
    // It hands the pipe back, still open: the end of the input comes after the last figure.
    let feeder = std::thread::spawn(move || feed(input, &asked, blocks));
    let expected = Arc::clone(text);
    let judge = std::thread::spawn(move || compare(output, &expected, blocks, capitals, &progress));
    let mut stuck = false;
    let took = await_done(&told, from, &mut stuck);
    // Now, while both still run: the input has not ended for them.
    let [client_peak, server_peak] =
        [client.pid(), server].map(|pid| watch::memory(pid, "VmHWM").unwrap_or(0));
    if stuck {
        client.child.kill().map_err(|error| format!("kill: {error}"))?;
    }
    let input = feeder.join().map_err(|_| "the feeder failed".to_owned())?;
    drop(input);
    let judged = judge.join().map_err(|_| "the judge failed".to_owned())?;
    let code = client.wait(Duration::from_secs(30))?.code();
    Ok(match (stuck, judged, took) {
        (true, ..) => Passage::Stuck,
        (false, Ok(()), Some(took)) if code == Some(0) => {
            Passage::Done { took, client_peak, server_peak }
        }
        (false, Ok(()), _) => Passage::Wrong(format!("exit code {code:?}")),
        (false, Err(what), _) => Passage::Wrong(format!("{what}; exit code {code:?}")),
    })
}

fn enlarge(pipe: &impl std::os::fd::AsFd) -> nix::Result<i32> {
    nix::fcntl::fcntl(pipe, nix::fcntl::FcntlArg::F_SETPIPE_SZ(PIPE))
}

/// Waits for the judge's word that every byte has come; looks at each MiB whether any do.
fn await_done(told: &Receiver<bool>, from: Instant, stuck: &mut bool) -> Option<Duration> {
    loop {
        match told.recv_timeout(STUCK) {
            Ok(true) => return Some(from.elapsed()),
            Ok(false) => {}
            Err(std::sync::mpsc::RecvTimeoutError::Timeout) => {
                *stuck = true;
                return None;
            }
            Err(std::sync::mpsc::RecvTimeoutError::Disconnected) => return None,
        }
    }
}

fn feed(mut input: ChildStdin, text: &Text, blocks: u64) -> Option<ChildStdin> {
    let mut block = text.asked.clone();
    for number in 0..blocks {
        Text::number(&mut block, number, true);
        // A client that ends early breaks the pipe; the judge says what is missing.
        input.write_all(&block).ok()?;
    }
    Some(input)
}

fn compare(
    mut output: ChildStdout,
    text: &Text,
    blocks: u64,
    capitals: bool,
    progress: &Sender<bool>,
) -> Result<(), String> {
    let mut expected = if capitals { text.capitals.clone() } else { text.asked.clone() };
    let mut come = vec![0; expected.len()];
    for number in 0..blocks {
        Text::number(&mut expected, number, !capitals);
        output
            .read_exact(&mut come)
            .map_err(|error| format!("the answer ends within block {number}: {error}"))?;
        if come != expected {
            let at = come.iter().zip(&expected).position(|(come, due)| come != due);
            return Err(format!("block {number} differs from byte {at:?} on"));
        }
        // The receiver is gone once the passage was found stuck.
        let _ = progress.send(false);
    }
    let _ = progress.send(true);
    match output.read(&mut come) {
        Ok(0) => Ok(()),
        Ok(count) => Err(format!("{count} bytes more than are owed")),
        Err(error) => Err(format!("the end of the answer: {error}")),
    }
}
