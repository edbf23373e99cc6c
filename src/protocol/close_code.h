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

enum { CLOSE_REASON_MAX = 123 };

/* May stand in a Close frame that we receive: 1000–1003, 1007–1014, 3000–4999 (§7.4.2 and IANA). */
bool close_code_valid(unsigned code);

/* Read a Close payload: sets *code (CLOSE_NO_STATUS when empty); the reason is payload+2.
 * 0, ERR_PROTOCOL (one byte, bad code) or ERR_UTF8 (reason). */
int close_decode(const uint8_t *payload, size_t len, uint16_t *code);

/* Write a Close payload, the reason cut to 123 bytes at a character's start. code
 * CLOSE_NO_STATUS gives an empty payload. Returns its length (0..125). */
size_t close_encode(uint8_t out[125], uint16_t code, const char *reason, size_t reason_len);

/* The code to send for a reader's error (1002, 1007, 1009, 1011). */
uint16_t close_code_for(int error);
