//! An exchange of this program with itself under `stentor trace`: run, read back, explained.
//!
//! What it proves is left to the lessons.

use std::fs::{self, DirBuilder, File};
use std::io::{BufReader, Read};
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Stdio};
use std::time::Duration;

use stentor_core::endpoint::Transport;
use stentor_core::timeline::cause::{Edge, PacketNo, Relation};
use stentor_core::timeline::dissect::dissect;
use stentor_core::timeline::header::{Headers, Transport as Carried};
use stentor_core::timeline::ladder::{Filter, Ladder, Only};
use stentor_core::timeline::matcher::Explained;
use stentor_core::timeline::record::{Call, Packet, Place, Record};
use stentor_os::failure::Failure;

use super::calls::{Interest, ready};
use super::stage::{Stage, Stop, now};
use crate::drive::exchange::Exchange;
use crate::report::record;

/// The longest a traced exchange may take; it takes about a tenth of a second.
const PATIENCE: Duration = Duration::from_secs(20);

/// What was seen of an exchange.
pub(super) struct Seen {
    /// As it was recorded.
    pub(super) record: Record,
    /// What follows from it.
    pub(super) explained: Explained,
    /// The server's port.
    pub(super) port: u16,
    /// Why there are no packets, and how to have them; none if there are.
    pub(super) missing: Option<String>,
}

/// A packet of an exchange.
pub(super) struct Shown<'a> {
    /// Its number.
    pub(super) number: PacketNo,
    /// As captured.
    pub(super) packet: &'a Packet,
    /// Its headers.
    pub(super) headers: Headers,
}

impl Shown<'_> {
    /// The captured part of its payload.
    pub(super) fn payload(&self) -> &[u8] {
        let place = |at: u32| usize::try_from(at).unwrap_or(usize::MAX);
        let range = place(self.headers.payload.start)..place(self.headers.payload.end);
        self.packet.bytes.get(range).unwrap_or_default()
    }
}

impl Seen {
    /// The ladder of the conversations with the server.
    pub(super) fn ladder(&self) -> Ladder {
        let only = Filter { only: vec![Only::Port(self.port)], ..Filter::default() };
        Ladder::of(&self.record, &self.explained, &only)
    }

    /// A packet whose headers could be read.
    pub(super) fn packet(&self, number: PacketNo) -> Option<Shown<'_>> {
        let packet = self.record.packets.get(number.index())?;
        let headers = dissect(packet.link, &packet.bytes)?;
        Some(Shown { number, packet, headers })
    }

    /// The first datagram that went to the server.
    pub(super) fn datagram(&self) -> Option<Shown<'_>> {
        let talk =
            self.explained.flows.talks.iter().find(|it| it.ends.server.port() == self.port)?;
        let mut carried = talk.packets.iter().filter_map(|(number, _)| self.packet(*number));
        carried.find(|shown| matches!(shown.headers.transport, Carried::Udp(_)))
    }

    /// The ties of a packet in one direction, with the call of each.
    pub(super) fn ties(&self, packet: PacketNo, relation: Relation) -> Vec<(&Edge, Option<&Call>)> {
        let edges = self.explained.edges_of(packet).iter();
        let call = |edge: &Edge| edge.call.and_then(|call| self.record.calls.get(call.index()));
        edges.filter(|it| it.relation == relation).map(|edge| (edge, call(edge))).collect()
    }
}

/// Traces `serve` and `send` with `sentence` to their end, and shows how.
pub(super) fn witness(
    stage: &mut Stage<'_>,
    transport: Transport,
    sentence: &str,
) -> Result<Seen, Stop> {
    let exchange = Exchange::prepare(transport).map_err(Stop::Refused)?;
    let port = exchange.port().map_err(Stop::Refused)?;
    let (flag, scheme) = match transport {
        Transport::Udp => ("-u", "udp"),
        Transport::Tcp | Transport::Unix => ("-t", "tcp"),
    };
    let command = format!(
        "stentor trace -- stentor serve -q -1 {flag} -b 127.0.0.1 -p {port} --with 'stentor send \
         {scheme}://127.0.0.1:{port} \"{sentence}\"'"
    );
    stage.fact("command", command)?;
    let folder = Folder::make()?;
    let file = folder.0.join("exchange.jsonl");
    traced(&exchange, &file, port, sentence)?;
    let record = read(&file)?;
    let explained = Explained::of(&record);
    let packets = record.packets.len();
    match &exchange.notice {
        None => stage.fact("seen", format!("{} calls, {packets} packets", record.calls.len()))?,
        Some(notice) => {
            stage.fact("seen", format!("{} calls, no packets", record.calls.len()))?;
            stage.fact("why, and what to do", notice)?;
        }
    }
    Ok(Seen { record, explained, port, missing: exchange.notice })
}

