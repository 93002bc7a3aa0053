//! The simplest H.264 that draws: macroblocks of one luma each, and pictures that repeat the last.
//!
//! ITU-T H.264; sections are those of its edition 08/2021. At a quantizer of 28 a level of n raises a
//! whole macroblock by n (8.5.10, 8.5.12), so that every luma is reached exactly, and nothing is
//! filtered afterwards.

use super::bits::{Bits, unit};

/// Macroblocks in a row and in a column: 640 and 368 pixels, of which the last 8 rows are cut off.
pub(super) const COLUMNS: u32 = 40;
pub(super) const ROWS: u32 = 23;

/// Profile, constraints and level: constrained baseline, 3.
pub(super) const PROFILE: [u8; 3] = [66, 0xc0, 30];

/// The sequence parameter set (7.3.2.1.1).
pub(super) fn sequence() -> Vec<u8> {
    let mut bits = Bits::default();
    PROFILE.iter().for_each(|byte| bits.bits(u32::from(*byte), 8));
    bits.ue(0); // seq_parameter_set_id
    bits.ue(0); // log2_max_frame_num_minus4: 16 numbers
    bits.ue(2); // pic_order_cnt_type: shown in the order of decoding
    bits.ue(1); // max_num_ref_frames
    bits.bit(false); // gaps_in_frame_num_value_allowed_flag
    bits.ue(COLUMNS - 1);
    bits.ue(ROWS - 1);
    bits.bit(true); // frame_mbs_only_flag
    bits.bit(true); // direct_8x8_inference_flag
    bits.bit(true); // frame_cropping_flag: in units of two pixels
    [0, 0, 0, 4].into_iter().for_each(|crop| bits.ue(crop));
    bits.bit(false); // vui_parameters_present_flag
    unit(0x67, &bits.finish())
}

/// The picture parameter set (7.3.2.2).
pub(super) fn picture() -> Vec<u8> {
    let mut bits = Bits::default();
    bits.ue(0); // pic_parameter_set_id
    bits.ue(0); // seq_parameter_set_id
    bits.bits(0, 2); // entropy_coding_mode_flag: CAVLC; bottom_field_pic_order
    bits.ue(0); // num_slice_groups_minus1
    bits.ue(0); // num_ref_idx_l0_default_active_minus1
    bits.ue(0); // num_ref_idx_l1_default_active_minus1
    bits.bits(0, 3); // weighted_pred_flag, weighted_bipred_idc
    bits.se(2); // pic_init_qp_minus26
    bits.se(0); // pic_init_qs_minus26
    bits.se(0); // chroma_qp_index_offset
    bits.bits(0b100, 3); // deblocking control present, no constraint, no redundancy
    unit(0x68, &bits.finish())
}

/// A card as a sample: the picture of these lumas, from which decoding can begin. Two that follow each
/// other differ in `odd` (idr_pic_id, 7.4.3).
pub(super) fn card(lumas: &[u8], odd: bool) -> Vec<u8> {
    let mut bits = Bits::default();
    bits.ue(0); // first_mb_in_slice
    bits.ue(7); // slice_type: I
    bits.ue(0); // pic_parameter_set_id
    bits.bits(0, 4); // frame_num
    bits.ue(u32::from(odd)); // idr_pic_id
    bits.bits(0, 2); // no_output_of_prior_pics_flag, long_term_reference_flag
    bits.se(0); // slice_qp_delta
    bits.ue(1); // disable_deblocking_filter_idc
    let columns = COLUMNS as usize;
    let rows = lumas.chunks(columns);
    let mut above: Option<&[u8]> = None;
    for row in rows {
        let mut left = None;
        for (column, luma) in row.iter().enumerate() {
            let top = above.and_then(|above| above.get(column)).copied();
            macroblock(&mut bits, i32::from(*luma) - predicted(left, top));
            left = Some(*luma);
        }
        above = Some(row);
    }
    sample(&unit(0x65, &bits.finish()))
}

/// The mean of the neighbours' edges (8.3.3.3), which have one luma each.
fn predicted(left: Option<u8>, top: Option<u8>) -> i32 {
    match (left.map(i32::from), top.map(i32::from)) {
        (Some(left), Some(top)) => (left + top + 1) >> 1,
        (Some(one), None) | (None, Some(one)) => one,
        (None, None) => 128,
    }
}

/// A macroblock that is `level` above its prediction (7.3.5).
fn macroblock(bits: &mut Bits, level: i32) {
    bits.ue(3); // mb_type: I_16x16_2_0_0, predicted from the mean, without other coefficients
    bits.ue(0); // intra_chroma_pred_mode: the mean, which is grey everywhere
    bits.se(0); // mb_qp_delta
    // One coefficient at most, and no neighbour has any: the first column of table 9-5.
    match level {
        0 => return bits.bit(true),
        1 | -1 => {
            bits.bits(0b01, 2);
            bits.bit(level < 0);
        }
        _ => {
            bits.bits(0b00_0101, 6);
            let magnitude = level.unsigned_abs() * 2 - 4;
            level_code(bits, magnitude + u32::from(level < 0));
        }
    }
    bits.bit(true); // total_zeros: none
}

/// level_prefix and level_suffix of the first level (9.2.2.1).
fn level_code(bits: &mut Bits, code: u32) {
    match code {
        0..14 => bits.bits(1, code + 1),
        14..30 => {
            bits.bits(1, 15);
            bits.bits(code - 14, 4);
        }
        30.. => {
            bits.bits(1, 16);
            bits.bits(code - 30, 12);
        }
    }
}

/// A sample that shows the picture before once more: every macroblock is skipped.
pub(super) fn repetition(frame_num: u32) -> Vec<u8> {
    let mut bits = Bits::default();
    bits.ue(0); // first_mb_in_slice
    bits.ue(5); // slice_type: P
    bits.ue(0); // pic_parameter_set_id
    bits.bits(frame_num, 4);
    bits.bits(0, 3); // no other number of references, no other order, no other marking
    bits.se(0); // slice_qp_delta
    bits.ue(1); // disable_deblocking_filter_idc
    bits.ue(COLUMNS * ROWS); // mb_skip_run
    sample(&unit(0x41, &bits.finish()))
}

/// A unit with its length before it (ISO/IEC 14496-15, 5.2.3).
fn sample(unit: &[u8]) -> Vec<u8> {
    let length = u32::try_from(unit.len()).unwrap_or(u32::MAX);
    [&length.to_be_bytes(), unit].concat()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_repetition_has_6_bytes() {
        for frame_num in 0..16 {
            assert_eq!(repetition(frame_num).len(), 4 + 6);
        }
    }

    #[test]
    fn levels_are_coded_as_the_table_says() {
        let check = |code, expected: &str| {
            let mut bits = Bits::default();
            level_code(&mut bits, code);
            let text: String = bits.finish().iter().map(|byte| format!("{byte:08b}")).collect();
            assert_eq!(text.trim_end_matches('0').strip_suffix('1'), Some(expected), "{code}");
        };
        check(0, "1");
        check(1, "01");
        check(13, "00000000000001");
        check(14, "0000000000000010000");
        check(29, "0000000000000011111");
        check(30, "0000000000000001000000000000");
    }
}
