use proptest::prelude::*;

use super::write::checksum;
use super::*;
use crate::output::reader::tests::any_card;
use crate::perso::record::read_records;
use crate::profile::format::{Charset, Checksum};

const EXAMPLE: &str = include_str!("../../../../formats/emboss-line.toml");

fn format(text: &str) -> FormatFile {
    let (format, findings) = FormatFile::check("x", text.as_bytes());
    format.unwrap_or_else(|| panic!("{findings:#?}"))
}

fn card() -> CardLine {
    CardLine::read(concat!(
        r#"{"format":"emv-dataprep/card/1","position":3,"cardId":"c-3","issuerRequestId":null,"#,
        r#""maskedPan":"476173******0010","channel":"CENTRAL","destination":"PC1","product":"p","profile":"q","#,
        r#""notAfter":"2026-04-15","transportKey":{"index":"0A","kcv":"08D7B4","algorithm":"TDES-2KEY"},"#,
        r#""chip":{"applications":[{"aid":"A0000000031010","interfaces":["contact"],"#,
        r#""dgis":[{"dgi":"9010","value":"0303","protection":"none"},"#,
        r#"{"dgi":"8010","value":"ABABABABABABABAB","protection":"transport"}]}]},"#,
        r#""magstripe":{"track1":"B4761^X/Y^2906","track2":"4761739001010010=29062010000","track3":null},"#,
        r#""print":{"pan":"4761739001010010","name":"Zo"#,
        "\u{eb}",
        r#" X","cvv2":"123"},"carrier":null,"packaging":null,"shipment":null}"#
    ))
    .unwrap()
}

fn written(format: &FormatFile, cards: &[CardLine]) -> Result<(TemplateFile, Zeroizing<Vec<u8>>)> {
    let template = of_format(format)?;
    let values = TemplateFile::of_cards(cards, template, &format.cps, None)?;
    let bytes = values.encode(template)?;
    Ok((values, bytes))
}

#[test]
fn the_shipped_template_lays_out_a_card() {
    let format = format(EXAMPLE);
    let template = of_format(&format).unwrap();
    let (values, bytes) = written(&format, &[card(), card()]).unwrap();
    let lines: Vec<&[u8]> = bytes.split(|b| *b == b'\n').collect();
    assert_eq!(lines[0], format!("H1{:<64}00000002\r", "PC1").as_bytes());
    let line = Charset::Latin1;
    let shown: String = lines[1].iter().map(|b| line.char(*b).unwrap()).collect();
    let begin = format!(
        "00000001{:<48}2026-04-15#EMB#{:<23}{:<5}{:<40}{:<40}123",
        "c-3", "4761 7390 0101 0010", "", "Zo\u{eb} X", ""
    );
    assert_eq!(shown[9..].chars().take(begin.chars().count()).collect::<String>(), begin);
    assert!(shown.contains("#MAG#%B4761^X/Y^2906?;4761739001010010=29062010000?#CHP#0A08D7B4    "));
    let read = TemplateFile::read(&bytes, template).unwrap();
    assert_eq!(read, values);
    let (name, FieldValue::Bytes(chip)) = &read.cards[0][12] else { panic!("the chip") };
    assert_eq!(name, "chip");
    let record = read_records(chip, &format.cps).unwrap().remove(0);
    assert_eq!(record.to_card(&format.cps).unwrap().applications, card().chip().applications);
    assert_eq!(format!("{:?}", read.cards[0][8].1), "Text(***)");
}

#[test]
fn every_changed_byte_of_the_shipped_record_is_seen_or_read() {
    let format = format(EXAMPLE);
    let template = of_format(&format).unwrap();
    let (values, bytes) = written(&format, &[card()]).unwrap();
    for at in 0..bytes.len() {
        let mut changed = bytes.to_vec();
        changed[at] ^= 1;
        match TemplateFile::read(&changed, template) {
            Err(_) => {}
            // The header's destination has no checksum over it.
            Ok(read) => {
                assert!(at < 66, "byte {at}");
                assert_ne!(read, values);
            }
        }
        assert!(TemplateFile::read(&bytes[..at], template).is_err(), "cut at {at}");
    }
}

