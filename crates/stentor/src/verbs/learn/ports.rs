//! The lesson `ports`: what tells connections apart, and which ports a program may bind.

use std::fs;
use std::net::{Ipv4Addr, SocketAddr};

use stentor_os::failure::Failure;
use stentor_os::net::socket_table::Table;

use super::calls::{Transport, ending, refused_with};
use super::evidence::{rows, settled};
use super::stage::{Stage, Stop};

pub(super) fn play(stage: &mut Stage<'_>) -> Result<(), Stop> {
    demultiplex(stage)?;
    edges(stage)?;
    below(stage)
}

fn demultiplex(stage: &mut Stage<'_>) -> Result<(), Stop> {
    stage.step(
        "Two clients connect from the same source port, at two addresses of this machine.",
        "If source ports alone told clients apart, the server could not serve both.",
    )?;
    let server = stage.socket("server", Transport::Tcp)?;
    stage.bind(&server, SocketAddr::from((Ipv4Addr::UNSPECIFIED, 0)))?;
    stage.listen(&server, 5)?;
    let port = server.local().port();
    let target = SocketAddr::from((Ipv4Addr::LOCALHOST, port));
    let first = stage.socket("client 1", Transport::Tcp)?;
    stage.bind(&first, SocketAddr::from((Ipv4Addr::LOCALHOST, 0)))?;
    let source = first.local().port();
    let second = stage.socket("client 2", Transport::Tcp)?;
    let other = SocketAddr::from((Ipv4Addr::new(127, 0, 0, 2), source));
    if let Err(failure) = stage.bind(&second, other) {
        return Err(second_address(failure));
    }
    stage.connect(&first, target)?;
    stage.connect(&second, target)?;
    let to_first = stage.accept(&server)?;
    let to_second = stage.accept(&server)?;

    stage.step(
        "Each client sends its own word; the kernel's table is read.",
        "A segment belongs to the socket whose four numbers it carries: both hosts, both ports.",
    )?;
    stage.send(&first, b"one")?;
    stage.send(&second, b"two")?;
    let words = (stage.recv(&to_first, 1024)?, stage.recv(&to_second, 1024)?);
    let wanted = || rows(Table::Tcp, |row| row.local.port() == port);
    let seen = settled(wanted, |rows| rows.len() == 3)?;
    for row in &seen {
        let other = match row.remote.port() {
            0 => "-".to_owned(),
            _ => row.remote.to_string(),
        };
        stage.fact(&format!("{} {}", row.state, row.local), format!("from {other}"))?;
    }
    let count = |state| seen.iter().filter(|row| row.state == state).count();
    stage.claim(
        "One listening and two connected sockets have the same local port.",
        count("LISTEN") == 1 && count("ESTABLISHED") == 2 && seen.len() == 3,
        format!("{} + {} sockets at port {port}", count("LISTEN"), count("ESTABLISHED")),
    )?;
    let peers = (to_first.peer(), to_second.peer());
    stage.claim(
        "Both clients have the same source port; the four-tuple tells them apart.",
        peers == (Some(first.local()), Some(second.local()))
            && first.local().port() == second.local().port()
            && words == (b"one".to_vec(), b"two".to_vec()),
        format!("{} and {}, each word at its own socket", first.local(), second.local()),
    )?;
    for door in [first, second, to_first, to_second, server] {
        stage.close(door)?;
    }
    Ok(())
}

fn second_address(failure: Failure) -> Stop {
    Stop::Impossible {
        what: failure.to_string(),
        next: "A second loopback address is needed: ip address add 127.0.0.2/8 dev lo, or \
               ifconfig lo0 alias 127.0.0.2."
            .into(),
    }
}

fn edges(stage: &mut Stage<'_>) -> Result<(), Stop> {
    stage.step(
        "A server binds the ports 1024 and 65535, and then 65536.",
        "A port has 16 bits: 0 to 65535. Port 0 means: any free one.",
    )?;
    for port in [1024, 65_535] {
        let server = stage.socket("server", Transport::Tcp)?;
        let bound = stage.bind(&server, SocketAddr::from((Ipv4Addr::LOCALHOST, port)));
        stage.claim(
            &format!("Port {port} may be used without a privilege."),
            // Another program may have it: then it is allowed, and taken.
            bound.is_ok() || refused_with(&bound, "EADDRINUSE"),
            ending(&bound),
        )?;
        stage.close(server)?;
    }
    let beyond = "65536".parse::<u16>();
    let seen = match &beyond {
        Ok(port) => format!("taken as {port}"),
        Err(error) => error.to_string(),
    };
    stage.claim("65536 is no port.", beyond.is_err(), seen)?;
    if let Ok(range) = fs::read_to_string("/proc/sys/net/ipv4/ip_local_port_range") {
        let range = range.split_whitespace().collect::<Vec<_>>().join(" to ");
        stage.fact("ports given to clients", range)?;
    }
    Ok(())
}

fn below(stage: &mut Stage<'_>) -> Result<(), Stop> {
    stage.step(
        "A server binds port 1023.",
        "Ports below a limit of the system need a privilege, so that not everybody can pose as \
         the machine's own web or mail server.",
    )?;
    let start = read_number("/proc/sys/net/ipv4/ip_unprivileged_port_start").unwrap_or(1024);
    let privileged = may_bind_any();
    stage.fact("first port for everybody", start)?;
    let right = match privileged {
        true => "CAP_NET_BIND_SERVICE",
        false => "none",
    };
    stage.fact("privilege of this process", right)?;
    let server = stage.socket("server", Transport::Tcp)?;
    let bound = stage.bind(&server, SocketAddr::from((Ipv4Addr::LOCALHOST, 1023)));
    if let Err(failure) = &bound {
        let said = Failure::new("bind", format!("tcp {}", "127.0.0.1:1023"), copy(failure));
        stage.fact("what to do", crate::complaint::Complaint::from(said).next)?;
    }
    let allowed = privileged || start <= 1023;
    let refused = refused_with(&bound, "EACCES");
    let taken = refused_with(&bound, "EADDRINUSE");
    stage.claim(
        match allowed {
            true => "With the privilege, or below a lowered limit, it is an ordinary port.",
            false => "Without the privilege bind says EACCES.",
        },
        // A capability counts only in the user namespace that owns the network; a refusal then
        // agrees with the limit.
        taken || (bound.is_ok() && allowed) || (refused && start > 1023),
        ending(&bound),
    )?;
    stage.close(server)?;
    Ok(())
}

fn copy(failure: &Failure) -> std::io::Error {
    match failure.error.raw_os_error() {
        Some(code) => std::io::Error::from_raw_os_error(code),
        None => std::io::Error::from(failure.error.kind()),
    }
}

fn read_number(path: &str) -> Option<u16> {
    fs::read_to_string(path).ok()?.trim().parse().ok()
}

/// Whether this process has CAP_NET_BIND_SERVICE: bit 10 of its effective set
/// (capabilities(7)).
fn may_bind_any() -> bool {
    let status = fs::read_to_string("/proc/self/status").unwrap_or_default();
    let set = status.lines().find_map(|line| line.strip_prefix("CapEff:"));
    let set = set.and_then(|set| u64::from_str_radix(set.trim(), 16).ok());
    set.is_some_and(|set| set & (1 << 10) != 0)
}
