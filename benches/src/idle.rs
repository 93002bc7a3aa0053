//! Idle connections: what the service's memory grows by while they do nothing.
//!
//! Each client has spoken once, as a client that is idle in earnest has. The kernel's own memory
//! (4 to 5 kB for each end of a connection) is in no figure: no choice of ours changes it.

use std::fmt::Write;
use std::time::Duration;

use crate::figures::{mib, yes};
use crate::program::Server;
use crate::{client, notice};

const CLIENTS: usize = 10_000;
const CLIENTS_THREADS: usize = 1_000;
/// Growth that the reactor may have with all its clients, in bytes.
const GROWTH_MAX: u64 = 10_000_000;
/// Descriptors that are not connections, at either end.
const DESCRIPTORS_KEPT: usize = 100;

/// Measures and renders the table, in Markdown.
pub(crate) fn measure(quick: bool) -> Result<String, String> {
    let most = client::descriptors()?.saturating_sub(DESCRIPTORS_KEPT);
    let clients = CLIENTS.min(most);
    if clients < CLIENTS {
        notice(&format!("the hard limit of descriptors allows {clients} clients: ulimit -Hn"));
    }
    let mut table = String::from(
        "Memory of `serve`, before and with idle connections that have asked once. RSS by VmRSS, \
         PSS by smaps_rollup.\n\n\
         | mode | connections | RSS before, MiB | RSS with, MiB | growth, MB | bytes each | PSS \
         growth, MB | at most 10 MB |\n|---|---|---|---|---|---|---|---|\n",
    );
    // Twice, to show that it is no matter of luck.
    let runs: &[(&str, usize)] = match quick {
        true => &[("reactor", CLIENTS), ("threads", CLIENTS_THREADS)],
        false => &[
            ("reactor", CLIENTS),
            ("threads", CLIENTS_THREADS),
            ("reactor", CLIENTS_THREADS),
            ("reactor", CLIENTS),
            ("threads", CLIENTS_THREADS),
        ],
    };
    for &(mode, count) in runs {
        row(&mut table, mode, count.min(clients))?;
    }
    Ok(table)
}

fn row(table: &mut String, mode: &str, count: usize) -> Result<(), String> {
    let server = Server::start(&["-p", "0", "--mode", mode])?;
    let address = server.address()?;
    // Everything that is made once is made: code paged in, buffers touched, on every thread.
    drop(client::many(address, 64)?);
    settle(&server)?;
    let (rss, pss) = (server.memory("VmRSS")?, server.memory("Pss").ok());
    let clients = client::many(address, count)?;
    let (rss_with, pss_with) = (server.memory("VmRSS")?, server.memory("Pss").ok());
    let growth = rss_with.saturating_sub(rss);
    let pss_growth = pss.zip(pss_with).map_or("-".to_owned(), |(before, with)| {
        format!("{:.2}", with.saturating_sub(before) as f64 / 1e6)
    });
    let verdict = if mode == "reactor" { yes(growth <= GROWTH_MAX) } else { "-" };
    drop(clients);
    server.end()?;
    writeln!(
        table,
        "| {mode} | {count} | {:.1} | {:.1} | {:.2} | {} | {pss_growth} | {verdict} |",
        mib(rss),
        mib(rss_with),
        growth as f64 / 1e6,
        growth / count.max(1) as u64,
    )
    .map_err(|error| error.to_string())
}

/// Waits until the service has let go of its first clients: a thread each, in that mode.
fn settle(server: &Server) -> Result<(), String> {
    let from = std::time::Instant::now();
    let mut last = usize::MAX;
    while from.elapsed() < client::PATIENCE {
        let open = crate::watch::descriptors(server.pid())?.len();
        if open == last {
            return Ok(());
        }
        last = open;
        std::thread::sleep(Duration::from_millis(50));
    }
    Err("the service does not let go of clients that have left".to_owned())
}
