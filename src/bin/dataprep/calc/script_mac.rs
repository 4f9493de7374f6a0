use emv_dataprep::bytes::hex_upper;
use emv_dataprep::crypto::mac::Padding;
use emv_dataprep::issuer::script::{self, ScriptContext};
use emv_dataprep::keys::KeyUse;

use super::answer::{Answer, Step};
use super::arguments::{self, Common};
use super::card_key::{self, CardKeyArgs, Diversifier, Reading, Session};
use super::cipher::Cipher;
use super::readings::{self, Others};
use super::search::{Choice, Found, search};
use super::steps;
use crate::failure::Failure;

/// MAC of an issuer script command
#[derive(clap::Args)]
#[command(
    after_help = "The key is that of secure messaging integrity (SMI), not that of the application cryptogram.\n\n\
Example: dataprep calc script-mac --test-key 9B7640FBC1F892D3838631328C7932F4 --key-is sk --cvn 22 --header 8424000210 \
--atc 0016 --ac D17B15836FAB99A2 --data AB926022634A4AA1 --len 8 --explain"
)]
pub struct Args {
    #[command(flatten)]
    pub common: Common,
    #[command(flatten)]
    card: CardKeyArgs,
    /// Cryptogram version: says the session key of secure messaging
    #[arg(long, value_name = "BYTE")]
    cvn: Option<String>,
    /// CLA INS P1 P2 Lc; Lc counts the MAC
    #[arg(long, value_name = "HEX")]
    header: String,
    /// Command data before the MAC, enciphered where the command says so
    #[arg(long, value_name = "HEX", default_value = "")]
    data: String,
    /// Application transaction counter (9F36)
    #[arg(long, value_name = "HEX")]
    atc: Option<String>,
    /// Application cryptogram (9F26): with the ATC it stands between header and data
    #[arg(long, value_name = "HEX")]
    ac: Option<String>,
    /// Neither ATC nor application cryptogram enters the MAC
    #[arg(long)]
    command_only: bool,
    /// Bytes of the MAC, 4 to 8
    #[arg(long, default_value_t = 8)]
    len: usize,
    /// A MAC to compare with
    #[arg(long, value_name = "HEX")]
    check: Option<String>,
}

pub fn answer(args: &Args) -> Result<Answer, Failure> {
    let mut answer = Answer::new("script-mac");
    let version = args.cvn.as_deref().map(card_key::version).transpose()?;
    let session = args.card.session(version.map(Session::of_scripts))?;
    let header: [u8; 5] = arguments::array("header", &args.header)?;
    let data = arguments::hex("data", &args.data)?;
    let check = args.check.as_deref().map(|c| arguments::hex("check", c)).transpose()?;
    let with = Diversifier {
        atc: args.atc.as_deref().map(|t| arguments::array("atc", t)).transpose()?,
        cryptogram: args.ac.as_deref().map(|t| arguments::array("ac", t)).transpose()?,
        ..Diversifier::default()
    };
    let context = match (args.command_only, with.atc, with.cryptogram) {
        (true, ..) => ScriptContext::Command,
        (false, Some(atc), Some(cryptogram)) => ScriptContext::Transaction { atc, cryptogram },
        _ => return Err(Failure::usage("--atc and --ac are needed (or --command-only)")),
    };
    let reading = args.card.load(&args.common, &[KeyUse::ImkSmi], session, with, &mut answer)?;
    let [.., lc] = header;
    if usize::from(lc) != data.len().saturating_add(args.len) {
        answer.note("Lc of the header is not the length of data and MAC together");
    }
    let sk = reading.explain(&mut answer)?;
    let key = Cipher::of(session, &sk)?;
    let input = script::mac_input(header, context, &data);
    let mut step = Step::new(
        "The data: header, then ATC and application cryptogram, then data",
        "EMV 4.4 Book 2, 9.2.3",
    )
    .with("header", hex_upper(&header));
    if let ScriptContext::Transaction { atc, cryptogram } = context {
        step = step.with("ATC", hex_upper(&atc)).with("application cryptogram", hex_upper(&cryptogram));
    }
    answer.step(step.with("data", steps::in_blocks(&data)).gives("input", steps::in_blocks(&input)));
    let whole = key.explain_mac(&mut answer, &input, "MAC")?;
    let mac = match &key {
        Cipher::Tdes(tdes) => script::mac(tdes, header, context, &data, args.len)?,
        Cipher::Aes(aes) => script::mac_aes(aes, header, context, &data, args.len)?,
    };
    answer.step(
        Step::new(format!("The leftmost {} bytes", args.len), "EMV 4.4 Book 2, 9.2.3")
            .with("MAC", hex_upper(&whole))
            .gives("MAC", whole.get(..args.len).map(hex_upper).unwrap_or_default()),
    );
    answer.ends_in(&hex_upper(&mac))?;
    answer.result("MAC", hex_upper(&mac));
    if let Some(given) = check {
        if !(4..=8).contains(&given.len()) {
            return Err(arguments::wrong("check", "four to eight bytes in hexadecimal"));
        }
        answer.check(&hex_upper(&given), &hex_upper(&mac), || {
            mistakes(&reading, header, context, &data, &given)
        });
    }
    Ok(answer)
}

