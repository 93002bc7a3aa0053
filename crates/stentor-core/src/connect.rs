//! The order and the race of several addresses of one name (RFC 8305, "Happy Eyeballs").
