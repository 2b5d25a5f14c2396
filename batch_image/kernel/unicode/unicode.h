/* Words of one piece of UTF-8 text, by the rules of wordfreq_batch/text/words.py.
 *
 * A piece is text without ASCII white space. What the generated tables can't decide (dictionary
 * scripts, text that isn't in NFC, pictographs joined by ZWJ) is refused and goes to ICU. */
#ifndef WORDFREQ_UNICODE_H
#define WORDFREQ_UNICODE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* words.py: PIECE_LIMIT and PIECE_MARGIN, in code points. */
#define PIECE_LIMIT 4096
#define PIECE_MARGIN 1024

/* No code point takes more bytes, in lower case either. */
#define CODE_POINT_BYTES 4

/* Words of pieces: of one of at most PIECE_LIMIT code points, or of several short ones. */
struct piece_words {
    uint8_t text[PIECE_LIMIT * CODE_POINT_BYTES + 32]; /* in lower case; words are read 32 bytes
                                                          at a time */
    size_t used;                          /* of the text */
    uint16_t edges[2 * PIECE_LIMIT + 64]; /* where words start and end in it: start, end, ... */
    size_t count;                         /* of the words */
    /* Of the last piece: */
    size_t invalid; /* bytes that were no UTF-8 */
    size_t cut;     /* bytes up to the last boundary within PIECE_LIMIT - PIECE_MARGIN code points */
    bool paired;    /* holds characters of which `cut` isn't sure */
};

/* The version of the tables: "<major version of ICU>/<version of Unicode>". */
extern const char *const UNICODE_VERSION;

/* Decodes one code point of [text, end), which isn't empty, and returns its length in bytes. An
 * ill-formed sequence is taken as U+FFFD, one for each maximal subpart; *valid says so. */
size_t decode_code_point(const uint8_t *text, const uint8_t *end, uint32_t *code_point, bool *valid);

/* Writes a code point and returns the position behind it. */
uint8_t *encode_code_point(uint8_t *out, uint32_t code_point);

/* words.py: WORD_CHARACTERS and TRIMMED_CHARACTERS. */
bool is_word_character(uint32_t code_point);
bool is_trimmed_character(uint32_t code_point);

/* Adds the words of a piece of at most PIECE_LIMIT code points. If there are others already, the text
 * has to have room for twice its length, as lower case can be longer by half. False: ICU has to do
 * it; then nothing was added. */
bool find_words(const uint8_t *piece, size_t length, struct piece_words *found);

#endif
