#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| tpp_worker::fuzzing::http_request_head(bytes));
