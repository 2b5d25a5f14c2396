#include "scan/scanner.h"

#include <stdlib.h>
#include <string.h>

#include "scan/block.h"
#include "scan/pieces.h"

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
