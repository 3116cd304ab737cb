//! JSON laid out for reading.

use serde::de::IgnoredAny;

/// Nesting above this is shown as it came: indentation alone would fill the screen and the memory.
const DEEPEST: usize = 64;

/// So is what becomes this many times as long: two bytes of a deep list take a line of up to 128 blanks.
const LONGEST: usize = 8;

/// The document on several lines, or `None` for what is no JSON. Only blanks change: numbers keep every digit, objects
/// keep the order of their names and names that stand twice.
pub(crate) fn pretty(text: &str) -> Option<String> {
    serde_json::from_str::<IgnoredAny>(text).ok()?;
    let mut out = String::with_capacity(2 * text.len());
    // What is short may be laid out as it likes.
    let most = text.len().saturating_mul(LONGEST).max(64 << 10);
    let mut depth = 0;
    // A bracket was opened, and whether it holds anything is not known yet.
    let mut just_opened = false;
    let mut chars = text.chars();
    while let Some(c) = chars.next() {
        if c.is_ascii_whitespace() {
            continue;
        }
        if out.len() > most {
            return None;
        }
        let is_end = matches!(c, '}' | ']');
        match (just_opened, is_end) {
            (true, true) => {}
            (true, false) => {
                depth += 1;
                if depth > DEEPEST {
                    return None;
                }
                new_line(&mut out, depth);
            }
            (false, true) => {
                depth -= 1;
                new_line(&mut out, depth);
            }
            (false, false) => {}
        }
        just_opened = matches!(c, '{' | '[');
        out.push(c);
        match c {
            '"' => copy_string(&mut chars, &mut out),
            ',' => new_line(&mut out, depth),
            ':' => out.push(' '),
            _ => {}
        }
    }
    Some(out)
}

/// The rest of a string, up to its closing quote.
fn copy_string(chars: &mut std::str::Chars<'_>, out: &mut String) {
    while let Some(c) = chars.next() {
        out.push(c);
        match c {
            '\\' => out.extend(chars.next()),
            '"' => return,
            _ => {}
        }
    }
}

fn new_line(out: &mut String, depth: usize) {
    out.push('\n');
    for _ in 0..depth {
        out.push_str("  ");
    }
}

#[cfg(test)]
mod tests {
    use super::pretty;

    #[test]
    fn only_blanks_change() {
        for text in [
            r#"{"b":1.50,"a":[1e400,-0, {"deep":[[]]} ,{ }],"b":"x\",: {[ \\"}"#,
            "[1,2]",
            "\"text\"",
            " 12345678901234567890.0 ",
            "null",
        ] {
            let laid_out = pretty(text).expect("JSON");
            assert_eq!(pretty(&laid_out).as_ref(), Some(&laid_out), "laying out twice changes nothing");
            let bare = |text: &str| text.replace([' ', '\n'], "");
            assert_eq!(bare(&laid_out), bare(text));
        }
        assert_eq!(pretty(r#"{"a":[1,{}]}"#).as_deref(), Some("{\n  \"a\": [\n    1,\n    {}\n  ]\n}"));
    }

    #[test]
    fn what_is_no_json_or_too_deep_stays_as_it_came() {
        assert_eq!(pretty("hello"), None);
        assert_eq!(pretty("{\"a\":1} x"), None);
        assert_eq!(pretty(&("[".repeat(100_000) + &"]".repeat(100_000))), None);
        assert_eq!(pretty(&("[".repeat(100_000))), None);
        // Sixty times as long, were it laid out.
        let deep = |count: usize| "[".repeat(63) + "1" + &",1".repeat(count) + &"]".repeat(63);
        assert!(pretty(&deep(100)).is_some());
        assert_eq!(pretty(&deep(100_000)), None);
    }
}
