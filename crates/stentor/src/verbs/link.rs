//! `--link`: a worse network before a verb's own sockets, by the same words as `impair`.

use std::net::SocketAddr;

use stentor_core::endpoint::Transport;
use stentor_core::link::Spec;
use stentor_core::seed::Seed;

use super::seed;
use crate::complaint::{Complaint, Exit};
use crate::drive::impair::{Beside, Counts, beside};

/// The arguments of every verb that can put a link before its target.
#[derive(Clone, Debug, Default, clap::Args)]
pub struct LinkArgs {
    /// Puts a worse network before the target, by the words of impair: delay=20ms,loss=1%
    #[arg(long, value_name = "SPEC")]
    link: Option<Spec>,
    /// From which the link's chance follows [default: a new one, printed]
    #[arg(long, value_name = "N", requires = "link")]
    seed: Option<u64>,
}

/// A link that was asked for.
#[derive(Clone, Debug, PartialEq)]
pub struct Link {
    /// What it does.
    pub spec: Spec,
    /// From which its chance follows.
    pub seed: Seed,
}

impl LinkArgs {
    /// The link, if one was asked for.
    pub(crate) fn link(&self) -> Option<Link> {
        let spec = self.link.clone()?;
        Some(Link { spec, seed: seed::given_or_fresh(self.seed) })
    }
}

impl Link {
    /// Puts it before the addresses of a target.
    pub(crate) fn before(
        &self,
        transport: Transport,
        target: &[SocketAddr],
    ) -> Result<Beside, Complaint> {
        beside(&self.spec, self.seed, transport, target)
    }

    /// What it did, in a line: `link delay=20ms --seed 7: 3 of 10 datagrams up lost`.
    pub(crate) fn told(&self, beside: &Beside) -> String {
        let did = match beside.counts() {
            Some(Counts::Stream(streams)) => format!(
                "{} connections, {} bytes up, {} down",
                streams.accepted, streams.up_sent_bytes, streams.down_sent_bytes
            ),
            Some(Counts::Units(units)) => format!(
                "{} datagrams up, {} lost; {} down, {} lost",
                units.up.taken,
                units.up.dropped(),
                units.down.taken,
                units.down.dropped()
            ),
            None => "it has ended".to_owned(),
        };
        format!("link {} --seed {}: {did}", self.spec, self.seed.0)
    }

    /// A failure as it would be without the link: what could not be reached is the target, not the
    /// near end of the link, which always answers.
    pub(crate) fn explain(&self, beside: &Beside, complaint: Complaint) -> Complaint {
        let unreachable = match beside.counts() {
            Some(Counts::Stream(streams)) => streams.unreachable > 0,
            Some(Counts::Units(units)) => units.unreachable > 0,
            None => false,
        };
        if !unreachable || complaint.exit == Exit::Interrupted {
            return complaint;
        }
        let what = "connect: the target behind the link could not be reached";
        let next = "Try without --link: the system's own answer is more precise.";
        Complaint::new(Exit::Environment, what, next)
    }
}
