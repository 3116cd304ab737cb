// ws on Node.js, from the folder that peers/install fills: `message` events, `cork` around a batch. It checks UTF-8. The loop of each
// workload, the payloads and the checksum are those of harness/, with its 64-bit sums in two halves.

"use strict";

const path = require("node:path");
const WebSocket = require(path.join(__dirname, "../../../.local/peers/node_modules/ws"));

const [workload, sizeText, countText, addr] = process.argv.slice(2);
const [size, count] = [Number(sizeText), Number(countText)];
const check = workload.startsWith("check-");
const name = workload.replace(/^check-/, "");
const kind = name.startsWith("burst-") ? name.slice(6) : "binary";

const PATTERNS = {
  binary: Buffer.from([0x00, 0x01, 0x02, 0x03, 0xfc, 0xfd, 0xfe, 0xff]),
  text: Buffer.from("Grüße, 世界! Привет, κόσμε 🌍 and plain words between. "),
  json: Buffer.from('{"e":"trade","s":"BTCUSDT","p":"43210.98","q":"0.00123","T":1700000000000,"m":true},'),
};
const SYMBOLS = ["BTCUSDT", "ETHUSDT", "SOLUSDT", "XRPUSDT", "BNBUSDT", "ADAUSDT", "DOTUSDT", "LTCUSDT"];

function payloads() {
  const different = Math.min(64, Math.max(1, Math.floor((256 << 10) / size)));
  return Array.from({ length: different }, (_, index) => payload(index));
}

function payload(index) {
  const head = Buffer.from(index.toString(16).padStart(8, "0"));
  if (kind === "deflate") return Buffer.concat([head, records(index, size)], size);
  const bytes = Buffer.concat([head, Buffer.alloc(size - 8, PATTERNS[kind])]);
  if (kind === "binary") return bytes;
  // Padded where a character would be cut.
  let end = size;
  let start = size - 1;
  while (start > size - 4 && (bytes[start] & 0xc0) === 0x80) start -= 1;
  const length = bytes[start] < 0x80 ? 1 : bytes[start] < 0xe0 ? 2 : bytes[start] < 0xf0 ? 3 : 4;
  if (start + length > size) end = start;
  return bytes.fill(".", end);
}

function records(index, most) {
  let state = index;
  const number = (below) => {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
    return Number((BigInt(state) * BigInt(below)) >> 32n);
  };
  let text = "";
  while (text.length < most) {
    const symbol = SYMBOLS[number(8)];
    const [price, cents] = [number(100000), number(100)];
    const [quantity, id, buy] = [number(1000000), number(1000000000), number(2) === 1];
    text += `{"e":"trade","s":"${symbol}","p":"${price}.${String(cents).padStart(2, "0")}",` +
      `"q":"0.${String(quantity).padStart(6, "0")}","t":${id},"m":${buy}},`;
  }
  return Buffer.from(text);
}

const sum = { messages: 0, bytes: 0, low: 0, high: 0 };

/// The checksum of harness/src/payload.rs.
function add(text, data) {
  const n = data.length;
  const [firstLow, firstHigh] = [data.readInt32LE(0), data.readInt32LE(4)];
  const [lastLow, lastHigh] = [data.readInt32LE(n - 8), data.readInt32LE(n - 4)];
  sum.messages += 1;
  sum.bytes += n;
  const low = ((sum.low << 5) | (sum.high >>> 27)) ^ firstLow;
  const high = ((sum.high << 5) | (sum.low >>> 27)) ^ firstHigh;
  const added = (low >>> 0) + (((lastLow << 17) | (lastHigh >>> 15)) >>> 0) + n * 2 + (text ? 1 : 0);
  sum.low = added | 0;
  sum.high = (high + ((lastHigh << 17) | (lastLow >>> 15)) + Math.floor(added / 4294967296)) | 0;
}

function open(target, extensions = false) {
  const ws = new WebSocket(`ws://${addr}${target}`, { perMessageDeflate: extensions, maxPayload: 64 << 20 });
  return new Promise((resolve, reject) => {
    ws.on("error", reject);
    ws.once("open", () => resolve(ws));
  });
}

