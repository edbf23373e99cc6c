// Clients that begin a handshake and reset the connection (aborted_spec.lua): before they have said
// anything, within a request, within a TLS ClientHello, after one, and once they have asked for a
// WebSocket.
//
//   node abort.js PLAIN_PORT TLS_PORT
//
// A number on its input: so many more are to be aborted; says "aborted" when they are.

"use strict";

const net = require("net");
const readline = require("readline");
const tls = require("tls");

const [plain, secure] = process.argv.slice(2).map(Number);
const AT_A_TIME = 50;
const WAVE = 500; // what is open at one time at most: its memory is kept for later use

const upgrade = "GET / HTTP/1.1\r\nHost: localhost\r\nUpgrade: websocket\r\n" +
    "Connection: Upgrade\r\nSec-WebSocket-Version: 13\r\n" +
    "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n";

// What a client says first, by its own TLS.
function hello() {
    return new Promise((resolve) => {
        const catcher = net.createServer((socket) => socket.once("data", (bytes) => {
            socket.destroy();
            catcher.close(() => resolve(bytes));
        }));
        catcher.listen(0, "127.0.0.1", () => {
            const client = tls.connect({ port: catcher.address().port, host: "127.0.0.1" });
            client.on("error", () => {});
        });
    });
}

let kinds;

function abort(index) {
    const [port, bytes] = kinds[index % kinds.length];
    return new Promise((resolve) => {
        const from = `127.0.0.${64 + (index % 64)}`; // a reset leaves no TIME_WAIT, but ports are few
        const socket = net.connect({ port, host: "127.0.0.1", localAddress: from });
        socket.on("error", () => {});
        socket.on("close", resolve);
        socket.on("connect", () => {
            if (bytes.length === 0) socket.resetAndDestroy();
            else socket.write(bytes, () => socket.resetAndDestroy());
        });
    });
}

let next = 0;

// What the server has still to do with those before is done when it answers.
function ask() {
    return new Promise((resolve) => {
        const socket = net.connect({ port: plain, host: "127.0.0.1" });
        socket.write("GET /counters HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n");
        socket.resume();
        socket.on("close", resolve);
    });
}

async function some(count) {
    const last = next + count;
    while (next < last) {
        const end = Math.min(next + WAVE, last);
        const one = async () => {
            while (next < end) await abort(next++);
        };
        await Promise.all(Array.from({ length: AT_A_TIME }, one));
        await ask();
    }
    process.stdout.write("aborted\n");
}

hello().then((bytes) => {
    kinds = [[plain, ""], [plain, upgrade.slice(0, 60)], [plain, upgrade],
        [secure, bytes.subarray(0, 100)], [secure, bytes]];
    readline.createInterface({ input: process.stdin }).on("line", (line) => some(Number(line)));
});
