// An echo server of the package `ws`.

import { readFileSync } from "node:fs";
import { createServer } from "node:http";
import { createServer as createSecureServer } from "node:https";
import { createRequire } from "node:module";
import { BINARY_PARTS, PING, TEXT_PARTS, closed, command, ready } from "./peer.mjs";

const { WebSocketServer } = createRequire(new URL("../../.local/peers/", import.meta.url))("ws");

// With the arguments `--tls CERTIFICATE KEY`, over TLS.
const [tls, certificate, key] = process.argv.slice(2);
const http =
  tls === "--tls"
    ? createSecureServer({ cert: readFileSync(certificate), key: readFileSync(key) })
    : createServer();

const server = new WebSocketServer({
  server: http,
  maxPayload: 64 << 20,
  // Off by default, and plain below 1 KiB.
  perMessageDeflate: { threshold: 0 },
  handleProtocols: (offered) => (offered.has("chat") ? "chat" : false),
});

http.listen(0, "127.0.0.1", () => ready(http.address().port));

server.on("connection", (ws, request) => {
  const asked = command(request.url);
  ws.on("message", (data, binary) => ws.send(data, { binary }));
  ws.on("close", (code, reason) => closed(asked, code, reason));
  ws.on("error", (error) => console.error(asked.target, error));
  switch (asked.name) {
    case "close":
      ws.close(asked.code, asked.reason);
      break;
    case "abrupt":
      ws.terminate();
      break;
    case "ping":
      ws.on("pong", (data) => ws.send(String(data) === PING ? "pong" : `not the pong: ${data}`));
      ws.ping(PING);
      break;
    case "fragments":
      fragments(ws, TEXT_PARTS, false);
      fragments(ws, BINARY_PARTS, true);
      break;
  }
});

function fragments(ws, parts, binary) {
  parts.forEach((part, index) => {
    ws.send(part, { binary, fin: index === parts.length - 1 });
    ws.ping();
  });
}
