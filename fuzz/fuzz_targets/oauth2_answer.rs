#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| tpp_supervisor::provider::fuzzing::oauth2_answer(bytes));
