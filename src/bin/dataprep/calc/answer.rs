//! What a calculator says: results, the steps to them, and whether a given value matches.

use serde_json::{Value, json};
use zeroize::Zeroizing;

use super::arguments::Common;
use super::exit_of;
use super::search::Found;
use crate::failure::{Done, Failure};
use crate::terminal;

/// The answer of one calculator. It holds card values and keys of whoever asks: no Debug.
pub struct Answer {
    calculator: &'static str,
    results: Vec<(String, String)>,
    steps: Vec<Step>,
    notes: Vec<String>,
    check: Option<Check>,
    failed: bool,
}

/// One step: what is done by which clause to what, and what comes out.
pub struct Step {
    name: String,
    clause: &'static str,
    inputs: Vec<(String, String)>,
    gives: String,
    value: Zeroizing<String>,
}

/// A value that was given, beside the one that was computed.
struct Check {
    given: String,
    computed: String,
    found: Option<Found>,
}

impl Check {
    fn matches(&self) -> bool {
        self.given == self.computed
    }
}

impl Step {
    /// A step without inputs yet.
    pub fn new(name: impl Into<String>, clause: &'static str) -> Self {
        Self {
            name: name.into(),
            clause,
            inputs: Vec::new(),
            gives: String::new(),
            value: Zeroizing::new(String::new()),
        }
    }

    /// With one more input.
    pub fn with(mut self, name: impl Into<String>, value: impl Into<String>) -> Self {
        self.inputs.push((name.into(), value.into()));
        self
    }

    /// What comes out.
    pub fn gives(mut self, name: impl Into<String>, value: impl Into<String>) -> Self {
        self.gives = name.into();
        self.value = Zeroizing::new(value.into());
        self
    }
}

impl Answer {
    pub const fn new(calculator: &'static str) -> Self {
        Self {
            calculator,
            results: Vec::new(),
            steps: Vec::new(),
            notes: Vec::new(),
            check: None,
            failed: false,
        }
    }

    /// A result that is shown with and without `--explain`.
    pub fn result(&mut self, name: impl Into<String>, value: impl Into<String>) {
        self.results.push((name.into(), value.into()));
    }

    /// The next step.
    pub fn step(&mut self, step: Step) {
        self.steps.push(step);
    }

    /// Words that help.
    pub fn note(&mut self, words: impl Into<String>) {
        self.notes.push(words.into());
    }

    /// What was given is wrong: exit code 3, with words that say why.
    pub fn fails(&mut self, words: impl Into<String>) {
        self.failed = true;
        self.note(words);
    }

    /// The last step must give the value that the library gives: an explanation of something else is refused.
    pub fn ends_in(&self, value: &str) -> Result<(), Failure> {
        match self.steps.last() {
            Some(step) if step.value.as_str() == value => Ok(()),
            _ => Err(Failure::refused("internal: the steps do not lead to the value")),
        }
    }

    /// Compares with a given value; `search` looks for the mistake when they differ.
    pub fn check(&mut self, given: &str, computed: &str, search: impl FnOnce() -> Found) {
        let found = (given != computed).then(search);
        self.check = Some(Check { given: given.to_owned(), computed: computed.to_owned(), found });
    }

    /// Writes the answer.
    pub fn give(&self, common: &Common) -> Done {
        let text = if common.json {
            let mut text = serde_json::to_string_pretty(&self.to_json(common)).unwrap_or_default();
            text.push('\n');
            text
        } else {
            self.to_text(common)
        };
        terminal::give(Zeroizing::new(text).as_bytes())?;
        Ok(exit_of(!self.failed && self.check.as_ref().is_none_or(Check::matches)))
    }

