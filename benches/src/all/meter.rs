//! What one turn of a client against a server shows: its rate, the processor time of both ends,
//! and how much others had meanwhile.
//!
//! A client tells the meter once in each turn of its loop how much is done; the meter says when
//! to stop asking. The time to warm up is in no figure.

use std::fs;
use std::time::{Duration, Instant};

use crate::figures::Latencies;
use crate::watch;

/// A hundredth of a second, USER_HZ: the unit of /proc/stat (proc_stat(5)).
const TICK_NS: u64 = 10_000_000;

/// How long a client asks.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Extent {
    /// So long, after a time that does not count.
    Time { warm: Duration, span: Duration },
    /// So many questions, counted from the first.
    Count(u64),
}

/// What one turn showed.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Sample {
    /// Things done a second.
    pub(crate) rate: f64,
    /// Nanoseconds of the server on a processor for each, where it is one process.
    pub(crate) server_ns: Option<f64>,
    /// The median round trip, of one client alone.
    pub(crate) p50_us: Option<f64>,
    /// Processor time of everybody else, as a share of one processor; known to a tick.
    pub(crate) others: Option<f64>,
    /// Things asked and never answered, of datagrams.
    pub(crate) lost: u64,
}

#[derive(Clone, Copy, Debug)]
struct Mark {
    at: Instant,
    done: u64,
    server_ns: Option<u64>,
    client_ns: u64,
    busy_ns: u64,
}

/// Watches one turn.
#[derive(Debug)]
pub(crate) struct Meter {
    server: Option<u32>,
    extent: Extent,
    from: Instant,
    asked: u64,
    begun: Option<Mark>,
    ended: Option<Mark>,
    latencies: Latencies,
    pub(crate) lost: u64,
}

impl Meter {
    /// For a server whose process is `server`; `None` where it is many processes.
    pub(crate) fn new(server: Option<u32>, extent: Extent) -> Meter {
        let (begun, ended, latencies) = (None, None, Latencies::default());
        Meter { server, extent, from: Instant::now(), asked: 0, begun, ended, latencies, lost: 0 }
    }

    /// Whether so many more may be asked.
    pub(crate) fn allows(&mut self, questions: u64) -> bool {
        match self.extent {
            Extent::Time { .. } => self.ended.is_none(),
            Extent::Count(most) if self.asked + questions > most => false,
            Extent::Count(_) => {
                self.asked += questions;
                true
            }
        }
    }

    /// Told once in each turn of the client's loop how much is done in all.
    ///
    /// # Errors
    /// The server is gone.
    pub(crate) fn turn(&mut self, done: u64) -> Result<(), String> {
        let Extent::Time { warm, span } = self.extent else { return Ok(()) };
        match &self.begun {
            None if self.from.elapsed() >= warm => self.begun = Some(self.mark(done)?),
            Some(begun) if self.ended.is_none() && begun.at.elapsed() >= span => {
                self.ended = Some(self.mark(done)?);
            }
            _ => {}
        }
        Ok(())
    }

    /// Keeps a round trip that lies in the measured time.
    pub(crate) fn round_trip(&mut self, took: Duration) {
        if self.begun.is_some() && self.ended.is_none() {
            self.latencies.record(took);
        }
    }

    fn mark(&self, done: u64) -> Result<Mark, String> {
        Ok(Mark {
            at: Instant::now(),
            done,
            server_ns: self.server.map(watch::cpu_ns).transpose()?,
            client_ns: own_ns()?,
            busy_ns: busy_ns()?,
        })
    }

    /// What came of it, once the client has stopped.
    ///
    /// # Errors
    /// Nothing was done within the measured time.
    pub(crate) fn sample(mut self) -> Result<Sample, String> {
        let (Some(begun), Some(ended)) = (self.begun, self.ended) else {
            return Err("the client stopped before its time was over".to_owned());
        };
        let done = (ended.done - begun.done) as f64;
        if done < 1.0 {
            return Err("nothing was answered within the measured time".to_owned());
        }
        let wall_ns = (ended.at - begun.at).as_nanos() as f64;
        let server = begun.server_ns.zip(ended.server_ns);
        let server = server.map(|(before, after)| after.saturating_sub(before) as f64);
        let client = ended.client_ns.saturating_sub(begun.client_ns) as f64;
        let busy = ended.busy_ns.saturating_sub(begun.busy_ns) as f64;
        let alone = self.latencies.len() > 0;
        let [p50] = self.latencies.percentiles_us([50]);
        Ok(Sample {
            rate: done / wall_ns * 1e9,
            server_ns: server.map(|server| server / done),
            p50_us: alone.then_some(p50),
            others: server.map(|server| ((busy - server - client) / wall_ns).max(0.0)),
            lost: self.lost,
        })
    }
}

/// Nanoseconds that the calling thread has had on a processor.
fn own_ns() -> Result<u64, String> {
    let path = "/proc/thread-self/schedstat";
    let text = fs::read_to_string(path).map_err(|error| format!("read {path}: {error}"))?;
    let ns = text.split_whitespace().next().and_then(|ns| ns.parse().ok());
    ns.ok_or_else(|| format!("{path} has no time"))
}

/// Nanoseconds that all processors were busy with anything, or withheld by the host (steal).
fn busy_ns() -> Result<u64, String> {
    let path = "/proc/stat";
    let text = fs::read_to_string(path).map_err(|error| format!("read {path}: {error}"))?;
    let line = text.lines().next().unwrap_or_default();
    let ticks: Vec<u64> =
        line.split_whitespace().skip(1).map_while(|word| word.parse().ok()).collect();
    // user nice system idle iowait irq softirq steal; guests are in user already.
    let [user, nice, system, _, _, irq, softirq, steal, ..] = ticks.as_slice() else {
        return Err(format!("{path} begins with {line:?}"));
    };
    Ok((user + nice + system + irq + softirq + steal) * TICK_NS)
}
