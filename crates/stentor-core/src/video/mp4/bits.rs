//! A row of bits, the first the highest of its byte, with H.264's codes (ITU-T H.264, 9.1).

#[derive(Default)]
pub(super) struct Bits {
    bytes: Vec<u8>,
    /// How many bits of the last byte are used; 0 when it is full.
    used: u32,
}

impl Bits {
    pub(super) fn bit(&mut self, bit: bool) {
        if self.used == 0 {
            self.bytes.push(0);
        }
        if let Some(last) = self.bytes.last_mut() {
            *last |= u8::from(bit) << (7 - self.used);
        }
        self.used = (self.used + 1) % 8;
    }

    /// u(count): the lowest bits of a number.
    pub(super) fn bits(&mut self, number: u32, count: u32) {
        (0..count).rev().for_each(|bit| self.bit(number >> bit & 1 == 1));
    }

    /// ue(v): as many zeros as the number plus one has bits after its first.
    pub(super) fn ue(&mut self, number: u32) {
        let code = number + 1;
        let length = code.ilog2();
        self.bits(0, length);
        self.bits(code, length + 1);
    }

    /// se(v).
    pub(super) fn se(&mut self, number: i32) {
        let twice = number.unsigned_abs() * 2;
        self.ue(if number > 0 { twice - 1 } else { twice });
    }

    /// Ends a unit: a one, and zeros up to the byte (7.3.2.11).
    pub(super) fn finish(mut self) -> Vec<u8> {
        self.bit(true);
        self.bytes
    }
}

/// A unit with its header, in which no two zero bytes are followed by one below 4 (7.4.1.1).
pub(super) fn unit(header: u8, payload: &[u8]) -> Vec<u8> {
    let mut unit = vec![header];
    let mut zeros = 0;
    for byte in payload {
        if zeros == 2 && *byte <= 3 {
            unit.push(3);
            zeros = 0;
        }
        zeros = if *byte == 0 { zeros + 1 } else { 0 };
        unit.push(*byte);
    }
    unit
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn codes_are_those_of_the_table() {
        let check = |write: fn(&mut Bits), expected: &str| {
            let mut bits = Bits::default();
            write(&mut bits);
            let text: String = bits.finish().iter().map(|byte| format!("{byte:08b}")).collect();
            assert_eq!(text.trim_end_matches('0').strip_suffix('1'), Some(expected));
        };
        check(|bits| bits.ue(0), "1");
        check(|bits| bits.ue(3), "00100");
        check(|bits| bits.ue(919), "0000000001110011000");
        check(|bits| bits.se(0), "1");
        check(|bits| bits.se(1), "010");
        check(|bits| bits.se(-1), "011");
        check(|bits| bits.se(2), "00100");
        check(|bits| bits.bits(0b1011, 4), "1011");
    }

    #[test]
    fn no_unit_holds_a_start_code() {
        assert_eq!(unit(0x67, &[0, 0, 1, 0, 0, 0, 5]), [0x67, 0, 0, 3, 1, 0, 0, 3, 0, 5]);
    }
}
