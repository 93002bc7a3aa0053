//! The lesson `close`: what remains of a connection, and what it does to a restart.

use std::net::SocketAddr;

use stentor_os::net::socket_table::Table;

use super::calls::{Interest, PATIENCE, Transport, anywhere, ending, refused_with};
use super::evidence::{rows, settled, state_between};
use super::stage::{Stage, Stop};

pub(super) fn play(stage: &mut Stage<'_>) -> Result<(), Stop> {
    let address = server_closes_first(stage)?;
    restart(stage, address)?;
    if cfg!(target_os = "linux") {
        late_option(stage)?;
    }
    client_closes_first(stage)
}

fn server_closes_first(stage: &mut Stage<'_>) -> Result<SocketAddr, Stop> {
    stage.step(
        "A server with SO_REUSEADDR answers and closes first, as the lecture's does; then the client \
         closes.",
        "The end that closes first waits in TIME-WAIT, so that late segments of this connection \
         are not taken for a new one's (RFC 9293, section 3.6.1).",
    )?;
    let server = stage.socket("server", Transport::Tcp)?;
    stage.reuse_address(&server)?;
    stage.bind(&server, anywhere())?;
    stage.listen(&server, 1)?;
    let client = stage.connected("client", server.local())?;
    let far = stage.accept(&server)?;
    let (near, local) = (client.local(), far.local());
    stage.send(&client, b"hello")?;
    let heard = stage.recv(&far, 1024)?;
    stage.send(&far, &heard.to_ascii_uppercase())?;
    stage.close(far)?;
    stage.recv_all(&client, heard.len())?;
    let end = stage.recv(&client, 1024)?;
    let one = settled(|| state_between(local, near), |state| *state == "FIN-WAIT-2")?;
    let other = state_between(near, local)?;
    stage.fact("server's connection", one)?;
    stage.fact("client's connection", other)?;
    stage.claim(
        "After one close only one direction has ended.",
        end.is_empty() && one == "FIN-WAIT-2" && other == "CLOSE-WAIT",
        format!("{one} at the server, {other} at the client"),
    )?;
    stage.close(client)?;
    stage.close(server)?;
    let wanted = || rows(Table::Tcp, |row| row.local == local);
    let left = settled(wanted, |rows| rows.iter().all(|row| row.state == "TIME-WAIT"))?;
    for row in &left {
        let owner = if row.inode == 0 { "no process" } else { "a process" };
        let seen = format!("{}, held by {owner}", row.state);
        stage.fact(&format!("{} - {}", row.local.port(), row.remote.port()), seen)?;
    }
    stage.claim(
        "All sockets are closed, and the server's port is still taken by a connection.",
        left.len() == 1 && left.iter().all(|row| row.state == "TIME-WAIT" && row.inode == 0),
        format!("{} in TIME-WAIT", left.len()),
    )?;
    Ok(local)
}

fn restart(stage: &mut Stage<'_>, address: SocketAddr) -> Result<(), Stop> {
    stage.step(
        "The server is started again at the same address: first plainly, then with SO_REUSEADDR.",
        "SO_REUSEADDR says: what is left of old connections may stay, they can be told apart from \
         new ones. It does not allow two listening sockets.",
    )?;
    let plain = stage.socket("server", Transport::Tcp)?;
    let refused = stage.bind(&plain, address);
    stage.close(plain)?;
    stage.claim(
        "Without SO_REUSEADDR: address already in use, although nobody listens.",
        refused_with(&refused, "EADDRINUSE"),
        ending(&refused),
    )?;
    let again = stage.socket("server", Transport::Tcp)?;
    stage.reuse_address(&again)?;
    let bound = stage.bind(&again, address);
    let listening = bound.is_ok() && stage.listen(&again, 1).is_ok();
    let left = rows(Table::Tcp, |row| row.local == address && row.state == "TIME-WAIT")?;
    stage.fact("in TIME-WAIT meanwhile", left.len())?;
    stage.claim("With SO_REUSEADDR the restart succeeds at once.", listening, ending(&bound))?;
    let second = stage.socket("server", Transport::Tcp)?;
    stage.reuse_address(&second)?;
    let taken = stage.bind(&second, address);
    stage.claim(
        "It does not let a second server in beside a listening one.",
        refused_with(&taken, "EADDRINUSE"),
        ending(&taken),
    )?;
    stage.close(second)?;
    stage.close(again)?;
    Ok(())
}

fn late_option(stage: &mut Stage<'_>) -> Result<(), Stop> {
    stage.step(
        "The same with a first server that did not set SO_REUSEADDR.",
        "Linux asks both sides: a connection in TIME-WAIT has inherited the option of the server \
         that left it. Other systems ask the new socket alone.",
    )?;
    let server = stage.listening(1)?;
    let address = server.local();
    let client = stage.connected("client", address)?;
    let far = stage.accept(&server)?;
    let near = client.local();
    stage.close(far)?;
    stage.recv(&client, 1024)?;
    stage.close(client)?;
    stage.close(server)?;
    let state = settled(|| state_between(address, near), |state| *state == "TIME-WAIT")?;
    let again = stage.socket("server", Transport::Tcp)?;
    stage.reuse_address(&again)?;
    let bound = stage.bind(&again, address);
    stage.claim(
        "Then the option comes too late: set it from the first start on.",
        state == "TIME-WAIT" && refused_with(&bound, "EADDRINUSE"),
        format!("{state}, bind: {}", ending(&bound)),
    )?;
    stage.close(again)?;
    Ok(())
}

fn client_closes_first(stage: &mut Stage<'_>) -> Result<(), Stop> {
    stage.step(
        "The same with the client closing first: the server is restarted plainly.",
        "TIME-WAIT is where the first close was. A client's port is chosen by the kernel, so it \
         disturbs nobody.",
    )?;
    let server = stage.socket("server", Transport::Tcp)?;
    stage.bind(&server, anywhere())?;
    stage.listen(&server, 1)?;
    let address = server.local();
    let client = stage.connected("client", address)?;
    let far = stage.accept(&server)?;
    let near = client.local();
    stage.close(client)?;
    stage.poll(&far, Interest::Read, PATIENCE)?;
    stage.recv(&far, 1024)?;
    stage.close(far)?;
    stage.close(server)?;
    let client_state = settled(|| state_between(near, address), |state| *state == "TIME-WAIT")?;
    let gone = || rows(Table::Tcp, |row| row.local == address);
    let left = settled(gone, Vec::is_empty)?;
    stage.fact("client's connection", client_state)?;
    stage.fact("server's connection", if left.is_empty() { "gone" } else { "still there" })?;
    let again = stage.socket("server", Transport::Tcp)?;
    let bound = stage.bind(&again, address);
    stage.claim(
        "TIME-WAIT is at the client now, and the server's port is free.",
        client_state == "TIME-WAIT" && left.is_empty() && bound.is_ok(),
        format!("{client_state} at the client; bind: {}", ending(&bound)),
    )?;
    stage.close(again)?;
    Ok(())
}
