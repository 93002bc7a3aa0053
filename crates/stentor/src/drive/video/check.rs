//! Fetches a manifest and all that it names, and measures it.
