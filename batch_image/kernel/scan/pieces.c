#include "scan/pieces.h"

#include <string.h>

/* Words of pieces up to so many bytes are gathered until their text has so many: then it is no
 * longer than a block, though lower case may be longer by half. */
enum { SHORT_PIECE = 512, ENOUGH_TEXT = BLOCK_BYTES / 2 };

/* ---- buffers ---- */

static bool append(struct buffer *buffer, const uint8_t *bytes, size_t length)
{
    if (!buffer_reserve(buffer, length))
        return false;
    memcpy(buffer->bytes + buffer->length, bytes, length);
    buffer->length += length;
    return true;
}

static void drop_front(struct buffer *buffer, size_t length)
{
    buffer->length -= length;
    memmove(buffer->bytes, buffer->bytes + length, buffer->length);
}

/* ---- words and pieces on their way to a table ---- */

static bool add_waiting_to(struct scanner *scanner, struct table *table)
{
    struct waiting *const waiting = &scanner->waiting;
    const uint64_t *const keys[KINDS] = {waiting->keys8, waiting->keys16, waiting->keys32};
    for (unsigned kind = 0; kind < KINDS; kind++) {
        if (!table_add_keys(table, kind, keys[kind], waiting->count[kind]))
            return false;
        waiting->count[kind] = 0;
    }
    return true;
}

bool add_runs(struct scanner *scanner, struct table *table, const uint8_t *text,
              const uint16_t *edges, size_t runs)
{
    const size_t long_runs = scanner->machine->take_keys(text, edges, runs, &scanner->waiting,
                                                         scanner->long_words);
    for (size_t i = 0; i < long_runs; i++) {
        const uint16_t *const run = edges + 2 * scanner->long_words[i];
        if (!table_add(table, text + run[0], (size_t)(run[1] - run[0]), 1))
            return false;
    }
    return add_waiting_to(scanner, table);
}

/* ---- pieces that hold more than ASCII, or are long ---- */

/* Adds the words that were found, `times` each, one by one. */
static bool add_found(struct scanner *scanner, uint64_t times)
{
    struct piece_words *const found = &scanner->found;
    for (size_t i = 0; i < found->count; i++) {
        const uint16_t *const word = found->edges + 2 * i;
        if (!table_add_word(scanner->words, found->text + word[0], (size_t)(word[1] - word[0]),
                            times))
            return false;
    }
    found->count = found->used = 0;
    return true;
}

/* Finds the words of a piece, or keeps it for ICU. */
static bool find_piece(struct scanner *scanner, const uint8_t *piece, size_t length,
                       uint64_t times)
{
    if (!scanner->unicode || !find_words(piece, length, &scanner->found))
        return table_add(&scanner->pieces, piece, length, times);
    scanner->invalid += scanner->found.invalid * times;
    return true;
}

bool count_piece(struct scanner *scanner, const uint8_t *piece, size_t length, uint64_t times)
{
    return find_piece(scanner, piece, length, times) && add_found(scanner, times);
}

/* Adds the words of short pieces, together. */
static bool add_gathered(struct scanner *scanner)
{
    struct piece_words *const found = &scanner->found;
    const size_t words = found->count;
    found->count = found->used = 0;
    return add_runs(scanner, scanner->words, found->text, found->edges, words);
}

bool count_pieces_at(struct scanner *scanner, const uint8_t *text, const uint16_t *edges,
                     size_t pieces)
{
    for (size_t i = 0; i < pieces; i++) {
        const uint8_t *const piece = text + edges[2 * i];
        const size_t length = (size_t)(edges[2 * i + 1] - edges[2 * i]);
        const bool is_short = length <= SHORT_PIECE;
        if ((!is_short || scanner->found.used > ENOUGH_TEXT) && !add_gathered(scanner))
            return false;
        if (!(is_short ? find_piece : count_piece)(scanner, piece, length, 1))
            return false;
    }
    return add_gathered(scanner);
}

/* Bytes of the first `limit` code points, or 0 if there are no more than `limit`. What is there
 * behind them also says that the last of them is complete. */
static size_t window_length(const struct buffer *piece, size_t limit)
{
    const uint8_t *next = piece->bytes, *const end = next + piece->length;
    for (size_t count = 0; count < limit && next < end; count++) {
        uint32_t code_point;
        bool valid;
        next += decode_code_point(next, end, &code_point, &valid);
    }
    return next < end ? (size_t)(next - piece->bytes) : 0;
}

/* Bytes of the next window of a long piece (words.py, `_windows`), or 0: the caller has to cut it. */
static size_t cut_window(struct scanner *scanner, size_t window)
{
    struct buffer *const piece = &scanner->long_piece;
    const size_t most = PIECE_LIMIT - PIECE_MARGIN;
    size_t cut;
    const bool found = scanner->unicode && find_words(piece->bytes, window, &scanner->found);
    scanner->found.count = scanner->found.used = 0; /* only the cut was wanted */
    if (found && !scanner->found.paired)
        return scanner->found.cut ? scanner->found.cut : window_length(piece, most);
    /* Should ICU fail here, it will do so again for the caller, who can say why. */
    if (!scanner->icu || icu_cut(scanner->icu, piece->bytes, window, most, &cut) != ICU_DONE)
        return 0;
    return window_length(piece, cut ? cut : most);
}

static bool to_foreign(struct scanner *scanner)
{
    struct buffer *const piece = &scanner->long_piece;
    const bool added = append(&scanner->foreign, piece->bytes, piece->length);
    piece->length = 0;
    return added;
}

/* Counts the windows of the long piece that can't change any more. */
static bool count_windows(struct scanner *scanner)
{
    struct buffer *const piece = &scanner->long_piece;
    size_t window;
    while (!scanner->in_foreign && (window = window_length(piece, PIECE_LIMIT)) > 0) {
        const size_t cut = cut_window(scanner, window);
        if (!cut) {
            scanner->in_foreign = true;
        } else {
            if (!count_piece(scanner, piece->bytes, cut, 1))
                return false;
            drop_front(piece, cut);
        }
    }
    return !scanner->in_foreign || to_foreign(scanner);
}

bool extend_long_piece(struct scanner *scanner, const uint8_t *bytes, size_t length)
{
    scanner->in_long_piece = true;
    return append(&scanner->long_piece, bytes, length) && count_windows(scanner);
}

bool end_long_piece(struct scanner *scanner)
{
    struct buffer *const piece = &scanner->long_piece;
    bool counted = true;
    if (scanner->in_foreign)
        counted = append(&scanner->foreign, (const uint8_t *)"\n", 1);
    else if (piece->length)
        counted = count_piece(scanner, piece->bytes, piece->length, 1);
    piece->length = 0;
    scanner->in_long_piece = scanner->in_foreign = false;
    return counted;
}
