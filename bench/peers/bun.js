// The benchmark's peer for Bun: bun bun.js echo|fanout|deflate|tls PORT [CERT KEY]
const [mode, port, cert, key] = process.argv.slice(2);
const compress = mode === "deflate";

const server = Bun.serve({
    hostname: "127.0.0.1",
    port: Number(port),
    tls: mode === "tls" ? { cert: Bun.file(cert), key: Bun.file(key) } : undefined,
    fetch(request, server) {
        if (!server.upgrade(request)) return new Response("WebSocket only", { status: 426 });
    },
    websocket: {
        perMessageDeflate: compress ? { compress: "shared", decompress: "shared" } : false,
        idleTimeout: 600,
        open(ws) {
            if (mode === "fanout") ws.subscribe("t");
        },
        message(ws, data) {
            if (mode === "fanout") server.publish("t", data);
            else ws.send(data, compress);
        },
    },
});
