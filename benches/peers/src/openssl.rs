//! The few functions of libcrypto 3 that the comparison needs.

use std::ffi::{c_char, c_int, c_long, c_uchar, c_void};
use std::ptr;

#[repr(C)]
struct Opaque([u8; 0]);

unsafe extern "C" {
    fn EVP_PKEY_CTX_new_from_name(lib: *mut c_void, name: *const c_char, props: *const c_char)
    -> *mut Opaque;
    fn EVP_PKEY_CTX_new(key: *mut Opaque, engine: *mut c_void) -> *mut Opaque;
    fn EVP_PKEY_CTX_free(ctx: *mut Opaque);
    fn EVP_PKEY_keygen_init(ctx: *mut Opaque) -> c_int;
    fn EVP_PKEY_CTX_set_rsa_keygen_bits(ctx: *mut Opaque, bits: c_int) -> c_int;
    fn EVP_PKEY_CTX_set1_rsa_keygen_pubexp(ctx: *mut Opaque, e: *mut Opaque) -> c_int;
    fn EVP_PKEY_keygen(ctx: *mut Opaque, key: *mut *mut Opaque) -> c_int;
    fn EVP_PKEY_sign_init(ctx: *mut Opaque) -> c_int;
    fn EVP_PKEY_CTX_set_rsa_padding(ctx: *mut Opaque, padding: c_int) -> c_int;
    fn EVP_PKEY_sign(
        ctx: *mut Opaque,
        sig: *mut c_uchar,
        len: *mut usize,
        data: *const c_uchar,
        data_len: usize,
    ) -> c_int;
    fn EVP_PKEY_check(ctx: *mut Opaque) -> c_int;
    fn EVP_PKEY_get_bn_param(key: *const Opaque, name: *const c_char, n: *mut *mut Opaque) -> c_int;
    fn EVP_PKEY_free(key: *mut Opaque);
    fn BN_new() -> *mut Opaque;
    fn BN_set_word(n: *mut Opaque, word: u64) -> c_int;
    fn BN_num_bits(n: *const Opaque) -> c_int;
    fn BN_bn2bin(n: *const Opaque, to: *mut c_uchar) -> c_int;
    fn BN_free(n: *mut Opaque);
    fn d2i_AutoPrivateKey(key: *mut *mut Opaque, data: *mut *const c_uchar, len: c_long) -> *mut Opaque;
    fn OpenSSL_version(kind: c_int) -> *const c_char;
}

const RSA_NO_PADDING: c_int = 3;

/// The version's text.
pub fn version() -> String {
    // SAFETY: OpenSSL gives a static text that ends in zero.
    unsafe { std::ffi::CStr::from_ptr(OpenSSL_version(0)) }.to_string_lossy().into_owned()
}

/// A private key.
pub struct Key(*mut Opaque);

// SAFETY: a key belongs to one thread at a time, and OpenSSL's keys are read by several at a time.
unsafe impl Send for Key {}
// SAFETY: as above; no function here changes a key.
unsafe impl Sync for Key {}

impl Drop for Key {
    fn drop(&mut self) {
        // SAFETY: the pointer came from OpenSSL and is freed once.
        unsafe { EVP_PKEY_free(self.0) }
    }
}

struct Context(*mut Opaque);

impl Drop for Context {
    fn drop(&mut self) {
        // SAFETY: the pointer came from OpenSSL and is freed once.
        unsafe { EVP_PKEY_CTX_free(self.0) }
    }
}

impl Key {
    /// `EVP_PKEY_keygen`.
    pub fn generate(bits: usize, e: u32) -> Self {
        // SAFETY: each function is called as its manual page says, on objects made just above.
        unsafe {
            let context = Context(EVP_PKEY_CTX_new_from_name(ptr::null_mut(), c"RSA".as_ptr(), ptr::null()));
            let exponent = BN_new();
            assert_eq!(BN_set_word(exponent, e.into()), 1);
            assert_eq!(EVP_PKEY_keygen_init(context.0), 1);
            assert_eq!(EVP_PKEY_CTX_set_rsa_keygen_bits(context.0, bits as c_int), 1);
            assert_eq!(EVP_PKEY_CTX_set1_rsa_keygen_pubexp(context.0, exponent), 1);
            let mut key = ptr::null_mut();
            assert_eq!(EVP_PKEY_keygen(context.0, &mut key), 1);
            BN_free(exponent);
            Self(key)
        }
    }

    /// The two primes, big-endian.
    pub fn primes(&self) -> [Vec<u8>; 2] {
        [c"rsa-factor1", c"rsa-factor2"].map(|name| {
            // SAFETY: OpenSSL makes the number; the buffer has its length.
            unsafe {
                let mut n = ptr::null_mut();
                assert_eq!(EVP_PKEY_get_bn_param(self.0, name.as_ptr(), &mut n), 1);
                let mut out = vec![0; (BN_num_bits(n) as usize).div_ceil(8)];
                BN_bn2bin(n, out.as_mut_ptr());
                BN_free(n);
                out
            }
        })
    }

    /// A PKCS#8 key in clear.
    pub fn from_pkcs8(der: &[u8]) -> Option<Self> {
        let mut at = der.as_ptr();
        // SAFETY: `at` points to `der.len()` readable bytes.
        let key = unsafe { d2i_AutoPrivateKey(ptr::null_mut(), &mut at, der.len() as c_long) };
        (!key.is_null()).then_some(Self(key))
    }

    /// `EVP_PKEY_check`: the key check of OpenSSL.
    pub fn check(&self) -> bool {
        // SAFETY: the key is whole; the context lives to the end of the block.
        unsafe {
            let context = Context(EVP_PKEY_CTX_new(self.0, ptr::null_mut()));
            EVP_PKEY_check(context.0) == 1
        }
    }

    /// Raw signatures of all blocks.
    pub fn sign(&self, blocks: &[Vec<u8>]) -> Vec<Vec<u8>> {
        // SAFETY: each signature has the length of the modulus, that of its block.
        unsafe {
            let context = Context(EVP_PKEY_CTX_new(self.0, ptr::null_mut()));
            assert_eq!(EVP_PKEY_sign_init(context.0), 1);
            assert_eq!(EVP_PKEY_CTX_set_rsa_padding(context.0, RSA_NO_PADDING), 1);
            let sign = |block: &Vec<u8>| {
                let mut out = vec![0; block.len()];
                let mut len = out.len();
                assert_eq!(
                    EVP_PKEY_sign(context.0, out.as_mut_ptr(), &mut len, block.as_ptr(), block.len()),
                    1
                );
                out
            };
            blocks.iter().map(sign).collect()
        }
    }
}
