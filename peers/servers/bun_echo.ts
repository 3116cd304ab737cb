// An echo server on Bun. It has no way to send a message in fragments.

import { PING, closed, command, ready } from "./peer.mjs";

const server = Bun.serve({
  hostname: "127.0.0.1",
  port: 0,
  fetch(request, server) {
    const offered = (request.headers.get("sec-websocket-protocol") ?? "").split(/\s*,\s*/);
    const headers = offered.includes("chat") ? { "Sec-WebSocket-Protocol": "chat" } : {};
    const { pathname, search } = new URL(request.url);
    if (server.upgrade(request, { headers, data: command(pathname + search) })) return;
    return new Response("a WebSocket is wanted", { status: 426 });
  },
  websocket: {
    maxPayloadLength: 64 << 20,
    perMessageDeflate: true,
    backpressureLimit: 64 << 20,
    open(ws) {
      switch (ws.data.name) {
        case "close":
          ws.close(ws.data.code, ws.data.reason);
          break;
        case "abrupt":
          ws.terminate();
          break;
        case "ping":
          ws.ping(PING);
          break;
      }
    },
    message(ws, message) {
      ws.send(message);
    },
    pong(ws, data) {
      ws.send(String(data) === PING ? "pong" : `not the pong: ${data}`);
    },
    close(ws, code, reason) {
      closed(ws.data, code, reason);
    },
  },
});

ready(server.port);
