/* The words of one block of a stream. For scanner.c. */
#ifndef WORDFREQ_BLOCK_H
#define WORDFREQ_BLOCK_H

#include "scan/stream.h"

/* Counts what is complete in a text of a block's size, or smaller at the end of the stream (`ends`):
 * then all of it. *used says how many bytes that is. The text is readable up to a multiple of 64.
 * False: no memory. */
bool count_block(struct scanner *scanner, const uint8_t *text, size_t length, bool ends,
                 size_t *used);

/* Counts the bytes that wait. */
bool count_filled(struct scanner *scanner, bool ends);

#endif
