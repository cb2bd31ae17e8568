//! Dates that the recorded client chose from its present.

use serde_json::Value;
use time::format_description::well_known::Rfc3339;
use time::{Duration, OffsetDateTime};

use crate::recording::{Area, What};

/// The areas with such dates, and the client's present when they began.
const PRESENT: &[(&str, &str)] = &[("41-v6-service_price", "2026-11-29T23:01:02Z")];
/// We play faster than was recorded: what was a moment too early must not be
/// late enough because the moments before it took less.
const FASTER: Duration = Duration::minutes(1);
/// Dates from here on are so far away that the present does not matter.
const FAR_AWAY: i32 = 2100;

/// Recorded dates of an area, and what they are if it begins now.
pub fn dates(area: &Area) -> Vec<(String, String)> {
    let Some((_, present)) = PRESENT.iter().find(|(name, _)| *name == area.name) else {
        return Vec::new();
    };
    let present = OffsetDateTime::parse(present, &Rfc3339).unwrap();
    let later = OffsetDateTime::now_utc() - present - FASTER;
    // Whole seconds: the fraction is written as it was.
    let later = Duration::seconds(later.whole_seconds());
    let mut dates: Vec<String> = area.records.iter().filter_map(date).collect();
    dates.sort();
    dates.dedup();
    let moved = dates.into_iter().filter_map(|date| {
        let read = OffsetDateTime::parse(&date, &Rfc3339).ok()?;
        let live = (read + later).format(&Rfc3339).ok()?;
        (read.year() < FAR_AWAY).then_some((date, live))
    });
    moved.collect()
}

fn date(record: &crate::recording::Record) -> Option<String> {
    let What::Call(call) = &record.what else {
        return None;
    };
    let date: &Value = &call.request["effective_datetime"];
    date.as_str().map(str::to_owned)
}
