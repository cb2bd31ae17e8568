//! Command line of erawan.

fn main() {}
