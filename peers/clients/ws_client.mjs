// A client of the package `ws` that talks to our server. Arguments and facts are those of facts.py.

import { createRequire } from "node:module";
import { BINARY, CLOSINGS, SIZES, TEXT, binary, close, same, text } from "./messages.mjs";

const WebSocket = createRequire(new URL("../../.local/peers/", import.meta.url))("ws");
const [ECHO, PLAIN, COMMANDS, REFUSED] = process.argv.slice(2);

const PING = "are you there?";
// Parts of a message that is sent in fragments: a character is cut in two, and one part is empty.
const crab = Buffer.from("🦀");
const TEXT_PARTS = [
  Buffer.from("one, "), Buffer.alloc(0), Buffer.from([0x7a, 0x77, 0xc3]), Buffer.from([0xb6, 0x6c, 0x66, 0x2c, 0x20]),
  crab.subarray(0, 2), crab.subarray(2),
];
const BINARY_PARTS = [0, 1, 2, 3, 4].map((n) => Buffer.alloc(300, n));

function fact(...words) {
  console.log(...words);
}

/// The next event of this name; an error ends the program.
function next(ws, name) {
  return new Promise((resolve, reject) => {
    ws.once("error", reject);
    ws.once(name, (...args) => {
      ws.off("error", reject);
      resolve(args);
    });
  });
}

async function message(ws) {
  const [data, binary] = await next(ws, "message");
  return binary ? data : String(data);
}

async function open(url, ...options) {
  const ws = new WebSocket(url, ...options);
  await next(ws, "open");
  return ws;
}

async function end(ws, code) {
  const over = next(ws, "close");
  if (code !== undefined) ws.close(...code);
  const [seen, reason] = await over;
  return [seen, String(reason)];
}

async function echo() {
  for (const [url, prefix] of [[ECHO, ""], [PLAIN, "plain "]]) {
    const ws = await open(url);
    for (const size of SIZES) {
      for (const [kind, sent] of [["text", text(size)], ["binary", binary(size)]]) {
        ws.send(sent);
        fact(prefix + kind, size, same(sent, await message(ws)) ? "same" : "not the same");
      }
    }
    await end(ws, [1000]);
  }
}

async function fragments() {
  const ws = await open(ECHO);
  send(ws, TEXT_PARTS, false);
  fact("fragments of text", same(TEXT, await message(ws)) ? "same" : "not the same");
  send(ws, BINARY_PARTS, true);
  fact("fragments of binary", same(BINARY, await message(ws)) ? "same" : "not the same");
  await end(ws, [1000]);
  const theirs = await open(COMMANDS + "/fragments");
  fact("their fragments of text", same(TEXT, await message(theirs)) ? "same" : "not the same");
  theirs.send("more");
  fact("their fragments of binary", same(BINARY, await message(theirs)) ? "same" : "not the same");
  await end(theirs, [1000]);
}

function send(ws, parts, binary) {
  parts.forEach((part, index) => {
    ws.send(part, { binary, fin: index === parts.length - 1 });
    ws.ping();
  });
}

async function pings() {
  const ws = await open(ECHO);
  ws.ping(PING);
  const [data] = await next(ws, "pong");
  if (String(data) !== PING) throw new Error(`not the pong: ${data}`);
  fact("ping answered");
  await end(ws, [1000]);
  const pinged = await open(COMMANDS + "/ping");
  fact("pinged:", await message(pinged));
  await end(pinged, [1000]);
}

async function subprotocols() {
  const chat = await open(COMMANDS, ["superchat", "chat"]);
  fact("subprotocol", chat.protocol);
  await end(chat, [1000]);
  const none = await open(COMMANDS);
  fact("no subprotocol", none.protocol);
  await end(none, [1000]);
}

async function closings() {
  for (const [code, reason] of CLOSINGS) {
    fact("closed", ...(await end(await open(close(COMMANDS, code, reason)))));
    const [answered] = await end(await open(`${COMMANDS}/closing/${code}`), [code, reason]);
    fact("closing", answered);
  }
}

async function endings() {
  const [code] = await end(await open(COMMANDS + "/abrupt"));
  fact("abrupt", code);
  const error = await open(REFUSED).then(() => "no, it opened", (error) => error.code);
  fact(error === "ECONNREFUSED" ? "refused" : `refused: ${error}`);
}

for (const conversation of [echo, fragments, pings, subprotocols, closings, endings]) await conversation();
