// Drives headless Chromium for the specs: one JSON array in per line, [id, method, arguments…] on a
// socket; one JSON object out per line, { id, value } or { id, error }. Started by browser.lua.
"use strict";

const fs = require("fs");
const net = require("net");
const readline = require("readline");
const { chromium } = require("playwright-core");

const chromiums = ["/usr/bin/chromium", "/usr/bin/chromium-browser"]; // Debian, Ubuntu
const flags = ["--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run",
    "--disable-background-networking", "--disable-component-update", "--disable-sync"];
const pages = new Map(); // name to { page, complaints }
let browser;

// What a page may not do in a spec: complain, fail, or ask for something that is not there.
function listen(page, complaints) {
    page.on("console", (message) => {
        // The specs read canvases back, which pages do not.
        if (["error", "warning"].includes(message.type())
            && !message.text().includes("willReadFrequently")) {
            complaints.push(message.text());
        }
    });
    page.on("pageerror", (error) => complaints.push(String(error)));
    page.on("response", (response) => {
        if (response.status() >= 400) complaints.push(response.status() + " " + response.url());
    });
    page.on("request", (request) => {
        const url = new URL(request.url());
        if (/^(http|ws)s?:$/.test(url.protocol) && url.hostname !== "localhost") {
            complaints.push("asks for " + url);
        }
    });
}

const methods = {
    // A page of a person of their own: nothing is shared with the others.
    async open(name, url, options) {
        const context = await browser.newContext({ ignoreHTTPSErrors: true, ...options });
        context.setDefaultTimeout(15000);
        const page = await context.newPage();
        const complaints = [];
        listen(page, complaints);
        pages.set(name, { page, complaints });
        await page.goto(url);
    },
    async close(name) {
        await pages.get(name).page.context().close();
        pages.delete(name);
    },
    // What went wrong in the page since the last call.
    complaints(name) {
        return pages.get(name).complaints.splice(0);
    },
    // page.METHOD(…), or with a dot, page.mouse.METHOD(…).
    async page(name, method, ...rest) {
        let target = pages.get(name).page;
        const path = method.split(".");
        for (const step of path.slice(0, -1)) target = target[step];
        const value = await target[path[path.length - 1]](...rest);
        return ["evaluate", "textContent", "inputValue", "isVisible"].includes(method)
            ? value : null;
    },
};

async function main() {
    browser = await chromium.launch({
        executablePath: process.env.MOONWIRE_CHROMIUM || chromiums.find(fs.existsSync),
        args: flags,
    });
    const socket = net.connect(Number(process.argv[2]), "127.0.0.1");
    for await (const line of readline.createInterface({ input: socket })) {
        const [id, method, ...rest] = JSON.parse(line);
        let answer;
        try {
            answer = { id, value: (await methods[method](...rest)) ?? null };
        } catch (error) {
            answer = { id, error: String(error.message || error) };
        }
        socket.write(JSON.stringify(answer) + "\n");
    }
    await browser.close(); // the specs have ended, or failed
}

main().catch((error) => {
    console.error(String(error));
    process.exit(1);
});
