-- A shell's command that must succeed.

return function(command)
    local status = os.execute(command)
    if status ~= 0 and status ~= true then -- true: a LuaJIT with Lua 5.2's os.execute
        error(("failed: %s"):format(command), 2)
    end
end
