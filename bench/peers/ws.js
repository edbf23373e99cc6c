// The benchmark's peer for Node's ws: node ws.js echo|fanout|deflate|tls PORT [CERT KEY]
"use strict";
const http = require("node:http");
const https = require("node:https");
const fs = require("node:fs");
const { WebSocketServer, WebSocket } = require("ws");

const [mode, port, cert, key] = process.argv.slice(2);
const server =
    mode === "tls"
        ? https.createServer({ cert: fs.readFileSync(cert), key: fs.readFileSync(key) })
        : http.createServer();
const wss = new WebSocketServer({
    server,
    perMessageDeflate: mode === "deflate" ? { threshold: 0 } : false,
});

wss.on("connection", (socket) => {
    socket.on("error", () => {});
    if (mode === "fanout") {
        socket.on("message", (data, binary) => {
            for (const client of wss.clients) {
                if (client.readyState === WebSocket.OPEN) client.send(data, { binary });
            }
        });
    } else {
        socket.on("message", (data, binary) => socket.send(data, { binary }));
    }
});
server.listen({ port: Number(port), host: "127.0.0.1", backlog: 4096 });