    fn to_json(&self, common: &Common) -> Value {
        let results: serde_json::Map<String, Value> =
            self.results.iter().map(|(name, value)| (name.clone(), json!(value))).collect();
        let mut out = json!({ "calculator": self.calculator, "results": results, "notes": self.notes });
        if let Some(check) = &self.check {
            let mut shown =
                json!({ "given": check.given, "computed": check.computed, "match": check.matches() });
            if let (Some(found), Some(map)) = (&check.found, shown.as_object_mut()) {
                map.insert("mistakes".to_owned(), json!(found.mistakes));
                map.insert("tried".to_owned(), json!(found.tried));
            }
            insert(&mut out, "check", shown);
        }
        if common.explain {
            let pair = |(name, value): &(String, String)| json!({ "name": name, "value": value });
            let step = |s: &Step| {
                json!({
                    "name": s.name, "clause": s.clause, "inputs": s.inputs.iter().map(pair).collect::<Vec<_>>(),
                    "gives": s.gives, "value": s.value.as_str(),
                })
            };
            insert(&mut out, "steps", self.steps.iter().map(step).collect());
        }
        out
    }

    fn to_text(&self, common: &Common) -> String {
        let mut out = String::new();
        for (name, value) in &self.results {
            line(&mut out, "", name, value, 24);
        }
        if common.explain {
            let mut clause = "";
            for (number, step) in (1..).zip(&self.steps) {
                out.push_str(&format!("\n{number}. {}", step.name));
                // A clause stands where it begins.
                if clause != step.clause {
                    out.push_str(&format!(" [{}]", step.clause));
                    clause = step.clause;
                }
                out.push('\n');
                let names = step.inputs.iter().map(|(name, _)| name).chain([&step.gives]);
                let width = names.map(|n| n.chars().count().saturating_add(5)).max().unwrap_or(0).max(24);
                for (name, value) in &step.inputs {
                    line(&mut out, "     ", name, value, width);
                }
                line(&mut out, "   = ", &step.gives, &step.value, width);
            }
        }
        if !self.notes.is_empty() {
            out.push('\n');
        }
        for note in &self.notes {
            out.push_str(&format!("Note: {note}.\n"));
        }
        if let Some(check) = &self.check {
            out.push('\n');
            if check.matches() {
                out.push_str(&format!("Check: {} matches.\n", check.given));
            } else {
                out.push_str(&format!(
                    "Check: {} does not match, {} is computed.\n",
                    check.given, check.computed
                ));
            }
            if let Some(found) = &check.found {
                out.push_str(&found.to_text());
            }
        }
        out
    }
}

fn insert(object: &mut Value, name: &str, value: Value) {
    if let Some(map) = object.as_object_mut() {
        map.insert(name.to_owned(), value);
    }
}

/// A name and a value, the value from column `width` on.
fn line(out: &mut String, indent: &str, name: &str, value: &str, width: usize) {
    let width = width.saturating_sub(indent.chars().count());
    out.push_str(&format!("{indent}{name:<width$} {value}\n"));
}

#[cfg(test)]
mod tests {
    use super::*;

    fn answer() -> Answer {
        let mut answer = Answer::new("sum");
        answer.result("sum", "3");
        answer.step(Step::new("Add", "clause 1").with("a", "1").with("b", "2").gives("sum", "3"));
        answer
    }

    #[test]
    fn steps_must_lead_to_the_value() {
        assert!(answer().ends_in("3").is_ok());
        assert!(answer().ends_in("4").is_err());
        assert!(Answer::new("none").ends_in("").is_err());
    }

    #[test]
    fn text_and_json_say_the_same() {
        let short = Common { explain: false, json: false };
        let long = Common { explain: true, json: true };
        let mut answer = answer();
        assert_eq!(answer.to_text(&short), "sum                      3\n");
        assert!(answer.to_json(&short).get("steps").is_none());
        assert_eq!(answer.to_json(&long)["steps"][0]["inputs"][1]["value"], "2");
        assert!(answer.to_text(&long).contains("1. Add [clause 1]\n     a                   1\n"));
        answer.check("4", "3", || Found {
            mistakes: vec![vec!["b is 3".to_owned()]],
            tried: 5,
            chance: None,
        });
        assert!(answer.to_text(&short).contains("4 does not match, 3 is computed"));
        assert!(answer.to_text(&short).contains("b is 3"));
        assert_eq!(answer.to_json(&short)["check"]["mistakes"][0][0], "b is 3");
        assert_eq!(answer.to_json(&short)["check"]["match"], false);
    }
}
