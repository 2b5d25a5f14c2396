#include "scanner.h"

#include <stdlib.h>
#include <string.h>

/* When to have the work for ICU taken away: different pieces, and bytes of either kind. */
enum { MOST_PIECES = 1 << 16, MOST_FOREIGN_BYTES = 4 << 20 };

/* A block's words never take more memory than table_is_full foresees: lower case grows by half. */
_Static_assert(BLOCK_BYTES * 3 / 2 <= TABLE_STEP, "block too large");

enum { AHEAD = 16 }; /* words between fetching a slot and using it */

/* ---- bits ---- */

static unsigned lowest_bit(uint64_t bits)
{
#ifdef __GNUC__
    return (unsigned)__builtin_ctzll(bits);
#else
    unsigned index = 0;
    for (; !(bits & 1); bits >>= 1)
        index++;
    return index;
#endif
}

static unsigned highest_bit(uint64_t bits)
{
#ifdef __GNUC__
    return 63 - (unsigned)__builtin_clzll(bits);
#else
    unsigned index = 0;
    for (; bits >>= 1;)
        index++;
    return index;
#endif
}

static unsigned count_bits(uint64_t bits)
{
    const uint64_t pairs = bits - (bits >> 1 & 0x5555555555555555u);
    const uint64_t fours = (pairs & 0x3333333333333333u) + (pairs >> 2 & 0x3333333333333333u);
    return (unsigned)(((fours + (fours >> 4)) & 0x0F0F0F0F0F0F0F0Fu) * 0x0101010101010101u >> 56);
}

static void prefetch(const void *address)
{
#ifdef __GNUC__
    __builtin_prefetch(address, 1);
#else
    (void)address;
#endif
}

/* Bits 0 to count - 1; count <= 64. */
static uint64_t low_bits(size_t count)
{
    return count < 64 ? ((uint64_t)1 << count) - 1 : ~(uint64_t)0;
}

/* ---- buffers ---- */

static bool append(struct buffer *buffer, const uint8_t *bytes, size_t length)
{
    if (buffer->size - buffer->length < length) {
        size_t size = buffer->size ? buffer->size : 4 * BLOCK_BYTES;
        while (size - buffer->length < length)
            size *= 2;
        uint8_t *const grown = realloc(buffer->bytes, size);
        if (!grown)
            return false;
        buffer->bytes = grown;
        buffer->size = size;
    }
    memcpy(buffer->bytes + buffer->length, bytes, length);
    buffer->length += length;
    return true;
}

static void drop_front(struct buffer *buffer, size_t length)
{
    buffer->length -= length;
    memmove(buffer->bytes, buffer->bytes + length, buffer->length);
}

/* ---- set up ---- */

struct scanner *scanner_new(struct table *words, const uint64_t key[2], struct icu *icu)
{
    /* Zeroed, as some arrays are read a little behind what was written; a short text doesn't touch
     * most of it. */
    struct scanner *const scanner = calloc(1, sizeof *scanner);
    if (scanner && !table_init(&scanner->pieces, key, SIZE_MAX)) {
        free(scanner);
        return NULL;
    }
    if (scanner) {
        scanner->words = words;
        scanner->icu = icu;
        scanner->classify = best_classifier();
    }
    return scanner;
}

void scanner_free(struct scanner *scanner)
{
    table_free(&scanner->pieces);
    if (scanner->icu)
        icu_free(scanner->icu);
    free(scanner->resolved);
    free(scanner->foreign.bytes);
    free(scanner->long_piece.bytes);
    free(scanner);
}

/* ---- words on their way to the table ---- */

