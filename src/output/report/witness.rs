use super::Report;
use super::html::{Table, escaped, number};

/// The section on what the second witness found while the batch was prepared.
pub(super) fn section(report: &Report<'_>, out: &mut String) {
    let Some(found) = report.verification else { return };
    out.push_str(&format!(
        "<h2>Cards read back</h2>\n<p>{} cards were read back by the second witness (a virtual card, a terminal and a \
         host that share no code with what makes cards), each with its PIN mailer and its issuer return, before they \
         were sealed. A card that fails a check does not leave: its order stands among the rejected ones. The batch \
         has {} cards.</p>\n",
        number(found.cards),
        number(report.counts.prepared)
    ));
    if found.failed > 0 {
        out.push_str(&format!(
            "<p class=\"note\">{} cards failed: their orders were rejected with INTERNAL_ERROR.</p>\n",
            number(found.failed)
        ));
    }
    let mut table = Table::new(&["check", "#passed", "#failed", "#not applicable"]);
    for (name, counts) in &found.checks {
        table.row(&[
            format!("<code>{}</code>", escaped(name)),
            number(counts.passed),
            number(counts.failed),
            number(counts.not_applicable),
        ]);
    }
    out.push_str(&table.finish());
}

/// What is to be done about the prepared cards.
pub(super) fn next(report: &Report<'_>) -> String {
    let command = "<code>dataprep verify OUT --issuer DIR --key JWK</code>, with <code>--key</code> once for each \
                   destination";
    let read = report.verification.map_or(0, |found| found.cards.saturating_sub(found.failed));
    if read >= report.counts.prepared {
        return format!(
            "<li>Every card was read back before it was sealed. That the files are whole and unchanged is shown where \
             they are, and where they arrive: {command}.</li>\n"
        );
    }
    if read > 0 {
        return format!(
            "<li>Only {} of {} cards were read back before they were sealed: a part of the batch was prepared \
             without <code>--verify</code>. The second witness reads the others before the files leave: {command}.</li>\n",
            number(read),
            number(report.counts.prepared)
        );
    }
    format!(
        "<li>This page says what was made. That each card works is shown by the second witness, before the files \
         leave: {command}; or ask for it with <code>prepare --verify</code>.</li>\n"
    )
}
