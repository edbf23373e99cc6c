/* Writes heads of responses, and the texts of statuses. */
#include "protocol/http_response.h"

#include <string.h>

#include "base/error.h"
#include "protocol/http_date.h"
#include "protocol/http_syntax.h"

const char *http_status_text(unsigned status)
{
    switch (status) {
    case 100:
        return "Continue";
    case 101:
        return "Switching Protocols";
    case 200:
        return "OK";
    case 201:
        return "Created";
    case 202:
        return "Accepted";
    case 203:
        return "Non-Authoritative Information";
    case 204:
        return "No Content";
    case 205:
        return "Reset Content";
    case 206:
        return "Partial Content";
    case 300:
        return "Multiple Choices";
    case 301:
        return "Moved Permanently";
    case 302:
        return "Found";
    case 303:
        return "See Other";
    case 304:
        return "Not Modified";
    case 307:
        return "Temporary Redirect";
    case 308:
        return "Permanent Redirect";
    case 400:
        return "Bad Request";
    case 401:
        return "Unauthorized";
    case 402:
        return "Payment Required";
    case 403:
        return "Forbidden";
    case 404:
        return "Not Found";
    case 405:
        return "Method Not Allowed";
    case 406:
        return "Not Acceptable";
    case 407:
        return "Proxy Authentication Required";
    case 408:
        return "Request Timeout";
    case 409:
        return "Conflict";
    case 410:
        return "Gone";
    case 411:
        return "Length Required";
    case 412:
        return "Precondition Failed";
    case 413:
        return "Content Too Large";
    case 414:
        return "URI Too Long";
    case 415:
        return "Unsupported Media Type";
    case 416:
        return "Range Not Satisfiable";
    case 417:
        return "Expectation Failed";
    case 421:
        return "Misdirected Request";
    case 422:
        return "Unprocessable Content";
    case 426:
        return "Upgrade Required";
    case 428:
        return "Precondition Required";
    case 429:
        return "Too Many Requests";
    case 431:
        return "Request Header Fields Too Large";
    case 451:
        return "Unavailable For Legal Reasons";
    case 500:
        return "Internal Server Error";
    case 501:
        return "Not Implemented";
    case 502:
        return "Bad Gateway";
    case 503:
        return "Service Unavailable";
    case 504:
        return "Gateway Timeout";
    case 505:
        return "HTTP Version Not Supported";
    case 511:
        return "Network Authentication Required";
    default:
        return "";
    }
}

/* True for a response that must not have a Content-Length (RFC 9110 §8.6). */
static bool never_has_length(unsigned status)
{
    return status < 200 || status == 204;
}

static int append_fields(struct buffer *out, const struct http_response *r)
{
    int err = 0;
    if (r->type)
        err = buffer_printf(out, "Content-Type: %s\r\n", r->type);
    if (!err && r->has_length && !never_has_length(r->status))
        err = buffer_printf(out, "Content-Length: %llu\r\n", (unsigned long long)r->content_length);
    if (!err && r->close)
        err = buffer_printf(out, "Connection: close\r\n");
    else if (!err && r->keep_alive)
        err = buffer_printf(out, "Connection: keep-alive\r\n");
    if (!err)
        err = buffer_append(out, r->headers, r->headers ? r->headers_len : 0);
    return err ? err : buffer_append(out, "\r\n", 2);
}

int http_response_head(struct buffer *out, const struct http_response *r)
{
    char date[30];
    size_t before = out->len;
    http_date_format(date, r->now);
    int err = buffer_printf(out, "HTTP/1.1 %u %s\r\nDate: %s\r\n", r->status,
                            http_status_text(r->status), date);
    if (!err)
        err = append_fields(out, r);
    if (err)
        out->len = before;
    return err;
}

/* True for a field that says where a message ends or what a connection becomes: only the server
 * writes it. */
static bool is_reserved(const char *name, size_t len)
{
    static const char *const reserved[] = {"connection",
                                           "content-length",
                                           "date",
                                           "transfer-encoding",
                                           "upgrade",
                                           "sec-websocket-accept",
                                           "sec-websocket-key",
                                           "sec-websocket-extensions",
                                           "sec-websocket-protocol",
                                           "sec-websocket-version"};
    for (size_t i = 0; i < sizeof(reserved) / sizeof(*reserved); i++)
        if (http_equal(name, len, reserved[i]))
            return true;
    return false;
}

static bool is_value(const char *value, size_t len)
{
    for (size_t i = 0; i < len; i++)
        if (((uint8_t)value[i] < 0x20 && value[i] != '\t') || value[i] == 0x7f)
            return false;
    return true;
}

int http_response_header(struct buffer *out, const char *name, size_t name_len, const char *value,
                         size_t value_len)
{
    if (!http_is_token(name, name_len) || is_reserved(name, name_len) ||
        !is_value(value, value_len))
        return ERR_INVALID;
    int err = buffer_reserve(out, name_len + value_len + 4);
    if (!err)
        err = buffer_append(out, name, name_len);
    if (!err)
        err = buffer_append(out, ": ", 2);
    if (!err)
        err = buffer_append(out, value, value_len);
    return err ? err : buffer_append(out, "\r\n", 2);
}
