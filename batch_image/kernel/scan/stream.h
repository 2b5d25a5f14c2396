/* The state of a scanner: a byte stream whose words are being counted. For scanner.c, block.c, pieces.c. */
#ifndef WORDFREQ_STREAM_H
#define WORDFREQ_STREAM_H

#include "base/buffer.h"
#include "tables/cursor.h"
#include "scan/icu.h"
#include "machine/machine.h"
#include "unicode/unicode.h"

struct scanner {
    struct table *words;
    const struct machine *machine;
    int failure;  /* what went wrong with this stream: an enum scan_result, or 0 */
    bool unicode; /* whether text that isn't ASCII is handled here */

    /* Pieces with bytes that aren't ASCII, each different one once; looked into when there are many. */
    struct table seen;
    bool looking;       /* while that is under way: */
    struct cursor left; /* those that are left */
    size_t unseen;      /* blocks to come whose pieces are looked into at once, as they differ */

    /* What ICU has to do: pieces of at most PIECE_LIMIT code points, each different one once; */
    struct table pieces;
    struct icu *icu;           /* to do it here; NULL: the caller takes them away */
    bool resolving;            /* while that is under way: */
    struct cursor unresolved;  /* the pieces that are left, */
    /* and long pieces from the window on that needs it, a line each. The last may be unfinished. */
    struct buffer foreign;

    uint64_t invalid; /* bytes that were no UTF-8, not counting those of pieces and foreign */

    /* A piece of more than PIECE_LIMIT bytes, from the window on that isn't counted yet. */
    struct buffer long_piece;
    bool in_long_piece;
    bool in_foreign; /* the rest of the long piece goes to `foreign` */

    size_t filled; /* bytes of the block that wait for the end of their piece */
    uint8_t block[BLOCK_BYTES + BLOCK_SLACK];
    uint8_t lower[BLOCK_BYTES + BLOCK_SLACK];
    struct masks masks[BLOCK_MASKS + 1]; /* one more, empty, to look ahead to */
    uint64_t in_words[BLOCK_MASKS], high_pieces[BLOCK_MASKS];
    uint16_t edges[2 * BLOCK_WORDS + BLOCK_SLACK]; /* start, end, start, ... */
    uint16_t long_words[BLOCK_WORDS32 + 1];
    struct waiting waiting;

    struct piece_words found;
};

#endif
