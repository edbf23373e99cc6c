-- A prompt at which lines are edited while the loop runs, through libedit (found when it is needed:
-- without it, and where standard input is no terminal, lines come as they are).

local input = require "moonwire.waiting.input"
local inspect = require "moonwire.commands.inspect"

local ffi = require "ffi"

ffi.cdef [[
void rl_callback_handler_install(const char *prompt, void (*handler)(char *line));
void rl_callback_handler_remove(void);
void rl_callback_read_char(void);
void rl_forced_update_display(void);
int add_history(const char *line);
int read_history(const char *file);
int write_history(const char *file);
void stifle_history(int lines);
extern int rl_catch_signals;
void free(void *memory);
void *dlopen(const char *name, int flags);
]]

local M = {}

local HISTORY = 1000 -- lines

local Prompt = {}
Prompt.__index = Prompt

local RTLD_LAZY, RTLD_NODELETE = 0x1, 0x1000

local function load_library()
    for _, name in ipairs { "libedit.so.2", "libedit.so.0" } do
        -- It stays until the process ends: it has a state of its own, and guard() uses it last.
        if ffi.C.dlopen(name, RTLD_LAZY + RTLD_NODELETE) ~= nil then
            return ffi.load(name)
        end
    end
end

local function keep_history(self)
    if self.history then
        self.library.write_history(self.history)
    end
end

-- A signal or os.exit ends the process: the terminal is as it was, and the lines are kept, when the
-- Lua state is closed.
local function guard(self)
    local proxy = newproxy(true)
    getmetatable(proxy).__gc = function()
        if self.shown then
            self.library.rl_callback_handler_remove()
            io.stdout:write "\n"
        end
        if not self.closed then
            keep_history(self)
        end
    end
    return proxy
end

-- history: a file's name, or nil.
function M.new(history)
    local self = setmetatable({
        library = false, -- while lines are edited
        history = history,
        shown = false,   -- the prompt stands in the last line
        closed = false,
        got = false,     -- a line has come, or the end
        line = nil,
    }, Prompt)
    if not (inspect.is_terminal(0) and inspect.is_terminal(1)) then
        return self
    end
    self.library = load_library() or false
    if not self.library then
        self:print("Lines are not edited here: libedit is not installed (Debian's package "
            .. "libedit2).")
    else
        -- It would pass a SIGTERM on to the whole process group, past our own handler.
        self.library.rl_catch_signals = 0
        self.library.stifle_history(HISTORY)
        if history then
            self.library.read_history(history)
        end
        self.guard = guard(self)
        self.handler = ffi.cast("void (*)(char *)", function(line)
            self.got = true
            self.line = line ~= nil and ffi.string(line) or nil
            ffi.C.free(line)
        end)
    end
    return self
end

-- Calls back into Lua: the FFI cannot do that from compiled code.
local function read_char(library)
    library.rl_callback_read_char()
end
jit.off(read_char)

local function edited_line(self, text)
    local library = self.library
    self.got, self.line = false, nil
    self.shown = true
    library.rl_callback_handler_install(text, self.handler)
    while not self.got do
        input.wait "prompt"
        read_char(library)
    end
    library.rl_callback_handler_remove()
    self.shown = false
    if not self.line then
        io.write "\n"
    end
    if self.line and string.find(self.line, "%S") then
        library.add_history(self.line)
    end
    return self.line
end

--- Waits for a line. text: the prompt. nil at the end (Ctrl-D).
function Prompt:read(text)
    if self.library then
        return edited_line(self, text)
    end
    if inspect.is_terminal(0) and inspect.is_terminal(1) then
        io.write(text)
        io.flush()
    end
    return input.line()
end

--- Writes a line; a prompt that stands there moves below it.
function Prompt:print(text)
    if self.shown then
        io.write("\r\27[K", text, "\n")
        io.flush()
        self.library.rl_forced_update_display()
    else
        io.write(text, "\n")
        io.flush()
    end
end

--- Gives the terminal back.
function Prompt:close()
    if self.library then
        if self.shown then
            self.library.rl_callback_handler_remove()
            self.shown = false
            io.write "\n"
        end
        self.closed = true
        keep_history(self)
    end
end

return M
