-- src/protocol/host_rule.c: the hosts that requests name, and which an app answers for.

local ffi = require "ffi"
local core = require "spec.support.cdef"
local C = core.C

local function problem(rule)
    local text = C.host_rule_problem(rule, #rule)
    return text ~= nil and ffi.string(text) or nil
end

local function allows(rule, host)
    assert.is_nil(problem(rule))
    return C.host_rule_allows(rule, host, #host)
end

describe("a rule for hosts", function()
    for rule, hosts in pairs {
        ["example.com"] = {
            yes = { "example.com", "EXAMPLE.com", "example.com:8080", "example.com:",
                "example.com.", "example.com.:443" },
            no = { "example.co", "xexample.com", "www.example.com", "example.com..", "", ":80",
                "example.com:x", "example.com:70000", "example.com/", "a@example.com",
                "example%2ecom", "com" },
        },
        ["Example.COM."] = { yes = { "example.com", "example.com." }, no = { "example" } },
        ["*.example.com"] = {
            yes = { "a.example.com", "A.Example.com:1", "a.example.com." },
            no = { "example.com", "a.b.example.com", ".example.com", "a.example.org" },
        },
        ["127.0.0.1"] = { yes = { "127.0.0.1", "127.0.0.1:80" }, no = { "127.0.0.10", "[::1]" } },
        ["[::1]"] = { yes = { "[::1]", "[::1]:80", "[0:0::1]" }, no = { "::1", "[::2]", "[::1" } },
        ["2001:DB8::1"] = { yes = { "[2001:db8:0::1]:443" }, no = { "[2001:db8::2]" } },
        ["*"] = { yes = { "a", "", "[::1]" }, no = {} },
    } do
        it(rule .. " stands for the hosts that it names, on every port", function()
            for _, host in ipairs(hosts.yes) do
                assert.is_true(allows(rule, host), host)
            end
            for _, host in ipairs(hosts.no) do
                assert.is_false(allows(rule, host), host)
            end
        end)
    end

    it("is a host", function()
        for rule, text in pairs {
            ["https://example.com"] = "write a host name or an address",
            ["example.com/x"] = "write a host name or an address",
            [""] = "write a host name or an address",
            ["a b"] = "write a host name or an address",
            ["exa\0mple.com"] = "write a host name or an address",
            ["example.com:80"] = "without the port",
            ["[::1]:80"] = "write it without the port",
            ["a.*.com"] = "one whole label at the front",
            ["*x.com"] = "one whole label at the front",
            ["*.*.com"] = "one whole label at the front",
            ["*."] = "one whole label at the front",
            ["**"] = "one whole label at the front",
        } do
            assert.matches(text, problem(rule), 1, true)
        end
    end)
end)

describe("a host", function()
    local function is_local(host)
        return C.host_is_local(host, #host)
    end

    it("is local when it is localhost, below it, or an address", function()
        for _, host in ipairs { "localhost", "LocalHost:8080", "localhost.", "a.localhost",
            "a.b.localhost:1", "127.0.0.1", "192.0.2.1:80", "[::1]:80", "[2001:db8::1]" } do
            assert.is_true(is_local(host), host)
        end
    end)

    it("is not when somebody may have that name", function()
        for _, host in ipairs { "example.com", "localhost.example.com", "xlocalhost", ".localhost",
            "127.0.0.1.example.com", "", "1", "[::1", "localhost..", "localhost:x", "a@localhost",
            "0x7f.0.0.1" } do
            assert.is_false(is_local(host), host)
        end
    end)
end)
