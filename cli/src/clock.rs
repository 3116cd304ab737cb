//! Time, read and shown.

use std::time::{Duration, Instant};

#[expect(clippy::disallowed_methods, reason = "a command-line tool measures and shows time")]
pub(crate) fn now() -> Instant {
    Instant::now()
}

/// The time of day, in UTC, as the log line's beginning.
#[expect(clippy::disallowed_methods, reason = "a command-line tool measures and shows time")]
pub(crate) fn time_of_day() -> String {
    let since = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap_or_default();
    let seconds = since.as_secs() % 86_400;
    format!("{:02}:{:02}:{:02}.{:03}", seconds / 3600, seconds / 60 % 60, seconds % 60, since.subsec_millis())
}

/// A time with three digits that count, as in `84 µs`, `1.23 ms`, `45.6 ms`, `12.3 s`.
pub(crate) fn show(time: Duration) -> String {
    let micros = time.as_micros();
    let scaled = |value: f64, unit: &str| {
        let digits = if value < 10.0 { 2 } else { usize::from(value < 100.0) };
        format!("{value:.digits$} {unit}")
    };
    match micros {
        0..1000 => format!("{micros} µs"),
        1000..1_000_000 => scaled(time.as_secs_f64() * 1e3, "ms"),
        _ => scaled(time.as_secs_f64(), "s"),
    }
}

/// Reads an option: seconds, with or without a fraction.
pub(crate) fn seconds(text: &str) -> Result<Duration, String> {
    // A century is more than anybody waits, and far from what a clock cannot add.
    const MOST: f64 = 3.2e9;
    match text.parse::<f64>() {
        Ok(seconds) if (0.0..=MOST).contains(&seconds) => Ok(Duration::from_secs_f64(seconds)),
        _ => Err("write a number of seconds, such as 20 or 0.5".to_owned()),
    }
}

/// The same between attempts, which without a moment between them would be thousands a second.
pub(crate) fn delay(text: &str) -> Result<Duration, String> {
    match seconds(text)? {
        delay if delay < Duration::from_millis(10) => Err("write 0.01 or more".to_owned()),
        delay => Ok(delay),
    }
}

#[cfg(test)]
mod tests {
    use super::{Duration, delay, seconds, show};

    #[test]
    fn times_are_shown_with_three_digits() {
        for (micros, shown) in [
            (0, "0 µs"),
            (84, "84 µs"),
            (999, "999 µs"),
            (1_230, "1.23 ms"),
            (45_600, "45.6 ms"),
            (456_000, "456 ms"),
            (1_000_000, "1.00 s"),
            (123_000_000, "123 s"),
        ] {
            assert_eq!(show(Duration::from_micros(micros)), shown);
        }
    }

    #[test]
    fn seconds_are_read_with_fractions_and_nothing_else_is() {
        assert_eq!(seconds("0.25"), Ok(Duration::from_millis(250)));
        assert_eq!(seconds("0"), Ok(Duration::ZERO));
        for wrong in ["-1", "nan", "inf", "1e99", "two", ""] {
            assert!(seconds(wrong).is_err(), "{wrong}");
        }
        assert_eq!(delay("0.01"), Ok(Duration::from_millis(10)));
        assert!(delay("0").is_err() && delay("0.009").is_err());
    }
}
