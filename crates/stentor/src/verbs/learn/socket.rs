//! The lesson `socket`: the door between a process and the transport, and the three choices.

use std::fs;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::process;

use stentor_os::failure::Failure;
use stentor_os::net::interfaces::{self, Interface};
use stentor_os::net::socket_table::Table;

use super::calls::{Transport, anywhere, ending, refused_with};
use super::evidence::{count, rows};
use super::stage::{Stage, Stop};

/// How many addresses are called.
const ADDRESSES_MAX: usize = 6;

pub(super) fn play(stage: &mut Stage<'_>) -> Result<(), Stop> {
    process_and_door(stage)?;
    choices(stage)?;
    let addresses = addresses(stage)?;
    who_answers(stage, &addresses, Ipv4Addr::LOCALHOST)?;
    who_answers(stage, &addresses, Ipv4Addr::UNSPECIFIED)
}

fn process_and_door(stage: &mut Stage<'_>) -> Result<(), Stop> {
    stage.step(
        "This process makes a socket and binds it.",
        "The process holds a number, the descriptor; the kernel holds the socket. The number is \
         all that a program has of it.",
    )?;
    let door = stage.socket("server", Transport::Tcp)?;
    stage.bind(&door, anywhere())?;
    stage.listen(&door, 1)?;
    let path = format!("/proc/self/fd/{}", door.number());
    let link = fs::read_link(&path).map_err(|error| Stop::Impossible {
        what: Failure::new("readlink", &path, error).to_string(),
        next: "The descriptor's socket is evidence here: it needs Linux with /proc mounted.".into(),
    })?;
    let link = link.to_string_lossy().into_owned();
    stage.fact("process", process::id())?;
    stage.fact("descriptor", door.number())?;
    stage.fact("what the descriptor is", &link)?;
    stage.fact("local address", door.local())?;
    stage.fact("remote address", "none")?;
    let found = rows(Table::Tcp, |row| format!("socket:[{}]", row.inode) == link)?;
    let seen = found.iter().map(|row| format!("{} {} inode {}", row.local, row.state, row.inode));
    let seen: Vec<_> = seen.collect();
    stage.claim(
        "The kernel's table has one socket with that number, at that address.",
        found.len() == 1 && found.iter().all(|row| row.local == door.local()),
        seen.join("; "),
    )?;
    stage.close(door)?;
    Ok(())
}

fn choices(stage: &mut Stage<'_>) -> Result<(), Stop> {
    stage.step(
        "The same port is chosen twice: once for TCP, once for UDP.",
        "The programmer chooses transport, host and port. A port number belongs to one transport; \
         the other has its own.",
    )?;
    let stream = stage.listening(1)?;
    let datagram = stage.socket("server", Transport::Udp)?;
    let bound = stage.bind(&datagram, stream.local());
    let second = stage.socket("server", Transport::Tcp)?;
    let taken = stage.bind(&second, stream.local());
    stage.claim(
        "TCP and UDP have ports of their own: the same number is free for the other.",
        // Free a moment ago for TCP, it may be in use for UDP by another program.
        bound.is_ok() || refused_with(&bound, "EADDRINUSE"),
        ending(&bound),
    )?;
    stage.claim(
        "A second TCP socket may not have the same host and port.",
        refused_with(&taken, "EADDRINUSE"),
        ending(&taken),
    )?;
    let elsewhere = SocketAddr::from((Ipv4Addr::new(127, 0, 0, 2), stream.local().port()));
    let other = stage.bind(&second, elsewhere);
    if !refused_with(&other, "EADDRNOTAVAIL") {
        stage.claim(
            "At another host address it may.",
            other.is_ok() || refused_with(&other, "EADDRINUSE"),
            format!("{elsewhere}: {}", ending(&other)),
        )?;
    }
    for door in [second, datagram, stream] {
        stage.close(door)?;
    }
    Ok(())
}

/// The addresses under which this machine can be called: those of its interfaces, and a second
/// one of the loopback's network where the system has it.
fn addresses(stage: &mut Stage<'_>) -> Result<Vec<Interface>, Stop> {
    stage.step(
        "The interfaces of this machine are listed.",
        "A host address is one of an interface's; a machine has at least the loopback.",
    )?;
    let mut found =
        interfaces::ipv4().map_err(|error| Failure::new("getifaddrs", "the interfaces", error))?;
    let second = Ipv4Addr::new(127, 0, 0, 2);
    // Loopback first: a machine full of containers has more interfaces than a page has lines.
    found.sort_by_key(|known| !known.address.is_loopback());
    if cfg!(target_os = "linux") && !found.iter().any(|known| known.address == second) {
        found.insert(
            found.len().min(1),
            Interface { name: "lo, which has all of 127.0.0.0/8".into(), address: second },
        );
    }
    found.truncate(ADDRESSES_MAX);
    for interface in &found {
        stage.fact(&interface.address.to_string(), &interface.name)?;
    }
    let loopback = found.iter().any(|known| known.address == Ipv4Addr::LOCALHOST);
    stage.claim("127.0.0.1 is among them.", loopback, count(found.len(), "address"))?;
    Ok(found)
}

fn who_answers(stage: &mut Stage<'_>, addresses: &[Interface], host: Ipv4Addr) -> Result<(), Stop> {
    let every = host.is_unspecified();
    stage.step(
        match every {
            true => "A server binds '' (0.0.0.0); a client calls every address.",
            false => "A server binds 127.0.0.1; a client calls every address of the machine.",
        },
        match every {
            true => {
                "0.0.0.0 is no address of its own: it means all that this machine has, now \
                     and later. For this step the port is open to the network."
            }
            false => "A socket answers only at the address it was bound to.",
        },
    )?;
    let server = stage.socket("server", Transport::Tcp)?;
    stage.bind(&server, SocketAddr::from((host, 0)))?;
    stage.listen(&server, 64)?;
    let port = server.local().port();
    let mut answered = Vec::new();
    for interface in addresses {
        let address = SocketAddr::from((interface.address, port));
        let client = stage.socket("client", Transport::Tcp)?;
        if stage.connect(&client, address).is_ok() {
            let accepted = stage.accept(&server)?;
            if accepted.local() == address {
                answered.push(IpAddr::V4(interface.address));
            }
            stage.close(accepted)?;
        }
        stage.close(client)?;
    }
    let seen = answered.iter().map(IpAddr::to_string).collect::<Vec<_>>().join(", ");
    match every {
        true => stage.claim(
            "Every address answers, each connection with the address that was called.",
            answered.len() == addresses.len(),
            seen,
        )?,
        false => stage.claim(
            "Only 127.0.0.1 answers.",
            answered == [IpAddr::V4(Ipv4Addr::LOCALHOST)],
            seen,
        )?,
    }
    stage.close(server)?;
    Ok(())
}
