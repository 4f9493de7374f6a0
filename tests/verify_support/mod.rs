//! A small issuer of its own: makes whole cards for the tests of `verify`, with plain code over the primitives.
#![allow(dead_code, unused_imports, unreachable_pub, reason = "a part of each test that includes it")]
#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "tests stop at the first surprise")]

mod card;
mod values;

pub use card::{Made, made};
pub use values::{Issuing, hex, tlv, unhex};

use emv_dataprep::crypto::rsa::Exponent;
use emv_dataprep::verify::Derivation;

/// How a private key stands on the card.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum KeyForm {
    /// 8201 to 8205, always padded.
    CrtPadded,
    /// 8201 to 8205, padded only to whole blocks.
    Crt,
    /// 8101 and 8103, both secret.
    Plain,
    /// 8101, and 8103 in clear.
    PlainClearModulus,
}

/// The key of the secret DGIs.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Tk {
    Tdes2,
    Tdes3,
    Aes128,
    Aes256,
}

/// A card to make.
#[derive(Clone)]
pub struct Spec {
    /// PAN without its check digit.
    pub body: &'static str,
    pub psn: &'static str,
    pub option: Derivation,
    pub transport: Tk,
    pub cbc: bool,
    pub icc: [&'static str; 2],
    pub exponent: Exponent,
    pub form: KeyForm,
    /// First byte of the contact AIP; certificates follow its bits.
    pub aip: u8,
    pub contactless: bool,
    pub pin_key: bool,
    pub script: bool,
}

impl Spec {
    /// A dual-interface card with SDA, DDA, CDA, offline PIN, PSE and PPSE.
    pub fn dual() -> Self {
        Self {
            body: "476173900101001",
            psn: "01",
            option: Derivation::OptionA,
            transport: Tk::Tdes2,
            cbc: false,
            icc: ICC,
            exponent: Exponent::F4,
            form: KeyForm::CrtPadded,
            aip: 0x7D,
            contactless: true,
            pin_key: true,
            script: true,
        }
    }
}

// Primes of test keys, made once for these tests; p - 1 and q - 1 share no factor with 3 and 65537.
pub const CA: [&str; 2] = [
    "D548F4677636D1F33790DB4F73DCF21B6A3F698CC448178DFD8845DD9A8EFF1D0E9956018445D0E12F292F63BB31C9F31B2EF87F04F92F6B8369A24D838EC9FD",
    "C77DDF4ED81E99201238A231190CECDD56CF956305C2B3DEF8CB178D5A2FF452F45E445E69E955852E364F5376BD790CE024A0232AB9DD0E284720BEF1B46379",
];
pub const ISSUER: [&str; 2] = [
    "D4AFE045C3EDB5BB8660518F806D0FAD002DAC0E9FBC6D3B7E7236F4131D77ADC28A56442E34F1DDDA24C8052B452F6F85527736E53B183F",
    "E75C252045ADC7A80FEBAB295C4D43AF73A40688563DEDF1D5584B2108569C0D2F26E81E7447F1C12F6EAE7ADE070E004ECDB25F1A28B9CB",
];
pub const ICC: [&str; 2] = [
    "F9D068C111BC430BA4F6EF98774FACAF923E28BDEE364F7704F3C61F2940F6A3965BAB621B45344A30F4D6769D8AA4B5",
    "EB8929697482747E4D0A0F3AADBE863D23B5A83A042602B0BF0479F2727FC99D21FB7BF474E6EF9CA55482B253CCA30F",
];
pub const PIN_KEY: [&str; 2] = [
    "C73EA830489BD0D8860B457024610172A9CF375FF777E3DCFA9B247FE84E0877F6AD1F64033C0D8967711E59",
    "C41DA2B101A6A5B7759DC2CD9FE35392BE95C1FAA8471E0D5DF9AEBC8ED9D9FC3860A71B55BAF97147170E93",
];
// Its modulus fills the certificate exactly.
pub const ICC_560: [&str; 2] = [
    "E746E01CF6C2ED96242F12FFD0CF56630255FFC07D63AD9D75B177CE89EDD7A043F54F",
    "F225B92CA8E48A1D39FB55C90707E86E06E2E28F36A420F1F1233C2081FE675B552423",
];
// Its modulus has one byte in the remainder.
pub const ICC_568: [&str; 2] = [
    "0F5EE1C9DF97C0E25DB42042BB6A88645E944805114E3BC3AC44A3A2EC08A44E1514AF01",
    "0C25702A386AC71D753DB9E4BDD6C0661B2D36853D39ED3D836EC0521B500AFA2B0D4B57",
];
// Its modulus leaves padding in the certificate.
pub const ICC_512: [&str; 2] = [
    "D63BCF3089DCFB35A34AF27BD890366F60883943B56BD6EEA6B0BAEF4966771D",
    "F464909DB9FBBB867BF9343DE4020517FBA66DAB96386C1219651ED422BE4597",
];
