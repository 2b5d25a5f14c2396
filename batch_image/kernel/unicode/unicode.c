#include "unicode/unicode.h"

#include <string.h>

#include "unicode/unicode_tables.h"

const char *const UNICODE_VERSION = UNICODE_TABLES;

enum { SIGMA = 0x3A3, FINAL_SIGMA = 0x3C2, REPLACEMENT = 0xFFFD };

/* What may come next after a character that joins two words only if both are there (WB6, WB7,
 * WB7b, WB7c, WB11, WB12). */
enum expectation { NOTHING, A_LETTER, A_NUMBER, A_HEBREW_LETTER };

/* One segment while it grows. Offsets are into piece_words.text. */
struct segment {
    uint32_t start, end;  /* without the characters to trim; empty: start == end */
    uint32_t end_before;  /* `end` without the character that waits for its right neighbour */
    uint32_t sigma;       /* 1 + offset of a sigma that is final if no cased letter follows */
    uint8_t previous;     /* class of the last character that isn't EXTEND or ZWJ */
    uint8_t expected;     /* enum expectation */
    bool keeps_quote;     /* WB7a: the waiting quote belongs to the segment in any case */
    bool is_word;
    bool after_cased;     /* a cased letter, then only case-ignorable characters */
};

size_t decode_code_point(const uint8_t *text, const uint8_t *end, uint32_t *code_point, bool *valid)
{
    const uint8_t lead = text[0];
    uint32_t value;
    size_t length;
    uint8_t lowest = 0x80, highest = 0xBF; /* of the second byte: The Unicode Standard, table 3-7 */

    *valid = true;
    if (lead < 0x80) {
        *code_point = lead;
        return 1;
    }
    if (lead >= 0xC2 && lead <= 0xDF) {
        length = 2;
        value = lead & 0x1F;
    } else if (lead >= 0xE0 && lead <= 0xEF) {
        length = 3;
        value = lead & 0x0F;
        if (lead == 0xE0)
            lowest = 0xA0;
        else if (lead == 0xED)
            highest = 0x9F;
    } else if (lead >= 0xF0 && lead <= 0xF4) {
        length = 4;
        value = lead & 0x07;
        if (lead == 0xF0)
            lowest = 0x90;
        else if (lead == 0xF4)
            highest = 0x8F;
    } else {
        *code_point = REPLACEMENT;
        *valid = false;
        return 1;
    }
    const size_t available = (size_t)(end - text);
    for (size_t i = 1; i < length; i++) {
        if (i == available || text[i] < lowest || text[i] > highest) {
            *code_point = REPLACEMENT;
            *valid = false;
            return i;
        }
        value = value << 6 | (text[i] & 0x3F);
        lowest = 0x80;
        highest = 0xBF;
    }
    *code_point = value;
    return length;
}

static inline const struct character *character(uint32_t code_point)
{
    const uint32_t low = code_point & ((1u << CHARACTER_SHIFT) - 1);
    const uint32_t block = CHARACTER_BLOCK[code_point >> CHARACTER_SHIFT];
    return &CHARACTERS[CHARACTER_INDEX[block << CHARACTER_SHIFT | low]];
}

/* decode_code_point, the most frequent cases first. */
static inline size_t decode(const uint8_t *text, const uint8_t *end, uint32_t *code_point,
                            bool *valid)
{
    const uint8_t lead = text[0];
    *valid = true;
    if (lead < 0x80) {
        *code_point = lead;
        return 1;
    }
    if (lead >= 0xC2 && lead <= 0xDF && end - text > 1 && (text[1] & 0xC0) == 0x80) {
        *code_point = (uint32_t)(lead & 0x1F) << 6 | (text[1] & 0x3F);
        return 2;
    }
    if (lead > 0xE0 && lead < 0xED && end - text > 2 && (text[1] & 0xC0) == 0x80 &&
        (text[2] & 0xC0) == 0x80) {
        *code_point = (uint32_t)(lead & 0x0F) << 12 | (uint32_t)(text[1] & 0x3F) << 6 |
                      (text[2] & 0x3F);
        return 3;
    }
    return decode_code_point(text, end, code_point, valid);
}

static inline uint8_t *encode(uint8_t *out, uint32_t code_point)
{
    if (code_point < 0x80) {
        *out++ = (uint8_t)code_point;
    } else if (code_point < 0x800) {
        *out++ = (uint8_t)(0xC0 | code_point >> 6);
        *out++ = (uint8_t)(0x80 | (code_point & 0x3F));
    } else if (code_point < 0x10000) {
        *out++ = (uint8_t)(0xE0 | code_point >> 12);
        *out++ = (uint8_t)(0x80 | (code_point >> 6 & 0x3F));
        *out++ = (uint8_t)(0x80 | (code_point & 0x3F));
    } else {
        *out++ = (uint8_t)(0xF0 | code_point >> 18);
        *out++ = (uint8_t)(0x80 | (code_point >> 12 & 0x3F));
        *out++ = (uint8_t)(0x80 | (code_point >> 6 & 0x3F));
        *out++ = (uint8_t)(0x80 | (code_point & 0x3F));
    }
    return out;
}

