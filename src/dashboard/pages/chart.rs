//! Lines over the last minutes, drawn as SVG.

use std::fmt::Write;

use maud::{Markup, html};

use super::parts::number;
use crate::dashboard::seen::REMEMBERED;

const WIDTH: f64 = 600.0;
const HEIGHT: f64 = 150.0;
/// Room above the highest value.
const TOP: f64 = 10.0;

/// A line of a chart: its name, its class in the style, and a value a sample.
pub(super) struct Line {
    pub name: &'static str,
    pub class: &'static str,
    pub values: Vec<Option<f64>>,
}

/// A chart with its newest values in words.
pub(super) fn chart(title: &str, unit: &str, lines: &[Line]) -> Markup {
    let all = lines.iter().flat_map(|line| line.values.iter().flatten());
    let highest = round_up(all.copied().fold(0.0, f64::max));
    let newest: Vec<(&Line, Option<f64>)> = lines
        .iter()
        .map(|line| (line, line.values.last().copied().flatten()))
        .collect();
    let in_words: Vec<String> = newest
        .iter()
        .map(|(line, value)| format!("{} {}", line.name, figure(*value)))
        .collect();
    html! {
        figure.chart {
            figcaption {
                span.title { (title) " " span.quiet { (unit) } }
                span.legend {
                    @for (line, value) in &newest {
                        span.key.(line.class) {
                            (line.name) " " b { (figure(*value)) }
                        }
                    }
                }
            }
            svg viewBox={ "0 0 " (WIDTH) " " (HEIGHT) } preserveAspectRatio="none" role="img"
                aria-label={ (title) ", " (unit) ", last minutes; now: " (in_words.join(", ")) } {
                @for part in [0.0, 0.5, 1.0] {
                    @let y = height(part * highest, highest);
                    line.grid x1="0" x2=(WIDTH) y1=(y) y2=(y) {}
                }
                @for (index, line) in lines.iter().enumerate() {
                    @if index == 0 {
                        path.area.(line.class) d=(area(&line.values, highest)) {}
                    }
                    path.line.(line.class) d=(stroke(&line.values, highest)) {}
                }
            }
            div.scale aria-hidden="true" {
                span { (figure(Some(highest))) }
                span { (figure(Some(highest / 2.0))) }
                span { "0" }
            }
        }
    }
}

/// A value as people read it.
pub(super) fn figure(value: Option<f64>) -> String {
    match value {
        None => "–".to_owned(),
        Some(value) if value >= 100.0 || value.fract() == 0.0 => number(value.round() as u64),
        Some(value) => format!("{value:.1}"),
    }
}

/// The next number that is easy to read: 1, 2, 5, 10, 20, …
fn round_up(value: f64) -> f64 {
    if value <= 1.0 {
        return 1.0;
    }
    let base = 10f64.powf(value.log10().floor());
    let steps = [1.0, 2.0, 5.0, 10.0].map(|step| step * base);
    let fitting = steps.into_iter().find(|step| *step >= value);
    fitting.unwrap_or(value)
}

fn height(value: f64, highest: f64) -> f64 {
    let part = (value / highest).clamp(0.0, 1.0);
    let y = HEIGHT - part * (HEIGHT - TOP) - 1.0;
    (y * 10.0).round() / 10.0
}

/// The newest sample stands at the right edge.
fn place(index: usize, count: usize) -> f64 {
    let step = WIDTH / (REMEMBERED - 1) as f64;
    let x = WIDTH - (count - 1 - index) as f64 * step;
    (x * 10.0).round() / 10.0
}

/// Where there is no value, the line has a gap.
fn stroke(values: &[Option<f64>], highest: f64) -> String {
    let mut path = String::new();
    let mut is_drawing = false;
    for (index, value) in values.iter().enumerate() {
        let Some(value) = value else {
            is_drawing = false;
            continue;
        };
        let (x, y) = (place(index, values.len()), height(*value, highest));
        let command = if is_drawing { 'L' } else { 'M' };
        // Writing to a String cannot fail.
        let _ = write!(path, "{command}{x} {y}");
        is_drawing = true;
    }
    path
}

fn area(values: &[Option<f64>], highest: f64) -> String {
    let known: Vec<(usize, f64)> = values
        .iter()
        .enumerate()
        .filter_map(|(index, value)| Some((index, (*value)?)))
        .collect();
    let (Some((first, _)), Some((last, _))) = (known.first(), known.last()) else {
        return String::new();
    };
    let mut path = format!("M{} {HEIGHT}", place(*first, values.len()));
    for (index, value) in &known {
        let (x, y) = (place(*index, values.len()), height(*value, highest));
        // As above.
        let _ = write!(path, "L{x} {y}");
    }
    let _ = write!(path, "L{} {HEIGHT}Z", place(*last, values.len()));
    path
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn scales_end_at_numbers_that_are_easy_to_read() {
        for (value, end) in [
            (0.0, 1.0),
            (1.5, 2.0),
            (3.0, 5.0),
            (72.0, 100.0),
            (120.0, 200.0),
        ] {
            assert_eq!(round_up(value), end);
        }
    }

    #[test]
    fn a_line_has_a_gap_where_nothing_is_known() {
        let path = stroke(&[Some(1.0), Some(2.0), None, Some(1.0)], 2.0);
        assert_eq!(path.matches('M').count(), 2);
        assert_eq!(path.matches('L').count(), 1);
        assert!(path.ends_with(&format!("M600 {}", height(1.0, 2.0))));
        assert_eq!(area(&[None], 1.0), "");
    }
}
