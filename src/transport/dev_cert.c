/* Finds, checks, makes and saves the development certificate and its key. */
#include "transport/dev_cert.h"

#include <errno.h>
#include <fcntl.h>
#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/rand.h>
#include <openssl/x509v3.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/error.h"

/* Browsers refuse more than 398 days. The start lies back a little for clocks that differ. */
enum { DAY = 24 * 60 * 60, VALID_DAYS = 397, RENEW_DAYS = 7, BACKDATE_SECONDS = 60 * 60 };

static const char cert_name[] = "localhost.pem";
static const char key_name[] = "localhost-key.pem";
static const char alternative_names[] = "DNS:localhost,IP:127.0.0.1,IP:::1";

static int fail(char why[DEV_CERT_WHY_BYTES], const char *format, ...)
    __attribute__((format(printf, 2, 3)));

static int fail(char why[DEV_CERT_WHY_BYTES], const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(why, DEV_CERT_WHY_BYTES, format, arguments);
    va_end(arguments);
    return ERR_IO;
}

static int fail_crypto(char why[DEV_CERT_WHY_BYTES])
{
    unsigned long code = ERR_peek_last_error();
    const char *text = code != 0 ? ERR_reason_error_string(code) : NULL;
    ERR_clear_error();
    return fail(why, "cannot make a development certificate: %s", text ? text : "out of memory");
}

/* ---- the pair that is there ---- */

static void *read_pem(const char *path, bool key)
{
    FILE *file = fopen(path, "re");
    if (!file)
        return NULL;
    /* The empty passphrase keeps an encrypted key from asking on the terminal. */
    void *found = key ? (void *)PEM_read_PrivateKey(file, NULL, NULL, (void *)"")
                      : (void *)PEM_read_X509(file, NULL, NULL, NULL);
    fclose(file);
    return found;
}

static bool is_good(X509 *certificate, EVP_PKEY *key)
{
    time_t now = clock_wall_s();
    time_t soon = now + RENEW_DAYS * DAY;
    return X509_check_private_key(certificate, key) == 1 &&
           X509_cmp_time(X509_get0_notBefore(certificate), &now) < 0 &&
           X509_cmp_time(X509_get0_notAfter(certificate), &soon) > 0 &&
           X509_check_host(certificate, "localhost", 0, 0, NULL) == 1;
}

static bool is_usable(const char *cert_path, const char *key_path)
{
    X509 *certificate = read_pem(cert_path, false);
    EVP_PKEY *key = read_pem(key_path, true);
    bool good = certificate && key && is_good(certificate, key);
    X509_free(certificate);
    EVP_PKEY_free(key);
    ERR_clear_error();
    /* Somebody may have copied it here with other rights. */
    return good && chmod(key_path, 0600) == 0;
}

/* ---- making one ---- */

static bool add_extension(X509 *certificate, int name, const char *value)
{
    X509V3_CTX context;
    X509V3_set_ctx_nodb(&context);
    X509V3_set_ctx(&context, certificate, certificate, NULL, NULL, 0);
    X509_EXTENSION *extension = X509V3_EXT_conf_nid(NULL, &context, name, value);
    bool added = extension && X509_add_ext(certificate, extension, -1) == 1;
    X509_EXTENSION_free(extension);
    return added;
}

/* 127 random bits are positive, and no two certificates of one issuer share them (RFC 5280
 * §4.1.2.2). */
static bool set_serial(X509 *certificate)
{
    unsigned char bytes[16];
    if (RAND_bytes(bytes, sizeof(bytes)) != 1)
        return false;
    bytes[0] &= 0x7f;
    BIGNUM *number = BN_bin2bn(bytes, sizeof(bytes), NULL);
    bool set = number && BN_to_ASN1_INTEGER(number, X509_get_serialNumber(certificate));
    BN_free(number);
    return set;
}

static bool set_name(X509 *certificate)
{
    X509_NAME *name = X509_get_subject_name(certificate);
    return X509_NAME_add_entry_by_txt(name, "O", MBSTRING_ASC,
                                      (const unsigned char *)"moonwire development", -1, -1, 0) &&
           X509_NAME_add_entry_by_txt(name, "CN", MBSTRING_ASC, (const unsigned char *)"localhost",
                                      -1, -1, 0) &&
           X509_set_issuer_name(certificate, name);
}

/* The certificate is no authority: who gets at the key can pretend to be localhost, nothing
 * else. */
