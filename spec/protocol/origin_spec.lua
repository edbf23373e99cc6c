local ffi = require "ffi"
local core = require "spec.support.cdef"
local C = core.C

local function problem(rule)
    local why = C.origin_rule_problem(core.copy(rule, "char *"), #rule)
    return why ~= nil and ffi.string(why) or nil
end

local function allows(rule, text)
    assert.is_nil(problem(rule), rule)
    return C.origin_rule_allows(core.copy(rule .. "\0", "char *"), core.copy(text, "char *"), #text)
end

describe("rules for origins (RFC 6454)", function()
    it("name one origin, in any case, with the scheme's port or without it", function()
        local rule = "https://Example.com"
        for _, text in ipairs { "https://example.com", "HTTPS://EXAMPLE.COM:443",
            "wss://example.com" } do
            assert.is_true(allows(rule, text), text)
        end
        for _, text in ipairs { "", "null", "*", "http://example.com", "https://example.com:8443",
            "https://www.example.com", "https://example.com/", "example.com" } do
            assert.is_false(allows(rule, text), text)
        end
    end)

    it("have * for exactly one label", function()
        local rule = "https://*.example.com"
        for _, text in ipairs { "https://www.example.com", "https://A-1.EXAMPLE.com",
            "https://x.example.com:443" } do
            assert.is_true(allows(rule, text), text)
        end
        for _, text in ipairs { "https://example.com", "https://.example.com",
            "https://a.b.example.com",
            "http://www.example.com", "https://www.example.com:8443", "https://wwwexample.com",
            "https://evil.com", "https://www.example.com.evil.com", "https://www.example.community",
            "https://evil.com/.example.com", "https://user@www.example.com", "null", "" } do
            assert.is_false(allows(rule, text), text)
        end
        assert.is_true(allows("http://*.localhost:8080", "http://app.localhost:8080"))
        assert.is_false(allows("http://*.localhost:8080", "http://app.localhost"))
    end)

    it("compare as written what is not of the web", function()
        assert.is_true(allows("null", "null"))
        assert.is_true(allows("chrome-extension://abcdef", "chrome-extension://abcdef"))
        assert.is_false(allows("chrome-extension://abcdef", "chrome-extension://abcdee"))
    end)

    it("allow anything with an asterisk alone", function()
        for _, text in ipairs { "https://a.b", "null", "", "what" } do
            assert.is_true(allows("*", text), text)
        end
    end)

    it("say what is wrong with them", function()
        assert.matches('write "https://example.com" %(no path%)', problem "https://example.com/")
        assert.matches("one label for %*", problem "*.example.com")
        assert.matches("one whole label at the front", problem "https://a.*.com")
        assert.matches("one whole label at the front", problem "https://*")
        assert.matches("no port as %*", problem "http://localhost:*")
        assert.matches("no host begins with a dot", problem "https://.example.com")
    end)
end)
