// What the JavaScript servers share; see peer.py, which says what the lines on stdout are.

export const PING = "are you there?";

// Parts of a message that is sent in fragments: a character is cut in two, and one part is empty.
const crab = Buffer.from("🦀");
export const TEXT_PARTS = [
  Buffer.from("one, "), Buffer.alloc(0), Buffer.from([0x7a, 0x77, 0xc3]), Buffer.from([0xb6, 0x6c, 0x66, 0x2c, 0x20]),
  crab.subarray(0, 2), crab.subarray(2),
];
export const BINARY_PARTS = [0, 1, 2, 3, 4].map((n) => Buffer.alloc(300, n));

/// The path of a request, read: `/close?code=4001&reason=bye`.
export function command(target) {
  const url = new URL(target, "ws://localhost");
  return {
    target,
    name: url.pathname.slice(1),
    code: Number(url.searchParams.get("code") ?? 1000),
    reason: url.searchParams.get("reason") ?? "",
  };
}

/// Tells the port, and ends the program when its stdin does: with whoever started it.
export function ready(port) {
  console.log(port);
  process.stdin.on("end", () => process.exit()).resume();
}

export function closed({ target }, code, reason) {
  console.log("closed", target, code, String(reason ?? ""));
}
