// Drives Node's ws against spec/clients/clients_spec.lua's app. Prints one line for each thing that
// it tried: its name, a tab, what came of it as JSON.
//
//   node ws.js ws://localhost:8080/plain [CA.pem]

"use strict";

const fs = require("fs");
const path = require("path");
const WebSocket = require(path.join(__dirname, "../node_modules/ws"));

const [url, authority] = process.argv.slice(2);
const base = new URL(url).origin.replace("null", url.replace(/^(\w+:\/\/[^/]*).*$/, "$1"));
const options = {
    ca: authority && fs.readFileSync(authority),
    maxPayload: 2 ** 27,
};
const sizes = [0, 1, 125, 126, 65535, 65536, 1 << 20];
const largest = 64 << 20;

function report(name, result) {
    process.stdout.write(`${name}\t${JSON.stringify(result)}\n`);
}

// A connection whose events are waited for, one after the other: await c.next() is [type, ...].
class Connection {
    constructor(to, protocols, more) {
        this.events = [];
        this.waiting = null;
        this.ws = new WebSocket(to, protocols, { ...options, ...more });
        this.ws.on("open", () => this.push(["open"]));
        this.ws.on("message", (data, isBinary) => this.push(["message", data, isBinary]));
        this.ws.on("ping", (data) => this.push(["ping", data.toString()]));
        this.ws.on("pong", (data) => this.push(["pong", data.toString()]));
        this.ws.on("close", (code, reason) => this.push(["close", code, reason.toString()]));
        this.ws.on("error", (error) => this.push(["error", error.message]));
    }

    push(event) {
        if (this.waiting) {
            const resolve = this.waiting;
            this.waiting = null;
            resolve(event);
        } else {
            this.events.push(event);
        }
    }

    next() {
        if (this.events.length > 0) return Promise.resolve(this.events.shift());
        return new Promise((resolve) => (this.waiting = resolve));
    }

    async wait(type) {
        const event = await this.next();
        if (event[0] !== type) throw new Error(`expected ${type}, got ${event.slice(0, 2)}`);
        return event.slice(1);
    }

    async close() {
        this.ws.close(1000);
        await this.wait("close");
    }
}

async function open(to, protocols, more) {
    const c = new Connection(to, protocols, more);
    await c.wait("open");
    return c;
}

function bytes(n) {
    const block = Buffer.alloc(Math.min(n, 4093));
    let x = 1;
    for (let i = 0; i < block.length; i++) {
        x = (x * 1103515245 + 12345) % 2147483648;
        block[i] = i % 3 === 0 ? 0 : x >> 16;
    }
    return n > 0 ? Buffer.alloc(n, block) : block;
}

// n bytes of UTF-8.
function text(n) {
    const some = "Gr\u00fc\u00dfe, \u4e16\u754c \u{1f30d}! ";
    const len = Buffer.byteLength(some);
    return some.repeat(Math.floor(n / len)) + "x".repeat(n % len);
}

async function echoes() {
    const c = await open(url);
    report("extensions", c.ws.extensions);
    const echo = async (binary, data) => {
        c.ws.send(data, { binary });
        const [got, isBinary] = await c.wait("message");
        report(`${binary ? "binary" : "text"} ${data.length}`, {
            bytes: got.length, binary: isBinary, same: got.equals(data),
        });
    };
    for (const n of sizes) {
        await echo(false, Buffer.from(text(n)));
        await echo(true, bytes(n));
    }
    // The largest takes seconds: one of each on two connections will do.
    await (authority ? echo(true, bytes(largest)) : echo(false, Buffer.from(text(largest))));
    await c.close();
}

async function manyAtOnce() {
    const c = await open(url);
    for (let i = 0; i < 1000; i++) c.ws.send(`message ${i}`);
    let inOrder = 0;
    for (let i = 0; i < 1000; i++) {
        const [data] = await c.wait("message");
        if (data.toString() === `message ${i}`) inOrder++;
    }
    report("1000 messages", inOrder);
    await c.close();
}

