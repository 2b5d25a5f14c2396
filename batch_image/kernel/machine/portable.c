/* The machine that runs everywhere: see machine.h. */
#include <string.h>

#include "machine/keys.h"

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

static size_t list_runs_portably(const uint64_t *bits, size_t first, size_t last, uint16_t *edges)
{
    return list_runs(bits, first, last, edges);
}

static size_t take_keys_portably(const uint8_t *text, const uint16_t *edges, size_t words,
                                 struct waiting *waiting, uint16_t *long_words)
{
    return take_keys(text, edges, words, waiting, long_words);
}

const struct machine MACHINE_PORTABLE = {
    "portable", classify_portably, list_runs_portably, take_keys_portably,
};
