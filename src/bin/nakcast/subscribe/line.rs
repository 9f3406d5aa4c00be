//! What there is to say while nobody answers.

use std::time::Duration;

use nakcast::ConnectionStats;

/// How long a publisher may take to answer before anybody hears of it.
const PATIENCE: Duration = Duration::from_secs(1);

/// A connection, as its user is told of it.
#[derive(Debug, Default)]
pub(crate) struct Line {
    away_since: Option<Duration>,
    is_told: bool,
}

impl Line {
    /// One line when nobody has answered for a while, and one when somebody does.
    pub(crate) fn look(&mut self, now: Duration, connection: ConnectionStats) -> Option<&'static str> {
        if connection.is_connected {
            self.away_since = None;
            return std::mem::take(&mut self.is_told).then_some("connected");
        }
        let away_since = *self.away_since.get_or_insert(now);
        if self.is_told || now < away_since + PATIENCE {
            return None;
        }
        self.is_told = true;
        Some("no publisher answers yet; it is tried again and again, until Ctrl-C")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn absence_is_told_once_and_so_is_its_end() {
        let (mut line, mut stats) = (Line::default(), ConnectionStats::default());
        let mut look = |millis, is_connected| {
            stats.is_connected = is_connected;
            line.look(Duration::from_millis(millis), stats)
        };
        assert_eq!((look(0, false), look(900, false)), (None, None));
        assert!(look(1_000, false).is_some_and(|text| text.starts_with("no publisher answers")));
        assert_eq!(
            (look(5_000, false), look(6_000, true), look(7_000, true)),
            (None, Some("connected"), None)
        );
        assert_eq!((look(8_000, false), look(8_100, true), look(9_200, false)), (None, None, None));
    }
}
