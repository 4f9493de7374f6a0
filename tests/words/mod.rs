//! DES on whole words, from the tables of FIPS 46-3: the bit lists of `tests/plain` are too slow for the many operations
//! of card values.
#![allow(dead_code, reason = "each test uses some of them")]

pub(crate) mod des;
