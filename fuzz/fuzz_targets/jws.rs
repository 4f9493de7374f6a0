#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| {
    emv_dataprep_fuzz::jws(data);
});
