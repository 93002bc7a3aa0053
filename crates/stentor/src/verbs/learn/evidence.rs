//! Evidence on a lesson's own sockets, read from the kernel.

use std::net::SocketAddr;
use std::time::Duration;

use stentor_os::failure::Failure;
use stentor_os::net::socket_table::{self, Row, Table};

use super::calls::{Door, PATIENCE};
use super::stage::{Stop, now};

/// Between two looks at the table.
const PAUSE: Duration = Duration::from_millis(1);

/// The rows of the kernel's table that `wanted` picks.
pub(super) fn rows(table: Table, wanted: impl Fn(&Row) -> bool) -> Result<Vec<Row>, Stop> {
    let all = socket_table::read(table).map_err(|error| Stop::Impossible {
        what: Failure::new("read", table.path(), error).to_string(),
        next: "The table of sockets is evidence here: it needs Linux with /proc mounted.".into(),
    })?;
    Ok(all.into_iter().filter(wanted).collect())
}

/// The TCP state of `door`'s own socket, found by its addresses.
pub(super) fn state_of(door: &Door) -> Result<&'static str, Stop> {
    match door.peer() {
        Some(peer) => state_between(door.local(), peer),
        None => Ok(rows(Table::Tcp, |row| row.local == door.local() && row.state == "LISTEN")?
            .first()
            .map_or("CLOSED", |row| row.state)),
    }
}

/// The TCP state of the socket at `local` that is connected to `remote`; CLOSED if there is none.
pub(super) fn state_between(local: SocketAddr, remote: SocketAddr) -> Result<&'static str, Stop> {
    let found = rows(Table::Tcp, |row| row.local == local && row.remote == remote)?;
    Ok(found.first().map_or("CLOSED", |row| row.state))
}

/// How many finished connections wait for accept at the listening socket `server`.
pub(super) fn waiting(server: &Door) -> Result<u32, Stop> {
    waiting_at(server.local())
}

/// How many finished connections wait for accept at all listening sockets of `address`.
pub(super) fn waiting_at(address: SocketAddr) -> Result<u32, Stop> {
    let listening = rows(Table::Tcp, |row| row.local == address && row.state == "LISTEN")?;
    Ok(listening.iter().map(|row| row.receive_queue).sum())
}

/// Reads until `wanted` holds or nothing changes for as long as a lesson waits, and returns what
/// was read last. What the other end did may reach the kernel's table a moment later.
pub(super) fn settled<T>(
    mut read: impl FnMut() -> Result<T, Stop>,
    wanted: impl Fn(&T) -> bool,
) -> Result<T, Stop> {
    let began = now();
    loop {
        let seen = read()?;
        if wanted(&seen) || now().since(began) > PATIENCE {
            return Ok(seen);
        }
        // The table gives no event to wait for; asking without a pause would only heat the room.
        std::thread::sleep(PAUSE);
    }
}

/// `1 byte`, `2 bytes`: a count with its noun.
pub(super) fn count(number: usize, noun: &str) -> String {
    let ending = match (number, noun.ends_with('s')) {
        (1, _) => "",
        (_, true) => "es",
        (_, false) => "s",
    };
    format!("{number} {noun}{ending}")
}
