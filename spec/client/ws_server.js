// An echo server with Node's ws for spec/client/servers_spec.lua:
//
//   node ws_server.js CERTIFICATE KEY
//
// Prints "plain PORT" and "secure PORT".

"use strict";

const fs = require("fs");
const http = require("http");
const https = require("https");
const path = require("path");
const { WebSocketServer } = require(path.join(__dirname, "../node_modules/ws"));

const [cert, key] = process.argv.slice(2).map((name) => fs.readFileSync(name));

function serve(name, server) {
    const sockets = new WebSocketServer({
        server,
        perMessageDeflate: { threshold: 0 },
        maxPayload: 64 << 20,
        handleProtocols: (protocols) => (protocols.has("chat") ? "chat" : false),
    });
    sockets.on("connection", (ws) => {
        ws.on("message", (data, isBinary) => {
            const text = data.length < 10 ? data.toString() : "";
            if (text === "close") {
                ws.close(3001, "as you wish");
            } else if (text === "ping") {
                ws.once("pong", () => ws.send("pinged"));
                ws.ping("anybody?");
            } else {
                ws.send(data, { binary: isBinary });
            }
        });
    });
    return new Promise((resolve) => {
        server.listen(0, "127.0.0.1", () => {
            process.stdout.write(`${name} ${server.address().port}\n`);
            resolve();
        });
    });
}

serve("plain", http.createServer()).then(() => serve("secure", https.createServer({ cert, key })));
