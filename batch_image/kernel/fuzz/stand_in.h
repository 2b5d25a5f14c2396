/* A stand-in for ICU: segments of three code points, text doubled instead of lowered. */
#ifndef WORDFREQ_STAND_IN_H
#define WORDFREQ_STAND_IN_H

#include "scan/icu.h"
#include "fuzz.h"

struct stand_in {
    const uint16_t *text;
    int32_t length, at;
};

static void *stand_in_open(int type, const char *locale, const uint16_t *text, int32_t length,
                           int *status)
{
    struct stand_in *const breaker = malloc(sizeof *breaker);
    CHECK(type == 1 && !*locale && *status <= 0);
    if (!breaker) {
        *status = 7; /* U_MEMORY_ALLOCATION_ERROR */
        return NULL;
    }
    *breaker = (struct stand_in){text, length, 0};
    return breaker;
}

static void stand_in_text(void *breaker, const uint16_t *text, int32_t length, int *status)
{
    CHECK(*status <= 0);
    *(struct stand_in *)breaker = (struct stand_in){text, length, 0};
}

static int32_t stand_in_next(void *breaker)
{
    struct stand_in *const self = breaker;
    if (self->at >= self->length)
        return -1;
    for (int i = 0; i < 3 && self->at < self->length; i++) {
        const bool pair = (self->text[self->at] & 0xFC00) == 0xD800;
        CHECK(!pair || (self->at + 1 < self->length &&
                        (self->text[self->at + 1] & 0xFC00) == 0xDC00));
        self->at += pair ? 2 : 1;
    }
    return self->at;
}

static int32_t copy(uint16_t *to, int32_t room, const uint16_t *text, int32_t length, int times)
{
    CHECK(length >= 0 && length * times <= room);
    for (int i = 0; i < times; i++)
        memcpy(to + i * length, text, (size_t)length * sizeof *text);
    return length * times;
}

static int32_t stand_in_lower(uint16_t *to, int32_t room, const uint16_t *text, int32_t length,
                              const char *locale, int *status)
{
    CHECK(!*locale && *status <= 0);
    return copy(to, room, text, length, 2);
}

static int32_t stand_in_normalize(const void *form, const uint16_t *text, int32_t length,
                                  uint16_t *to, int32_t room, int *status)
{
    CHECK(form && *status <= 0);
    return copy(to, room, text, length, 1);
}

static const struct icu_functions STAND_IN = {
    stand_in_open, free, stand_in_text, stand_in_next, stand_in_lower, stand_in_normalize, "NFC",
};

#endif
