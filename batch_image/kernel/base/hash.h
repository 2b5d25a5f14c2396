/* Hashes that nobody can foresee who doesn't know the key. */
#ifndef WORDFREQ_HASH_H
#define WORDFREQ_HASH_H

#include <stdint.h>

/* Multiplies and folds the 128 bits; without the keys nobody can choose words that collide. */
static inline uint64_t fold_multiply(uint64_t a, uint64_t b)
{
#ifdef __SIZEOF_INT128__
    __extension__ typedef unsigned __int128 wide;
    const wide product = (wide)a * b;
    return (uint64_t)product ^ (uint64_t)(product >> 64);
#else
    const uint64_t al = (uint32_t)a, ah = a >> 32, bl = (uint32_t)b, bh = b >> 32;
    const uint64_t ll = al * bl, lh = al * bh, hl = ah * bl, hh = ah * bh;
    const uint64_t middle = (ll >> 32) + (uint32_t)lh + (uint32_t)hl;
    const uint64_t low = middle << 32 | (uint32_t)ll;
    return low ^ (hh + (lh >> 32) + (hl >> 32) + (middle >> 32));
#endif
}

#endif
