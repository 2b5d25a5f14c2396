#include "machine.h"

#include <string.h>

#include "bits.h"

#if defined(__x86_64__) && defined(__GNUC__)
#define HAVE_X86 1
#include <immintrin.h>
#endif

/* ---- everywhere ---- */

enum { LETTER = 1, DIGIT = 2, JOINER = 4, MID_BOTH = 8, MID_LETTER = 16, MID_NUMBER = 32, BLANK = 64, HIGH = 128 };

static uint8_t class_of(uint8_t byte)
{
    const uint8_t lower = byte | 0x20;
    if (lower >= 'a' && lower <= 'z' && byte < 0x80)
        return LETTER;
    if (byte >= '0' && byte <= '9')
        return DIGIT;
    if (byte >= 0x80)
        return HIGH;
    switch (byte) {
    case '_':
        return JOINER;
    case '.':
    case '\'':
        return MID_BOTH;
    case ':':
        return MID_LETTER;
    case ',':
    case ';':
        return MID_NUMBER;
    case ' ':
    case '\t':
    case '\n':
    case '\v':
    case '\f':
    case '\r':
        return BLANK;
    default:
        return 0;
    }
}

/* The lowest bits of 8 bytes, the first byte's lowest. */
static uint64_t gather(uint64_t bytes)
{
    return ((bytes & 0x0101010101010101u) * 0x0102040810204080u) >> 56;
}

static void classify_portably(const uint8_t *text, size_t count, uint8_t *lower,
                              struct masks *masks)
{
    uint8_t classes[256];
    for (unsigned byte = 0; byte < 256; byte++)
        classes[byte] = class_of((uint8_t)byte);
    memset(masks, 0, count * sizeof *masks);
    for (size_t block = 0; block < count; block++, masks++) {
        for (unsigned shift = 0; shift < 64; shift += 8, text += 8, lower += 8) {
            uint64_t found = 0;
            for (unsigned i = 0; i < 8; i++) {
                const uint64_t kind = classes[text[i]];
                lower[i] = (uint8_t)(text[i] | (kind & LETTER) << 5);
                found |= kind << (8 * i);
            }
            masks->letters |= gather(found) << shift;
            masks->digits |= gather(found >> 1) << shift;
            masks->joiners |= gather(found >> 2) << shift;
            masks->mid_both |= gather(found >> 3) << shift;
            masks->mid_letter |= gather(found >> 4) << shift;
            masks->mid_number |= gather(found >> 5) << shift;
            masks->blanks |= gather(found >> 6) << shift;
            masks->high |= gather(found >> 7) << shift;
        }
    }
}

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

static size_t list_runs_portably(const uint64_t *bits, size_t first, size_t last, uint16_t *edges)
{
    return list_runs(bits, first, last, edges);
}

static size_t take_keys_portably(const uint8_t *text, const uint16_t *edges, size_t words,
                                 struct waiting *waiting, uint16_t *long_words)
{
    return take_keys(text, edges, words, waiting, long_words);
}

static const struct machine PORTABLE = {
    "portable", classify_portably, list_runs_portably, take_keys_portably,
};

#ifdef HAVE_X86

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

/* For each byte the numbers of its bits, as bytes, the first the lowest. */
static uint64_t bit_numbers[256];

static void fill_bit_numbers(void)
{
    for (unsigned byte = 0; byte < 256; byte++) {
        unsigned shift = 0;
        for (unsigned bit = 0; bit < 8; bit++) {
            if (byte >> bit & 1) {
                bit_numbers[byte] |= (uint64_t)bit << shift;
                shift += 8;
            }
        }
    }
}

AVX2 static size_t list_runs_avx2(const uint64_t *bits, size_t first, size_t last, uint16_t *edges)
{
    const uint64_t ones = 0x0101010101010101;
    uint64_t before = 0;
    size_t count = 0;
    for (size_t i = first; i <= last; i++) {
        const uint64_t changes = bits[i] ^ (bits[i] << 1 | before);
        uint16_t *const next = edges + count;
        /* How many bits there are in the bytes up to each. */
        uint64_t sums = changes - (changes >> 1 & 0x55 * ones);
        sums = (sums & 0x33 * ones) + (sums >> 2 & 0x33 * ones);
        sums = ((sums + (sums >> 4)) & 0x0F * ones) * ones;
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

static const struct machine WITH_AVX2 = {"avx2", classify_avx2, list_runs_avx2, take_keys_avx2};

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

static const struct machine WITH_AVX512 = {
    "avx512", classify_avx512, list_runs_avx512, take_keys_avx512,
};

const struct machine *const *machines(void)
{
    static const struct machine *const all[] = {&WITH_AVX512, &WITH_AVX2, &PORTABLE, NULL};
    const bool has_avx2 = __builtin_cpu_supports("avx2") && __builtin_cpu_supports("bmi") &&
                          __builtin_cpu_supports("bmi2") && __builtin_cpu_supports("popcnt");
    if (!bit_numbers[255]) /* first when the module is made, by one thread */
        fill_bit_numbers();
    if (has_avx2 && __builtin_cpu_supports("avx512bw") && __builtin_cpu_supports("avx512vl") &&
        __builtin_cpu_supports("avx512vbmi2"))
        return all;
    return has_avx2 ? all + 1 : all + 2;
}

#else

const struct machine *const *machines(void)
{
    static const struct machine *const all[] = {&PORTABLE, NULL};
    return all;
}

#endif
