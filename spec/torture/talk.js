// Clients that talk through many edits of the app in edits_spec.lua, with Node's ws: each numbers its
// messages, the server counts them too, and what it publishes is numbered by who caused it. Stops at
// the first thing that is wrong.
//
//   node talk.js ws://localhost:8080/ wss://localhost:8443/ CONNECTIONS MESSAGES_PER_SECOND
//
// A third of the connections is secure, a third compressed with context, a sixth sends in fragments,
// every other one several messages at once, of which some wait behind the hook of the one before;
// four read nothing for seconds at a time, so that the server has output that it cannot send. Says
// "open" when all are; "stop N" on its input ends it when the newest code is N: it prints its figures
// as JSON.

"use strict";

const path = require("path");
const readline = require("readline");
const WebSocket = require(path.join(__dirname, "../node_modules/ws"));

const [plain, secure, count, rate] = process.argv.slice(2);
const TICK_MS = 10;
const WINDOW = 8; // messages of one connection that are not answered
const PUBLISHERS = 4;
const SLOW = 4;
const BIG_BYTES = 300000;
const STALL_MS = 30000;

const clients = [];
const publishers = [];
let answers = 0;
let casts = 0;
let fragmented = 0;
let bigBytes = 0;
let edited = 0; // answers that were the first of a newer generation
let stopping = false;

function fail(why) {
    process.stdout.write(`failed: ${why}\n`);
    process.exit(1);
}

class Client {
    constructor(index) {
        this.index = index;
        this.sent = 0;
        this.got = 0;
        this.version = -1;
        this.half = false; // a fragment is on its way
        this.heard = new Map(); // publisher → [number, version]
        this.slow = index < SLOW;
        this.fragments = index % 6 === 5;
        this.burst = index % 2 === 0 ? 4 : 1;
        const compressed = index % 3 === 1;
        this.ws = new WebSocket(index % 3 === 2 ? secure : plain, {
            perMessageDeflate: compressed && { threshold: 0 },
            rejectUnauthorized: false,
        });
        this.ws.on("message", (data) => this.on(data.toString()));
        this.ws.on("error", (error) => fail(`connection ${index}: ${error.message}`));
        this.ws.on("close", (code, why) => stopping || fail(`${index} closed: ${code} ${why}`));
        this.opened = new Promise((resolve) => this.ws.on("open", resolve)).then(() => {
            const agreed = this.ws.extensions.includes("permessage-deflate");
            if (agreed !== compressed || this.ws.extensions.includes("no_context"))
                fail(`extensions of ${index}: ${this.ws.extensions}`);
        });
    }

    on(text) {
        const words = text.split(" ", 6);
        if (words[0] === "echo") this.onEcho(text, words);
        else if (words[0] === "cast") this.onCast(words);
        else fail(`connection ${this.index} got ${text.slice(0, 100)}`);
    }

    checkVersion(version, before) {
        if (version < before) fail(`${this.index}: older code ${version} after ${before}`);
        if (version % 10 === 0 && version > 0) fail(`broken edit ${version} serves`);
    }

    // echo VERSION INDEX NUMBER COUNTED FILLER
    onEcho(text, [, version, index, number, counted]) {
        this.got++;
        if (+index !== this.index || +number !== this.got || +counted !== this.got)
            fail(`${this.index} expected ${this.got}, got ${text.slice(0, 100)}`);
        if (this.slow && text.length < BIG_BYTES) fail(`${this.index} got ${text.length} bytes`);
        bigBytes += this.slow ? text.length : 0;
        this.checkVersion(+version, this.version);
        if (+version > this.version) edited++;
        this.version = +version;
        answers++;
    }

    // cast VERSION INDEX NUMBER
    onCast([, version, index, number]) {
        const [last, before] = this.heard.get(index) || [0, -1];
        if (+number !== last + 1) fail(`${this.index}: ${number} after ${last} of ${index}`);
        this.checkVersion(+version, before);
        this.heard.set(index, [+number, +version]);
        casts++;
    }

    say() {
        if (this.half) {
            this.half = false;
            this.ws.send(" end", { fin: true });
            return;
        }
        if (this.sent - this.got >= WINDOW) return;
        this.sent++;
        const text = `${this.index} ${this.sent} ${this.slow ? BIG_BYTES : 0}`;
        this.half = this.fragments;
        fragmented += this.half ? 1 : 0;
        this.ws.send(text, { fin: !this.half });
    }
}

let next = 0;
let due = 0;

function tick() {
    if (stopping) return;
    for (due += (rate * TICK_MS) / 1000; due >= 1;) {
        const c = clients[next++ % clients.length];
        for (let i = 0; i < c.burst; i++, due--) c.say();
    }
}

// The slow ones read for half a second and do not for two.
function breathe(reading) {
    if (stopping) return;
    for (const c of clients.slice(0, SLOW)) reading ? c.ws.resume() : c.ws.pause();
    setTimeout(breathe, reading ? 500 : 2000, !reading);
}

function eventually(done, what) {
    const until = Date.now() + STALL_MS;
    return new Promise((resolve) => {
        const timer = setInterval(() => {
            if (done()) {
                clearInterval(timer);
                resolve();
            } else if (Date.now() > until) {
                fail(what());
            }
        }, 5);
    });
}

const missing = () => clients.filter((c) => c.got < c.sent);
const unheard = () =>
    clients.filter((c) =>
        publishers.some((p) => p !== c && (c.heard.get(String(p.index)) || [0])[0] < p.sent));

async function stop(version) {
    stopping = true;
    for (const c of clients) {
        c.ws.resume();
        if (c.half) c.say();
    }
    await eventually(() => missing().length === 0,
        () => `no answer for ${missing().map((c) => `${c.index}: ${c.got} of ${c.sent}`)}`);
    for (const c of clients) {
        c.say();
        if (c.half) c.say();
    }
    await eventually(() => missing().length === 0 && unheard().length === 0,
        () => `missing: ${missing().length} answers, ${unheard().length} hear not all`);
    for (const c of clients)
        if (c.version !== version) fail(`${c.index} is with ${c.version}, not ${version}`);
    const figures = { connections: clients.length, answers, casts, fragmented, bigBytes, edited };
    process.stdout.write(`${JSON.stringify(figures)}\n`);
    process.exit(0);
}

async function run() {
    for (let i = 0; i < +count; i++) {
        clients.push(new Client(i));
        if (i % 20 === 19) await clients[i].opened;
    }
    await Promise.all(clients.map((c) => c.opened));
    for (const c of clients) {
        c.say(); // it is subscribed when this is answered
        if (c.half) c.say();
    }
    await eventually(() => missing().length === 0, () => "no first answers");
    // What the app takes for publishers, from their second message on.
    for (const c of clients.slice(SLOW, SLOW + PUBLISHERS)) publishers.push(c);
    for (const c of clients) for (const p of publishers) c.heard.set(String(p.index), [1, -1]);
    process.stdout.write("open\n");
    setInterval(tick, TICK_MS);
    breathe(false);
}

readline.createInterface({ input: process.stdin }).on("line", (line) => {
    stop(+line.split(" ")[1]);
});
run();
