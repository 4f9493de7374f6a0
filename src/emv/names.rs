//! What each tag is: name, format, length, template, clause. From public facts; a row a tag.
//!
//! Clauses: `B3 A` is EMV 4.4 Book 3, Annex A; `B1` Book 1; `C-2`, `C-3` are the EMV Contactless kernel books; `CCD`
//! the Common Core Definitions part of Book 3; `Visa`, `Mastercard`, `PBOC` mark tags whose meaning the payment
//! system gives.

use super::Tag;

/// Format of a value (EMV 4.4 Book 3, 4.3).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Format {
    /// `b`: binary, or flags.
    Binary,
    /// `n`: packed digits, padded left with zeros.
    Numeric,
    /// `cn`: packed digits, padded right with F.
    CompressedNumeric,
    /// `a`, `an`, `ans`: text of ISO/IEC 8859.
    Text,
    /// A data object list.
    Dol,
    /// `n 6`: date YYMMDD.
    Date,
    /// A list of data objects.
    Template,
}

/// How a value is shown to people.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Sensitivity {
    /// Shown as it is.
    Open,
    /// A PAN: first six and last four digits.
    Pan,
    /// Track data: the PAN in it masked, discretionary data hidden.
    Track,
    /// A value that gives the PAN back to whoever holds the public keys (an ICC certificate): hidden unless asked for.
    HoldsPan,
    /// The cardholder's name, or data that an issuer may fill with anything personal: hidden unless asked for.
    Personal,
    /// A secret or a value that stands for one: hidden unless asked for.
    Secret,
}

/// What is known of a tag.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TagInfo {
    /// The tag.
    pub tag: Tag,
    /// Name, in the standard's words.
    pub name: &'static str,
    /// Format of its value.
    pub format: Format,
    /// Fewest bytes.
    pub min_len: u8,
    /// Most bytes.
    pub max_len: u8,
    /// Templates that carry it, as the standard lists them; `-` if none.
    pub template: &'static str,
    /// Where it is defined.
    pub clause: &'static str,
    /// How it is shown.
    pub sensitivity: Sensitivity,
}

