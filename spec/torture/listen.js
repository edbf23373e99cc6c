// Readers in a room that measure how long what is published takes to them (slow_readers_spec.lua).
// A message begins with the server's monotonic clock in ms, which is that of this process too.
//
//   node listen.js PORT PATH COUNT
//
// Says "open". A line on its input: the figures since the last one, as JSON.

"use strict";

const net = require("net");
const readline = require("readline");

const [port, path, count] = process.argv.slice(2);
const BURST = 64;
let waits = [];

const now = () => Number(process.hrtime.bigint()) / 1e6;

function fail(why) {
    process.stdout.write(`failed: ${why}\n`);
    process.exit(1);
}

// Takes whole frames off the bytes; returns the rest.
function take(socket, bytes) {
    for (;;) {
        if (bytes.length < 4) return bytes;
        const short = bytes[1] < 126;
        const begin = short ? 2 : 4;
        const end = begin + (short ? bytes[1] : bytes.readUInt16BE(2));
        if (bytes.length < end) return bytes;
        if (bytes[0] === 0x89) socket.write(Buffer.from([0x8a, 0x80, 0, 0, 0, 0]));
        else if (bytes[0] === 0x81)
            waits.push(now() - parseFloat(bytes.toString("latin1", begin, end)));
        else fail(`a frame ${bytes[0]}`);
        bytes = bytes.subarray(end);
    }
}

function open(index) {
    return new Promise((resolve) => {
        const from = `127.0.0.${32 + (index % 16)}`; // one address has 28,000 ports
        const socket = net.connect({ port: +port, host: "127.0.0.1", localAddress: from });
        let rest = Buffer.alloc(0);
        let isOpen = false;
        socket.on("error", (error) => fail(error.message));
        socket.on("end", () => fail("the server ended it"));
        socket.write(`GET ${path} HTTP/1.1\r\nHost: localhost\r\nUpgrade: websocket\r\n` +
            "Connection: Upgrade\r\nSec-WebSocket-Version: 13\r\n" +
            "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n");
        socket.on("data", (data) => {
            rest = rest.length > 0 ? Buffer.concat([rest, data]) : data;
            if (!isOpen) {
                const end = rest.indexOf("\r\n\r\n");
                if (end < 0) return;
                isOpen = true;
                rest = rest.subarray(end + 4);
                resolve();
            }
            rest = take(socket, rest);
        });
    });
}

async function run() {
    for (let i = 0; i < +count; i += BURST) {
        const some = [];
        for (let j = i; j < Math.min(+count, i + BURST); j++) some.push(open(j));
        await Promise.all(some);
    }
    process.stdout.write("open\n");
    readline.createInterface({ input: process.stdin }).on("line", () => {
        waits.sort((a, b) => a - b);
        const at = (share) => waits[Math.max(0, Math.ceil(waits.length * share) - 1)] || 0;
        process.stdout.write(`${JSON.stringify({ messages: waits.length, median: at(0.5),
            p99: at(0.99), longest: at(1) })}\n`);
        waits = [];
    });
}

run();
