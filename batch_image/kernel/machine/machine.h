/* What is done differently on different processors: from bytes to the keys of ASCII words. */
#ifndef WORDFREQ_MACHINE_H
#define WORDFREQ_MACHINE_H

#include <stddef.h>
#include <stdint.h>

#include "tables/keyed.h"

/* Bytes taken at a time. */
#define BLOCK_BYTES 8192
#define BLOCK_MASKS (BLOCK_BYTES / 64)
/* Bytes and numbers that are read or written behind the end of what is there. */
#define BLOCK_SLACK 64
/* Words of one character, separators of one. */
#define BLOCK_WORDS (BLOCK_BYTES / 2 + 1)

/* Bit i of each mask stands for byte i of 64. Word_Break names in brackets. */
struct masks {
    uint64_t letters;    /* [ALetter] */
    uint64_t digits;     /* [Numeric] */
    uint64_t joiners;    /* _ [ExtendNumLet] */
    uint64_t mid_both;   /* . ' [MidNumLet, Single_Quote] */
    uint64_t mid_letter; /* : [MidLetter] */
    uint64_t mid_number; /* , ; [MidNum] */
    uint64_t blanks;     /* where bytes.split() splits */
    uint64_t high;       /* not ASCII */
};

/* Keys on their way to a table: of each kind as many as a block can hold. */
enum {
    BLOCK_WORDS16 = BLOCK_BYTES / 10 + 1,
    BLOCK_WORDS32 = BLOCK_BYTES / 18 + 1,
};
struct waiting {
    size_t count[KINDS];
    uint64_t keys8[BLOCK_WORDS + BLOCK_SLACK];
    uint64_t keys16[(BLOCK_WORDS16 + BLOCK_SLACK) * 2];
    uint64_t keys32[(BLOCK_WORDS32 + BLOCK_SLACK) * 4];
};

struct machine {
    const char *name;

    /* Writes the lower case of 64 * count bytes to `lower`, and their masks. */
    void (*classify)(const uint8_t *text, size_t count, uint8_t *lower, struct masks *masks);

    /* Lists where runs of bits start and end in [first, last], which is not more than a block: start,
     * end, start, ... Returns how many runs there are. */
    size_t (*list_runs)(const uint64_t *bits, size_t first, size_t last, uint16_t *edges);

    /* Makes keys of the words between such edges, behind those that wait; there is room for them.
     * Returns how many words are too long to be keys, and their numbers in `long_words`. */
    size_t (*take_keys)(const uint8_t *text, const uint16_t *edges, size_t words,
                        struct waiting *waiting, uint16_t *long_words);
};

extern const struct machine MACHINE_PORTABLE;
#if defined(__x86_64__) && defined(__GNUC__)
#define MACHINES_X86 1
extern const struct machine MACHINE_AVX2, MACHINE_AVX512;
#elif defined(__aarch64__) && defined(__GNUC__) && __BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__
#define MACHINES_ARM 1
extern const struct machine MACHINE_NEON;
#endif

/* For each byte the numbers of its bits, as bytes, the first the lowest; for those machines. */
extern uint64_t bit_numbers[256];

/* The machines that this one can be, the best first; the last runs everywhere. NULL ends them. */
const struct machine *const *machines(void);

#endif
