/* What scanner.c does with what it found: words, and pieces that hold more than ASCII or are long.
 * All return false if there isn't enough memory. */
#ifndef WORDFREQ_PIECES_H
#define WORDFREQ_PIECES_H

#include "scan/stream.h"

/* Adds the parts of a text of a block's size between so many pairs of edges to a table. None has
 * zero bytes. */
bool add_runs(struct scanner *scanner, struct table *table, const uint8_t *text,
              const uint16_t *edges, size_t runs);

/* Counts the words of a piece of at most PIECE_LIMIT code points that was there so often. */
bool count_piece(struct scanner *scanner, const uint8_t *piece, size_t length, uint64_t times);

/* Counts the words of the pieces between so many pairs of edges, once each. */
bool count_pieces_at(struct scanner *scanner, const uint8_t *text, const uint16_t *edges,
                     size_t pieces);

/* Begins or goes on with a piece of any length, and ends it. */
bool extend_long_piece(struct scanner *scanner, const uint8_t *bytes, size_t length);
bool end_long_piece(struct scanner *scanner);

#endif
