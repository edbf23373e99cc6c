local ffi = require "ffi"
local core = require "spec.support.cdef"
local C = core.C

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

    it("is known for what pages, feeds, streams and calendars are made of", function()
        for name, type in pairs {
            ["a.cjs"] = "text/javascript; charset=utf-8", ["a.xhtml"] = "application/xhtml+xml",
            ["live.m3u8"] = "application/vnd.apple.mpegurl", ["a.mpd"] = "application/dash+xml",
            ["1.ts"] = "video/mp2t", ["1.m4s"] = "video/iso.segment", ["a.mov"] = "video/quicktime",
            ["a.aac"] = "audio/aac", ["a.apng"] = "image/apng", ["a.tiff"] = "image/tiff",
            ["a.tif"] = "image/tiff", ["a.rss"] = "application/rss+xml",
            ["a.atom"] = "application/atom+xml", ["a.ics"] = "text/calendar; charset=utf-8",
            ["a.geojson"] = "application/geo+json", ["a.yaml"] = "application/yaml",
            ["a.yml"] = "application/yaml", ["a.toml"] = "application/toml",
            ["a.jsonl"] = "application/jsonl", ["a.opml"] = "text/x-opml",
            ["a.tsv"] = "text/tab-separated-values; charset=utf-8",
            ["a.mkv"] = "video/matroska", ["a.mpg"] = "video/mpeg", ["a.aiff"] = "audio/aiff",
            ["a.mid"] = "audio/midi", ["a.tgz"] = "application/gzip",
            ["a.zst"] = "application/zstd",
            ["a.eot"] = "application/vnd.ms-fontobject", ["a.heif"] = "image/heif",
        } do
            assert.equal(type, mime(name), name)
            assert.is_true(C.http_mime_valid(core.copy(type, "char *"), #type))
        end
    end)
end)

describe("a media type (RFC 9110 §8.3.1)", function()
    local function valid(text)
        return C.http_mime_valid(core.copy(text, "char *"), #text)
    end

    it("has a type, a subtype and parameters", function()
        for _, text in ipairs { "text/html", "text/html;charset=utf-8", "text/html ; charset=utf-8",
            "application/vnd.api+json; a=1;\tb=2", 'text/x; title="a;b\\"c d"', 'a/b; c=""' } do
            assert.is_true(valid(text), text)
        end
    end)

    it("has nothing else", function()
        for _, text in ipairs { "", "text", "text/", "/html", "text/html/x", "text /html",
            "text/html;", "text/html; charset", "text/html; charset=", "text/html; charset =utf-8",
            "text/html charset=a", "text/html\r\nX: y", "text/html; a=b\r\nX: y", 'a/b; c="',
            'a/b; c="\\', 'a/b; c="\n"', 'a/b; c="d"e', "a/b\0", "text/h\195\188",
            "text/html, text/css", "a/b; c=d " } do
            assert.is_false(valid(text), text)
        end
    end)
end)
