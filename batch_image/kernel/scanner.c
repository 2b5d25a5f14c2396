#include "scanner.h"

#include <stdlib.h>
#include <string.h>

#include "bits.h"
#include "pieces.h"

/* When to have the work for ICU taken away: different pieces, and bytes of either kind. */
enum { MOST_PIECES = 1 << 16, MOST_FOREIGN_BYTES = 4 << 20 };
/* When to look for words in the pieces that were seen: different ones, and bytes; or if enough to
 * judge were there hardly more than once. If they were fewer than FEW_TIMES there on average, so many
 * blocks follow whose pieces aren't compared. */
enum { FEW_TIMES = 2 };
#ifdef SMALL_TABLES
enum { MOST_SEEN = 20, ENOUGH_SEEN = 8, MOST_SEEN_BYTES = 1000, BLOCKS_UNSEEN = 3 };
#else
enum { MOST_SEEN = 1 << 17, ENOUGH_SEEN = 1 << 14, MOST_SEEN_BYTES = 1 << 22 };
enum { BLOCKS_UNSEEN = 1 << 11 };
#endif

/* A block's words never take more memory than table_is_full foresees: lower case grows by half. */
_Static_assert(BLOCK_BYTES * 3 / 2 <= TABLE_STEP, "block too large");

/* ---- set up ---- */

struct scanner *scanner_new(struct table *words, const uint64_t key[2], struct icu *icu)
{
    /* Zeroed, as some arrays are read a little behind what was written; a short text doesn't touch
     * most of it. */
    struct scanner *const scanner = calloc(1, sizeof *scanner);
    if (!scanner)
        return NULL;
    if (!table_init(&scanner->seen, key, SIZE_MAX) ||
        !table_init(&scanner->pieces, key, SIZE_MAX)) {
        scanner_free(scanner);
        return NULL;
    }
    scanner->words = words;
    scanner->icu = icu;
    scanner->machine = machines()[0];
    return scanner;
}

void scanner_free(struct scanner *scanner)
{
    table_free(&scanner->seen);
    table_free(&scanner->pieces);
    if (scanner->icu)
        icu_free(scanner->icu);
    free(scanner->foreign.bytes);
    free(scanner->long_piece.bytes);
    free(scanner);
}

void scanner_reset(struct scanner *scanner)
{
    scanner->failure = 0;
    scanner->looking = scanner->resolving = false;
    scanner->foreign.length = scanner->long_piece.length = 0;
    scanner->in_long_piece = scanner->in_foreign = false;
    scanner->filled = scanner->unseen = 0;
    scanner->found.count = scanner->found.used = 0;
    memset(scanner->waiting.count, 0, sizeof scanner->waiting.count);
    scanner->invalid = 0;
    if (table_distinct(&scanner->seen))
        table_clear(&scanner->seen, false);
    if (table_distinct(&scanner->pieces))
        table_clear(&scanner->pieces, false);
}

/* ---- blocks ---- */

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

/* Counts what is complete in a text of a block's size, or smaller at the end of the stream (`ends`):
 * then all of it. *used says how many bytes that is. The text is readable up to a multiple of 64. */
