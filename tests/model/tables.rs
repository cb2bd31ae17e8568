//! Single cases, one rule each.
