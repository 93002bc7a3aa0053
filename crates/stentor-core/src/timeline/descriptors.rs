//! Descriptor tables of all processes: which descriptor means which socket, and how many mean it.
//!
//! The rules are those of dup(2), fork(2), clone(2) with CLONE_FILES, execve(2) and close(2). What
//! the sockets are is left to [`super::sockets`].

use std::collections::BTreeMap;

use super::record::{Fd, Pid};

/// A place in the list of sockets.
pub(super) type Place = u32;

/// What a descriptor means.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Meaning {
    socket: Place,
    /// FD_CLOEXEC.
    closes_at_exec: bool,
}

/// All tables; processes may share one.
#[derive(Debug, Default)]
pub(super) struct Tables {
    of: BTreeMap<Pid, usize>,
    tables: Vec<BTreeMap<Fd, Meaning>>,
    /// How many processes share each table.
    sharers: Vec<u32>,
    /// How many descriptors mean each socket, in all tables.
    references: Vec<u32>,
}

impl Tables {
    fn table(&mut self, pid: Pid) -> usize {
        *self.of.entry(pid).or_insert_with(|| {
            self.tables.push(BTreeMap::new());
            self.sharers.push(1);
            self.tables.len() - 1
        })
    }

    /// The socket behind a descriptor.
    pub(super) fn meaning(&self, pid: Pid, fd: Fd) -> Option<Place> {
        let table = self.tables.get(*self.of.get(&pid)?)?;
        table.get(&fd).map(|meaning| meaning.socket)
    }

    /// A descriptor now means `socket`. Gives the socket that lost its last descriptor by that.
    pub(super) fn open(
        &mut self,
        pid: Pid,
        fd: Fd,
        socket: Place,
        closes_at_exec: bool,
    ) -> Option<Place> {
        self.add_reference(socket);
        let table = self.table(pid);
        let before = self.tables.get_mut(table)?.insert(fd, Meaning { socket, closes_at_exec })?;
        self.drop_reference(before.socket)
    }

    /// A descriptor is closed. Gives its socket, and whether that was the last descriptor of it.
    pub(super) fn close(&mut self, pid: Pid, fd: Fd) -> Option<(Place, bool)> {
        let table = self.table(pid);
        let meaning = self.tables.get_mut(table)?.remove(&fd)?;
        Some((meaning.socket, self.drop_reference(meaning.socket).is_some()))
    }

    /// All descriptors from `first` to `last` are closed; gives sockets that lost their last one.
    pub(super) fn close_range(&mut self, pid: Pid, first: Fd, last: Fd) -> Vec<Place> {
        if first > last {
            return Vec::new();
        }
        let table = self.table(pid);
        let Some(table) = self.tables.get_mut(table) else { return Vec::new() };
        let doomed: Vec<Fd> = table.range(first..=last).map(|(fd, _)| *fd).collect();
        let gone: Vec<_> = doomed.iter().filter_map(|fd| table.remove(fd)).collect();
        gone.iter().filter_map(|meaning| self.drop_reference(meaning.socket)).collect()
    }

    /// Sets or clears FD_CLOEXEC.
    pub(super) fn set_closes_at_exec(&mut self, pid: Pid, fd: Fd, closes: bool) {
        let table = self.table(pid);
        if let Some(meaning) = self.tables.get_mut(table).and_then(|table| table.get_mut(&fd)) {
            meaning.closes_at_exec = closes;
        }
    }

    /// A process was made: it has a copy of its parent's table, or the same.
    pub(super) fn fork(&mut self, parent: Pid, child: Pid, shares: bool) {
        let table = self.table(parent);
        if shares {
            self.of.insert(child, table);
            if let Some(sharers) = self.sharers.get_mut(table) {
                *sharers += 1;
            }
            return;
        }
        let copy = self.tables.get(table).cloned().unwrap_or_default();
        for meaning in copy.values() {
            self.add_reference(meaning.socket);
        }
        self.of.insert(child, self.tables.len());
        self.tables.push(copy);
        self.sharers.push(1);
    }

    /// Another program: a shared table is no longer shared, and FD_CLOEXEC does its work. Gives the
    /// sockets that lost their last descriptor.
    pub(super) fn exec(&mut self, pid: Pid) -> Vec<Place> {
        let shared = self.table(pid);
        if self.sharers.get(shared).is_some_and(|sharers| *sharers > 1) {
            self.fork(pid, pid, false);
            if let Some(sharers) = self.sharers.get_mut(shared) {
                *sharers -= 1;
            }
        }
        let table = self.table(pid);
        let Some(table) = self.tables.get_mut(table) else { return Vec::new() };
        let mut gone = Vec::new();
        table.retain(|_, meaning| {
            if meaning.closes_at_exec {
                gone.push(meaning.socket);
            }
            !meaning.closes_at_exec
        });
        gone.into_iter().filter_map(|socket| self.drop_reference(socket)).collect()
    }

    /// A process ended. Gives the sockets that lost their last descriptor.
    pub(super) fn exit(&mut self, pid: Pid) -> Vec<Place> {
        let Some(table) = self.of.remove(&pid) else { return Vec::new() };
        let Some(sharers) = self.sharers.get_mut(table) else { return Vec::new() };
        *sharers = sharers.saturating_sub(1);
        if *sharers > 0 {
            return Vec::new();
        }
        let Some(table) = self.tables.get_mut(table) else { return Vec::new() };
        let gone = std::mem::take(table);
        gone.values().filter_map(|meaning| self.drop_reference(meaning.socket)).collect()
    }

    fn add_reference(&mut self, socket: Place) {
        let place = socket as usize;
        if self.references.len() <= place {
            self.references.resize(place + 1, 0);
        }
        if let Some(count) = self.references.get_mut(place) {
            *count += 1;
        }
    }

    /// Gives the socket back if that was its last descriptor.
    fn drop_reference(&mut self, socket: Place) -> Option<Place> {
        let count = self.references.get_mut(socket as usize)?;
        *count = count.saturating_sub(1);
        (*count == 0).then_some(socket)
    }
}
