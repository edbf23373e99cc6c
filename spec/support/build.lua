-- Which of the builds is tested: the plain one, or one with a sanitizer.

local folder = os.getenv "MOONWIRE_BUILD" or "build"

return {
    -- ThreadSanitizer delays signals until the thread calls something that it knows, so that its
    -- build has no watchdog (src/script/watchdog.c).
    has_watchdog = folder:find "tsan" == nil,
}
