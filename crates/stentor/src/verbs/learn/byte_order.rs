//! The lesson `byte-order`: how the port 12000 stands in memory and in a packet.

use std::io::Read;
use std::net::{Ipv4Addr, SocketAddr};
use std::os::fd::AsRawFd;
use std::process;

use socket2::{Domain, Protocol, Socket, Type};
#[cfg(target_os = "linux")]
use stentor_core::endpoint::Transport as Kind;
use stentor_os::failure::{Failure, errno_name};
use stentor_os::net::sockaddr;

use super::calls::{Door, Interest, PATIENCE, Transport, anywhere, ready};
use super::stage::{Stage, Stop, now};
#[cfg(target_os = "linux")]
use crate::complaint::Exit;

const PORT: u16 = 12_000;

pub(super) fn play(stage: &mut Stage<'_>) -> Result<(), Stop> {
    number(stage)?;
    let server = memory(stage)?;
    packet(stage, &server)?;
    stage.close(server)?;
    Ok(())
}

fn number(stage: &mut Stage<'_>) -> Result<(), Stop> {
    stage.step(
        "The number 12000 is written as two bytes, in both orders.",
        "12000 = 46 x 256 + 224 = 2e e0 in hexadecimal. The network sends the larger part first \
         (RFC 1700: big-endian); most processors store the smaller part first.",
    )?;
    let (host, network) = (PORT.to_ne_bytes(), PORT.to_be_bytes());
    stage.fact("this processor's order", hex(&host))?;
    stage.fact("network order, htons(12000)", hex(&network))?;
    let swapped = u16::from_ne_bytes(network);
    stage.fact("its bytes taken unturned", swapped)?;
    let little = cfg!(target_endian = "little");
    stage.claim(
        "In network order it is 2e e0; taken without ntohs it would be another port here.",
        network == [0x2e, 0xe0] && (swapped != PORT) == little,
        format!("port {swapped}"),
    )
}

/// Binds port 12000 of a loopback address that this process alone uses, or any port.
fn memory(stage: &mut Stage<'_>) -> Result<Door, Stop> {
    stage.step(
        "A UDP socket is bound to port 12000; the kernel writes its address to memory.",
        "struct sockaddr_in holds port and host in network order, also in memory: that is why C \
         programs call htons. High-level languages do it for you.",
    )?;
    let given = sockaddr::given(SocketAddr::from((Ipv4Addr::LOCALHOST, PORT)));
    stage.fact("127.0.0.1:12000 for bind", hex(given.get(..8).unwrap_or_default()))?;
    let server = stage.socket("server", Transport::Udp)?;
    // An address made of the process number: others that use port 12000 are left alone.
    let id = process::id().to_be_bytes();
    let own = Ipv4Addr::new(127, id[1] | 0x40, id[2], id[3]);
    if stage.bind(&server, SocketAddr::from((own, PORT))).is_err() {
        stage.fact("port 12000", "in use by another program: any other port shows the same")?;
        stage.bind(&server, anywhere())?;
    }
    let written = sockaddr::local(&server)
        .map_err(|error| Failure::new("getsockname", server.local(), error))?;
    let port = server.local().port();
    stage.fact("bound to", server.local())?;
    stage.fact("the same by getsockname", hex(written.get(..8).unwrap_or_default()))?;
    stage.claim(
        "Bytes 3 and 4 of the address are the port in network order: 2e e0 for 12000.",
        given.get(2..4) == Some(&[0x2e, 0xe0]) && written.get(2..4) == Some(&port.to_be_bytes()),
        hex(written.get(2..4).unwrap_or_default()),
    )?;
    let IpHost(host) = IpHost::of(server.local());
    stage.claim(
        "Bytes 5 to 8 are the host, in the order in which it is written with dots.",
        written.get(4..8) == Some(&host),
        hex(written.get(4..8).unwrap_or_default()),
    )?;
    Ok(server)
}

/// The four bytes of an IPv4 host.
struct IpHost([u8; 4]);

impl IpHost {
    fn of(address: SocketAddr) -> IpHost {
        match address {
            SocketAddr::V4(v4) => IpHost(v4.ip().octets()),
            SocketAddr::V6(_) => IpHost([0; 4]),
        }
    }
}

