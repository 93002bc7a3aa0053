//! The origin: HTTP/1.1 of a film or a folder, paced, and faulty on demand.
