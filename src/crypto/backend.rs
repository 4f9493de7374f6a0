//! Which instruction set the batch kernels use. Every backend gives the same bytes.

use std::fmt;
use std::str::FromStr;

use crate::error::{Error, ErrorKind, Result};

/// A set of kernels, chosen at run time. The library takes it as an argument; only the program reads
/// `DATAPREP_BACKEND`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Backend {
    /// General big-number arithmetic (`crypto-bigint`) and single blocks: what the others are tested against.
    Plain,
    /// 64-bit arithmetic, on every machine.
    #[default]
    Portable,
    /// 256-bit vectors: AVX2 with FMA, eight numbers side by side.
    Avx2,
    /// 512-bit vectors with IFMA, eight numbers side by side.
    Avx512,
}

impl Backend {
    /// All backends, slowest first.
    pub const ALL: [Self; 4] = [Self::Plain, Self::Portable, Self::Avx2, Self::Avx512];

    /// The fastest backend of this machine.
    #[must_use]
    pub fn detect() -> Self {
        Self::ALL.into_iter().rfind(|b| b.is_available()).unwrap_or_default()
    }

    /// Whether this machine can run the backend.
    #[must_use]
    pub fn is_available(self) -> bool {
        match self {
            Self::Plain | Self::Portable => true,
            #[cfg(target_arch = "x86_64")]
            Self::Avx2 => is_x86_feature_detected!("avx2") && is_x86_feature_detected!("fma"),
            #[cfg(target_arch = "x86_64")]
            Self::Avx512 => {
                is_x86_feature_detected!("avx512f")
                    && is_x86_feature_detected!("avx512dq")
                    && is_x86_feature_detected!("avx512vl")
                    && is_x86_feature_detected!("avx512ifma")
            }
            #[cfg(not(target_arch = "x86_64"))]
            Self::Avx2 | Self::Avx512 => false,
        }
    }

    /// The backend, if this machine has it.
    ///
    /// # Errors
    /// [`ErrorKind::Unsupported`] when it does not.
    pub fn require(self) -> Result<Self> {
        if self.is_available() {
            return Ok(self);
        }
        Err(Error::new(ErrorKind::Unsupported("this backend on this machine")).at(self.name()))
    }

    /// The name in `DATAPREP_BACKEND` and in reports.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Plain => "plain",
            Self::Portable => "portable",
            Self::Avx2 => "avx2",
            Self::Avx512 => "avx512",
        }
    }
}

impl FromStr for Backend {
    type Err = Error;

    /// The backend of that name, whether or not this machine has it.
    fn from_str(name: &str) -> Result<Self> {
        let found = Self::ALL.into_iter().find(|b| b.name() == name);
        found.ok_or_else(|| ErrorKind::Format("a backend: plain, portable, avx2 or avx512").into())
    }
}

impl fmt::Display for Backend {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_read_back() {
        for backend in Backend::ALL {
            assert_eq!(backend.to_string().parse::<Backend>().unwrap(), backend);
        }
        assert!("AVX2".parse::<Backend>().is_err());
    }

    #[test]
    fn the_detected_backend_is_there() {
        assert!(Backend::detect().is_available());
        assert!(Backend::Portable.require().is_ok());
        for backend in Backend::ALL {
            assert_eq!(backend.require().is_ok(), backend.is_available());
        }
    }
}
