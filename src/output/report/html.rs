use std::time::Duration;

/// Characters of a text that is shown; the rest is cut.
const MOST_SHOWN: usize = 160;

/// Text for the content or an attribute of an element. What is no printable character becomes U+FFFD, and a long text
/// is cut.
pub(super) fn escaped(text: &str) -> String {
    let mut out = String::with_capacity(text.len().min(MOST_SHOWN));
    for (i, c) in text.chars().enumerate() {
        if i == MOST_SHOWN {
            out.push('…');
            break;
        }
        match c {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '"' => out.push_str("&quot;"),
            '\'' => out.push_str("&#39;"),
            // Marks that turn the direction of text round could make a reason read as another.
            '\u{200B}'..='\u{200F}' | '\u{202A}'..='\u{202E}' | '\u{2060}'..='\u{2069}' => {
                out.push(char::REPLACEMENT_CHARACTER);
            }
            c if c.is_control() => out.push(char::REPLACEMENT_CHARACTER),
            c => out.push(c),
        }
    }
    out
}

/// A count with its thousands apart.
pub(super) fn number(n: u64) -> String {
    let digits = n.to_string();
    let mut out = String::with_capacity(digits.len().saturating_mul(2));
    for (i, c) in digits.chars().enumerate() {
        if i > 0 && digits.len().saturating_sub(i) % 3 == 0 {
            out.push('\u{202F}');
        }
        out.push(c);
    }
    out
}

/// A time for people: two units at most.
pub(super) fn span(time: Duration) -> String {
    let seconds = time.as_secs();
    match seconds {
        0..60 => format!("{:.1} s", time.as_secs_f64()),
        60..3600 => format!("{} min {} s", seconds / 60, seconds % 60),
        _ => format!("{} h {} min", seconds / 3600, seconds / 60 % 60),
    }
}

/// A table. A heading that begins with # stands over numbers.
pub(super) struct Table<'a> {
    heads: &'a [&'a str],
    text: String,
}

impl<'a> Table<'a> {
    pub(super) fn new(heads: &'a [&'a str]) -> Self {
        let mut text = String::from("<div class=\"scroll\"><table>\n<tr>");
        for head in heads {
            let (class, words) = Self::column(head);
            text.push_str(&format!("<th{class}>{words}</th>"));
        }
        text.push_str("</tr>\n");
        Self { heads, text }
    }

    fn column(head: &str) -> (&'static str, &str) {
        head.strip_prefix('#').map_or(("", head), |words| (" class=\"n\"", words))
    }

    /// Adds a row of cells that are HTML already.
    pub(super) fn row(&mut self, cells: &[String]) {
        self.text.push_str("<tr>");
        for (head, cell) in self.heads.iter().zip(cells) {
            let (class, _) = Self::column(head);
            self.text.push_str(&format!("<td{class}>{cell}</td>"));
        }
        self.text.push_str("</tr>\n");
    }

    pub(super) fn finish(mut self) -> String {
        self.text.push_str("</table></div>\n");
        self.text
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_numbers_and_times() {
        assert_eq!(escaped("a<b>&\"'"), "a&lt;b&gt;&amp;&quot;&#39;");
        assert_eq!(escaped("x\u{202E}\u{0}\n"), "x\u{FFFD}\u{FFFD}\u{FFFD}");
        assert_eq!(escaped(&"é".repeat(1000)).chars().count(), MOST_SHOWN + 1);
        assert_eq!(
            [0, 999, 1000, 1_234_567].map(number),
            ["0", "999", "1\u{202F}000", "1\u{202F}234\u{202F}567"]
        );
        let spans = [900, 61_000, 7_260_000].map(|ms| span(Duration::from_millis(ms)));
        assert_eq!(spans, ["0.9 s", "1 min 1 s", "2 h 1 min"]);
    }
}
