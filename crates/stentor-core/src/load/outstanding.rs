//! Requests under way, in memory of a fixed size: in order on a stream, by number as datagrams.
