/* From marks of words to their keys, for each machine to be compiled in its own way. */
#ifndef WORDFREQ_KEYS_H
#define WORDFREQ_KEYS_H

#include "base/bits.h"
#include "machine/machine.h"

/* Eight at a time, as a branch that isn't foreseen costs more than idle steps. */
INLINE size_t list_runs(const uint64_t *bits, size_t first, size_t last, uint16_t *edges)
{
    uint64_t before = 0;
    size_t count = 0;
    for (size_t i = first; i <= last; i++) {
        uint64_t changes = bits[i] ^ (bits[i] << 1 | before);
        uint16_t *next = edges + count;
        before = bits[i] >> 63;
        count += count_bits(changes);
        while (changes) {
            for (unsigned j = 0; j < 8; j++) {
                next[j] = (uint16_t)(i * 64 + (changes ? lowest_bit(changes) : 0));
                changes &= changes - 1;
            }
            next += 8;
        }
    }
    if (before)
        edges[count++] = (uint16_t)((last + 1) * 64);
    return count / 2;
}

/* Loads words of 17 to 32 bytes; notes those that are longer. */
INLINE size_t take_large(const uint8_t *text, const uint16_t *edges, const uint16_t *words,
                         size_t count, struct waiting *waiting, uint16_t *long_words)
{
    size_t long_count = 0;
    for (size_t i = 0; i < count; i++) {
        const uint8_t *const word = text + edges[2 * words[i]];
        const size_t length = (size_t)(edges[2 * words[i] + 1] - edges[2 * words[i]]);
        if (length > KEY_BYTES) {
            long_words[long_count++] = words[i];
            continue;
        }
        large_key(waiting->keys32 + 4 * waiting->count[2]++, word, length);
    }
    return long_count;
}

/* Without branches for all that is frequent: each word is written where the next of its kind goes,
 * and stays if it is one. */
INLINE size_t take_keys(const uint8_t *text, const uint16_t *edges, size_t words,
                        struct waiting *waiting, uint16_t *long_words)
{
    uint16_t others[BLOCK_WORDS16 + 1], large[BLOCK_WORDS32 + 1];
    uint64_t *key8 = waiting->keys8 + waiting->count[0];
    uint64_t *key16 = waiting->keys16 + 2 * waiting->count[1];
    size_t other_count = 0, large_count = 0;
    for (size_t i = 0; i < words; i++) {
        const size_t start = edges[2 * i], length = (size_t)(edges[2 * i + 1] - start);
        const size_t unused = (64 - 8 * length) & 63; /* bits; without meaning above 8 bytes */
        *key8 = load64(text + start) & (~(uint64_t)0 >> unused);
        others[other_count] = (uint16_t)i;
        key8 += length <= 8;
        other_count += length > 8;
    }
    for (size_t i = 0; i < other_count; i++) {
        const size_t start = edges[2 * others[i]];
        const size_t length = (size_t)(edges[2 * others[i] + 1] - start);
        const size_t unused = (128 - 8 * length) & 63; /* the same above 16 bytes */
        key16[0] = load64(text + start);
        key16[1] = load64(text + start + 8) & (~(uint64_t)0 >> unused);
        large[large_count] = others[i];
        key16 += 2 * (length <= 16);
        large_count += length > 16;
    }
    waiting->count[0] = (size_t)(key8 - waiting->keys8);
    waiting->count[1] = (size_t)(key16 - waiting->keys16) / 2;
    return take_large(text, edges, large, large_count, waiting, long_words);
}

#endif