/* Adds the words that wait. Their slots are fetched ahead, all at the same time. */
static bool add_waiting(struct scanner *scanner)
{
    struct table *const words = scanner->words;
    const size_t count8 = scanner->waiting8, count16 = scanner->waiting16;
    if (!table_reserve(words, count8, count16))
        return false;
    for (size_t i = 0; i < count8; i++)
        scanner->hashes8[i] = table_hash8(words, scanner->words8[i]);
    for (size_t i = 0; i < count16; i++)
        scanner->hashes16[i] =
            table_hash16(words, scanner->words16[i][0], scanner->words16[i][1]);
    for (size_t i = 0; i < count8; i++) {
        prefetch(&words->slots8[(size_t)scanner->hashes8[i + AHEAD] & words->mask8]);
        table_add8(words, scanner->hashes8[i], scanner->words8[i]);
    }
    for (size_t i = 0; i < count16; i++) {
        prefetch(&words->slots16[(size_t)scanner->hashes16[i + AHEAD] & words->mask16]);
        table_add16(words, scanner->hashes16[i], scanner->words16[i][0], scanner->words16[i][1]);
    }
    words->total += count8 + count16;
    words->changes++;
    scanner->waiting8 = scanner->waiting16 = 0;
    return true;
}

/* The first `length` bytes, 1 to 8, of 8 that can be read. */
static uint64_t load_word(const uint8_t *bytes, size_t length)
{
    return load64(bytes) & (~(uint64_t)0 >> (64 - 8 * length));
}

/* Has a word without zero bytes added; 16 bytes can be read from its start. */
static bool add_word(struct scanner *scanner, const uint8_t *word, size_t length)
{
    if (length > 16)
        return table_add(scanner->words, word, length, 1);
    if (scanner->waiting8 == MOST_WAITING || scanner->waiting16 == MOST_WAITING)
        if (!add_waiting(scanner))
            return false;
    if (length <= 8) {
        scanner->words8[scanner->waiting8++] = load_word(word, length);
    } else {
        uint64_t *const key = scanner->words16[scanner->waiting16++];
        key[0] = load64(word);
        key[1] = load_word(word + 8, length - 8);
    }
    return true;
}

/* ---- pieces that hold more than ASCII, or are long ---- */

/* Counts the words of a piece of at most PIECE_LIMIT code points. */
static bool count_piece(struct scanner *scanner, const uint8_t *piece, size_t length)
{
    struct piece_words *const found = &scanner->found;
    if (!scanner->unicode || !find_words(piece, length, found))
        return table_add(&scanner->pieces, piece, length, 1);
    for (size_t i = 0; i < found->count; i++) {
        const struct word_span word = found->words[i];
        if (!add_word(scanner, found->text + word.start, word.end - word.start))
            return false;
    }
    scanner->invalid += found->invalid;
    return true;
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

/* Bytes of the next window of a long piece (words.py, `_windows`), or 0: ICU has to cut it. */
static size_t cut_window(struct scanner *scanner, size_t window)
{
    struct buffer *const piece = &scanner->long_piece;
    if (!scanner->unicode || !find_words(piece->bytes, window, &scanner->found) ||
        scanner->found.paired)
        return 0;
    if (scanner->found.cut)
        return scanner->found.cut;
    return window_length(piece, PIECE_LIMIT - PIECE_MARGIN);
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
            if (!count_piece(scanner, piece->bytes, cut))
                return false;
            drop_front(piece, cut);
        }
    }
    return !scanner->in_foreign || to_foreign(scanner);
}

static bool extend_long_piece(struct scanner *scanner, const uint8_t *bytes, size_t length)
{
    scanner->in_long_piece = true;
    return append(&scanner->long_piece, bytes, length) && count_windows(scanner);
}

static bool end_long_piece(struct scanner *scanner)
{
    struct buffer *const piece = &scanner->long_piece;
    bool counted = true;
    if (scanner->in_foreign)
        counted = append(&scanner->foreign, (const uint8_t *)"\n", 1);
    else if (piece->length)
        counted = count_piece(scanner, piece->bytes, piece->length);
    piece->length = 0;
    scanner->in_long_piece = scanner->in_foreign = false;
    return counted;
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
            counted = count_piece(scanner, scanner->lower + start, length);
        start = stop + 1;
    }
    return counted;
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

