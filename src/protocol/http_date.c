/* Formats and parses dates. */
#include "protocol/http_date.h"

#include <stdbool.h>
#include <stdint.h>
#include <string.h>

static const char days[7][10] = {"Sunday",   "Monday", "Tuesday", "Wednesday",
                                 "Thursday", "Friday", "Saturday"};
static const char months[12][4] = {"Jan", "Feb", "Mar", "Apr", "May", "Jun",
                                   "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"};

enum { SECONDS_PER_DAY = 86400 };

/* Days since 1970-01-01 in the Gregorian calendar, year >= 1. Years are counted from March, so that
 * the leap day is the last of its year. */
static int64_t days_from_date(int64_t year, unsigned month, unsigned day)
{
    year -= month <= 2;
    int64_t era = year / 400;
    unsigned year_of_era = (unsigned)(year - era * 400);
    unsigned day_of_year = (153 * (month > 2 ? month - 3 : month + 9) + 2) / 5 + day - 1;
    unsigned day_of_era = year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + day_of_year;
    return era * 146097 + day_of_era - 719468;
}

/* The inverse of days_from_date. */
static void date_from_days(int64_t count, unsigned *year, unsigned *month, unsigned *day)
{
    count += 719468;
    unsigned era = (unsigned)(count / 146097);
    unsigned day_of_era = (unsigned)(count - (int64_t)era * 146097);
    unsigned year_of_era =
        (day_of_era - day_of_era / 1460 + day_of_era / 36524 - day_of_era / 146096) / 365;
    unsigned day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    unsigned shifted = (5 * day_of_year + 2) / 153;
    *day = day_of_year - (153 * shifted + 2) / 5 + 1;
    *month = shifted < 10 ? shifted + 3 : shifted - 9;
    *year = year_of_era + era * 400 + (*month <= 2);
}

static void put_digits(char *out, unsigned value, int count)
{
    while (count--) {
        out[count] = (char)('0' + value % 10);
        value /= 10;
    }
}

void http_date_format(char out[30], time_t t)
{
    int64_t day_count = t / SECONDS_PER_DAY;
    int64_t second = t % SECONDS_PER_DAY;
    if (second < 0) {
        second += SECONDS_PER_DAY;
        day_count--;
    }
    unsigned year, month, day;
    date_from_days(day_count, &year, &month, &day);
    unsigned weekday = (unsigned)(((day_count + 4) % 7 + 7) % 7); /* the epoch was a Thursday */
    memcpy(out, "Sun, 06 Nov 1994 08:49:37 GMT", 30);
    memcpy(out, days[weekday], 3);
    put_digits(out + 5, day, 2);
    memcpy(out + 8, months[month - 1], 3);
    put_digits(out + 12, year, 4);
    put_digits(out + 17, (unsigned)(second / 3600), 2);
    put_digits(out + 20, (unsigned)(second / 60 % 60), 2);
    put_digits(out + 23, (unsigned)(second % 60), 2);
}

/* The numbers of a date. */
struct date_parts {
    unsigned day, month, year, hour, minute, second;
};

/* A walk over the text. A mismatch makes `ok` false for good. */
struct date_reader {
    const char *at;
    const char *end;
    bool ok;
};

static void read_literal(struct date_reader *r, const char *text)
{
    size_t len = strlen(text);
    r->ok = r->ok && (size_t)(r->end - r->at) >= len && memcmp(r->at, text, len) == 0;
    if (r->ok)
        r->at += len;
}

static unsigned read_digits(struct date_reader *r, int count)
{
    unsigned value = 0;
    for (; count; count--) {
        r->ok = r->ok && r->at < r->end && *r->at >= '0' && *r->at <= '9';
        if (r->ok)
            value = value * 10 + (unsigned)(*r->at++ - '0');
    }
    return value;
}

/* Takes the name of a day, the whole of it or its first three letters. */
static void read_weekday(struct date_reader *r, bool whole)
{
    for (size_t i = 0; i < 7; i++) {
        size_t len = whole ? strlen(days[i]) : 3;
        if ((size_t)(r->end - r->at) >= len && memcmp(r->at, days[i], len) == 0) {
            r->at += len;
            return;
        }
    }
    r->ok = false;
}

static unsigned read_month(struct date_reader *r)
{
    for (unsigned i = 0; i < 12; i++) {
        if (r->end - r->at >= 3 && memcmp(r->at, months[i], 3) == 0) {
            r->at += 3;
            return i + 1;
        }
    }
    r->ok = false;
    return 0;
}

static void read_time(struct date_reader *r, struct date_parts *d)
{
    d->hour = read_digits(r, 2);
    read_literal(r, ":");
    d->minute = read_digits(r, 2);
    read_literal(r, ":");
    d->second = read_digits(r, 2);
}

/* "Sun, 06 Nov 1994 08:49:37 GMT" */
static void read_fixdate(struct date_reader *r, struct date_parts *d)
{
    read_weekday(r, false);
    read_literal(r, ", ");
    d->day = read_digits(r, 2);
    read_literal(r, " ");
    d->month = read_month(r);
    read_literal(r, " ");
    d->year = read_digits(r, 4);
    read_literal(r, " ");
    read_time(r, d);
    read_literal(r, " GMT");
}

/* "Sunday, 06-Nov-94 08:49:37 GMT" */
static void read_rfc850(struct date_reader *r, struct date_parts *d)
{
    read_weekday(r, true);
    read_literal(r, ", ");
    d->day = read_digits(r, 2);
    read_literal(r, "-");
    d->month = read_month(r);
    read_literal(r, "-");
    d->year = read_digits(r, 2);
    d->year += d->year < 70 ? 2000 : 1900;
    read_literal(r, " ");
    read_time(r, d);
    read_literal(r, " GMT");
}

/* "Sun Nov  6 08:49:37 1994" */
static void read_asctime(struct date_reader *r, struct date_parts *d)
{
    read_weekday(r, false);
    read_literal(r, " ");
    d->month = read_month(r);
    read_literal(r, " ");
    bool padded = r->at < r->end && *r->at == ' ';
    r->at += padded;
    d->day = read_digits(r, padded ? 1 : 2);
    read_literal(r, " ");
    read_time(r, d);
    read_literal(r, " ");
    d->year = read_digits(r, 4);
}

static unsigned month_days(unsigned month, unsigned year)
{
    static const uint8_t lengths[12] = {31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31};
    bool leap = (year % 4 == 0 && year % 100 != 0) || year % 400 == 0;
    return lengths[month - 1] + (month == 2 && leap);
}

/* True for a date of the calendar. The grammar allows a leap second (60). */
static bool exists(const struct date_parts *d)
{
    return d->year >= 1 && d->month >= 1 && d->day >= 1 &&
           d->day <= month_days(d->month, d->year) && d->hour < 24 && d->minute < 60 &&
           d->second <= 60;
}

time_t http_date_parse(const char *text, size_t len)
{
    static void (*const forms[])(struct date_reader *,
                                 struct date_parts *) = {read_fixdate, read_rfc850, read_asctime};
    for (size_t i = 0; i < sizeof(forms) / sizeof(*forms); i++) {
        struct date_reader r = {text, text + len, true};
        struct date_parts d = {0};
        forms[i](&r, &d);
        if (r.ok && r.at == r.end && exists(&d))
            return days_from_date(d.year, d.month, d.day) * SECONDS_PER_DAY + d.hour * 3600 +
                   d.minute * 60 + d.second;
    }
    return -1;
}