const SESSIONS: [Session; 5] =
    [Session::CskSm, Session::CskSmAes, Session::VisaSm, Session::Csk, Session::Mk];

fn mistakes(right: &Reading, header: [u8; 5], context: ScriptContext, data: &[u8], given: &[u8]) -> Found {
    let others = Others::new(right, &SESSIONS);
    let mut inputs = vec![(String::new(), script::mac_input(header, context, data))];
    let [cla, ins, p1, p2, lc] = header;
    let len = u8::try_from(data.len()).unwrap_or(0);
    for (more, words) in [
        (0_u8, "Lc counts the data alone"),
        (4, "Lc counts a MAC of 4 bytes"),
        (8, "Lc counts a MAC of 8 bytes"),
    ] {
        let other = len.saturating_add(more);
        if other != lc {
            inputs.push((words.to_owned(), script::mac_input([cla, ins, p1, p2, other], context, data)));
        }
    }
    if cla & 0x04 == 0 {
        let words = "the class byte says secure messaging".to_owned();
        inputs.push((words, script::mac_input([cla | 0x04, ins, p1, p2, lc], context, data)));
    }
    if let (Some(atc), Some(cryptogram)) = (right.with.atc, right.with.cryptogram) {
        let words = |n: &str| format!("the MAC is over {n}");
        let whole = script::mac_input(header, ScriptContext::Transaction { atc, cryptogram }, data);
        match context {
            ScriptContext::Command => {
                inputs.push((words("header, ATC, application cryptogram and data"), whole))
            }
            ScriptContext::Transaction { .. } => {
                inputs.push((
                    words("header and data alone"),
                    script::mac_input(header, ScriptContext::Command, data),
                ));
                inputs.push((
                    words("header, application cryptogram and data"),
                    [header.as_slice(), &cryptogram, data].concat(),
                ));
                inputs.push((
                    words("application cryptogram, ATC, header and data"),
                    [cryptogram.as_slice(), &atc, &header, data].concat(),
                ));
            }
        }
    }
    let paddings = [Padding::Bit, Padding::Zeros];
    let mut choices = others.choices();
    choices.push(Choice::new(inputs.iter().skip(1).map(|(words, _)| words.clone())));
    choices.push(Choice::new(["the padding is method 1 (zeros)".to_owned()]));
    search(&choices, 3, None, |at| {
        let number = |choice: usize| at.get(choice).copied().unwrap_or(0);
        let key = Cipher::of_reading(&others.at(at, None));
        let input = inputs.get(number(readings::COUNT));
        let padding = paddings.get(number(readings::COUNT.saturating_add(1)));
        let (Some(key), Some((_, input)), Some(padding)) = (key, input, padding) else { return false };
        key.mac(*padding, input).is_ok_and(|mac| mac.starts_with(given))
    })
}
