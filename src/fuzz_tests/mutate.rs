//! Makes new inputs of old ones.

use rand::rngs::StdRng;
use rand::seq::IndexedRandom;
use rand::{Rng, SeedableRng};

/// Larger inputs tell nothing more and take longer.
const LARGEST: usize = 64 * 1024;

/// Numbers at the edges of what lengths, tags and counters can be.
const EDGES: [&[u8]; 12] = [
    &[0],
    &[0xff],
    &[0x7f],
    &[0x80],
    &[0xff, 0xff, 0xff, 0xff],
    &[0xff, 0xff, 0xff, 0xff, 0x0f],
    &[0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x01],
    // bincode: 16, 32 and 64 bits follow.
    &[0xfb, 0xff, 0xff],
    &[0xfc, 0xff, 0xff, 0xff, 0x7f],
    &[0xfd, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x7f],
    b"-1",
    b"1e999",
];

/// Text that has meaning to what reads it.
const WORDS: [&[u8]; 12] = [
    b"null",
    b"{}",
    b"[",
    b"]",
    b"\"",
    b"\\u0000",
    b"\\ud800",
    b"[[[[[[[[",
    b"{\"a\":",
    b"=",
    b";base64,",
    b"\xff\xfe",
];

pub(super) struct Mutator {
    random: StdRng,
    seeds: Vec<Vec<u8>>,
}

impl Mutator {
    pub fn new(seed: u64, seeds: Vec<Vec<u8>>) -> Self {
        Self {
            random: StdRng::seed_from_u64(seed),
            seeds,
        }
    }

    /// A seed with a few changes, most often one or two.
    pub fn input(&mut self) -> Vec<u8> {
        let mut input = self.seed();
        let mut changes = 1;
        while changes < 16 && self.random.random_bool(0.5) {
            changes += 1;
        }
        for _ in 0..changes {
            self.change(&mut input);
        }
        input.truncate(LARGEST);
        input
    }

    fn seed(&mut self) -> Vec<u8> {
        let seed = self.seeds.choose(&mut self.random);
        seed.cloned().unwrap_or_default()
    }

    /// A place in the input, or its end.
    fn place(&mut self, input: &[u8]) -> usize {
        self.random.random_range(0..=input.len())
    }

    fn range(&mut self, input: &[u8]) -> std::ops::Range<usize> {
        let start = self.place(input);
        let most = (input.len() - start).min(64);
        start..start + self.random.random_range(0..=most)
    }

    fn change(&mut self, input: &mut Vec<u8>) {
        let place = self.place(input);
        match self.random.random_range(0..9) {
            0 if place < input.len() => input[place] ^= 1 << self.random.random_range(0..8),
            1 if place < input.len() => input[place] = self.random.random(),
            2 => {
                let range = self.range(input);
                input.drain(range);
            }
            3 => {
                let range = self.range(input);
                let again = input[range].to_vec();
                input.splice(place..place, again);
            }
            4 => input.truncate(place),
            5 => {
                let edge = EDGES.choose(&mut self.random).copied().unwrap_or_default();
                let end = (place + edge.len()).min(input.len());
                input.splice(place..end, edge.iter().copied());
            }
            6 => {
                let word = WORDS.choose(&mut self.random).copied().unwrap_or_default();
                input.splice(place..place, word.iter().copied());
            }
            7 => {
                let other = self.seed();
                let range = self.range(&other);
                input.splice(place..place, other[range].iter().copied());
            }
            _ => {
                let added: [u8; 3] = self.random.random();
                input.splice(place..place, added);
            }
        }
    }
}
