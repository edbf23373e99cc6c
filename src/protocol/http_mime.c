/* The table of content types, and their grammar. */
#include "protocol/http_mime.h"

#include <string.h>
#include <strings.h>

#include "protocol/http_syntax.h"

static const struct {
    const char *ending;
    const char *type;
} types[] = {
    {"html", "text/html; charset=utf-8"},
    {"htm", "text/html; charset=utf-8"},
    {"css", "text/css; charset=utf-8"},
    {"js", "text/javascript; charset=utf-8"},
    {"mjs", "text/javascript; charset=utf-8"},
    {"cjs", "text/javascript; charset=utf-8"},
    {"json", "application/json"},
    {"map", "application/json"},
    {"jsonl", "application/jsonl"},
    {"ndjson", "application/x-ndjson"},
    {"jsonld", "application/ld+json"},
    {"geojson", "application/geo+json"},
    {"webmanifest", "application/manifest+json"},
    {"txt", "text/plain; charset=utf-8"},
    {"md", "text/markdown; charset=utf-8"},
    {"lua", "text/plain; charset=utf-8"},
    {"log", "text/plain; charset=utf-8"},
    {"csv", "text/csv; charset=utf-8"},
    {"tsv", "text/tab-separated-values; charset=utf-8"},
    {"ics", "text/calendar; charset=utf-8"},
    {"vcf", "text/vcard; charset=utf-8"},
    {"yaml", "application/yaml"},
    {"yml", "application/yaml"},
    {"toml", "application/toml"},
    {"xml", "application/xml"},
    {"xhtml", "application/xhtml+xml"},
    {"xht", "application/xhtml+xml"},
    {"rss", "application/rss+xml"},
    {"atom", "application/atom+xml"},
    {"gpx", "application/gpx+xml"},
    {"opml", "text/x-opml"},
    {"kml", "application/vnd.google-earth.kml+xml"},
    {"svg", "image/svg+xml"},
    {"png", "image/png"},
    {"apng", "image/apng"},
    {"jpg", "image/jpeg"},
    {"jpeg", "image/jpeg"},
    {"gif", "image/gif"},
    {"webp", "image/webp"},
    {"avif", "image/avif"},
    {"ico", "image/vnd.microsoft.icon"},
    {"bmp", "image/bmp"},
    {"tiff", "image/tiff"},
    {"tif", "image/tiff"},
    {"jxl", "image/jxl"},
    {"heic", "image/heic"},
    {"heif", "image/heif"},
    {"woff", "font/woff"},
    {"woff2", "font/woff2"},
    {"ttf", "font/ttf"},
    {"otf", "font/otf"},
    {"ttc", "font/collection"},
    {"eot", "application/vnd.ms-fontobject"},
    {"wasm", "application/wasm"},
    {"pdf", "application/pdf"},
    {"rtf", "application/rtf"},
    {"zip", "application/zip"},
    {"gz", "application/gzip"},
    {"tgz", "application/gzip"},
    {"bz2", "application/x-bzip2"},
    {"xz", "application/x-xz"},
    {"zst", "application/zstd"},
    {"rar", "application/vnd.rar"},
    {"tar", "application/x-tar"},
    {"7z", "application/x-7z-compressed"},
    {"epub", "application/epub+zip"},
    {"mp3", "audio/mpeg"},
    {"m4a", "audio/mp4"},
    {"aac", "audio/aac"},
    {"weba", "audio/webm"},
    {"ogg", "audio/ogg"},
    {"oga", "audio/ogg"},
    {"opus", "audio/ogg"},
    {"wav", "audio/wav"},
    {"flac", "audio/flac"},
    {"mka", "audio/matroska"},
    {"aif", "audio/aiff"},
    {"aiff", "audio/aiff"},
    {"mid", "audio/midi"},
    {"midi", "audio/midi"},
    {"mp4", "video/mp4"},
    {"webm", "video/webm"},
    {"ogv", "video/ogg"},
    {"m4v", "video/mp4"},
    {"mkv", "video/matroska"},
    {"mpg", "video/mpeg"},
    {"mpeg", "video/mpeg"},
    {"3gp", "video/3gpp"},
    {"avi", "video/x-msvideo"},
    {"mov", "video/quicktime"},
    /* A segment of HTTP Live Streaming (RFC 8216 §3.2), not TypeScript: no browser runs that. */
    {"ts", "video/mp2t"},
    {"m4s", "video/iso.segment"},
    {"m3u8", "application/vnd.apple.mpegurl"},
    {"mpd", "application/dash+xml"},
    {"vtt", "text/vtt; charset=utf-8"},
    {"srt", "application/x-subrip"},
    {"stl", "model/stl"},
    {"glb", "model/gltf-binary"},
    {"gltf", "model/gltf+json"},
};

const char *http_mime_ending(const char *path)
{
    const char *slash = strrchr(path, '/');
    const char *dot = strrchr(slash ? slash + 1 : path, '.');
    return dot ? dot + 1 : NULL;
}

const char *http_mime_type(const char *path)
{
    const char *ending = http_mime_ending(path);
    for (size_t i = 0; ending && i < sizeof(types) / sizeof(*types); i++)
        if (strcasecmp(ending, types[i].ending) == 0)
            return types[i].type;
    return "application/octet-stream";
}

/* ---- grammar --------------------------------------------------------------------------------- */

/* Each skips what it is about and returns the place behind it; NULL: it is not there. */

static const char *skip_token(const char *at, const char *end)
{
    const char *from = at;
    while (at < end && http_token_byte[(uint8_t)*at])
        at++;
    return at > from ? at : NULL;
}

static const char *skip_blanks(const char *at, const char *end)
{
    while (at < end && (*at == ' ' || *at == '\t'))
        at++;
    return at;
}

/* quoted-string (RFC 9110 §5.6.4). */
static const char *skip_quoted(const char *at, const char *end)
{
    for (at++; at < end && *at != '"'; at++) {
        if (*at == '\\')
            at++;
        if (at == end || ((uint8_t)*at < 0x20 && *at != '\t') || *at == 0x7F)
            return NULL;
    }
    return at < end ? at + 1 : NULL;
}

/* token "=" ( token / quoted-string ) (§5.6.6) */
static const char *skip_parameter(const char *at, const char *end)
{
    at = skip_token(at, end);
    if (!at || at == end || *at++ != '=')
        return NULL;
    return at < end && *at == '"' ? skip_quoted(at, end) : skip_token(at, end);
}

bool http_mime_valid(const char *type, size_t len)
{
    const char *end = type + len;
    const char *at = skip_token(type, end);
    if (!at || at == end || *at++ != '/')
        return false;
    at = skip_token(at, end);
    while (at && at < end) {
        at = skip_blanks(at, end);
        if (at == end || *at++ != ';')
            return false;
        at = skip_parameter(skip_blanks(at, end), end);
    }
    return at != NULL;
}
