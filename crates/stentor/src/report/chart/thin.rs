//! Fewer points that draw the same line.
//!
//! Of all points in a column of pixels the first, the lowest, the highest and the last are kept:
//! the line they draw is, to the pixel, the line of all (M4; Jugel et al., VLDB 2014).

/// Thins points in pixels, x ascending, to at most four in each column and `None` for each gap.
pub(super) fn thinned(points: impl Iterator<Item = Option<(f64, f64)>>) -> Vec<Option<(f64, f64)>> {
    let mut kept = Vec::new();
    let mut column: Option<Column> = None;
    for point in points {
        match (point, &mut column) {
            (Some(point), Some(open)) if open.is_of(point) => open.take(point),
            (Some(point), _) => {
                column.take().into_iter().for_each(|column| column.give(&mut kept));
                column = Some(Column::of(point));
            }
            (None, _) => {
                column.take().into_iter().for_each(|column| column.give(&mut kept));
                if kept.last().is_some_and(Option::is_some) {
                    kept.push(None);
                }
            }
        }
    }
    column.into_iter().for_each(|column| column.give(&mut kept));
    kept
}

/// The points of one column of pixels, with their numbers in it.
struct Column {
    pixel: f64,
    seen: u64,
    first: (f64, f64),
    lowest: (u64, (f64, f64)),
    highest: (u64, (f64, f64)),
    last: (f64, f64),
}

impl Column {
    fn of(point: (f64, f64)) -> Column {
        let end = (0, point);
        Column {
            pixel: point.0.floor(),
            seen: 0,
            first: point,
            lowest: end,
            highest: end,
            last: point,
        }
    }

    fn is_of(&self, point: (f64, f64)) -> bool {
        point.0.floor() == self.pixel
    }

    fn take(&mut self, point: (f64, f64)) {
        self.seen += 1;
        if point.1 < self.lowest.1.1 {
            self.lowest = (self.seen, point);
        }
        if point.1 > self.highest.1.1 {
            self.highest = (self.seen, point);
        }
        self.last = point;
    }

    fn give(self, kept: &mut Vec<Option<(f64, f64)>>) {
        let mut ends = [(0, self.first), self.lowest, self.highest, (self.seen, self.last)];
        ends.sort_by_key(|(number, _)| *number);
        let mut before = None;
        for (number, point) in ends {
            if before != Some(number) {
                kept.push(Some(point));
            }
            before = Some(number);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_column_keeps_its_ends_and_its_extremes() {
        let points = [(0.1, 5.0), (0.2, 9.0), (0.3, 6.0), (0.4, 1.0), (0.5, 4.0), (0.9, 5.0)];
        let kept: Vec<_> = thinned(points.into_iter().map(Some)).into_iter().flatten().collect();
        assert_eq!(kept, [(0.1, 5.0), (0.2, 9.0), (0.4, 1.0), (0.9, 5.0)]);
    }

    #[test]
    fn a_gap_stays_a_gap_and_is_one() {
        let points = [None, Some((1.0, 1.0)), None, None, Some((1.5, 2.0)), None];
        let kept = thinned(points.into_iter());
        assert_eq!(kept, [Some((1.0, 1.0)), None, Some((1.5, 2.0)), None]);
    }

    #[test]
    fn a_million_points_become_a_few_thousand() {
        let points = (0..1_000_000).map(|n| Some((f64::from(n) / 1250.0, f64::from(n % 977))));
        let kept = thinned(points);
        assert!((800..=3_200).contains(&kept.len()), "{}", kept.len());
        assert!(kept.contains(&Some((0.0, 0.0))));
    }
}