fn packet(stage: &mut Stage<'_>, server: &Door) -> Result<(), Stop> {
    stage.step(
        "A datagram is sent to that port, and the packet is looked at.",
        "A raw socket gets a copy of each packet with its IP and UDP headers (raw(7)). It needs \
         the privilege CAP_NET_RAW.",
    )?;
    let raw = Socket::new(Domain::IPV4, Type::RAW, Some(Protocol::UDP));
    let about = "raw udp";
    let given = "AF_INET, SOCK_RAW, UDP";
    let raw = stage.call("witness", "socket", given, about, raw, |raw| raw.as_raw_fd().to_string());
    let client = stage.socket("client", Transport::Udp)?;
    stage.bind(&client, anywhere())?;
    stage.send_to(&client, b"hello", server.local())?;
    let (near, far) = (client.local().port(), server.local().port());
    let header = match raw {
        Ok(raw) => find(&raw, near, far)?,
        Err(failure) => {
            let errno = errno_name(&failure.error).unwrap_or_default();
            stage.fact("the packet itself", format!("not visible here: {errno}"))?;
            #[cfg(target_os = "linux")]
            elsewhere(stage)?;
            let way = "run as root, or with: setcap cap_net_raw+ep on this program";
            stage.fact("to see this very one", way)?;
            None
        }
    };
    if let Some(header) = header {
        stage.fact("UDP header on the wire", hex(&header))?;
        let part = |from: usize| hex(header.get(from..from + 2).unwrap_or_default());
        stage.fact("  source port", format!("{} = {near}", part(0)))?;
        stage.fact("  destination port", format!("{} = {far}", part(2)))?;
        stage.fact("  length", format!("{} = 8 + 5", part(4)))?;
        stage.fact("  checksum", part(6))?;
        stage.claim(
            "The packet carries the port in the same bytes as memory.",
            header.get(..6) == Some(&expected(near, far)),
            format!("{}, port {far}", part(2)),
        )?;
    }
    let (_, datagram) = stage.recv_from(server, 2048)?;
    let source = datagram.source;
    stage.claim(
        "Turned back into a number, the source is the client's port.",
        source.is_some_and(|source| source.port() == near),
        source.map_or_else(String::new, |source| source.to_string()),
    )?;
    stage.close(client)?;
    Ok(())
}

/// A datagram to port 12000 in a private network, where capturing needs no privilege.
#[cfg(target_os = "linux")]
fn elsewhere(stage: &mut Stage<'_>) -> Result<(), Stop> {
    let seen = match super::witnessed::witness(stage, Kind::Udp, "hello") {
        Ok(seen) => seen,
        Err(Stop::Refused(complaint)) if complaint.exit == Exit::Impossible => {
            return stage.fact("nothing can be traced here", complaint);
        }
        Err(stop) => return Err(stop),
    };
    let Some((fields, _)) = super::udp_header::datagram(&seen) else { return Ok(()) };
    let bytes = fields.bytes();
    let port = bytes.get(2..4).unwrap_or_default();
    stage.fact("UDP header of such a packet", hex(bytes.get(..8).unwrap_or_default()))?;
    stage.claim(
        "A captured packet to port 12000 carries it as 2e e0.",
        port == [0x2e, 0xe0] && seen.port == PORT,
        format!("{}, port {}", hex(port), seen.port),
    )
}

/// Source, destination, length of a datagram of 5 bytes (RFC 768).
fn expected(near: u16, far: u16) -> [u8; 6] {
    let (near, far) = (near.to_be_bytes(), far.to_be_bytes());
    [near[0], near[1], far[0], far[1], 0, 13]
}

/// The UDP header of the packet between two ports, among all that the raw socket sees. `None` if
/// it did not come in time.
pub(super) fn find(raw: &Socket, near: u16, far: u16) -> Result<Option<[u8; 8]>, Failure> {
    let failed = |error| Failure::new("recv", "raw udp", error);
    raw.set_nonblocking(true).map_err(failed)?;
    let mut packet = vec![0; 65_536];
    let began = now();
    while now().since(began) < PATIENCE {
        let Ok(length) = (&*raw).read(&mut packet) else {
            ready(raw, Interest::Read, PATIENCE).map_err(failed)?;
            continue;
        };
        let packet = packet.get(..length).unwrap_or_default();
        // The low half of the first byte is the length of the IP header in words of 32 bits.
        let words = packet.first().map_or(0, |first| usize::from(first & 0x0f));
        let header = packet.get(4 * words..).and_then(|udp| udp.first_chunk::<8>());
        let ports = [near.to_be_bytes(), far.to_be_bytes()].concat();
        if let Some(header) = header.filter(|header| header.get(..4) == Some(&ports)) {
            return Ok(Some(*header));
        }
    }
    Ok(None)
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect::<Vec<_>>().join(" ")
}
