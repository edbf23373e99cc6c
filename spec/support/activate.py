# Opens what it is told, as systemd would, and becomes the program behind "--" (sd_listen_fds(3)).
import os, socket, sys
cut = sys.argv.index("--")
opened = []
for what in sys.argv[1:cut]:
    if what.startswith("/"):
        s = socket.socket(socket.AF_UNIX)
        s.bind(what)
    elif what.startswith("both:"):
        s = socket.socket(socket.AF_INET6)
        s.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 0)
        s.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        s.bind(("::", int(what[5:])))
    else:
        s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM if what == "udp" else socket.SOCK_STREAM)
        s.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        s.bind(("127.0.0.1", 0 if what == "udp" else int(what)))
    if what != "udp":
        s.listen()
    opened.append(s.detach())
high = [os.dup2(fd, 100 + i) for i, fd in enumerate(opened)]
for i, fd in enumerate(high):
    os.dup2(fd, 3 + i)
os.closerange(3 + len(opened), 200)
os.environ["LISTEN_FDS"] = str(len(opened))
os.environ["LISTEN_PID"] = os.environ.get("AS_PID") or str(os.getpid())
os.execv(sys.argv[cut + 1], sys.argv[cut + 1:])
