// Clients that connect and ask all the time while listeners come and go (listeners_spec.lua). Stops
// at the first that is refused or cut off.
//
//   node connect.js CLIENTS ADDRESS…      (a port of 127.0.0.1, or the path of a unix socket)
//
// "stop" on its input ends it: { address: connections } as JSON.

"use strict";

const net = require("net");
const readline = require("readline");

const [count, ...addresses] = process.argv.slice(2);
const done = {};
let stopping = false;

function fail(why) {
    process.stdout.write(`failed: ${why}\n`);
    process.exit(1);
}

function once(address) {
    return new Promise((resolve) => {
        const socket = /^\d+$/.test(address)
            ? net.connect({ port: +address, host: "127.0.0.1" })
            : net.connect({ path: address });
        let text = "";
        socket.on("error", (error) => fail(`${address}: ${error.message}`));
        socket.write("GET / HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n");
        socket.on("data", (data) => (text += data));
        socket.on("close", () => {
            if (!text.endsWith("\r\n\r\nhello")) fail(`${address}: got ${JSON.stringify(text)}`);
            done[address] = (done[address] || 0) + 1;
            resolve();
        });
    });
}

async function client(address) {
    while (!stopping) await once(address);
}

async function run() {
    const all = [];
    for (let i = 0; i < +count; i++) all.push(client(addresses[i % addresses.length]));
    process.stdout.write("ready\n");
    await Promise.all(all);
    process.stdout.write(`${JSON.stringify(done)}\n`);
    process.exit(0);
}

readline.createInterface({ input: process.stdin }).on("line", () => (stopping = true));
run();
