//! A look at a stream as metrics.

use nakcast::Figure;
use nakcast::FigureValue;
use nakcast::wire::RowEntry;

use crate::metrics::Text;
use crate::stat::view::SourceView;
use crate::stat::view::View;

/// All figures of a look.
pub(crate) fn text(view: &View) -> Text {
    let mut text = Text::default();
    let drops = Figure {
        name: "nakcast_observer_kernel_drops_total",
        help: "Datagrams that the kernel dropped at this observer.",
        value: FigureValue::Counter(view.kernel_drops),
    };
    text.add(&[drops], &[]);
    for source in &view.sources {
        let (session, address) = (source.seen.session.to_string(), source.seen.address.to_string());
        let labels = [("session", &*session), ("address", &address)];
        text.add(&source.seen.figures(), &labels);
        text.add(&[rate(source)], &labels);
        for row in source.entries() {
            let (receiver, address) = (row.receiver().to_string(), row.address().to_string());
            let labels = [("session", &*session), ("receiver", &receiver), ("address", &address)];
            text.add(&crate::stat::view::receiver(row).figures(), &labels);
            text.add(&of_receiver(source, row), &labels);
        }
    }
    text
}

fn rate(source: &SourceView) -> Figure {
    Figure {
        name: "nakcast_source_message_rate",
        help: "Messages a second since the last look.",
        value: FigureValue::Gauge(source.rates.messages),
    }
}

fn of_receiver(source: &SourceView, row: &RowEntry) -> [Figure; 2] {
    let lag = Figure {
        name: "nakcast_receiver_lag_messages",
        help: "How many messages it is behind what was sent.",
        value: FigureValue::Gauge(source.behind(row) as f64),
    };
    let heard = Figure {
        name: "nakcast_receiver_heard_seconds",
        help: "How long ago its publisher heard it.",
        value: FigureValue::Gauge(row.heard_ago().as_secs_f64()),
    };
    [lag, heard]
}
