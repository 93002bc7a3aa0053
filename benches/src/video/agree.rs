//! Whether the simulator and a player over sockets decide alike over the same trace.

pub(super) fn measure(_quick: bool) -> Result<String, String> {
    Ok(String::new())
}
