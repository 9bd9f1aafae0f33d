#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| tpp::fuzzing::config_yaml(bytes));
