/* Words of text that only ICU can cut, through ICU's C API. */
#ifndef WORDFREQ_ICU_H
#define WORDFREQ_ICU_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "tables/table.h"
#include "unicode/unicode.h"

/* Addresses in the ICU library that Python has loaded: none is linked here. The names are ICU's. */
struct icu_functions {
    void *(*ubrk_open)(int type, const char *locale, const uint16_t *text, int32_t length,
                       int *status);
    void (*ubrk_close)(void *breaker);
    void (*ubrk_setText)(void *breaker, const uint16_t *text, int32_t length, int *status);
    int32_t (*ubrk_next)(void *breaker);
    int32_t (*u_strToLower)(uint16_t *to, int32_t room, const uint16_t *text, int32_t length,
                            const char *locale, int *status);
    int32_t (*unorm2_normalize)(const void *form, const uint16_t *text, int32_t length,
                                uint16_t *to, int32_t room, int *status);
    const void *nfc; /* unorm2_getNFCInstance() */
};

/* One code point takes 2 units of UTF-16 at most; NFC and lower case at most triple a text. */
enum {
    PIECE_UNITS = PIECE_LIMIT * 2,
    COMPOSED_UNITS = PIECE_UNITS * 3,
    LOWERED_UNITS = COMPOSED_UNITS * 3,
    WORD_UNITS = LOWERED_UNITS * 3,
};

struct icu {
    struct icu_functions call;
    void *breaker;
    uint16_t piece[PIECE_UNITS], composed[COMPOSED_UNITS], lowered[LOWERED_UNITS];
    uint16_t word[WORD_UNITS];
    uint8_t bytes[WORD_UNITS * 3];
};

enum icu_result { ICU_DONE, ICU_FAILED, ICU_NO_MEMORY };

/* NULL without memory. */
struct icu *icu_new(const struct icu_functions *functions);
void icu_free(struct icu *icu);

/* Adds the words of a piece of at most PIECE_LIMIT code points, `times` each, and to *invalid
 * the bytes that were no UTF-8, as often. */
enum icu_result icu_count(struct icu *icu, const uint8_t *piece, size_t length, uint64_t times,
                          struct table *words, uint64_t *invalid);

/* Where to cut a window of at most PIECE_LIMIT code points: *cut is how many of them are before the
 * last boundary that has no more than `most` before it; 0 if there is none but the start. */
enum icu_result icu_cut(struct icu *icu, const uint8_t *window, size_t length, size_t most,
                        size_t *cut);

#endif
