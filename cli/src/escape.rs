//! What a server wrote, made harmless for a terminal.

use std::borrow::Cow;
use std::fmt::Write;

/// The text with every character that could move the cursor, colour the screen, or turn the direction of reading
/// written as `\u{…}`. Line ends and tabs stay.
pub(crate) fn escape(text: &str) -> Cow<'_, str> {
    if !text.contains(is_harmful) {
        return Cow::Borrowed(text);
    }
    let mut escaped = String::with_capacity(text.len() + 16);
    for c in text.chars() {
        if is_harmful(c) {
            _ = write!(escaped, "\\u{{{:x}}}", u32::from(c));
        } else {
            escaped.push(c);
        }
    }
    Cow::Owned(escaped)
}

fn is_harmful(c: char) -> bool {
    match c {
        '\n' | '\t' => false,
        // C0, DEL and C1: escape sequences begin with these.
        c if c.is_control() => true,
        // Separators of lines and paragraphs, and marks that turn or hide text.
        '\u{2028}'
        | '\u{2029}'
        | '\u{200e}'
        | '\u{200f}'
        | '\u{202a}'..='\u{202e}'
        | '\u{2066}'..='\u{2069}' => true,
        '\u{61c}' | '\u{feff}' => true,
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::escape;

    #[test]
    fn what_moves_or_turns_is_written_out_and_the_rest_stays() {
        for (text, shown) in [
            ("plain, 文字, 👋\tand\n", "plain, 文字, 👋\tand\n"),
            ("\x1b[2Jgone\x07", "\\u{1b}[2Jgone\\u{7}"),
            ("a\rb", "a\\u{d}b"),
            ("\u{9b}31m \u{7f}", "\\u{9b}31m \\u{7f}"),
            ("\u{202e}txt.exe", "\\u{202e}txt.exe"),
        ] {
            assert_eq!(escape(text), shown);
        }
        let harmful = "\u{80}\u{9f}\u{61c}\u{200e}\u{200f}\u{2028}\u{2029}\u{202a}\u{202b}\u{202c}\u{202d}\u{2066}\u{2067}\u{2068}\u{2069}\u{feff}";
        for c in harmful.chars() {
            assert_eq!(escape(&c.to_string()), format!("\\u{{{:x}}}", u32::from(c)));
        }
    }
}
