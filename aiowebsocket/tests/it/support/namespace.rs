//! A network of a test's own (Linux): the test runs itself again in a network namespace, where it may drop packets. Where
//! the machine does not allow that it is skipped in one loud line; with `AIOWEBSOCKET_PEERS=require` it fails.

use std::io::Write;
use std::process::Command;

const INSIDE: &str = "AIOWEBSOCKET_TEST_NAMESPACE";

/// Brings the loopback interface up, and makes an empty chain for what arrives on it.
const PREPARE: &str = "ip link set lo up && nft add table inet faults && \
                       nft 'add chain inet faults in { type filter hook input priority 0; }'";

/// Whether this process has a network of its own.
pub(crate) fn is_inside() -> bool {
    std::env::var_os(INSIDE).is_some()
}

/// Runs this (ignored) test in a network of its own, and fails where it fails. Where the machine does not allow that, says so
/// and is done.
#[expect(clippy::print_stdout, reason = "what the test said in its network")]
pub(crate) fn run_in_one(test: &str) {
    let tried = unshared(&format!("{PREPARE} && nft delete table inet faults")).output();
    let refused = match tried {
        Ok(output) if output.status.success() => None,
        Ok(output) => Some(String::from_utf8_lossy(&output.stderr).trim().to_owned()),
        Err(error) => Some(error.to_string()),
    };
    if let Some(why) = refused {
        assert!(
            std::env::var_os("AIOWEBSOCKET_NO_SKIP").is_none(),
            "no network namespace with nft here: {why}"
        );
        let line = format!("\nSKIPPED: {test}: no network namespace with nft here: {why}\n");
        assert!(std::env::var("AIOWEBSOCKET_PEERS").as_deref() != Ok("require"), "{line}");
        // Written straight: what is printed with a macro is kept back from a test that passes.
        _ = std::io::stderr().write_all(line.as_bytes());
        return;
    }
    let program = std::env::current_exe().expect("this binary");
    let mut command = unshared(&format!("{PREPARE} && exec \"$0\" \"$@\""));
    command.arg(program).args(["--ignored", "--exact", test, "--nocapture"]).env(INSIDE, "1");
    let output = command.output().expect("it ran a moment ago");
    let said =
        format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(output.status.success() && said.contains("1 passed"), "in a network of its own, {test}:\n{said}");
    print!("{said}");
}

/// A shell as root of a user namespace, with a network namespace.
fn unshared(script: &str) -> Command {
    let mut command = Command::new("unshare");
    command.args(["--map-root-user", "--net", "--kill-child", "sh", "-c", script]);
    command
}

/// Gives nft a command.
pub(crate) fn nft(command: &str) {
    assert!(is_inside(), "never in the network of the machine");
    let output = Command::new("nft").arg(command).output().expect("it ran when the network was made");
    assert!(output.status.success(), "nft {command}: {}", String::from_utf8_lossy(&output.stderr));
}

/// Packets that the rule with a counter has dropped.
pub(crate) fn dropped() -> u64 {
    let output =
        Command::new("nft").args(["list", "chain", "inet", "faults", "in"]).output().expect("it ran before");
    let rules = String::from_utf8_lossy(&output.stdout).into_owned();
    let count = rules.split("counter packets ").nth(1).and_then(|rest| rest.split(' ').next());
    count.and_then(|count| count.parse().ok()).unwrap_or_else(|| panic!("a counter in {rules}"))
}
