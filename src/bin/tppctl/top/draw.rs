//! The screen, drawn: pure functions of it and of the room there is.

use ratatui::{
    Frame,
    layout::{Alignment, Constraint, Layout, Rect},
    style::{Color, Modifier, Style},
    text::{Line, Span, Text},
    widgets::{Cell, Paragraph, Row, Table, TableState, Wrap},
};
use tpp::control::{Health, Status};

use super::{
    look::{Look, View},
    state::Screen,
};
use crate::render::{Kind, Tone, counted, short_span, span, visible};

/// Lines of reasons that are shown.
const MOST_REASONS: usize = 3;

/// Draws all of it.
pub(crate) fn draw(frame: &mut Frame<'_>, screen: &Screen) {
    let reasons = screen
        .look
        .as_ref()
        .map_or(0, |look| look.status.reasons.len().min(MOST_REASONS));
    let lines = |count: usize| Constraint::Length(u16::try_from(count).unwrap_or(u16::MAX));
    let areas = Layout::vertical([
        lines(2 + reasons),
        lines(1),
        Constraint::Min(1),
        lines(1),
        lines(1),
    ]);
    let [head, tabs, table, said, keys] = areas.areas(frame.area());
    match &screen.look {
        Some(look) => frame.render_widget(heading(look, screen.requests_per_second), head),
        None => frame.render_widget(Paragraph::new("asking tpp …"), head),
    }
    frame.render_widget(tab_line(screen), tabs);
    draw_table(frame, screen, table);
    frame.render_widget(last_line(screen), said);
    frame.render_widget(
        Paragraph::new(keys_of(screen.view)).style(style(Tone::Faint)),
        keys,
    );
}

fn style(tone: Tone) -> Style {
    match tone {
        Tone::Plain => Style::new(),
        Tone::Heading => Style::new().add_modifier(Modifier::BOLD),
        Tone::Good => Style::new().fg(Color::Green),
        Tone::Warning => Style::new().fg(Color::Yellow),
        Tone::Bad => Style::new().fg(Color::Red),
        Tone::Faint => Style::new().add_modifier(Modifier::DIM),
    }
}

fn heading(look: &Look, requests_per_second: Option<f64>) -> Text<'static> {
    let status = &look.status;
    let (word, tone) = match status.status {
        Health::Healthy => ("healthy", Tone::Good),
        Health::Degraded => ("degraded", Tone::Warning),
        Health::Unhealthy => ("unhealthy", Tone::Bad),
    };
    let first = Line::from(vec![
        Span::raw(format!("tpp {}: ", visible(&status.version))),
        Span::styled(word, style(tone)),
        Span::raw(format!(
            ", up {}, {} served{}, {} of tpp's own",
            span(status.uptime_seconds),
            counted(status.requests, "request"),
            requests_per_second.map_or_else(String::new, |rate| format!(" ({rate:.1}/s)")),
            counted(status.request_errors, "error"),
        )),
    ]);
    let reasons = status.reasons.iter().take(MOST_REASONS);
    let reasons =
        reasons.map(|reason| Line::styled(format!("  - {}", visible(reason)), style(tone)));
    let lines = [first, line_of_pool(status)].into_iter().chain(reasons);
    Text::from(lines.collect::<Vec<_>>())
}

/// Tokens and the line before them.
fn line_of_pool(status: &Status) -> Line<'static> {
    let pool = status.pool;
    let full = if pool.available == 0 && pool.total > 0 {
        Tone::Warning
    } else {
        Tone::Plain
    };
    let line = match pool.waiting {
        0 => Span::raw("nobody waits"),
        waiting => Span::styled(
            format!(
                "{waiting} waiting, the longest for {}",
                short_span(status.longest_wait_ms)
            ),
            style(Tone::Warning),
        ),
    };
    let hold = status.slow.longest_hold.as_ref();
    let hold = hold.map_or_else(String::new, |hold| {
        format!("; the longest hold lasts {}", short_span(hold.held_ms))
    });
    Line::from(vec![
        Span::styled(
            format!("tokens: {} of {} in use", pool.in_use, pool.total),
            style(full),
        ),
        Span::raw("; line: "),
        line,
        Span::raw(hold),
    ])
}

fn tab_line(screen: &Screen) -> Line<'static> {
    let mut spans = Vec::new();
    for (at, view) in View::ALL.into_iter().enumerate() {
        let title = format!(" {} {} ", at + 1, view.title());
        let chosen = if view == screen.view {
            Style::new().add_modifier(Modifier::REVERSED)
        } else {
            Style::new()
        };
        spans.push(Span::styled(title, chosen));
    }
    let (order, reversed) = screen.order();
    let by = screen.view.orders()[order];
    let way = if reversed { ", reversed" } else { "" };
    spans.push(Span::styled(format!("  by {by}{way}"), style(Tone::Faint)));
    Line::from(spans)
}

fn draw_table(frame: &mut Frame<'_>, screen: &Screen, area: Rect) {
    let Some((shown, selected)) = screen.shown() else {
        return;
    };
    if shown.targets.is_empty() {
        let none = format!("no {}", screen.view.title().to_lowercase());
        frame.render_widget(Paragraph::new(none).style(style(Tone::Faint)), area);
        return;
    }
    let grid = shown.grid;
    let mut widths: Vec<usize> = grid.titles.iter().map(|(title, _)| title.len()).collect();
    for row in &grid.rows {
        for (width, cell) in widths.iter_mut().zip(row) {
            *width = Span::raw(cell.text.as_str()).width().max(*width);
        }
    }
    let kinds: Vec<_> = grid.titles.iter().map(|(_, kind)| *kind).collect();
    let aligned = |text: String, tone, kind| {
        let side = if kind == Kind::Number {
            Alignment::Right
        } else {
            Alignment::Left
        };
        Cell::from(Text::styled(text, style(tone)).alignment(side))
    };
    let titles = grid.titles.iter();
    let titles = titles.map(|(title, kind)| aligned((*title).to_owned(), Tone::Heading, *kind));
    let rows = grid.rows.into_iter().map(|row| {
        let cells = row.into_iter().zip(&kinds);
        Row::new(cells.map(|(cell, kind)| aligned(cell.text, cell.tone, *kind)))
    });
    let bounds = widths.into_iter().zip(&kinds).map(|(width, kind)| {
        let width = u16::try_from(width).unwrap_or(u16::MAX);
        match kind {
            Kind::Elastic => Constraint::Max(width),
            Kind::Number | Kind::Word => Constraint::Length(width),
        }
    });
    let table = Table::new(rows, bounds.collect::<Vec<_>>())
        .header(Row::new(titles))
        .column_spacing(2)
        .row_highlight_style(Style::new().add_modifier(Modifier::REVERSED));
    let mut state = TableState::new().with_selected(selected);
    frame.render_stateful_widget(table, area, &mut state);
}

/// A question, or what came of the last order.
fn last_line(screen: &Screen) -> Paragraph<'static> {
    let (text, tone) = match &screen.question {
        Some(question) => (format!("{} y/n", visible(&question.text)), Tone::Warning),
        None => (visible(&screen.said).into_owned(), Tone::Plain),
    };
    Paragraph::new(text)
        .style(style(tone))
        .wrap(Wrap { trim: true })
}

fn keys_of(view: View) -> String {
    let acts = match view {
        View::Pools => "  p pause  r resume  f refresh",
        View::Holders => "  k kill  f refresh",
        View::Hosts => "  w switch",
        View::Backends => "  d drain or serve",
        View::Workers => "",
    };
    format!("q quit  tab view  ↑↓ select  s sort  o reverse{acts}")
}
