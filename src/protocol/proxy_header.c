/* Version 1 is a line of text (§2.1), version 2 a block of bytes (§2.2). Section numbers are those
 * of HAProxy's proxy-protocol.txt. */
#include "protocol/proxy_header.h"

#include <arpa/inet.h>
#include <stdbool.h>
#include <string.h>

#include "base/error.h"
#include "protocol/crc32c.h"

static long fail(struct proxy_header *out, const char *why)
{
    *out = (struct proxy_header){.why = why};
    return ERR_PROTOCOL;
}

/* Are the first bytes those of the signature, as far as there are any? */
static bool may_begin(const uint8_t *data, size_t len, const char *signature, size_t signature_len)
{
    return memcmp(data, signature, len < signature_len ? len : signature_len) == 0;
}

/* ---- version 1 ------------------------------------------------------------------------------- */

static const char v1_signature[] = "PROXY ";

enum { V1_FIELDS = 5, V1_FIELD_ROOM = 46 }; /* the longest field is an IPv6 address */

/* The fields of the line behind "PROXY ", each with a NUL. False: there are not so many, or one is
 * empty or too long. */
static bool split_line(const char *at, const char *end, char fields[V1_FIELDS][V1_FIELD_ROOM])
{
    for (int i = 0; i < V1_FIELDS; i++) {
        const char *stop = memchr(at, ' ', (size_t)(end - at));
        bool last = i == V1_FIELDS - 1;
        if (last != !stop)
            return false;
        size_t len = (size_t)((last ? end : stop) - at);
        if (len == 0 || len >= V1_FIELD_ROOM || memchr(at, '\0', len))
            return false;
        memcpy(fields[i], at, len);
        fields[i][len] = '\0';
        at += len + 1;
    }
    return true;
}

/* 0 to 65535 without leading zeros; -1: it is no such number. */
static long port_of(const char *text)
{
    size_t len = strspn(text, "0123456789");
    long port = 0;
    if (len == 0 || len > 5 || text[len] != '\0' || (text[0] == '0' && len > 1))
        return -1;
    for (; *text; text++)
        port = port * 10 + (*text - '0');
    return port <= UINT16_MAX ? port : -1;
}

/* data[0..len) is a line without its CRLF. */
static const char *parse_line(struct proxy_header *out, const char *data, size_t len)
{
    static const char unknown[] = "UNKNOWN";
    const char *at = data + sizeof(v1_signature) - 1;
    const char *end = data + len;
    size_t unknown_len = sizeof(unknown) - 1;
    /* The rest of such a line is to be ignored. */
    if ((size_t)(end - at) >= unknown_len && memcmp(at, unknown, unknown_len) == 0 &&
        (at + unknown_len == end || at[unknown_len] == ' ')) {
        out->source = PROXY_SOURCE_PROXY;
        return NULL;
    }
    char fields[V1_FIELDS][V1_FIELD_ROOM];
    if (!split_line(at, end, fields))
        return "its line has not the five fields of version 1";
    bool v4 = strcmp(fields[0], "TCP4") == 0;
    if (!v4 && strcmp(fields[0], "TCP6") != 0)
        return "its family is none of TCP4, TCP6 and UNKNOWN";
    int family = v4 ? AF_INET : AF_INET6;
    uint8_t destination[16];
    if (inet_pton(family, fields[1], out->address) != 1 ||
        inet_pton(family, fields[2], destination) != 1)
        return "an address is not one of its family";
    long source_port = port_of(fields[3]);
    if (source_port < 0 || port_of(fields[4]) < 0)
        return "a port is not a number from 0 to 65535";
    out->source = v4 ? PROXY_SOURCE_IPV4 : PROXY_SOURCE_IPV6;
    out->port = (uint16_t)source_port;
    return NULL;
}

static long parse_v1(struct proxy_header *out, const uint8_t *data, size_t len)
{
    size_t most = len < PROXY_HEADER_V1_BYTES ? len : PROXY_HEADER_V1_BYTES;
    const uint8_t *cr = memchr(data, '\r', most);
    const uint8_t *lf = memchr(data, '\n', most);
    if (lf && (!cr || cr > lf))
        return fail(out, "its line does not end with CRLF");
    size_t line = cr ? (size_t)(cr - data) : most;
    if (!cr || line + 1 == most)
        return most < PROXY_HEADER_V1_BYTES ? 0 : fail(out, "its line is longer than 107 bytes");
    if (cr[1] != '\n')
        return fail(out, "its line does not end with CRLF");
    const char *why = parse_line(out, (const char *)data, line);
    return why ? fail(out, why) : (long)line + 2;
}

/* ---- version 2 ------------------------------------------------------------------------------- */

static const char v2_signature[] = "\r\n\r\n\0\r\nQUIT\n";

