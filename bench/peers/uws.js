// The benchmark's peer for uWebSockets.js: node uws.js echo|fanout|deflate|tls PORT [CERT KEY]
"use strict";
const uws = require("@rjweb/uws");

const [mode, port, cert, key] = process.argv.slice(2);
const compress = mode === "deflate";
const app = mode === "tls" ? uws.SSLApp({ cert_file_name: cert, key_file_name: key }) : uws.App();

app.ws("/*", {
    compression: compress ? uws.SHARED_COMPRESSOR | uws.SHARED_DECOMPRESSOR : uws.DISABLED,
    maxPayloadLength: 16 * 1024 * 1024,
    maxBackpressure: 64 * 1024 * 1024,
    idleTimeout: 600,
    open(ws) {
        if (mode === "fanout") ws.subscribe("t");
    },
    message(ws, data, binary) {
        if (mode === "fanout") app.publish("t", data, binary);
        else ws.send(data, binary, compress);
    },
});
app.listen("127.0.0.1", Number(port), (socket) => {
    if (!socket) process.exit(1);
});
