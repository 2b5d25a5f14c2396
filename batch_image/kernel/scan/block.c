#include "scan/block.h"

#include <string.h>

#include "base/bits.h"
#include "scan/pieces.h"

static size_t first_blank(const struct scanner *scanner, size_t start, size_t end)
{
    uint64_t skipped = low_bits(start % 64);
    for (size_t i = start / 64; i * 64 < end; i++, skipped = 0) {
        const uint64_t blanks = scanner->masks[i].blanks & ~skipped;
        if (blanks) {
            const size_t found = i * 64 + lowest_bit(blanks);
            return found < end ? found : end;
        }
    }
    return end;
}

/* The position behind the last blank of [0, end), or 0. */
static size_t behind_last_blank(const struct scanner *scanner, size_t end)
{
    for (size_t i = (end + 63) / 64; i-- > 0;) {
        const uint64_t blanks = scanner->masks[i].blanks & low_bits(end - i * 64);
        if (blanks)
            return i * 64 + highest_bit(blanks) + 1;
    }
    return 0;
}

/* Whether a piece of [start, end) may be longer than PIECE_LIMIT bytes: it would fill more than
 * PIECE_LIMIT / 64 - 2 masks in a row. */
static bool may_hold_long_piece(const struct scanner *scanner, size_t start, size_t end)
{
    unsigned without = 0;
    for (size_t i = start / 64; i * 64 < end; i++) {
        without = scanner->masks[i].blanks ? 0 : without + 1;
        if (without > PIECE_LIMIT / 64 - 2)
            return true;
    }
    return false;
}

static bool count_pieces_singly(struct scanner *scanner, size_t start, size_t end)
{
    bool counted = true;
    while (counted && start < end) {
        const size_t stop = first_blank(scanner, start, end), length = stop - start;
        if (length > PIECE_LIMIT)
            counted = extend_long_piece(scanner, scanner->lower + start, length) &&
                      end_long_piece(scanner);
        else if (length)
            counted = count_piece(scanner, scanner->lower + start, length, 1);
        start = stop + 1;
    }
    return counted;
}

/* What is somewhere in a block. */
struct contents {
    uint64_t high, joiners;
};

/* Marks the characters of ASCII words (UAX #29: WB5 to WB13). */
static struct contents mark_words(struct scanner *scanner, size_t first, size_t last)
{
    uint64_t letter_before = 0, digit_before = 0;
    struct contents contents = {0};
    for (size_t i = first; i <= last; i++) {
        const struct masks *const these = &scanner->masks[i];
        const uint64_t letters = these->letters, digits = these->digits;
        const uint64_t between_letters = (letters << 1 | letter_before) &
                                         (letters >> 1 | these[1].letters << 63);
        const uint64_t between_digits = (digits << 1 | digit_before) &
                                        (digits >> 1 | these[1].digits << 63);
        scanner->in_words[i] = letters | digits | these->joiners |
                               ((these->mid_both | these->mid_letter) & between_letters) |
                               ((these->mid_both | these->mid_number) & between_digits);
        letter_before = letters >> 63;
        digit_before = digits >> 63;
        contents.high |= these->high;
        contents.joiners |= these->joiners;
    }
    return contents;
}

/* The bits of runs of `bits` that hold some of `some`, but only those below these. */
static uint64_t fill_down(uint64_t bits, uint64_t some)
{
    for (unsigned shift = 1; shift < 64; shift *= 2) {
        some |= bits & some >> shift;
        bits &= bits >> shift;
    }
    return some;
}

/* The same of those above. */
static uint64_t fill_up(uint64_t bits, uint64_t some)
{
    for (unsigned shift = 1; shift < 64; shift *= 2) {
        some |= bits & some << shift;
        bits &= bits << shift;
    }
    return some;
}

/* Marks the pieces with bytes that aren't ASCII. */
static void mark_high_pieces(struct scanner *scanner, size_t first, size_t last)
{
    const struct masks *const masks = scanner->masks;
    uint64_t *const high = scanner->high_pieces;
    uint64_t beyond = 0; /* whether a piece goes on in the next mask */
    for (size_t i = last + 1; i-- > first;) {
        const uint64_t filled = ~masks[i].blanks;
        high[i] = masks[i].high || beyond
                      ? fill_down(filled, (masks[i].high | beyond << 63) & filled)
                      : 0;
        beyond = high[i] & 1;
    }
    for (size_t i = first; i <= last; i++) {
        const uint64_t filled = ~masks[i].blanks;
        if (high[i] || beyond)
            high[i] = fill_up(filled, (high[i] | beyond) & filled);
        beyond = high[i] >> 63;
    }
}

