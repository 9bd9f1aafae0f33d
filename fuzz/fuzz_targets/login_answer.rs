#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| tpp_supervisor::login::fuzzing::login_answer(bytes));
