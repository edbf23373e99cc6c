/* Opening handshakes. The oracles: what the server answers is a head that our own parser reads;
 * what our client asks, our server grants, and our client takes the answer with the same agreement;
 * any offer that the server accepts holds only windows that zlib can make.
 *
 * Input: a mode, two bytes of settings for each side, and then a request, a response or a list of
 * extensions. */
#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "base/error.h"
#include "protocol/handshake.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum mode { REQUEST, RESPONSE, EXTENSIONS, ROUND_TRIP, MODES };
enum { SETTINGS_LEN = 5 };

static const char *const protocols[] = {"v2.chat", "chat", NULL};
static const char *const origins[] = {"https://example.com", "null", NULL};
static const char key[] = "dGhlIHNhbXBsZSBub25jZQ==";
static const struct http_head_limits limits = {4096, 65536, 100};

static struct deflate_options options_of(const uint8_t settings[2])
{
    return (struct deflate_options){
        .enabled = settings[0] & 1,
        .server_no_context_takeover = settings[0] & 2,
        .client_no_context_takeover = settings[0] & 4,
        .server_max_window_bits = (uint8_t)(9 + (settings[0] >> 3) % 7),
        .client_max_window_bits = (uint8_t)(9 + settings[1] % 7),
        .level = 6,
        .memory_level = (uint8_t)(1 + settings[1] % 9),
        .memory_bytes = settings[1] * 1500U,
    };
}

static bool same_params(const struct deflate_params *a, const struct deflate_params *b)
{
    return a->enabled == b->enabled &&
           (!a->enabled || (a->server_no_context_takeover == b->server_no_context_takeover &&
                            a->client_no_context_takeover == b->client_no_context_takeover &&
                            a->server_max_window_bits == b->server_max_window_bits &&
                            a->client_max_window_bits == b->client_max_window_bits));
}

/* bits_min: the smallest window of the server: 9 for our own, 8 for one that we only inflate. */
static void check_params(const struct deflate_params *d, const struct deflate_options *o,
                         uint8_t bits_min)
{
    if (!d->enabled)
        return;
    assert(o->enabled);
    assert(d->server_max_window_bits >= bits_min &&
           d->server_max_window_bits <= o->server_max_window_bits);
    assert(d->client_max_window_bits >= 8 && d->client_max_window_bits <= 15);
    assert(d->server_no_context_takeover || !o->server_no_context_takeover);
    assert(d->client_no_context_takeover || !o->client_no_context_takeover);
    char text[EXTENSION_TEXT_MAX];
    size_t len = extension_response(text, d);
    assert(len > 0 && len <= sizeof(text));
}

/* Parses in a block of exactly its size, which the caller frees. */
static int parse(struct http_head *head, char **base, const void *data, size_t len, bool response)
{
    struct http_head_parser p = {.response = response};
    *base = malloc(len + (len == 0));
    assert(*base);
    if (len)
        memcpy(*base, data, len);
    return http_head_parse(&p, *base, len, &limits, head);
}

/* The 101 that answers an accepted request: a head of its own. */
static struct buffer respond(const struct handshake *h, const char *base)
{
    struct buffer out = {0};
    int err = handshake_response(&out, base + h->key.at, h->protocol, &h->deflate, "X-A: b\r\n", 8);
    assert(err == 0);
    return out;
}

static void check_response(const struct handshake *h, const char *base)
{
    static struct http_head head;
    char *copy;
    struct buffer out = respond(h, base);
    int result = parse(&head, &copy, out.data, out.len, true);
    assert(result == 1 && head.len == out.len && head.status == 101 && head.upgrade_websocket);
    free(copy);
    buffer_deinit(&out);
}

