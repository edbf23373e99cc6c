-- The echo over TLS. --listen speaks plain only, so the listener is the app's.
local mw = require "moonwire"

mw.ws("/", {
    on_message = function(ws, data, is_binary)
        ws:send(data, is_binary)
    end,
})

mw.listen {
    host = "127.0.0.1",
    port = tonumber(os.getenv "BENCH_PORT"),
    tls = { cert = os.getenv "BENCH_CERT", key = os.getenv "BENCH_KEY" },
}
