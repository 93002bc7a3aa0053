//! The ring of blocks a packet socket shares with the kernel (TPACKET_V3, packet(7),
//! Documentation/networking/packet_mmap in the kernel's sources).
//!
//! A block is ours from the moment its status says so until we give it back.

use std::io;
use std::os::fd::{AsRawFd, OwnedFd};
use std::ptr::NonNull;
use std::sync::atomic::{AtomicU32, Ordering};

use super::{Direction, Packet, Refusal, Step, at, set, set_value};

/// Room for the largest packet of `lo` (65536 bytes and its headers), four times.
const BLOCK_BYTES: usize = 1 << 18;
/// A block that is not full is handed over after this long.
const BLOCK_WITHIN_MS: u32 = 4;

pub(super) struct Ring {
    memory: NonNull<u8>,
    blocks: usize,
    next: usize,
}

// SAFETY: the mapping belongs to this value alone, and stays where it is whatever thread uses it.
unsafe impl Send for Ring {}

impl Ring {
    pub(super) fn map(socket: &OwnedFd, bytes: usize) -> Result<Ring, Refusal> {
        let version = i32::try_from(libc::tpacket_versions::TPACKET_V3 as i64).unwrap_or(2);
        let version = version.to_ne_bytes();
        set(socket, libc::SOL_PACKET, libc::PACKET_VERSION, &version, "PACKET_VERSION")?;
        let blocks = (bytes / BLOCK_BYTES).max(2);
        let number = |number: usize| u32::try_from(number).unwrap_or(u32::MAX);
        let frame_bytes = 1 << 11;
        let request = libc::tpacket_req3 {
            tp_block_size: number(BLOCK_BYTES),
            tp_block_nr: number(blocks),
            tp_frame_size: number(frame_bytes),
            tp_frame_nr: number(BLOCK_BYTES / frame_bytes * blocks),
            tp_retire_blk_tov: BLOCK_WITHIN_MS,
            tp_sizeof_priv: 0,
            tp_feature_req_word: 0,
        };
        set_value(socket, libc::SOL_PACKET, libc::PACKET_RX_RING, &request)
            .map_err(at(Step::Option("PACKET_RX_RING")))?;
        // SAFETY: a new mapping, at a place of the kernel's choice, of the size just agreed on.
        let memory = unsafe {
            libc::mmap(
                std::ptr::null_mut(),
                BLOCK_BYTES * blocks,
                libc::PROT_READ | libc::PROT_WRITE,
                libc::MAP_SHARED,
                socket.as_raw_fd(),
                0,
            )
        };
        if memory == libc::MAP_FAILED {
            return Err(at(Step::Map)(io::Error::last_os_error()));
        }
        let memory = NonNull::new(memory.cast());
        let memory = memory.ok_or_else(|| at(Step::Map)(io::Error::other("mapped at 0")))?;
        Ok(Ring { memory, blocks, next: 0 })
    }

    /// Hands on the packets of the next block, if that is ours.
    pub(super) fn take(&mut self, mut hand: impl FnMut(Packet)) -> bool {
        // SAFETY: `next` is below `blocks`, so the block lies within the mapping; it is aligned to
        // a page, and begins with a tpacket_block_desc.
        let block = unsafe { self.memory.add(self.next * BLOCK_BYTES) };
        let status_at = std::mem::offset_of!(libc::tpacket_block_desc, hdr);
        // SAFETY: the status is the first word of the header, aligned, and written by the kernel
        // as one word; it is only ever used as an atomic here.
        let status = unsafe { AtomicU32::from_ptr(block.add(status_at).cast().as_ptr()) };
        if status.load(Ordering::Acquire) & libc::TP_STATUS_USER == 0 {
            return false;
        }
        // SAFETY: the block is ours now: the kernel writes nothing in it until it is given back.
        let bytes = unsafe { std::slice::from_raw_parts(block.as_ptr(), BLOCK_BYTES) };
        packets(bytes, status_at, &mut hand);
        status.store(libc::TP_STATUS_KERNEL, Ordering::Release);
        self.next = (self.next + 1) % self.blocks;
        true
    }
}

impl Drop for Ring {
    fn drop(&mut self) {
        // SAFETY: the whole mapping, which nothing refers to any more.
        unsafe { libc::munmap(self.memory.as_ptr().cast(), BLOCK_BYTES * self.blocks) };
    }
}

/// The packets of a block whose header is at `header_at`.
fn packets(block: &[u8], header_at: usize, hand: &mut impl FnMut(Packet)) {
    let word = |at: usize| {
        let four = block.get(at..).and_then(|rest| rest.first_chunk());
        four.map_or(0, |four| u32::from_ne_bytes(*four))
    };
    let offset = |at: usize| usize::try_from(word(at)).unwrap_or(usize::MAX);
    let header = |field: usize| header_at + field;
    let count = word(header(std::mem::offset_of!(libc::tpacket_hdr_v1, num_pkts)));
    let mut at = offset(header(std::mem::offset_of!(libc::tpacket_hdr_v1, offset_to_first_pkt)));
    let link_at = size_of::<libc::tpacket3_hdr>().next_multiple_of(16);
    let kind_at = std::mem::offset_of!(libc::sockaddr_ll, sll_pkttype);
    for _ in 0..count {
        let length = word(at + std::mem::offset_of!(libc::tpacket3_hdr, tp_len));
        let kept = offset(at + std::mem::offset_of!(libc::tpacket3_hdr, tp_snaplen));
        let seconds = word(at + std::mem::offset_of!(libc::tpacket3_hdr, tp_sec));
        let nanoseconds = word(at + std::mem::offset_of!(libc::tpacket3_hdr, tp_nsec));
        let mac_at = at + std::mem::offset_of!(libc::tpacket3_hdr, tp_mac);
        let mac = block.get(mac_at..).and_then(|rest| rest.first_chunk());
        let from = at + mac.map_or(0, |two| usize::from(u16::from_ne_bytes(*two)));
        let direction = match block.get(at + link_at + kind_at) {
            Some(&libc::PACKET_OUTGOING) => Direction::Out,
            Some(&libc::PACKET_OTHERHOST) => Direction::Passing,
            Some(_) | None => Direction::In,
        };
        if let Some(bytes) = block.get(from..from.saturating_add(kept)) {
            let realtime_ns = u64::from(seconds) * 1_000_000_000 + u64::from(nanoseconds);
            hand(Packet { realtime_ns, length, direction, bytes: bytes.to_vec() });
        }
        let next = offset(at + std::mem::offset_of!(libc::tpacket3_hdr, tp_next_offset));
        at = at.saturating_add(next);
    }
}

/// Packets the kernel dropped since the last question (PACKET_STATISTICS).
pub(super) fn dropped(socket: &OwnedFd) -> io::Result<u64> {
    let mut counts = libc::tpacket_stats_v3 { tp_packets: 0, tp_drops: 0, tp_freeze_q_cnt: 0 };
    let mut size = libc::socklen_t::try_from(size_of_val(&counts)).map_err(io::Error::other)?;
    // SAFETY: the kernel writes at most `size` bytes into `counts`, and sets `size`.
    let result = unsafe {
        libc::getsockopt(
            socket.as_raw_fd(),
            libc::SOL_PACKET,
            libc::PACKET_STATISTICS,
            (&raw mut counts).cast(),
            &raw mut size,
        )
    };
    if result == 0 { Ok(counts.tp_drops.into()) } else { Err(io::Error::last_os_error()) }
}
