//! Made-up cardholders and addresses.

use serde_json::{Value, json};

/// First name as it is written on an address and as it is printed on a card.
const FIRST: [(&str, &str); 24] = [
    ("Zoé", "ZOE"),
    ("Luca", "LUCA"),
    ("Ana", "ANA"),
    ("Jürgen", "JURGEN"),
    ("Chloé", "CHLOE"),
    ("Emily", "EMILY"),
    ("João", "JOAO"),
    ("Marta", "MARTA"),
    ("Noah", "NOAH"),
    ("Inês", "INES"),
    ("François", "FRANCOIS"),
    ("Sofia", "SOFIA"),
    ("Björn", "BJORN"),
    ("Aisha", "AISHA"),
    ("Pierre", "PIERRE"),
    ("Lena", "LENA"),
    ("Mateo", "MATEO"),
    ("Hélène", "HELENE"),
    ("Oliver", "OLIVER"),
    ("Giulia", "GIULIA"),
    ("Núria", "NURIA"),
    ("Thomas", "THOMAS"),
    ("Małgorzata", "MALGORZATA"),
    ("Karim", "KARIM"),
];

/// Last names, likewise.
const LAST: [(&str, &str); 24] = [
    ("Müller", "MULLER"),
    ("Dupont", "DUPONT"),
    ("Rossi", "ROSSI"),
    ("García", "GARCIA"),
    ("O'Brien", "O'BRIEN"),
    ("Schmidt", "SCHMIDT"),
    ("Lefèvre", "LEFEVRE"),
    ("Smith", "SMITH"),
    ("Silva", "SILVA"),
    ("Bianchi", "BIANCHI"),
    ("Nuñez", "NUNEZ"),
    ("Weiß", "WEISS"),
    ("Martin", "MARTIN"),
    ("Johnson", "JOHNSON"),
    ("Costa", "COSTA"),
    ("Haddad", "HADDAD"),
    ("Kowalska", "KOWALSKA"),
    ("Fontaine-Roy", "FONTAINE-ROY"),
    ("Andersson", "ANDERSSON"),
    ("Moreau", "MOREAU"),
    ("Gonçalves", "GONCALVES"),
    ("Keller", "KELLER"),
    ("Taylor", "TAYLOR"),
    ("Esposito", "ESPOSITO"),
];

/// Street, city, state, postal code, country, calling code.
type Town = (&'static str, &'static str, Option<&'static str>, &'static str, &'static str, &'static str);

const TOWNS: [Town; 12] = [
    ("rue de l'Église", "Saint-Étienne", None, "42000", "FR", "+33"),
    ("avenue Foch", "Lyon", None, "69006", "FR", "+33"),
    ("Hauptstraße", "Köln", None, "50667", "DE", "+49"),
    ("Lindenallee", "Berlin", None, "10117", "DE", "+49"),
    ("calle Mayor", "Málaga", Some("Andalucía"), "29015", "ES", "+34"),
    ("via Garibaldi", "Torino", None, "10122", "IT", "+39"),
    ("rua Augusta", "Lisboa", None, "1100-048", "PT", "+351"),
    ("High Street", "Oxford", None, "OX1 4BG", "GB", "+44"),
    ("Queen Road", "Bristol", None, "BS8 1QU", "GB", "+44"),
    ("Market Street", "San Francisco", Some("California"), "94105-1234", "US", "+1"),
    ("Lake Drive", "Chicago", Some("Illinois"), "60601", "US", "+1"),
    ("Bahnhofstrasse", "Zürich", None, "8001", "CH", "+41"),
];

/// A cardholder.
pub(super) struct Person {
    first: (&'static str, &'static str),
    last: (&'static str, &'static str),
    town: Town,
    house: u64,
}

fn pick<T: Copy>(list: &[T], n: u64) -> Option<T> {
    let len = u64::try_from(list.len()).ok()?;
    list.get(usize::try_from(n.checked_rem(len)?).ok()?).copied()
}

impl Person {
    /// The cardholder of this number; a household shares last name and address.
    pub(super) fn new(number: u64, household: u64) -> Option<Self> {
        Some(Self {
            first: pick(&FIRST, number.wrapping_mul(7).wrapping_add(number / 24))?,
            last: pick(&LAST, household.wrapping_mul(11).wrapping_add(household / 24))?,
            town: pick(&TOWNS, household.wrapping_mul(5).wrapping_add(household / 12))?,
            house: household % 140 + 1,
        })
    }

    /// The name on the card.
    pub(super) fn printed(&self) -> String {
        format!("{} {}", self.first.1, self.last.1)
    }

    /// The name as ISO/IEC 7813 has it.
    pub(super) fn encoded(&self) -> String {
        format!("{}/{}", self.last.1, self.first.1)
    }

    /// The home address; every third has a phone, every fifth an e-mail address.
    pub(super) fn address(&self, number: u64) -> Value {
        let (street, city, state, zip, country, calling) = self.town;
        let mut address = json!({
            "firstName": self.first.0,
            "lastName": self.last.0,
            "line1": format!("{} {street}", self.house),
            "city": city,
            "zipCode": zip,
            "countryCode": country,
        });
        if let Some(state) = state {
            set(&mut address, "state", state.into());
        }
        if number.is_multiple_of(4) {
            set(&mut address, "line2", format!("Apt. {}", number % 40 + 1).into());
        }
        if number.is_multiple_of(3) {
            let local = format!("6{:08}", number.wrapping_mul(7919) % 100_000_000);
            set(&mut address, "mobilePhoneNumber", json!({ "countryCode": calling, "phoneNumber": local }));
        }
        if number.is_multiple_of(5) {
            let mail = format!("cardholder.{number}@example.com");
            set(&mut address, "email", mail.into());
        }
        address
    }
}

/// The branch to which bulk shipments go.
pub(super) fn branch(number: u64) -> Value {
    let (street, city, state, zip, country, _) = pick(&TOWNS, number).unwrap_or(("", "", None, "", "", ""));
    let mut address = json!({
        "lastName": format!("Branch {}", number % 12 + 1),
        "companyName": "Demo Bank & Co",
        "line1": format!("1 {street}"),
        "city": city,
        "zipCode": zip,
        "countryCode": country,
    });
    if let Some(state) = state {
        set(&mut address, "state", state.into());
    }
    address
}

/// Sets a member of an object.
pub(super) fn set(object: &mut Value, name: &str, value: Value) {
    if let Some(members) = object.as_object_mut() {
        members.insert(name.to_owned(), value);
    }
}
