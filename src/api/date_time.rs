//! Date and time as the replaced system accepts them: RFC 3339, also without a zone
//! or with a blank before the time (spec/http-api.md 3.3).

use time::{Date, Month, PrimitiveDateTime, Time, UtcOffset};

/// Name of the format in schemas.
pub const FORMAT: &str = "date-time";

/// The parts of a text that has the format.
struct Parts {
    date: Date,
    /// Hour, minute, second; 23:59:60 is allowed.
    time: (u8, u8, u8),
    milliseconds: u16,
    /// Hours and minutes; `None` without a zone.
    zone: Option<(i8, i8)>,
}

/// Whether a text has the format.
pub fn is_date_time(text: &str) -> bool {
    parts(text).is_some()
}

/// Unix time in milliseconds. A text without a zone is taken as UTC: the ledger
/// refuses such a text anyway.
pub fn unix_milliseconds(text: &str) -> Option<i128> {
    let parts = parts(text)?;
    let (hour, minute, second) = parts.time;
    let time = Time::from_hms_milli(hour, minute, second, parts.milliseconds).ok()?;
    let (hours, minutes) = parts.zone.unwrap_or_default();
    let zone = UtcOffset::from_hms(hours, minutes, 0).ok()?;
    let instant = PrimitiveDateTime::new(parts.date, time).assume_offset(zone);
    Some(instant.unix_timestamp_nanos() / 1_000_000)
}

fn parts(text: &str) -> Option<Parts> {
    let date = text.get(..10)?;
    let mut rest = text.get(10..)?.chars();
    let separator = rest.next()?;
    let is_separator = separator.eq_ignore_ascii_case(&'t') || separator.is_whitespace();
    if !is_separator {
        return None;
    }
    let rest = rest.as_str();
    let time = time(rest.get(..8)?)?;
    let (milliseconds, rest) = fraction(rest.get(8..)?)?;
    let zone = match rest {
        "" => None,
        _ => Some(zone(rest)?),
    };
    Some(Parts {
        date: self::date(date)?,
        time,
        milliseconds,
        zone,
    })
}

/// Numbers with a fixed number of digits, and separators between them.
fn numbers<const N: usize>(text: &str, separator: char, digits: [usize; N]) -> Option<[u32; N]> {
    let mut fields = text.split(separator);
    let mut numbers = [0; N];
    for (number, digits) in numbers.iter_mut().zip(digits) {
        let field = fields.next()?;
        let is_number = field.len() == digits && field.bytes().all(|byte| byte.is_ascii_digit());
        *number = field.parse().ok().filter(|_| is_number)?;
    }
    fields.next().is_none().then_some(numbers)
}

fn date(text: &str) -> Option<Date> {
    let [year, month, day] = numbers(text, '-', [4, 2, 2])?;
    let month = Month::try_from(u8::try_from(month).ok()?).ok()?;
    Date::from_calendar_date(i32::try_from(year).ok()?, month, u8::try_from(day).ok()?).ok()
}

fn time(text: &str) -> Option<(u8, u8, u8)> {
    let [hour, minute, second] = numbers(text, ':', [2, 2, 2])?;
    let is_time = hour <= 23 && minute <= 59 && second <= 59;
    let is_leap_second = (hour, minute, second) == (23, 59, 60);
    let small = |number: u32| u8::try_from(number).ok();
    match is_time || is_leap_second {
        true => Some((small(hour)?, small(minute)?, small(second)?)),
        false => None,
    }
}

/// Milliseconds, and the text after the fraction, if there is one.
fn fraction(text: &str) -> Option<(u16, &str)> {
    let Some(rest) = text.strip_prefix('.') else {
        return Some((0, text));
    };
    let digits = rest.bytes().take_while(u8::is_ascii_digit).count();
    if digits == 0 {
        return None;
    }
    let (fraction, rest) = rest.split_at(digits);
    let milliseconds = format!("{fraction:0<3}");
    Some((milliseconds.get(..3)?.parse().ok()?, rest))
}

/// `z`, `+07`, `+0700` or `+07:00`.
fn zone(text: &str) -> Option<(i8, i8)> {
    if text.eq_ignore_ascii_case("z") {
        return Some((0, 0));
    }
    let (sign, rest) = match text.split_at_checked(1)? {
        ("+", rest) => (1, rest),
        ("-", rest) => (-1, rest),
        _ => return None,
    };
    let digits = rest.replacen(':', "", 1);
    let is_written_so = matches!(rest.len(), 2 | 4) && !rest.contains(':')
        || rest.len() == 5 && rest.as_bytes()[2] == b':';
    if !is_written_so || !digits.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    let hours: i8 = digits.get(..2)?.parse().ok()?;
    let minutes: i8 = match digits.get(2..) {
        None | Some("") => 0,
        Some(minutes) => minutes.parse().ok()?,
    };
    Some((sign * hours, sign * minutes))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn texts_are_read_as_the_replaced_system_reads_them() {
        let noon = Some(1_798_632_000_000);
        for (text, expected) in [
            ("2026-12-30T12:00:00Z", noon),
            ("2026-12-30t12:00:00z", noon),
            ("2026-12-30 12:00:00.000Z", noon),
            ("2026-12-30T19:00:00+07:00", noon),
            ("2026-12-30T19:00:00+0700", noon),
            ("2026-12-30T19:00:00+07", noon),
            ("2026-12-30T06:30:00-05:30", noon),
            ("2026-12-30T12:00:00", noon),
            ("2026-12-30T12:00:00.0009Z", noon),
            ("2026-12-30T12:00:00.5Z", noon.map(|noon| noon + 500)),
            ("2024-02-29T00:00:00Z", Some(1_709_164_800_000)),
            // A format, and no instant.
            ("2026-12-31T23:59:60Z", None),
            ("2026-12-30T12:00:00+99:00", None),
        ] {
            assert!(is_date_time(text), "{text}");
            assert_eq!(unix_milliseconds(text), expected, "{text}");
        }
        for text in [
            "",
            "2026-12-30",
            "2026-02-29T00:00:00Z",
            "2026-13-01T00:00:00Z",
            "2026-12-30T24:00:00Z",
            "2026-12-30T12:60:00Z",
            "2026-12-30T12:00Z",
            "2026-12-30T12:00:00.Z",
            "2026-12-30T12:00:00+7",
            "2026-12-30T12:00:00+07:0",
            "2026-12-30T12:00:00+:0700",
            "2026-12-30T12:00:00 +07:00",
            "2026-12-30x12:00:00Z",
            "2026-1-30T12:00:00Z",
            "+026-12-30T12:00:00Z",
            "2026-12-30T12:00:00Zz",
            "30 Dec 2026",
        ] {
            assert!(!is_date_time(text), "{text}");
        }
    }

    proptest! {
        #[test]
        fn any_text_is_read_without_panic(text in "\\PC*", digits in "[-0-9T:.+Zz ก]{0,30}") {
            for text in [text, digits] {
                prop_assert!(unix_milliseconds(&text).is_none() || is_date_time(&text));
            }
        }

        #[test]
        fn every_instant_in_rfc_3339_is_itself(seconds in -62_135_596_800i64..253_402_300_799) {
            let instant = time::OffsetDateTime::from_unix_timestamp(seconds).unwrap();
            let text = instant.format(&time::format_description::well_known::Rfc3339).unwrap();
            prop_assert_eq!(unix_milliseconds(&text), Some(i128::from(seconds) * 1000));
        }
    }
}
