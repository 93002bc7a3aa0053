//! MPEG-2 transport streams (ISO/IEC 13818-1): from the tables to the packets of one stream, and
//! from their presentation times to how long it plays.

use std::time::Duration;

use super::pictures::{Coding, is_key, marked_units};
use super::{Facts, Format, Medium, SegmentError, span};

/// The length of every packet, in bytes (13818-1, 2.4.3.2).
const PACKET_BYTES: usize = 188;
/// Ticks of a presentation time in a second, and how many bits it has.
const TIMESCALE: u32 = 90_000;
const TIME_BITS: u32 = 33;
/// How much of the first picture is looked at.
const PICTURE_MAX_BYTES: usize = 64 * 1024;

/// Whether bytes begin like a transport stream: every packet begins with 47.
pub(super) fn begins(bytes: &[u8]) -> bool {
    let second = bytes.get(PACKET_BYTES);
    bytes.first() == Some(&0x47) && second.is_none_or(|byte| *byte == 0x47)
}

/// A packet's number of its stream, its payload, and what its head says.
struct Packet<'a> {
    stream: u16,
    begins: bool,
    random_access: bool,
    payload: &'a [u8],
}

fn packet(bytes: &[u8]) -> Option<Packet<'_>> {
    let [0x47, high, low, control, rest @ ..] = bytes else { return None };
    let stream = u16::from(high & 0x1f) << 8 | u16::from(*low);
    let (mut random_access, mut payload) = (false, rest);
    if control & 0x20 != 0 {
        let (length, after) = rest.split_first()?;
        let (field, after) = after.split_at_checked(usize::from(*length))?;
        random_access = field.first().is_some_and(|flags| flags & 0x40 != 0);
        payload = after;
    }
    if control & 0x10 == 0 {
        payload = &[];
    }
    Some(Packet { stream, begins: high & 0x40 != 0, random_access, payload })
}

/// A table's body, between its head of 8 bytes and its checksum (2.4.4): it is in one packet.
fn section(payload: &[u8], table: u8) -> Option<&[u8]> {
    let (pointer, rest) = payload.split_first()?;
    let rest = rest.get(usize::from(*pointer)..)?;
    let [id, high, low, body @ ..] = rest else { return None };
    let length = usize::from(high & 0x0f) << 8 | usize::from(*low);
    let body = body.get(..length.checked_sub(4)?)?;
    if *id == table { body.get(5..) } else { None }
}

/// The stream that carries the map of the first program (2.4.4.3).
fn map_stream(payload: &[u8]) -> Option<u16> {
    let programs = section(payload, 0)?.chunks_exact(4);
    programs.filter_map(|row| <[u8; 4]>::try_from(row).ok()).find_map(|[a, b, high, low]| {
        let network = a == 0 && b == 0;
        (!network).then_some(u16::from(high & 0x1f) << 8 | u16::from(low))
    })
}

/// A stream that is followed.
#[derive(Clone, Copy)]
struct Followed {
    stream: u16,
    medium: Medium,
    coding: Option<Coding>,
}

/// The first video stream of a program, or else its first audio stream (2.4.4.8, table 2-34).
fn followed(payload: &[u8]) -> Option<Followed> {
    let mut rest = section(payload, 2)?;
    let information =
        |bytes: &[u8]| Some(usize::from(bytes.first()? & 0x0f) << 8 | usize::from(*bytes.get(1)?));
    rest = rest.get(4 + information(rest.get(2..)?)?..)?;
    let mut best: Option<Followed> = None;
    while let [kind, high, low, after @ ..] = rest {
        let stream = u16::from(high & 0x1f) << 8 | u16::from(*low);
        let (medium, coding) = match kind {
            0x1b => (Medium::Video, Some(Coding::Avc)),
            0x24 => (Medium::Video, Some(Coding::Hevc)),
            0x01 | 0x02 | 0x10 => (Medium::Video, None),
            0x03 | 0x04 | 0x0f | 0x11 | 0x81 => (Medium::Audio, None),
            _ => (Medium::Other, None),
        };
        let better = match best.map(|best| best.medium) {
            None => medium != Medium::Other,
            Some(Medium::Audio) => medium == Medium::Video,
            Some(Medium::Video | Medium::Other) => false,
        };
        if better {
            best = Some(Followed { stream, medium, coding });
        }
        let Some(length) = information(after) else { break };
        rest = after.get(2 + length..).unwrap_or_default();
    }
    best
}

