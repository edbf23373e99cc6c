/* Names to addresses: known ones at once, the others by getaddrinfo in threads. */
#include "engine/client/resolver.h"

#include <arpa/inet.h>
#include <netdb.h>
#include <pthread.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "base/error.h"
#include "engine/ground/mailbox.h"

struct question {
    struct question *next;
    struct resolver_question asked; /* its name is the one below */
    char name[];
};

/* The answer, on its way to the worker that asked. */
struct answer_letter {
    struct letter letter;
    resolver_reader *read;
    struct resolver_answer answer;
};

/* getaddrinfo cannot be interrupted, so the threads are detached, and the last that ends frees
 * this. */
struct resolver {
    pthread_mutex_t lock;
    pthread_cond_t wanted;
    struct question *head;
    struct question *tail;
    uint32_t waiting; /* questions that no thread has taken */
    uint32_t threads;
    uint32_t idle;
    bool closed;
};

/* ---- answers --------------------------------------------------------------------------------- */

static void add_address(struct resolver_answer *a, const struct sockaddr *from, socklen_t len,
                        uint16_t port)
{
    struct address *to = &a->addresses[a->count];
    if (a->count == RESOLVER_ADDRESSES_MAX)
        return;
    address_from(to, from, len);
    to->port = port;
    a->count += to->family == AF_INET || to->family == AF_INET6;
}

static const char *why_not(int err)
{
    switch (err) {
    case EAI_NONAME:
    case EAI_NODATA:
    case EAI_ADDRFAMILY:
        return "there is no such host";
    case EAI_AGAIN:
        return "the name servers do not answer";
    case EAI_MEMORY:
        return "out of memory";
    default:
        return gai_strerror(err); /* constant texts */
    }
}

static void look_up(struct resolver_answer *a, const char *name, uint16_t port)
{
    const struct addrinfo hints = {
        .ai_family = AF_UNSPEC, .ai_socktype = SOCK_STREAM, .ai_flags = AI_ADDRCONFIG};
    struct addrinfo *found = NULL;
    int err = getaddrinfo(name, NULL, &hints, &found);
    if (err) {
        a->why = why_not(err);
        return;
    }
    for (const struct addrinfo *i = found; i; i = i->ai_next)
        add_address(a, i->ai_addr, i->ai_addrlen, port);
    freeaddrinfo(found);
    if (a->count == 0)
        a->why = "there is no such host";
}

static bool is_loopback_name(const char *name)
{
    static const char local[] = "localhost";
    size_t len = strlen(name);
    if (len > 0 && name[len - 1] == '.')
        len--;
    size_t n = sizeof local - 1;
    return len >= n && strncasecmp(name + len - n, local, n) == 0 &&
           (len == n || name[len - n - 1] == '.');
}

int resolver_known(struct resolver_answer *out, const char *name, uint16_t port)
{
    *out = (struct resolver_answer){0};
    struct sockaddr_in v4 = {.sin_family = AF_INET};
    struct sockaddr_in6 v6 = {.sin6_family = AF_INET6};
    bool local = is_loopback_name(name);
    if (local) {
        v4.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
        v6.sin6_addr = in6addr_loopback;
    }
    if (local || inet_pton(AF_INET6, name, &v6.sin6_addr) == 1)
        add_address(out, (const struct sockaddr *)&v6, sizeof v6, port);
    if (local || inet_pton(AF_INET, name, &v4.sin_addr) == 1)
        add_address(out, (const struct sockaddr *)&v4, sizeof v4, port);
    return out->count > 0;
}

/* ---- threads --------------------------------------------------------------------------------- */

static void destroy(struct resolver *r)
{
    pthread_cond_destroy(&r->wanted);
    pthread_mutex_destroy(&r->lock);
    free(r);
}

/* Waits for a question, with the lock held. NULL when the resolver is closed. */
static struct question *next_question(struct resolver *r)
{
    r->idle++;
    while (!r->head && !r->closed)
        pthread_cond_wait(&r->wanted, &r->lock);
    r->idle--;
    struct question *q = r->closed ? NULL : r->head;
    if (q) {
        r->head = q->next;
        if (!r->head)
            r->tail = NULL;
        r->waiting--;
    }
    return q;
}