function clock() {
  const [cpu, wall] = [process.cpuUsage(), process.hrtime.bigint()];
  return () => {
    const { user, system } = process.cpuUsage(cpu);
    return { wall_s: Number(process.hrtime.bigint() - wall) / 1e9, cpu_s: (user + system) / 1e6 };
  };
}

function done(times, more = {}) {
  const hex = (half) => (half >>> 0).toString(16).padStart(8, "0");
  const { messages, bytes, low, high } = sum;
  const line = { client: "ws", workload, size, messages, bytes, checksum: hex(high) + hex(low), ...times, ...more };
  process.stdout.write(JSON.stringify(line) + "\n", () => process.exit(0));
}

async function burst() {
  const ws = await open(`/burst/${kind}/${size}/${count}`, kind === "deflate");
  const expected = payloads();
  const stop = clock();
  ws.on("message", (data, isBinary) => {
    if (check && !data.equals(expected[sum.messages % expected.length])) throw new Error("other bytes");
    add(!isBinary, data);
    if (sum.messages === count) done(stop());
  });
  ws.send("go");
}

async function echo() {
  const ws = await open("/echo");
  const all = payloads();
  const times = [];
  let began;
  const send = () => {
    began = process.hrtime.bigint();
    ws.send(all[sum.messages % all.length]);
  };
  const stop = clock();
  ws.on("message", (data, isBinary) => {
    if (check && !data.equals(all[sum.messages % all.length])) throw new Error("other bytes");
    add(!isBinary, data);
    if (name === "latency") times.push(Number(process.hrtime.bigint() - began));
    if (sum.messages < count) return send();
    const took = stop();
    times.sort((a, b) => a - b);
    const at = (part) => times[Math.min(times.length, Math.max(1, Math.ceil(part * times.length))) - 1];
    done(took, name === "latency"
      ? { p50_ns: at(0.5), p90_ns: at(0.9), p99_ns: at(0.99), p999_ns: at(0.999), max_ns: at(1) }
      : {});
  });
  send();
}

async function batch() {
  const ws = await open(`/sink/${count}`);
  const all = payloads();
  const most = Math.min(64, Math.max(1, Math.floor((1 << 20) / size)));
  const stop = clock();
  ws.on("message", (data) => {
    const [messages, bytes, checksum] = String(data).split(" ");
    const hex = [checksum.slice(0, 8), checksum.slice(8)].map((half) => parseInt(half, 16) | 0);
    Object.assign(sum, { messages: Number(messages), bytes: Number(bytes), high: hex[0], low: hex[1] });
    done(stop());
  });
  for (let sent = 0; sent < count; ) {
    ws._socket.cork();
    const until = Math.min(count, sent + most);
    for (; sent < until - 1; sent++) ws.send(all[sent % all.length]);
    // Written when the last of them has been handed to the kernel.
    const left = new Promise((resolve, reject) => ws.send(all[sent % all.length], (error) => (error ? reject(error) : resolve())));
    ws._socket.uncork();
    await left;
    sent = until;
  }
}

async function connectMany() {
  const stop = clock();
  for (let n = 0; n < count; n++) (await open("/echo")).terminate();
  sum.messages = count;
  done(stop());
}

async function memory() {
  const [data] = payloads();
  const next = (ws) => new Promise((resolve) => ws.once("message", (got, isBinary) => resolve(add(!isBinary, got))));
  const use = (ws) => {
    const got = next(ws);
    ws.send(data);
    return got;
  };
  await use(await open("/echo"));
  Object.assign(sum, { messages: 0, bytes: 0, low: 0, high: 0 });
  const resident = () => process.memoryUsage.rss() / 1024;
  const before = resident();
  const all = [];
  for (let n = 0; n < count; n++) all.push(await open("/echo"));
  const idle = resident();
  for (const ws of all) await use(ws);
  const used = resident();
  done({}, { start_kib: before, idle_kib: (idle - before) / count, used_kib: (used - before) / count });
}

const workloads = { echo, latency: echo, batch, connect: connectMany, memory };
(workloads[name] ?? burst)().catch((error) => {
  console.error(error);
  process.exit(1);
});
