// An echo server of the package `ws`.

import { createRequire } from "node:module";
import { BINARY_PARTS, PING, TEXT_PARTS, closed, command, ready } from "./peer.mjs";

const { WebSocketServer } = createRequire(new URL("../../.local/peers/", import.meta.url))("ws");

const server = new WebSocketServer({
  host: "127.0.0.1",
  port: 0,
  maxPayload: 64 << 20,
  // Off by default, and plain below 1 KiB.
  perMessageDeflate: { threshold: 0 },
  handleProtocols: (offered) => (offered.has("chat") ? "chat" : false),
});

server.on("listening", () => ready(server.address().port));

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