uint8_t *encode_code_point(uint8_t *out, uint32_t code_point)
{
    return encode(out, code_point);
}

bool is_word_character(uint32_t code_point)
{
    return (character(code_point)->flags & IS_WORD) != 0;
}

bool is_trimmed_character(uint32_t code_point)
{
    return (character(code_point)->flags & IS_TRIMMED) != 0;
}

/* LETTER, HEBREW, NUMBER and JOINER stick to each other in any order (WB5, WB8-WB10, WB13a/b). */
static bool sticks(uint8_t kind)
{
    return kind >= LETTER && kind <= JOINER;
}

static bool fulfils(uint8_t kind, uint8_t expected)
{
    switch (expected) {
    case A_LETTER:
        return kind == LETTER || kind == HEBREW;
    case A_NUMBER:
        return kind == NUMBER;
    case A_HEBREW_LETTER:
        return kind == HEBREW;
    default:
        return false;
    }
}

/* What a character of class `kind` needs behind it to join to the one before it. */
static uint8_t expectation(uint8_t previous, uint8_t kind)
{
    const bool both = kind == MID_BOTH || kind == SINGLE_QUOTE;
    if ((previous == LETTER || previous == HEBREW) && (both || kind == MID_LETTER))
        return A_LETTER;
    if (previous == NUMBER && (both || kind == MID_NUMBER))
        return A_NUMBER;
    if (previous == HEBREW && kind == DOUBLE_QUOTE)
        return A_HEBREW_LETTER;
    return NOTHING;
}

/* Ends the segment before its waiting character, or behind everything it has. */
static void close_segment(struct segment *segment, struct piece_words *found)
{
    const bool without = segment->expected != NOTHING && !segment->keeps_quote;
    const uint32_t end = without ? segment->end_before : segment->end;
    if (segment->is_word) {
        found->edges[2 * found->count] = (uint16_t)segment->start;
        found->edges[2 * found->count + 1] = (uint16_t)end;
        found->count++;
    }
}

static void open_segment(struct segment *segment, uint32_t at, uint8_t kind)
{
    *segment = (struct segment){.start = at, .end = at, .end_before = at, .previous = kind};
}

/* Adds a character, already written to [at, after) of the text, to the segment. */
static void extend_segment(struct segment *segment, const struct character *added, uint8_t *text,
                           uint32_t at, uint32_t after)
{
    if (!(added->flags & IS_TRIMMED)) {
        if (segment->start == segment->end)
            segment->start = at;
        segment->end = after;
    }
    segment->is_word |= (added->flags & IS_WORD) != 0;
    if (!(added->flags & IS_CASE_IGNORABLE)) {
        const bool cased = (added->flags & IS_CASED) != 0;
        if (segment->sigma) {
            if (cased)
                encode(text + segment->sigma - 1, FINAL_SIGMA + 1);
            segment->sigma = 0;
        }
        segment->after_cased = cased;
    }
}

/* Goes over plain letters from `next` on, writes them in lower case behind *out, and returns where
 * they end; *last is the last of them, and their number is added to *count. */
static const uint8_t *take_plain(const uint8_t *next, const uint8_t *end, uint8_t **out,
                                 const struct character **last, size_t *count)
{
    uint8_t *to = *out;
    uint32_t code_point = 0;
    const uint8_t *const start = next;
    for (; next < end; ++*count) {
        const uint8_t lead = next[0];
        if (lead < 0x80) {
            if (!PLAIN_LETTERS[lead])
                break;
            code_point = lead;
            *to++ = (uint8_t)PLAIN_LETTERS[lead];
            next++;
        } else if (lead < 0xE0) {
            if (lead < 0xC2 || end - next < 2 || (next[1] & 0xC0) != 0x80)
                break;
            const uint32_t found = (uint32_t)(lead & 0x1F) << 6 | (next[1] & 0x3F);
            const uint16_t lower = PLAIN_LETTERS[found];
            if (!lower)
                break;
            code_point = found;
            *to++ = (uint8_t)lower;
            *to++ = (uint8_t)(lower >> 8);
            next += 2;
        } else {
            uint32_t found;
            bool valid;
            const size_t length = decode(next, end, &found, &valid);
            const struct character *const this = character(found);
            if (!(this->flags & IS_PLAIN))
                break;
            code_point = found;
            to = encode(to, found + (uint32_t)this->lower);
            next += length;
        }
    }
    if (next > start)
        *last = character(code_point);
    *out = to;
    return next;
}

