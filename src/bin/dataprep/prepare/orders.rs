//! Where the orders come from.

use std::path::Path;

use emv_dataprep::batch::{self, InputSource, Spool};
use emv_dataprep::bytes::hex_upper;
use emv_dataprep::crypto::rng::{Purpose, Seed};

use crate::failure::Failure;

/// The orders; their digest and their length where these are known before they are read.
pub(super) type Orders = (InputSource, Option<[u8; 32]>, Option<u64>);

pub(super) fn source(orders: &Path, must_be_known: bool) -> Result<Orders, Failure> {
    if orders.as_os_str() == "-" {
        if !must_be_known {
            return Ok((Box::new(std::io::stdin()), None, None));
        }
        let nonce = Seed::from_os()?.named_stream(b"spool name", Purpose::Envelope).rng().bytes::<8>();
        let path = std::env::temp_dir().join(format!("dataprep-{}", hex_upper(&nonce)));
        let spool = Spool::new(std::io::stdin().lock(), &path)?;
        let (digest, length) = (spool.digest(), spool.bytes());
        return Ok((spool.reader()?, Some(digest), Some(length)));
    }
    let at = |e: std::io::Error| Failure::stopped(format!("read {}: {e}", orders.display()));
    let file = std::fs::File::open(orders).map_err(at)?;
    let metadata = file.metadata().map_err(at)?;
    let is_file = metadata.is_file();
    if orders.is_dir() {
        return Err(Failure::usage(format!("--orders {}: is a folder", orders.display())));
    }
    let known = if is_file { Some(batch::file_digest(orders)?) } else { None };
    if known.is_none() && must_be_known {
        return Err(Failure::usage("--seed needs orders from a file or from standard input"));
    }
    Ok((Box::new(file), known, is_file.then_some(metadata.len())))
}
