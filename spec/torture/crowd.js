// WebSockets that are open and say nothing (leave_spec.lua, slow_readers_spec.lua): they answer
// pings, or stop reading once they are open.
//
//   node crowd.js PORT PATH COUNT stays|stops
//
// Says "open"; ends when it is killed.

"use strict";

const net = require("net");

const [port, path, count, how] = process.argv.slice(2);
const BURST = 64; // connects at a time: the server's backlog is not what this is about

function fail(why) {
    process.stdout.write(`failed: ${why}\n`);
    process.exit(1);
}

function open(index) {
    return new Promise((resolve) => {
        const from = `127.0.0.${2 + (index % 16)}`; // one address has 28,000 ports
        const socket = net.connect({ port: +port, host: "127.0.0.1", localAddress: from });
        let head = "";
        socket.on("error", (error) => fail(error.message));
        socket.write(`GET ${path} HTTP/1.1\r\nHost: localhost\r\nUpgrade: websocket\r\n` +
            "Connection: Upgrade\r\nSec-WebSocket-Version: 13\r\n" +
            "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n");
        socket.on("data", function onHead(data) {
            head += data.toString("latin1");
            if (!head.includes("\r\n\r\n")) return;
            if (!head.startsWith("HTTP/1.1 101")) fail(head);
            socket.off("data", onHead);
            if (how === "stops") socket.pause();
            else socket.on("data", (bytes) => bytes[0] === 0x89 && pong(socket, bytes));
            resolve();
        });
    });
}

// Pings of the server are empty.
function pong(socket) {
    socket.write(Buffer.from([0x8a, 0x80, 0, 0, 0, 0]));
}

async function run() {
    for (let i = 0; i < +count; i += BURST) {
        const some = [];
        for (let j = i; j < Math.min(+count, i + BURST); j++) some.push(open(j));
        await Promise.all(some);
    }
    process.stdout.write("open\n");
    process.stdin.resume();
}

run();