static bool fill(X509 *certificate, EVP_PKEY *key)
{
    time_t start = clock_wall_s() - BACKDATE_SECONDS;
    return X509_set_version(certificate, X509_VERSION_3) && set_serial(certificate) &&
           set_name(certificate) &&
           X509_time_adj_ex(X509_getm_notBefore(certificate), 0, 0, &start) &&
           X509_time_adj_ex(X509_getm_notAfter(certificate), VALID_DAYS, 0, &start) &&
           X509_set_pubkey(certificate, key) &&
           add_extension(certificate, NID_basic_constraints, "critical,CA:FALSE") &&
           add_extension(certificate, NID_key_usage, "critical,digitalSignature") &&
           add_extension(certificate, NID_ext_key_usage, "serverAuth") &&
           add_extension(certificate, NID_subject_alt_name, alternative_names) &&
           add_extension(certificate, NID_subject_key_identifier, "hash") &&
           X509_sign(certificate, key, EVP_sha256()) > 0;
}

/* ---- writing it ---- */

static bool write_pem(int fd, X509 *certificate, EVP_PKEY *key)
{
    FILE *file = fdopen(fd, "w");
    if (!file) {
        close(fd);
        return false;
    }
    bool written = certificate ? PEM_write_X509(file, certificate) == 1
                               : PEM_write_PrivateKey(file, key, NULL, NULL, 0, NULL, NULL) == 1;
    written = fflush(file) == 0 && written;
    written = fsync(fileno(file)) == 0 && written;
    return fclose(file) == 0 && written;
}

/* Writes the certificate, or the key if there is none, under a name of its own, then renames: no
 * reader ever sees a part. mkostemp() makes the file with mode 0600. */
static int save(const char *path, X509 *certificate, EVP_PKEY *key, char why[DEV_CERT_WHY_BYTES])
{
    char temporary[DEV_CERT_PATH_BYTES + 8];
    snprintf(temporary, sizeof(temporary), "%s.XXXXXX", path);
    int fd = mkostemp(temporary, O_CLOEXEC);
    if (fd < 0)
        return fail(why, "cannot write %s: %s", path, strerrordesc_np(errno));
    bool written = (!certificate || fchmod(fd, 0644) == 0);
    written = write_pem(fd, certificate, key) && written;
    if (written && rename(temporary, path) == 0)
        return 0;
    int number = errno;
    unlink(temporary);
    return fail(why, "cannot write %s: %s", path, strerrordesc_np(number));
}

static int make(const char *cert_path, const char *key_path, char why[DEV_CERT_WHY_BYTES])
{
    EVP_PKEY *key = EVP_EC_gen("P-256");
    X509 *certificate = X509_new();
    int err = ERR_IO;
    if (!key || !certificate || !fill(certificate, key)) {
        err = fail_crypto(why);
        goto done;
    }
    /* The key goes first: if we stop between the two, they do not match and are made again. */
    err = save(key_path, NULL, key, why);
    if (err == 0)
        err = save(cert_path, certificate, NULL, why);
done:
    X509_free(certificate);
    EVP_PKEY_free(key);
    return err;
}

/* ---- the folder ---- */

static int make_folders(const char *folder, char why[DEV_CERT_WHY_BYTES])
{
    char path[DEV_CERT_PATH_BYTES];
    size_t len = strlen(folder);
    memcpy(path, folder, len + 1);
    for (size_t i = 1; i <= len; i++) {
        if (path[i] != '/' && path[i] != '\0')
            continue;
        path[i] = '\0';
        if (mkdir(path, 0700) && errno != EEXIST)
            return fail(why, "cannot make the folder %s: %s", path, strerrordesc_np(errno));
        path[i] = folder[i];
    }
    return 0;
}

/* Returns the folder's descriptor, locked until it is closed, or a negative enum error. */
static int lock_folder(const char *folder, char why[DEV_CERT_WHY_BYTES])
{
    int fd = open(folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (fd < 0)
        return fail(why, "cannot open the folder %s: %s", folder, strerrordesc_np(errno));
    int locked;
    do {
        locked = flock(fd, LOCK_EX);
    } while (locked < 0 && errno == EINTR);
    if (locked == 0)
        return fd;
    int number = errno;
    close(fd);
    return fail(why, "cannot lock the folder %s: %s", folder, strerrordesc_np(number));
}

int dev_cert_make(const char *folder, char cert_path[DEV_CERT_PATH_BYTES],
                  char key_path[DEV_CERT_PATH_BYTES], char why[DEV_CERT_WHY_BYTES])
{
    why[0] = '\0';
    ERR_clear_error();
    if (folder[0] == '\0' || strlen(folder) + sizeof(key_name) + 1 > DEV_CERT_PATH_BYTES) {
        fail(why, "the folder for the development certificate has no usable name");
        return ERR_INVALID;
    }
    snprintf(cert_path, DEV_CERT_PATH_BYTES, "%s/%s", folder, cert_name);
    snprintf(key_path, DEV_CERT_PATH_BYTES, "%s/%s", folder, key_name);
    int err = make_folders(folder, why);
    if (err)
        return err;
    int lock = lock_folder(folder, why);
    if (lock < 0)
        return lock;
    if (!is_usable(cert_path, key_path))
        err = make(cert_path, key_path, why) == 0 ? 1 : ERR_IO;
    close(lock);
    return err;
}
