//! Small parts of pages.

use std::time::Duration;

use maud::{Markup, html};
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

use crate::job::Millis;
use crate::operator::JobState;

/// An instant, and how long ago it was or how far away it is.
pub(super) fn instant(millis: u64) -> Markup {
    let written = rfc3339(millis);
    let shown = written.replace('T', " ").replace('Z', "");
    let now = Millis::now();
    let at = Millis(millis);
    let distance = match at > now {
        true => format!("in {}", span(now.until(at))),
        false => format!("{} ago", span(at.until(now))),
    };
    html! {
        time datetime=(written) title={ (written) } { (shown) }
        " " span.quiet { (distance) }
    }
}

/// Only how long ago it was, with the instant as a hint.
pub(super) fn age(millis: u64) -> Markup {
    let written = rfc3339(millis);
    let ago = span(Millis(millis).until(Millis::now()));
    html! { time datetime=(written) title=(written) { (ago) } }
}

fn rfc3339(millis: u64) -> String {
    let seconds = i64::try_from(millis / 1000).ok();
    let instant = seconds.and_then(|seconds| OffsetDateTime::from_unix_timestamp(seconds).ok());
    let text = instant.and_then(|instant| instant.format(&Rfc3339).ok());
    text.unwrap_or_default()
}

/// `850 ms`, `12 s`, `3 min`, `4 h`, `2 d`
pub(super) fn span(span: Duration) -> String {
    let seconds = span.as_secs();
    match seconds {
        0 => format!("{} ms", span.as_millis()),
        1..120 => format!("{seconds} s"),
        120..7200 => format!("{} min", seconds / 60),
        7200..172_800 => format!("{} h", seconds / 3600),
        _ => format!("{} d", seconds / 86_400),
    }
}

/// `1 234 567`, with narrow spaces that do not break.
pub(super) fn number(number: u64) -> String {
    let digits = number.to_string();
    let mut grouped = String::with_capacity(digits.len() + digits.len());
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index).is_multiple_of(3) {
            grouped.push('\u{202f}');
        }
        grouped.push(digit);
    }
    grouped
}

/// `17 B`, `1.4 kB`, `23 MB`
pub(super) fn bytes(bytes: u64) -> String {
    let scaled = |unit: f64| bytes as f64 / unit;
    match bytes {
        0..1000 => format!("{bytes} B"),
        1000..1_000_000 => format!("{:.1} kB", scaled(1e3)),
        1_000_000..1_000_000_000 => format!("{:.1} MB", scaled(1e6)),
        _ => format!("{:.1} GB", scaled(1e9)),
    }
}

/// The state of a job, in a word and a colour.
pub(super) fn state(state: JobState) -> Markup {
    let word = state_word(state);
    html! { span.state.(word) { (word) } }
}

pub(super) fn state_word(state: JobState) -> &'static str {
    match state {
        JobState::Open => "open",
        JobState::Waiting => "waiting",
        JobState::Parked => "parked",
        JobState::Failed => "failed",
    }
}

/// How much of something is in use.
pub(super) fn meter(label: &str, in_use: u32, capacity: u32) -> Markup {
    html! {
        span.meter {
            progress aria-label=(label) value=(in_use) max=(capacity.max(1)) {}
            span.figures { (in_use) span.quiet { " / " (capacity) } }
        }
    }
}

/// A table that scrolls sideways by itself where there is little room.
pub(super) fn table(caption: &str, head: &[&str], rows: &Markup) -> Markup {
    html! {
        div.scroll role="region" aria-label=(caption) tabindex="0" {
            table {
                caption { (caption) }
                thead { tr { @for name in head { th scope="col" { (name) } } } }
                tbody { (rows) }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn figures_are_short() {
        assert_eq!(number(7), "7");
        assert_eq!(number(1_234_567), "1\u{202f}234\u{202f}567");
        assert_eq!(bytes(999), "999 B");
        assert_eq!(bytes(1_400), "1.4 kB");
        let spans = [0, 12, 300, 7200, 200_000].map(|of| span(Duration::from_secs(of)));
        assert_eq!(spans, ["0 ms", "12 s", "5 min", "2 h", "2 d"]);
    }
}
