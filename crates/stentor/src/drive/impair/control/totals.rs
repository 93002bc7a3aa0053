//! What a proxy did in all its lives: closing and opening it again begins its counts anew.

use stentor_core::link::Counters;

use crate::drive::impair::{Counts, Lateness, StreamCounts, UnitCounts};

/// Both together; of a proxy that changed its transport, the later ones.
pub(super) fn together(past: Option<Counts>, now: Option<Counts>) -> Option<Counts> {
    match (past, now) {
        (Some(Counts::Stream(one)), Some(Counts::Stream(two))) => {
            Some(Counts::Stream(streams(&one, &two)))
        }
        (Some(Counts::Units(one)), Some(Counts::Units(two))) => {
            Some(Counts::Units(units(&one, &two)))
        }
        (past, now) => now.or(past),
    }
}

fn lateness(one: Lateness, two: Lateness) -> Lateness {
    Lateness {
        count: one.count + two.count,
        sum: one.sum.saturating_add(two.sum),
        max: one.max.max(two.max),
    }
}

fn streams(one: &StreamCounts, two: &StreamCounts) -> StreamCounts {
    StreamCounts {
        accepted: one.accepted + two.accepted,
        refused: one.refused + two.refused,
        unreachable: one.unreachable + two.unreachable,
        finished: one.finished + two.finished,
        cut: one.cut + two.cut,
        open: one.open + two.open,
        exhausted: one.exhausted + two.exhausted,
        up_received_bytes: one.up_received_bytes + two.up_received_bytes,
        up_sent_bytes: one.up_sent_bytes + two.up_sent_bytes,
        down_received_bytes: one.down_received_bytes + two.down_received_bytes,
        down_sent_bytes: one.down_sent_bytes + two.down_sent_bytes,
        lateness: lateness(one.lateness, two.lateness),
    }
}

fn units(one: &UnitCounts, two: &UnitCounts) -> UnitCounts {
    UnitCounts {
        flows: one.flows + two.flows,
        flows_closed: one.flows_closed + two.flows_closed,
        up: link(&one.up, &two.up),
        down: link(&one.down, &two.down),
        up_waiting: one.up_waiting + two.up_waiting,
        down_waiting: one.down_waiting + two.down_waiting,
        not_sent: one.not_sent + two.not_sent,
        exhausted: one.exhausted + two.exhausted,
        unread: one.unread + two.unread,
        unreachable: one.unreachable + two.unreachable,
        lateness: lateness(one.lateness, two.lateness),
    }
}

const fn link(one: &Counters, two: &Counters) -> Counters {
    Counters {
        taken: one.taken + two.taken,
        duplicated: one.duplicated + two.duplicated,
        delivered: one.delivered + two.delivered,
        lost: one.lost + two.lost,
        lost_in_burst: one.lost_in_burst + two.lost_in_burst,
        lost_by_count: one.lost_by_count + two.lost_by_count,
        queue_full: one.queue_full + two.queue_full,
        flight_full: one.flight_full + two.flight_full,
        corrupted: one.corrupted + two.corrupted,
        reordered: one.reordered + two.reordered,
        taken_bytes: one.taken_bytes + two.taken_bytes,
        delivered_bytes: one.delivered_bytes + two.delivered_bytes,
    }
}
