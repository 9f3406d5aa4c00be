//! The screen.

use std::time::Duration;

use ratatui::Frame;
use ratatui::layout::Constraint;
use ratatui::layout::Layout;
use ratatui::style::Color;
use ratatui::style::Style;
use ratatui::style::Stylize;
use ratatui::text::Line as Text;
use ratatui::widgets::Paragraph;
use ratatui::widgets::Row;
use ratatui::widgets::Table;

use crate::stat::finding;
use crate::top::model::HISTORY;
use crate::top::model::Line;
use crate::top::model::Model;
use crate::units;

/// Lines for findings.
const FINDINGS: usize = 6;

/// Draws all of it.
pub(crate) fn draw(frame: &mut Frame<'_>, uri: &str, model: &Model) {
    let sources: usize = model.views.values().map(|view| view.sources.len()).sum();
    let findings: Vec<_> = model.views.values().flat_map(finding::all).collect();
    let shown = findings.len().min(FINDINGS) as u16;
    let [title, publishers, receivers, wrong, keys] = Layout::vertical([
        Constraint::Length(1),
        Constraint::Length(sources.min(16) as u16 + 2),
        Constraint::Min(3),
        Constraint::Length(shown + 1),
        Constraint::Length(1),
    ])
    .areas(frame.area());
    frame.render_widget(Paragraph::new(format!("nakcast top  {uri}")).bold(), title);
    frame.render_widget(sources_table(model), publishers);
    frame.render_widget(receivers_table(model), receivers);
    let count = Text::from(units::counted(findings.len() as u64, "finding")).bold();
    let lines = findings.iter().take(FINDINGS).map(|finding| {
        Text::from(format!("{:<16}  {}: {}", finding.cause, finding.party, finding.what)).fg(Color::Yellow)
    });
    frame.render_widget(Paragraph::new([count].into_iter().chain(lines).collect::<Vec<_>>()), wrong);
    let order = if model.is_reversed { "least first" } else { "most first" };
    let text = format!("q quit   s sort by: {} ({order})   r reverse   ↑ ↓ scroll", model.key.word());
    frame.render_widget(Paragraph::new(text).reversed(), keys);
}

fn sources_table(model: &Model) -> Table<'static> {
    let titles = [
        "stream",
        "publisher",
        "address",
        "state",
        "msg/s",
        "a second",
        "rate",
        "heard",
        "receivers",
        "grtt",
    ];
    let rows = model.views.iter().flat_map(|(stream, view)| {
        view.sources.iter().map(|source| {
            let (seen, rates) = (&source.seen, source.rates);
            let row = Row::new([
                stream.to_string(),
                seen.session.to_string(),
                seen.address.to_string(),
                source.state().to_owned(),
                units::count(rates.messages as u64),
                units::size(rates.bytes as u64),
                model.rates(seen.session),
                units::count(seen.book.heard.0),
                if source.rows.is_ok() {
                    seen.receivers.to_string()
                } else {
                    format!("{} ?", seen.receivers)
                },
                units::time(seen.group_round_trip),
            ]);
            row.style(color(source.state()))
        })
    });
    let widths = [10, 16, 21, 8, 10, 10, HISTORY as u16, 14, 9, 8].map(Constraint::Length);
    Table::new(rows.collect::<Vec<_>>(), widths).header(Row::new(titles).bold().underlined())
}

fn receivers_table(model: &Model) -> Table<'static> {
    let titles =
        ["stream", "receiver", "address", "state", "lag", "lag", "lost", "NAKs", "loss", "drops", "heard"];
    let lines = model.lines();
    let rows = lines.into_iter().skip(model.scroll).map(|line| {
        let Line { row, .. } = line;
        let row = Row::new([
            line.stream.to_string(),
            row.receiver().to_string(),
            row.address().to_string(),
            line.state.to_owned(),
            units::count(line.lag),
            line.lags.line(),
            units::count(row.lost.get()),
            units::count(row.naks.get()),
            line.losses.line(),
            units::count(row.kernel_drops.get()),
            units::time(Duration::from_millis(row.heard_ms.get().into())),
        ]);
        row.style(color(line.state))
    });
    let trace = HISTORY as u16;
    let widths = [10, 16, 21, 8, 10, trace, 8, 8, trace, 8, 8].map(Constraint::Length);
    Table::new(rows.collect::<Vec<_>>(), widths).header(Row::new(titles).bold().underlined())
}

fn color(state: &str) -> Style {
    match state {
        "up" | "live" => Style::new(),
        "slow" => Style::new().fg(Color::Yellow),
        "ended" | "replaced" | "gone" => Style::new().fg(Color::DarkGray),
        _ => Style::new().fg(Color::Red),
    }
}
