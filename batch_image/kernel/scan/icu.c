#include "scan/icu.h"

#include <stdlib.h>

enum { UBRK_WORD = 1, UBRK_DONE = -1 };

struct icu *icu_new(const struct icu_functions *functions)
{
    struct icu *const icu = calloc(1, sizeof *icu); /* a system gives the most of it when used */
    if (icu)
        icu->call = *functions;
    return icu;
}

void icu_free(struct icu *icu)
{
    if (icu->breaker)
        icu->call.ubrk_close(icu->breaker);
    free(icu);
}

static bool is_high_surrogate(uint16_t unit)
{
    return (unit & 0xFC00) == 0xD800;
}

/* Reads one code point of well-formed UTF-16. */
static uint32_t next_code_point(const uint16_t *text, int32_t *at)
{
    const uint32_t unit = text[(*at)++];
    if (!is_high_surrogate((uint16_t)unit))
        return unit;
    return 0x10000 + ((unit & 0x3FF) << 10 | (text[(*at)++] & 0x3FF));
}

static int32_t to_utf16(const uint8_t *text, size_t length, uint16_t *out, size_t *invalid)
{
    const uint8_t *const end = text + length;
    int32_t units = 0;
    *invalid = 0;
    while (text < end) {
        uint32_t code_point;
        bool valid;
        const size_t bytes = decode_code_point(text, end, &code_point, &valid);
        text += bytes;
        if (!valid)
            *invalid += bytes;
        if (code_point >= 0x10000) {
            out[units++] = (uint16_t)(0xD7C0 + (code_point >> 10));
            out[units++] = (uint16_t)(0xDC00 | (code_point & 0x3FF));
        } else {
            out[units++] = (uint16_t)code_point;
        }
    }
    return units;
}

static size_t to_utf8(const uint16_t *text, int32_t units, uint8_t *out)
{
    uint8_t *next = out;
    for (int32_t at = 0; at < units;)
        next = encode_code_point(next, next_code_point(text, &at));
    return (size_t)(next - out);
}

/* Narrows a segment to what is behind and before the characters to trim. False: it is no word. */
static bool trim(const uint16_t *text, int32_t *start, int32_t *end)
{
    int32_t first = *end, last = *start;
    bool is_word = false;
    for (int32_t at = *start; at < *end;) {
        const int32_t before = at;
        const uint32_t code_point = next_code_point(text, &at);
        is_word |= is_word_character(code_point);
        if (!is_trimmed_character(code_point)) {
            if (before < first)
                first = before;
            last = at;
        }
    }
    *start = first;
    *end = last;
    return is_word;
}

/* What every breaker sees first, see `segments` in tables/icu.py, which has the same text. */
static const uint16_t FIRST_TEXT[] = {0x6F22, 0x30FC, 0x3031, 0x1112, 0xD55C, 0x0E01, 0x0E81, 0x179B, 0x1781, 0x1000, 0x000A};

/* Has the breaker go over a text of well-formed UTF-16. */
static bool break_text(struct icu *icu, int32_t units)
{
    int status = 0; /* above 0: an error */
    if (!icu->breaker) {
        const int32_t first = sizeof FIRST_TEXT / sizeof *FIRST_TEXT;
        icu->breaker = icu->call.ubrk_open(UBRK_WORD, "", FIRST_TEXT, first, &status);
        if (status > 0)
            return false;
        while (icu->call.ubrk_next(icu->breaker) != UBRK_DONE)
            ;
    }
    icu->call.ubrk_setText(icu->breaker, icu->piece, units, &status);
    return status <= 0;
}

enum icu_result icu_cut(struct icu *icu, const uint8_t *window, size_t length, size_t most,
                        size_t *cut)
{
    size_t invalid, before = 0;
    const int32_t units = to_utf16(window, length, icu->piece, &invalid);
    *cut = 0;
    if (!break_text(icu, units))
        return ICU_FAILED;
    for (int32_t stop, at = 0; (stop = icu->call.ubrk_next(icu->breaker)) != UBRK_DONE;) {
        if (stop <= at || stop > units)
            return ICU_FAILED;
        for (; at < stop; before++)
            next_code_point(icu->piece, &at);
        if (before > most)
            break;
        *cut = before;
    }
    return ICU_DONE;
}

enum icu_result icu_count(struct icu *icu, const uint8_t *piece, size_t length, uint64_t times,
                          struct table *words, uint64_t *invalid)
{
    const struct icu_functions *const call = &icu->call;
    int status = 0; /* above 0: an error */
    size_t bad;
    const int32_t units = to_utf16(piece, length, icu->piece, &bad);

    if (!break_text(icu, units))
        return ICU_FAILED;
    for (int32_t stop, next = 0; (stop = call->ubrk_next(icu->breaker)) != UBRK_DONE; next = stop) {
        int32_t start = next, end = stop;
        if (start < 0 || end <= start || end > units)
            return ICU_FAILED;
        if (!trim(icu->piece, &start, &end))
            continue;
        int32_t size = call->unorm2_normalize(call->nfc, icu->piece + start, end - start,
                                              icu->composed, COMPOSED_UNITS, &status);
        if (status <= 0)
            size = call->u_strToLower(icu->lowered, LOWERED_UNITS, icu->composed, size, "", &status);
        if (status <= 0)
            size = call->unorm2_normalize(call->nfc, icu->lowered, size, icu->word, WORD_UNITS,
                                          &status);
        if (status > 0 || size < 0 || size > WORD_UNITS)
            return ICU_FAILED;
        if (!table_add(words, icu->bytes, to_utf8(icu->word, size, icu->bytes), times))
            return ICU_NO_MEMORY;
    }
    *invalid += bad * times;
    return ICU_DONE;
}
