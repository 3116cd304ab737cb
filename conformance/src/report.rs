//! The results of a whole run, as a page.

use std::collections::BTreeMap;
use std::fmt::Write;

use crate::expected::Expected;
use crate::face::Face;
use crate::fuzzer::Outcome;
use crate::section;

/// The suite's sections, in short.
const SECTIONS: [(&str, &str); 11] = [
    ("1", "framing"),
    ("2", "pings and pongs"),
    ("3", "reserved bits"),
    ("4", "reserved opcodes"),
    ("5", "fragments"),
    ("6", "UTF-8"),
    ("7", "closing"),
    ("9", "sizes and counts up to 16 MiB"),
    ("10", "automatic fragments"),
    ("12", "compressed, data of five kinds"),
    ("13", "compressed, parameters of seven kinds"),
];

/// A group of cases: a section, or where sections are long a part of one.
#[derive(Default)]
struct Group<'a> {
    outcomes: Vec<&'a Outcome>,
}

impl Group<'_> {
    fn count(&self, is: impl Fn(&Outcome) -> bool) -> usize {
        self.outcomes.iter().filter(|outcome| is(outcome)).count()
    }
}

/// The page: counts and durations by group, beside what was expected, and the offers.
pub fn report(face: Face, expected: &Expected, outcomes: &[Outcome], seconds: u64) -> String {
    let mut groups: BTreeMap<Vec<u32>, Group<'_>> = BTreeMap::new();
    for outcome in outcomes {
        groups.entry(group(&outcome.case)).or_default().outcomes.push(outcome);
    }
    let mut page = format!(
        "# {}\n\nautobahntestsuite 25.10.1, written by `make conformance`; {} cases in {seconds} s.\n\n",
        face.title(),
        outcomes.len()
    );
    page.push_str(
        "| group | | cases | OK | informational | unimplemented | anything else | as expected | seconds |\n",
    );
    page.push_str("|---|---|---|---|---|---|---|---|---|\n");
    for (numbers, group) in &groups {
        let name = numbers.iter().map(u32::to_string).collect::<Vec<_>>().join(".");
        let title =
            SECTIONS.iter().find(|(number, _)| *number == section(&name)).map_or("", |(_, title)| title);
        row(&mut page, &name, title, group, expected);
    }
    let all = Group { outcomes: outcomes.iter().collect() };
    row(&mut page, "all", "", &all, expected);

    page.push_str("\nA case's time is that of its connection; four run at once.\n");
    page.push_str("\n## Extensions\n\nWhat was offered and what was agreed to:\n\n| cases | the client offered | the server agreed to |\n|---|---|---|\n");
    let mut offers: BTreeMap<(&str, &str), Vec<&str>> = BTreeMap::new();
    for outcome in outcomes {
        offers.entry((&outcome.offered, &outcome.agreed)).or_default().push(&outcome.case);
    }
    for ((offered, agreed), cases) in offers {
        let mut sections: Vec<_> = cases.iter().map(|case| group(case)).collect();
        sections.sort();
        sections.dedup();
        let names: Vec<_> = sections
            .iter()
            .map(|numbers| numbers.iter().map(u32::to_string).collect::<Vec<_>>().join("."))
            .collect();
        let code = |value: &str| if value.is_empty() { "nothing".to_owned() } else { format!("`{value}`") };
        // Writing into a String cannot fail.
        _ = writeln!(
            page,
            "| {} in {} | {} | {} |",
            cases.len(),
            names.join(", "),
            code(offered),
            code(agreed)
        );
    }
    page
}

fn row(page: &mut String, name: &str, title: &str, group: &Group<'_>, expected: &Expected) {
    let known = ["OK", "INFORMATIONAL", "UNIMPLEMENTED"];
    let [ok, informational, unimplemented] =
        known.map(|word| group.count(|outcome| outcome.behavior == word));
    let other = group.count(|outcome| !known.contains(&outcome.behavior.as_str()));
    let as_expected = group.count(|outcome| expected.is_met_by(outcome));
    let ms: u64 = group.outcomes.iter().map(|outcome| outcome.ms).sum();
    let cases = group.outcomes.len();
    _ = writeln!(
        page,
        "| {name} | {title} | {cases} | {ok} | {informational} | {unimplemented} | {other} | {as_expected} | {}.{} |",
        ms / 1000,
        ms % 1000 / 100
    );
}

/// 1 to 7 and 10 by section; the long ones by their second number too.
fn group(case: &str) -> Vec<u32> {
    let numbers = case.split('.').filter_map(|number| number.parse().ok());
    let parts = if matches!(section(case), "9" | "12" | "13") { 2 } else { 1 };
    numbers.take(parts).collect()
}
