/* The output of --check: routes and listeners. */
#include "main/check.h"

#include <stdint.h>
#include <stdio.h>

#include "engine/ground/site.h"
#include "engine/server/server_listen.h"

static const char *const method_names[] = {"GET",    "HEAD",    "POST", "PUT",
                                           "DELETE", "OPTIONS", "PATCH"};

_Static_assert(HTTP_ANY == (1 << sizeof(method_names) / sizeof(method_names[0])) - 1,
               "every method has a name, in the order of its bit");

/* "GET,POST" */
static void print_methods(uint32_t methods)
{
    const char *comma = "";
    for (unsigned i = 0; HTTP_ANY >> i; i++) {
        if (methods >> i & 1) {
            printf("%s%s", comma, method_names[i]);
            comma = ",";
        }
    }
}

static void print_route(const struct site_route *r)
{
    printf("  ");
    if (r->kind == SITE_WEBSOCKET)
        printf("websocket");
    else if (r->kind == SITE_STATIC)
        printf("static");
    else if (r->methods == HTTP_ANY)
        printf("any");
    else
        print_methods(r->methods);
    printf(" %s\n", r->pattern);
}

void check_print(const struct site *site, const struct site_listener *listeners, size_t n)
{
    printf("routes:\n");
    for (size_t i = 0; i < site->route_count; i++)
        print_route(&site->routes[i]);
    if (site->route_count == 0)
        printf("  none\n");
    printf("listeners:\n");
    for (size_t i = 0; i < n; i++) {
        char address[SERVER_ADDRESS_BYTES];
        server_address(&listeners[i], listeners[i].port, address);
        printf("  %s\n", address);
    }
    if (n == 0)
        printf("  none: call mw.listen{port=8080}, or give --listen localhost:8080\n");
}
