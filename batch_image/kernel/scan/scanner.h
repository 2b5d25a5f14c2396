/* The words of a byte stream, counted by the rules of wordfreq_batch/text/words.py. */
#ifndef WORDFREQ_SCANNER_H
#define WORDFREQ_SCANNER_H

#include "scan/stream.h"

/* After SCAN_NO_MEMORY and SCAN_ICU_FAILED some of the stream is counted, some not, and nobody knows
 * which: until scanner_reset there is no other answer. */
enum scan_result { SCAN_DONE, SCAN_FULL, SCAN_NO_MEMORY, SCAN_ICU_FAILED };

/* A scanner that adds to `words`; NULL without memory. It owns `icu`, which may be NULL. */
struct scanner *scanner_new(struct table *words, const uint64_t key[2], struct icu *icu);
void scanner_free(struct scanner *scanner);

/* Forgets the stream, however far it was read, for another; the words stay. */
void scanner_reset(struct scanner *scanner);

/* Counts the next bytes of the stream; *used says how many were taken. SCAN_FULL: the words, the
 * pieces or the foreign text have to be taken away before the rest can be counted. */
enum scan_result scanner_feed(struct scanner *scanner, const uint8_t *bytes, size_t length,
                              size_t *used);

/* Counts what is left at the end of the stream. SCAN_FULL: call it again when there is room. */
enum scan_result scanner_finish(struct scanner *scanner);

#endif
