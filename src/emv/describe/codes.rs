//! Numeric codes in words: service code, countries and currencies that are common on cards.

/// Service code (ISO/IEC 7813), a line a digit.
#[must_use]
pub fn service_code_words(code: u16) -> Vec<String> {
    let digit = |divisor: u16| code.checked_div(divisor).unwrap_or(0) % 10;
    let first = match digit(100) {
        1 => "international",
        2 => "international, chip to be used where feasible",
        5 => "national",
        6 => "national, chip to be used where feasible",
        7 => "private, by agreement",
        9 => "test",
        _ => "reserved",
    };
    let second = match digit(10) {
        0 => "normal authorisation",
        2 => "authorisation by the issuer",
        4 => "authorisation by the issuer unless an agreement says otherwise",
        _ => "reserved",
    };
    let third = match digit(1) {
        0 => "no restrictions, PIN required",
        1 => "no restrictions",
        2 => "goods and services only",
        3 => "ATM only, PIN required",
        4 => "cash only",
        5 => "goods and services only, PIN required",
        6 => "no restrictions, PIN where feasible",
        7 => "goods and services only, PIN where feasible",
        _ => "reserved",
    };
    [first, second, third].map(str::to_owned).to_vec()
}

/// Name of a country by its numeric code (ISO 3166-1); none if it is not in the table.
#[must_use]
pub fn country_name(code: u16) -> Option<&'static str> {
    COUNTRIES.iter().find(|(n, _)| *n == code).map(|(_, name)| *name)
}

/// Name of a currency by its numeric code (ISO 4217); none if it is not in the table.
#[must_use]
pub fn currency_name(code: u16) -> Option<&'static str> {
    CURRENCIES.iter().find(|(n, _)| *n == code).map(|(_, name)| *name)
}

const COUNTRIES: &[(u16, &str)] = &[
    (32, "Argentina"),
    (36, "Australia"),
    (40, "Austria"),
    (56, "Belgium"),
    (76, "Brazil"),
    (100, "Bulgaria"),
    (124, "Canada"),
    (152, "Chile"),
    (156, "China"),
    (158, "Taiwan, Province of China"),
    (170, "Colombia"),
    (191, "Croatia"),
    (196, "Cyprus"),
    (203, "Czechia"),
    (208, "Denmark"),
    (233, "Estonia"),
    (246, "Finland"),
    (250, "France"),
    (276, "Germany"),
    (300, "Greece"),
    (344, "Hong Kong"),
    (348, "Hungary"),
    (352, "Iceland"),
    (356, "India"),
    (360, "Indonesia"),
    (372, "Ireland"),
    (376, "Israel"),
    (380, "Italy"),
    (392, "Japan"),
    (404, "Kenya"),
    (410, "Korea, Republic of"),
    (428, "Latvia"),
    (438, "Liechtenstein"),
    (440, "Lithuania"),
    (442, "Luxembourg"),
    (458, "Malaysia"),
    (470, "Malta"),
    (484, "Mexico"),
    (504, "Morocco"),
    (528, "Netherlands"),
    (554, "New Zealand"),
    (566, "Nigeria"),
    (578, "Norway"),
    (604, "Peru"),
    (608, "Philippines"),
    (616, "Poland"),
    (620, "Portugal"),
    (642, "Romania"),
    (643, "Russian Federation"),
    (682, "Saudi Arabia"),
    (702, "Singapore"),
    (703, "Slovakia"),
    (704, "Viet Nam"),
    (705, "Slovenia"),
    (710, "South Africa"),
    (724, "Spain"),
    (752, "Sweden"),
    (756, "Switzerland"),
    (764, "Thailand"),
    (784, "United Arab Emirates"),
    (792, "Türkiye"),
    (804, "Ukraine"),
    (818, "Egypt"),
    (826, "United Kingdom"),
    (840, "United States of America"),
];

const CURRENCIES: &[(u16, &str)] = &[
    (32, "Argentine peso"),
    (36, "Australian dollar"),
    (124, "Canadian dollar"),
    (152, "Chilean peso"),
    (156, "yuan renminbi"),
    (170, "Colombian peso"),
    (203, "Czech koruna"),
    (208, "Danish krone"),
    (344, "Hong Kong dollar"),
    (348, "forint"),
    (356, "Indian rupee"),
    (360, "rupiah"),
    (376, "new Israeli sheqel"),
    (392, "yen"),
    (404, "Kenyan shilling"),
    (410, "won"),
    (458, "Malaysian ringgit"),
    (484, "Mexican peso"),
    (554, "New Zealand dollar"),
    (566, "naira"),
    (578, "Norwegian krone"),
    (608, "Philippine peso"),
    (643, "Russian ruble"),
    (682, "Saudi riyal"),
    (702, "Singapore dollar"),
    (710, "rand"),
    (752, "Swedish krona"),
    (756, "Swiss franc"),
    (764, "baht"),
    (784, "UAE dirham"),
    (826, "pound sterling"),
    (840, "US dollar"),
    (946, "Romanian leu"),
    (949, "Turkish lira"),
    (978, "euro"),
    (980, "hryvnia"),
    (985, "zloty"),
    (986, "Brazilian real"),
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tables_stand_in_order_once() {
        assert!(COUNTRIES.windows(2).all(|w| w[0].0 < w[1].0));
        assert!(CURRENCIES.windows(2).all(|w| w[0].0 < w[1].0));
        assert_eq!(country_name(250), Some("France"));
        assert_eq!(currency_name(1), None);
    }

    #[test]
    fn service_code_201() {
        assert_eq!(
            service_code_words(201),
            ["international, chip to be used where feasible", "normal authorisation", "no restrictions"]
        );
    }
}