/* UAX #29 as ICU's root rules (word.txt) tailor it: Hangul syllables stick only to each other. */
bool find_words(const uint8_t *piece, size_t length, struct piece_words *found)
{
    const uint8_t *const end = piece + length;
    const size_t cut_limit = PIECE_LIMIT - PIECE_MARGIN, count = found->count;
    struct segment segment;
    size_t index = 0;     /* in code points */
    size_t wait_index = 0, wait_offset = 0; /* of the character that waits */
    uint8_t combining = 0; /* class of the character before */
    bool after_zwj = false, after_first = false, extended = false;
    uint8_t *out = found->text + found->used;

    found->invalid = found->cut = 0;
    found->paired = false;
    open_segment(&segment, (uint32_t)found->used, NEWLINE);
    for (const uint8_t *next = piece; next < end; index++) {
        if (!segment.expected && !segment.sigma) { /* what all of the below comes to for most */
            const struct character *last;
            const uint32_t at = (uint32_t)(out - found->text);
            const size_t offset = (size_t)(next - piece), before = index;
            const uint8_t *const after = take_plain(next, end, &out, &last, &index);
            if (after > next) {
                if (!sticks(segment.previous)) {
                    close_segment(&segment, found);
                    if (before <= cut_limit)
                        found->cut = offset;
                    open_segment(&segment, at, last->kind);
                }
                if (segment.start == segment.end)
                    segment.start = at;
                segment.end = (uint32_t)(out - found->text);
                segment.previous = last->kind;
                segment.is_word = true;
                segment.after_cased = (last->flags & IS_CASED) != 0;
                combining = 0;
                after_zwj = extended = false;
                after_first = (last->flags & IS_FIRST) != 0;
                next = after;
                if (next == end)
                    break;
            }
        }
        uint32_t code_point;
        bool valid;
        const size_t offset = (size_t)(next - piece);
        const size_t bytes = decode(next, end, &code_point, &valid);
        const struct character *const this = character(code_point);
        uint8_t kind = this->kind;

        next += bytes;
        if (!valid)
            found->invalid += bytes;
        if (kind == FOREIGN || (after_zwj && (this->flags & IS_PICTOGRAPH)) ||
            (after_first && (this->flags & IS_SECOND)) ||
            (this->combining && this->combining < combining)) {
            found->count = count;
            return false;
        }
        combining = this->combining;
        after_first = (this->flags & IS_FIRST) != 0;
        after_zwj = kind == ZWJ;
        if (kind == PAIRED) {
            found->paired = true;
            kind = OTHER;
        }
        const uint32_t at = (uint32_t)(out - found->text);
        const bool extends = kind == EXTEND || kind == ZWJ;
        if (extends && segment.previous != NEWLINE) { /* WB4 */
            if (segment.previous == HANGUL) {
                found->count = count;
                return false;
            }
            extended = true;
        } else {
            const uint8_t waits = expectation(segment.previous, kind);
            if (segment.expected != NOTHING && !fulfils(kind, segment.expected)) {
                /* The character that waited is on its own, and this one begins a segment. */
                close_segment(&segment, found);
                if (!segment.keeps_quote && wait_index <= cut_limit)
                    found->cut = wait_offset;
                if (index <= cut_limit)
                    found->cut = offset;
                open_segment(&segment, at, kind);
            } else if (segment.expected != NOTHING || (sticks(segment.previous) && sticks(kind)) ||
                       (segment.previous == HANGUL && kind == HANGUL && !extended)) {
                segment.expected = NOTHING;
                segment.previous = kind;
            } else if (waits != NOTHING) {
                segment.end_before = segment.end;
                segment.expected = waits;
                segment.keeps_quote = segment.previous == HEBREW && kind == SINGLE_QUOTE;
                wait_index = index;
                wait_offset = offset;
            } else {
                close_segment(&segment, found);
                if (index <= cut_limit)
                    found->cut = offset;
                open_segment(&segment, at, kind);
            }
            extended = false;
            if (extends) /* a segment that begins with one is like any other character's */
                segment.previous = OTHER;
        }
        if (code_point == SIGMA && segment.after_cased) {
            out = encode(out, FINAL_SIGMA);
            extend_segment(&segment, this, found->text, at, (uint32_t)(out - found->text));
            segment.sigma = at + 1;
        } else {
            out = encode(out, code_point + (uint32_t)this->lower);
            extend_segment(&segment, this, found->text, at, (uint32_t)(out - found->text));
        }
    }
    close_segment(&segment, found);
    found->used = (size_t)(out - found->text);
    return true;
}
