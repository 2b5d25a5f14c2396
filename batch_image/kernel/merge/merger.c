#include "merge/merger.h"

#include <stdlib.h>
#include <string.h>

enum { LONGEST_LINE = 1 << 20, LINE_EXTRA = 1 + 20 + 1 }; /* separator, digits, line end */

bool merger_init(struct merger *merger, size_t inputs, size_t outputs, bool by_count,
                 struct share share)
{
    *merger = (struct merger){.inputs_count = inputs,
                              .outputs_count = outputs,
                              .by_count = by_count,
                              .share = share,
                              .separator = '\t'};
    merger->inputs = calloc(inputs + 1, sizeof *merger->inputs);
    merger->heap = calloc(inputs + 1, sizeof *merger->heap);
    merger->outputs = calloc(outputs, sizeof *merger->outputs);
    if (merger->inputs && merger->heap && merger->outputs)
        return true;
    merger_free(merger);
    return false;
}

void merger_free(struct merger *merger)
{
    for (size_t i = 0; merger->inputs && i < merger->inputs_count; i++)
        free(merger->inputs[i].bytes);
    for (size_t i = 0; merger->outputs && i < merger->outputs_count; i++)
        free(merger->outputs[i].bytes);
    free(merger->inputs);
    free(merger->heap);
    free(merger->outputs);
    free(merger->word);
    *merger = (struct merger){0};
}

static bool make_room(uint8_t **bytes, size_t *size, size_t needed)
{
    size_t grown = *size ? *size : 256;
    if (needed <= *size)
        return true;
    while (grown < needed)
        grown *= 2;
    uint8_t *const moved = realloc(*bytes, grown);
    if (!moved)
        return false;
    *bytes = moved;
    *size = grown;
    return true;
}

bool merger_feed(struct merger *merger, size_t number, const uint8_t *bytes, size_t length)
{
    struct merge_input *const input = &merger->inputs[number];
    if (!length) {
        input->ended = true;
        return true;
    }
    /* The current word stays: the next one is compared with it. */
    const size_t kept = input->current ? input->word : input->next;
    if (kept) {
        memmove(input->bytes, input->bytes + kept, input->used - kept);
        input->used -= kept;
        input->next -= kept;
        input->word = 0;
    }
    if (!make_room(&input->bytes, &input->size, input->used + length))
        return false;
    memcpy(input->bytes + input->used, bytes, length);
    input->used += length;
    return true;
}

/* ---- order ---- */

/* The first 8 bytes of a word, zeros behind its end. It can be read up to `readable`. */
static uint64_t prefix_of(const uint8_t *word, size_t length, const uint8_t *readable)
{
    uint64_t prefix = 0;
    if (readable - word < 8) {
        for (size_t i = 0; i < 8; i++)
            prefix = prefix << 8 | (i < length ? word[i] : 0);
        return prefix;
    }
    for (size_t i = 0; i < 8; i++) /* compilers make one load of this */
        prefix = prefix << 8 | word[i];
    return length < 8 ? prefix & ~(UINT64_MAX >> 8 * length) : prefix;
}

static int compare_words(const uint8_t *a, size_t a_length, const uint8_t *b, size_t b_length)
{
    const int order = memcmp(a, b, a_length < b_length ? a_length : b_length);
    return order ? order : (a_length > b_length) - (a_length < b_length);
}

static bool comes_first(const struct merge_input *a, const struct merge_input *b)
{
    if (a->key != b->key)
        return a->key < b->key;
    return compare_words(a->bytes + a->word, a->length, b->bytes + b->word, b->length) < 0;
}

static void sift_down(struct merger *merger, size_t at)
{
    size_t *const heap = merger->heap;
    const size_t moved = heap[at];
    for (;;) {
        size_t child = 2 * at + 1;
        if (child >= merger->heap_count)
            break;
        if (child + 1 < merger->heap_count &&
            comes_first(&merger->inputs[heap[child + 1]], &merger->inputs[heap[child]]))
            child++;
        if (!comes_first(&merger->inputs[heap[child]], &merger->inputs[moved]))
            break;
        heap[at] = heap[child];
        at = child;
    }
    heap[at] = moved;
}

static void sift_up(struct merger *merger, size_t at)
{
    size_t *const heap = merger->heap;
    const size_t moved = heap[at];
    while (at && comes_first(&merger->inputs[moved], &merger->inputs[heap[(at - 1) / 2]])) {
        heap[at] = heap[(at - 1) / 2];
        at = (at - 1) / 2;
    }
    heap[at] = moved;
}

