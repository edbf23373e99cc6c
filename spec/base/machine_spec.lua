local core = require "spec.support.cdef"
local process = require "spec.support.process"
local C = core.C

local GIB = 1024 * 1024 * 1024

describe("the machine's memory", function()
    local folder = process.fresh_folder()

    local function write(path, text)
        os.execute(("mkdir -p '%s/%s'"):format(folder.path, path:match "(.*)/"))
        folder:write(path, text)
    end

    before_each(function()
        write("proc/meminfo", "MemTotal:        4194304 kB\nMemFree:          100 kB\n")
    end)

    local function memory()
        return tonumber(C.machine_memory_at(folder.path))
    end

    local function group(path, name, text)
        write("sys/fs/cgroup" .. path .. "/" .. name, text .. "\n")
    end

    it("is what proc/meminfo says where no cgroup limits it", function()
        assert.equal(4 * GIB, memory())
        write("proc/self/cgroup", "0::/system.slice/app.service\n")
        assert.equal(4 * GIB, memory())
        group("/system.slice/app.service", "memory.max", "max")
        assert.equal(4 * GIB, memory())
    end)

    it("is the limit of the process's group (cgroup v2)", function()
        write("proc/self/cgroup", "0::/system.slice/app.service\n")
        group("/system.slice/app.service", "memory.max", GIB)
        assert.equal(GIB, memory())
    end)

    it("is the least limit of the groups above it", function()
        write("proc/self/cgroup", "0::/a/b/c\n")
        group("/a/b/c", "memory.max", 3 * GIB)
        group("/a/b", "memory.max", "max")
        group("/a", "memory.max", 2 * GIB)
        assert.equal(2 * GIB, memory())
    end)

    it("is that of the mount in a container whose path is the host's", function()
        write("proc/self/cgroup", "0::/docker/0123\n")
        group("", "memory.max", GIB / 2)
        assert.equal(GIB / 2, memory())
    end)

    it("is the limit of the memory controller (cgroup v1), of all lines", function()
        write("proc/self/cgroup", "9:cpu,cpuacct:/x\n7:hugetlb,memory:/docker/1\n0::/\n")
        group("/memory/docker/1", "memory.limit_in_bytes", GIB)
        assert.equal(GIB, memory())
        group("/memory", "memory.limit_in_bytes", GIB / 4)
        assert.equal(GIB / 4, memory())
        group("/unified", "memory.max", GIB / 8)
        assert.equal(GIB / 8, memory())
    end)

    it("is the machine's where the cgroup allows more than it has", function()
        write("proc/self/cgroup", "7:memory:/\n")
        group("/memory", "memory.limit_in_bytes", "9223372036854771712")
        assert.equal(4 * GIB, memory())
    end)

    it("is the cgroup's where proc/meminfo cannot be read, and unknown without both", function()
        write("proc/meminfo", "")
        assert.equal(0, memory())
        write("proc/self/cgroup", "0::/\nnonsense\n1:memory\n")
        group("", "memory.max", GIB)
        assert.equal(GIB, memory())
    end)

    it("is known of this machine", function()
        assert.is_true(tonumber(C.machine_memory()) > 64 * 1024 * 1024)
    end)
end)
