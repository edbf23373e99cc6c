-- Reads Markdown, as far as tools/check-docs.lua needs it.

local M = {}

--- Iterates over the numbers and the texts of a document's lines.
function M.lines_of(text)
    local number, nexts = 0, (text .. "\n"):gmatch "([^\n]*)\n"
    return function()
        number = number + 1
        local line = nexts()
        if line then
            return number, line
        end
    end
end

--- The cells of a table's row, or nil. Bars in code are escaped.
function M.cells_of(line)
    if not line:find "^|" or line:find "^|[%s:|-]+$" then
        return nil
    end
    local cells = {}
    for cell in line:gsub("\\|", "\1"):gmatch "([^|]+)" do
        cells[#cells + 1] = (cell:gsub("\1", "|"):match "^%s*(.-)%s*$")
    end
    return cells
end

--- How many columns a line takes: a character of UTF-8 has one byte that is none of these.
function M.width_of(line)
    return #line:gsub("[\128-\191]", "")
end

-- What GitHub makes of a heading.
local function anchor(heading)
    return (heading:lower():gsub("[`,.():&/§'?]", ""):gsub("%s", "-"))
end

--- True if the document has a heading with this anchor.
function M.has_anchor(text, wanted)
    for _, line in M.lines_of(text) do
        if line:find "^#" and anchor((line:gsub("^#+%s*", ""))) == wanted then
            return true
        end
    end
    return false
end

--- "docs/decisions/../../README.md" → "README.md"
function M.resolved(path)
    local count
    repeat
        path, count = path:gsub("[^/.]+/%.%./", "", 1)
    until count == 0
    return path
end

return M
