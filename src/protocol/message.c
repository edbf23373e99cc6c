#include "protocol/message.h"

#include <stdlib.h>
#include <string.h>

#include "base/buffer.h"
#include "base/error.h"
#include "protocol/close_code.h"
#include "protocol/frame.h"
#include "protocol/mask.h"
#include "protocol/utf8.h"

enum {
    RESERVE_MAX = 64 * 1024, /* taken ahead of what arrived; beyond it, */
    RESERVE_FACTOR = 3,      /* three times as much as has come */
    DIRECT_MIN = 16 * 1024,  /* payload left that makes message_space worth while */
    LOOK_BYTES = 16 * 1024,  /* unmasked and checked while the nearest cache has them */
    LARGEST_WINDOW_BITS = 15,
    FIT_MIN = 16 * 1024, /* a longer message keeps */
    FIT_PART = 8,        /* at most an eighth more memory than it needs */
    WHOLE_MIN = 1024,    /* compressed bytes that make inflater_message the faster way */
    DEFLATE_FACTOR = 8,  /* compressed bytes taken per byte that may come out: a sender that */
    DEFLATE_SLACK = 1024 /* flushes after every byte needs about 7 */
};

/* While message_read runs on a reader that is between messages, this is on its stack, so that whole
 * messages cost no allocation. */
struct message_partial {
    struct frame frame;    /* the frame under way, if in_frame */
    uint64_t done;         /* its payload bytes taken, those in place included */
    uint64_t wire;         /* payload bytes of the message's frames, this one included */
    size_t filled;         /* bytes after payload.len that message_filled told of: still masked */
    struct buffer payload; /* the message so far, behind its head room; or empty */
    struct buffer control; /* the control frame so far */
    uint8_t header[FRAME_HEADER_MAX];
    uint8_t header_len; /* of an incomplete header */
    uint8_t kind;       /* of the message under way; 0 for none */
    bool compressed;
    bool in_frame;
    bool closed; /* a Close came: all else is ignored */
    struct utf8 utf8;
};

static void partial_deinit(struct message_partial *p)
{
    buffer_deinit(&p->payload);
    buffer_deinit(&p->control);
}

static bool partial_is_idle(const struct message_partial *p)
{
    return p->header_len == 0 && !p->in_frame && p->kind == 0 && !p->closed;
}

void message_reader_deinit(struct message_reader *r)
{
    if (r->partial != NULL) {
        partial_deinit(r->partial);
        free(r->partial);
        r->partial = NULL;
    }
    inflater_free(r->inflater);
    r->inflater = NULL;
}

static bool is_control(uint8_t opcode)
{
    return opcode >= FRAME_CLOSE;
}

static int refuse(int error, const char *text, const char **why)
{
    *why = text;
    return error;
}

static int out_of_memory(const char **why)
{
    return refuse(ERR_MEMORY, "out of memory", why);
}

/* --- Headers --- */

/* The first byte against the message under way (RFC 6455 §5.4) and what was agreed (§5.2; RFC 7692
 * §6: RSV1 is on a message's first frame only). */
static const char *sequence_fault(const struct message_partial *p,
                                  const struct message_rules *rules, const uint8_t *head)
{
    uint8_t opcode = head[0] & 0x0f;
    if (is_control(opcode)) {
        return NULL;
    }
    bool rsv1 = head[0] & 0x40;
    if (rsv1 && !rules->compressed) {
        return "RSV1 is set, but no compression was agreed";
    }
    if (rsv1 && opcode == FRAME_CONTINUATION) {
        return "RSV1 is set on a continuation frame";
    }
    if (opcode == FRAME_CONTINUATION) {
        return p->kind == 0 ? "a continuation frame without a message to continue" : NULL;
    }
    return p->kind != 0 ? "a new message begins before the last one ended" : NULL;
}

