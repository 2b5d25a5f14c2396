/* Machines of x86-64: see machine.h. */
#include "machine/keys.h"

#ifdef MACHINES_X86

#include <immintrin.h>

/* ---- AVX2 and BMI: Intel from 2013 on, AMD from 2015 on ---- */

#define AVX2 __attribute__((target("avx2,bmi,bmi2,popcnt")))

AVX2 static inline __m256i equals(__m256i bytes, char byte)
{
    return _mm256_cmpeq_epi8(bytes, _mm256_set1_epi8(byte));
}

/* first <= byte <= last, both ASCII; the comparison is signed, so bytes from 0x80 on are below. */
AVX2 static inline __m256i between(__m256i bytes, char first, char last)
{
    const __m256i above = _mm256_cmpgt_epi8(bytes, _mm256_set1_epi8((char)(first - 1)));
    return _mm256_andnot_si256(_mm256_cmpgt_epi8(bytes, _mm256_set1_epi8(last)), above);
}

/* A mask of 64 bytes, of which two vectors have the highest bits. */
AVX2 static inline uint64_t mask_of(__m256i low, __m256i high)
{
    return (uint32_t)_mm256_movemask_epi8(low) |
           (uint64_t)(uint32_t)_mm256_movemask_epi8(high) << 32;
}

AVX2 static inline __m256i either(__m256i bytes, char one, char other)
{
    return _mm256_or_si256(equals(bytes, one), equals(bytes, other));
}

AVX2 static inline __m256i is_blank(__m256i bytes)
{
    return _mm256_or_si256(equals(bytes, ' '), between(bytes, '\t', '\r'));
}

AVX2 static void classify_avx2(const uint8_t *text, size_t count, uint8_t *lower,
                               struct masks *masks)
{
    const __m256i small = _mm256_set1_epi8(0x20);
    for (size_t block = 0; block < count; block++, masks++, text += 64, lower += 64) {
        const __m256i a = _mm256_loadu_si256((const __m256i *)text);
        const __m256i b = _mm256_loadu_si256((const __m256i *)(text + 32));
        const __m256i a_letters = between(_mm256_or_si256(a, small), 'a', 'z');
        const __m256i b_letters = between(_mm256_or_si256(b, small), 'a', 'z');
        _mm256_storeu_si256((__m256i *)lower,
                            _mm256_or_si256(a, _mm256_and_si256(a_letters, small)));
        _mm256_storeu_si256((__m256i *)(lower + 32),
                            _mm256_or_si256(b, _mm256_and_si256(b_letters, small)));
        *masks = (struct masks){
            .letters = mask_of(a_letters, b_letters),
            .digits = mask_of(between(a, '0', '9'), between(b, '0', '9')),
            .joiners = mask_of(equals(a, '_'), equals(b, '_')),
            .mid_both = mask_of(either(a, '.', '\''), either(b, '.', '\'')),
            .mid_letter = mask_of(equals(a, ':'), equals(b, ':')),
            .mid_number = mask_of(either(a, ',', ';'), either(b, ',', ';')),
            .blanks = mask_of(is_blank(a), is_blank(b)),
            .high = mask_of(a, b),
        };
    }
}

AVX2 static size_t list_runs_avx2(const uint64_t *bits, size_t first, size_t last, uint16_t *edges)
{
    uint64_t before = 0;
    size_t count = 0;
    for (size_t i = first; i <= last; i++) {
        const uint64_t changes = bits[i] ^ (bits[i] << 1 | before);
        uint16_t *const next = edges + count;
        const uint64_t sums = bytewise_sums(changes);
        for (unsigned byte = 0; byte < 8; byte++) {
            const size_t at = byte ? sums >> (8 * byte - 8) & 255 : 0;
            const __m128i numbers =
                _mm_loadl_epi64((const __m128i *)&bit_numbers[changes >> (8 * byte) & 255]);
            const __m128i base = _mm_set1_epi16((short)(i * 64 + 8 * byte));
            _mm_storeu_si128((__m128i *)(next + at),
                             _mm_add_epi16(_mm_cvtepu8_epi16(numbers), base));
        }
        before = bits[i] >> 63;
        count += sums >> 56;
    }
    if (before)
        edges[count++] = (uint16_t)((last + 1) * 64);
    return count / 2;
}

