//! The Thai identification number (spec/http-api.md 3.1).

/// Namespace whose identifiers are Thai identification numbers.
pub const CITIZEN_ID: &str = "citizen_id";

const DIGITS: usize = 13;

/// Whether the identifier has 13 digits and the last one is the right check digit.
pub fn is_thai_id(identifier: &str) -> bool {
    let Some(digits) = identifier
        .chars()
        .map(|character| character.to_digit(10))
        .collect::<Option<Vec<u32>>>()
    else {
        return false;
    };
    let [weighted @ .., check] = digits.as_slice() else {
        return false;
    };
    if digits.len() != DIGITS {
        return false;
    }
    let sum: u32 = weighted
        .iter()
        .zip((2..=13).rev())
        .map(|(digit, weight)| digit * weight)
        .sum();
    let remainder = sum % 11;
    let expected = if remainder <= 1 {
        1 - remainder
    } else {
        11 - remainder
    };
    *check == expected
}

/// Whether `VALIDATE_IDENTIFIER` accepts the identifier (20096 otherwise).
pub fn is_acceptable(namespace: &str, identifier: &str) -> bool {
    namespace != CITIZEN_ID || is_thai_id(identifier)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_check_digit_decides() {
        assert!(is_thai_id("1345951597671"));
        for wrong in [
            "1345951597672",
            "1234567890123",
            "134595159767",
            "13459515976711",
            "134595159767x",
            "",
            "abc",
        ] {
            assert!(!is_thai_id(wrong), "{wrong}");
        }
    }

    #[test]
    fn exactly_one_of_ten_last_digits_is_right() {
        for stem in ["000000000000", "110170020730", "999999999999"] {
            let right = (0..10)
                .filter(|last| is_thai_id(&format!("{stem}{last}")))
                .count();
            assert_eq!(right, 1, "{stem}");
        }
    }

    #[test]
    fn other_namespaces_are_not_checked() {
        assert!(is_acceptable("passport_num", "AA12345"));
        assert!(!is_acceptable("citizen_id", "AA12345"));
    }
}
