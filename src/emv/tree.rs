//! Data objects as a readable tree: tag, name, value, and what the value says.

use super::describe::{self, Masking};
use super::{names, tlv};
use crate::error::Result;

/// Deepest indentation; templates nest less.
const STEP: &str = "  ";

/// Renders data objects, a line each, with their meaning below.
///
/// # Errors
/// As [`tlv::tree`]: bytes that are no data objects are never printed as they are.
///
/// ```
/// use emv_dataprep::emv::{describe::Masking, tree};
/// let text = tree::render(&[0x70, 0x06, 0x5F, 0x24, 0x03, 0x30, 0x12, 0x31], Masking::Masked, 0)?;
/// assert_eq!(text, "70 READ RECORD Response Message Template (6 bytes)\n  \
///     5F24 Application Expiration Date: 301231\n      2030-12-31\n");
/// # Ok::<(), emv_dataprep::error::Error>(())
/// ```
pub fn render(bytes: &[u8], masking: Masking, depth: usize) -> Result<String> {
    let mut out = String::new();
    for node in tlv::tree(bytes, tlv::Rules::Ber)? {
        push(&node, masking, depth, &mut out);
    }
    Ok(out)
}

fn push(node: &tlv::Node<'_>, masking: Masking, depth: usize, out: &mut String) {
    let tlv::Tlv { tag, value } = node.tlv;
    let indent = STEP.repeat(depth);
    let name = names::name_of(tag);
    if tag.is_constructed() {
        out.push_str(&format!("{indent}{tag} {name} ({} bytes)\n", value.len()));
        for child in &node.children {
            push(child, masking, depth.saturating_add(1), out);
        }
        return;
    }
    out.push_str(&format!("{indent}{tag} {name}: {}\n", describe::shown(tag, value, masking)));
    for line in describe::meaning(tag, value, masking) {
        out.push_str(&format!("{indent}{STEP}{STEP}{line}\n"));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::bytes::from_hex;

    #[test]
    fn a_public_record_without_its_pan() {
        let bytes = from_hex("701B5A0862280001000011175F24033012315F25039507019F08020030").unwrap();
        let text = render(&bytes, Masking::Masked, 1).unwrap();
        assert_eq!(
            text,
            "  70 READ RECORD Response Message Template (27 bytes)\n    \
             5A Application Primary Account Number (PAN): 622800******1117\n    \
             5F24 Application Expiration Date: 301231\n        2030-12-31\n    \
             5F25 Application Effective Date: 950701\n        1995-07-01\n    \
             9F08 Application Version Number (ICC): 0030\n"
        );
        assert!(render(&bytes, Masking::Unmasked, 0).unwrap().contains("6228000100001117"));
        assert!(render(&bytes[..10], Masking::Masked, 0).is_err());
    }
}