/// Runs the trace to its end, within bounds.
fn traced(exchange: &Exchange, file: &Path, port: u16, sentence: &str) -> Result<(), Stop> {
    let options = ["-q".as_ref(), "-o".as_ref(), file.as_os_str()];
    let command = exchange.command(options, port, sentence.as_bytes());
    let mut command = command.map_err(Stop::Refused)?;
    command.stdout(Stdio::piped()).stderr(Stdio::piped());
    let failed = |error| Failure::new("execve", "stentor trace", error);
    let mut child = command.spawn().map_err(failed)?;
    let answered = answer(&mut child);
    if answered.is_err() {
        // It fails if it has ended, which is what it is for.
        let _ = child.kill();
    }
    let output = child.wait_with_output().map_err(failed)?;
    let answer = answered?;
    if output.status.code() == Some(130) {
        return Err(Stop::Interrupted);
    }
    let expected = format!("{}\n", sentence.to_uppercase());
    match output.status.success() && answer == expected.as_bytes() {
        true => Ok(()),
        false => Err(Stop::Contradicted {
            what: format!(
                "stentor trace: {}, answer {:?}. {}",
                output.status,
                String::from_utf8_lossy(&answer),
                String::from_utf8_lossy(&output.stderr).trim_end()
            ),
            next: String::new(),
        }),
    }
}

/// All that the traced programs write to standard output, until they have ended.
fn answer(child: &mut Child) -> Result<Vec<u8>, Stop> {
    let mut answer = Vec::new();
    let Some(mut out) = child.stdout.take() else { return Ok(answer) };
    let failed = |error| Failure::new("read", "the output of stentor trace", error);
    let began = now();
    loop {
        let left = PATIENCE.saturating_sub(now().since(began));
        if left.is_zero() {
            return Err(Stop::Contradicted {
                what: format!("stentor trace did not end within {} s", PATIENCE.as_secs()),
                next: String::new(),
            });
        }
        if !ready(&out, Interest::Read, left).map_err(failed)? {
            continue;
        }
        let mut part = [0; 1024];
        match out.read(&mut part).map_err(failed)? {
            0 => return Ok(answer),
            count => answer.extend(part.get(..count).unwrap_or_default()),
        }
    }
}

/// Reads the record back, whole or not at all: what is missing proves nothing.
fn read(path: &Path) -> Result<Record, Stop> {
    let name = path.display().to_string();
    let file = File::open(path).map_err(|error| Failure::new("open", &name, error))?;
    let read = record::read(BufReader::new(file));
    let (mut record, warnings) = read.map_err(|trouble| Stop::Refused(trouble.complaint(&name)))?;
    record.sort();
    let lost = record.losses.iter().filter(|loss| loss.place == Place::Capture && loss.count > 0);
    match (lost.count(), warnings.sentences().first()) {
        (0, None) => Ok(record),
        (_, warning) => Err(Stop::Impossible {
            what: warning.cloned().unwrap_or_else(|| "the capture lost packets".to_owned()),
            next: "The machine is busy: run the lesson again.".to_owned(),
        }),
    }
}

/// A folder that only this user can read, removed with all in it.
struct Folder(PathBuf);

impl Folder {
    fn make() -> Result<Folder, Stop> {
        let name = format!("stentor-learn-{}-{}", std::process::id(), now().as_nanos());
        let path = std::env::temp_dir().join(name);
        let made = DirBuilder::new().mode(0o700).create(&path);
        made.map_err(|error| Failure::new("mkdir", path.display(), error))?;
        Ok(Folder(path))
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        // What cannot be removed is left to the system's own cleaning of temporary files.
        let _ = fs::remove_dir_all(&self.0);
    }
}
