//! One direction of a TCP connection: sequence numbers become places in a stream of bytes.
//!
//! Which call put the bytes there is left to `matcher`.

/// What kind of segment it is, seen from its own direction.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Kind {
    /// Begins the connection.
    Syn,
    /// Bytes that were not sent before, at least some of them.
    Data,
    /// Only bytes (or a SYN, or a FIN) that were sent before.
    Retransmission,
    /// A FIN without bytes.
    Fin,
    /// A reset.
    Rst,
    /// An acknowledgement of something new.
    Ack,
    /// The same acknowledgement with a wider window.
    WindowUpdate,
    /// The same acknowledgement again.
    DuplicateAck,
    /// Asks a silent end whether it is there: one sequence number back (RFC 9293, section 3.8.4).
    KeepAlive,
    /// Asks whether a closed window has opened (RFC 9293, section 3.8.6.1).
    WindowProbe,
}
