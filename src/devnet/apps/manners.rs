//! How client applications answer callbacks. Real ones stand behind proxies and
//! frameworks that compress, chunk and redirect; they are slow, hang up without
//! an answer, and say a thing twice. The n-th callback of a seed is always
//! answered in the same manner.

use std::time::Duration;

use crate::simulation::Chance;

/// One of this many callbacks is answered late, in chaos.
const LATE: u64 = 12;
/// Longest delay, in milliseconds.
const LATEST: u64 = 3_000;
/// One of this many callbacks gets no answer to its first try, in chaos.
const SILENT: u64 = 100;
/// One of this many requests is answered twice by IdP or AS, in chaos.
const TWICE: u64 = 8;

/// How all callbacks are answered.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Manners {
    /// As plainly as HTTP allows: for measurements.
    Plain,
    /// As most servers do, without losing time.
    Harmless {
        /// Gives the same again.
        seed: u64,
    },
    /// Also late, never or twice.
    Bad {
        /// Gives the same again.
        seed: u64,
    },
}

/// How one callback is answered.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Manner {
    /// Compression of the answer.
    pub coding: Coding,
    /// The body comes in chunks, without a length.
    pub chunked: bool,
    /// Its text is UTF-16, as its header says.
    pub utf_16: bool,
    /// The client is redirected first, with this status.
    pub redirect: Option<u16>,
    /// Delay of the answer.
    pub late: Duration,
    /// The first try is accepted and gets no answer.
    pub silent: bool,
    /// The application sends its answer to the request twice.
    pub twice: bool,
}

/// Compression of a body (`Content-Encoding`).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, PartialOrd, Ord)]
pub enum Coding {
    /// None.
    #[default]
    Identity,
    /// RFC 1952.
    Gzip,
    /// RFC 1950, as HTTP means it.
    Deflate,
    Brotli,
}

const CODINGS: [Coding; 4] = [
    Coding::Identity,
    Coding::Gzip,
    Coding::Deflate,
    Coding::Brotli,
];
/// Every second callback is not redirected.
const REDIRECTS: [Option<u16>; 10] = [
    Some(301),
    Some(302),
    Some(303),
    Some(307),
    Some(308),
    None,
    None,
    None,
    None,
    None,
];

impl Manners {
    /// That of the callback with this number.
    pub fn of(self, number: u64) -> Manner {
        let (seed, is_bad) = match self {
            Manners::Plain => return Manner::default(),
            Manners::Harmless { seed } => (seed, false),
            Manners::Bad { seed } => (seed, true),
        };
        let mut chance = Chance::new(seed ^ number.wrapping_mul(0x9E37_79B9_7F4A_7C15));
        let harmless = Manner {
            coding: CODINGS[chance.below(CODINGS.len() as u64) as usize],
            chunked: chance.one_in(2),
            utf_16: chance.one_in(4),
            redirect: REDIRECTS[chance.below(REDIRECTS.len() as u64) as usize],
            ..Manner::default()
        };
        if !is_bad {
            return harmless;
        }
        let late = match chance.one_in(LATE) {
            true => Duration::from_millis(chance.below(LATEST)),
            false => Duration::ZERO,
        };
        Manner {
            late,
            silent: chance.one_in(SILENT),
            twice: chance.one_in(TWICE),
            ..harmless
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn a_seed_always_gives_the_same_manners_and_all_of_them_come_up() {
        let all = |manners: Manners| (0..2000).map(move |number| manners.of(number));
        let bad: Vec<Manner> = all(Manners::Bad { seed: 7 }).collect();
        assert!(all(Manners::Bad { seed: 7 }).eq(bad.iter().cloned()));
        assert!(all(Manners::Bad { seed: 8 }).ne(bad.iter().cloned()));
        let codings: BTreeSet<Coding> = bad.iter().map(|manner| manner.coding).collect();
        assert_eq!(codings.len(), CODINGS.len());
        let redirects: BTreeSet<u16> = bad.iter().filter_map(|manner| manner.redirect).collect();
        assert_eq!(redirects.len(), 5);
        type Has = fn(&Manner) -> bool;
        let harmless: [Has; 2] = [|manner| manner.chunked, |manner| manner.utf_16];
        let worse: [Has; 3] = [
            |manner| !manner.late.is_zero(),
            |manner| manner.silent,
            |manner| manner.twice,
        ];
        for has in harmless.iter().chain(&worse) {
            assert!(bad.iter().any(has) && !bad.iter().all(has));
        }
        let kind: Vec<Manner> = all(Manners::Harmless { seed: 7 }).collect();
        assert!(worse.iter().all(|has| !kind.iter().any(has)));
        assert!(all(Manners::Plain).all(|manner| manner == Manner::default()));
    }
}
