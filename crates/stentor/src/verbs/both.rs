//! `stentor` alone: the service on the loopback addresses and a client on it, in one go.
//!
//! The service is [`crate::drive::serve`], the client is [`super::send`]: real sockets between two
//! parts of one process. With `--ladder` they are two processes, traced: [`ladder`].

#[cfg(target_os = "linux")]
pub mod ladder;

use std::io::{self, IsTerminal};

use stentor_core::endpoint::{Host, PORT_DEFAULT, Place, Target, Transport};
use stentor_os::failure::Failure;

use super::send;
use crate::complaint::{Complaint, Exit};
use crate::drive::serve::{self, Plan, Running};
use crate::report::console;

/// Starts the service, sends what comes from standard input, and ends the service in order.
///
/// # Errors
/// No port can be had, or the client's complaint.
pub fn run() -> Result<Exit, Complaint> {
    let running = start()?;
    let Some(address) = running.tcp().next() else {
        let nothing = io::ErrorKind::NotFound.into();
        return Err(Failure::new("bind", "tcp 127.0.0.1", nothing).into());
    };
    if io::stdin().is_terminal() && io::stdout().is_terminal() {
        console::notice(format!("The server is ready to receive on {address} (tcp+udp)"));
        console::notice("Each sentence goes there over a connection of its own; ^D ends both.\n");
    }
    let place = Place::Inet(Host::Address(address.ip()), address.port());
    let exit = send::run_to(Target { transport: Some(Transport::Tcp), place });
    running.stop()?;
    exit
}

/// The service on its port, or on a free one if that is taken.
fn start() -> Result<Running, Complaint> {
    match serve::start(Plan::loopback(PORT_DEFAULT)?) {
        Err(failure) if failure.error.kind() == io::ErrorKind::AddrInUse => {
            let running = serve::start(Plan::loopback(0)?)?;
            let port = running.tcp().next().map_or(0, |address| address.port());
            console::notice(format!(
                "stentor: port {PORT_DEFAULT} is taken (ss -ltnup 'sport = :{PORT_DEFAULT}' shows \
                 by whom); using {port}"
            ));
            Ok(running)
        }
        other => Ok(other?),
    }
}
