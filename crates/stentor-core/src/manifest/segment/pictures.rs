//! Whether a picture needs no other, by its NAL units (ITU-T H.264, 7.4.1; H.265, 7.4.2.2).

/// How pictures are coded, as far as their units are read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Coding {
    /// H.264.
    Avc,
    /// H.265.
    Hevc,
}

/// What a unit says about its picture.
enum Unit {
    Key,
    Dependent,
    /// From here on a decoder recovers: an open group of pictures.
    Recovery,
    Silent,
}

/// Whether a picture is a key frame, by its units in their order; `None` if none of them says it.
pub(super) fn is_key<'a>(coding: Coding, units: impl Iterator<Item = &'a [u8]>) -> Option<bool> {
    let mut recovers = false;
    for unit in units {
        match read(coding, unit) {
            Unit::Key => return Some(true),
            Unit::Dependent => return Some(recovers),
            Unit::Recovery => recovers = true,
            Unit::Silent => {}
        }
    }
    None
}

fn read(coding: Coding, unit: &[u8]) -> Unit {
    let first = unit.first().copied().unwrap_or_default();
    match coding {
        Coding::Avc => match first & 0x1f {
            5 => Unit::Key,
            1 => Unit::Dependent,
            // Supplemental information that begins with a recovery point (H.264, D.1.8).
            6 if unit.get(1) == Some(&6) => Unit::Recovery,
            _ => Unit::Silent,
        },
        Coding::Hevc => match first >> 1 & 0x3f {
            16..=23 => Unit::Key,
            0..=15 => Unit::Dependent,
            _ => Unit::Silent,
        },
    }
}

/// The units of a sample of MP4, each behind its length of 1 to 4 bytes.
pub(super) fn measured_units(
    mut sample: &[u8],
    length_bytes: usize,
) -> impl Iterator<Item = &[u8]> {
    std::iter::from_fn(move || {
        let (length, rest) = sample.split_at_checked(length_bytes.max(1))?;
        let length = length.iter().fold(0_usize, |sum, byte| sum << 8 | usize::from(*byte));
        let (unit, rest) = rest.split_at_checked(length)?;
        sample = rest;
        Some(unit)
    })
}

/// The units of a byte stream, each behind 00 00 01 (H.264, Annex B); the last one may be cut.
pub(super) fn marked_units(stream: &[u8]) -> impl Iterator<Item = &[u8]> {
    let begins = stream.windows(3).enumerate().filter(|(_, window)| *window == [0, 0, 1]);
    begins.filter_map(|(at, _)| stream.get(at + 3..))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn key_frames_are_told_by_their_units() {
        let check = |coding, units: &[&[u8]], expected| {
            assert_eq!(is_key(coding, units.iter().copied()), expected, "{units:x?}");
        };
        check(Coding::Avc, &[&[0x67, 1], &[0x68], &[0x65, 9]], Some(true));
        check(Coding::Avc, &[&[0x41, 9], &[0x65]], Some(false));
        check(Coding::Avc, &[&[6, 5, 9], &[0x41]], Some(false));
        check(Coding::Avc, &[&[6, 6, 1], &[0x41]], Some(true));
        check(Coding::Avc, &[&[9], &[]], None);
        check(Coding::Hevc, &[&[0x40], &[0x26]], Some(true));
        check(Coding::Hevc, &[&[0x02]], Some(false));
        check(Coding::Hevc, &[], None);
    }

    #[test]
    fn units_are_taken_apart() {
        let sample = [0, 0, 0, 2, 0x67, 1, 0, 0, 0, 1, 0x65, 0, 0, 9];
        let units: Vec<_> = measured_units(&sample, 4).collect();
        assert_eq!(units, [&[0x67, 1][..], &[0x65][..]]);
        assert_eq!(measured_units(&[0, 0, 0], 0).count(), 3);
        let stream = [9, 0, 0, 0, 1, 0x67, 0, 0, 1, 0x65];
        let firsts: Vec<_> = marked_units(&stream).map(|unit| unit[0]).collect();
        assert_eq!(firsts, [0x67, 0x65]);
    }
}
