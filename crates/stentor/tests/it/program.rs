//! Runs the program under test, and ends it whatever happens.
