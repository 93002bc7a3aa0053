//! Findings in words: what is to be learnt from a conversation.

use super::Lane;
use super::cause::{CallNo, PacketNo};
use crate::moment::Moment;

/// One thing to be learnt, with its witnesses.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Finding {
    /// When it was seen, or began.
    pub at: Moment,
    /// At which end, if at one.
    pub lane: Option<Lane>,
    /// In words: `1 send = 7 segments`.
    pub words: String,
    /// The calls it is about.
    pub calls: Vec<CallNo>,
    /// The packets it is about.
    pub packets: Vec<PacketNo>,
}
