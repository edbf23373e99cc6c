/* Close codes and close payloads (RFC 6455 §5.5.1, §7.4). */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum close_code {
    CLOSE_NORMAL = 1000,
    CLOSE_GOING_AWAY = 1001,
    CLOSE_PROTOCOL_ERROR = 1002,
    CLOSE_UNSUPPORTED = 1003,
    CLOSE_NO_STATUS = 1005, /* never on the wire */
    CLOSE_ABNORMAL = 1006,  /* never on the wire */
    CLOSE_INVALID_DATA = 1007,
    CLOSE_POLICY = 1008,
    CLOSE_TOO_BIG = 1009,
    CLOSE_MISSING_EXTENSION = 1010,
    CLOSE_INTERNAL_ERROR = 1011,
    CLOSE_SERVICE_RESTART = 1012,
    CLOSE_TRY_AGAIN = 1013,
    CLOSE_BAD_GATEWAY = 1014
};

enum { CLOSE_REASON_MAX = 123 }; /* bytes: 125 of a control frame without the code (§5.5) */

/* True for a code that may stand in a Close frame which we receive: 1000–1003, 1007–1014, 3000–4999
 * (§7.4.2, and IANA's WebSocket Close Code Number Registry). */
bool close_code_valid(unsigned code);

/* Reads a Close payload (§5.5.1). Returns 0 with *code, which is CLOSE_NO_STATUS when the payload
 * is empty (else the reason begins at payload + 2), ERR_PROTOCOL for a payload of one byte or a
 * code that is not valid, or ERR_UTF8 for the reason. */
int close_decode(const uint8_t *payload, size_t len, uint16_t *code)
    __attribute__((warn_unused_result));

/* Writes a Close payload. A reason of more than CLOSE_REASON_MAX bytes is cut where a character
 * begins. The code CLOSE_NO_STATUS gives an empty payload. Returns the payload's length
 * (0..125). */
size_t close_encode(uint8_t out[125], uint16_t code, const char *reason, size_t reason_len);

/* The code to send for an error of message_read: 1002 for ERR_PROTOCOL, 1007 for ERR_UTF8, 1009 for
 * ERR_TOO_BIG, else 1011. */
uint16_t close_code_for(int error);
