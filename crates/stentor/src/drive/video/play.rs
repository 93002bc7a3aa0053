//! The player's sockets: manifests and chunks over HTTP, every read timed.
