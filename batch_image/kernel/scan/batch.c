#include "scan/batch.h"

#include "tables/absorb.h"
#include "merge/lines.h"

static bool write_lines(struct table *table, uint8_t separator, struct buffer *lines)
{
    struct cursor cursor;
    struct word word;
    if (!cursor_start(&cursor, table, BY_COUNT))
        return false;
    while (cursor_next(&cursor, &word))
        if (!line_append(lines, &word, separator))
            return false;
    return true;
}

/* Counts a text. False: something of it is left to the caller, who has to count it anew. */
static bool count_whole(struct scanner *scanner, struct batch_text *text, uint8_t separator)
{
    size_t used;
    if (scanner_feed(scanner, text->bytes, text->length, &used) != SCAN_DONE ||
        scanner_finish(scanner) != SCAN_DONE || used < text->length ||
        table_distinct(&scanner->pieces) || scanner->foreign.length)
        return false;
    text->words = scanner->words->total;
    text->distinct = table_distinct(scanner->words);
    text->invalid = scanner->invalid;
    return write_lines(scanner->words, separator, &text->lines);
}

static void start_again(struct scanner *scanner)
{
    table_clear(scanner->words, false);
    scanner_reset(scanner);
}

bool batch_count(struct scanner *scanner, struct batch_text *texts, size_t count,
                 uint8_t separator, struct table *total, size_t *done)
{
    enum transfer added = TRANSFER_DONE;
    for (*done = 0; *done < count; ++*done) {
        struct batch_text *const text = &texts[*done];
        const size_t room = 2 * text->length + TABLE_STEP; /* lower case grows by half */
        if (!table_has_room(scanner->words, room) || (total && !table_has_room(total, room)) ||
            !count_whole(scanner, text, separator))
            break;
        if (total && (added = table_absorb(total, scanner->words)) != TRANSFER_DONE)
            break;
        start_again(scanner);
    }
    start_again(scanner);
    return added != TRANSFER_NO_MEMORY;
}
