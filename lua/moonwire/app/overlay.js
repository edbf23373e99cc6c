// The dev overlay of moonwire. In watch mode every page of mw.static ends with this script. The server
// tells it what became of the last reload, which hooks fail and when the page's files change
// (src/engine/reload/overlay.h). Whatever comes from there is text to show, never markup.
(() => {
    "use strict";

    const mark = Symbol.for("moonwire.app.overlay");
    if (window !== window.top || window[mark]) return; // a frame: the page around it has one
    window[mark] = true;

    const RETRY_MS = { first: 200, most: 5000 };
    const TOASTS_MOST = 3;

    // ---- looks ----------------------------------------------------------------------------------

    const css = `
        :host { all: initial !important; }
        * { box-sizing: border-box; margin: 0; }
        .veil, .toasts { position: fixed; z-index: 2147483647; color: #e8eaf0; letter-spacing: 0;
            font: 15px/1.5 system-ui, -apple-system, "Segoe UI", Roboto, sans-serif;
            text-align: left; -webkit-text-size-adjust: 100%; }
        .veil { inset: 0; display: grid; place-items: start center; overflow: auto;
            padding: min(9vh, 88px) 16px 24px; background: rgb(9 10 16 / .72);
            backdrop-filter: blur(3px); overscroll-behavior: contain; animation: appear .16s; }
        .panel { position: relative; width: 100%; max-width: 860px; min-width: 0; overflow: hidden;
            border: 1px solid #343848; border-radius: 14px; background: #171923;
            box-shadow: 0 24px 80px rgb(0 0 0 / .55); }
        .panel::before { content: ""; display: block; height: 4px;
            background: linear-gradient(90deg, #ff5c6c, #ff8f5c); }
        header { padding: 20px 60px 0 24px; }
        .kind { display: flex; flex-wrap: wrap; gap: 2px 10px; align-items: center; color: #9aa0b4;
            font-size: 13px; }
        .kind b { padding: 1px 9px; border-radius: 99px; background: #43202a; color: #ff8f9a;
            font-weight: 600; }
        h2 { margin-top: 12px; font-size: 19px; font-weight: 600; line-height: 1.4; color: #fff;
            white-space: pre-wrap; overflow-wrap: anywhere; }
        .place { margin-top: 4px; color: #ffb38a; overflow-wrap: anywhere; }
        .place, pre, code { font-family: ui-monospace, "SF Mono", SFMono-Regular, Menlo, Consolas,
            "DejaVu Sans Mono", "Liberation Mono", monospace; font-size: 14px; }
        pre { margin: 18px 0 0; padding: 12px 0; overflow-x: auto; border-block: 1px solid #262a38;
            background: #10121a; line-height: 1.75; tab-size: 4; }
        pre div { display: flex; width: max-content; min-width: 100%; padding: 0 24px 0 0; }
        pre .number { position: sticky; left: 0; flex: none; min-width: 68px; padding: 0 16px 0 24px;
            border-left: 4px solid transparent; background: #10121a; color: #666d84; text-align: right;
            user-select: none; }
        pre code { white-space: pre; color: #c3c8d8; }
        pre .failing { background: #2a1720; }
        pre .failing .number { border-color: #ff5c6c; background: #2a1720; color: #ff8f9a; }
        pre .failing code { color: #fff; }
        .more { padding: 14px 24px 0; color: #c3c8d8; white-space: pre-wrap; overflow-wrap: anywhere; }
        footer { padding: 14px 24px 18px; color: #9aa0b4; font-size: 13px; }
        kbd { padding: 1px 6px; border: 1px solid #3d4254; border-radius: 5px; background: #222532;
            color: #e8eaf0; font: inherit; }
        button { all: unset; position: absolute; top: 14px; right: 14px; width: 36px; height: 36px;
            border-radius: 9px; cursor: pointer; text-align: center; font-size: 22px; line-height: 36px;
            color: #9aa0b4; }
        button:hover { background: #2a2e3d; color: #fff; }
        button:focus-visible { outline: 2px solid #ff8f9a; }
        .toasts { right: 16px; bottom: 16px; left: 16px; display: grid; gap: 10px;
            justify-items: end; pointer-events: none; }
        .toast { position: relative; width: 100%; max-width: 460px; padding: 12px 48px 12px 16px;
            border: 1px solid #343848; border-left: 4px solid #ffb02e; border-radius: 10px;
            background: #171923; box-shadow: 0 10px 34px rgb(0 0 0 / .45); font-size: 14px;
            pointer-events: auto; animation: appear .16s; }
        .toast strong { display: block; color: #fff; font-weight: 600; overflow-wrap: anywhere; }
        .toast .text { white-space: pre-wrap; overflow-wrap: anywhere; color: #c3c8d8; }
        .toast .place { margin: 0; font-size: 13px; }
        .toast details { margin-top: 4px; color: #9aa0b4; font-size: 13px; }
        .toast summary { cursor: pointer; }
        .toast details pre { margin: 6px 0 0; padding: 8px 10px; border: 0; border-radius: 6px;
            font-size: 12px; line-height: 1.5; max-height: 30vh; overflow: auto; }
        .toast button { top: 8px; right: 8px; width: 30px; height: 30px; font-size: 18px;
            line-height: 30px; }
        @keyframes appear { from { opacity: 0; } }
        @media (max-width: 520px) {
            .veil { padding: 12px 10px; }
            header { padding: 16px 52px 0 16px; }
            h2 { font-size: 17px; }
            .place, pre, code { font-size: 13px; }
            pre .number { min-width: 46px; padding: 0 10px; }
            .more, footer { padding-left: 16px; padding-right: 16px; }
        }
        @media (hover: none) { .keys { display: none; } }
        @media (prefers-reduced-motion: reduce) { .veil, .toast { animation: none; } }
    `;

    // ---- elements -------------------------------------------------------------------------------

    // An element with children: elements, or texts. attributes: its class alone, or a table.
    function make(name, attributes, ...children) {
        const element = document.createElement(name);
        const all = typeof attributes === "string" ? { class: attributes } : attributes || {};
        for (const key of Object.keys(all)) element.setAttribute(key, all[key]);
        element.append(...children);
        return element;
    }

    function closer(label, close) {
        const button = make("button", { type: "button", "aria-label": label, title: label }, "×");
        button.addEventListener("click", close);
        return button;
    }

    let host = null;
    let toasts = null;

    // What is shown is in here, out of reach of the page's styles.
    function root() {
        if (host === null) {
            host = make("moonwire-overlay");
            const shadow = host.attachShadow({ mode: "open" });
            const sheet = new CSSStyleSheet(); // which a page's content security policy allows
            sheet.replaceSync(css);
            shadow.adoptedStyleSheets = [sheet];
            toasts = make("div", "toasts");
            shadow.append(toasts);
        }
        if (!host.isConnected) document.documentElement.append(host);
        return host.shadowRoot;
    }

    // ---- a reload that failed -------------------------------------------------------------------

    // "app.lua:12: what" to its parts; file is null where there is none.
    function placed(text) {
        const parts = /^(\S[^\n]*?):(\d+): ([^]*)$/.exec(text);
        return parts ? { file: parts[1], line: parts[2], what: parts[3] }
            : { file: null, line: null, what: text };
    }

    // What the log says of code that was taken back by itself: what serves, how often the other code
    // has failed, and its first failure.
    const taken = new RegExp("^rolled back \\(.*?\\): (generation \\d+ serves, the code of generation "
        + "\\d+).*?; (generation \\d+ failed .*? in \\d+ events): ([^]*)$");

    function takenBack([, state, , why]) {
        const hook = /^(.*? failed): ([^]*)$/.exec(why);
        const it = placed(hook ? hook[2] : why);
        return { kind: "New code was taken back", state, end: "other code is loaded", ...it,
            what: hook ? `${hook[1]}: ${it.what}` : it.what };
    }

    // The line of the log, with the lines of source that follow it, to its parts.
    function read(failure) {
        const lines = failure.split("\n");
        const first = /^(reload|rollback) failed, (.*?): ([^]*)$/.exec(lines[0]);
        const back = !first && taken.exec(lines[0]);
        const rows = [];
        const more = [];
        for (const line of lines.slice(1)) {
            const row = /^([> ]) +(\d+) \| ?(.*)$/.exec(line);
            if (row) rows.push({ failing: row[1] === ">", number: row[2], code: row[3] });
            else more.push(line);
        }
        if (back) return { ...takenBack(back), rows, more: [back[2] + ".", ...more].join("\n") };
        return { kind: first && first[1] === "rollback" ? "Rollback failed" : "Reload failed",
            state: first ? first[2] : "", rows, more: more.join("\n"), end: "the app loads again",
            ...placed(first ? first[3] : lines[0]) };
    }

    function excerpt(rows) {
        const pre = make("pre", { tabindex: "0", "aria-label": "the source" });
        for (const row of rows) {
            pre.append(make("div", row.failing ? "failing" : "",
                make("span", "number", row.number), make("code", "", row.code)));
        }
        return pre;
    }

    let veil = null;
    let hidden = 0; // the attempt whose failure was hidden

    function hide() {
        if (veil) veil.remove();
        veil = null;
    }

    function dismiss() {
        hidden = known.attempt;
        hide();
    }

    function show(failure) {
        const it = read(failure);
        hide();
        const panel = make("section", { class: "panel", role: "alert" },
            make("header", "",
                make("div", "kind", make("b", "", it.kind), it.state),
                make("h2", "", it.what)),
            closer("Hide this", dismiss));
        const header = panel.querySelector("header");
        if (it.file) header.append(make("div", "place", it.file + ":" + it.line));
        if (it.rows.length) panel.append(excerpt(it.rows));
        if (it.more.trim()) panel.append(make("div", "more", it.more));
        panel.append(make("footer", "", `Nobody was disconnected. This goes when ${it.end}. `,
            make("span", "keys", make("kbd", "", "Esc"), " hides it.")));
        veil = make("div", "veil");
        root().append(veil);
        veil.append(panel); // into what is there, so that it is read out
    }

    window.addEventListener("keydown", (event) => {
        if (event.key !== "Escape" || !(veil || (toasts && toasts.lastChild))) return;
        event.stopImmediatePropagation(); // it was not meant for the page
        event.preventDefault();
        if (veil) dismiss();
        else toasts.replaceChildren();
    }, true);

    // ---- a hook that failed ---------------------------------------------------------------------

    function showFault(fault, more) {
        const end = fault.indexOf("\n");
        const first = end < 0 ? fault : fault.slice(0, end);
        const trace = end < 0 ? "" : fault.slice(end + 1);
        const parts = /^(.*? failed): ([^]*)$/.exec(first) || [null, "A hook failed", first];
        const it = placed(parts[2]);
        const toast = make("div", { class: "toast", role: "alert" });
        toast.append(make("strong", "", parts[1] + (more ? ` (and ${more} more)` : "")),
            make("div", "text", it.what));
        if (it.file) toast.append(make("div", "place", it.file + ":" + it.line));
        if (trace) {
            const lines = trace.replace(/^\t/gm, "");
            toast.append(make("details", "", make("summary", "", "Traceback"), make("pre", "", lines)));
        }
        toast.append(closer("Hide this", () => toast.remove()));
        root();
        toasts.append(toast);
        while (toasts.childElementCount > TOASTS_MOST) toasts.firstChild.remove();
    }

    // ---- files that changed ---------------------------------------------------------------------

    const leaving = new WeakSet(); // style sheets that go when their successor is there

    // Loads the page's style sheets anew, each beside the old one until it is there. False: it has none.
    function swapStyles(version) {
        const links = [...document.querySelectorAll("link[rel~='stylesheet'][href]")].filter((link) =>
            new URL(link.href).origin === location.origin && !leaving.has(link));
        for (const link of links) {
            const next = link.cloneNode();
            const url = new URL(link.href);
            url.searchParams.set("moonwire", version);
            next.href = url.href;
            next.addEventListener("load", () => link.remove(), { once: true });
            next.addEventListener("error", () => {
                next.remove();
                leaving.delete(link);
            }, { once: true });
            leaving.add(link);
            link.after(next);
        }
        return links.length > 0;
    }

    // ---- the server -----------------------------------------------------------------------------

    let known = null; // its last state
    let stale = false; // the page's files are others than those it was made of

    // A page that is not there for a moment, since something builds it, would come without this script.
    async function loadAgain() {
        stale = true;
        try {
            const answer = await fetch(location.href, { method: "HEAD", cache: "no-store" });
            if (answer.ok) location.reload();
        } catch {
            // The server is away: its next state comes here again.
        }
    }

    function follow(before, state) {
        const missed = before.process !== state.process || state.changes - before.changes > 1;
        const changed = state.changes !== before.changes;
        if (stale || missed || (changed && !(state.styles && swapStyles(state.serial)))) loadAgain();
    }

    function take(state) {
        const before = known;
        if (before && before.process === state.process && state.serial <= before.serial) return;
        known = state;
        if (before) follow(before, state);
        const again = !before || before.attempt !== state.attempt;
        if (before && again && !state.failure && toasts) toasts.replaceChildren(); // of other code
        if (!state.failure) hide();
        else if (again && hidden !== state.attempt) show(state.failure);
    }

    const address = new URL("overlay", document.currentScript.src);
    address.protocol = address.protocol === "https:" ? "wss:" : "ws:";
    let retry = RETRY_MS.first;

    function connect() {
        const socket = new WebSocket(address);
        socket.addEventListener("message", (event) => {
            const said = JSON.parse(event.data);
            retry = RETRY_MS.first;
            if (said.fault !== undefined) showFault(said.fault, said.more);
            else take(said);
        });
        socket.addEventListener("close", () => {
            setTimeout(connect, retry * (0.75 + Math.random() / 2));
            retry = Math.min(retry * 2, RETRY_MS.most);
        });
    }

    connect();
})();
