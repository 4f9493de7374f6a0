//! The start of a batch, and the clock.

use emv_dataprep::card::CardDate;
use jiff::Timestamp;
use jiff::tz::TimeZone;

use crate::failure::Failure;

/// The clock, in whole seconds.
pub fn now() -> Timestamp {
    let now = Timestamp::now();
    Timestamp::from_second(now.as_second()).unwrap_or(now)
}

/// The start of a batch: an instant, and the day of its expiry checks.
pub struct Start {
    pub text: String,
    pub today: CardDate,
}

impl Start {
    /// The clock's.
    pub fn now() -> Result<Self, Failure> {
        Self::at(now())
    }

    /// This instant.
    pub fn at(instant: Timestamp) -> Result<Self, Failure> {
        let date = instant.to_zoned(TimeZone::UTC).date();
        let year = u8::try_from(i32::from(date.year()) - 2000).unwrap_or(u8::MAX);
        let (month, day) = (date.month().unsigned_abs(), date.day().unsigned_abs());
        let today = CardDate::new(year, month, day);
        let today =
            today.map_err(|_| Failure::usage("--now: a day of the years 2000 to 2099 is expected"))?;
        Ok(Self { text: instant.to_string(), today })
    }

    /// What a job or a manifest says.
    pub fn read(text: &str) -> Result<Self, Failure> {
        let instant = text.parse();
        Self::at(instant.map_err(|_| Failure::refused("the start of the batch cannot be read"))?)
    }
}

/// The clock as text.
pub fn clock() -> String {
    now().to_string()
}
