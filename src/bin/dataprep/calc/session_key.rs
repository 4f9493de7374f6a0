use emv_dataprep::bytes::hex_upper;

use super::answer::Answer;
use super::arguments::{self, Common};
use super::card_key::{self, CardKeyArgs, Diversifier, Session};
use super::icc_key::MASTERS;
use super::steps;
use crate::failure::Failure;

/// Session key from an issuer master key or an ICC master key
#[derive(clap::Args)]
#[command(after_help = "The key itself is shown with --explain, else its check value alone.\n\n\
Example: dataprep calc session-key --test-key 0123456789ABCDEFFEDCBA9876543210 --key-is mk --session csk --atc 001C --explain")]
pub struct Args {
    #[command(flatten)]
    pub common: Common,
    #[command(flatten)]
    card: CardKeyArgs,
    /// Cryptogram version, which says the method of the application cryptogram
    #[arg(long, value_name = "BYTE")]
    cvn: Option<String>,
    /// Application transaction counter (9F36)
    #[arg(long, value_name = "HEX")]
    atc: Option<String>,
    /// Unpredictable number (9F37), for Mastercard's method
    #[arg(long, value_name = "HEX")]
    un: Option<String>,
    /// Application cryptogram (9F26), for the secure messaging keys of csk-sm
    #[arg(long, value_name = "HEX")]
    ac: Option<String>,
    /// Initial value of the EMV2000 tree, 16 bytes (default zeros)
    #[arg(long, value_name = "HEX")]
    iv: Option<String>,
}

pub fn answer(args: &Args) -> Result<Answer, Failure> {
    let mut answer = Answer::new("session-key");
    let version = args.cvn.as_deref().map(card_key::version).transpose()?;
    let session = args.card.session(version.map(|v| Session::from(v.session())))?;
    let with = Diversifier {
        atc: args.atc.as_deref().map(|t| arguments::array("atc", t)).transpose()?,
        un: args.un.as_deref().map(|t| arguments::array("un", t)).transpose()?,
        cryptogram: args.ac.as_deref().map(|t| arguments::array("ac", t)).transpose()?,
        iv: args.iv.as_deref().map_or(Ok([0; 16]), |t| arguments::array("iv", t))?,
    };
    let reading = args.card.load(&args.common, MASTERS, session, with, &mut answer)?;
    if reading.is == arguments::KeyIs::Sk {
        return Err(Failure::usage("--key-is sk: the session key is what is computed here"));
    }
    let sk = reading.explain(&mut answer)?;
    answer.ends_in(&hex_upper(sk.expose()))?;
    if args.common.explain {
        answer.result("session key", hex_upper(sk.expose()));
    }
    answer.result("session key KCV", steps::kcv(&sk, !session.is_aes())?);
    Ok(answer)
}
