#include "base/number.h"

#include <ctype.h>
#include <errno.h>
#include <locale.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

int ib_parse_i64(const char *text, int64_t *value) {
    char *end = NULL;
    if (!isdigit((unsigned char)text[0]) && !(text[0] == '-' && isdigit((unsigned char)text[1])))
        return -1;
    errno = 0;
    long long parsed = strtoll(text, &end, 10);
    if (errno != 0 || *end != '\0')
        return -1;
    *value = parsed;
    return 0;
}

int ib_parse_u64(const char *text, uint64_t *value) {
    char *end = NULL;
    if (!isdigit((unsigned char)text[0]))
        return -1;
    errno = 0;
    unsigned long long parsed = strtoull(text, &end, 10);
    if (errno != 0 || *end != '\0')
        return -1;
    *value = parsed;
    return 0;
}

int ib_parse_double(const char *text, double *value) {
    const char *first = text + (text[0] == '-' || text[0] == '+');
    if (!isdigit((unsigned char)first[0]) && first[0] != '.')
        return -1;
    if (strpbrk(text, "xXpP") != NULL)
        return -1;
    locale_t c_locale = newlocale(LC_ALL_MASK, "C", (locale_t)0);
    if (c_locale == (locale_t)0)
        return -1;
    char *end = NULL;
    double parsed = strtod_l(text, &end, c_locale);
    freelocale(c_locale);
    if (end == text || *end != '\0' || !isfinite(parsed))
        return -1;
    *value = parsed;
    return 0;
}

void ib_print_double(double value, char text[IB_DOUBLE_TEXT]) {
    locale_t c_locale = newlocale(LC_ALL_MASK, "C", (locale_t)0);
    locale_t previous = c_locale == (locale_t)0 ? (locale_t)0 : uselocale(c_locale);
    for (int digits = 1; digits <= 17; ++digits) {
        snprintf(text, IB_DOUBLE_TEXT, "%.*g", digits, value);
        if (isnan(value) || isinf(value))
            break;
        /* 3600 rather than 3.6e+03: a few digits more for numbers people write in full */
        int plain = fabs(value) < 1e15 && fabs(value) >= 1e-4;
        if (strtod(text, NULL) == value && !(plain && strchr(text, 'e') != NULL))
            break;
    }
    if (previous != (locale_t)0)
        uselocale(previous);
    if (c_locale != (locale_t)0)
        freelocale(c_locale);
}
