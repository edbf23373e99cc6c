local ffi = require "ffi"
local certificates = require "spec.support.certificates"
local files = require "spec.support.files"
local transport = require "spec.support.transport"
local C = transport.C

local function make(folder)
    local cert = ffi.new("char[?]", C.DEV_CERT_PATH_BYTES)
    local key = ffi.new("char[?]", C.DEV_CERT_PATH_BYTES)
    local why = ffi.new("char[?]", C.DEV_CERT_WHY_BYTES)
    local code = C.dev_cert_make(folder, cert, key, why)
    return code, ffi.string(cert), ffi.string(key), ffi.string(why)
end

local function output(command)
    local pipe = assert(io.popen(command))
    local text = pipe:read "*a"
    pipe:close()
    return text
end

describe("dev_cert", function()
    local folder, remove
    before_each(function()
        folder, remove = transport.folder()
    end)
    after_each(function()
        remove()
    end)

    it("makes a certificate for localhost and both loopback addresses", function()
        local code, cert, key = make(folder .. "/state/app")
        assert.equal(1, code)
        local text = output("openssl x509 -noout -text -in " .. cert)
        assert.matches("DNS:localhost, IP Address:127.0.0.1, IP Address:0:0:0:0:0:0:0:1", text)
        assert.matches("CA:FALSE", text)
        assert.matches("NIST CURVE: P%-256", text)
        transport.run(("openssl verify -CAfile %s -verify_hostname localhost %s"):format(
            cert, cert))
        assert.equal("600 700\n", output(("echo $(stat -c %%a %s %s/state)"):format(key, folder)))
    end)

    it("is valid for less than 398 days", function()
        local _, cert = make(folder)
        local function when(name)
            local date = output(("openssl x509 -noout -%s -in %s | cut -d= -f2"):format(name, cert))
            return tonumber(output(("date -d '%s' +%%s"):format((date:gsub("\n", "")))))
        end
        local days = (when "enddate" - when "startdate") / 86400
        assert.is_true(days > 390 and days < 398)
        assert.is_true(when "startdate" <= os.time())
    end)

    it("uses the same one again, and closes its key to others", function()
        local _, cert, key = make(folder)
        local before = files.read(cert)
        transport.run("chmod 644 " .. key)
        assert.equal(0, (make(folder)))
        assert.equal(before, files.read(cert))
        assert.equal("600\n", output("stat -c %a " .. key))
    end)

    it("makes another when the old one is broken, without its key, or about to expire", function()
        local _, cert, key = make(folder)
        files.write(key, "-----BEGIN")
        assert.equal(1, (make(folder)))
        os.remove(cert)
        assert.equal(1, (make(folder)))
        os.rename(select(2, certificates.make(folder, "other", { "localhost" })), key)
        assert.equal(1, (make(folder)))
        local soon, its_key = certificates.make(folder, "soon", { "localhost" }, 6)
        os.rename(soon, cert)
        os.rename(its_key, key)
        assert.equal(1, (make(folder)))
        assert.equal(0, (make(folder)))
        assert.equal("2\n", output("ls " .. folder .. "/localhost* | wc -l")) -- nothing temporary
    end)

    it("says why it cannot", function()
        files.write(folder .. "/file", "")
        local code, _, _, why = make(folder .. "/file/state")
        assert.equal(C.ERR_IO, code)
        assert.is_truthy(why:find("/file/state: Not a directory", 1, true), why)
        assert.equal(C.ERR_INVALID, (make ""))
    end)
end)