/* The second byte: masked from clients, never from servers (§5.1). */
static const char *second_byte_fault(const struct message_rules *rules, const uint8_t *head)
{
    bool masked = head[1] & 0x80;
    if (masked != rules->from_client) {
        return masked ? "a server's frame is masked" : "a client's frame is not masked";
    }
    bool one_byte = (head[1] & 0x7f) == 1;
    if ((head[0] & 0x0f) == FRAME_CLOSE && one_byte) {
        return "a close frame holds one byte, which is no code";
    }
    return NULL;
}

/* A header that frame_decode found good. */
static const char *whole_header_fault(const struct message_partial *p,
                                      const struct message_rules *rules, const uint8_t *head)
{
    const char *fault = sequence_fault(p, rules, head);
    return fault != NULL ? fault : second_byte_fault(rules, head);
}

/* The first fault of a header that is cut or bad, in the order of its bytes: so the same one is
 * reported whether they come together or apart. */
static const char *header_fault(const struct message_partial *p, const struct message_rules *rules,
                                const uint8_t *head, size_t len)
{
    for (size_t n = 1; n <= len && n <= FRAME_HEADER_MAX; n++) {
        const char *fault = frame_fault(head, n);
        if (fault == NULL && n == 1) {
            fault = sequence_fault(p, rules, head);
        }
        if (fault == NULL && n == 2) {
            fault = second_byte_fault(rules, head);
        }
        if (fault != NULL) {
            return fault;
        }
    }
    return NULL;
}

static uint64_t inflated_limit(const struct message_rules *rules)
{
    return rules->inflated_bytes != 0 ? rules->inflated_bytes : rules->message_bytes;
}

/* How many payload bytes a message's frames may hold in all. */
static uint64_t wire_limit(const struct message_partial *p, const struct message_rules *rules)
{
    return p->compressed ? inflated_limit(rules) * DEFLATE_FACTOR + DEFLATE_SLACK
                         : rules->message_bytes;
}

/* A whole header has come. */
static int begin_frame(struct message_partial *p, const struct message_rules *rules,
                       const char **why)
{
    p->in_frame = true;
    p->done = 0;
    if (is_control(p->frame.opcode)) {
        return 0;
    }
    if (p->frame.opcode != FRAME_CONTINUATION) {
        p->kind = p->frame.opcode;
        p->compressed = p->frame.rsv1;
    }
    if (p->frame.len > wire_limit(p, rules) - p->wire) {
        return refuse(ERR_TOO_BIG, "a message is longer than the limit", why);
    }
    p->wire += p->frame.len;
    return 0;
}

static void advance(uint8_t **data, size_t *len, size_t n)
{
    *data += n;
    *len -= n;
}

/* 1 when the header is whole, 0 when more is needed, or an error. */
static int read_header(struct message_partial *p, const struct message_rules *rules, uint8_t **data,
                       size_t *len, const char **why)
{
    if (*len == 0) {
        return 0;
    }
    const uint8_t *head = *data;
    size_t head_len = *len;
    size_t kept = p->header_len;
    if (kept > 0) {
        size_t more = FRAME_HEADER_MAX - kept < *len ? FRAME_HEADER_MAX - kept : *len;
        memcpy(p->header + kept, *data, more);
        head = p->header;
        head_len = kept + more;
    }
    int size = frame_decode(&p->frame, head, head_len);
    const char *fault =
        size > 0 ? whole_header_fault(p, rules, head) : header_fault(p, rules, head, head_len);
    if (fault != NULL) {
        return refuse(ERR_PROTOCOL, fault, why);
    }
    if (size == 0) {
        memcpy(p->header + kept, *data, *len);
        p->header_len = (uint8_t)(kept + *len);
        advance(data, len, *len);
        return 0;
    }
    advance(data, len, (size_t)size - kept);
    p->header_len = 0;
    int rc = begin_frame(p, rules, why);
    return rc != 0 ? rc : 1;
}

/* --- Payloads --- */

/* Takes from the input what belongs to the frame under way: next comes open_payload. */
static uint8_t *take_payload(const struct message_partial *p, uint8_t **data, size_t *len,
                             size_t *n)
{
    uint64_t left = p->frame.len - p->done;
    *n = left < *len ? (size_t)left : *len;
    uint8_t *piece = *data;
    if (*n > 0) {
        advance(data, len, *n);
    }
    return piece;
}