AVX2 static size_t take_keys_avx2(const uint8_t *text, const uint16_t *edges, size_t words,
                                  struct waiting *waiting, uint16_t *long_words)
{
    return take_keys(text, edges, words, waiting, long_words);
}

const struct machine MACHINE_AVX2 = {"avx2", classify_avx2, list_runs_avx2, take_keys_avx2};

/* ---- AVX-512 with VBMI2: Intel from 2019 on, AMD from 2022 on ---- */

#define AVX512                                                                                    \
    __attribute__((target("avx512f,avx512bw,avx512vl,avx512vbmi2,avx2,bmi,bmi2,popcnt")))

AVX512 static inline uint64_t is(__m512i bytes, char byte)
{
    return _mm512_cmpeq_epi8_mask(bytes, _mm512_set1_epi8(byte));
}

/* first <= byte <= first + more */
AVX512 static inline uint64_t is_among(__m512i bytes, char first, char more)
{
    return _mm512_cmple_epu8_mask(_mm512_sub_epi8(bytes, _mm512_set1_epi8(first)),
                                  _mm512_set1_epi8(more));
}

AVX512 static void classify_avx512(const uint8_t *text, size_t count, uint8_t *lower,
                                   struct masks *masks)
{
    const __m512i small = _mm512_set1_epi8(0x20);
    for (size_t block = 0; block < count; block++, masks++, text += 64, lower += 64) {
        const __m512i bytes = _mm512_loadu_si512(text);
        const uint64_t letters = is_among(_mm512_or_si512(bytes, small), 'a', 25);
        _mm512_storeu_si512(lower, _mm512_mask_or_epi64(bytes, 0xFF, bytes,
                                                        _mm512_maskz_mov_epi8(letters, small)));
        *masks = (struct masks){
            .letters = letters,
            .digits = is_among(bytes, '0', 9),
            .joiners = is(bytes, '_'),
            .mid_both = is(bytes, '.') | is(bytes, '\''),
            .mid_letter = is(bytes, ':'),
            .mid_number = is(bytes, ',') | is(bytes, ';'),
            .blanks = is(bytes, ' ') | is_among(bytes, '\t', '\r' - '\t'),
            .high = (uint64_t)_mm512_movepi8_mask(bytes),
        };
    }
}

AVX512 static size_t list_runs_avx512(const uint64_t *bits, size_t first, size_t last,
                                      uint16_t *edges)
{
    uint8_t numbers[64];
    for (unsigned i = 0; i < 64; i++)
        numbers[i] = (uint8_t)i;
    const __m512i positions = _mm512_loadu_si512(numbers);
    uint64_t before = 0;
    size_t count = 0;
    for (size_t i = first; i <= last; i++) {
        const uint64_t changes = bits[i] ^ (bits[i] << 1 | before);
        const size_t found = (size_t)__builtin_popcountll(changes);
        const __m512i base = _mm512_set1_epi16((short)(i * 64));
        const __m512i packed = _mm512_maskz_compress_epi8(changes, positions);
        const __m512i low = _mm512_cvtepu8_epi16(_mm512_castsi512_si256(packed));
        _mm512_storeu_si512(edges + count, _mm512_add_epi16(low, base));
        if (found > 32) {
            const __m512i high = _mm512_cvtepu8_epi16(_mm512_extracti64x4_epi64(packed, 1));
            _mm512_storeu_si512(edges + count + 32, _mm512_add_epi16(high, base));
        }
        before = bits[i] >> 63;
        count += found;
    }
    if (before)
        edges[count++] = (uint16_t)((last + 1) * 64);
    return count / 2;
}

AVX512 static size_t take_keys_avx512(const uint8_t *text, const uint16_t *edges, size_t words,
                                      struct waiting *waiting, uint16_t *long_words)
{
    return take_keys(text, edges, words, waiting, long_words);
}

const struct machine MACHINE_AVX512 = {
    "avx512", classify_avx512, list_runs_avx512, take_keys_avx512,
};

#endif
