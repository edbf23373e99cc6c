local docs = dofile "tools/check-docs.lua"

-- The faults of the documents when file is changed by fn, which gets and returns its text.
local function faults_with(file, fn)
    return docs.check(function(path)
        local text = docs.read_file(path)
        return path == file and fn(text) or text
    end, docs.file_exists, docs.list_folder)
end

-- As faults_with, with one plain text in place of another, which must be there.
local function faults_of(file, from, to)
    return faults_with(file, function(text)
        local first, last = text:find(from, 1, true)
        assert.is_truthy(first, from)
        return text:sub(1, first - 1) .. to .. text:sub(last + 1)
    end)
end

describe("the documents", function()
    it("agree with the code", function()
        assert.same({}, docs.check(docs.read_file, docs.file_exists, docs.list_folder))
    end)

    for title, case in pairs {
        ["a function that has gone"] =
            { "src/protocol/message_header.c", "second_byte_fault(", "other_fault(",
                "second_byte_fault" },
        ["a spec that was renamed"] =
            { "spec/protocol/frame_spec.lua", "§5.7 reads the examples", "§5.7 reads", "§5.7" },
        ["a rule without a spec"] =
            { "docs/protocol.md", ' "§5.6 leaves binary messages alone"', "", "names no spec" },
        ["a rule without code"] =
            { "docs/protocol.md", "`opcode_is_known`", "", "names no function" },
        ["a step of the WebSockets Standard whose spec was renamed"] =
            { "spec/lua/websocket_spec.lua", "fails when it is closed while CONNECTING", "fails",
                "fails when it is closed while CONNECTING" },
        ["a step without a spec"] =
            { "docs/websocket.md", '`protocol/ws_url` "that is nothing else"', "client/",
                "names no spec" },
        ["a default that has changed"] =
            { "src/base/limits.c", ".head_bytes = 16384", ".head_bytes = 32768", "head_bytes" },
        ["a default of compression that has changed"] =
            { "src/protocol/extension.c", ".level = 1", ".level = 6", "tuning.md" },
        ["one that the page on the API has otherwise"] =
            { "docs/api.md", "`level` 1–9 (1)", "`level` 1–9 (6)", "api.md" },
        ["one that the annotations have otherwise"] =
            { "annotations/moonwire.lua", "over it 1008. Default: 16 MiB", "Default: 8 MiB",
                "annotations/moonwire.lua" },
        ["a counter that the annotations lack"] =
            { "annotations/moonwire.lua", "---@field opened integer", "---opened", "opened" },
        ["a limit that the annotations lack"] =
            { "annotations/moonwire.lua", "---@field body_bytes?", "---body_bytes", "body_bytes" },
        ["a limit that is new"] =
            { "src/base/limits.c", ".head_bytes = 16384", ".new_bytes = 1,\n.head_bytes = 16384",
                "new_bytes" },
        ["a counter that is new"] =
            { "src/engine/ground/counters.c", '"opened",', '"opened",\n"new",', "new" },
        ["a file that has moved"] =
            { "ARCHITECTURE.md", "`protocol/frame.c`", "`protocol/frames.c`", "frames" },
        ["a link to nowhere"] = { "README.md", "(docs/api.md)", "(docs/apis.md)", "apis" },
        ["a link to a heading that is none"] =
            { "docs/protocol.md", "#compression", "#compressing", "#compressing" },
        ["a link to nowhere in a record of a decision"] =
            { "docs/decisions/tls.md", "(../../bench/NOTES.md#tls)", "(../bench/NOTES.md#tls)",
                "docs/bench/NOTES.md" },
        ["a decision that the index does not list"] =
            { "docs/decisions/README.md", "| [Compression](compression.md)", "| Compression",
                "compression.md" },
        ["a decision that says nothing of its cost"] =
            { "docs/decisions/tls.md", "## What it costs", "## Costs", "What it costs" },
        ["a line that is too long"] =
            { "README.md", "MIT licence", "MIT licence" .. (" and so on"):rep(10), "columns" },
        ["Lua that does not compile"] =
            { "docs/api.md", "function chat.on_open(ws)", "function chat.on_open(ws", "compile" },
    } do
        it("are found wrong by " .. title, function()
            local faults = table.concat(faults_of(case[1], case[2], case[3]), "\n")
            assert.is_truthy(faults:find(case[4], 1, true), faults)
        end)
    end
end)