/* Unmasks the next n bytes of the frame under way. True: they are ASCII. False: who knows. */
static bool open_payload(struct message_partial *p, uint8_t *piece, size_t n)
{
    bool ascii = p->frame.masked && mask_apply(piece, n, p->frame.key, (size_t)(p->done % 4));
    p->done += n;
    return ascii;
}

static bool frame_is_whole(const struct message_partial *p)
{
    return p->done == p->frame.len;
}

/* Gives the buffer's memory to the message, whose data begins there. */
static void hand_over(struct buffer *b, size_t at, struct message *out)
{
    out->block = b->data;
    if (b->data != NULL) {
        out->data = b->data + at;
        out->len = b->len - at;
    }
    memset(b, 0, sizeof *b);
}

/* What can be said of a Close that is not whole: its code and the reason so far. */
static int check_close_start(const uint8_t *payload, size_t len)
{
    if (len < 2) {
        return 0;
    }
    if (!close_code_valid((unsigned)payload[0] << 8 | payload[1])) {
        return ERR_PROTOCOL;
    }
    struct utf8 reason = {0};
    return utf8_check(&reason, payload + 2, len - 2);
}

static int refuse_close(int error, const char **why)
{
    return refuse(error,
                  error == ERR_UTF8 ? "a close reason is not UTF-8"
                                    : "a close frame has a code that must not be sent",
                  why);
}

/* After a Close nothing else matters (RFC 6455 §5.5.1): let go of what was under way. */
static int finish_close(struct message_reader *r, struct message_partial *p, struct message *out,
                        const char **why)
{
    int rc = close_decode(out->data, out->len, &out->close_code);
    if (rc != 0) {
        free(out->block);
        return refuse_close(rc, why);
    }
    size_t code_len = out->len < 2 ? 0 : 2;
    out->len -= code_len;
    out->data += code_len;
    partial_deinit(p);
    p->closed = true;
    inflater_free(r->inflater);
    r->inflater = NULL;
    return 1;
}

static int take_control(struct message_reader *r, struct message_partial *p, uint8_t **data,
                        size_t *len, struct message *out, const char **why)
{
    size_t n;
    uint8_t *piece = take_payload(p, data, len, &n);
    open_payload(p, piece, n);
    bool in_place = n == p->frame.len;
    if (!in_place && buffer_append(&p->control, piece, n) != 0) {
        return out_of_memory(why);
    }
    if (!frame_is_whole(p)) {
        int rc =
            p->frame.opcode == FRAME_CLOSE ? check_close_start(p->control.data, p->control.len) : 0;
        return rc == 0 ? 0 : refuse_close(rc, why);
    }
    p->in_frame = false;
    *out = (struct message){.kind = p->frame.opcode, .data = piece, .len = n};
    if (!in_place) {
        hand_over(&p->control, 0, out);
    }
    return out->kind == MESSAGE_CLOSE ? finish_close(r, p, out, why) : 1;
}

static size_t payload_len(const struct message_partial *p)
{
    return p->payload.len == 0 ? 0 : p->payload.len - MESSAGE_HEAD_ROOM;
}

/* What fits behind the payload. */
static size_t payload_room(const struct message_partial *p)
{
    size_t used = p->payload.len + MESSAGE_TAIL_ROOM;
    return used < p->payload.cap ? p->payload.cap - used : 0;
}

/* Room for n more bytes; the first time for what is around them too. */
static int grow_payload(struct message_partial *p, size_t n)
{
    size_t head = p->payload.len == 0 ? MESSAGE_HEAD_ROOM : 0;
    int rc = buffer_reserve(&p->payload, head + n + MESSAGE_TAIL_ROOM);
    if (rc == 0) {
        p->payload.len += head;
    }
    return rc;
}

/* Room for n more bytes and, while the frame goes on, for some of what it announces: never more than
 * RESERVE_MAX or RESERVE_FACTOR times what has come, so that a header alone makes nobody spend memory.
 * Growing by less would copy a large message more often. */
