-- luajit tools/compile_commands.lua FOLDER COMMAND FILE…: a compilation database on stdout.

local function quoted(text)
    return '"' .. text:gsub('[\\"]', "\\%0") .. '"'
end

local folder, command = arg[1], arg[2]
local entries = {}
for i = 3, #arg do
    entries[#entries + 1] = ('  {"directory": %s, "file": %s, "command": %s}'):format(
        quoted(folder), quoted(arg[i]), quoted(("%s -c %s"):format(command, arg[i])))
end
io.write("[\n", table.concat(entries, ",\n"), "\n]\n")
