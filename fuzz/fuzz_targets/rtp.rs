//! What comes over UDP, packets of RTP and RTCP and the words that ask for a film, is read or refused;
//! what was read, written again, reads the same.

#![no_main]

use libfuzzer_sys::fuzz_target;
use stentor_core::video::rtp::words::{Answer, Request};
use stentor_core::video::rtp::{Control, Header};

fuzz_target!(|datagram: &[u8]| {
    if let Ok((header, payload)) = Header::read(datagram) {
        assert!(payload.len() < datagram.len());
        assert_eq!(Header::read(&header.to_bytes()), Ok((header, [].as_slice())));
    }
    if let Ok(control) = Control::read(datagram) {
        assert_eq!(Control::read(&control.to_bytes()), Ok(control));
    }
    if let Ok(request) = Request::read(datagram) {
        assert_eq!(Request::read(&request.to_bytes()), Ok(request));
    }
    let _ = Answer::read(datagram);
});
