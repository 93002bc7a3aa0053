//! Any bytes are read as the lines of a peer, or refused: the same frames however they were cut,
//! and what was read, written again, reads the same. A peer that hears them neither hangs nor
//! loses count.
//!
//! The first byte says how the bytes are cut, the second whether they follow a greeting.

#![no_main]

use std::time::Duration;

use libfuzzer_sys::fuzz_target;
use stentor_core::moment::Moment;
use stentor_core::peer::{Id, Input, LINES_MAX, Name, Output, Peer, Reader, Settings};

const GREETING: &[u8] = b"PEER 1 0000000000000001 bob\nTALK\n";

fuzz_target!(|data: &[u8]| {
    let [cut, greets, bytes @ ..] = data else { return };
    let greeting = if greets % 2 == 0 { GREETING } else { b"" };
    let bytes = [greeting, bytes].concat();
    let (frames, violation) = Reader::default().feed(&bytes);
    let cut = usize::from(*cut).max(1);
    let (mut reader, mut pieces, mut refused) = (Reader::default(), Vec::new(), None);
    for piece in bytes.chunks(cut) {
        let (frames, violation) = reader.feed(piece);
        pieces.extend(frames);
        refused = refused.or(violation);
    }
    assert_eq!(pieces, frames);
    assert_eq!(refused.is_some(), violation.is_some());
    let mut again = Vec::new();
    frames.iter().for_each(|frame| frame.write(&mut again));
    assert_eq!(Reader::default().feed(&again), (frames, None));
    hear(&bytes, cut);
});

/// Gives the bytes to a peer that somebody dialled.
fn hear(bytes: &[u8], cut: usize) {
    let settings = Settings {
        id: Id(9),
        name: Name::parse("ann").unwrap(),
        keep: false,
        patience: Duration::from_secs(10),
        wanted: None,
    };
    let mut peer = Peer::new(settings, &[], Moment::START);
    let link = peer.next_link();
    peer.handle(Moment::START, Input::Accepted(link));
    for piece in bytes.chunks(cut) {
        peer.handle(Moment::START, Input::Bytes(link, piece));
        drain(&mut peer);
    }
    peer.handle(Moment::START, Input::Ended(link));
    peer.handle(Moment::START, Input::Leave);
    drain(&mut peer);
    let counters = *peer.counters();
    assert!(counters.check() || !matches!(peer.poll(Moment::START), Output::Over(_)), "{counters:?}");
}

fn drain(peer: &mut Peer) {
    for _ in 0..100 * LINES_MAX * 64 {
        match peer.poll(Moment::START) {
            Output::Wait(_) | Output::Idle | Output::Over(_) => return,
            Output::Send(link, _) => peer.handle(Moment::START, Input::Written(link)),
            _ => {}
        }
    }
    panic!("a peer that never rests");
}
