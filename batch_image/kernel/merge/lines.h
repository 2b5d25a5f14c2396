/* Lines `word separator count LF`, as wordfreq_batch.tables.lines writes and checks them. */
#ifndef WORDFREQ_LINES_H
#define WORDFREQ_LINES_H

#include "base/buffer.h"
#include "tables/cursor.h"

struct line {
    const uint8_t *word, *next; /* `next` is behind the line */
    size_t length;
    uint64_t count;
};

enum line_state {
    LINE_GOOD,
    LINE_BAD,  /* it isn't what the checks of wordfreq_batch.tables.lines ask for */
    LINE_OPEN, /* its end isn't there yet */
};

/* Reads the line at `text`. At the end of everything, `last`, a line may lack its LF. */
enum line_state line_read(const uint8_t *text, const uint8_t *end, bool last, uint8_t separator,
                          struct line *line);

/* One of `parts` shares of all words; the same as wordfreq_batch.tables.lines.part_of. */
uint32_t part_of(const uint8_t *word, size_t length, uint32_t parts);

/* Which words are wanted: those of share `part` of `parts`. */
struct share {
    uint32_t part, parts;
};

static inline bool share_has(struct share share, const uint8_t *word, size_t length)
{
    return share.parts <= 1 || part_of(word, length, share.parts) == share.part;
}

enum load_state { LOAD_DONE, LOAD_BAD, LOAD_FULL, LOAD_TOO_MANY, LOAD_NO_MEMORY };

/* Adds the words of lines to the table, from `*position` on, and moves it behind what was added.
 * LOAD_BAD: at a bad line. LOAD_TOO_MANY: before a count that would exceed MOST_COUNTED. */
enum load_state lines_load(struct table *table, const uint8_t *text, size_t length,
                           size_t *position, uint8_t separator, struct share share);

/* Writes the lines `word TAB count LF` of `text` to `out`, as long, in the order of their counts, the
 * highest first; those of equal counts stay in order. LOAD_BAD: they aren't whole and good lines. */
enum load_state lines_sort_by_count(const uint8_t *text, size_t length, uint8_t *out);

/* Appends the line of a word. False without memory. */
bool line_append(struct buffer *lines, const struct word *word, uint8_t separator);

/* Writes decimal digits, at most 20; returns how many. */
size_t write_number(uint8_t *out, uint64_t number);

#endif
