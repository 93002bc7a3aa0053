//! The kernel's table of sockets, as Linux shows it in /proc/net (proc(5), tcp in
//! Documentation/networking/proc_net_tcp.rst). Only the sockets of this network namespace.

use std::fs;
use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

/// One socket of the table.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Row {
    /// Its own address and port.
    pub local: SocketAddr,
    /// The other end's; port 0 if it has none.
    pub remote: SocketAddr,
    /// The TCP state by its name in RFC 9293 (`LISTEN`, `ESTABLISHED`); UDP sockets borrow two.
    pub state: &'static str,
    /// Bytes written and not yet acknowledged.
    pub send_queue_bytes: u32,
    /// Bytes received and not yet read; of a listening socket, connections not yet accepted.
    pub receive_queue: u32,
    /// The number of the socket in `/proc/PID/fd`; 0 once no process holds it.
    pub inode: u64,
}

/// Which table.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Table {
    /// TCP over IPv4.
    Tcp,
    /// TCP over IPv6.
    Tcp6,
    /// UDP over IPv4.
    Udp,
    /// UDP over IPv6.
    Udp6,
}

impl Table {
    /// The file that holds it.
    pub fn path(self) -> &'static str {
        match self {
            Table::Tcp => "/proc/net/tcp",
            Table::Tcp6 => "/proc/net/tcp6",
            Table::Udp => "/proc/net/udp",
            Table::Udp6 => "/proc/net/udp6",
        }
    }
}

/// Reads the whole table of this process's network namespace. Rows it does not understand are left
/// out.
pub fn read(table: Table) -> io::Result<Vec<Row>> {
    rows(table.path())
}

/// Reads the table of this thread's network namespace, which may be another.
pub fn read_here(table: Table) -> io::Result<Vec<Row>> {
    rows(&table.path().replacen("/proc", "/proc/thread-self", 1))
}

/// Reads the table of the network namespace that process `pid` is in.
pub fn read_of(pid: u32, table: Table) -> io::Result<Vec<Row>> {
    rows(&table.path().replacen("/proc", &format!("/proc/{pid}"), 1))
}

fn rows(path: &str) -> io::Result<Vec<Row>> {
    Ok(fs::read_to_string(path)?.lines().skip(1).filter_map(row).collect())
}

fn row(line: &str) -> Option<Row> {
    let mut fields = line.split_ascii_whitespace().skip(1);
    let local = address(fields.next()?)?;
    let remote = address(fields.next()?)?;
    let state = state(u8::from_str_radix(fields.next()?, 16).ok()?);
    let (send, receive) = fields.next()?.split_once(':')?;
    let inode = fields.nth(4)?.parse().ok()?;
    Some(Row {
        local,
        remote,
        state,
        send_queue_bytes: u32::from_str_radix(send, 16).ok()?,
        receive_queue: u32::from_str_radix(receive, 16).ok()?,
        inode,
    })
}

/// `0100007F:2EE0`: the address in words of 32 bits of the machine's own order, the port as a
/// number.
fn address(text: &str) -> Option<SocketAddr> {
    let (ip, port) = text.split_once(':')?;
    let mut bytes = Vec::with_capacity(16);
    for word in ip.as_bytes().chunks(8) {
        let word = u32::from_str_radix(std::str::from_utf8(word).ok()?, 16).ok()?;
        bytes.extend(word.to_ne_bytes());
    }
    let ip = match <[u8; 4]>::try_from(bytes.as_slice()) {
        Ok(four) => IpAddr::V4(Ipv4Addr::from(four)),
        Err(_) => IpAddr::V6(Ipv6Addr::from(<[u8; 16]>::try_from(bytes).ok()?)),
    };
    Some(SocketAddr::new(ip, u16::from_str_radix(port, 16).ok()?))
}

/// The numbers of include/net/tcp_states.h.
fn state(number: u8) -> &'static str {
    match number {
        1 => "ESTABLISHED",
        2 => "SYN-SENT",
        3 => "SYN-RECEIVED",
        4 => "FIN-WAIT-1",
        5 => "FIN-WAIT-2",
        6 => "TIME-WAIT",
        7 => "CLOSED",
        8 => "CLOSE-WAIT",
        9 => "LAST-ACK",
        10 => "LISTEN",
        11 => "CLOSING",
        12 => "SYN-RECEIVED",
        _ => "UNKNOWN",
    }
}

#[cfg(test)]
mod tests {
    use std::net::TcpListener;

    use super::*;

    #[test]
    #[cfg(target_endian = "little")]
    fn a_line_of_the_table_is_read() {
        let line = "   0: 0100007F:2EE0 0200007F:C822 01 0000000A:00000005 02:00 0 1000 0 4242 1";
        let row = row(line).unwrap();
        assert_eq!(row.local, "127.0.0.1:12000".parse().unwrap());
        assert_eq!(row.remote, "127.0.0.2:51234".parse().unwrap());
        assert_eq!((row.state, row.send_queue_bytes, row.receive_queue), ("ESTABLISHED", 10, 5));
        assert_eq!(row.inode, 4242);
        let v6 = "00000000000000000000000001000000:2EE0";
        assert_eq!(address(v6), Some("[::1]:12000".parse().unwrap()));
        assert_eq!(super::row("sl local rem"), None);
        assert_eq!(address("0100:00:1"), None);
    }

    #[test]
    fn a_listening_socket_stands_in_the_table() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let local = listener.local_addr().unwrap();
        let rows = read(Table::Tcp).unwrap();
        let row = rows.iter().find(|row| row.local == local).unwrap();
        assert_eq!((row.state, row.remote.port(), row.receive_queue), ("LISTEN", 0, 0));
    }
}
