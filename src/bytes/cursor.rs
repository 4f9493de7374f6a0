use crate::error::{ErrorKind, Result};

/// Reads bytes front to back; every step is checked.
///
/// ```
/// use emv_dataprep::bytes::Cursor;
/// let mut c = Cursor::new(&[1, 2, 3, 4]);
/// assert_eq!(c.u8()?, 1);
/// assert_eq!(c.u16()?, 0x0203);
/// assert!(c.finish().is_err());
/// assert_eq!(c.rest(), &[4]);
/// # Ok::<(), emv_dataprep::error::Error>(())
/// ```
#[derive(Clone, Debug)]
pub struct Cursor<'a> {
    left: &'a [u8],
}

impl<'a> Cursor<'a> {
    /// A cursor at the start of `bytes`.
    #[must_use]
    pub const fn new(bytes: &'a [u8]) -> Self {
        Self { left: bytes }
    }

    /// The next `n` bytes.
    ///
    /// # Errors
    /// [`ErrorKind::Truncated`] if fewer are left; the cursor does not move then.
    pub fn take(&mut self, n: usize) -> Result<&'a [u8]> {
        let (head, tail) =
            self.left.split_at_checked(n).ok_or(ErrorKind::Truncated { needed: n, left: self.left.len() })?;
        self.left = tail;
        Ok(head)
    }

    /// The next `N` bytes as an array.
    ///
    /// # Errors
    /// [`ErrorKind::Truncated`] if fewer are left.
    pub fn array<const N: usize>(&mut self) -> Result<[u8; N]> {
        let (head, tail) = self
            .left
            .split_first_chunk::<N>()
            .ok_or(ErrorKind::Truncated { needed: N, left: self.left.len() })?;
        self.left = tail;
        Ok(*head)
    }

    /// The next byte.
    ///
    /// # Errors
    /// [`ErrorKind::Truncated`] at the end.
    pub fn u8(&mut self) -> Result<u8> {
        let [b] = self.array::<1>()?;
        Ok(b)
    }

    /// The next two bytes, big-endian.
    ///
    /// # Errors
    /// [`ErrorKind::Truncated`] if fewer are left.
    pub fn u16(&mut self) -> Result<u16> {
        Ok(u16::from_be_bytes(self.array()?))
    }

    /// The next byte, without taking it.
    #[must_use]
    pub fn peek(&self) -> Option<u8> {
        self.left.first().copied()
    }

    /// All that is left; the cursor is at the end then.
    pub fn rest(&mut self) -> &'a [u8] {
        std::mem::take(&mut self.left)
    }

    /// How many bytes are left.
    #[must_use]
    pub const fn remaining(&self) -> usize {
        self.left.len()
    }

    /// Whether nothing is left.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.left.is_empty()
    }

    /// Says that the value ends here.
    ///
    /// # Errors
    /// [`ErrorKind::Trailing`] if bytes are left.
    pub fn finish(&self) -> Result<()> {
        if self.left.is_empty() { Ok(()) } else { Err(ErrorKind::Trailing(self.left.len()).into()) }
    }
}
