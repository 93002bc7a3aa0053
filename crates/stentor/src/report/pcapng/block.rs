//! Blocks of pcapng (draft-ietf-opsawg-pcapng), in little-endian order.
//!
//! What is put into them is left to the parent module.

use std::io::{self, Write};

/// opt_comment, of every block.
pub(super) const COMMENT: u16 = 1;
/// shb_hardware.
pub(super) const SECTION_HARDWARE: u16 = 2;
/// shb_os.
pub(super) const SECTION_OS: u16 = 3;
/// shb_userappl.
pub(super) const SECTION_PROGRAM: u16 = 4;
/// if_name.
pub(super) const INTERFACE_NAME: u16 = 2;
/// if_tsresol.
pub(super) const INTERFACE_RESOLUTION: u16 = 9;
/// The value of if_tsresol for 10^-9 s.
pub(super) const NANOSECONDS: u8 = 9;
/// epb_flags.
pub(super) const PACKET_FLAGS: u16 = 2;
/// epb_processid_threadid.
pub(super) const PACKET_PROCESS_THREAD: u16 = 8;
/// isb_ifrecv.
pub(super) const STATISTICS_RECEIVED: u16 = 4;
/// isb_osdrop.
pub(super) const STATISTICS_DROPPED: u16 = 7;

/// LINKTYPE_ETHERNET.
pub(super) const LINKTYPE_ETHERNET: u16 = 1;
/// LINKTYPE_RAW: an IPv4 or IPv6 header, told by its version.
pub(super) const LINKTYPE_RAW: u16 = 101;

/// The kinds of blocks.
#[derive(Clone, Copy, Debug)]
pub(super) enum Kind {
    /// Section Header Block.
    Section = 0x0a0d_0d0a,
    /// Interface Description Block.
    Interface = 1,
    /// Interface Statistics Block.
    Statistics = 5,
    /// Enhanced Packet Block.
    Packet = 6,
    /// systemd Journal Export Block.
    Journal = 9,
}

/// Writes blocks one after another.
#[derive(Debug)]
pub(super) struct Blocks<W> {
    out: W,
    body: Vec<u8>,
}

impl<W: Write> Blocks<W> {
    pub(super) fn new(out: W) -> Blocks<W> {
        Blocks { out, body: Vec::new() }
    }

    /// Writes a block whose body `fill` makes.
    pub(super) fn write(&mut self, kind: Kind, fill: impl FnOnce(&mut Body<'_>)) -> io::Result<()> {
        self.body.clear();
        let mut body = Body(&mut self.body);
        fill(&mut body);
        body.pad();
        // Type, length, body, length.
        let length = u32::try_from(self.body.len() + 12).map_err(io::Error::other)?;
        self.out.write_all(&(kind as u32).to_le_bytes())?;
        self.out.write_all(&length.to_le_bytes())?;
        self.out.write_all(&self.body)?;
        self.out.write_all(&length.to_le_bytes())
    }

    pub(super) fn into_inner(self) -> W {
        self.out
    }
}

/// What stands between the two lengths of a block: fixed fields first, then options.
#[derive(Debug)]
pub(super) struct Body<'a>(&'a mut Vec<u8>);

impl Body<'_> {
    /// Fixed fields of a Section Header Block: byte order, version 1.0, length not said.
    pub(super) fn section(&mut self) {
        self.bytes(&0x1a2b_3c4d_u32.to_le_bytes());
        self.bytes(&[1, 0, 0, 0]);
        self.bytes(&u64::MAX.to_le_bytes());
    }

    /// Fixed fields of an Interface Description Block.
    pub(super) fn interface(&mut self, link: u16, snaplen: u32) {
        self.bytes(&u32::from(link).to_le_bytes());
        self.bytes(&snaplen.to_le_bytes());
    }

    /// Fixed fields of an Interface Statistics Block of interface 0.
    pub(super) fn statistics(&mut self, unix_ns: u64) {
        self.bytes(&0u32.to_le_bytes());
        self.time(unix_ns);
    }

    /// Fixed fields of an Enhanced Packet Block of interface 0, and the packet.
    pub(super) fn packet(&mut self, unix_ns: u64, data: &[u8], length: u32) {
        let captured = u32::try_from(data.len()).unwrap_or(u32::MAX);
        self.bytes(&0u32.to_le_bytes());
        self.time(unix_ns);
        self.bytes(&captured.to_le_bytes());
        self.bytes(&length.max(captured).to_le_bytes());
        self.bytes(data);
        self.pad();
    }

    /// The upper half comes first, each half in the order of the section.
    fn time(&mut self, unix_ns: u64) {
        self.bytes(&unix_ns.rotate_left(32).to_le_bytes());
    }

    /// Adds bytes as they are.
    pub(super) fn bytes(&mut self, bytes: &[u8]) {
        self.0.extend_from_slice(bytes);
    }

    /// Adds an option; one that is too long for its length field is left out.
    pub(super) fn option(&mut self, code: u16, value: &[u8]) {
        let Ok(length) = u16::try_from(value.len()) else { return };
        self.bytes(&code.to_le_bytes());
        self.bytes(&length.to_le_bytes());
        self.bytes(value);
        self.pad();
    }

    /// Adds an option of UTF-8.
    pub(super) fn text(&mut self, code: u16, text: &str) {
        self.option(code, text.as_bytes());
    }

    /// Ends the options.
    pub(super) fn end_of_options(&mut self) {
        self.option(0, &[]);
    }

    fn pad(&mut self) {
        self.0.resize(self.0.len().next_multiple_of(4), 0);
    }
}
