// TLS clients that come all the time while certificates are swapped (certificates_spec.lua): TLS 1.2
// and 1.3, full handshakes and resumed ones, and clients that send theirs in pieces over a while.
// Each asks for a page and ends. Stops at the first that fails.
//
//   node handshake.js PORT CLIENTS
//
// Says "ready" when each kind has been served; "stop" on its input ends it: its figures as JSON.

"use strict";

const net = require("net");
const readline = require("readline");
const tls = require("tls");
const { Duplex } = require("stream");

const [port, count] = process.argv.slice(2).map(Number);
const SLICE_BYTES = 64;
const SLICE_MS = 5;
const SECONDS = 30;

const kinds = [];
for (const version of ["TLSv1.2", "TLSv1.3"])
    for (const how of ["full", "resumed", "slow"])
        kinds.push({ name: `${version} ${how}`, version, how, done: 0, session: null });

let stopping = false;

function fail(why) {
    process.stdout.write(`failed: ${why}\n`);
    process.exit(1);
}

// What is written goes out a little at a time.
class Slow extends Duplex {
    constructor(socket) {
        super();
        this.socket = socket;
        socket.on("data", (data) => this.push(data));
        socket.on("end", () => this.push(null));
        socket.on("error", (error) => this.destroy(error));
    }

    _read() {}

    _write(chunk, encoding, done) {
        this.socket.write(chunk.subarray(0, SLICE_BYTES));
        const rest = chunk.subarray(SLICE_BYTES);
        if (rest.length === 0) done();
        else setTimeout(() => this._write(rest, encoding, done), SLICE_MS);
    }

    _final(done) {
        this.socket.end(done);
    }
}

function once(kind) {
    return new Promise((resolve) => {
        const socket = net.connect(port, "127.0.0.1");
        const session = kind.how === "resumed" ? kind.session : undefined;
        let text = "";
        let over = false;
        const failed = (error) => over || fail(`${kind.name}: ${error.message}`);
        socket.setNoDelay(true);
        const secure = tls.connect({
            socket: kind.how === "slow" ? new Slow(socket) : socket,
            minVersion: kind.version,
            maxVersion: kind.version,
            rejectUnauthorized: false,
            session,
        });
        const timer = setTimeout(() => fail(`${kind.name}: nothing for ${SECONDS} s`),
            SECONDS * 1000);
        socket.on("error", failed);
        secure.on("error", failed);
        secure.on("session", (made) => (kind.session = made));
        secure.on("secureConnect", () => {
            if (secure.getProtocol() !== kind.version) fail(`${kind.name}: ${secure.getProtocol()}`);
            if (session && !secure.isSessionReused()) fail(`${kind.name}: it was a full handshake`);
            secure.write("GET / HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n");
        });
        secure.on("data", (data) => (text += data));
        secure.on("end", () => {
            clearTimeout(timer);
            if (!text.endsWith("\r\n\r\nhello")) fail(`${kind.name}: got ${JSON.stringify(text)}`);
            kind.done++;
            over = true;
            secure.destroy();
            socket.destroy();
            resolve();
        });
    });
}

async function client(kind) {
    while (!stopping) await once(kind);
}

async function run() {
    for (const kind of kinds) await once(kind);
    process.stdout.write("ready\n");
    const all = [];
    for (let i = 0; i < count; i++) all.push(client(kinds[i % kinds.length]));
    await Promise.all(all);
    const figures = {};
    for (const kind of kinds) figures[kind.name] = kind.done;
    process.stdout.write(`${JSON.stringify(figures)}\n`);
    process.exit(0);
}

readline.createInterface({ input: process.stdin }).on("line", () => (stopping = true));
run();
