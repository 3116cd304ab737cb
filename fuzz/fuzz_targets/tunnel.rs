#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| aiowebsocket_fuzz::tunnel(data));
