use std::fmt;

use crate::error::{Error, ErrorKind, Result};

/// Card expiry: the last month, of the years 2000 to 2099, in which the card is good.
///
/// The order of year and month differs by place, so each writer says its own: [`Expiry::yymm`] (tracks, D1's
/// `exp`), [`Expiry::mmyy`] (certificates), [`Expiry::last_day`] (tag 5F24, YYMMDD).
///
/// ```
/// use emv_dataprep::card::Expiry;
/// let e = Expiry::from_yymm("2906")?;
/// assert_eq!((e.yymm_digits(), e.mmyy_bcd(), e.last_day().bcd()), ([2, 9, 0, 6], [0x06, 0x29], [0x29, 0x06, 0x30]));
/// assert!(Expiry::from_yymm("2913").is_err());
/// # Ok::<(), emv_dataprep::error::Error>(())
/// ```
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Expiry {
    year: u8,
    month: u8,
}

impl Expiry {
    /// From four digits, year then month.
    ///
    /// # Errors
    /// [`ErrorKind::Format`] for anything but four digits; [`ErrorKind::Value`] for a month outside 01 to 12,
    /// which says so when the digits can only be month then year.
    pub fn from_yymm(text: &str) -> Result<Self> {
        let [a, b, c, d] = four_digits(text)?;
        let (year, month) = (two(a, b), two(c, d));
        if (1..=12).contains(&month) {
            return Ok(Self { year, month });
        }
        Err(ErrorKind::Value(if (1..=12).contains(&year) {
            "month and year are exchanged: YYMM is expected"
        } else {
            "the month is not 01 to 12"
        })
        .into())
    }

    /// From two binary-coded bytes, month then year, as certificates carry it.
    ///
    /// # Errors
    /// [`ErrorKind::Format`] for a nibble above 9 or a month outside 01 to 12.
    pub fn from_mmyy_bcd(bytes: [u8; 2]) -> Result<Self> {
        let [mm, yy] = bytes;
        Self::from_yymm(&format!("{yy:02X}{mm:02X}"))
    }

    /// Years since 2000.
    #[must_use]
    pub const fn year(self) -> u8 {
        self.year
    }

    /// 1 to 12.
    #[must_use]
    pub const fn month(self) -> u8 {
        self.month
    }

    /// Four digits, year then month.
    #[must_use]
    pub const fn yymm_digits(self) -> [u8; 4] {
        [self.year / 10, self.year % 10, self.month / 10, self.month % 10]
    }

    /// Four digits, month then year.
    #[must_use]
    pub const fn mmyy_digits(self) -> [u8; 4] {
        [self.month / 10, self.month % 10, self.year / 10, self.year % 10]
    }

    /// Four ASCII digits, year then month.
    #[must_use]
    pub fn yymm(self) -> String {
        format!("{:02}{:02}", self.year, self.month)
    }

    /// Four ASCII digits, month then year.
    #[must_use]
    pub fn mmyy(self) -> String {
        format!("{:02}{:02}", self.month, self.year)
    }

    /// Two bytes, month then year (certificates).
    #[must_use]
    pub const fn mmyy_bcd(self) -> [u8; 2] {
        [bcd(self.month), bcd(self.year)]
    }

    /// The last day of the month (tag 5F24).
    #[must_use]
    pub const fn last_day(self) -> CardDate {
        CardDate { year: self.year, month: self.month, day: days_in(self.year, self.month) }
    }

    /// Whether the card is still good on `day`.
    #[must_use]
    pub fn covers(self, day: CardDate) -> bool {
        self.last_day() >= day
    }
}

impl fmt::Debug for Expiry {
    /// Card data, so no digits.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Expiry(****)")
    }
}

/// A civil day of the years 2000 to 2099, the form of tags 5F24 and 5F25 (YYMMDD).
///
/// ```
/// use emv_dataprep::card::CardDate;
/// assert_eq!(CardDate::from_yymmdd("280229")?.bcd(), [0x28, 0x02, 0x29]);
/// assert!(CardDate::from_yymmdd("270229").is_err());
/// # Ok::<(), emv_dataprep::error::Error>(())
/// ```
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct CardDate {
    year: u8,
    month: u8,
    day: u8,
}

impl CardDate {
    /// A day by years since 2000 (0 to 99), month and day.
    ///
    /// # Errors
    /// [`ErrorKind::Value`] if there is no such day.
    pub fn new(year: u8, month: u8, day: u8) -> Result<Self> {
        if year > 99 || !(1..=12).contains(&month) || !(1..=days_in(year, month)).contains(&day) {
            return Err(ErrorKind::Value("there is no such day").into());
        }
        Ok(Self { year, month, day })
    }

    /// From six digits, year, month, day.
    ///
    /// # Errors
    /// [`ErrorKind::Format`] for anything but six digits, [`ErrorKind::Value`] if there is no such day.
    pub fn from_yymmdd(text: &str) -> Result<Self> {
        let digits = ascii_digits::<6>(text)?;
        let [a, b, c, d, e, f] = digits;
        Self::new(two(a, b), two(c, d), two(e, f))
    }

    /// Three bytes, year, month, day.
    #[must_use]
    pub const fn bcd(self) -> [u8; 3] {
        [bcd(self.year), bcd(self.month), bcd(self.day)]
    }

    /// Years since 2000.
    #[must_use]
    pub const fn year(self) -> u8 {
        self.year
    }

    /// 1 to 12.
    #[must_use]
    pub const fn month(self) -> u8 {
        self.month
    }

