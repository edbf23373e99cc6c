local ffi = require "ffi"
local core = require "spec.support.cdef"
local C = core.C

local function part(url, span)
    return ffi.string(url.text.data + span.at, span.len)
end

-- The URL's parts; or nil and why it is refused.
local function parse(text)
    local url = core.new("struct ws_url", C.ws_url_deinit)
    local why = ffi.new "const char *[1]"
    local status = C.ws_url_parse(url, core.copy(text, "char *"), #text, why)
    if status ~= 0 then
        assert.are.equal(C.ERR_INVALID, status)
        assert.is_true(url.text.data == nil)
        return nil, ffi.string(why[0])
    end
    return {
        text = core.string(url.text),
        userinfo = part(url, url.userinfo),
        authority = part(url, url.authority),
        host = part(url, url.host),
        target = part(url, url.target),
        query = part(url, url.query),
        port = tonumber(url.port),
        secure = url.secure,
        is_address = url.is_address,
    }
end

local function serialized(text)
    local url, why = parse(text)
    return url and url.text or why
end

local function all(cases)
    for from, to in pairs(cases) do
        assert.are.equal(to, serialized(from), ("%q"):format(from))
    end
end

local function refused(texts, reason)
    for _, text in ipairs(texts) do
        local url, why = parse(text)
        assert.is_nil(url, ("%q became %s"):format(text, url and url.text))
        assert.matches(reason, why, 1, false, ("%q"):format(text))
    end
end

describe("the URL of a WebSocket (WHATWG URL, WebSockets)", function()
    it("is taken apart", function()
        assert.are.same({
            text = "wss://us:pw@example.org:8443/a/b?c=d",
            userinfo = "us:pw",
            authority = "example.org:8443",
            host = "example.org",
            target = "/a/b?c=d",
            query = "?c=d",
            port = 8443,
            secure = true,
            is_address = false,
        }, parse "wss://us:pw@example.org:8443/a/b?c=d")
        assert.are.same({
            text = "ws://[::1]/",
            userinfo = "",
            authority = "[::1]",
            host = "::1",
            target = "/",
            query = "",
            port = 80,
            secure = false,
            is_address = true,
        }, parse "ws://[::1]")
    end)

    describe("has a scheme", function()
        it("that is ws or wss, also where http or https was written", function()
            all {
                ["ws://h/"] = "ws://h/",
                ["wss://h/"] = "wss://h/",
                ["http://h/"] = "ws://h/",
                ["HTTPS://h/"] = "wss://h/",
                ["WsS://h/"] = "wss://h/",
            }
        end)

        it("that is nothing else", function()
            refused({ "ftp://h/", "wsss://h/", "w://h/", "about:blank", "mailto:x", "ws+tls://h" },
                "scheme is not")
        end)

        it("and is not relative", function()
            refused({ "", " ", "/chat", "//h/chat", "h/chat", "?q", "://h", "1ws://h", "w s://h",
                "ws", "w%73://h" }, "not absolute")
        end)

        it("whose default port is left out", function()
            all {
                ["ws://h:80/"] = "ws://h/",
                ["ws://h:443/"] = "ws://h:443/",
                ["wss://h:443/"] = "wss://h/",
                ["wss://h:80/"] = "wss://h:80/",
                ["https://h:443/"] = "wss://h/",
                ["ws://h:/"] = "ws://h/",
                ["ws://h:00080"] = "ws://h/",
                ["ws://h:0/"] = "ws://h:0/",
                ["ws://h:65535/"] = "ws://h:65535/",
            }
            assert.are.equal(443, parse("wss://h").port)
            assert.are.equal(0, parse("ws://h:0").port)
        end)

        it("behind which any number of slashes of either kind stand", function()
            all {
                ["ws:h"] = "ws://h/",
                ["ws:/h"] = "ws://h/",
                ["ws:\\\\h\\a"] = "ws://h/a",
                ["ws://///h/a"] = "ws://h/a",
            }
        end)
    end)

    it("has a port that is a number up to 65535", function()
        refused({ "ws://h:65536", "ws://h:99999999999999999999", "ws://h:x", "ws://h:1x",
            "ws://h:-1",
            "ws://h:+1", "ws://h:1:2", "ws://[::1]:x" }, "port")
    end)

    it("loses blanks and controls around it, and tabs and line ends anywhere", function()
        all {
            [" \t\n\0ws://h/\1\31 "] = "ws://h/",
            ["w\ts\n:\r/\t/h\n/a\tb?c\rd"] = "ws://h/ab?cd",
        }
    end)

    it("is UTF-8, and not endless", function()
        refused({ "ws://h/\255", "ws://h/\xed\xa0\x80", "ws://h/\xc3" }, "not UTF%-8")
        refused({ "ws://h/" .. ("a"):rep(1048576) }, "longer than 1 MiB")
    end)

    it("has no fragment, not even an empty one", function()
        refused({ "ws://h/#", "ws://h#x", "ws://h/?q#x", "wss://h/a#x" }, "fragment")
    end)

    describe("names a user", function()
        it("who shows, encoded", function()
            all {
                ["ws://u@h/"] = "ws://u@h/",
                ["ws://u:p@h/"] = "ws://u:p@h/",
                ["ws://u:@h/"] = "ws://u@h/",
                ["ws://:p@h/"] = "ws://:p@h/",
                ["ws://:@h/"] = "ws://h/",
                ["ws://@h/"] = "ws://h/",
                ["ws://u@v:p:q@h/"] = "ws://u%40v:p%3Aq@h/",
                ["ws://a b<>[]|^{}:é@h/"] = "ws://a%20b%3C%3E%5B%5D%7C%5E%7B%7D:%C3%A9@h/",
                ["ws://%41@h/"] = "ws://%41@h/",
            }
        end)

        it("who is not part of the authority that is asked", function()
            assert.are.equal("h:1", parse("ws://u:p@h:1/").authority)
        end)

        it("and a host", function()
            refused({ "ws://u@/x", "ws://u:p@", "ws://u@:80/", "ws://u@?q" }, "names no host")
        end)
    end)

    describe("has a host", function()
        it("always", function()
            refused({ "ws://", "ws:", "ws:///", "ws://?x", "ws://:80" }, "names no host")
        end)

        it("that is a name in lower case, its escapes decoded", function()
            all {
                ["ws://EXAMPLE.Org"] = "ws://example.org/",
                ["ws://ex%41mple.org"] = "ws://example.org/",
                ["ws://a_b-c~.d!$&'()*+,;="] = "ws://a_b-c~.d!$&'()*+,;=/",
                ["ws://example.org./"] = "ws://example.org./",
                ["ws://a..b/"] = "ws://a..b/",
                ["ws://./"] = "ws://./",
            }
        end)

        it("that holds no byte which a name cannot hold", function()
            for byte in ("\1\8 <>^|%\127"):gmatch "." do
                refused({ "ws://a" .. byte .. "b/", ("ws://a%%%02xb/"):format(byte:byte()) },
                    "host is not a name")
            end
            refused({ "ws://a%00b/", "ws://a%2fb/", "ws://a%3Ab/", "ws://a%23b", "ws://a%40b",
                "ws://a]b", "ws://a%5bb", "ws://%ff/", "ws://a%", "ws://a%4" },
                "host is not a name")
        end)

        it("that may be a name beyond ASCII", function()
            all {
                ["ws://bücher.example/"] = "ws://xn--bcher-kva.example/",
                ["ws://BÜCHER.example/"] = "ws://xn--bcher-kva.example/",
                ["ws://b%C3%BCcher.example/"] = "ws://xn--bcher-kva.example/",
                ["ws://faß.example/"] = "ws://xn--fa-hia.example/",
                ["ws://日本語。jp/"] = "ws://xn--wgv71a119e.jp/",
                ["ws://XN--BCHER-KVA.example/"] = "ws://xn--bcher-kva.example/",
                ["ws://ｅｘａｍｐｌｅ.org/"] = "ws://example.org/",
                ["ws://１２７.0.0.1/"] = "ws://127.0.0.1/",
            }
        end)

        it("but not one that IDNA forbids", function()
            refused({ "ws://\xef\xbf\xbd.example/", "ws://\xc2\xad/", "ws://xn--\xc3\xbc/",
                "ws://a\xe2\x80\x8bb\xe2\x92\x88/" }, "IDNA")
        end)
    end)

    describe("has an IPv4 address", function()
        it("in any of its spellings", function()
            all {
                ["ws://127.0.0.1"] = "ws://127.0.0.1/",
                ["ws://127.0.0.1."] = "ws://127.0.0.1/",
                ["ws://127.1"] = "ws://127.0.0.1/",
                ["ws://0x7f.1"] = "ws://127.0.0.1/",
                ["ws://0177.0.0x0.01"] = "ws://127.0.0.1/",
                ["ws://2130706433"] = "ws://127.0.0.1/",
                ["ws://0x"] = "ws://0.0.0.0/",
                ["ws://4294967295"] = "ws://255.255.255.255/",
                ["ws://1.65535"] = "ws://1.0.255.255/",
                ["ws://%31%32%37.0.0.1"] = "ws://127.0.0.1/",
            }
            assert.is_true(parse("ws://127.1").is_address)
            assert.are.equal("127.0.0.1:1", parse("ws://127.1:1").authority)
        end)

        it("whenever its last label is a number", function()
            refused({ "ws://256.1.1.1", "ws://1.2.3.256", "ws://4294967296", "ws://1.2.3.4.5",
                "ws://a.1", "ws://1.2.3.08", "ws://0x7f.1.1.0xg.1", "ws://1.16777216", "ws://1..2",
                "ws://a.0x1", "ws://09", "ws://99999999999999999999" }, "IPv4")
        end)

        it("and is a name else", function()
            all {
                ["ws://1.2.3.4.a"] = "ws://1.2.3.4.a/",
                ["ws://0xg"] = "ws://0xg/",
                ["ws://1.2.3.4.."] = "ws://1.2.3.4../",
            }
            assert.is_false(parse("ws://0xg").is_address)
        end)
    end)

    describe("has an IPv6 address", function()
        it("in brackets, in its shortest form", function()
            all {
                ["ws://[::]"] = "ws://[::]/",
                ["ws://[::1]:81"] = "ws://[::1]:81/",
                ["ws://[1::]"] = "ws://[1::]/",
                ["ws://[2001:DB8:0:0:0:0:0:1]"] = "ws://[2001:db8::1]/",
                ["ws://[1:0:0:2:0:0:0:3]"] = "ws://[1:0:0:2::3]/",
                ["ws://[1:0:0:2:0:0:3:4]"] = "ws://[1::2:0:0:3:4]/",
                ["ws://[1:0:2:3:4:5:6:7]"] = "ws://[1:0:2:3:4:5:6:7]/",
                ["ws://[::1:2:3:4:5:6:7]"] = "ws://[0:1:2:3:4:5:6:7]/",
                ["ws://[1:2:3:4:5:6:7::]"] = "ws://[1:2:3:4:5:6:7:0]/",
                ["ws://[0001:0020::]"] = "ws://[1:20::]/",
                ["ws://[::ffff:1.2.3.4]"] = "ws://[::ffff:102:304]/",
                ["ws://[::1.2.3.4]"] = "ws://[::102:304]/",
                ["ws://[1:2:3:4:5:6:1.2.3.4]"] = "ws://[1:2:3:4:5:6:102:304]/",
            }
        end)

        it("that is whole", function()
            refused({ "ws://[]", "ws://[", "ws://[:", "ws://[:]", "ws://[1]", "ws://[::1",
                "ws://[1:2",
                "ws://[::1]x", "ws://[1:2:3:4:5:6:7]", "ws://[1:2:3:4:5:6:7:8:9]", "ws://[:1::]",
                "ws://[1::2::3]", "ws://[:::]", "ws://[1:2:3:4:5:6:7:8::]", "ws://[::1:]",
                "ws://[12345::]", "ws://[g::]", "ws://[::1%eth0]", "ws://[::1.2.3]",
                "ws://[::1.2.3.4.5]", "ws://[::1.2.3.256]", "ws://[::01.2.3.4]",
                "ws://[::1.2.3.4:5]",
                "ws://[1:2:3:4:5:6:7:1.2.3.4]", "ws://[::.1.2.3]", "ws://[::1..2.3]", "ws://[ ::1]",
                "ws://[::1.2.3.]", "ws://[%3A:1]" }, "IPv6")
        end)
    end)

    describe("has a path", function()
        it("that begins with a slash", function()
            all {
                ["ws://h"] = "ws://h/",
                ["ws://h?q"] = "ws://h/?q",
                ["ws://h\\a\\b"] = "ws://h/a/b",
                ["ws://h//a//"] = "ws://h//a//",
            }
        end)

        it("whose dots are resolved", function()
            all {
                ["ws://h/a/./b"] = "ws://h/a/b",
                ["ws://h/a/../b"] = "ws://h/b",
                ["ws://h/a/.."] = "ws://h/",
                ["ws://h/a/b/.."] = "ws://h/a/",
                ["ws://h/a/."] = "ws://h/a/",
                ["ws://h/../../a"] = "ws://h/a",
                ["ws://h/.."] = "ws://h/",
                ["ws://h/a/%2e%2E/b"] = "ws://h/b",
                ["ws://h/a/.%2e/b"] = "ws://h/b",
                ["ws://h/a/%2e/b"] = "ws://h/a/b",
                ["ws://h/a/.../b"] = "ws://h/a/.../b",
                ["ws://h/a/.b/..c/%2ed"] = "ws://h/a/.b/..c/%2ed",
                ["ws://h/a//../b"] = "ws://h/a/b",
                ["ws://h/a\\..\\b"] = "ws://h/b",
                ["ws://h/a/..?x/../y"] = "ws://h/?x/../y",
            }
        end)

        it("in which what the standard says is encoded", function()
            all {
                ["ws://h/a b\"<>^`{}é\127"] = "ws://h/a%20b%22%3C%3E%5E%60%7B%7D%C3%A9%7F",
                ["ws://h/a\1b"] = "ws://h/a%01b",
                ["ws://h/%41%zz%"] = "ws://h/%41%zz%",
                ["ws://h/!$&'()*+,;=:@[]|~"] = "ws://h/!$&'()*+,;=:@[]|~",
            }
        end)
    end)

    it("has a query in which what the standard says is encoded", function()
        all {
            ["ws://h/?a b\"'<>é"] = "ws://h/?a%20b%22%27%3C%3E%C3%A9",
            ["ws://h/?"] = "ws://h/?",
            ["ws://h/?^`{}?/\\%zz"] = "ws://h/?^`{}?/\\%zz",
        }
    end)

    it("is the same when it is parsed again", function()
        for _, text in ipairs { "http://U:p@EXAMPLE.org:81/a/../é?'x'", "ws://0x7f.1/%2e/a",
            "wss://[1:0:0:2:0:0:0:3]:443/", "ws://bücher.example" } do
            local once = serialized(text)
            assert.are.equal(once, serialized(once))
        end
    end)
end)
