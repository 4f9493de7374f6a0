use proptest::prelude::*;

use super::*;
use crate::issuer::ProtectMode;
use crate::output::formats::apdu::ScriptedCard;
use crate::output::reader::tests::any_card;
use crate::perso::{Completion, Protection, Script, ScriptPlan};

fn line() -> CardLine {
    CardLine::read(concat!(
        r#"{"format":"emv-dataprep/card/1","position":3,"cardId":"c-3","issuerRequestId":null,"#,
        r#""maskedPan":"476173******0010","channel":"CENTRAL","destination":"PC1","product":"p","profile":"q","#,
        r#""notAfter":"2026-04-15","transportKey":{"index":"0A","kcv":"08D7B4","algorithm":"TDES-2KEY"},"#,
        r#""chip":{"applications":[{"aid":"A0000000031010","interfaces":["contact"],"#,
        r#""dgis":[{"dgi":"9010","value":"0303","protection":"none"},"#,
        r#"{"dgi":"8010","value":"ABABABABABABABAB","protection":"transport"}]}]},"#,
        r#""magstripe":{"track1":null,"track2":"4761739001010010=29062010000","track3":null},"#,
        r#""print":{"pan":"4761739001010010"},"carrier":null,"packaging":null,"shipment":null}"#
    ))
    .unwrap()
}

const HEAD: &str = "reference c-3\nposition 3\npan 476173******0010\ntransport-key\ntransport-key-index 0A\n\
                    transport-key-algorithm TDES-2KEY\ntransport-key-kcv 08D7B4\napplication A0000000031010\n";

fn head(prefix: &str) -> String {
    HEAD.lines().map(|l| format!("{prefix}{l}\n")).collect()
}

#[test]
fn a_session_gets_the_groupings_and_the_name_of_their_key() {
    let data = line().personalization_data(ProtectMode::Cbc);
    let chip = line().chip();
    assert_eq!((data.card_reference.as_str(), data.not_after.iso().as_str()), ("c-3", "2026-04-15"));
    assert_eq!(data.transport.key.to_string(), "transport 0A");
    assert_eq!((data.transport.wrapped, data.transport.kcv.as_deref()), (None, Some("08D7B4")));
    assert_eq!(data.transport.mode, crate::keys::CipherMode::Cbc);
    assert_eq!(data.applications.len(), 1);
    // What the line says goes before what is configured, and every format of the chip takes it over.
    let mut said = line();
    said.transport_mode = Some(ProtectMode::Ecb);
    let data = said.personalization_data(ProtectMode::Cbc);
    assert_eq!(data.transport.mode, crate::keys::CipherMode::Ecb);
    assert_eq!(said.chip().transport.unwrap().mode, Some(ProtectMode::Ecb));
    assert_eq!(
        (&data.applications[0].aid, &data.applications[0].dgis),
        (&chip.applications[0].aid, &chip.applications[0].dgis)
    );
}

#[test]
fn dgi_lines_of_a_card() {
    let text = dgi_lines::write(&line().chip()).unwrap();
    let expected = format!(
        "#@ card\n{}#@ secret 8010\n# PIN try counter and limit\nDGI9010=0303\n# Reference PIN block\n\
         DGI8010=ABABABABABABABAB\n#@ end\n",
        head("#@ ")
    );
    assert_eq!(*text, expected);
    let whole = format!("{}// a remark\n{}{}", dgi_lines::header(), *text, *text);
    assert_eq!(dgi_lines::read(&whole).unwrap(), [line().chip(), line().chip()]);
}

#[test]
fn apdu_lines_of_a_card() {
    let scripted = ScriptedCard::of_line(&line()).unwrap();
    let text = apdu::write(&scripted).unwrap();
    let expected = format!(
        ".card\n{}# SELECT\n00A4040007A000000003101000\n# STORE DATA\n80E2000005901002 0303\n\
         # STORE DATA, to be reciphered\n.recipher E0 01\n.secret 8010 ABABABABABABABAB\n.end\n",
        head(".")
    );
    assert_eq!(*text, expected.replace("02 0303", "020303"));
    let whole = format!("{}{}", apdu::header(), *text);
    assert_eq!(apdu::read(&whole).unwrap(), [scripted]);
}