#[test]
fn values_that_could_not_be_read_back_are_refused() {
    let format = format(EXAMPLE);
    let refused = |change: fn(&mut CardLine)| {
        let mut card = card();
        change(&mut card);
        let error = written(&format, &[card]).unwrap_err().to_string();
        assert!(!error.contains("4761739"), "{error}");
        error
    };
    assert!(
        refused(|c| c.print.name = Some(SensitiveText::new("\u{20AC}".to_owned())))
            .contains("card 1: field name: a character outside")
    );
    assert!(
        refused(|c| c.print.name = Some(SensitiveText::new("X ".to_owned())))
            .contains("field name: the character that fills")
    );
    assert!(
        refused(|c| c.print.name = Some(SensitiveText::new("X".repeat(41))))
            .contains("field name: 41 characters where the width")
    );
    assert!(
        refused(|c| c.magstripe.track2 = Some(SensitiveText::new("1?".to_owned())))
            .contains("field track-2: the character that ends")
    );
    assert!(
        refused(|c| c.print.pan = Some(SensitiveText::new("4761 7390".to_owned()))).contains("field pan")
    );
    assert!(refused(|c| c.transport_key.wrapped = Some("D".to_owned())).contains("field chip"));
    // What stands once in a file is the same for all its cards.
    let mut other = card();
    other.destination = "PC2".parse().unwrap();
    assert!(written(&format, &[card(), other]).unwrap_err().to_string().contains("header: the cards differ"));
    let required = EXAMPLE.replacen("value = \"expiry\"", "value = \"expiry\"\nrequired = true", 1);
    let error = written(&self::format(&required), &[card()]).unwrap_err().to_string();
    assert_eq!(error, "card 1: field expiry: a value that the template requires is missing");
    assert!(of_format(&self::format("version = 1")).is_err());
}

const SMALL: &str = r#"
version = 1
[template]
charset = "ebcdic-037"
record_end = ""
[[template.card]]
name = "all"
length_of = "rest"
encoding = "binary"
width = 2
[[template.card]]
name = "lines"
length_of = "chip"
width = 6
[[template.card]]
name = "chip"
value = "chip-dgi-lines"
[[template.card]]
name = "position"
value = "position"
encoding = "binary"
width = 8
[[template.card]]
name = "mark"
hex = "00FF"
[[template.card]]
name = "sum"
checksum = "sum-8"
[[template.card]]
name = "crc"
checksum = "crc-16"
[[template.card]]
name = "crc32"
checksum = "crc-32"
encoding = "hex"
over = ["chip", "mark"]
"#;

#[test]
fn checksums_have_their_published_check_values() {
    // The check value of each algorithm is that of "123456789" (catalogue of parametrised CRC algorithms).
    let parts = [Zeroizing::new(b"1234".to_vec()), Zeroizing::new(b"56789".to_vec())];
    assert_eq!(checksum(Checksum::Crc16, &parts), [0x29, 0xB1]);
    assert_eq!(checksum(Checksum::Crc32, &parts), [0xCB, 0xF4, 0x39, 0x26]);
    assert_eq!(checksum(Checksum::Lrc, &parts), [0x31]);
    assert_eq!(checksum(Checksum::Sum8, &parts), [0xDD]);
    for kind in Checksum::ALL {
        assert_eq!(checksum(*kind, &parts).len(), kind.len());
    }
}

