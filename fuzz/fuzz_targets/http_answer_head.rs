#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| tpp_worker::fuzzing::http_answer_head(bytes));