#[test]
fn lines_that_do_not_fit_are_refused_with_their_number() {
    let good = format!("{}{}", dgi_lines::header(), *dgi_lines::write(&line().chip()).unwrap());
    let cases = [
        ("dgi/1", "dgi/2", "line 1: this format is not known"),
        ("#@ card\n", "", "line 2: "),
        ("#@ end\n", "", "the end of the last card is missing"),
        ("#@ position 3\n", "#@ position 03\n", "line 4: "),
        ("#@ pan 476173******0010", "#@ pan 4761739001010010", "line 5: pan: "),
        ("#@ transport-key\n", "", "line 6: the line transport-key stands first"),
        ("#@ secret 8010\n", "#@ secret 8010 8000\n", "a secret DGI that was announced is missing"),
        ("DGI9010=0303", "DGI9010=030", "DGI 9010"),
        ("DGI9010=0303", "DGI8010=ABABABABABABABAB", "stands twice"),
        ("DGI8010=AB", "DGI8010=ABAB", "DGI 8010"),
        ("DGI9010=0303", "9010=0303", "this line is not known"),
        ("DGI9010=0303", "#@ pin 1234\nDGI9010=0303", "this line is not known"),
        ("#@ secret", "#@ position 4\n#@ secret", "stands twice"),
    ];
    for (from, to, message) in cases {
        assert!(good.contains(from), "{from}");
        let error = dgi_lines::read(&good.replacen(from, to, 1)).unwrap_err().to_string();
        assert!(error.contains(message), "{to}: {error}");
        assert!(!error.contains("4761739001010010") && !error.contains("ABAB"), "{error}");
    }
    assert!(dgi_lines::read("").is_err() && apdu::read("").is_err());
    let good =
        format!("{}{}", apdu::header(), *apdu::write(&ScriptedCard::of_line(&line()).unwrap()).unwrap());
    let cases = [
        ("apdu/1", "apdu/2", "line 1: "),
        ("00A4040007A000000003101000", "00A4040007A000000003101100", "begins with SELECT"),
        ("80E20000", "80D80000", "is STORE DATA"),
        ("80E2000005", "80E2000006", "is STORE DATA"),
        (".secret 8010 ABABABABABABABAB\n", "", "the secret DGI of a step is missing"),
        (".recipher E0 01\n", "", "the line recipher is missing"),
        (".recipher E0 01\n", ".recipher E0\n", "this line is not known"),
        ("ABABABABABABABAB", "ABABABABABABAB", "DGI 8010"),
        (".end\n", "", "the end of the last card is missing"),
        (".application A0000000031010\n", "", "the application is missing"),
    ];
    for (from, to, message) in cases {
        assert!(good.contains(from), "{from}");
        let error = apdu::read(&good.replacen(from, to, 1)).unwrap_err().to_string();
        assert!(error.contains(message), "{to}: {error}");
    }
}

#[test]
fn a_script_of_other_data_is_not_written() {
    let mut scripted = ScriptedCard::of_line(&line()).unwrap();
    let crate::perso::ScriptStep::Apdu(apdu) = &mut scripted.scripts[0].0[1] else { unreachable!() };
    *apdu.last_mut().unwrap() ^= 1;
    assert!(apdu::write(&scripted).unwrap_err().to_string().contains("other DGIs"));
    scripted.scripts.clear();
    assert!(apdu::write(&scripted).is_err());
}

#[test]
fn chip_lines_are_strict() {
    let good = String::from_utf8(chip_json::write(&line().chip()).to_vec()).unwrap();
    assert_eq!(chip_json::read(&good).unwrap(), line().chip());
    for (from, to) in [
        ("chip/1", "chip/2"),
        (r#""position":3"#, r#""position":3,"pin":1"#),
        ("ABABABABABABABAB", "ABABABABABABABABAB"),
        ("A0000000031010", "A0000000"),
        (r#""index":"0A""#, r#""index":"A""#),
        (r#""protection":"none""#, r#""protection":"clear""#),
    ] {
        assert!(good.contains(from), "{from}");
        assert!(chip_json::read(&good.replacen(from, to, 1)).is_err(), "{to}");
    }
}

proptest! {
    #[test]
    fn every_chip_format_gives_the_card_back(card in any_card(), completed in any::<bool>()) {
        let chip = card.chip();
        let text = format!("{}{}", dgi_lines::header(), *dgi_lines::write(&chip).unwrap());
        prop_assert!(dgi_lines::read(&text).unwrap() == std::slice::from_ref(&chip));
        let text = chip_json::write(&chip);
        prop_assert!(chip_json::read(std::str::from_utf8(&text).unwrap()).unwrap() == chip);
        let completion = if completed { Completion::EmptyCompletion } else { Completion::LastGrouping };
        let plan = ScriptPlan { completion, max_data: 40, ..ScriptPlan::default() };
        let scripts = chip.applications.iter().map(|a| Script::build(&a.aid, &a.dgis, &plan).unwrap());
        let scripted = ScriptedCard { scripts: scripts.collect(), card: chip.clone() };
        let text = format!("{}{}", apdu::header(), *apdu::write(&scripted).unwrap());
        prop_assert!(apdu::read(&text).unwrap() == [scripted]);
        // A CPS record has the key's index and mode, and none of it when nothing is secret.
        let settings = cps::CpsSettings::default();
        if chip.transport.as_ref().is_some_and(|t| t.wrapped.is_none()) {
            let bytes = cps::CpsRecord::build(&chip, &settings, None).unwrap().encode(&settings).unwrap();
            let read = cps::read_records(&bytes, &settings).unwrap().remove(0).to_card(&settings).unwrap();
            prop_assert!(read.applications == chip.applications && read.reference == chip.reference);
            let any_secret = chip.applications.iter().flat_map(|a| a.dgis.dgis()).any(|d| d.protection == Protection::Transport);
            let (read, written) = (read.transport, chip.transport.filter(|_| any_secret));
            let mode = written.as_ref().map(|t| t.mode.unwrap_or(settings.mode));
            prop_assert_eq!(read.as_ref().and_then(|t| t.mode), mode);
            prop_assert_eq!(read.and_then(|t| t.index), written.and_then(|t| t.index));
        }
    }

    #[test]
    fn any_text_is_read_or_refused(text in "(#@ |\\.)?[a-zA-Z0-9 =\n#.@/-]{0,80}") {
        let _ = dgi_lines::read(&format!("{}{text}", dgi_lines::header()));
        let _ = apdu::read(&format!("{}{text}", apdu::header()));
        let _ = chip_json::read(&text);
    }
}
