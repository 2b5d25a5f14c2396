/* What scanner.c does with what it found: words, and pieces that hold more than ASCII or are long.
 * All return false if there isn't enough memory. */
#ifndef WORDFREQ_PIECES_H
#define WORDFREQ_PIECES_H

#include "scanner.h"

/* Has the words between edges added that a block, or as much text, can hold. */
bool add_runs(struct scanner *scanner, const uint8_t *text, const uint16_t *edges, size_t words);

/* Adds the words that wait. */
bool add_waiting(struct scanner *scanner);

/* Counts the words of a piece of at most PIECE_LIMIT code points. */
bool count_piece(struct scanner *scanner, const uint8_t *piece, size_t length);

/* The same, but the words of short ones wait for more of them, and then for add_found. */
bool count_short_piece(struct scanner *scanner, const uint8_t *piece, size_t length);
bool add_found(struct scanner *scanner);

/* Begins or goes on with a piece of any length, and ends it. */
bool extend_long_piece(struct scanner *scanner, const uint8_t *bytes, size_t length);
bool end_long_piece(struct scanner *scanner);

#endif
