/* The benchmark's peer for uWebSockets in C++: uws echo|fanout|deflate|tls PORT [CERT KEY]
 *
 * The same server as uws.js with its handlers in C++: what uWebSockets costs without Node. Whoever has
 * uWebSockets builds it, and says where it is with `bench/run --peer`. */
#include <App.h>

#include <cstdlib>
#include <string_view>
#include <sys/resource.h>
#include <utility>

namespace {

struct session {};

template <bool TLS> void serve(std::string_view mode, int port, uWS::SocketContextOptions options)
{
    using socket = uWS::WebSocket<TLS, true, session>;
    const bool fanout = mode == "fanout";
    const bool compress = mode == "deflate";
    uWS::TemplatedApp<TLS> app(options);

    typename uWS::TemplatedApp<TLS>::template WebSocketBehavior<session> route;
    if (compress) {
        route.compression =
            static_cast<uWS::CompressOptions>(uWS::SHARED_COMPRESSOR | uWS::SHARED_DECOMPRESSOR);
    }
    route.maxPayloadLength = 16 * 1024 * 1024;
    route.maxBackpressure = 64 * 1024 * 1024;
    route.idleTimeout = 600;
    route.open = [fanout](socket *ws) {
        if (fanout) {
            ws->subscribe("t");
        }
    };
    route.message = [fanout, compress, &app](socket *ws, std::string_view data, uWS::OpCode kind) {
        if (fanout) {
            app.publish("t", data, kind);
        } else {
            ws->send(data, kind, compress);
        }
    };
    app.template ws<session>("/*", std::move(route));
    app.listen("127.0.0.1", port, [](us_listen_socket_t *listener) {
        if (!listener) {
            std::exit(1);
        }
    });
    app.run();
}

} // namespace

int main(int argc, char **argv)
{
    if (argc < 3) {
        return 2;
    }
    struct rlimit files;
    if (getrlimit(RLIMIT_NOFILE, &files) == 0) {
        files.rlim_cur = files.rlim_max;
        setrlimit(RLIMIT_NOFILE, &files);
    }
    const std::string_view mode = argv[1];
    const int port = std::atoi(argv[2]);
    uWS::SocketContextOptions options;
    if (mode == "tls" && argc == 5) {
        options.cert_file_name = argv[3];
        options.key_file_name = argv[4];
        serve<true>(mode, port, options);
    } else {
        serve<false>(mode, port, options);
    }
}