enum {
    V2_SIGNATURE_BYTES = 12,
    V2_FIXED_BYTES = 16, /* the signature, version and command, family, length */
    V2_LOCAL = 0,
    V2_PROXY = 1,
    V2_UNSPECIFIED = 0x00,
    V2_TCP4 = 0x11,
    V2_UDP4 = 0x12,
    V2_TCP6 = 0x21,
    V2_UDP6 = 0x22,
    V2_UNIX_STREAM = 0x31,
    V2_UNIX_DATAGRAM = 0x32,
    TLV_HEAD_BYTES = 3,
    TLV_CRC32C = 0x03,
    CRC32C_BYTES = 4
};

static uint16_t read_16(const uint8_t *at)
{
    return (uint16_t)(at[0] << 8 | at[1]);
}

/* §2.2.3: the checksum is that of the whole header with zeros in its place. */
static bool checksum_is_right(const uint8_t *data, size_t len, const uint8_t *place)
{
    static const uint8_t zeros[CRC32C_BYTES];
    const uint8_t *rest = place + CRC32C_BYTES;
    uint32_t crc = crc32c(0, data, (size_t)(place - data));
    crc = crc32c(crc, zeros, sizeof(zeros));
    crc = crc32c(crc, rest, (size_t)(data + len - rest));
    return crc == ((uint32_t)read_16(place) << 16 | read_16(place + 2));
}

/* §2.2: TLVs fill data[at..len). Returns what is wrong with them, or NULL. */
static const char *check_tlvs(const uint8_t *data, size_t len, size_t at)
{
    const uint8_t *checksum = NULL;
    while (at < len) {
        if (len - at < TLV_HEAD_BYTES)
            return "a TLV is cut off";
        uint8_t type = data[at];
        size_t value_len = read_16(data + at + 1);
        at += TLV_HEAD_BYTES;
        if (value_len > len - at)
            return "a TLV is longer than the header";
        if (type == TLV_CRC32C) {
            if (checksum || value_len != CRC32C_BYTES)
                return "it has no single checksum of 4 bytes";
            checksum = data + at;
        }
        at += value_len;
    }
    return !checksum || checksum_is_right(data, len, checksum) ? NULL : "its checksum is wrong";
}

/* The addresses of a PROXY command: sets *size to their bytes. Returns what is wrong, or NULL. */
static const char *read_addresses(struct proxy_header *out, uint8_t family, const uint8_t *at,
                                  size_t len, size_t *size)
{
    static const struct {
        uint8_t family;
        uint8_t source;
        uint8_t address_bytes; /* of one of the two */
        uint8_t port_bytes;
    } families[] = {
        {V2_TCP4, PROXY_SOURCE_IPV4, 4, 2},
        {V2_TCP6, PROXY_SOURCE_IPV6, 16, 2},
        {V2_UNIX_STREAM, PROXY_SOURCE_UNIX, 108, 0},
    };
    if (family == V2_UDP4 || family == V2_UDP6 || family == V2_UNIX_DATAGRAM)
        return "it is about datagrams";
    for (size_t i = 0; i < sizeof(families) / sizeof(families[0]); i++) {
        if (families[i].family != family)
            continue;
        *size = 2u * families[i].address_bytes + 2u * families[i].port_bytes;
        if (len < *size)
            return "it is too short for its addresses";
        out->source = families[i].source;
        if (families[i].port_bytes) {
            memcpy(out->address, at, families[i].address_bytes);
            out->port = read_16(at + 2u * families[i].address_bytes);
        }
        return NULL;
    }
    return "its address family is unknown";
}

static long parse_v2(struct proxy_header *out, const uint8_t *data, size_t len)
{
    if (len > V2_SIGNATURE_BYTES && data[12] >> 4 != 2)
        return fail(out, "its version is not 2");
    if (len > V2_SIGNATURE_BYTES && (data[12] & 0x0F) > V2_PROXY)
        return fail(out, "its command is neither LOCAL nor PROXY");
    if (len < V2_FIXED_BYTES)
        return 0;
    size_t whole = V2_FIXED_BYTES + read_16(data + 14);
    if (whole > PROXY_HEADER_BYTES_MAX)
        return fail(out, "it is longer than 4096 bytes");
    if (len < whole)
        return 0;
    out->source = PROXY_SOURCE_PROXY;
    /* What follows LOCAL or an unspecified family is to be ignored. */
    if ((data[12] & 0x0F) == V2_LOCAL || data[13] == V2_UNSPECIFIED)
        return (long)whole;
    size_t size = 0;
    const char *why =
        read_addresses(out, data[13], data + V2_FIXED_BYTES, whole - V2_FIXED_BYTES, &size);
    if (!why)
        why = check_tlvs(data, whole, V2_FIXED_BYTES + size);
    return why ? fail(out, why) : (long)whole;
}

long proxy_header_parse(struct proxy_header *out, const uint8_t *data, size_t len)
{
    *out = (struct proxy_header){0};
    if (len == 0)
        return 0;
    size_t v1_len = sizeof(v1_signature) - 1;
    if (may_begin(data, len, v1_signature, v1_len))
        return parse_v1(out, data, len);
    if (may_begin(data, len, v2_signature, V2_SIGNATURE_BYTES))
        return parse_v2(out, data, len);
    return fail(out, "there is none");
}
