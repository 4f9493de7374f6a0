//! The EMV2000 session key tree, level by level.

use emv_dataprep::bytes::hex_upper;
use emv_dataprep::crypto::tdes::{TdesKey, adjust_parity, xor};
use emv_dataprep::secret::Secret;

use super::answer::{Answer, Step};
use super::card_key::Session;
use crate::failure::Failure;

const CLAUSE: &str = "EMV 4.1 Book 2, A1.3 (EMV2000, legacy)";

/// Both halves of a key of the tree.
type Halves = ([u8; 8], [u8; 8]);

/// The steps from the master key to the leaf of the counter.
pub fn explain(
    answer: &mut Answer,
    mk: &Secret,
    atc: [u8; 2],
    session: Session,
    iv: [u8; 16],
) -> Result<(), Failure> {
    let (height, bits) = if session == Session::Tree8 { (8_u32, 2_u32) } else { (16, 1) };
    let leaf = u64::from(u16::from_be_bytes(atc));
    let (mut above, mut grandparent, mut parent): (Halves, Halves, Halves) =
        (halves(&iv)?, halves(&iv)?, halves(mk.expose())?);
    for level in 1..=height {
        let shift = height.saturating_sub(level).saturating_mul(bits);
        let branch = (leaf >> shift) & if bits == 2 { 3 } else { 1 };
        let key = TdesKey::from_bytes([parent.0, parent.1].as_flattened())?;
        let left = key.encrypt_block(xor(grandparent.0, branch.to_be_bytes()));
        let right = key.encrypt_block(xor(grandparent.1, (branch ^ 0xF0).to_be_bytes()));
        answer.step(
            Step::new(
                format!("Level {level}, branch {branch}: E(parent)[grandparent left ⊕ branch], E(parent)[grandparent right ⊕ branch ⊕ F0]"),
                CLAUSE,
            )
            .with("parent", text(parent))
            .with("grandparent", text(grandparent))
            .gives("key", text((left, right))),
        );
        above = grandparent;
        grandparent = parent;
        parent = (left, right);
    }
    let mut key = [xor(parent.0, above.0), xor(parent.1, above.1)].concat();
    adjust_parity(&mut key);
    answer.step(
        Step::new("The leaf exclusive-or its grandparent, odd parity", CLAUSE)
            .with("leaf", text(parent))
            .with("grandparent", text(above))
            .gives("session key", hex_upper(&key)),
    );
    Ok(())
}

fn halves(bytes: &[u8]) -> Result<Halves, Failure> {
    match bytes.as_chunks::<8>() {
        ([left, right], []) => Ok((*left, *right)),
        _ => Err(Failure::refused("the tree takes a key of 16 bytes")),
    }
}

fn text(key: Halves) -> String {
    format!("{}{}", hex_upper(&key.0), hex_upper(&key.1))
}
