//! A million jobs.
