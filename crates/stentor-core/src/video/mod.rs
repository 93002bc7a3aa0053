//! Stored video: a film in chunks, the buffer that plays it, and the rules that choose its quality.
//!
//! One [`film::Film`] has three views: the book's formulae ([`predict`]), a simulation on a virtual
//! clock ([`simulator`]), and a run over real sockets, which is left to the roof's drivers. The last two
//! drive one [`player::Player`], and all are judged by the same [`metrics`].
//! [`sabre`] repeats the figures of a foreign simulator and is used by nothing else; [`mp4`] draws
//! the film, so that it really plays.

pub mod abr;
pub mod buffer;
pub mod columns;
pub mod estimate;
pub mod fault;
pub mod film;
pub mod fluid;
pub mod metrics;
pub mod mp4;
pub mod network;
pub mod pace;
pub mod player;
pub mod predict;
pub mod sabre;
pub mod session;
pub mod simulator;