static void read_answer(struct worker *w, struct letter *l)
{
    const struct answer_letter *a = (const struct answer_letter *)l;
    a->read(w, &a->answer);
}

static void drop_answer(struct letter *l)
{
    free((struct answer_letter *)l);
}

static struct answer_letter *answer_letter_new(resolver_reader *read)
{
    struct answer_letter *a = calloc(1, sizeof(*a));
    if (!a)
        return NULL;
    a->letter.read = read_answer;
    a->letter.drop = drop_answer;
    a->read = read;
    return a;
}

int resolver_answer_later(const struct resolver_answer *known, struct mailbox *to,
                          resolver_reader *read)
{
    struct answer_letter *a = answer_letter_new(read);
    if (!a)
        return ERR_MEMORY;
    a->answer = *known;
    mailbox_post(to, &a->letter);
    return 0;
}

static void *thread_body(void *arg)
{
    struct resolver *r = arg;
    struct question *q;
    pthread_mutex_lock(&r->lock);
    while ((q = next_question(r))) {
        pthread_mutex_unlock(&r->lock);
        /* Without memory the asker's deadline tells it. */
        struct answer_letter *a = answer_letter_new(q->asked.read);
        if (a) {
            a->answer.asker = q->asked.asker;
            look_up(&a->answer, q->name, q->asked.port);
        }
        pthread_mutex_lock(&r->lock);
        if (a && !r->closed) /* the mailbox is there while the resolver is open */
            mailbox_post(q->asked.to, &a->letter);
        else if (a)
            drop_answer(&a->letter);
        free(q);
    }
    bool last = --r->threads == 0;
    pthread_mutex_unlock(&r->lock);
    if (last)
        destroy(r);
    return NULL;
}

/* The lock is held. */
static bool begin_thread(struct resolver *r)
{
    pthread_t thread;
    if (pthread_create(&thread, NULL, thread_body, r))
        return false;
    pthread_setname_np(thread, "moonwire/names");
    pthread_detach(thread);
    r->threads++;
    return true;
}

/* ---- life ------------------------------------------------------------------------------------ */

struct resolver *resolver_new(void)
{
    struct resolver *r = calloc(1, sizeof *r);
    if (!r)
        return NULL;
    pthread_mutex_init(&r->lock, NULL);
    pthread_cond_init(&r->wanted, NULL);
    return r;
}

void resolver_free(struct resolver *r)
{
    if (!r)
        return;
    pthread_mutex_lock(&r->lock);
    r->closed = true;
    for (struct question *q = r->head, *next; q; q = next) {
        next = q->next;
        free(q);
    }
    r->head = r->tail = NULL;
    bool last = r->threads == 0;
    pthread_cond_broadcast(&r->wanted);
    pthread_mutex_unlock(&r->lock);
    if (last)
        destroy(r);
}

/* Queues the question, which it owns from now on. The lock is held. */
static int enqueue(struct resolver *r, struct question *q)
{
    bool more = r->waiting >= r->idle && r->threads < RESOLVER_THREADS_MAX;
    if (r->waiting >= RESOLVER_QUEUE_MAX || (more && !begin_thread(r) && r->threads == 0)) {
        free(q);
        return ERR_LIMIT;
    }
    if (r->tail)
        r->tail->next = q;
    else
        r->head = q;
    r->tail = q;
    r->waiting++;
    pthread_cond_signal(&r->wanted);
    return 0;
}

int resolver_ask(struct resolver *r, const struct resolver_question *question)
{
    size_t size = strlen(question->name) + 1;
    struct question *q = calloc(1, sizeof(*q) + size);
    if (!q)
        return ERR_MEMORY;
    q->asked = *question;
    memcpy(q->name, question->name, size);
    pthread_mutex_lock(&r->lock);
    int err = enqueue(r, q);
    pthread_mutex_unlock(&r->lock);
    return err;
}
