/* The machine of 64-bit ARM, all of which have NEON: see machine.h. */
#include "machine/keys.h"

#ifdef MACHINES_ARM

#include <arm_neon.h>

static inline uint8x16_t equals(uint8x16_t bytes, char byte)
{
    return vceqq_u8(bytes, vdupq_n_u8((uint8_t)byte));
}

/* first <= byte <= first + more */
static inline uint8x16_t is_among(uint8x16_t bytes, char first, char more)
{
    return vcleq_u8(vsubq_u8(bytes, vdupq_n_u8((uint8_t)first)), vdupq_n_u8((uint8_t)more));
}

static inline uint8x16_t either(uint8x16_t bytes, char one, char other)
{
    return vorrq_u8(equals(bytes, one), equals(bytes, other));
}

static inline uint8x16_t is_blank(uint8x16_t bytes)
{
    return vorrq_u8(equals(bytes, ' '), is_among(bytes, '\t', '\r' - '\t'));
}

/* 64 bytes. */
struct bytes {
    uint8x16_t a, b, c, d;
};

/* A mask of bytes that are 0 or 0xFF: one bit of each, then neighbours are added three times. */
static inline uint64_t mask_of(struct bytes found)
{
    const uint8x16_t bits = vreinterpretq_u8_u64(vdupq_n_u64(0x8040201008040201u));
    const uint8x16_t low = vpaddq_u8(vandq_u8(found.a, bits), vandq_u8(found.b, bits));
    const uint8x16_t high = vpaddq_u8(vandq_u8(found.c, bits), vandq_u8(found.d, bits));
    const uint8x16_t both = vpaddq_u8(low, high);
    return vgetq_lane_u64(vreinterpretq_u64_u8(vpaddq_u8(both, both)), 0);
}

#define EACH(function, of, ...)                                                                   \
    ((struct bytes){function((of).a, __VA_ARGS__), function((of).b, __VA_ARGS__),                 \
                    function((of).c, __VA_ARGS__), function((of).d, __VA_ARGS__)})

static inline uint8x16_t in_lower_case(uint8x16_t bytes, uint8x16_t letters)
{
    return vorrq_u8(bytes, vandq_u8(letters, vdupq_n_u8(0x20)));
}

static void classify_neon(const uint8_t *text, size_t count, uint8_t *lower, struct masks *masks)
{
    const uint8x16_t small = vdupq_n_u8(0x20);
    for (size_t block = 0; block < count; block++, masks++, text += 64, lower += 64) {
        const struct bytes bytes = {vld1q_u8(text), vld1q_u8(text + 16), vld1q_u8(text + 32),
                                    vld1q_u8(text + 48)};
        const struct bytes lowered = EACH(vorrq_u8, bytes, small);
        const struct bytes letters = EACH(is_among, lowered, 'a', 25);
        const struct bytes blanks = {is_blank(bytes.a), is_blank(bytes.b), is_blank(bytes.c),
                                     is_blank(bytes.d)};
        vst1q_u8(lower, in_lower_case(bytes.a, letters.a));
        vst1q_u8(lower + 16, in_lower_case(bytes.b, letters.b));
        vst1q_u8(lower + 32, in_lower_case(bytes.c, letters.c));
        vst1q_u8(lower + 48, in_lower_case(bytes.d, letters.d));
        *masks = (struct masks){
            .letters = mask_of(letters),
            .digits = mask_of(EACH(is_among, bytes, '0', 9)),
            .joiners = mask_of(EACH(equals, bytes, '_')),
            .mid_both = mask_of(EACH(either, bytes, '.', '\'')),
            .mid_letter = mask_of(EACH(equals, bytes, ':')),
            .mid_number = mask_of(EACH(either, bytes, ',', ';')),
            .blanks = mask_of(blanks),
            .high = mask_of(EACH(vcgeq_u8, bytes, vdupq_n_u8(0x80))),
        };
    }
}

static size_t list_runs_neon(const uint64_t *bits, size_t first, size_t last, uint16_t *edges)
{
    uint64_t before = 0;
    size_t count = 0;
    for (size_t i = first; i <= last; i++) {
        const uint64_t changes = bits[i] ^ (bits[i] << 1 | before);
        const uint64_t sums = bytewise_sums(changes);
        uint16_t *const next = edges + count;
        for (unsigned byte = 0; byte < 8; byte++) {
            const size_t at = byte ? sums >> (8 * byte - 8) & 255 : 0;
            const uint8x8_t numbers = vcreate_u8(bit_numbers[changes >> (8 * byte) & 255]);
            const uint16x8_t base = vdupq_n_u16((uint16_t)(i * 64 + 8 * byte));
            vst1q_u16(next + at, vaddw_u8(base, numbers));
        }
        before = bits[i] >> 63;
        count += sums >> 56;
    }
    if (before)
        edges[count++] = (uint16_t)((last + 1) * 64);
    return count / 2;
}

static size_t take_keys_neon(const uint8_t *text, const uint16_t *edges, size_t words,
                             struct waiting *waiting, uint16_t *long_words)
{
    return take_keys(text, edges, words, waiting, long_words);
}

const struct machine MACHINE_NEON = {"neon", classify_neon, list_runs_neon, take_keys_neon};

#endif
