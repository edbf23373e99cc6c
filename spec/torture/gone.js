// Silent connections to a route that goes away, and a few that talk on one that stays (gone_spec.lua):
// when and how the former are closed, and how long the latter wait meanwhile. Plain sockets: ten
// thousand of them are little work.
//
//   node gone.js PORT SILENT TALKING
//
// Says "open"; ends when all silent ones are closed: its figures as JSON.

"use strict";

const net = require("net");

const [port, silent, talking] = process.argv.slice(2).map(Number);
const PACE_MS = 5;
const BURST = 64; // connects at a time: the server's backlog is not what this is about

const waits = [];
const codes = {};
let first = 0;
let last = 0;
let closed = 0;
let clean = 0;

function fail(why) {
    process.stdout.write(`failed: ${why}\n`);
    process.exit(1);
}

function open(index, path, onFrame) {
    return new Promise((resolve) => {
        // One address has 28,000 ports to leave from.
        const socket = net.connect({ port, host: "127.0.0.1", localAddress: "127.0.0.2" });
        let head = "";
        socket.on("error", (error) => fail(`connection ${index}: ${error.message}`));
        socket.setNoDelay(true);
        socket.write(`GET ${path} HTTP/1.1\r\nHost: localhost\r\nUpgrade: websocket\r\n` +
            "Connection: Upgrade\r\nSec-WebSocket-Version: 13\r\n" +
            "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n");
        socket.on("data", function onHead(data) {
            head += data.toString("latin1");
            if (!head.endsWith("\r\n\r\n")) return;
            if (!head.startsWith("HTTP/1.1 101")) fail(head);
            socket.off("data", onHead);
            socket.on("data", (bytes) => onFrame(socket, bytes));
            resolve(socket);
        });
        socket.on("end", () => path === "/gone" && clean++);
    });
}

// A client's frame, masked with zeros.
function frame(opcode, payload) {
    return Buffer.concat([Buffer.from([0x80 | opcode, 0x80 | payload.length, 0, 0, 0, 0]), payload]);
}

function onGone(socket, bytes) {
    while (bytes.length > 0) {
        const end = bytes[1] + 2;
        if (bytes.length < end || (bytes[0] !== 0x88 && bytes[0] !== 0x89))
            fail(`not a Ping or a Close: ${bytes.toString("hex")}`);
        if (bytes[0] === 0x89) socket.write(frame(10, bytes.subarray(2, end)));
        else onClose(socket, bytes.readUInt16BE(2));
        bytes = bytes.subarray(end);
    }
}

function onClose(socket, code) {
    codes[code] = (codes[code] || 0) + 1;
    first = first || Date.now();
    last = Date.now();
    socket.write(frame(8, Buffer.from([code >> 8, code & 255])));
    closed++;
}

async function run() {
    for (let i = 0; i < silent; i += BURST) {
        const some = [];
        for (let j = i; j < Math.min(silent, i + BURST); j++) some.push(open(j, "/gone", onGone));
        await Promise.all(some);
    }
    const talkers = [];
    for (let i = 0; i < talking; i++) {
        const socket = await open(silent + i, "/stays", (s) => waits.push(performance.now() - s.asked));
        talkers.push(socket);
    }
    process.stdout.write("open\n");
    // One after the other, so that an answer is to what was asked last.
    for (const socket of talkers) {
        const ask = () => {
            socket.asked = performance.now();
            socket.write(frame(1, Buffer.from("x")));
        };
        socket.on("data", () => setTimeout(ask, PACE_MS));
        ask();
    }
    const timer = setInterval(() => {
        if (closed < silent || clean < silent) return;
        clearInterval(timer);
        waits.sort((a, b) => a - b);
        const at = (share) => waits[Math.ceil(waits.length * share) - 1];
        process.stdout.write(`${JSON.stringify({ closed, codes, seconds: (last - first) / 1000,
            answers: waits.length, median: at(0.5), p99: at(0.99), longest: at(1) })}\n`);
        process.exit(0);
    }, 20);
}

run();