async function fragments() {
    const c = await open(url);
    for (const [name, parts] of [
        ["text", ["Gr", "", "\u00fc\u00dfe ", "\u{1f30d}"]],
        ["binary", [bytes(1), bytes(70000), bytes(0), bytes(126), bytes(0)]],
    ]) {
        const binary = name === "binary";
        parts.forEach((part, i) => {
            c.ws.send(part, { binary, fin: i === parts.length - 1 });
            if (i === 1) c.ws.ping("between");
        });
        const whole = Buffer.concat(parts.map((part) => Buffer.from(part)));
        const [pong] = await c.wait("pong");
        const [got, isBinary] = await c.wait("message");
        report(`fragments ${name}`, { pong, binary: isBinary, same: got.equals(whole) });
    }
    await c.close();
}

async function pings() {
    const c = await open(url);
    for (const payload of ["", "x".repeat(125)]) {
        c.ws.ping(payload);
        const [pong] = await c.wait("pong");
        report(`ping ${payload.length}`, pong === payload);
    }
    c.ws.send("ping me");
    report("pinged", (await c.wait("ping"))[0]);
    await c.close();
}

async function closes() {
    for (const [code, reason] of [
        [1000, ""], [1001, "away"], [3000, "\u00fc"], [4999, "x".repeat(123)],
    ]) {
        const c = await open(url);
        c.ws.close(code, reason);
        report(`close ${code}`, await c.wait("close"));
    }
    const c = await open(url);
    c.ws.close();
    report("close", await c.wait("close"));
    for (const code of [1000, 1001, 1008, 1011, 1012, 1013, 3000, 4999]) {
        const d = await open(url);
        d.ws.send(`close ${code}`);
        report(`closed ${code}`, await d.wait("close"));
    }
    const e = await open(url);
    e.ws.send("close");
    report("closed", await e.wait("close"));
}

async function protocols() {
    for (const offer of [["v2.chat"], ["chat", "v2.chat"], ["x", "chat"]]) {
        const c = await open(`${base}/protocols`, offer);
        report(`protocols ${offer}`, c.ws.protocol);
        await c.close();
    }
    const c = await open(`${base}/protocols`);
    report("protocols", c.ws.protocol);
    await c.close();
}

async function refusals() {
    for (const name of ["nothing", "refused"]) {
        const c = new Connection(`${base}/${name}`);
        report(name, (await c.wait("error"))[0]);
        await c.wait("close");
    }
}

async function connections() {
    const all = await Promise.all(Array.from({ length: 100 }, () => open(url)));
    const answers = await Promise.all(all.map(async (c, i) => {
        c.ws.send(`from ${i}`);
        return (await c.wait("message"))[0].toString() === `from ${i}`;
    }));
    await Promise.all(all.map((c) => c.close()));
    report("100 connections", answers.filter((same) => same).length);
}

async function deflateOptions() {
    for (const [name, more] of Object.entries({
        none: false,
        "no context": { clientNoContextTakeover: true, serverNoContextTakeover: true, threshold: 0 },
        "small windows": { serverMaxWindowBits: 9, clientMaxWindowBits: 9, threshold: 0 },
        defaults: { threshold: 0 },
    })) {
        const c = await open(url, undefined, { perMessageDeflate: more });
        let same = 0;
        for (const n of [0, 1, 100, 5000, 100000]) {
            for (const data of [text(n), text(n), bytes(n)]) {
                c.ws.send(data);
                const [got] = await c.wait("message");
                if (got.equals(Buffer.from(data))) same++;
            }
        }
        report(`deflate ${name}`, { extensions: c.ws.extensions, same });
        await c.close();
    }
}

async function main() {
    await echoes();
    await manyAtOnce();
    await fragments();
    await pings();
    await closes();
    await protocols();
    await refusals();
    await connections();
    await deflateOptions();
}

main().catch((error) => {
    process.stderr.write(`${error.stack}\n`);
    process.exitCode = 1;
});
