local ffi = require "ffi"
local C = require("spec.support.cdef").C

local function mime(path)
    return ffi.string(C.http_mime_type(path))
end

describe("a file's content type", function()
    it("follows the ending of its name", function()
        assert.are.equal("text/html; charset=utf-8", mime "index.html")
        assert.are.equal("text/css; charset=utf-8", mime "/a/b.min.css")
        assert.are.equal("text/javascript; charset=utf-8", mime "app.mjs")
        assert.are.equal("image/svg+xml", mime "logo.svg")
        assert.are.equal("application/wasm", mime "a.wasm")
        assert.are.equal("application/json", mime "a.json")
    end)

    it("does not depend on case", function()
        assert.are.equal("image/jpeg", mime "PHOTO.JPG")
    end)

    it("is a run of bytes when the ending is unknown or missing", function()
        for _, path in ipairs { "a.unknown", "html", "a.", "", "a.html/b", "a.html.bak" } do
            assert.are.equal("application/octet-stream", mime(path), path)
        end
    end)
end)
