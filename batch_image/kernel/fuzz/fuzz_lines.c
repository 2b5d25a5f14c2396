/* Fuzz target (libFuzzer): loads lines into a table, sorts them by count and merges them, in one
 * piece and in small ones, and wants the same answer. Sanitizers watch the rest.
 *
 * Without libFuzzer, -DSTANDALONE makes a program with random inputs of its own:
 * `fuzz_lines SECONDS`. See run.sh. */
#include "tables/absorb.h"
#include "tables/cursor.h"
#include "merge/merger.h"

#include "fuzz.h"

enum { MOST_INPUTS = 4, OUTPUTS = 3, LARGE = 1 << 30 };

static const uint64_t KEY[2] = {12345, 67890};

struct text {
    uint8_t *bytes;
    size_t length;
};

static void append(struct text *text, const uint8_t *bytes, size_t length)
{
    text->bytes = realloc(text->bytes, text->length + length + 1);
    CHECK(text->bytes);
    memcpy(text->bytes + text->length, bytes, length);
    text->length += length;
}

struct answer {
    enum merge_state state;
    size_t at;
    uint64_t lines, total, distinct;
    struct text out, outputs[OUTPUTS]; /* `out` is all of them, the highest counts first */
};

static void append_all(struct text *text, const struct text *other)
{
    append(text, other->bytes ? other->bytes : (const uint8_t *)"", other->length);
}

/* Merges texts that are fed `step` bytes at a time. */
static struct answer merged(const struct text *texts, size_t inputs, size_t outputs, bool by_count,
                            struct share share, size_t step, size_t size)
{
    struct merger merger;
    struct answer answer = {0};
    size_t fed[MOST_INPUTS] = {0};
    CHECK(merger_init(&merger, inputs, outputs, by_count, share));
    for (;;) {
        answer.state = merger_run(&merger, size);
        if (answer.state == MERGE_HUNGRY) {
            const size_t at = merger.at, left = texts[at].length - fed[at];
            const size_t length = left < step ? left : step;
            const uint8_t *const bytes = length ? texts[at].bytes + fed[at] : NULL;
            CHECK(merger_feed(&merger, at, bytes, length));
            fed[at] += length;
            continue;
        }
        for (size_t i = 0; i < outputs; i++) {
            const struct merge_output *const output = &merger.outputs[i];
            append_all(&answer.outputs[i], &(struct text){output->bytes, output->finished});
        }
        merger_taken(&merger);
        if (answer.state != MERGE_READY)
            break;
    }
    append_all(&answer.out, &answer.outputs[0]);
    for (size_t i = outputs; i-- > 1;)
        append_all(&answer.out, &answer.outputs[i]);
    answer.at = merger.at;
    answer.lines = answer.state == MERGE_BAD ? merger.inputs[merger.at].lines : 0;
    answer.total = merger.total;
    answer.distinct = merger.distinct;
    merger_free(&merger);
    return answer;
}

static void free_answer(struct answer *answer)
{
    free(answer->out.bytes);
    for (size_t i = 0; i < OUTPUTS; i++)
        free(answer->outputs[i].bytes);
}

/* The words of a table as sorted lines, their counts `times` over. */
static struct text lines_of(struct table *table, enum order order, uint64_t times)
{
    struct text text = {0};
    struct cursor cursor;
    struct word word;
    CHECK(cursor_start(&cursor, table, order));
    while (cursor_next(&cursor, &word)) {
        uint8_t end[22] = {'\t'};
        append(&text, word.bytes, word.length);
        const size_t digits = write_number(end + 1, word.count * times);
        end[1 + digits] = '\n';
        append(&text, end, digits + 2);
    }
    return text;
}

static bool same(const struct text *a, const struct text *b)
{
    return a->length == b->length && (!a->length || memcmp(a->bytes, b->bytes, a->length) == 0);
}

/* Whatever the lines hold: small pieces change nothing. */
static void check_pieces(const struct text *texts, size_t inputs, bool by_count,
                         struct share share, size_t step)
{
    struct answer one = merged(texts, inputs, OUTPUTS, by_count, share, LARGE, LARGE);
    struct answer two = merged(texts, inputs, OUTPUTS, by_count, share, step, step);
    CHECK(one.state == two.state && one.total == two.total && one.distinct == two.distinct);
    CHECK(one.state == MERGE_DONE ? same(&one.out, &two.out)
                                  : one.at == two.at && one.lines == two.lines);
    free_answer(&one);
    free_answer(&two);
}

/* A table taken over twice, by several threads, has each word twice. */
static void check_absorbed(const struct table *table, const struct text *twice)
{
    const uint64_t key[2] = {table->total, 3};
    struct table sum;
    CHECK(table_init(&sum, key, SIZE_MAX));
    sum.threads = 1 + (unsigned)(table->total % 4);
    if (table->total <= MOST_COUNTED / 2) {
        CHECK(table_absorb(&sum, table) == TRANSFER_DONE);
        CHECK(table_absorb(&sum, table) == TRANSFER_DONE && sum.total == 2 * table->total);
        struct text found = lines_of(&sum, BY_WORD, 1);
        CHECK(same(&found, twice));
        free(found.bytes);
    }
    table_free(&sum);
}

