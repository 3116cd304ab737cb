//! Round-trip times, summed up for a person.

use std::fmt::{self, Write};
use std::time::Duration;

use crate::clock::show;

/// Times that are kept: a ping that runs for days keeps the newest.
const KEPT: usize = 100_000;

/// Rows of the histogram, and the length of its longest bar.
const ROWS: usize = 12;
const LONGEST: usize = 40;

/// Round-trip times.
#[derive(Default)]
pub(crate) struct Statistics {
    times: Vec<Duration>,
    /// How many there were in all.
    pub(crate) count: usize,
}

impl Statistics {
    pub(crate) fn add(&mut self, time: Duration) {
        match self.count.checked_rem(KEPT) {
            Some(oldest) if self.times.len() == KEPT => self.times[oldest] = time,
            _ => self.times.push(time),
        }
        self.count += 1;
    }
}

impl fmt::Display for Statistics {
    /// A line of figures, then the histogram; nothing without times.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut sorted = self.times.clone();
        sorted.sort_unstable();
        let [Some(&min), .., Some(&max)] = [sorted.first(), sorted.last()] else { return Ok(()) };
        let newest = if self.count > KEPT { format!(" (the newest {KEPT})") } else { String::new() };
        writeln!(
            f,
            "min {}, median {}, p99 {}, max {}{newest}",
            show(min),
            show(at_rank(&sorted, 50)),
            show(at_rank(&sorted, 99)),
            show(max)
        )?;
        let rows = histogram(&sorted);
        let most = rows.iter().map(|row| row.count).max().unwrap_or(1);
        let width = rows.iter().map(|row| show(row.below).chars().count()).max().unwrap_or(0);
        for Row { below, count } in rows {
            writeln!(f, "  < {:>width$}  {}{count}", show(below), bar(count, most))?;
        }
        Ok(())
    }
}

/// The time that this percentage of all does not exceed: the nearest rank.
fn at_rank(sorted: &[Duration], percent: usize) -> Duration {
    let rank = (sorted.len() * percent).div_ceil(100).max(1);
    sorted[rank - 1]
}

/// A row of the histogram: times below this, and not below the row before.
#[derive(Debug, PartialEq, Eq)]
struct Row {
    below: Duration,
    count: usize,
}

/// Rows from the shortest time to the longest, with bounds that are round numbers and grow with the times: the finest of a
/// few series that needs no more than `ROWS`.
fn histogram(sorted: &[Duration]) -> Vec<Row> {
    let series: [&[u64]; 4] =
        [&[10, 12, 15, 20, 25, 30, 40, 50, 60, 80], &[10, 15, 20, 30, 50, 70], &[10, 20, 50], &[10]];
    let rows = series.map(|steps| rows(sorted, steps));
    let [.., coarsest] = &rows;
    let coarsest = coarsest.len();
    rows.into_iter().find(|rows| rows.len() <= ROWS || rows.len() == coarsest).unwrap_or_default()
}

fn rows(sorted: &[Duration], steps: &[u64]) -> Vec<Row> {
    let decades = (0..).map(|exponent| 10_u64.saturating_pow(exponent));
    let mut bounds = decades
        .flat_map(|decade| steps.iter().map(move |step| Duration::from_micros(step.saturating_mul(decade))));
    let mut rows = Vec::new();
    let mut rest = sorted;
    while !rest.is_empty() {
        let Some(below) = bounds.next() else { break };
        let count = rest.partition_point(|&time| time < below);
        // Rows begin with the first time.
        if count > 0 || !rows.is_empty() {
            rows.push(Row { below, count });
        }
        rest = &rest[count..];
    }
    rows
}

/// A bar and the blank after it; a row that has anything has a bar.
fn bar(count: usize, most: usize) -> String {
    let length = (count * LONGEST).div_ceil(most.max(1));
    let mut bar = "█".repeat(length);
    if length > 0 {
        _ = bar.write_char(' ');
    }
    bar
}

#[cfg(test)]
mod tests {
    use super::{Duration, KEPT, Statistics};

    fn of(micros: impl IntoIterator<Item = u64>) -> Statistics {
        let mut statistics = Statistics::default();
        for time in micros {
            statistics.add(Duration::from_micros(time));
        }
        statistics
    }

    #[test]
    fn the_figures_are_ranks() {
        let shown = of(1..=100).to_string();
        assert_eq!(shown.lines().next(), Some("min 1 µs, median 50 µs, p99 99 µs, max 100 µs"));
        assert!(of([7]).to_string().starts_with("min 7 µs, median 7 µs, p99 7 µs, max 7 µs\n"));
        assert_eq!(of([]).to_string(), "");
    }

    #[test]
    fn the_histogram_counts_every_time_once_in_few_rows() {
        for times in
            [vec![0], vec![10], vec![95, 99, 100, 101], vec![3, 5_000_000], (0..50).map(|n| 1 << n).collect()]
        {
            let shown = of(times.clone()).to_string();
            let rows: Vec<_> = shown.lines().skip(1).collect();
            let counted: usize = rows
                .iter()
                .map(|row| row.rsplit(' ').next().expect("a count").parse::<usize>().expect("a number"))
                .sum();
            assert_eq!(counted, times.len(), "{shown}");
            assert!(rows.len() <= 20, "{shown}");
        }
        snapbox::assert_data_eq!(
            of([60, 72, 75, 78, 79, 81, 130]).to_string(),
            snapbox::str![[r#"
min 60 µs, median 78 µs, p99 130 µs, max 130 µs
  <  80 µs  ████████████████████████████████████████ 5
  < 100 µs  ████████ 1
  < 120 µs  0
  < 150 µs  ████████ 1

"#]]
        );
    }

    #[test]
    fn a_long_run_keeps_the_newest() {
        let mut statistics = of(0..KEPT as u64);
        for _ in 0..KEPT {
            statistics.add(Duration::from_micros(5));
        }
        assert_eq!(statistics.times.len(), KEPT);
        assert!(statistics.to_string().starts_with("min 5 µs, median 5 µs"));
    }
}
