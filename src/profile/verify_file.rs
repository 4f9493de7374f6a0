//! `verify` of `issuer.toml`: which cards the second witness reads before they leave.

use toml::Spanned;

use super::finding::Source;

/// Which cards are read back by the second witness while a batch is prepared.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum VerifyCards {
    /// None: `dataprep verify` reads them afterwards.
    #[default]
    None,
    /// Every one.
    All,
}

/// The member as `issuer.toml` writes it.
pub(super) fn read(source: &mut Source<'_>, text: Option<&Spanned<String>>) -> VerifyCards {
    let Some(text) = text else { return VerifyCards::default() };
    match text.get_ref().as_str() {
        "all" => VerifyCards::All,
        "none" => VerifyCards::None,
        _ => {
            source.error(text.span().start, "value", "verify: all or none");
            VerifyCards::default()
        }
    }
}