/* Lines that are right and in order come out right, in shares as well. */
static void check_sums(struct table *table, size_t step)
{
    const struct share all = {0, 1};
    struct text by_word = lines_of(table, BY_WORD, 1), twice = lines_of(table, BY_WORD, 2);
    struct text by_count = lines_of(table, BY_COUNT, 1);
    struct text both[2] = {by_word, by_word}, shares[2] = {{0}}, sorted = {0};
    struct answer doubled = merged(both, 2, 1, false, all, step, step);
    if (doubled.state == MERGE_TOO_MANY) {
        CHECK(table->total > MOST_COUNTED / 2);
    } else {
        CHECK(doubled.state == MERGE_DONE && same(&doubled.out, &twice));
        CHECK(doubled.distinct == table_distinct(table) && doubled.total == 2 * table->total);
    }
    check_absorbed(table, &twice);
    append_all(&sorted, &by_word);
    CHECK(lines_sort_by_count(by_word.bytes ? by_word.bytes : (const uint8_t *)"", by_word.length,
                              sorted.bytes) == LOAD_DONE);
    CHECK(same(&sorted, &by_count));
    /* High counts sorted, and low ones as they come out, are the same. */
    struct answer split = merged(&by_word, 1, OUTPUTS, false, all, step, step);
    struct text *const high = &split.outputs[0];
    CHECK(split.state == MERGE_DONE && split.out.length == by_count.length);
    append_all(high, &(struct text){0}); /* so that there are bytes */
    memcpy(sorted.bytes, high->bytes, high->length);
    CHECK(lines_sort_by_count(sorted.bytes, high->length, split.out.bytes) == LOAD_DONE);
    CHECK(same(&split.out, &by_count));
    for (uint32_t part = 0; part < 2; part++) {
        struct answer share = merged(&by_count, 1, 1, true, (struct share){part, 2}, step, step);
        CHECK(share.state == MERGE_DONE);
        append_all(&shares[part], &share.out);
        free_answer(&share);
    }
    struct answer joined = merged(shares, 2, 1, true, all, step, step);
    CHECK(joined.state == MERGE_DONE && same(&joined.out, &by_count));
    CHECK(joined.total == table->total);
    free(by_word.bytes), free(twice.bytes), free(by_count.bytes), free(sorted.bytes);
    free(shares[0].bytes), free(shares[1].bytes);
    free_answer(&doubled), free_answer(&joined), free_answer(&split);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t length)
{
    struct table whole, single;
    size_t position = 0, at = 0;
    enum load_state state = LOAD_DONE;
    if (length < 2)
        return 0;
    const uint8_t how = data[0], separator = how & 1 ? ':' : '\t';
    const size_t step = 1 + data[1], inputs = 1 + (how >> 1 & 3);
    const struct share share = {0, how & 8 ? 2 : 1};
    data += 2;
    length -= 2;
    CHECK(table_init(&whole, KEY, LARGE) && table_init(&single, KEY, LARGE));
    const enum load_state loaded = lines_load(&whole, data, length, &position, separator, share);
    /* The same line by line. */
    while (at < length && state == LOAD_DONE) {
        const uint8_t *const end = memchr(data + at, '\n', length - at);
        const size_t line = end ? (size_t)(end + 1 - data - at) : length - at;
        size_t read = 0;
        state = lines_load(&single, data + at, line, &read, separator, share);
        at += read;
    }
    CHECK(state == loaded && at == position && whole.total == single.total);
    CHECK(table_distinct(&whole) == table_distinct(&single));
    check_sums(&whole, step);
    struct text texts[MOST_INPUTS] = {{0}};
    for (size_t i = 0; i < inputs; i++) {
        const size_t start = length * i / inputs, end = length * (i + 1) / inputs;
        append(&texts[i], data + start, end - start);
    }
    check_pieces(texts, inputs, how & 16, share, step);
    for (size_t i = 0; i < inputs; i++)
        free(texts[i].bytes);
    table_free(&whole);
    table_free(&single);
    return 0;
}

#ifdef STANDALONE
int main(int count, char **arguments)
{
    static const char *const parts[] = {
        "a\t1\n", "b\t2\n", "c\t1\n", "abcdefghi\t3\n", "abcdefghijklmnopqr\t12\n", "a:1\n",
        "b:c:22\n", "a", "b", "\t", ":", "\n", "1", "0", "999999999999999999", "\x7f", "\x01",
        "\xc3\xa9", "\xe2\x80\x99", "\xed\xa0\x80", "\xff", "\xf0\x9f\x98\x80",
    };
    const time_t end = time(NULL) + (count > 1 ? atoi(arguments[1]) : 20);
    unsigned long runs = 0;
    for (; time(NULL) < end; runs++) {
        uint8_t input[600];
        const size_t length = 2 + random_number() % (sizeof input - 2);
        const size_t kinds = runs % 2 ? 5 : sizeof parts / sizeof *parts;
        size_t filled = 0;
        while (filled < 2)
            input[filled++] = (uint8_t)random_number();
        while (filled < length)
            for (const char *c = parts[random_number() % kinds]; *c && filled < length; c++)
                input[filled++] = (uint8_t)*c;
        LLVMFuzzerTestOneInput(input, length);
    }
    printf("%lu runs without a finding\n", runs);
    return 0;
}
#endif