/* ---- reading ---- */

/* Goes to the next line of an input; MERGE_DONE: it has none. */
static enum merge_state advance(struct merger *merger, size_t number)
{
    struct merge_input *const input = &merger->inputs[number];
    merger->at = number;
    for (;;) {
        struct line line;
        if (input->next == input->used)
            return input->ended ? MERGE_DONE : MERGE_HUNGRY;
        const enum line_state state =
            line_read(input->bytes + input->next, input->bytes + input->used, input->ended, '\t',
                      &line);
        if (state == LINE_OPEN && input->used - input->next <= LONGEST_LINE)
            return MERGE_HUNGRY;
        if (state != LINE_GOOD)
            return MERGE_BAD;
        const uint8_t *const readable = input->bytes + input->used;
        const uint64_t key =
            merger->by_count ? ~line.count : prefix_of(line.word, line.length, readable);
        if (input->current && key <= input->key &&
            (key < input->key || compare_words(input->bytes + input->word, input->length,
                                               line.word, line.length) >= 0))
            return MERGE_BAD;
        input->word = (size_t)(line.word - input->bytes);
        input->length = line.length;
        input->count = line.count;
        input->key = key;
        input->next = (size_t)(line.next - input->bytes);
        input->lines++;
        input->current = true;
        if (share_has(merger->share, line.word, line.length))
            return MERGE_READY;
    }
}

/* ---- writing ---- */

/* Writes the line of the word at hand, if there is one. False: no memory. */
static bool finish_word(struct merger *merger)
{
    if (!merger->count)
        return true;
    struct merge_output *const output =
        &merger->outputs[merger->count < merger->outputs_count ? merger->count : 0];
    if (!make_room(&output->bytes, &output->size,
                   output->finished + merger->word_length + LINE_EXTRA))
        return false;
    uint8_t *const line = output->bytes + output->finished;
    size_t length = merger->word_length;
    memcpy(line, merger->word, length);
    line[length++] = merger->separator;
    length += write_number(line + length, merger->count);
    line[length++] = '\n';
    output->finished += length;
    merger->finished += length;
    merger->count = 0;
    merger->distinct++;
    return true;
}

static enum merge_state use(struct merger *merger, const struct merge_input *input)
{
    const uint8_t *const word = input->bytes + input->word;
    if (input->count > MOST_COUNTED - merger->total)
        return MERGE_TOO_MANY;
    if (!merger->count || merger->by_count || merger->word_length != input->length ||
        memcmp(merger->word, word, input->length) != 0) {
        if (!finish_word(merger) ||
            !make_room(&merger->word, &merger->word_size, input->length))
            return MERGE_NO_MEMORY;
        memcpy(merger->word, word, input->length);
        merger->word_length = input->length;
    }
    merger->count += input->count;
    merger->total += input->count;
    return MERGE_READY;
}

enum merge_state merger_run(struct merger *merger, size_t size)
{
    enum merge_state state;
    for (; merger->waiting < merger->inputs_count; merger->waiting++) {
        state = advance(merger, merger->waiting);
        if (state == MERGE_READY) {
            merger->heap[merger->heap_count++] = merger->waiting;
            sift_up(merger, merger->heap_count - 1);
        } else if (state != MERGE_DONE) {
            return state;
        }
    }
    for (;;) {
        if (merger->advancing) {
            state = advance(merger, merger->heap[0]);
            if (state != MERGE_READY && state != MERGE_DONE)
                return state;
            if (state == MERGE_DONE)
                merger->heap[0] = merger->heap[--merger->heap_count];
            merger->advancing = false;
            if (merger->heap_count)
                sift_down(merger, 0);
        }
        if (!merger->heap_count)
            return finish_word(merger) ? MERGE_DONE : MERGE_NO_MEMORY;
        if (merger->finished >= size)
            return MERGE_READY;
        state = use(merger, &merger->inputs[merger->heap[0]]);
        if (state != MERGE_READY)
            return state;
        merger->advancing = true;
    }
}

void merger_taken(struct merger *merger)
{
    for (size_t i = 0; i < merger->outputs_count; i++)
        merger->outputs[i].finished = 0;
    merger->finished = 0;
}
