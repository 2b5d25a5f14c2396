#include "merge/lines.h"

#include <stdlib.h>
#include <string.h>

#include "base/bits.h"
#include "tables/entries.h"
#include "unicode/unicode.h"

enum { MOST_DIGITS = 18 };

/* 0x80 in each of 8 bytes that are control characters, DEL or no ASCII; others may get it as well
 * where a byte before them has it. */
static uint64_t suspicious(uint64_t bytes)
{
    const uint64_t ones = 0x0101010101010101, highs = 0x8080808080808080;
    const uint64_t del = bytes ^ 0x7F * ones;
    return (bytes | (bytes - 0x20 * ones) | (del - ones)) & highs;
}

/* Whether a word is valid UTF-8 without control characters. It can be read up to `readable`. */
static bool word_is_clean(const uint8_t *word, size_t length, const uint8_t *readable)
{
    const uint8_t *const end = word + length;
    while (word < end) {
        const size_t left = (size_t)(end - word), unused = left < 8 ? 8 * (8 - left) : 0;
        /* What isn't of the word is shifted out and replaced by blanks. */
        if (readable - word >= 8 &&
            !suspicious(load64(word) << unused | (unused ? 0x2020202020202020 >> (64 - unused) : 0))) {
            word += left < 8 ? left : 8;
        } else if (*word < 0x80) {
            if (*word < 0x20 || *word == 0x7F)
                return false;
            word++;
        } else {
            uint32_t code_point;
            bool valid;
            word += decode_code_point(word, end, &code_point, &valid);
            if (!valid)
                return false;
        }
    }
    return true;
}

enum line_state line_read(const uint8_t *text, const uint8_t *end, bool last, uint8_t separator,
                          struct line *line)
{
    const uint8_t *const line_end = memchr(text, '\n', (size_t)(end - text));
    if (!line_end && !last)
        return LINE_OPEN;
    const uint8_t *const stop = line_end ? line_end : end;
    const uint8_t *digits = stop;
    uint64_t count = 0, scale = 1;
    while (digits > text && stop - digits <= MOST_DIGITS && digits[-1] >= '0' && digits[-1] <= '9') {
        digits--;
        count += scale * (uint64_t)(*digits - '0');
        scale *= 10;
    }
    if (digits == stop || stop - digits > MOST_DIGITS || *digits == '0' || digits - text < 2 ||
        digits[-1] != separator)
        return LINE_BAD;
    line->word = text;
    line->length = (size_t)(digits - 1 - text);
    line->count = count;
    line->next = line_end ? line_end + 1 : end;
    return line->length <= UINT32_MAX && word_is_clean(text, line->length, end) ? LINE_GOOD : LINE_BAD;
}

/* CRC-32 as in zlib, half a byte at a time. */
static uint32_t crc32_of(const uint8_t *bytes, size_t length)
{
    static const uint32_t halves[16] = {
        0x00000000, 0x1DB71064, 0x3B6E20C8, 0x26D930AC, 0x76DC4190, 0x6B6B51F4,
        0x4DB26158, 0x5005713C, 0xEDB88320, 0xF00F9344, 0xD6D6A3E8, 0xCB61B38C,
        0x9B64C2B0, 0x86D3D2D4, 0xA00AE278, 0xBDBDF21C,
    };
    uint32_t crc = 0xFFFFFFFF;
    for (size_t i = 0; i < length; i++) {
        crc ^= bytes[i];
        crc = crc >> 4 ^ halves[crc & 15];
        crc = crc >> 4 ^ halves[crc & 15];
    }
    return ~crc;
}

uint32_t part_of(const uint8_t *word, size_t length, uint32_t parts)
{
    return (uint32_t)((uint64_t)crc32_of(word, length) * parts >> 32);
}

enum load_state lines_load(struct table *table, const uint8_t *text, size_t length,
                           size_t *position, uint8_t separator, struct share share)
{
    enum { AT_ONCE = 32 }; /* lines whose slots are on their way from memory together */
    struct line lines[AT_ONCE];
    const uint8_t *at = text + *position;
    const uint8_t *const end = text + length;
    enum load_state state = LOAD_DONE;
    size_t added = TABLE_STEP;
    while (at < end && state == LOAD_DONE) {
        size_t count = 0;
        if (added >= TABLE_STEP) { /* looked at now and then */
            added = 0;
            if (table_is_full(table))
                return LOAD_FULL;
        }
        while (count < AT_ONCE && at < end && added < TABLE_STEP) {
            struct line *const line = &lines[count];
            if (line_read(at, end, true, separator, line) != LINE_GOOD) {
                state = LOAD_BAD;
                break;
            }
            at = line->next;
            added += 16 + line->length;
            if (end - line->word >= KEY_BYTES && line->length)
                table_expect(table, line->word, line->length);
            count++;
        }
        for (size_t i = 0; i < count; i++) {
            if (share_has(share, lines[i].word, lines[i].length)) {
                if (!table_can_count(table, lines[i].count))
                    return LOAD_TOO_MANY;
                if (!table_add(table, lines[i].word, lines[i].length, lines[i].count))
                    return LOAD_NO_MEMORY;
            }
            *position = (size_t)(lines[i].next - text);
        }
    }
    return state;
}

enum load_state lines_sort_by_count(const uint8_t *text, size_t length, uint8_t *out)
{
    enum load_state state = LOAD_DONE;
    size_t lines = 0, count = 0;
    for (const uint8_t *at = text; (at = memchr(at, '\n', (size_t)(text + length - at))); at++)
        lines++;
    struct entry *const entries = malloc((lines + 1) * sizeof *entries);
    struct entry *const scratch = malloc((lines + 1) * sizeof *scratch);
    if (!entries || !scratch)
        state = LOAD_NO_MEMORY;
    for (size_t position = 0; state == LOAD_DONE && position < length; count++) {
        struct line line;
        if (line_read(text + position, text + length, false, '\t', &line) != LINE_GOOD) {
            state = LOAD_BAD;
            break;
        }
        entries[count] = (struct entry){.key = ~line.count, .reference = position};
        position = (size_t)(line.next - text);
    }
    if (state == LOAD_DONE)
        sort_entries(entries, scratch, count);
    for (size_t i = 0; state == LOAD_DONE && i < count; i++) {
        const uint8_t *const line = text + entries[i].reference;
        const uint8_t *const end = memchr(line, '\n', length - (size_t)entries[i].reference);
        memcpy(out, line, (size_t)(end + 1 - line));
        out += end + 1 - line;
    }
    free(entries);
    free(scratch);
    return state;
}

size_t write_number(uint8_t *out, uint64_t number)
{
    uint8_t digits[20];
    size_t count = 0;
    do
        digits[count++] = (uint8_t)('0' + number % 10);
    while (number /= 10);
    for (size_t i = 0; i < count; i++)
        out[i] = digits[count - 1 - i];
    return count;
}

bool line_append(struct buffer *lines, const struct word *word, uint8_t separator)
{
    enum { LINE_EXTRA = 1 + 20 + 1 }; /* separator, digits, line end */
    if (!buffer_reserve(lines, word->length + LINE_EXTRA))
        return false;
    uint8_t *out = lines->bytes + lines->length;
    memcpy(out, word->bytes, word->length);
    out += word->length;
    *out++ = separator;
    out += write_number(out, word->count);
    *out++ = '\n';
    lines->length = (size_t)(out - lines->bytes);
    return true;
}
