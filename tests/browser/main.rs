//! The dashboard: its access rules over plain HTTP, its pages in a real browser,
//! and what it costs. Screenshots are kept in `target/screenshots`.

mod access;
mod check;
mod cost;
#[path = "../support/memory_store.rs"]
mod memory_store;
mod node;
mod pages;
mod scripts;
mod webdriver;
