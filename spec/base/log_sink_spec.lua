local ffi = require "ffi"
local fcntl = require "posix.fcntl"
local posix_signal = require "posix.signal"
local process = require "spec.support.process"
local socket = require "posix.sys.socket"
local unistd = require "posix.unistd"
local core = require "spec.support.cdef"
local C = core.C

local LINE = ("x"):rep(999) .. "\n"

describe("a sink of log lines", function()
    local sink, reading, writing, before

    before_each(function()
        before = posix_signal.signal(posix_signal.SIGPIPE, posix_signal.SIG_IGN)
    end)

    after_each(function()
        C.log_sink_free(sink)
        for _, fd in ipairs { reading or -1, writing or -1 } do
            unistd.close(fd)
        end
        sink, reading, writing = nil, nil, nil
        posix_signal.signal(posix_signal.SIGPIPE, before)
    end)

    local function open(one, other)
        reading, writing = one, other
        local out = ffi.new "struct log_sink *[1]"
        assert.equal(0, C.log_sink_new(out, writing))
        sink = out[0]
    end

    local function put(text)
        return C.log_sink_put(sink, core.copy(text), #text)
    end

    -- Numbered lines until one is refused; how many were taken.
    local function fill()
        local taken = 0
        while put(("%d %s"):format(taken + 1, LINE)) do
            taken = taken + 1
            assert.is_true(taken < 10000)
        end
        return taken
    end

    -- Reads until the text ends so, or to the end.
    local function read_until(ending)
        local text = ""
        while text:sub(-#ending) ~= ending do
            local part = assert(unistd.read(reading, 65536))
            if part == "" then
                break
            end
            text = text .. part
        end
        return text
    end

    -- A FIFO that nobody has open for reading at first, so that it cannot be opened a second time.
    local function fifo()
        local folder = process.folder()
        local path = folder.path .. "/fifo"
        require("posix.sys.stat").mkfifo(path, 384)
        local first = fcntl.open(path, fcntl.O_RDONLY + fcntl.O_NONBLOCK)
        local to = fcntl.open(path, fcntl.O_WRONLY)
        unistd.close(first)
        open(nil, to)
        reading = fcntl.open(path, fcntl.O_RDONLY)
        folder:remove()
    end

    local kinds = {
        ["a pipe"] = function() open(unistd.pipe()) end,
        ["a pipe that cannot be opened a second time"] = fifo,
        ["a socket"] = function()
            open(socket.socketpair(socket.AF_UNIX, socket.SOCK_STREAM, 0))
        end,
    }

    for kind, make in pairs(kinds) do
        describe("of " .. kind, function()
            before_each(make)

            it("writes at once what is read", function()
                for _ = 1, 100 do
                    assert.is_true(put(LINE))
                    assert.equal(LINE, read_until(LINE))
                end
                assert.equal(0, C.log_sink_dropped(sink))
            end)

            it("keeps what nobody reads, in order, and writes it when somebody does", function()
                local expected = {}
                for i = 1, 500 do
                    expected[i] = ("%d %s"):format(i, LINE)
                    assert.is_true(put(expected[i]))
                end
                local text = table.concat(expected)
                assert.equal(text, read_until(expected[500]))
                assert.is_true(C.log_sink_flush(sink, 60000))
                assert.is_true(put "last\n")
                assert.equal("last\n", read_until "last\n")
                assert.equal(0, C.log_sink_dropped(sink))
            end)

            it("drops what does not fit into its queue, and counts it", function()
                local taken = fill()
                assert.is_true(taken * #LINE > C.LOG_QUEUED_BYTES)
                assert.is_true(taken * #LINE < C.LOG_QUEUED_BYTES + 1024 * 1024)
                put(LINE)
                assert.equal(2, C.log_sink_dropped(sink))
                assert.equal(2, C.log_sink_claim(sink))
                assert.equal(0, C.log_sink_claim(sink))
                C.log_sink_unclaim(sink, 2)
                assert.equal(2, C.log_sink_claim(sink))
                local text = read_until(("\n%d %s"):format(taken, LINE))
                assert.equal(taken, select(2, text:gsub("\n", "")))
                assert.is_true(put "again\n")
                assert.equal("again\n", read_until "again\n")
            end)

            it("leaves the descriptor as it was for others", function()
                fill()
                assert.equal(0, require("bit").band(fcntl.fcntl(writing, fcntl.F_GETFL),
                    fcntl.O_NONBLOCK))
            end)

            it("drops what it cannot write since the reader has gone", function()
                fill()
                local dropped = C.log_sink_dropped(sink)
                unistd.close(reading)
                reading = nil
                C.log_sink_flush(sink, 60000)
                assert.is_true(C.log_sink_dropped(sink) > dropped + 500)
                assert.is_false(put(LINE))
            end)

            it("waits no longer for a reader than it is told", function()
                fill()
                assert.is_false(C.log_sink_flush(sink, 1))
                C.log_sink_free(sink)
                sink = nil
            end)
        end)
    end

    it("takes a line that is longer than its queue when that is empty", function()
        open(unistd.pipe())
        local long = ("y"):rep(3 * C.LOG_QUEUED_BYTES) .. "\n"
        assert.is_true(put(long))
        assert.is_false(put(LINE))
        assert.is_true(read_until(long:sub(-1)) == long)
    end)

    it("writes files as they are, and counts what a full disk refuses", function()
        open(nil, fcntl.open("/dev/full", fcntl.O_WRONLY))
        assert.is_false(put(LINE))
        assert.equal(1, C.log_sink_dropped(sink))
    end)

    it("lets the log say before its next line how many were dropped", function()
        open(unistd.pipe())
        local taken = fill()
        local log = ffi.new("struct log", { fd = writing, sink = sink })
        C.log_text(log, C.LOG_INFO, core.copy(LINE, "char *"), #LINE, "", 0)
        assert.equal(2, C.log_sink_dropped(sink))
        read_until(("\n%d %s"):format(taken, LINE))
        C.log_sink_flush(sink, 60000)
        C.log_text(log, C.LOG_INFO, core.copy("here again", "char *"), 10, "", 0)
        assert.matches("^%S+ warn  2 lines of the log dropped: [^\n]+\n%S+ info  here again\n$",
            read_until "here again\n")
        C.log_end(log) -- there is nothing to say
        log.json = true
        C.log_text(log, C.LOG_INFO, core.copy("and on", "char *"), 6, "", 0)
        assert.matches('^{"time":"[^"]+","level":"info","message":"and on"}\n$', read_until "}\n")
    end)

    it("lets the log say at its end what nothing was said of", function()
        open(unistd.pipe())
        local taken = fill()
        local log = ffi.new("struct log", { fd = writing, sink = sink })
        read_until(("\n%d %s"):format(taken, LINE))
        C.log_end(log)
        assert.matches("^%S+ warn  1 line of the log dropped: [^\n]+\n$", read_until "slowly\n")
    end)
end)