/* Counts the pieces with bytes that aren't ASCII, and unmarks their ASCII words. Most texts repeat
 * their pieces; then each different one is looked into once, some time later. */
static bool count_high_pieces(struct scanner *scanner, size_t first, size_t last, size_t end)
{
    uint16_t *const edges = scanner->edges;
    bool done = true;
    mark_high_pieces(scanner, first, last);
    for (size_t i = first; i <= last; i++)
        scanner->in_words[i] &= ~scanner->high_pieces[i];
    const size_t pieces =
        scanner->machine->list_runs(scanner->high_pieces, first, last, scanner->edges);
    if (scanner->unseen) {
        scanner->unseen--;
        return count_pieces_at(scanner, scanner->lower, edges, pieces);
    }
    if (!memchr(scanner->lower + first * 64, 0, end - first * 64))
        return add_runs(scanner, &scanner->seen, scanner->lower, edges, pieces);
    for (size_t i = 0; done && i < pieces; i++)
        done = table_add(&scanner->seen, scanner->lower + edges[2 * i],
                         (size_t)(edges[2 * i + 1] - edges[2 * i]), 1);
    return done;
}

static void clear_words(struct scanner *scanner, size_t start, size_t end)
{
    for (size_t i = start / 64; i * 64 < end; i++) {
        uint64_t kept = 0;
        if (i * 64 < start)
            kept |= low_bits(start - i * 64);
        if (end < i * 64 + 64)
            kept |= ~low_bits(end - i * 64);
        scanner->in_words[i] &= kept;
    }
}

/* Unmarks runs of nothing but `_`. */
static void drop_bare_joiners(struct scanner *scanner, size_t first, size_t last, size_t end)
{
    uint64_t before = 0;
    for (size_t i = first; i <= last; i++) {
        const uint64_t in_words = scanner->in_words[i];
        uint64_t starts = in_words & ~(in_words << 1 | before) & scanner->masks[i].joiners;
        before = in_words >> 63;
        for (; starts; starts &= starts - 1) {
            const size_t start = i * 64 + lowest_bit(starts);
            size_t stop = start;
            while (stop < end && scanner->lower[stop] == '_')
                stop++;
            if (stop == end || !(scanner->in_words[stop / 64] >> stop % 64 & 1))
                clear_words(scanner, start, stop);
        }
    }
}

static void clear_masks(struct masks *masks, uint64_t outside)
{
    masks->letters &= ~outside;
    masks->digits &= ~outside;
    masks->joiners &= ~outside;
    masks->high &= ~outside;
}

/* Counts the whole pieces of [start, end). */
static bool count_pieces(struct scanner *scanner, size_t start, size_t end)
{
    const size_t first = start / 64, last = (end - 1) / 64;
    if (may_hold_long_piece(scanner, start, end))
        return count_pieces_singly(scanner, start, end);
    clear_masks(&scanner->masks[first], low_bits(start % 64));
    clear_masks(&scanner->masks[last], ~low_bits(end - last * 64));
    const struct contents contents = mark_words(scanner, first, last);
    if (contents.high && !count_high_pieces(scanner, first, last, end))
        return false;
    if (contents.joiners)
        drop_bare_joiners(scanner, first, last, end);
    const size_t words =
        scanner->machine->list_runs(scanner->in_words, first, last, scanner->edges);
    return add_runs(scanner, scanner->words, scanner->lower, scanner->edges, words);
}

bool count_block(struct scanner *scanner, const uint8_t *text, size_t length, bool ends,
                        size_t *used)
{
    const size_t blocks = (length + 63) / 64;
    size_t start = 0;

    scanner->machine->classify(text, blocks, scanner->lower, scanner->masks);
    scanner->masks[blocks] = (struct masks){0};
    const size_t end = ends ? length : behind_last_blank(scanner, length);
    *used = end;
    if (scanner->in_long_piece || (!end && !ends)) {
        start = first_blank(scanner, 0, length);
        if (!extend_long_piece(scanner, scanner->lower, start))
            return false;
        if (start == length && !ends) {
            *used = length;
            return true;
        }
        if (!end_long_piece(scanner))
            return false;
    }
    return start >= end || count_pieces(scanner, start, end);
}

bool count_filled(struct scanner *scanner, bool ends)
{
    size_t used;
    memset(scanner->block + scanner->filled, ' ', BLOCK_SLACK);
    if (!count_block(scanner, scanner->block, scanner->filled, ends, &used))
        return false;
    scanner->filled -= used;
    memmove(scanner->block, scanner->block + used, scanner->filled);
    return true;
}
