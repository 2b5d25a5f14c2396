#include "classify.h"

#include <string.h>

#if defined(__x86_64__) && defined(__GNUC__)
#define HAVE_AVX2 1
#include <immintrin.h>
#endif

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

#ifdef HAVE_AVX2

#define AVX2 __attribute__((target("avx2")))

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

AVX2 static inline uint64_t bits(__m256i bytes)
{
    return (uint32_t)_mm256_movemask_epi8(bytes);
}

AVX2 static void classify_avx2(const uint8_t *text, size_t count, uint8_t *lower,
                               struct masks *masks)
{
    const __m256i small = _mm256_set1_epi8(0x20);
    memset(masks, 0, count * sizeof *masks);
    for (size_t block = 0; block < count; block++, masks++) {
        for (unsigned shift = 0; shift < 64; shift += 32, text += 32, lower += 32) {
            const __m256i bytes = _mm256_loadu_si256((const __m256i *)text);
            const __m256i letters = between(_mm256_or_si256(bytes, small), 'a', 'z');
            const __m256i lowered = _mm256_or_si256(bytes, _mm256_and_si256(letters, small));
            _mm256_storeu_si256((__m256i *)lower, lowered);
            masks->letters |= bits(letters) << shift;
            masks->digits |= bits(between(bytes, '0', '9')) << shift;
            masks->joiners |= bits(equals(bytes, '_')) << shift;
            masks->mid_both |=
                bits(_mm256_or_si256(equals(bytes, '.'), equals(bytes, '\''))) << shift;
            masks->mid_letter |= bits(equals(bytes, ':')) << shift;
            masks->mid_number |=
                bits(_mm256_or_si256(equals(bytes, ','), equals(bytes, ';'))) << shift;
            masks->blanks |=
                bits(_mm256_or_si256(equals(bytes, ' '), between(bytes, '\t', '\r'))) << shift;
            masks->high |= bits(bytes) << shift;
        }
    }
}

classifier *best_classifier(void)
{
    return __builtin_cpu_supports("avx2") ? classify_avx2 : classify_portably;
}

#else

classifier *best_classifier(void)
{
    return classify_portably;
}

#endif

classifier *portable_classifier(void)
{
    return classify_portably;
}
