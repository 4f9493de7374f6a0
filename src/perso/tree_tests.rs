use super::*;

/// Groupings of a public test card (PBOC personalization scripts): SELECT response, GPO response, a record, key check
/// values.
const PUBLIC: &str = "9102 4D A54B500B50424F43204372656469748701019F380F9F1A029F7A019F02065F2A029F4E145F2D087A68656E667264659F1101019F120F4341524420494D4147452030303331BF0C059F4D020B0A
9104 16 82027C00941008010100100102001801020120010300
0101 2E 702C57116228000100001117D301220101234567899F1F1630313032303330343035303630373038303930413042
9000 09 97DCB0CE4E2CB37DF3";

fn public() -> Vec<u8> {
    from_hex(&PUBLIC.replace([' ', '\n'], "")).unwrap()
}

fn card(text: &str) -> String {
    let record =
        "702C57116228000100001117D301220101234567899F1F1630313032303330343035303630373038303930413042";
    serde_json::json!({
        "format": CARD_FORMAT, "position": 7, "cardId": text, "issuerRequestId": null, "maskedPan": "622800******1117",
        "channel": "CENTRAL", "destination": "PC1", "product": "p", "profile": "q",
        "transportKey": {"index": "01", "kcv": "08D7B4", "algorithm": "TDES-2KEY"},
        "chip": {"applications": [{"aid": "A000000333010101", "interfaces": ["contact"], "dgis": [
            {"dgi": "0101", "value": record, "protection": "none"},
            {"dgi": "8000", "value": "9191B29DE7245AF1", "protection": "transport"},
        ], "script": [
            {"apdu": "00A4040008A00000033301010100"},
            {"apdu": format!("80E20000310101{:02X}{record}", record.len() / 2)},
            {"storeData": {"p1": "E0", "p2": "01", "dgis": ["8000"]}, "recipher": true},
        ]}]},
        "magstripe": {"track1": "B6228000100001117^DOE/JANE^30122010000000", "track2": "6228000100001117=30122010123456789", "track3": null},
        "print": {"pan": "6228 0001 0000 1117", "name": "JANE DOE", "expiry": "12/30", "cvv2": "123"},
        "carrier": null, "packaging": null,
        "shipment": {"type": "INDIVIDUAL", "deliveryAddress": {"line1": "1 High Street"}},
    })
    .to_string()
}

#[test]
fn public_groupings_are_named_and_masked() {
    let text = render_dgis(&public(), Masking::Masked).unwrap();
    for expected in [
        "DGI 9102 SELECT response (77 bytes)\n  A5 File Control Information (FCI) Proprietary Template (75 bytes)\n    50 Application Label: 50424F4320437265646974\n        \"PBOC Credit\"\n",
        "DGI 9104 GET PROCESSING OPTIONS response (22 bytes)\n  82 Application Interchange Profile: 7C00\n      SDA supported\n      DDA supported\n",
        "      SFI 3, records 1 to 2, 1 signed\n",
        "DGI 0101 Record 1 of SFI 1 (46 bytes)\n",
        "    57 Track 2 Equivalent Data: 622800******1117D*****************\n",
        "    9F1F Track 1 Discretionary Data: (22 bytes hidden)\n",
        "DGI 9000 Key check values of the ICC master keys (9 bytes)\n  97DCB0 CE4E2C B37DF3\n",
    ] {
        assert!(text.contains(expected), "{expected}\nnot in\n{text}");
    }
    assert!(!text.contains("6228000100001117"));
    let open = render_dgis(&public(), Masking::Unmasked).unwrap();
    assert!(open.contains("57 Track 2 Equivalent Data: 6228000100001117D30122010123456789\n"));
}

#[test]
fn a_card_line_shows_no_card_value() {
    let text = render_card_line(&card("c-1"), Masking::Masked).unwrap();
    for hidden in ["6228000100001117", "DOE", "123456789", "cvv2: 123", "High", "9191B29D", "30313032"] {
        assert!(!text.contains(hidden), "{hidden} in\n{text}");
    }
    for expected in [
        "Card c-1, position 7\n",
        "  transport key: TDES-2KEY 01, KCV 08D7B4\n",
        "Application A000000333010101 (contact)\n",
        "  DGI 8000 ICC master keys (8 bytes under the transport key)\n",
        "    SELECT A000000333010101\n",
        "    STORE DATA P1 00 P2 00, 49 bytes\n",
        "    STORE DATA P1 E0 P2 01: 8000, first from the transport key to the session key\n",
        "  track1: B622800******1117 and 23 characters hidden\n",
        "  track2: 622800******1117 and 17 characters hidden\n",
        "  pan: 622800******1117\n",
        "  name: (8 characters hidden)\n",
        "  type: INDIVIDUAL\n",
    ] {
        assert!(text.contains(expected), "{expected}\nnot in\n{text}");
    }
}

#[test]
fn unmasked_shows_what_is_clear_in_the_line_and_no_cryptogram() {
    let text = render_card_line(&card("c-1"), Masking::Unmasked).unwrap();
    assert!(text.contains("pan: 6228 0001 0000 1117\n") && text.contains("cvv2: 123\n"));
    assert!(text.contains("track2: 6228000100001117=30122010123456789\n"));
    assert!(!text.contains("9191B29D"));
}

#[test]
fn control_characters_do_not_reach_a_terminal() {
    let text = render_card_line(&card("c\u{1b}[2J"), Masking::Masked).unwrap();
    assert!(!text.contains('\u{1b}') && text.starts_with("Card c\u{FFFD}[2J"));
}

#[test]
fn refusals_name_no_value() {
    for bad in ["", "[]", "{}", "{\"format\":\"emv-dataprep/card/9\"}"] {
        assert!(render_card_line(bad, Masking::Masked).is_err(), "{bad}");
    }
    let odd = card("c-1").replace("\"transport\"", "\"none of these\"");
    let error = render_card_line(&odd, Masking::Masked).unwrap_err().to_string();
    assert_eq!(error, "chip.applications: DGI 8000: this protection is not known");
    assert!(render_dgis(&from_hex("01010570025A47").unwrap(), Masking::Masked).is_err());
    // A record that cannot be read is hidden, not printed.
    let text = render_dgis(&from_hex("0101045A094761").unwrap(), Masking::Masked).unwrap();
    assert!(
        text.contains("no data objects: tag 5A: ")
            && text.contains("(4 bytes hidden)")
            && !text.contains("4761")
    );
}