macro_rules! tags {
    ($($ident:ident = $tag:literal $name:literal $format:ident $min:literal $max:literal $template:literal $clause:literal $shown:ident;)*) => {
        impl Tag {
            $(#[doc = concat!($name, ".")] pub const $ident: Self = Self($tag);)*
        }

        /// Every tag that is known, in the order of their bytes.
        pub const ALL: &[TagInfo] = &[$(TagInfo {
            tag: Tag::$ident, name: $name, format: Format::$format, min_len: $min, max_len: $max,
            template: $template, clause: $clause, sensitivity: Sensitivity::$shown,
        },)*];
    };
}

tags! {
    ISSUER_IDENTIFICATION_NUMBER = 0x42 "Issuer Identification Number (IIN)" Numeric 3 3 "BF0C, 73" "B3 A" Open;
    AID = 0x4F "Application Dedicated File (ADF) Name" Binary 5 16 "61" "B3 A" Open;
    APPLICATION_LABEL = 0x50 "Application Label" Text 1 16 "61, A5" "B3 A" Open;
    TRACK_1_DATA = 0x56 "Track 1 Data" Text 1 76 "70" "C-2" Track;
    TRACK_2_EQUIVALENT_DATA = 0x57 "Track 2 Equivalent Data" Binary 1 19 "70, 77" "B3 A" Track;
    PAN = 0x5A "Application Primary Account Number (PAN)" CompressedNumeric 1 10 "70, 77" "B3 A" Pan;
    APPLICATION_TEMPLATE = 0x61 "Application Template" Template 0 252 "70, BF0C" "B3 A" Open;
    FCI_TEMPLATE = 0x6F "File Control Information (FCI) Template" Template 0 252 "-" "B3 A" Open;
    RECORD_TEMPLATE = 0x70 "READ RECORD Response Message Template" Template 0 252 "-" "B3 A" Open;
    ISSUER_SCRIPT_TEMPLATE_1 = 0x71 "Issuer Script Template 1" Template 0 127 "-" "B3 A" Open;
    ISSUER_SCRIPT_TEMPLATE_2 = 0x72 "Issuer Script Template 2" Template 0 127 "-" "B3 A" Open;
    DIRECTORY_DISCRETIONARY_TEMPLATE = 0x73 "Directory Discretionary Template" Template 0 252 "61" "B3 A" Open;
    RESPONSE_FORMAT_2 = 0x77 "Response Message Template Format 2" Template 0 252 "-" "B3 A" Open;
    RESPONSE_FORMAT_1 = 0x80 "Response Message Template Format 1" Binary 0 252 "-" "B3 A" Open;
    AMOUNT_AUTHORISED_BINARY = 0x81 "Amount, Authorised (Binary)" Binary 4 4 "-" "B3 A" Open;
    AIP = 0x82 "Application Interchange Profile" Binary 2 2 "77, 80" "B3 A" Open;
    COMMAND_TEMPLATE = 0x83 "Command Template" Binary 0 252 "-" "B3 A" Open;
    DF_NAME = 0x84 "Dedicated File (DF) Name" Binary 5 16 "6F" "B3 A" Open;
    ISSUER_SCRIPT_COMMAND = 0x86 "Issuer Script Command" Binary 0 252 "71, 72" "B3 A" Open;
    APPLICATION_PRIORITY_INDICATOR = 0x87 "Application Priority Indicator" Binary 1 1 "61, A5" "B3 A" Open;
    SFI = 0x88 "Short File Identifier (SFI)" Binary 1 1 "A5" "B3 A" Open;
    AUTHORISATION_CODE = 0x89 "Authorisation Code" Text 6 6 "-" "B3 A" Open;
    AUTHORISATION_RESPONSE_CODE = 0x8A "Authorisation Response Code" Text 2 2 "-" "B3 A" Open;
    CDOL1 = 0x8C "Card Risk Management Data Object List 1 (CDOL1)" Dol 0 252 "70, 77" "B3 A" Open;
    CDOL2 = 0x8D "Card Risk Management Data Object List 2 (CDOL2)" Dol 0 252 "70, 77" "B3 A" Open;
    CVM_LIST = 0x8E "Cardholder Verification Method (CVM) List" Binary 10 252 "70, 77" "B3 A" Open;
    CA_PUBLIC_KEY_INDEX = 0x8F "Certification Authority Public Key Index" Binary 1 1 "70, 77" "B3 A" Open;
    ISSUER_CERTIFICATE = 0x90 "Issuer Public Key Certificate" Binary 1 248 "70, 77" "B3 A" Open;
    ISSUER_AUTHENTICATION_DATA = 0x91 "Issuer Authentication Data" Binary 8 16 "-" "B3 A" Open;
    ISSUER_KEY_REMAINDER = 0x92 "Issuer Public Key Remainder" Binary 1 248 "70, 77" "B3 A" Open;
    SSAD = 0x93 "Signed Static Application Data" Binary 1 248 "70, 77" "B3 A" Open;
    AFL = 0x94 "Application File Locator (AFL)" Binary 0 252 "77, 80" "B3 A" Open;
    TVR = 0x95 "Terminal Verification Results" Binary 5 5 "-" "B3 A" Open;
    TDOL = 0x97 "Transaction Certificate Data Object List (TDOL)" Dol 0 252 "70, 77" "B3 A" Open;
    TC_HASH_VALUE = 0x98 "Transaction Certificate (TC) Hash Value" Binary 20 20 "-" "B3 A" Open;
    TRANSACTION_PIN_DATA = 0x99 "Transaction Personal Identification Number (PIN) Data" Binary 0 252 "-" "B3 A" Secret;
    TRANSACTION_DATE = 0x9A "Transaction Date" Date 3 3 "-" "B3 A" Open;
    TSI = 0x9B "Transaction Status Information" Binary 2 2 "-" "B3 A" Open;
    TRANSACTION_TYPE = 0x9C "Transaction Type" Numeric 1 1 "-" "B3 A" Open;
    DDF_NAME = 0x9D "Directory Definition File (DDF) Name" Binary 5 16 "61" "B3 A" Open;
    FCI_PROPRIETARY = 0xA5 "File Control Information (FCI) Proprietary Template" Template 0 252 "6F" "B3 A" Open;
    CIAC_DECLINE = 0xC3 "Card Issuer Action Code - Decline" Binary 3 3 "-" "Mastercard" Open;
    CIAC_DEFAULT = 0xC4 "Card Issuer Action Code - Default" Binary 3 3 "-" "Mastercard" Open;
    CIAC_ONLINE = 0xC5 "Card Issuer Action Code - Online" Binary 3 3 "-" "Mastercard" Open;
    PIN_TRY_LIMIT = 0xC6 "PIN Try Limit" Binary 1 1 "-" "Mastercard" Open;
    CDOL1_RELATED_DATA_LENGTH = 0xC7 "CDOL 1 Related Data Length" Binary 1 1 "-" "Mastercard" Open;
    CRM_COUNTRY_CODE = 0xC8 "CRM Country Code" Numeric 2 2 "-" "Mastercard" Open;
    ACCUMULATOR_1_CURRENCY_CODE = 0xC9 "Accumulator 1 Currency Code" Numeric 2 2 "-" "Mastercard" Open;
    ACCUMULATOR_1_LOWER_LIMIT = 0xCA "Accumulator 1 Lower Limit" Numeric 6 6 "-" "Mastercard" Open;
    ACCUMULATOR_1_UPPER_LIMIT = 0xCB "Accumulator 1 Upper Limit" Numeric 6 6 "-" "Mastercard" Open;
    CIAC_DEFAULT_CONTACTLESS = 0xCD "Card Issuer Action Code (Contactless) - Default" Binary 3 3 "-" "Mastercard" Open;
    CIAC_ONLINE_CONTACTLESS = 0xCE "Card Issuer Action Code (Contactless) - Online" Binary 3 3 "-" "Mastercard" Open;
    CIAC_DECLINE_CONTACTLESS = 0xCF "Card Issuer Action Code (Contactless) - Decline" Binary 3 3 "-" "Mastercard" Open;
    APPLICATION_CONTROL = 0xD5 "Application Control" Binary 3 6 "-" "Mastercard" Open;
    DEFAULT_ARPC_RESPONSE_CODE = 0xD6 "Default ARPC Response Code" Binary 2 2 "-" "Mastercard" Open;
    APPLICATION_CONTROL_CONTACTLESS = 0xD7 "Application Control (Contactless)" Binary 3 6 "-" "Mastercard" Open;
    AIP_CONTACTLESS = 0xD8 "Application Interchange Profile (Contactless)" Binary 2 2 "-" "Mastercard" Open;
    AFL_CONTACTLESS = 0xD9 "Application File Locator (Contactless)" Binary 4 252 "-" "Mastercard" Open;
    STATIC_CVC3_TRACK_1 = 0xDA "Static CVC3 (Track 1)" Binary 2 2 "-" "Mastercard" Secret;
    STATIC_CVC3_TRACK_2 = 0xDB "Static CVC3 (Track 2)" Binary 2 2 "-" "Mastercard" Secret;
    IVCVC3_TRACK_1 = 0xDC "IVCVC3 (Track 1)" Binary 2 2 "-" "Mastercard" Secret;
    IVCVC3_TRACK_2 = 0xDD "IVCVC3 (Track 2)" Binary 2 2 "-" "Mastercard" Secret;
    CARDHOLDER_NAME = 0x5F20 "Cardholder Name" Text 2 26 "70, 77" "B3 A" Personal;
    EXPIRATION_DATE = 0x5F24 "Application Expiration Date" Date 3 3 "70, 77" "B3 A" Open;
    EFFECTIVE_DATE = 0x5F25 "Application Effective Date" Date 3 3 "70, 77" "B3 A" Open;
    ISSUER_COUNTRY_CODE = 0x5F28 "Issuer Country Code" Numeric 2 2 "70, 77" "B3 A" Open;
    TRANSACTION_CURRENCY_CODE = 0x5F2A "Transaction Currency Code" Numeric 2 2 "-" "B3 A" Open;
    LANGUAGE_PREFERENCE = 0x5F2D "Language Preference" Text 2 8 "A5" "B3 A" Open;
    SERVICE_CODE = 0x5F30 "Service Code" Numeric 2 2 "70, 77" "B3 A" Open;
    PSN = 0x5F34 "Application Primary Account Number (PAN) Sequence Number" Numeric 1 1 "70, 77" "B3 A" Open;
    TRANSACTION_CURRENCY_EXPONENT = 0x5F36 "Transaction Currency Exponent" Numeric 1 1 "-" "B3 A" Open;
    ISSUER_URL = 0x5F50 "Issuer URL" Text 0 252 "73, BF0C" "B3 A" Open;
    IBAN = 0x5F53 "International Bank Account Number (IBAN)" Text 0 34 "73, BF0C" "B3 A" Personal;
    BANK_IDENTIFIER_CODE = 0x5F54 "Bank Identifier Code (BIC)" Text 8 11 "73, BF0C" "B3 A" Open;
    ISSUER_COUNTRY_ALPHA2 = 0x5F55 "Issuer Country Code (alpha2 format)" Text 2 2 "73, BF0C" "B3 A" Open;
    ISSUER_COUNTRY_ALPHA3 = 0x5F56 "Issuer Country Code (alpha3 format)" Text 3 3 "73, BF0C" "B3 A" Open;
    ACCOUNT_TYPE = 0x5F57 "Account Type" Numeric 1 1 "-" "B3 A" Open;
    ACQUIRER_IDENTIFIER = 0x9F01 "Acquirer Identifier" Numeric 6 6 "-" "B3 A" Open;
    AMOUNT_AUTHORISED = 0x9F02 "Amount, Authorised (Numeric)" Numeric 6 6 "-" "B3 A" Open;
    AMOUNT_OTHER = 0x9F03 "Amount, Other (Numeric)" Numeric 6 6 "-" "B3 A" Open;
    AMOUNT_OTHER_BINARY = 0x9F04 "Amount, Other (Binary)" Binary 4 4 "-" "B3 A" Open;
    APPLICATION_DISCRETIONARY_DATA = 0x9F05 "Application Discretionary Data" Binary 1 32 "70, 77" "B3 A" Personal;
    AID_TERMINAL = 0x9F06 "Application Identifier (AID) - terminal" Binary 5 16 "-" "B3 A" Open;
    AUC = 0x9F07 "Application Usage Control" Binary 2 2 "70, 77" "B3 A" Open;
    APPLICATION_VERSION_ICC = 0x9F08 "Application Version Number (ICC)" Binary 2 2 "70, 77" "B3 A" Open;
    APPLICATION_VERSION_TERMINAL = 0x9F09 "Application Version Number (terminal)" Binary 2 2 "-" "B3 A" Open;
    APPLICATION_SELECTION_REGISTERED = 0x9F0A "Application Selection Registered Proprietary Data" Binary 0 252 "73, BF0C" "B3 A" Open;
    CARDHOLDER_NAME_EXTENDED = 0x9F0B "Cardholder Name Extended" Text 27 45 "70, 77" "B3 A" Personal;
    IIN_EXTENDED = 0x9F0C "Issuer Identification Number Extended (IINE)" Numeric 3 4 "73, BF0C" "B3 A" Open;
    IAC_DEFAULT = 0x9F0D "Issuer Action Code - Default" Binary 5 5 "70, 77" "B3 A" Open;
    IAC_DENIAL = 0x9F0E "Issuer Action Code - Denial" Binary 5 5 "70, 77" "B3 A" Open;
    IAC_ONLINE = 0x9F0F "Issuer Action Code - Online" Binary 5 5 "70, 77" "B3 A" Open;
    IAD = 0x9F10 "Issuer Application Data" Binary 0 32 "77, 80" "B3 A" Open;
    ISSUER_CODE_TABLE_INDEX = 0x9F11 "Issuer Code Table Index" Numeric 1 1 "A5, 61" "B3 A" Open;
    APPLICATION_PREFERRED_NAME = 0x9F12 "Application Preferred Name" Text 1 16 "61, A5" "B3 A" Open;
    LAST_ONLINE_ATC = 0x9F13 "Last Online Application Transaction Counter (ATC) Register" Binary 2 2 "-" "B3 A" Open;
    LCOL = 0x9F14 "Lower Consecutive Offline Limit" Binary 1 1 "70, 77" "B3 A" Open;
    MERCHANT_CATEGORY_CODE = 0x9F15 "Merchant Category Code" Numeric 2 2 "-" "B3 A" Open;
    MERCHANT_IDENTIFIER = 0x9F16 "Merchant Identifier" Text 15 15 "-" "B3 A" Open;
    PIN_TRY_COUNTER = 0x9F17 "Personal Identification Number (PIN) Try Counter" Binary 1 1 "-" "B3 A" Open;
    ISSUER_SCRIPT_IDENTIFIER = 0x9F18 "Issuer Script Identifier" Binary 4 4 "71, 72" "B3 A" Open;
    TOKEN_REQUESTOR_ID = 0x9F19 "Token Requestor ID" Numeric 6 6 "70, 77" "B3 A" Open;
    TERMINAL_COUNTRY_CODE = 0x9F1A "Terminal Country Code" Numeric 2 2 "-" "B3 A" Open;
    TERMINAL_FLOOR_LIMIT = 0x9F1B "Terminal Floor Limit" Binary 4 4 "-" "B3 A" Open;
    TERMINAL_IDENTIFICATION = 0x9F1C "Terminal Identification" Text 8 8 "-" "B3 A" Open;
    TERMINAL_RISK_MANAGEMENT_DATA = 0x9F1D "Terminal Risk Management Data" Binary 1 8 "-" "B3 A" Open;
    IFD_SERIAL_NUMBER = 0x9F1E "Interface Device (IFD) Serial Number" Text 8 8 "-" "B3 A" Open;
    TRACK_1_DISCRETIONARY_DATA = 0x9F1F "Track 1 Discretionary Data" Text 0 54 "70, 77" "B3 A" Track;
    TRACK_2_DISCRETIONARY_DATA = 0x9F20 "Track 2 Discretionary Data" CompressedNumeric 0 16 "70, 77" "B3 A" Track;
    TRANSACTION_TIME = 0x9F21 "Transaction Time" Numeric 3 3 "-" "B3 A" Open;
    CA_PUBLIC_KEY_INDEX_TERMINAL = 0x9F22 "Certification Authority Public Key Index (terminal)" Binary 1 1 "-" "B3 A" Open;
    UCOL = 0x9F23 "Upper Consecutive Offline Limit" Binary 1 1 "70, 77" "B3 A" Open;
    PAR = 0x9F24 "Payment Account Reference (PAR)" Text 29 29 "70, 77" "B3 A" Personal;
    LAST_4_DIGITS_OF_PAN = 0x9F25 "Last 4 Digits of PAN" Numeric 2 2 "70, 77" "B3 A" Open;
    APPLICATION_CRYPTOGRAM = 0x9F26 "Application Cryptogram" Binary 8 8 "77, 80" "B3 A" Open;
    CID = 0x9F27 "Cryptogram Information Data" Binary 1 1 "77, 80" "B3 A" Open;
    EXTENDED_SELECTION = 0x9F29 "Extended Selection" Binary 1 11 "61" "EMV Contactless Book B" Open;
    KERNEL_IDENTIFIER = 0x9F2A "Kernel Identifier" Binary 1 8 "61" "EMV Contactless Book B" Open;
    ICC_PIN_CERTIFICATE = 0x9F2D "ICC PIN Encipherment Public Key Certificate" Binary 1 248 "70, 77" "B3 A" HoldsPan;
    ICC_PIN_KEY_EXPONENT = 0x9F2E "ICC PIN Encipherment Public Key Exponent" Binary 1 3 "70, 77" "B3 A" Open;
    ICC_PIN_KEY_REMAINDER = 0x9F2F "ICC PIN Encipherment Public Key Remainder" Binary 1 248 "70, 77" "B3 A" Open;
    ISSUER_KEY_EXPONENT = 0x9F32 "Issuer Public Key Exponent" Binary 1 3 "70, 77" "B3 A" Open;
    TERMINAL_CAPABILITIES = 0x9F33 "Terminal Capabilities" Binary 3 3 "-" "B3 A" Open;
    CVM_RESULTS = 0x9F34 "Cardholder Verification Method (CVM) Results" Binary 3 3 "-" "B3 A" Open;
    TERMINAL_TYPE = 0x9F35 "Terminal Type" Numeric 1 1 "-" "B3 A" Open;
    ATC = 0x9F36 "Application Transaction Counter (ATC)" Binary 2 2 "77, 80" "B3 A" Open;
    UNPREDICTABLE_NUMBER = 0x9F37 "Unpredictable Number" Binary 4 4 "-" "B3 A" Open;
    PDOL = 0x9F38 "Processing Options Data Object List (PDOL)" Dol 0 252 "A5" "B3 A" Open;
    POS_ENTRY_MODE = 0x9F39 "Point-of-Service (POS) Entry Mode" Numeric 1 1 "-" "B3 A" Open;
    AMOUNT_REFERENCE_CURRENCY = 0x9F3A "Amount, Reference Currency" Binary 4 4 "-" "B3 A" Open;
    APPLICATION_REFERENCE_CURRENCY = 0x9F3B "Application Reference Currency" Numeric 2 8 "70, 77" "B3 A" Open;
    TRANSACTION_REFERENCE_CURRENCY = 0x9F3C "Transaction Reference Currency Code" Numeric 2 2 "-" "B3 A" Open;
    ADDITIONAL_TERMINAL_CAPABILITIES = 0x9F40 "Additional Terminal Capabilities" Binary 5 5 "-" "B3 A" Open;
    TRANSACTION_SEQUENCE_COUNTER = 0x9F41 "Transaction Sequence Counter" Numeric 2 4 "-" "B3 A" Open;
    APPLICATION_CURRENCY_CODE = 0x9F42 "Application Currency Code" Numeric 2 2 "70, 77" "B3 A" Open;
    APPLICATION_REFERENCE_CURRENCY_EXPONENT = 0x9F43 "Application Reference Currency Exponent" Numeric 1 4 "70, 77" "B3 A" Open;
    APPLICATION_CURRENCY_EXPONENT = 0x9F44 "Application Currency Exponent" Numeric 1 1 "70, 77" "B3 A" Open;
    DATA_AUTHENTICATION_CODE = 0x9F45 "Data Authentication Code" Binary 2 2 "-" "B3 A" Open;
    ICC_CERTIFICATE = 0x9F46 "ICC Public Key Certificate" Binary 1 248 "70, 77" "B3 A" HoldsPan;
    ICC_KEY_EXPONENT = 0x9F47 "ICC Public Key Exponent" Binary 1 3 "70, 77" "B3 A" Open;
    ICC_KEY_REMAINDER = 0x9F48 "ICC Public Key Remainder" Binary 1 248 "70, 77" "B3 A" Open;
    DDOL = 0x9F49 "Dynamic Data Authentication Data Object List (DDOL)" Dol 0 252 "70, 77" "B3 A" Open;
    SDA_TAG_LIST = 0x9F4A "Static Data Authentication Tag List" Binary 1 252 "70, 77" "B3 A" Open;
    SDAD = 0x9F4B "Signed Dynamic Application Data" Binary 1 248 "77, 80" "B3 A" Open;
    ICC_DYNAMIC_NUMBER = 0x9F4C "ICC Dynamic Number" Binary 2 8 "-" "B3 A" Open;
    LOG_ENTRY = 0x9F4D "Log Entry" Binary 2 2 "BF0C, 73" "B3 A" Open;
    MERCHANT_NAME_AND_LOCATION = 0x9F4E "Merchant Name and Location" Text 0 252 "-" "B3 A" Open;
    LOG_FORMAT = 0x9F4F "Log Format" Dol 0 252 "-" "B3 A" Open;
    OFFLINE_BALANCE = 0x9F50 "Offline Accumulator Balance" Numeric 6 6 "-" "Mastercard" Open;
    VISA_APPLICATION_CURRENCY_CODE = 0x9F51 "Application Currency Code (card risk management)" Numeric 2 2 "-" "Visa, PBOC" Open;
    APPLICATION_DEFAULT_ACTION = 0x9F52 "Application Default Action (ADA)" Binary 2 6 "-" "Visa, PBOC" Open;
    TRANSACTION_CATEGORY_CODE = 0x9F53 "Transaction Category Code / Consecutive Transaction Limit (International)" Binary 1 1 "-" "C-2; Visa, PBOC" Open;
    CUMULATIVE_TRANSACTION_AMOUNT_LIMIT = 0x9F54 "Cumulative Total Transaction Amount Limit" Numeric 6 6 "-" "Visa, PBOC" Open;
    GEOGRAPHIC_INDICATOR = 0x9F55 "Geographic Indicator" Binary 1 1 "-" "Visa, PBOC" Open;
    ISSUER_AUTHENTICATION_INDICATOR = 0x9F56 "Issuer Authentication Indicator" Binary 1 1 "-" "Visa, PBOC" Open;
    ISSUER_COUNTRY_CODE_RISK = 0x9F57 "Issuer Country Code (card risk management)" Numeric 2 2 "-" "Visa, PBOC" Open;
    CONSECUTIVE_LOWER_LIMIT = 0x9F58 "Lower Consecutive Offline Limit (card)" Binary 1 1 "-" "Visa, PBOC" Open;
    CONSECUTIVE_UPPER_LIMIT = 0x9F59 "Upper Consecutive Offline Limit (card)" Binary 1 1 "-" "Visa, PBOC" Open;
    APPLICATION_PROGRAM_IDENTIFIER = 0x9F5A "Application Program Identifier" Binary 1 16 "BF0C" "Visa" Open;
    ISSUER_SCRIPT_RESULTS = 0x9F5B "Issuer Script Results" Binary 5 252 "-" "B3 A" Open;
    CUMULATIVE_UPPER_LIMIT = 0x9F5C "Cumulative Total Transaction Amount Upper Limit" Numeric 6 8 "-" "Visa, PBOC" Open;
    AVAILABLE_OFFLINE_SPENDING_AMOUNT = 0x9F5D "Available Offline Spending Amount (AOSA)" Numeric 3 6 "77" "C-3; Visa" Open;
    CONSECUTIVE_INTERNATIONAL_UPPER_LIMIT = 0x9F5E "Consecutive Transaction International Upper Limit / Data Storage Identifier" Binary 1 11 "-" "Visa; C-2" Open;
    CVC3_TRACK_1 = 0x9F60 "CVC3 (Track 1)" Binary 2 2 "77" "C-2" Secret;
    CVC3_TRACK_2 = 0x9F61 "CVC3 (Track 2)" Binary 2 2 "77" "C-2" Secret;
    PCVC3_TRACK_1 = 0x9F62 "Track 1 Bit Map for CVC3 (PCVC3 TRACK1)" Binary 6 6 "70" "C-2" Open;
    PUNATC_TRACK_1 = 0x9F63 "Track 1 Bit Map for UN and ATC (PUNATC TRACK1)" Binary 6 6 "70" "C-2" Open;
    NATC_TRACK_1 = 0x9F64 "Track 1 Number of ATC Digits (NATC TRACK1)" Binary 1 1 "70" "C-2" Open;
    PCVC3_TRACK_2 = 0x9F65 "Track 2 Bit Map for CVC3 (PCVC3 TRACK2)" Binary 2 2 "70" "C-2" Open;
    TTQ = 0x9F66 "Terminal Transaction Qualifiers (TTQ) / Track 2 Bit Map for UN and ATC" Binary 2 4 "70" "C-3; C-2" Open;
    NATC_TRACK_2 = 0x9F67 "Track 2 Number of ATC Digits (NATC TRACK2)" Binary 1 1 "70" "C-2" Open;
    CARD_ADDITIONAL_PROCESSES = 0x9F68 "Card Additional Processes" Binary 4 4 "-" "Visa, PBOC" Open;
    CARD_AUTHENTICATION_RELATED_DATA = 0x9F69 "Card Authentication Related Data / UDOL" Binary 0 252 "70, 77" "C-3; C-2" Open;
    UNPREDICTABLE_NUMBER_NUMERIC = 0x9F6A "Unpredictable Number (Numeric)" Numeric 4 4 "-" "C-2" Open;
    TRACK_2_DATA = 0x9F6B "Track 2 Data / Card CVM Limit" Binary 0 19 "70" "C-2; Visa" Track;
    CTQ = 0x9F6C "Card Transaction Qualifiers (CTQ) / Application Version Number" Binary 2 2 "77, 70" "C-3; C-2" Open;
    MAGSTRIPE_APPLICATION_VERSION_READER = 0x9F6D "Mag-stripe Application Version Number (Reader)" Binary 2 6 "-" "C-2; PBOC" Open;
    FFI = 0x9F6E "Form Factor Indicator (FFI) / Third Party Data" Binary 4 32 "77, BF0C" "C-3; C-2" Open;
    CONSECUTIVE_COUNTRY_LIMIT = 0x9F72 "Consecutive Transaction Limit (International - Country)" Binary 1 1 "-" "Visa, PBOC" Open;
    CURRENCY_CONVERSION_FACTOR = 0x9F73 "Currency Conversion Factor" Binary 4 4 "-" "Visa, PBOC" Open;
    EC_ISSUER_AUTHORIZATION_CODE = 0x9F74 "Electronic Cash Issuer Authorization Code" Text 6 6 "70" "PBOC" Open;
    CUMULATIVE_DUAL_CURRENCY_LIMIT = 0x9F75 "Cumulative Total Transaction Amount Limit - Dual Currency" Numeric 6 6 "-" "Visa, PBOC" Open;
    SECONDARY_CURRENCY_CODE = 0x9F76 "Secondary Application Currency Code" Numeric 2 2 "-" "Visa, PBOC" Open;
    FUNDS_LIMIT = 0x9F77 "VLP / Electronic Cash Funds Limit" Numeric 6 6 "-" "Visa, PBOC" Open;
    SINGLE_TRANSACTION_LIMIT = 0x9F78 "VLP / Electronic Cash Single Transaction Limit" Numeric 6 6 "-" "Visa, PBOC" Open;
    AVAILABLE_FUNDS = 0x9F79 "VLP Available Funds / Electronic Cash Balance" Numeric 6 6 "-" "Visa, PBOC" Open;
    CUSTOMER_EXCLUSIVE_DATA = 0x9F7C "Customer Exclusive Data (CED) / Merchant Custom Data" Binary 0 32 "77" "C-3; C-2" Personal;
    APPLICATION_LIFE_CYCLE_DATA = 0x9F7E "Application Life Cycle Data" Binary 1 48 "-" "Mastercard" Open;
    CPLC = 0x9F7F "Card Production Life Cycle Data" Binary 42 42 "-" "GlobalPlatform" Open;
    FCI_ISSUER_DISCRETIONARY = 0xBF0C "File Control Information (FCI) Issuer Discretionary Data" Template 0 222 "A5" "B3 A" Open;
    CONTACTLESS_COUNTERS = 0xBF55 "Contactless Counters Data Template" Template 0 252 "-" "Visa" Open;
    CONSECUTIVE_COUNTERS = 0xBF56 "Counters Data Template" Template 0 252 "-" "Visa" Open;
    INTERNATIONAL_COUNTERS = 0xBF57 "International Counters Data Template" Template 0 252 "-" "Visa" Open;
    AMOUNTS_DATA = 0xBF58 "Amounts Data Template" Template 0 252 "-" "Visa" Open;
    PROFILE_CONTROLS = 0xBF59 "Profile Controls Template" Template 0 252 "-" "Visa" Open;
    AIP_AFL_ENTRIES = 0xBF5A "AIP/AFL Entries Template" Template 0 252 "-" "Visa" Open;
    APPLICATION_INTERNAL_DATA = 0xBF5B "Application Internal Data Template" Template 0 252 "-" "Visa" Open;
}

/// What is known of `tag`.
///
/// ```
/// use emv_dataprep::emv::{Tag, names};
/// assert_eq!(names::lookup(Tag::AUC).map(|t| t.name), Some("Application Usage Control"));
/// ```
#[must_use]
pub fn lookup(tag: Tag) -> Option<&'static TagInfo> {
    ALL.iter().find(|info| info.tag == tag)
}

