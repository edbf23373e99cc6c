/* A self-signed certificate for development on this machine. */
#pragma once

enum { DEV_CERT_PATH_BYTES = 4096, DEV_CERT_WHY_BYTES = 256 };

/* Puts the paths of a certificate and its key (EC P-256; localhost, 127.0.0.1, ::1; 397 days) in
 * cert_path and key_path. Makes the folder (0700) and both files if one is missing or broken, if
 * they do not belong together, or if the certificate expires within a week. Otherwise it uses those
 * that are there, so that a browser's exception stays good. Processes that start together agree on
 * one pair. Returns 1: made; 0: found; or, with one line in why, ERR_INVALID (not a usable folder
 * name) or ERR_IO. */
int dev_cert_make(const char *folder, char cert_path[DEV_CERT_PATH_BYTES],
                  char key_path[DEV_CERT_PATH_BYTES], char why[DEV_CERT_WHY_BYTES])
    __attribute__((warn_unused_result));
