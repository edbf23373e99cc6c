/* The benchmark's peer for libwebsockets: lws echo|fanout|deflate|tls PORT [CERT KEY]
 *
 * As its documentation recommends: the libev loop (the default one is poll), whole messages are put
 * together from what RECEIVE brings, and WRITEABLE writes until the socket is full. Texts are checked
 * for UTF-8, nothing is logged. */
#include <libwebsockets.h>

#include <signal.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>

enum { READ_BYTES = 256 * 1024 };

/* The library writes the frame's head into LWS_PRE; without masks it is the same for all receivers. */
struct message {
    unsigned references;
    bool binary;
    size_t len;
    size_t room;
    unsigned char bytes[];
};

struct session {
    struct message *incoming;
    struct message **queue; /* what is to be written: from first to last */
    unsigned first;
    unsigned last;
    unsigned room;
    struct session *next; /* fanout: all of them */
    struct session **link;
    struct lws *wsi;
};

static bool fanout;
static struct session *sessions;

static void *need(void *memory)
{
    if (!memory)
        abort();
    return memory;
}

static void message_unref(struct message *m)
{
    if (m && --m->references == 0)
        free(m);
}

static struct message *message_append(struct message *m, const void *data, size_t len, size_t rest)
{
    size_t wanted = (m ? m->len : 0) + len + rest;
    if (!m || m->room < wanted) {
        bool is_new = !m;
        m = need(realloc(m, sizeof *m + LWS_PRE + wanted));
        if (is_new)
            *m = (struct message){.references = 1};
        m->room = wanted;
    }
    memcpy(m->bytes + LWS_PRE + m->len, data, len);
    m->len += len;
    return m;
}

static void enqueue(struct session *s, struct message *m)
{
    if (s->first == s->last)
        s->first = s->last = 0;
    if (s->last == s->room) {
        s->room = s->room ? s->room * 2 : 4;
        s->queue = need(realloc(s->queue, s->room * sizeof(struct message *)));
    }
    m->references++;
    s->queue[s->last++] = m;
    if (s->last == s->first + 1)
        lws_callback_on_writable(s->wsi);
}

static void received(struct session *s, const void *data, size_t len)
{
    s->incoming = message_append(s->incoming, data, len, lws_remaining_packet_payload(s->wsi));
    if (lws_remaining_packet_payload(s->wsi) || !lws_is_final_fragment(s->wsi))
        return;
    struct message *m = s->incoming;
    s->incoming = NULL;
    m->binary = lws_frame_is_binary(s->wsi);
    if (fanout) {
        for (struct session *to = sessions; to; to = to->next)
            enqueue(to, m);
    } else {
        enqueue(s, m);
    }
    message_unref(m);
}

static int write_all(struct session *s)
{
    while (s->first < s->last) {
        struct message *m = s->queue[s->first++];
        int written = lws_write(s->wsi, m->bytes + LWS_PRE, m->len,
                                m->binary ? LWS_WRITE_BINARY : LWS_WRITE_TEXT);
        message_unref(m);
        if (written < 0)
            return -1;
        if (s->first < s->last && lws_send_pipe_choked(s->wsi)) {
            lws_callback_on_writable(s->wsi);
            return 0;
        }
    }
    return 0;
}

static void opened(struct session *s, struct lws *wsi)
{
    *s = (struct session){.wsi = wsi, .next = sessions, .link = &sessions};
    if (sessions)
        sessions->link = &s->next;
    sessions = s;
}

static void closed(struct session *s)
{
    *s->link = s->next;
    if (s->next)
        s->next->link = s->link;
    while (s->first < s->last)
        message_unref(s->queue[s->first++]);
    free(s->queue);
    message_unref(s->incoming);
}

static int on_event(struct lws *wsi, enum lws_callback_reasons reason, void *session, void *data,
                    size_t len)
{
    switch (reason) {
    case LWS_CALLBACK_ESTABLISHED:
        opened(session, wsi);
        return 0;
    case LWS_CALLBACK_RECEIVE:
        received(session, data, len);
        return 0;
    case LWS_CALLBACK_SERVER_WRITEABLE:
        return write_all(session);
    case LWS_CALLBACK_CLOSED:
        closed(session);
        return 0;
    default:
        return lws_callback_http_dummy(wsi, reason, session, data, len);
    }
}

int main(int argc, char **argv)
{
    if (argc < 3)
        return 2;
    const char *mode = argv[1];
    fanout = strcmp(mode, "fanout") == 0;
    signal(SIGPIPE, SIG_IGN);
    struct rlimit files;
    if (getrlimit(RLIMIT_NOFILE, &files) == 0) {
        files.rlim_cur = files.rlim_max;
        setrlimit(RLIMIT_NOFILE, &files);
    }
    lws_set_log_level(LLL_ERR, NULL);

    static const struct lws_protocols protocols[] = {
        {.name = "bench",
         .callback = on_event,
         .per_session_data_size = sizeof(struct session),
         .rx_buffer_size = READ_BYTES},
        {0}};
    static const struct lws_extension extensions[] = {
        {"permessage-deflate", lws_extension_callback_pm_deflate,
         "permessage-deflate; client_no_context_takeover; server_no_context_takeover"},
        {0}};
    struct lws_context_creation_info info = {.port = atoi(argv[2]),
                                             .iface = "127.0.0.1",
                                             .protocols = protocols,
                                             .pt_serv_buf_size = READ_BYTES,
                                             .gid = (gid_t)-1,
                                             .uid = (uid_t)-1,
                                             .options = LWS_SERVER_OPTION_LIBEV |
                                                        LWS_SERVER_OPTION_VALIDATE_UTF8};
    if (strcmp(mode, "deflate") == 0)
        info.extensions = extensions;
    if (strcmp(mode, "tls") == 0 && argc == 5) {
        info.options |= LWS_SERVER_OPTION_DO_SSL_GLOBAL_INIT;
        info.ssl_cert_filepath = argv[3];
        info.ssl_private_key_filepath = argv[4];
    }
    struct lws_context *context = lws_create_context(&info);
    if (!context)
        return 1;
    while (lws_service(context, 0) >= 0)
        ;
    lws_context_destroy(context);
    return 0;
}
