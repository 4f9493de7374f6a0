//! Which mistake gives a value: one choice after the other is replaced by what people mix it up with, then two at once,
//! then three. The fewest mistakes that give the value are told.

/// One choice: what stands in place of the right reading, in words.
pub struct Choice {
    others: Vec<String>,
}

impl Choice {
    /// A choice with its other readings, each in words.
    pub fn new(others: impl IntoIterator<Item = String>) -> Self {
        Self { others: others.into_iter().collect() }
    }
}

/// What a search found.
pub struct Found {
    /// Each a set of mistakes that together give the value.
    pub mistakes: Vec<Vec<String>>,
    /// How many readings were tried.
    pub tried: usize,
    /// The size of the value's range when it is small enough for chance to give it.
    pub chance: Option<u32>,
}

impl Found {
    /// Words for people.
    pub fn to_text(&self) -> String {
        let mut out = String::new();
        if self.mistakes.is_empty() {
            out.push_str(&format!("No mistake that was tried gives it ({} readings).\n", self.tried));
            return out;
        }
        out.push_str(&format!("The given value comes out ({} readings tried) if\n", self.tried));
        for set in &self.mistakes {
            out.push_str(&format!("  - {}\n", set.join(", and ")));
        }
        if let Some(range) = self.chance {
            out.push_str(&format!(
                "A wrong reading gives it by chance once in {range}: make sure with a second card.\n"
            ));
        }
        out
    }
}

/// Tries every set of one to `most` mistakes. `gives` gets one number for each choice, 0 for the right reading, and says
/// whether the value comes out.
pub fn search(
    choices: &[Choice],
    most: usize,
    chance: Option<u32>,
    mut gives: impl FnMut(&[usize]) -> bool,
) -> Found {
    let mut found = Found { mistakes: Vec::new(), tried: 0, chance };
    let mut reading = vec![0; choices.len()];
    for count in 1..=most {
        walk(choices, 0, count, &mut reading, &mut |reading| {
            found.tried = found.tried.saturating_add(1);
            if gives(reading) {
                let named = reading.iter().zip(choices).filter_map(|(n, c)| c.others.get(n.checked_sub(1)?));
                found.mistakes.push(named.cloned().collect());
            }
        });
        if !found.mistakes.is_empty() {
            break;
        }
    }
    found
}

fn walk(
    choices: &[Choice],
    from: usize,
    left: usize,
    reading: &mut [usize],
    visit: &mut impl FnMut(&[usize]),
) {
    if left == 0 {
        visit(reading);
        return;
    }
    for (at, choice) in choices.iter().enumerate().skip(from) {
        for number in 1..=choice.others.len() {
            set(reading, at, number);
            walk(choices, at.saturating_add(1), left.saturating_sub(1), reading, visit);
        }
        set(reading, at, 0);
    }
}

fn set(reading: &mut [usize], at: usize, number: usize) {
    if let Some(slot) = reading.get_mut(at) {
        *slot = number;
    }
}

/// The number that a search gives for a choice, as a place in a list whose first entry is the right reading.
pub fn chosen<'a, T>(list: &'a [T], reading: &[usize], choice: usize) -> Option<&'a T> {
    list.get(reading.get(choice).copied()?)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn choices() -> Vec<Choice> {
        ["a", "b", "c"].map(|n| Choice::new([format!("{n}1"), format!("{n}2")])).into()
    }

    #[test]
    fn the_fewest_mistakes_win() {
        let found = search(&choices(), 3, None, |r| r[1] == 2);
        assert_eq!(found.mistakes, [["b2"]]);
        assert_eq!(found.tried, 6);
        let found = search(&choices(), 3, None, |r| r[0] == 1 && r[2] == 2);
        assert_eq!(found.mistakes, [["a1", "c2"]]);
        assert_eq!(found.tried, 6 + 12);
        let found = search(&choices(), 3, None, |r| r == [2, 2, 2]);
        assert_eq!(found.mistakes, [["a2", "b2", "c2"]]);
        assert_eq!(found.tried, 6 + 12 + 8);
    }

    #[test]
    fn nothing_found_is_said() {
        let found = search(&choices(), 2, Some(1000), |_| false);
        assert!(found.mistakes.is_empty());
        assert!(found.to_text().contains("18 readings"));
    }
}
