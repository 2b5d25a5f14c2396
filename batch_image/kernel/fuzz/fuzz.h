/* What the fuzz targets share: a check that abort()s, and numbers for their STANDALONE programs. */
#ifndef WORDFREQ_FUZZ_H
#define WORDFREQ_FUZZ_H

#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define CHECK(condition)                                                                          \
    do {                                                                                          \
        if (!(condition)) {                                                                       \
            fprintf(stderr, "%s:%d: %s\n", __FILE__, __LINE__, #condition);                       \
            abort();                                                                              \
        }                                                                                         \
    } while (0)

#ifdef STANDALONE
#include <time.h>

static uint64_t state = 88172645463325252u;

static uint64_t random_number(void)
{
    state ^= state << 13;
    state ^= state >> 7;
    state ^= state << 17;
    return state;
}
#endif

#endif
