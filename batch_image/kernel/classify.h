/* ASCII classes of many bytes at once, as bit masks. */
#ifndef WORDFREQ_CLASSIFY_H
#define WORDFREQ_CLASSIFY_H

#include <stddef.h>
#include <stdint.h>

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

/* Writes the lower case of 64 * count bytes to `lower`, and their masks. */
typedef void classifier(const uint8_t *text, size_t count, uint8_t *lower, struct masks *masks);

/* The fastest classifier of this machine, or the one that runs on every machine. */
classifier *best_classifier(void);
classifier *portable_classifier(void);

#endif