static void fuzz_request(const char *data, size_t len, const uint8_t settings[4])
{
    static struct http_head head;
    char *base;
    struct handshake h;
    struct handshake_rules rules = {.protocols = settings[2] & 1 ? protocols : NULL,
                                    .origins = settings[2] & 2 ? origins : NULL,
                                    .deflate = options_of(settings)};
    if (parse(&head, &base, data, len, false) == 1) {
        int err = handshake_check(&h, &head, base, &rules, settings[2] & 4);
        assert(err == 0 || err == ERR_PROTOCOL);
        if (err == 0) {
            assert(head.upgrade_websocket && !h.why && h.key.len == HANDSHAKE_KEY_LEN);
            assert(!h.protocol || handshake_offers(&head, base, h.protocol, strlen(h.protocol)));
            check_params(&h.deflate, &rules.deflate, 9);
            check_response(&h, base);
        } else {
            assert(h.why &&
                   (h.status == 400 || h.status == 403 || h.status == 405 || h.status == 426));
        }
    }
    free(base);
}

static void fuzz_response(const char *data, size_t len, const uint8_t settings[4])
{
    static struct http_head head;
    char *base;
    struct handshake_answer answer;
    struct handshake_offer offer = {.host = "a",
                                    .target = "/",
                                    .protocols = settings[2] & 1 ? protocols : NULL,
                                    .deflate = options_of(settings)};
    if (parse(&head, &base, data, len, true) == 1) {
        int err = handshake_client_check(&answer, &head, base, &offer, key);
        assert(err == 0 || (err == ERR_PROTOCOL && answer.why));
        if (err == 0) {
            assert(head.status == 101 && !answer.why);
            assert(!answer.protocol == !offer.protocols);
            check_params(&answer.deflate, &offer.deflate, 8);
        }
    }
    free(base);
}

static void fuzz_extensions(const char *data, size_t len, const uint8_t settings[4])
{
    struct deflate_options o = options_of(settings);
    struct deflate_params server, client;
    char *value = malloc(len + (len == 0));
    assert(value);
    if (len)
        memcpy(value, data, len);
    int err = extension_accept(value, len, &o, &server);
    assert(err == 0 || (err == ERR_PROTOCOL && !server.enabled));
    check_params(&server, &o, 9);
    err = extension_check(value, len, &o, &client);
    assert((err == 0) == client.enabled);
    check_params(&client, &o, 8);
    free(value);
}

static void fuzz_round_trip(const uint8_t settings[4])
{
    static struct http_head request, response;
    struct handshake_offer offer = {.host = "example.com",
                                    .target = "/chat?room=1",
                                    .origin = settings[0] & 128 ? "http://example.com" : NULL,
                                    .protocols = settings[0] & 64 ? protocols : NULL,
                                    .deflate = options_of(settings),
                                    .headers = "X-A: b\r\n",
                                    .headers_len = 8};
    struct handshake_rules rules = {.protocols = protocols, .deflate = options_of(settings + 2)};
    struct buffer asked = {0};
    char *base, *answer_base;
    struct handshake h;
    struct handshake_answer answer;
    int err = handshake_request(&asked, &offer, key);
    assert(err == 0);
    err = parse(&request, &base, asked.data, asked.len, false);
    assert(err == 1 && request.len == asked.len);
    err = handshake_check(&h, &request, base, &rules, false);
    assert(err == 0);
    struct buffer out = respond(&h, base);
    err = parse(&response, &answer_base, out.data, out.len, true);
    assert(err == 1);
    err = handshake_client_check(&answer, &response, answer_base, &offer, key);
    assert(err == 0 && answer.protocol == h.protocol && same_params(&answer.deflate, &h.deflate));
    free(base);
    free(answer_base);
    buffer_deinit(&asked);
    buffer_deinit(&out);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size < SETTINGS_LEN)
        return 0;
    const uint8_t *settings = data + 1;
    const char *text = (const char *)data + SETTINGS_LEN;
    size_t len = size - SETTINGS_LEN;
    switch ((enum mode)(data[0] % MODES)) {
    case REQUEST:
        fuzz_request(text, len, settings);
        break;
    case RESPONSE:
        fuzz_response(text, len, settings);
        break;
    case EXTENSIONS:
        fuzz_extensions(text, len, settings);
        break;
    case ROUND_TRIP:
        fuzz_round_trip(settings);
        break;
    case MODES:
        break;
    }
    return 0;
}
