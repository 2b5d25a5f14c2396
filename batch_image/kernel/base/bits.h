/* Bits of masks, bytes of numbers, and hints to the compiler and the processor. */
#ifndef WORDFREQ_BITS_H
#define WORDFREQ_BITS_H

#include <stddef.h>
#include <stdint.h>
#include <string.h>

/* For functions of which each caller needs one of its own: for constants, or for a processor. */
#ifdef __GNUC__
#define INLINE static inline __attribute__((always_inline))
#else
#define INLINE static inline
#endif

INLINE unsigned lowest_bit(uint64_t bits)
{
#ifdef __GNUC__
    return (unsigned)__builtin_ctzll(bits);
#else
    unsigned index = 0;
    for (; !(bits & 1); bits >>= 1)
        index++;
    return index;
#endif
}

INLINE unsigned highest_bit(uint64_t bits)
{
#ifdef __GNUC__
    return 63 - (unsigned)__builtin_clzll(bits);
#else
    unsigned index = 0;
    for (; bits >>= 1;)
        index++;
    return index;
#endif
}

/* How many bits there are in the bytes up to each, as bytes. */
INLINE uint64_t bytewise_sums(uint64_t bits)
{
    const uint64_t pairs = bits - (bits >> 1 & 0x5555555555555555u);
    const uint64_t fours = (pairs & 0x3333333333333333u) + (pairs >> 2 & 0x3333333333333333u);
    return ((fours + (fours >> 4)) & 0x0F0F0F0F0F0F0F0Fu) * 0x0101010101010101u;
}

INLINE unsigned count_bits(uint64_t bits)
{
    return (unsigned)(bytewise_sums(bits) >> 56);
}

INLINE void prefetch(const void *address)
{
#ifdef __GNUC__
    __builtin_prefetch(address, 1);
#else
    (void)address;
#endif
}

/* Bits 0 to count - 1; count <= 64. */
INLINE uint64_t low_bits(size_t count)
{
    return count < 64 ? ((uint64_t)1 << count) - 1 : ~(uint64_t)0;
}

/* 8 bytes, the first the lowest. (GCC 12 makes 8 loads of the portable form.) */
static inline uint64_t load64(const uint8_t *bytes)
{
    uint64_t value = 0;
#if defined(__BYTE_ORDER__) && __BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__
    memcpy(&value, bytes, sizeof value);
#else
    for (unsigned i = 0; i < 8; i++)
        value |= (uint64_t)bytes[i] << (8 * i);
#endif
    return value;
}

/* The same bytes, the first the highest. */
static inline uint64_t swap_bytes(uint64_t value)
{
#ifdef __GNUC__
    return __builtin_bswap64(value);
#else
    uint64_t swapped = 0;
    for (unsigned i = 0; i < 64; i += 8)
        swapped |= (value >> i & 0xFF) << (56 - i);
    return swapped;
#endif
}

/* The first `length` bytes, 1 to 8, of 8 that are loaded. */
static inline uint64_t first_bytes(uint64_t loaded, size_t length)
{
    return loaded & (~(uint64_t)0 >> (64 - 8 * length));
}

#endif
