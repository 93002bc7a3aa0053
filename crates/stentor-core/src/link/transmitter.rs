//! When the unit at the head of the queue has left: at a rate, or along a recorded link.
