#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| postmeter_fuzz::run("pmg", bytes));