#[test]
fn wrong_templates_are_findings() {
    assert!(FormatFile::check("x", EXAMPLE.as_bytes()).1.is_empty());
    let cases = [
        ("version = 1", "version = 2", "version"),
        ("count_digits = 7", "count_digits = 10", "value"),
        ("\"EMV\"", "\"EMVEMVEMV\"", "value"),
        ("enciphered = \"secret\"", "enciphered = \"all\"", "value"),
        ("count_digits = 7", "tag = \"1F\"", "value"),
        ("count_digits = 7", "tdes_cbc = \"11\"", "value"),
        ("count_digits = 7", "no_such = 1", "syntax"),
        ("[\"8000\", \"9000\"]", "[\"8000\", \"8000\"]", "value"),
        ("charset = \"latin-1\"", "charset = \"utf-8\"", "value"),
        ("text = \"H1\"", "text = \"\u{20AC}\"", "format"),
        ("text = \"H1\"", "text = \"H1\"\nhex = \"00\"", "format"),
        ("text = \"H1\"", "text = \"H1\"\nwidth = 2", "format"),
        ("value = \"destination\"", "value = \"pan\"", "format"),
        ("value = \"sequence\"", "value = \"count\"", "format"),
        ("value = \"not-after\"\nwidth = 10", "value = \"not-after\"", "format"),
        ("value = \"not-after\"\nwidth = 10", "value = \"not-after\"\nwidth = 10\nuntil = \",\"", "format"),
        ("value = \"not-after\"\nwidth = 10", "value = \"not-after\"\nuntil = \",,\"", "format"),
        ("value = \"not-after\"\nwidth = 10", "value = \"no-such\"\nwidth = 10", "value"),
        ("name = \"card\"", "name = \"sequence\"", "format"),
        ("name = \"card\"", "name = \"rest\"", "format"),
        ("length_of = \"chip\"", "length_of = \"chips\"", "format"),
        ("length_of = \"chip\"", "length_of = \"pan\"", "format"),
        ("length_of = \"chip\"\nwidth = 7", "length_of = \"chip\"", "format"),
        ("over = [\"type\", \"chip\"]", "over = [\"chip\", \"type\"]", "format"),
        ("over = [\"type\", \"chip\"]", "over = [\"type\", \"lrc\"]", "format"),
        ("encoding = \"hex\"", "encoding = \"decimal\"", "format"),
        ("group = 4\nwidth = 23", "group = 4\nwidth = 23\nalign = \"right\"", "format"),
        ("value = \"chip-cps\"", "value = \"chip-cps\"\nwidth = 100", "format"),
    ];
    for (from, to, code) in cases {
        assert!(EXAMPLE.contains(from), "{from}");
        let (format, findings) = FormatFile::check("x", EXAMPLE.replacen(from, to, 1).as_bytes());
        assert!(findings.iter().any(|f| f.code == code && f.line > 0), "{to}: {findings:#?}");
        assert!(format.is_none(), "{to}");
    }
    let trailer = EXAMPLE.replacen(
        "name = \"cards\"\nvalue = \"count\"\nwidth = 8\n\n[[template.card]]",
        "name = \"d\"\nvalue = \"destination\"\nuntil = \",\"\n\n[[template.card]]",
        1,
    );
    assert!(FormatFile::check("x", trailer.as_bytes()).0.is_some(), "a header may be delimited");
    let trailer =
        format!("{EXAMPLE}[[template.trailer]]\nname = \"d\"\nvalue = \"destination\"\nuntil = \",\"\n");
    assert!(FormatFile::check("x", trailer.as_bytes()).0.is_none(), "a trailer is not");
}

proptest! {
    #[test]
    fn what_is_written_is_read_back(cards in proptest::collection::vec(any_card(), 0..4), small in any::<bool>()) {
        let format = format(if small { SMALL } else { EXAMPLE });
        let template = of_format(&format).unwrap();
        let mut cards = cards;
        let first = cards.first().cloned();
        for card in &mut cards {
            // One file holds the cards of one destination.
            card.destination.clone_from(&first.as_ref().unwrap().destination);
            card.transport_key.wrapped = None;
        }
        if let Ok((values, bytes)) = written(&format, &cards) {
            prop_assert!(TemplateFile::read(&bytes, template).unwrap() == values);
            prop_assert_eq!(values.cards.len(), cards.len());
        }
    }

    #[test]
    fn any_bytes_are_read_or_refused(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
        let format = format(SMALL);
        let template = of_format(&format).unwrap();
        if let Ok(read) = TemplateFile::read(&bytes, template) {
            prop_assert_eq!(read.encode(template).unwrap().to_vec(), bytes);
        }
    }
}
