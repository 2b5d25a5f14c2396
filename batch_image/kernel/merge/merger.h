/* Merges sorted lines `word TAB count LF` k ways: memory for k blocks of text, whatever the words. */
#ifndef WORDFREQ_MERGER_H
#define WORDFREQ_MERGER_H

#include "merge/lines.h"

enum merge_state {
    MERGE_READY,     /* there are as many bytes as wanted */
    MERGE_HUNGRY,    /* the input `at` has to be fed, or ended, first */
    MERGE_DONE,      /* there is nothing left to merge */
    MERGE_BAD,       /* the next line of the input `at` is bad, too long or not in order */
    MERGE_TOO_MANY,  /* the counts add up to more than MOST_COUNTED */
    MERGE_NO_MEMORY,
};

struct merge_input {
    uint8_t *bytes;
    size_t size, used, next; /* the line behind the current one begins at `next` */
    size_t word, length;     /* the current word */
    uint64_t count, key;     /* `key` orders most words */
    uint64_t lines;          /* read so far */
    bool current, ended;
};

/* Finished lines of one class of counts. */
struct merge_output {
    uint8_t *bytes;
    size_t size, finished;
};

struct merger {
    struct merge_input *inputs;
    size_t *heap; /* inputs that have a current line, the smallest first */
    size_t inputs_count, heap_count;
    size_t waiting; /* inputs from here on haven't entered the heap */
    bool advancing; /* the first of the heap has been used and needs its next line */
    bool by_count;
    struct share share;
    uint8_t separator; /* of the output; the caller sets it */
    struct merge_output *outputs; /* lines of count n are in the n-th, all others in the first */
    size_t outputs_count, finished;
    uint8_t *word; /* whose counts are being added up */
    size_t word_size, word_length;
    uint64_t count; /* of that word; 0: there is none */
    uint64_t total, distinct;
    size_t at;
};

/* All inputs are sorted by the bytes of their words, and equal words are added up; or, with
 * `by_count`, by count, highest first, then by word, and no word comes twice. Only words of `share`
 * are read. Lines whose count is below `outputs` are written to an output of their own each. */
bool merger_init(struct merger *merger, size_t inputs, size_t outputs, bool by_count,
                 struct share share);
void merger_free(struct merger *merger);

/* Appends to an input; nothing: that was all of it. False: no memory. */
bool merger_feed(struct merger *merger, size_t input, const uint8_t *bytes, size_t length);

/* Merges until there are about `size` bytes in all outputs, which merger_taken then empties. */
enum merge_state merger_run(struct merger *merger, size_t size);
void merger_taken(struct merger *merger);

#endif
