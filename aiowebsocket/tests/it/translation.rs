//! README.zh-CN.md against README.md: block by block the same headings, code, rows, figures, names and links. What the sentences say
//! nobody but a reader can compare.

use std::collections::BTreeMap;
use std::fmt;
use std::path::Path;

/// One block of a page: a heading, a fence of code, a row of a table, or a paragraph.
struct Block {
    line: usize,
    kind: Kind,
    text: String,
}

#[derive(Debug, PartialEq, Eq)]
enum Kind {
    Heading { level: usize },
    Code { language: String },
    Row { cells: usize },
    Paragraph,
}

impl fmt::Display for Block {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "line {}, {:?} {:?}", self.line, self.kind, self.text.lines().next().unwrap_or_default())
    }
}

fn blocks(page: &str) -> Vec<Block> {
    let mut blocks: Vec<Block> = Vec::new();
    let mut is_code = false;
    let mut is_paragraph = false;
    for (number, line) in page.lines().enumerate() {
        let line_number = number + 1;
        let mut push =
            |kind, text: &str| blocks.push(Block { line: line_number, kind, text: text.to_owned() });
        let begins = !is_paragraph;
        is_paragraph = false;
        if let Some(language) = line.strip_prefix("```") {
            if !is_code {
                push(Kind::Code { language: language.to_owned() }, "");
            }
            is_code = !is_code;
        } else if is_code {
            let code = &mut blocks.last_mut().expect("it has begun").text;
            code.push_str(without_comment(line));
            code.push('\n');
        } else if line.starts_with('#') {
            push(Kind::Heading { level: line.bytes().take_while(|byte| *byte == b'#').count() }, line);
        } else if line.starts_with('|') {
            push(Kind::Row { cells: line.matches('|').count() - 1 }, line);
        } else if !line.trim().is_empty() {
            is_paragraph = true;
            if begins {
                push(Kind::Paragraph, line);
            } else {
                let text = &mut blocks.last_mut().expect("it has begun").text;
                text.push('\n');
                text.push_str(line);
            }
        }
    }
    blocks
}

/// A line of code without what a translator may change. `# ` at the start of a line of Rust hides it from its reader, and is code.
fn without_comment(line: &str) -> &str {
    let code = ["  # ", "// "].iter().filter_map(|mark| {
        let at = line.find(mark)?;
        (at == 0 || line[..at].ends_with(' ') || mark.starts_with(' ')).then_some(at)
    });
    line[..code.min().unwrap_or(line.len())].trim_end()
}

/// What is the same in every language: `code`, the targets of links, and figures, each with how often it is there.
fn facts(text: &str) -> BTreeMap<String, usize> {
    let mut facts = BTreeMap::new();
    let mut count = |fact: &str| *facts.entry(fact.to_owned()).or_insert(0) += 1;
    for (position, piece) in text.split('`').enumerate() {
        if position % 2 == 1 {
            count(&format!("`{piece}`"));
            continue;
        }
        let mut words = String::new();
        for (position, piece) in piece.split("](").enumerate() {
            let (target, rest) =
                if position == 0 { ("", piece) } else { piece.split_once(')').expect("a link ends") };
            if !target.is_empty() {
                count(&format!("({target})"));
            }
            words.push_str(rest);
            words.push(' ');
        }
        for figure in words.split(|char: char| !char.is_ascii_digit() && !",.".contains(char)) {
            let figure = figure.trim_matches([',', '.']);
            if !figure.is_empty() {
                count(figure);
            }
        }
    }
    facts
}

/// What is out of step, a line for each.
fn differences(english: &str, chinese: &str) -> Vec<String> {
    let (english, chinese) = (blocks(english), blocks(chinese));
    let mut differences = Vec::new();
    for (en, zh) in english.iter().zip(&chinese) {
        if english.len() != chinese.len() && !differences.is_empty() {
            // What is behind the missing one only stands beside another.
            let (here, there) = (english.len(), chinese.len());
            differences.push(format!(
                "README.md has {here} blocks, README.zh-CN.md {there}: the rest is not compared"
            ));
            return differences;
        }
        if en.kind != zh.kind {
            differences.push(format!("README.md has {en}\n    where README.zh-CN.md has {zh}"));
            // What is behind cannot be told apart.
            return differences;
        }
        if matches!(en.kind, Kind::Code { .. }) {
            let pair = en.text.lines().zip(zh.text.lines()).enumerate().find(|(_, (en, zh))| en != zh);
            if let Some((at, (said, says))) = pair {
                let (here, there) = (en.line + 1 + at, zh.line + 1 + at);
                differences.push(format!(
                    "README.md:{here} is {said:?}\n    and README.zh-CN.md:{there} is {says:?}"
                ));
            } else if en.text != zh.text {
                differences.push(format!(
                    "the code of README.md:{} and README.zh-CN.md:{} has other lines",
                    en.line, zh.line
                ));
            }
            continue;
        }
        let (said, says) = (facts(&en.text), facts(&zh.text));
        for fact in said.keys().chain(says.keys().filter(|fact| !said.contains_key(*fact))) {
            let (here, there) = (said.get(fact).unwrap_or(&0), says.get(fact).unwrap_or(&0));
            if here != there {
                differences.push(format!(
                    "{fact}: {here} times in README.md:{}, {there} times in README.zh-CN.md:{}",
                    en.line, zh.line
                ));
            }
        }
    }
    for (page, block) in
        [("README.md", english.get(chinese.len())), ("README.zh-CN.md", chinese.get(english.len()))]
    {
        differences.extend(block.map(|block| format!("{page} alone has {block}")));
    }
    differences
}

/// The page without its line that leads to the other one.
fn page(name: &str, leads: &str) -> String {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("..").join(name);
    let page = std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    assert_eq!(page.lines().nth(2), Some(leads), "{name} leads to its other language in line 3");
    page.replacen(leads, "", 1)
}

#[test]
fn the_chinese_readme_is_in_step_with_the_english_one() {
    let english = page("README.md", "English | [简体中文](README.zh-CN.md)");
    let chinese = page("README.zh-CN.md", "[English](README.md) | 简体中文");
    assert!(blocks(&english).len() > 40, "the blocks are found");
    let differences = differences(&english, &chinese);
    assert!(differences.is_empty(), "out of step:\n  {}", differences.join("\n  "));
}

#[test]
fn what_is_out_of_step_is_told() {
    let page =
        "# Name\n\nA `b` of 1,024 B.\n\n| x | [y](z.md) 3 |\n\n```rust\n# hidden\nlet x = 1; // one\n```\n";
    for (mark, changed, told) in [
        ("1,024", "1,025", "1,024: 1 times in README.md:3, 0 times in README.zh-CN.md:3"),
        ("`b`", "`c`", "`b`: 1 times in README.md:3"),
        ("z.md", "w.md", "(z.md): 1 times in README.md:5"),
        ("3 |", "3 | 4 |", "Row"),
        ("# Name", "## Name", "Heading"),
        ("x = 1", "x = 2", "README.md:9 is \"let x = 1;\""),
        ("# hidden", "# seen", "README.md:8 is \"# hidden\""),
        ("```rust", "```console", "Code"),
        ("// one\n", "// one\ny\n", "has other lines"),
        ("```\n", "```\n\nMore.\n", "README.zh-CN.md alone has line 12"),
    ] {
        let found = differences(page, &page.replacen(mark, changed, 1));
        assert!(found.iter().any(|line| line.contains(told)), "{changed}: {found:?}");
    }
    assert!(differences(page, &page.replace("// one", "// 一").replace(" of ", " 的 ")).is_empty());
}