static int reserve_payload(struct message_partial *p, size_t n)
{
    if (payload_room(p) >= n && n > 0) {
        return 0;
    }
    uint64_t left = p->frame.len - p->done + n; /* done counts these n bytes already */
    size_t have = payload_len(p) + n;
    size_t ahead = have < RESERVE_MAX / 4 ? RESERVE_MAX - payload_len(p) : have * RESERVE_FACTOR;
    size_t wish = n > ahead ? n : ahead;
    return grow_payload(p, left < wish ? (size_t)left : wish);
}

static int refuse_text(const char **why)
{
    return refuse(ERR_UTF8, "a text message is not UTF-8", why);
}

static int refuse_cut_text(const char **why)
{
    return refuse(ERR_UTF8, "a text message ends within a character", why);
}

static int check_text(struct message_partial *p, const uint8_t *data, size_t len, const char **why)
{
    if (p->kind != MESSAGE_TEXT || utf8_check(&p->utf8, data, len) == 0) {
        return 0;
    }
    return refuse_text(why);
}

/* The next n bytes of a frame that is not compressed: unmasked, and a text checked. */
static int open_data(struct message_partial *p, uint8_t *piece, size_t n, const char **why)
{
    int rc = 0;
    while (n > 0 && rc == 0) {
        size_t step = n < LOOK_BYTES ? n : LOOK_BYTES;
        bool ascii = open_payload(p, piece, step);
        if (!ascii || !utf8_complete(&p->utf8)) {
            rc = check_text(p, piece, step, why);
        }
        advance(&piece, &n, step);
    }
    return rc;
}

/* Bytes that message_filled told of. */
static int take_filled(struct message_partial *p, const char **why)
{
    size_t n = p->filled;
    if (n == 0) {
        return 0;
    }
    p->filled = 0;
    p->payload.len += n;
    return open_data(p, p->payload.data + p->payload.len - n, n, why);
}

static int store_piece(struct message_partial *p, const uint8_t *piece, size_t n)
{
    if (n == 0) {
        return 0;
    }
    return reserve_payload(p, n) != 0 ? ERR_MEMORY : buffer_append(&p->payload, piece, n);
}

static int refuse_inflating(int error, const char **why)
{
    switch (error) {
    case ERR_TOO_BIG:
        return refuse(error, "a compressed message is longer than the limit when inflated", why);
    case ERR_PROTOCOL:
        return refuse(error, "a compressed message is not valid DEFLATE data", why);
    default:
        return out_of_memory(why);
    }
}

/* The inflater of a message without context has the largest window, which suits every peer. */
static int take_inflater(struct message_reader *r, const struct message_rules *rules)
{
    if (rules->inflate_context) {
        r->inflater = inflater_new(rules->inflate_bits);
    } else if (rules->spare != NULL && *rules->spare != NULL) {
        r->inflater = *rules->spare;
        *rules->spare = NULL;
    } else {
        r->inflater = inflater_new(LARGEST_WINDOW_BITS);
    }
    return r->inflater != NULL ? 0 : ERR_MEMORY;
}

static void give_back_inflater(struct message_reader *r, const struct message_rules *rules)
{
    if (rules->spare != NULL && *rules->spare == NULL) {
        inflater_reset(r->inflater);
        *rules->spare = r->inflater;
    } else {
        inflater_free(r->inflater);
    }
    r->inflater = NULL;
}

static int inflate_piece(struct message_reader *r, struct message_partial *p,
                         const struct message_rules *rules, uint8_t *piece, size_t n,
                         const char **why)
{
    if ((r->inflater == NULL && take_inflater(r, rules) != 0) ||
        (p->payload.len == 0 && grow_payload(p, 0) != 0)) {
        return out_of_memory(why);
    }
    bool last = p->frame.fin && frame_is_whole(p);
    size_t before = p->payload.len;
    bool whole = last && p->wire == n && n >= WHOLE_MIN && !rules->inflate_context;
    size_t limit = (size_t)inflated_limit(rules) + MESSAGE_HEAD_ROOM;
    int failed = whole ? inflater_message(r->inflater, piece, n, limit, &p->payload)
                       : inflater_push(r->inflater, piece, n, last, limit, &p->payload);
    /* What came out before a fault is looked at first: that is the order of a slower arrival. */
    int rc = 0;
    if (p->payload.len > before) {
        rc = check_text(p, p->payload.data + before, p->payload.len - before, why);
    }
    if (rc == 0 && failed != 0) {
        rc = refuse_inflating(failed, why);
    }
    return rc;
}

