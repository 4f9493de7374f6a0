//! The `dataprep` program.
fn main() {}