    /// 1 to 31.
    #[must_use]
    pub const fn day(self) -> u8 {
        self.day
    }

    /// From ISO 8601 text, `2028-02-29`: a year of 2000 to 2099.
    ///
    /// # Errors
    /// [`ErrorKind::Format`] for another form, [`ErrorKind::Value`] if there is no such day.
    pub fn from_iso(text: &str) -> Result<Self> {
        let digits = text
            .strip_prefix("20")
            .filter(|t| t.len() == 8)
            .and_then(|t| Some((t.get(..2)?, t.get(2..)?.strip_prefix('-')?)))
            .and_then(|(year, rest)| Some((year, rest.split_once('-')?)))
            .filter(|(_, (month, day))| month.len() == 2 && day.len() == 2)
            .map(|(year, (month, day))| format!("{year}{month}{day}"));
        Self::from_yymmdd(&digits.ok_or(ErrorKind::Format("a day as YYYY-MM-DD"))?)
    }

    /// ISO 8601 text, `2028-02-29`.
    #[must_use]
    pub fn iso(self) -> String {
        format!("20{:02}-{:02}-{:02}", self.year, self.month, self.day)
    }

    /// 1 to 366.
    #[must_use]
    pub fn day_of_year(self) -> u16 {
        let before: u16 = (1..self.month).map(|month| u16::from(days_in(self.year, month))).sum();
        before.saturating_add(u16::from(self.day))
    }

    /// The day `days` later, at the latest the last day of 2099.
    #[must_use]
    pub const fn plus_days(self, days: u16) -> Self {
        let (mut year, mut month, mut left) = (self.year, self.month, days.saturating_add(self.day as u16));
        while left > days_in(year, month) as u16 {
            left = left.saturating_sub(days_in(year, month) as u16);
            (year, month) = match (year, month) {
                (99.., 12..) => return Self { year: 99, month: 12, day: 31 },
                (_, 12..) => (year.saturating_add(1), 1),
                _ => (year, month.saturating_add(1)),
            };
        }
        Self { year, month, day: (left & 0x1F) as u8 }
    }

    /// The first day of the same month.
    #[must_use]
    pub const fn first_of_month(self) -> Self {
        Self { year: self.year, month: self.month, day: 1 }
    }
}

fn four_digits(text: &str) -> Result<[u8; 4], Error> {
    ascii_digits::<4>(text)
}

fn ascii_digits<const N: usize>(text: &str) -> Result<[u8; N], Error> {
    let bytes: [u8; N] =
        text.as_bytes().try_into().map_err(|_| ErrorKind::Format("digits of the right count"))?;
    if bytes.iter().all(u8::is_ascii_digit) {
        Ok(bytes.map(|b| b.wrapping_sub(b'0')))
    } else {
        Err(ErrorKind::Format("decimal digits").into())
    }
}

const fn two(tens: u8, ones: u8) -> u8 {
    tens.wrapping_mul(10).wrapping_add(ones)
}

const fn bcd(value: u8) -> u8 {
    ((value / 10) << 4) | (value % 10)
}

/// Days of a month; every fourth year of 2000 to 2099 is a leap year.
const fn days_in(year: u8, month: u8) -> u8 {
    match month {
        2 if year.is_multiple_of(4) => 29,
        2 => 28,
        4 | 6 | 9 | 11 => 30,
        _ => 31,
    }
}

// Packing through `pack_digits` and through arithmetic must agree.
#[cfg(test)]
mod tests {
    use super::*;
    use crate::bytes::pack_digits;

    #[test]
    fn every_month_packs_alike_both_ways() {
        for year in 0..100 {
            for month in 1..=12 {
                let e = Expiry::from_yymm(&format!("{year:02}{month:02}")).unwrap();
                assert_eq!(pack_digits(&e.mmyy_digits(), 0), e.mmyy_bcd());
                assert_eq!(Expiry::from_mmyy_bcd(e.mmyy_bcd()).unwrap(), e);
                assert!(e.covers(e.last_day()));
            }
        }
    }

    #[test]
    fn an_exchanged_expiry_is_named() {
        let e = Expiry::from_yymm("0629").unwrap_err();
        assert_eq!(e.to_string(), "month and year are exchanged: YYMM is expected");
    }

    #[test]
    fn days_are_counted_over_months_and_leap_years() {
        for (from, days, to) in [
            ("2026-11-21", 0, "2026-11-21"),
            ("2026-11-21", 90, "2027-02-19"),
            ("2028-02-28", 1, "2028-02-29"),
            ("2027-02-28", 1, "2027-03-01"),
            ("2026-12-31", 1, "2027-01-01"),
            ("2026-01-01", 3650, "2035-12-30"),
            ("2099-12-30", 400, "2099-12-31"),
        ] {
            let day = CardDate::from_iso(from).unwrap();
            assert_eq!((day.iso().as_str(), day.plus_days(days).iso().as_str()), (from, to));
        }
        let days = |text: &str| CardDate::from_iso(text).unwrap().day_of_year();
        assert_eq!((days("2026-01-01"), days("2026-11-21"), days("2028-12-31")), (1, 325, 366));
        for text in ["2026-2-01", "1999-01-01", "2026-02-30", "20260201", "2026-02-1x", "2026-02-011"] {
            assert!(CardDate::from_iso(text).is_err(), "{text}");
        }
    }

    #[test]
    fn debug_tells_no_expiry() {
        assert_eq!(format!("{:?}", Expiry::from_yymm("2906").unwrap()), "Expiry(****)");
    }
}