/* The whole message with its tail room, and when it is long, not much more: it may be kept. */
static int fit_payload(struct message_partial *p)
{
    size_t needed = p->payload.len + MESSAGE_TAIL_ROOM;
    if (p->payload.cap < needed) {
        return grow_payload(p, 0);
    }
    if (needed < FIT_MIN || p->payload.cap - needed <= needed / FIT_PART) {
        return 0;
    }
    uint8_t *data = realloc(p->payload.data, needed);
    if (data != NULL) {
        p->payload.data = data;
        p->payload.cap = needed;
    }
    return 0;
}

/* The message's last frame is whole. */
static int finish_message(struct message_reader *r, struct message_partial *p,
                          const struct message_rules *rules, uint8_t *in_place, size_t n,
                          struct message *out, const char **why)
{
    if (p->kind == MESSAGE_TEXT && !utf8_complete(&p->utf8)) {
        return refuse_cut_text(why);
    }
    *out = (struct message){.kind = p->kind, .data = in_place, .len = n};
    if (in_place == NULL) {
        if (p->payload.len > 0 && fit_payload(p) != 0) {
            return out_of_memory(why);
        }
        hand_over(&p->payload, MESSAGE_HEAD_ROOM, out);
    }
    if (p->compressed && !rules->inflate_context) {
        give_back_inflater(r, rules);
    }
    p->kind = 0; /* idle now: what else *p says goes with it */
    return 1;
}

static int take_data(struct message_reader *r, struct message_partial *p,
                     const struct message_rules *rules, uint8_t **data, size_t *len,
                     struct message *out, const char **why)
{
    int rc = take_filled(p, why);
    if (rc != 0) {
        return rc;
    }
    size_t n;
    uint8_t *piece = take_payload(p, data, len, &n);
    bool whole = p->frame.fin && p->wire == n; /* all of the message is in this piece */
    if (p->compressed) {
        open_payload(p, piece, n);
        rc = inflate_piece(r, p, rules, piece, n, why);
    } else {
        rc = open_data(p, piece, n, why);
        if (rc == 0 && !whole && store_piece(p, piece, n) != 0) {
            rc = out_of_memory(why);
        }
    }
    if (rc != 0 || !frame_is_whole(p)) {
        return rc;
    }
    p->in_frame = false;
    if (!p->frame.fin) {
        return 0;
    }
    return finish_message(r, p, rules, whole && !p->compressed ? piece : NULL, n, out, why);
}

static int read_next(struct message_reader *r, struct message_partial *p,
                     const struct message_rules *rules, uint8_t **data, size_t *len,
                     struct message *out, const char **why)
{
    for (;;) {
        if (!p->in_frame) {
            int rc = read_header(p, rules, data, len, why);
            if (rc <= 0) {
                return rc;
            }
        }
        int rc = is_control(p->frame.opcode) ? take_control(r, p, data, len, out, why)
                                             : take_data(r, p, rules, data, len, out, why);
        if (rc != 0 || p->in_frame) {
            return rc;
        }
    }
}

/* The payload of a whole message at the start of the input: one frame of at most LOOK_BYTES that is
 * not compressed. NULL: it is something else, or not legal. */
