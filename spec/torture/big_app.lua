-- An app as large as any: some thousand lines that its clients never come to, which every reload
-- has to take up.

local M = {}

local handler = [[
-- What room N does with an order.
function orders.room_N(ws, data, options)
    local state = ws.state or { room = "room/N", count = 0, names = {} }
    if type(data) ~= "string" or #data > 4096 then
        return nil, "order N: expected a text of at most 4096 bytes, got " .. type(data)
    end
    state.count = state.count + 1
    for name, value in data:gmatch "(%w+)=(%w+)" do
        if name == "quantity" and tonumber(value) then
            state.quantity = math.max(1, math.min(tonumber(value), 100 + N))
        elseif options and options[name] then
            state.names[#state.names + 1] = { name = name, value = value, at = N }
        else
            state.unknown = (state.unknown or 0) + 1
        end
    end
    ws.state = state
    ws:send(("room/N: %s ordered %d"):format(state.user or "somebody", state.quantity or 1))
    return function(other) return other.count == state.count and other.room == "room/N" end
end
]]

local function count_lines(text)
    return select(2, text:gsub("\n", "\n"))
end

--- An app's text, and so many lines behind it at least.
function M.after(app, lines)
    local out = { app, "orders = {}\n" }
    local each = count_lines(handler)
    for i = 1, math.ceil(lines / each) do
        out[#out + 1] = (handler:gsub("%f[%w]N%f[%W]", tostring(i)):gsub("room_N", "room_" .. i))
    end
    return table.concat(out)
end

return M
