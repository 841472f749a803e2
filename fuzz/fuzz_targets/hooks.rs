#![no_main]

const CHECK: postmeter_fuzz::Check = postmeter_fuzz::check("hooks");

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| CHECK(bytes));