static bool count_block(struct scanner *scanner, const uint8_t *text, size_t length, bool ends,
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

/* Counts the bytes that wait. */
static bool count_filled(struct scanner *scanner, bool ends)
{
    size_t used;
    memset(scanner->block + scanner->filled, ' ', BLOCK_SLACK);
    if (!count_block(scanner, scanner->block, scanner->filled, ends, &used))
        return false;
    scanner->filled -= used;
    memmove(scanner->block, scanner->block + used, scanner->filled);
    return true;
}

/* ---- the stream ---- */

static bool has_seen_many(const struct scanner *scanner)
{
    const struct table *const seen = &scanner->seen;
    const size_t distinct = table_distinct(seen);
    return distinct > MOST_SEEN || seen->bytes_used > MOST_SEEN_BYTES ||
           (distinct > ENOUGH_SEEN && seen->total / 5 < distinct / 4);
}

/* Looks for the words of the pieces that were seen, as long as there is room for them. */
static enum scan_result look_into_seen(struct scanner *scanner)
{
    struct word piece;
    size_t bytes = TABLE_STEP;
    if (!scanner->looking && cursor_start(&scanner->left, &scanner->seen, ANY_ORDER)) {
        scanner->looking = true;
        if (scanner->seen.total < FEW_TIMES * table_distinct(&scanner->seen))
            scanner->unseen = BLOCKS_UNSEEN;
    }
    for (;;) {
        if (bytes + 3 * PIECE_LIMIT > TABLE_STEP) { /* lower case may be longer by half */
            bytes = 0;
            if (table_is_full(scanner->words))
                return SCAN_FULL;
        }
        if (!cursor_next(&scanner->left, &piece))
            break;
        if (!count_piece(scanner, piece.bytes, piece.length, piece.count))
            return SCAN_NO_MEMORY;
        bytes += 2 * piece.length;
    }
    scanner->looking = false;
    table_clear(&scanner->seen, false);
    return SCAN_DONE;
}

static bool has_many_pieces(const struct scanner *scanner)
{
    const struct table *const pieces = &scanner->pieces;
    return table_distinct(pieces) > MOST_PIECES || pieces->bytes_used > MOST_FOREIGN_BYTES;
}

/* Has ICU count the pieces, as long as there is room for their words. */
static enum scan_result resolve_pieces(struct scanner *scanner)
{
    struct table *const pieces = &scanner->pieces;
    struct word piece;
    if (!scanner->resolving && cursor_start(&scanner->unresolved, pieces, ANY_ORDER))
        scanner->resolving = true;
    for (;;) {
        if (table_is_full(scanner->words))
            return SCAN_FULL;
        if (!cursor_next(&scanner->unresolved, &piece))
            break;
        const enum icu_result result = icu_count(scanner->icu, piece.bytes, piece.length,
                                                 piece.count, scanner->words, &scanner->invalid);
        if (result != ICU_DONE)
            return result == ICU_FAILED ? SCAN_ICU_FAILED : SCAN_NO_MEMORY;
    }
    scanner->resolving = false;
    table_clear(pieces, false);
    return SCAN_DONE;
}

static enum scan_result feed(struct scanner *scanner, const uint8_t *bytes, size_t length,
                             size_t *used)
{
    while (*used < length) {
        const size_t room = BLOCK_BYTES - scanner->filled, left = length - *used;
        size_t taken = left < room ? left : room;
        if (scanner->looking || has_seen_many(scanner)) {
            const enum scan_result result = look_into_seen(scanner);
            if (result != SCAN_DONE)
                return result;
        }
        if (scanner->icu && (scanner->resolving || has_many_pieces(scanner))) {
            const enum scan_result result = resolve_pieces(scanner);
            if (result != SCAN_DONE)
                return result;
        }
        if (has_many_pieces(scanner) || scanner->foreign.length > MOST_FOREIGN_BYTES ||
            table_is_full(scanner->words))
            return SCAN_FULL;
        if (taken == BLOCK_BYTES) { /* nothing waits and nothing needs to be copied */
            if (!count_block(scanner, bytes + *used, BLOCK_BYTES, false, &taken))
                return SCAN_NO_MEMORY;
            *used += taken;
            continue;
        }
        memcpy(scanner->block + scanner->filled, bytes + *used, taken);
        scanner->filled += taken;
        *used += taken;
        if (scanner->filled == BLOCK_BYTES && !count_filled(scanner, false))
            return SCAN_NO_MEMORY;
    }
    return SCAN_DONE;
}

static enum scan_result finish(struct scanner *scanner)
{
    enum scan_result result;
    /* What is under way first: the pieces mustn't change before that is done. */
    if (scanner->looking && (result = look_into_seen(scanner)) != SCAN_DONE)
        return result;
    if (scanner->resolving && (result = resolve_pieces(scanner)) != SCAN_DONE)
        return result;
    if (!count_filled(scanner, true))
        return SCAN_NO_MEMORY;
    if ((result = look_into_seen(scanner)) != SCAN_DONE)
        return result;
    return scanner->icu ? resolve_pieces(scanner) : SCAN_DONE;
}

/* Remembers what can't be mended. */
static enum scan_result noted(struct scanner *scanner, enum scan_result result)
{
    if (result == SCAN_NO_MEMORY || result == SCAN_ICU_FAILED)
        scanner->failure = (int)result;
    return result;
}

enum scan_result scanner_feed(struct scanner *scanner, const uint8_t *bytes, size_t length,
                              size_t *used)
{
    *used = 0;
    if (scanner->failure)
        return (enum scan_result)scanner->failure;
    return noted(scanner, feed(scanner, bytes, length, used));
}

enum scan_result scanner_finish(struct scanner *scanner)
{
    if (scanner->failure)
        return (enum scan_result)scanner->failure;
    return noted(scanner, finish(scanner));
}
