//! `erawan bench jobs`: to be written below.
