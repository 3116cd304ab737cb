//! What each case must come to: `expected.toml`.

use serde::Deserialize;

use crate::fuzzer::Outcome;
use crate::here;

/// The cases that are not simply OK.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Expected {
    informational: Vec<String>,
}

impl Expected {
    /// Reads the file.
    ///
    /// # Errors
    /// A line for people.
    pub fn read() -> Result<Self, String> {
        let path = here().join("expected.toml");
        let text = std::fs::read_to_string(&path).map_err(|error| format!("{}: {error}", path.display()))?;
        toml::from_str(&text).map_err(|error| format!("{}: {error}", path.display()))
    }

    /// The suite's word for what this case must come to.
    pub fn of(&self, case: &str) -> &'static str {
        if self.informational.iter().any(|informational| informational == case) {
            "INFORMATIONAL"
        } else {
            "OK"
        }
    }

    /// Whether this is what the case must come to, in behaviour and in closing.
    pub fn is_met_by(&self, outcome: &Outcome) -> bool {
        let wanted = self.of(&outcome.case);
        let closed_well =
            outcome.close == "OK" || outcome.close == "INFORMATIONAL" && outcome.close == wanted;
        outcome.behavior == wanted && closed_well
    }

    /// What is not as expected, a line each: other outcomes, and cases that never came to one.
    pub fn differences(&self, cases: &[String], outcomes: &[Outcome]) -> Vec<String> {
        let mut differences = Vec::new();
        for case in cases {
            let wanted = self.of(case);
            let mut found = outcomes.iter().filter(|outcome| outcome.case == *case);
            match (found.next(), found.next()) {
                (None, _) => differences.push(format!("{case}: no result")),
                (_, Some(_)) => differences.push(format!("{case}: more than one result")),
                (Some(outcome), None) => {
                    if !self.is_met_by(outcome) {
                        let close = &outcome.close;
                        let Outcome { behavior, code, why, .. } = outcome;
                        let code = code.map_or("none".to_owned(), |code| code.to_string());
                        differences.push(format!(
                            "{case}: {behavior}, not {wanted}; closing: {close}, code {code}. {why}"
                        ));
                    }
                }
            }
        }
        differences
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn outcome(case: &str, behavior: &str, close: &str) -> Outcome {
        Outcome {
            case: case.into(),
            behavior: behavior.into(),
            close: close.into(),
            code: Some(1000),
            ms: 1,
            why: String::new(),
            offered: String::new(),
            agreed: String::new(),
        }
    }

    #[test]
    fn every_difference_is_told() {
        let expected = Expected { informational: vec!["7.1.6".into()] };
        let cases: Vec<String> = ["1.1.1", "7.1.6", "12.1.1"].map(String::from).to_vec();
        let count = |outcomes: &[Outcome]| expected.differences(&cases, outcomes).len();
        let good = [
            outcome("1.1.1", "OK", "OK"),
            outcome("7.1.6", "INFORMATIONAL", "INFORMATIONAL"),
            outcome("12.1.1", "OK", "OK"),
        ];
        assert_eq!(count(&good), 0);
        assert_eq!(count(&good[1..]), 1);
        assert_eq!(count(&[&good[..], &good[..1]].concat()), 1);
        for bad in [
            outcome("1.1.1", "NON-STRICT", "OK"),
            outcome("1.1.1", "UNIMPLEMENTED", "OK"),
            outcome("1.1.1", "INFORMATIONAL", "OK"),
            outcome("1.1.1", "OK", "WRONG CODE"),
            outcome("1.1.1", "OK", "INFORMATIONAL"),
            outcome("12.1.1", "UNIMPLEMENTED", "OK"),
            outcome("7.1.6", "OK", "OK"),
        ] {
            let mut outcomes: Vec<_> = good.iter().filter(|good| good.case != bad.case).cloned().collect();
            outcomes.push(bad);
            assert_eq!(count(&outcomes), 1, "{outcomes:?}");
        }
    }
}
