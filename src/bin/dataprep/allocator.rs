//! How the C library keeps memory that is freed.

/// From this size on a buffer is a mapping of its own.
#[cfg(all(target_os = "linux", target_env = "gnu"))]
const LARGE: std::ffi::c_int = 1 << 20;

/// Large buffers go back to the operating system when they are freed.
///
/// By itself glibc raises the limit to the size of each mapping that is freed, up to 32 MiB; from then on the files of a
/// block, which several threads make and free, lie in the heaps of these threads and stay there. Setting the limit stops
/// that: on two cores a batch of chip cards takes about 150 MiB less.
#[cfg(all(target_os = "linux", target_env = "gnu"))]
pub fn give_large_buffers_back() {
    #[allow(unsafe_code, reason = "a binding: Rust's library has no word for it")]
    // SAFETY: mallopt takes two integers and touches no memory of ours; at the start of main there is no other thread.
    // Where it fails, memory is kept as it always was.
    let _ = unsafe { libc::mallopt(libc::M_MMAP_THRESHOLD, LARGE) };
}

/// Other allocators decide for themselves.
#[cfg(not(all(target_os = "linux", target_env = "gnu")))]
pub const fn give_large_buffers_back() {}