/// The presentation time at the head of a packet of pictures or sound, and what follows that head
/// (2.4.3.6).
fn dated(payload: &[u8]) -> Option<(u64, &[u8])> {
    let [0, 0, 1, _, _, _, _, flags, length, rest @ ..] = payload else { return None };
    let [a, b, c, d, e, ..] = rest else { return None };
    if flags & 0x80 == 0 {
        return None;
    }
    let part = |byte: &u8, shift: u32| u64::from(*byte) << shift;
    let time = part(&(a >> 1 & 0x07), 30)
        | part(b, 22)
        | part(&(c >> 1), 15)
        | part(d, 7)
        | part(&(e >> 1), 0);
    Some((time, rest.get(usize::from(*length)..).unwrap_or_default()))
}

/// What the packets of the followed stream come to.
#[derive(Default)]
struct Account {
    samples: u64,
    first: Option<u64>,
    /// The least and the greatest time, from the first one on, in ticks.
    least: i64,
    greatest: i64,
    random_access: bool,
    /// The beginning of the first picture.
    picture: Vec<u8>,
}

impl Account {
    fn date(&mut self, time: u64) {
        let first = *self.first.get_or_insert(time);
        // The clock starts again at 2^33: a step of more than half of that is one back.
        let span = 1_u64 << TIME_BITS;
        let ahead = time.wrapping_sub(first) & (span - 1);
        let step = match i64::try_from(ahead) {
            Ok(step) if ahead >= span / 2 => step - (1 << TIME_BITS),
            Ok(step) => step,
            Err(_) => 0,
        };
        self.least = self.least.min(step);
        self.greatest = self.greatest.max(step);
        self.samples += 1;
    }

    fn look(&mut self, bytes: &[u8]) {
        if self.samples == 1 {
            let room = PICTURE_MAX_BYTES.saturating_sub(self.picture.len());
            self.picture.extend(bytes.iter().take(room));
        }
    }
}

pub(super) fn read(bytes: &[u8]) -> Result<Facts, SegmentError> {
    let (mut map, mut stream): (Option<u16>, Option<Followed>) = (None, None);
    let mut account = Account::default();
    for (index, bytes) in bytes.chunks(PACKET_BYTES).enumerate() {
        let wrong = |wanted| SegmentError::Packet { packet: index, wanted };
        if bytes.len() < PACKET_BYTES {
            return Err(wrong("it is cut short of its 188 bytes"));
        }
        let packet = packet(bytes).ok_or_else(|| wrong("it does not begin with 47"))?;
        match stream {
            Some(followed) if packet.stream == followed.stream => {
                if let Some((time, rest)) = dated(packet.payload).filter(|_| packet.begins) {
                    account.date(time);
                    account.random_access |= account.samples == 1 && packet.random_access;
                    account.look(rest);
                } else if !packet.begins {
                    account.look(packet.payload);
                }
            }
            Some(_) => {}
            None if packet.stream == 0 && packet.begins => map = map_stream(packet.payload).or(map),
            None if map == Some(packet.stream) && packet.begins => {
                stream = followed(packet.payload)
            }
            None => {}
        }
    }
    let wanted = "it has no tables before its media: PAT and PMT";
    let followed = stream.ok_or(SegmentError::Packet { packet: 0, wanted })?;
    Ok(told(followed, &account))
}

fn told(followed: Followed, account: &Account) -> Facts {
    let ticks = account.greatest.abs_diff(account.least);
    // The last one plays as long as the others do.
    let whole = |count: u64| u128::from(ticks) * u128::from(count) / u128::from(count - 1);
    let duration = Some(account.samples).filter(|count| *count > 1).map(whole);
    let begin = account.first.and_then(|first| first.checked_add_signed(account.least));
    let coded = || {
        let coding = followed.coding?;
        is_key(coding, marked_units(&account.picture))
    };
    let key_frame = match followed.medium {
        Medium::Video if account.samples == 0 => None,
        Medium::Video if account.random_access => Some(true),
        Medium::Video => coded(),
        Medium::Audio | Medium::Other => None,
    };
    Facts {
        format: Format::TransportStream,
        medium: followed.medium,
        begin: begin.map(|ticks| span(ticks, TIMESCALE)),
        duration: duration.map(|ticks| span(u64::try_from(ticks).unwrap_or(u64::MAX), TIMESCALE)),
        key_frame,
        samples: account.samples,
        undated: false,
    }
    .of_nothing()
}

impl Facts {
    /// A stream without a single packet plays no time, which is known.
    fn of_nothing(self) -> Facts {
        let duration = if self.samples == 0 { Some(Duration::ZERO) } else { self.duration };
        Facts { duration, ..self }
    }
}
