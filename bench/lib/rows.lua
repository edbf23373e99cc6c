-- What is measured, in the order of the table. Fields:
--   name      as in bench/ratios and for --rows
--   label     for people
--   mode      of build/bench/load; the rest of `args` are its options
--   app       bench/apps/NAME.lua, and the mode of the peers
--   metric    the field of load's JSON that the row is about
--   unit      how to print it: us, bytes, mb, ms
--   floor     the row whose raw server this one is compared with; false: none
--   raw       whether the raw server can do this row
--   rounds    at most so many: memory does not vary from round to round
--   from      takes its figures from the run of another row
--   only      the only server for which the row makes sense
local function echo(name, label, args)
    return { name = name, label = label, mode = "echo", app = "echo", args = args,
        metric = "cpu_us", unit = "us", floor = name, raw = true }
end

local function fanout(name, label, args)
    args.connections, args.size = 1000, 64
    return { name = name, label = label, mode = "fanout", app = "fanout", args = args,
        metric = "cpu_us", unit = "us", floor = name, raw = true }
end

local function idle(name, label, app, args, only)
    return { name = name, label = label, mode = "idle", app = app, args = args,
        metric = "bytes_per_connection", unit = "bytes", floor = false, rounds = 2, only = only }
end

return {
    echo("echo-20-64x1", "echo 20 B, 64 connections, 1 in flight", { size = 20 }),
    echo("echo-20-64x16", "echo 20 B, 64 connections, 16 in flight", { size = 20, inflight = 16 }),
    echo("echo-20-1000x1", "echo 20 B, 1,000 connections, 1 in flight",
        { size = 20, connections = 1000 }),
    echo("echo-20-1x1", "echo 20 B, 1 connection, 1 in flight", { size = 20, connections = 1 }),
    echo("echo-1k", "echo 1 KiB text, 64 connections", { size = 1024 }),
    echo("echo-16k-text", "echo 16 KiB text, 64 connections", { size = 16384 }),
    echo("echo-16k-binary", "echo 16 KiB binary, 64 connections", { size = 16384, binary = true }),
    echo("echo-1m", "echo 1 MiB text, 4 connections", { size = 1048576, connections = 4 }),
    fanout("fanout-1", "fan-out to 1,000, 64 B, one publish at a time; per delivery", {}),
    fanout("fanout-16", "fan-out to 1,000, 64 B, bursts of 16; per delivery", { burst = 16 }),
    -- No floor: how many of the 16 meet in one write is the server's skill.
    { name = "fanout-16-publishers", label = "fan-out to 1,000, 64 B, 16 publishers; per delivery",
        mode = "fanout", app = "fanout", args = { connections = 1000, size = 64, publishers = 16 },
        metric = "cpu_us", unit = "us", floor = false },
    { name = "deflate-1k", label = "echo 1 KiB JSON, permessage-deflate, 64 connections",
        mode = "deflate", app = "deflate", args = { size = 1024 }, metric = "cpu_us", unit = "us",
        floor = "echo-1k" },
    { name = "tls-1k", label = "echo 1 KiB over TLS, 64 connections", mode = "echo", app = "tls",
        args = { size = 1024, tls = true }, metric = "cpu_us", unit = "us", floor = "echo-1k" },
    { name = "tls-16k", label = "echo 16 KiB over TLS, 64 connections", mode = "echo", app = "tls",
        args = { size = 16384, tls = true }, metric = "cpu_us", unit = "us",
        floor = "echo-16k-text" },
    { name = "handshake", label = "connect, upgrade, close", mode = "handshake", app = "echo",
        args = { connections = 16 }, metric = "cpu_us", unit = "us", floor = "echo-20-64x1" },
    { name = "handshake-tls", label = "connect, upgrade, close over TLS, RSA-2048",
        mode = "handshake", app = "tls", args = { connections = 16, tls = true },
        metric = "cpu_us", unit = "us", floor = false },
    { name = "among-idle", label = "echo 20 B, 64 connections among 15,000 idle", mode = "echo",
        app = "echo", args = { size = 20, idle = 15000 }, metric = "cpu_us", unit = "us",
        floor = "echo-20-64x1" },
    idle("idle", "user memory per idle connection", "echo", { connections = 10000 }),
    idle("idle-state", "user memory per idle connection with a ws.state table", "idle",
        { connections = 10000 }, "moonwire"),
    idle("idle-tls", "user memory per idle connection over TLS", "tls",
        { connections = 10000, tls = true }),
    { name = "startup", label = "start to the first answered upgrade", mode = "startup",
        app = "echo", args = {}, metric = "answer_ms", unit = "ms", floor = false, rounds = 2 },
    { name = "resident", label = "resident memory at start", from = "startup", app = "echo",
        metric = "rss_bytes", unit = "mb", floor = false, rounds = 2 },
}
