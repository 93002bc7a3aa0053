//! Stored video: the origin, the player and the check; `browser` puts real browsers before the origin.

mod browser;
mod check;
mod faulty;
mod folder;
mod origin;
mod play;
mod progressive;
mod report;
mod rtp;
mod serve;
mod sim;