/* Marks the characters of ASCII words (UAX #29: WB5 to WB13). Returns whether there are others. */
static bool mark_words(struct scanner *scanner, size_t first, size_t last)
{
    uint64_t letter_before = 0, digit_before = 0, high = 0;
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
        high |= these->high;
    }
    return high != 0;
}

/* Counts the pieces with bytes that aren't ASCII, and unmarks their ASCII words. */
static bool count_high_pieces(struct scanner *scanner, size_t first, size_t last, size_t end)
{
    size_t done = 0; /* where the last such piece ended */
    for (size_t i = first; i <= last; i++) {
        uint64_t high = scanner->masks[i].high;
        while (high) {
            const size_t at = i * 64 + lowest_bit(high);
            high &= high - 1;
            if (at < done)
                continue;
            const size_t start = behind_last_blank(scanner, at);
            done = first_blank(scanner, at, end);
            clear_words(scanner, start, done);
            if (!count_piece(scanner, scanner->lower + start, done - start))
                return false;
        }
    }
    return true;
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

/* Lists where words start and end. Returns how many words there are. */
static size_t find_edges(struct scanner *scanner, size_t first, size_t last)
{
    uint64_t before = 0;
    size_t count = 0;
    for (size_t i = first; i <= last; i++) {
        const uint64_t in_words = scanner->in_words[i];
        uint64_t edges = in_words ^ (in_words << 1 | before);
        uint16_t *next = scanner->edges + count;
        before = in_words >> 63;
        count += count_bits(edges);
        while (edges) { /* always 8, as a branch that isn't foreseen costs more than idle steps */
            for (unsigned j = 0; j < 8; j++) {
                next[j] = (uint16_t)(i * 64 + (edges ? lowest_bit(edges) : 0));
                edges &= edges - 1;
            }
            next += 8;
        }
    }
    if (before)
        scanner->edges[count++] = (uint16_t)((last + 1) * 64);
    return count / 2;
}

static bool count_words(struct scanner *scanner, size_t count)
{
    const uint16_t *const edges = scanner->edges;
    size_t shorts = scanner->waiting8, others = 0;

    if (shorts + count > MOST_WAITING) {
        if (!add_waiting(scanner))
            return false;
        shorts = 0;
    }
    for (size_t i = 0; i < count; i++) { /* without branches */
        const size_t start = edges[2 * i], length = (size_t)(edges[2 * i + 1] - start);
        const uint64_t unused = (64 - 8 * length) & 63; /* bits; without meaning above 8 bytes */
        const size_t is_short = length <= 8;
        scanner->words8[shorts] = load64(scanner->lower + start) & (~(uint64_t)0 >> unused);
        scanner->other_words[others] = (uint16_t)(2 * i);
        shorts += is_short;
        others += !is_short;
    }
    scanner->waiting8 = shorts;
    for (size_t i = 0; i < others; i++) {
        const size_t start = edges[scanner->other_words[i]];
        const size_t length = edges[scanner->other_words[i] + 1] - start;
        if (!add_word(scanner, scanner->lower + start, length))
            return false;
    }
    return true;
}

/* Counts the whole pieces of [start, end). */
static bool count_pieces(struct scanner *scanner, size_t start, size_t end)
{
    const size_t first = start / 64, last = (end - 1) / 64;
    if (may_hold_long_piece(scanner, start, end))
        return count_pieces_singly(scanner, start, end);
    for (size_t i = first; i <= last; i++) {
        uint64_t outside = i == first ? low_bits(start % 64) : 0;
        if (end < i * 64 + 64)
            outside |= ~low_bits(end - i * 64);
        if (!outside)
            continue;
        scanner->masks[i].letters &= ~outside;
        scanner->masks[i].digits &= ~outside;
        scanner->masks[i].joiners &= ~outside;
        scanner->masks[i].high &= ~outside;
    }
    if (mark_words(scanner, first, last) && !count_high_pieces(scanner, first, last, end))
        return false;
    drop_bare_joiners(scanner, first, last, end);
    return count_words(scanner, find_edges(scanner, first, last));
}

/* Counts what is complete in the block: all of it if the stream ends. */
static bool count_block(struct scanner *scanner, bool ends)
{
    const size_t filled = scanner->filled, blocks = (filled + 63) / 64;
    size_t start = 0;

    memset(scanner->block + filled, ' ', blocks * 64 - filled);
    scanner->classify(scanner->block, blocks, scanner->lower, scanner->masks);
    scanner->masks[blocks] = (struct masks){0};
    scanner->filled = 0;
    const size_t end = ends ? filled : behind_last_blank(scanner, filled);
    if (scanner->in_long_piece || (!end && filled == BLOCK_BYTES)) {
        start = first_blank(scanner, 0, filled);
        if (!extend_long_piece(scanner, scanner->lower, start))
            return false;
        if (start == filled && !ends)
            return add_waiting(scanner);
        if (!end_long_piece(scanner))
            return false;
    }
    if (start < end && !count_pieces(scanner, start, end))
        return false;
    scanner->filled = filled - end;
    memmove(scanner->block, scanner->block + end, scanner->filled);
    return add_waiting(scanner);
}

/* ---- the stream ---- */

static bool has_many_pieces(const struct scanner *scanner)
{
    const struct table *const pieces = &scanner->pieces;
    return table_distinct(pieces) > MOST_PIECES || pieces->bytes_used > MOST_FOREIGN_BYTES;
}

/* Has ICU count the pieces, as long as there is room for their words. */
static enum scan_result resolve_pieces(struct scanner *scanner)
{
    struct table *const pieces = &scanner->pieces;
    if (!scanner->resolved) {
        scanner->resolved_count = 0;
        scanner->resolved_size = table_distinct(pieces);
        scanner->resolved = table_sorted(pieces, false);
        if (!scanner->resolved)
            return SCAN_NO_MEMORY;
    }
    for (; scanner->resolved_count < scanner->resolved_size; scanner->resolved_count++) {
        uint8_t buffer[16];
        size_t length;
        uint64_t times;
        if (table_is_full(scanner->words))
            return SCAN_FULL;
        const uint64_t reference = scanner->resolved[scanner->resolved_count].reference;
        const uint8_t *const piece = table_word(pieces, reference, buffer, &length, &times);
        const enum icu_result result = icu_count(scanner->icu, piece, length, times,
                                                 scanner->words, &scanner->invalid);
        if (result != ICU_DONE)
            return result == ICU_FAILED ? SCAN_ICU_FAILED : SCAN_NO_MEMORY;
    }
    free(scanner->resolved);
    scanner->resolved = NULL;
    return table_clear(pieces) ? SCAN_DONE : SCAN_NO_MEMORY;
}

enum scan_result scanner_feed(struct scanner *scanner, const uint8_t *bytes, size_t length,
                              size_t *used)
{
    *used = 0;
    while (*used < length) {
        const size_t room = BLOCK_BYTES - scanner->filled, left = length - *used;
        const size_t taken = left < room ? left : room;
        if (scanner->icu && (scanner->resolved || has_many_pieces(scanner))) {
            const enum scan_result result = resolve_pieces(scanner);
            if (result != SCAN_DONE)
                return result;
        }
        if (has_many_pieces(scanner) || scanner->foreign.length > MOST_FOREIGN_BYTES ||
            table_is_full(scanner->words))
            return SCAN_FULL;
        memcpy(scanner->block + scanner->filled, bytes + *used, taken);
        scanner->filled += taken;
        *used += taken;
        if (scanner->filled == BLOCK_BYTES && !count_block(scanner, false))
            return SCAN_NO_MEMORY;
    }
    return SCAN_DONE;
}

enum scan_result scanner_finish(struct scanner *scanner)
{
    if (!count_block(scanner, true))
        return SCAN_NO_MEMORY;
    return scanner->icu ? resolve_pieces(scanner) : SCAN_DONE;
}
