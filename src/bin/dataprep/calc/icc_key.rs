use emv_dataprep::bytes::hex_upper;
use emv_dataprep::keys::KeyUse;

use super::answer::Answer;
use super::arguments::{self, Common, Derivation};
use super::source::{KeyArgs, Origin};
use super::steps;
use crate::failure::Failure;

/// ICC master key from an issuer master key
#[derive(clap::Args)]
#[command(
    after_help = "The key itself is shown with --explain or for a --test-key, else its check value alone.\n\n\
Example: dataprep calc icc-key --test-key 0123456789ABCDEFFEDCBA9876543210 --derivation b --pan 12345678901234567 --psn 01 --explain"
)]
pub struct Args {
    #[command(flatten)]
    pub common: Common,
    #[command(flatten)]
    key: KeyArgs,
    /// Derivation option: a and b for TDES, c for AES
    #[arg(long, value_enum, default_value = "a", ignore_case = true)]
    derivation: Derivation,
    /// The PAN
    #[arg(long)]
    pan: String,
    /// PAN sequence number; absent is 00
    #[arg(long, value_name = "NN")]
    psn: Option<String>,
    /// A key check value to compare with (4 to 16 hexadecimal digits): exit code 3 if it differs, and the mistake that gives it
    #[arg(long, value_name = "HEX")]
    check: Option<String>,
}

/// Every issuer master key.
pub const MASTERS: &[KeyUse] =
    &[KeyUse::ImkAc, KeyUse::ImkSmi, KeyUse::ImkSmc, KeyUse::ImkDac, KeyUse::ImkIdn, KeyUse::ImkCvc3];

pub fn answer(args: &Args) -> Result<Answer, Failure> {
    let mut answer = Answer::new("icc-key");
    let pan = arguments::pan(&args.pan, &mut answer)?;
    let psn = arguments::psn(args.psn.as_deref())?;
    let loaded = args.key.load(&args.common, MASTERS)?;
    let option = args.derivation.into();
    let algorithm = steps::imk_algorithm(option, loaded.key.len())?;
    answer.result("PAN", pan.masked());
    loaded.describe(algorithm, &mut answer)?;
    let mk = steps::icc_master_key(&mut answer, option, &loaded.key, &pan, psn)?;
    answer.ends_in(&hex_upper(mk.expose()))?;
    if args.common.explain || loaded.origin == Origin::CommandLine {
        answer.result("ICC master key", hex_upper(mk.expose()));
    }
    let kcv = steps::kcv(&mk, algorithm.is_tdes())?;
    answer.result("ICC master key KCV", kcv.clone());
    if let Some(given) = &args.check {
        let given = hex_upper(&arguments::hex("check", given)?);
        let long = steps::long_kcv(&mk, algorithm.is_tdes())?;
        let computed = steps::cut(&long, &given)?;
        answer.check(&given, &computed, || {
            super::mistakes::of_icc_key(&loaded.key, algorithm, option, &pan, psn, &given)
        });
    }
    Ok(answer)
}
