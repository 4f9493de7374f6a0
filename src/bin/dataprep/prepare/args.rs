//! The arguments of `dataprep prepare`.

use std::path::PathBuf;

use jiff::Timestamp;

use crate::progress;

/// Most positions in a block: one is in memory as a whole.
const MOST_BLOCK: u64 = 100_000;

/// Prepare the cards of an order stream
#[derive(clap::Args, Clone, Default)]
#[command(
    after_help = "Example: dataprep prepare --issuer demo/issuer --orders demo/orders.jsonl --out out --json"
)]
pub struct Args {
    /// The issuer directory
    #[arg(long, value_name = "DIR")]
    pub issuer: PathBuf,
    /// Orders: JSON Lines or a D1 request body, plain, gzip or zstd; - reads standard input
    #[arg(long, value_name = "FILE")]
    pub orders: PathBuf,
    /// The output folder: absent or empty
    #[arg(long, value_name = "DIR")]
    pub out: PathBuf,
    /// A fixed seed, 64 hexadecimal digits (test issuers)
    #[arg(long, value_name = "H64", value_parser = seed)]
    pub seed: Option<[u8; 32]>,
    /// The start of the batch, RFC 3339 (test issuers)
    #[arg(long, value_name = "RFC3339")]
    pub now: Option<Timestamp>,
    /// Leave the outer envelope out (test issuers)
    #[arg(long)]
    pub plain: bool,
    /// Complete the batch that stands in the output folder
    #[arg(long)]
    pub resume: bool,
    /// The ledger: what earlier batches have prepared is not made again; default what issuer.toml names
    #[arg(long, value_name = "FILE")]
    pub ledger: Option<PathBuf>,
    /// Who runs this, for the audit log; default the user id
    #[arg(long, value_name = "NAME")]
    pub operator: Option<String>,
    /// Why the batch is taken up again, for the audit log
    #[arg(long, value_name = "TEXT", requires = "resume")]
    pub reason: Option<String>,
    /// Another officer's approval of --resume (production), as officers approve makes one
    #[arg(long, value_name = "FILE", requires = "resume")]
    pub approval: Option<PathBuf>,
    /// Threads; default one for each core
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u16).range(1..=1024))]
    pub threads: Option<u16>,
    /// Positions in a block; default 1000
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(1..=MOST_BLOCK))]
    pub block: Option<u64>,
    /// Take ready RSA keys from the issuer's pool; cards for which it has none get fresh ones
    #[arg(long, conflicts_with = "seed")]
    pub pool: bool,
    /// Have every card read back by the second witness before it is sealed; default what issuer.toml says
    #[arg(long, conflicts_with = "no_verify")]
    pub verify: bool,
    /// Do not, whatever issuer.toml says
    #[arg(long)]
    pub no_verify: bool,
    /// Progress on standard error; default bar on a terminal, else none
    #[arg(long, value_name = "FORM", value_enum)]
    pub progress: Option<progress::Form>,
    /// The manifest on standard output
    #[arg(long)]
    pub json: bool,
}

fn seed(text: &str) -> Result<[u8; 32], String> {
    emv_dataprep::bytes::array_from_hex(text).map_err(|_| "64 hexadecimal digits are expected".to_owned())
}
