/* Many small texts, each counted by itself, without a stop between them. */
#ifndef WORDFREQ_BATCH_H
#define WORDFREQ_BATCH_H

#include "base/buffer.h"
#include "scan/scanner.h"

/* One of them: `bytes` of text, and what became of it: lines `word separator count LF` by count. */
struct batch_text {
    const uint8_t *bytes;
    size_t length;
    struct buffer lines;
    uint64_t words, distinct, invalid;
};

/* Counts texts one after the other, and adds their words to `total` as well, unless that is NULL.
 * *done says how many were counted; the next one has to be fed to the scanner as a stream, which
 * also says what is wrong with it, and with room made in the tables. False without memory: then
 * `total` holds a part of that text. The scanner and its table are empty before and after. */
bool batch_count(struct scanner *scanner, struct batch_text *texts, size_t count,
                 uint8_t separator, struct table *total, size_t *done);

#endif
