//! The lab link: two network namespaces joined by TUN devices, with [`stentor_core::link`] between
//! them. Real packets, and a kernel's TCP at each end that sees them lost, late or doubled.
//!
//! [`Lab::enter`] makes the two networks, [`Lab::begin`] starts the link, and [`Running::stop`] gives
//! back what it did to every packet. [`run`] does all three around programs. What packets mean, and
//! tracing the programs, is left to others.
//!
//! Both networks are held open as descriptors by this one process, and whoever belongs to an end is
//! moved there: a program before it is executed, a thread by [`Network::enter`](stentor_os::namespace::Network::enter). A child process that
//! holds the second network would have to be told everything over a pipe, and be buried.

mod carrier;
mod ends;
mod passage;
mod programs;
mod settings;

pub use carrier::{Activity, Running};
pub use ends::{CLIENT, Lab, SERVER};
pub use passage::{Carried, Lateness, Passage, Totals};
pub(super) use programs::CLOSING;
pub use programs::{Outcome, Programs, run};
pub use settings::{Settings, Strikes};

/// What this tier is, and what it cannot show: said wherever its results are.
pub const TIER: &str = "packet tier: IP packets between two network namespaces, over TUN devices, \
                        MTU 1500; no Ethernet, no routers on the way (TTL and ECN untouched)";
