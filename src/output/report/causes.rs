use crate::output::RejectedLine;

/// Causes that are told apart; the ones after them are counted together.
const MOST_CAUSES: usize = 64;
/// Places of a cause that are named.
const MOST_PLACES: usize = 10;

/// Why orders were rejected: counted by errorCode, field and reason, in bounded memory.
///
/// ```
/// use emv_dataprep::output::RejectedLine;
/// use emv_dataprep::output::report::Causes;
/// let line = r#"{"position":3,"cardId":"c-3","issuerRequestId":null,"errorCode":"FIELD_INVALID_VALUE","field":"cardData.pan","reason":"the check digit is wrong"}"#;
/// let mut causes = Causes::default();
/// causes.add(RejectedLine::read(line)?);
/// let cause = causes.rows().next().unwrap();
/// assert_eq!((cause.orders(), cause.field()), (1, "cardData.pan"));
/// assert_eq!(cause.first(), [(3, Some("c-3".to_owned()))]);
/// # Ok::<(), emv_dataprep::error::Error>(())
/// ```
#[derive(Clone, Debug, Default)]
pub struct Causes {
    rows: Vec<Cause>,
    others: u64,
}

/// One cause of rejections.
#[derive(Clone, Debug)]
pub struct Cause {
    error_code: String,
    field: String,
    reason: String,
    orders: u64,
    first: Vec<(u64, Option<String>)>,
}

impl Causes {
    /// Counts a rejected order.
    pub fn add(&mut self, line: RejectedLine) {
        let RejectedLine { position, card_id, error_code, field, reason, .. } = line;
        let same = |c: &&mut Cause| c.field == field && c.reason == reason && c.error_code == error_code;
        if let Some(cause) = self.rows.iter_mut().find(same) {
            cause.orders = cause.orders.saturating_add(1);
            if cause.first.len() < MOST_PLACES {
                cause.first.push((position, card_id));
            }
        } else if self.rows.len() < MOST_CAUSES {
            self.rows.push(Cause { error_code, field, reason, orders: 1, first: vec![(position, card_id)] });
        } else {
            self.others = self.others.saturating_add(1);
        }
    }

    /// The causes, the most frequent first.
    pub fn rows(&self) -> impl Iterator<Item = &Cause> {
        let mut rows: Vec<&Cause> = self.rows.iter().collect();
        rows.sort_by(|a, b| b.orders.cmp(&a.orders).then_with(|| a.first.cmp(&b.first)));
        rows.into_iter()
    }

    /// Rejected orders whose cause is not told apart.
    #[must_use]
    pub const fn others(&self) -> u64 {
        self.others
    }
}

impl Cause {
    /// D1's errorCode.
    #[must_use]
    pub fn error_code(&self) -> &str {
        &self.error_code
    }

    /// The first field in error; empty when no field is.
    #[must_use]
    pub fn field(&self) -> &str {
        &self.field
    }

    /// What is wrong, in words.
    #[must_use]
    pub fn reason(&self) -> &str {
        &self.reason
    }

    /// How many orders.
    #[must_use]
    pub const fn orders(&self) -> u64 {
        self.orders
    }

    /// Positions and cardIds of the first of them.
    #[must_use]
    pub fn first(&self) -> &[(u64, Option<String>)] {
        &self.first
    }
}
