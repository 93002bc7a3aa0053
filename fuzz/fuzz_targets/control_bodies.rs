//! Whatever a client of impair's control server sends is read or refused in words; and what is read as
//! a list of proxies is read the same as a configuration.

#![no_main]

use libfuzzer_sys::fuzz_target;
use stentor::drive::impair::control::body;

fuzz_target!(|bytes: &[u8]| {
    let refused = |unread: &body::Unread| assert!(!unread.0.is_empty());
    let _ = body::proxy(bytes).inspect_err(refused);
    let _ = body::change(bytes).inspect_err(refused);
    let list = body::proxies(bytes).inspect_err(refused);
    if let Ok(toxic) = body::toxic(bytes).inspect_err(refused) {
        assert!(toxic.toxicity.is_none_or(|chance| (0.0..=1.0).contains(&chance)));
    }
    if let (Ok(config), Ok(list)) = (body::config(bytes).inspect_err(refused), list) {
        assert_eq!(config.proxies, list);
    }
});