/// The tag's name, or words that say that it has none here.
#[must_use]
pub fn name_of(tag: Tag) -> &'static str {
    lookup(tag).map_or("(not known here)", |info| info.name)
}

/// Format of the tag's value; binary if the tag is not known.
#[must_use]
pub fn format_of(tag: Tag) -> Format {
    let unknown = if tag.is_constructed() { Format::Template } else { Format::Binary };
    lookup(tag).map_or(unknown, |info| info.format)
}

/// How the tag's value is shown. A tag that is not known is shown as it is.
#[must_use]
pub fn sensitivity_of(tag: Tag) -> Sensitivity {
    lookup(tag).map_or(Sensitivity::Open, |info| info.sensitivity)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_row_is_a_tag_once_and_says_the_same_as_its_bits() {
        let mut seen = std::collections::BTreeSet::new();
        for info in ALL {
            assert_eq!(Tag::new(info.tag.value()).unwrap(), info.tag, "{}", info.name);
            assert!(seen.insert(info.tag), "{} stands twice", info.tag);
            assert!(info.min_len <= info.max_len, "{}", info.tag);
            assert_eq!(info.tag.is_constructed(), info.format == Format::Template, "{}", info.tag);
        }
    }

    #[test]
    fn account_numbers_and_names_are_never_open() {
        for hex in
            ["5A", "57", "56", "9F6B", "9F1F", "9F20", "5F20", "9F0B", "9F24", "9F46", "9F2D", "9F05", "9F7C"]
        {
            assert_ne!(sensitivity_of(hex.parse().unwrap()), Sensitivity::Open, "{hex}");
        }
    }
}
