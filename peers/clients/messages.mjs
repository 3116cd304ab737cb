// The messages of the JavaScript clients, for Node and for a page; see facts.py.

export const SIZES = [0, 1, 125, 126, 65535, 65536, 1 << 20, 16 << 20];
export const LONG = "é".repeat(61) + "x"; // 123 bytes, the most that a Close frame holds
export const CLOSINGS = [[1000, ""], [1001, "bye"], [3000, "because"], [4999, LONG]];

// What our server sends in fragments, a character cut in two.
export const TEXT = "one, zwölf, 🦀";
export const BINARY = Uint8Array.from({ length: 1500 }, (_, n) => Math.floor(n / 300));

/// Text of this many bytes, with characters of one to four of them.
export function text(size) {
  return "aé世🦀".repeat(Math.floor(size / 10)) + "x".repeat(size % 10);
}

export function binary(size) {
  const bytes = new Uint8Array(size);
  for (let n = 0; n < size; n++) bytes[n] = ((n % 251) * 7) % 251;
  return bytes;
}

/// Whether two messages are the same in kind and content.
export function same(sent, received) {
  if (typeof sent === "string" || typeof received === "string") return sent === received;
  const bytes = new Uint8Array(received);
  if (sent.length !== bytes.length) return false;
  for (let n = 0; n < sent.length; n++) if (sent[n] !== bytes[n]) return false;
  return true;
}

export function close(commands, code, reason) {
  return `${commands}/close?code=${code}&reason=${encodeURIComponent(reason)}`;
}