static uint8_t *whole_payload(const struct message_rules *rules, uint8_t *head, size_t len,
                              size_t *n)
{
    enum { FIN = 0x80, MASKED = 0x80, LENGTH_16 = 126 };
    size_t size = 2;
    if (len < size || (head[0] != (FIN | FRAME_TEXT) && head[0] != (FIN | FRAME_BINARY)) ||
        (head[1] & MASKED) != (rules->from_client ? MASKED : 0)) {
        return NULL;
    }
    *n = head[1] & 0x7f;
    if (*n >= LENGTH_16) {
        if (*n > LENGTH_16 || len < 4) {
            return NULL;
        }
        *n = (size_t)head[2] << 8 | head[3];
        size = 4;
        if (*n < LENGTH_16) {
            return NULL; /* §5.2: not in the shortest way */
        }
    }
    size += rules->from_client ? 4 : 0;
    bool fits = len >= size && len - size >= *n && *n <= LOOK_BYTES && *n <= rules->message_bytes;
    return fits ? head + size : NULL;
}

/* What most input is, taken without the bookkeeping of the long way, and with the same result. */
static int read_whole(const struct message_rules *rules, uint8_t *payload, size_t n, uint8_t **data,
                      size_t *len, struct message *out, const char **why)
{
    uint8_t kind = **data & 0x0f;
    bool ascii = rules->from_client && mask_apply(payload, n, payload - 4, 0);
    advance(data, len, (size_t)(payload - *data) + n);
    struct utf8 text = {0};
    if (kind == MESSAGE_TEXT && !ascii && utf8_check(&text, payload, n) != 0) {
        return refuse_text(why);
    }
    if (!utf8_complete(&text)) {
        return refuse_cut_text(why);
    }
    *out = (struct message){.kind = kind, .data = payload, .len = n};
    return 1;
}

/* Keeps *p, which is on the stack, for the next call, if it holds anything. */
static int keep_partial(struct message_reader *r, struct message_partial *p)
{
    if (partial_is_idle(p)) {
        partial_deinit(p);
        return 0;
    }
    r->partial = malloc(sizeof *r->partial);
    if (r->partial == NULL) {
        partial_deinit(p);
        return ERR_MEMORY;
    }
    *r->partial = *p;
    return 0;
}

static int read_fresh(struct message_reader *r, const struct message_rules *rules, uint8_t **data,
                      size_t *len, struct message *out, const char **why)
{
    struct message_partial p = {0};
    int rc = read_next(r, &p, rules, data, len, out, why);
    if (rc < 0) {
        partial_deinit(&p);
        return rc;
    }
    if (keep_partial(r, &p) == 0) {
        return rc;
    }
    if (rc == 1) {
        free(out->block);
    }
    return out_of_memory(why);
}

int message_read(struct message_reader *r, const struct message_rules *rules, uint8_t **data,
                 size_t *len, struct message *out, const char **why)
{
    if (r->partial == NULL) {
        size_t n;
        uint8_t *payload = whole_payload(rules, *data, *len, &n);
        if (payload != NULL) {
            return read_whole(rules, payload, n, data, len, out, why);
        }
        return *len == 0 ? 0 : read_fresh(r, rules, data, len, out, why);
    }
    if (r->partial->closed) {
        advance(data, len, *len);
        return 0;
    }
    int rc = read_next(r, r->partial, rules, data, len, out, why);
    if (rc >= 0 && partial_is_idle(r->partial)) {
        partial_deinit(r->partial);
        free(r->partial);
        r->partial = NULL;
    }
    return rc;
}

size_t message_space(struct message_reader *r, uint8_t **into)
{
    struct message_partial *p = r->partial;
    if (p == NULL || !p->in_frame || p->closed || p->compressed || is_control(p->frame.opcode)) {
        return 0;
    }
    uint64_t left = p->frame.len - p->done - p->filled;
    if (left < DIRECT_MIN) {
        return 0;
    }
    if (payload_room(p) < p->filled + DIRECT_MIN && p->filled == 0 && reserve_payload(p, 0) != 0) {
        return 0;
    }
    size_t room = payload_room(p) - p->filled;
    *into = p->payload.data + p->payload.len + p->filled;
    return left < room ? (size_t)left : room;
}

void message_filled(struct message_reader *r, size_t n)
{
    r->partial->filled += n;
}

size_t message_held(const struct message_reader *r)
{
    const struct message_partial *p = r->partial;
    return p == NULL ? 0 : sizeof *p + p->payload.cap + p->control.cap;
}
