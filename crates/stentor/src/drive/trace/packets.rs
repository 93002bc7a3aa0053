//! Where the packets of a trace are seen: by a capture of an interface, or by the lab link that
//! carries them.

use std::sync::Arc;
use std::sync::mpsc::{Receiver, channel};

use stentor_core::timeline::record::{Entry, Loss, Mode, Place, Wire};
use stentor_os::capture::{self, Capture};
use stentor_os::clock::{self, Stamp};
use stentor_os::namespace::{self, Kind, Network};
use stentor_os::privilege;

use super::translate::Translator;
use super::{HEADERS, Plan, possible::remedy};
use crate::complaint::{Complaint, Exit};
use crate::drive::lab::{Carried, Lab, Running};

/// The ring shared with the kernel.
const RING: usize = 16 << 20;

/// Whoever sees the packets.
pub(super) enum Witness {
    /// Nobody.
    Nobody,
    /// A capture, whose packets wait to be read.
    Capture(Receiver<capture::Packet>, Capture),
    /// A lab link that has yet to begin: moments count from the run's.
    Lab(Box<Lab>),
    /// A lab link.
    Link(Running),
}

impl Witness {
    /// Enters the private network if there is to be one, and begins to watch.
    pub(super) fn enter(plan: &Plan) -> Result<Witness, Complaint> {
        match (plan.mode, &plan.link) {
            (Mode::Lab, Some(_)) => Ok(Witness::Lab(Box::new(Lab::enter()?))),
            (Mode::Lab, None) => {
                enter(plan.wire)?;
                begin_capture("lo", plan)
            }
            (Mode::Host, _) => begin_capture(&plan.interface, plan),
            (Mode::Calls, _) => Ok(Witness::Nobody),
        }
    }

    /// Starts the link, if there is one.
    pub(super) fn begin(self, plan: &Plan, began: Stamp) -> Result<Witness, Complaint> {
        match (self, &plan.link) {
            (Witness::Lab(lab), Some(link)) => {
                let bytes_max = usize::try_from(plan.payload_bytes.saturating_add(HEADERS));
                let bytes_max = bytes_max.unwrap_or(usize::MAX);
                Ok(Witness::Link(lab.begin(link.settings.clone(), began, Some(bytes_max))?))
            }
            (other, _) => Ok(other),
        }
    }

    /// The network of the first program, if it is not that of the others.
    pub(super) fn server(&self) -> Option<Arc<Network>> {
        self.link().map(|link| link.server().clone())
    }

    /// The link, if there is one.
    pub(super) fn link(&self) -> Option<&Running> {
        match self {
            Witness::Link(link) => Some(link),
            Witness::Nobody | Witness::Capture(..) | Witness::Lab(_) => None,
        }
    }

    /// Stops watching; gives what was seen, and what a person should know about it.
    pub(super) fn end(
        self,
        translator: &Translator,
    ) -> Result<(Vec<Entry>, Vec<String>), Complaint> {
        match self {
            Witness::Nobody | Witness::Lab(_) => Ok((Vec::new(), Vec::new())),
            Witness::Capture(packets, capture) => {
                let lost = capture.stop().map_or(0, |totals| totals.dropped);
                let mut entries: Vec<Entry> =
                    packets.into_iter().map(|packet| translator.packet(packet)).collect();
                entries.extend(loss(translator, lost));
                Ok((entries, Vec::new()))
            }
            Witness::Link(link) => {
                let Carried { up, down, lateness, passages, passages_not_kept, .. } =
                    link.stop()?;
                let mut entries: Vec<Entry> =
                    passages.into_iter().map(|passage| translator.passage(passage)).collect();
                entries.extend(loss(translator, passages_not_kept + up.missed + down.missed));
                let said = format!(
                    "lab link: {} packets up ({} lost), {} down ({} lost); {} us late on average, \
                     {} us at worst",
                    up.link.taken,
                    up.link.dropped(),
                    down.link.taken,
                    down.link.dropped(),
                    lateness.mean_ns() / 1000,
                    lateness.worst_ns / 1000,
                );
                Ok((entries, vec![said]))
            }
        }
    }
}

fn loss(translator: &Translator, count: u64) -> Option<Entry> {
    let at = translator.moment(clock::stamp());
    (count > 0).then_some(Entry::Loss(Loss { at, place: Place::Capture, count }))
}

fn enter(wire: Wire) -> Result<(), Complaint> {
    let kind = if privilege::may_unshare() { Kind::Network } else { Kind::UserAndNetwork };
    let wire = match wire {
        Wire::Ethernet => namespace::Wire::Ethernet,
        Wire::Raw => namespace::Wire::Raw,
    };
    namespace::enter(kind, wire).map_err(|refusal| {
        let next = remedy(refusal.step.name());
        Complaint::new(Exit::Impossible, format!("a private network: {refusal}"), next)
    })
}

fn begin_capture(interface: &str, plan: &Plan) -> Result<Witness, Complaint> {
    let options = capture::Options {
        interface: interface.to_owned(),
        bytes_max: plan.payload_bytes.saturating_add(HEADERS),
        ring_bytes: RING,
    };
    let (send, packets) = channel();
    // The receiver lives until the capture has stopped.
    let capture = Capture::start(&options, move |packet| drop(send.send(packet)));
    let capture = capture.map_err(|refusal| {
        let what = format!("capture packets of {}: {refusal}", options.interface);
        Complaint::new(Exit::Impossible, what, remedy("socket(AF_PACKET)"))
    })?;
    Ok(Witness::Capture(packets, capture))
}
