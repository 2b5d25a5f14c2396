/* Fuzz target (libFuzzer): counts the input twice, in other chunks, with other vector code and
 * with little memory, and wants the same answer. Sanitizers watch the rest.
 *
 * Without libFuzzer, -DSTANDALONE makes a program with random inputs of its own:
 * `fuzz_scanner SECONDS`. See run.sh. */
#include "scan/scanner.h"

#include "fuzz.h"
#include "stand_in.h"

enum { SMALL = 300000, LARGE = 1 << 30 };

/* ---- counting ---- */

struct answer {
    struct table words, pieces;
    struct buffer foreign;
    uint64_t invalid;
};

static void add_all(struct table *to, struct table *from, enum order order)
{
    struct cursor cursor;
    struct word word;
    CHECK(cursor_start(&cursor, from, order));
    if (order == ANY_ORDER) {
        CHECK(cursor_add_to(&cursor, to) == TRANSFER_DONE);
    } else {
        while (cursor_next(&cursor, &word))
            CHECK(table_add(to, word.bytes, word.length, word.count));
    }
    table_clear(from, order == ANY_ORDER);
}

static void take(struct scanner *scanner, struct answer *answer)
{
    struct buffer *const from = &scanner->foreign, *const to = &answer->foreign;
    add_all(&answer->words, scanner->words, ANY_ORDER);
    if (!scanner->icu)
        add_all(&answer->pieces, &scanner->pieces, BY_WORD);
    to->bytes = realloc(to->bytes, to->length + from->length + 1);
    CHECK(to->bytes);
    if (from->length)
        memcpy(to->bytes + to->length, from->bytes, from->length);
    to->length += from->length;
    from->length = 0;
}

/* Chunk sizes come from `sizes`, in turn. */
static void count(const uint8_t *text, size_t length, const uint8_t *sizes, size_t turns,
                  size_t memory, const struct machine *machine, bool unicode, bool with_icu,
                  struct answer *answer)
{
    const uint64_t key[2] = {memory, length};
    struct table words;
    CHECK(table_init(&words, key, memory));
    struct icu *const icu = with_icu ? icu_new(&STAND_IN) : NULL;
    struct scanner *const scanner = scanner_new(&words, key, icu);
    CHECK(scanner && (icu || !with_icu));
    CHECK(table_init(&answer->words, key, SIZE_MAX) && table_init(&answer->pieces, key, SIZE_MAX));
    answer->foreign = (struct buffer){0};
    scanner->unicode = unicode;
    scanner->machine = machine;
    for (size_t done = 0, turn = 0; done < length; turn++) {
        const size_t left = length - done;
        size_t chunk = turns ? (size_t)sizes[turn % turns] * sizes[turn % turns] + 1 : left, used;
        if (chunk > left)
            chunk = left;
        uint8_t *const exact = malloc(chunk); /* so that reading past it is seen */
        CHECK(exact);
        memcpy(exact, text + done, chunk);
        const enum scan_result result = scanner_feed(scanner, exact, chunk, &used);
        free(exact);
        CHECK(result != SCAN_NO_MEMORY && used <= chunk && (result == SCAN_FULL || used == chunk));
        if (result == SCAN_FULL)
            take(scanner, answer);
        done += used;
    }
    enum scan_result result;
    while ((result = scanner_finish(scanner)) == SCAN_FULL)
        take(scanner, answer);
    CHECK(result == SCAN_DONE);
    take(scanner, answer);
    answer->invalid = scanner->invalid;
    scanner_free(scanner);
    table_free(&words);
}

static int compare(const uint8_t *a, size_t a_length, const uint8_t *b, size_t b_length)
{
    const size_t common = a_length < b_length ? a_length : b_length;
    const int order = common ? memcmp(a, b, common) : 0;
    return order ? order : (a_length > b_length) - (a_length < b_length);
}

/* The same words with the same counts, each list in order. */
static void same_tables(struct table *a, struct table *b)
{
    const size_t size = table_distinct(a);
    uint64_t total = 0;
    CHECK(size == table_distinct(b) && a->total == b->total);
    for (enum order order = BY_WORD; order <= BY_COUNT; order++) {
        struct cursor left, right;
        struct word last = {0}, word, other;
        uint8_t buffer[KEY_BYTES];
        CHECK(cursor_start(&left, a, order) && cursor_start(&right, b, order));
        for (size_t i = 0; i < size; i++) {
            CHECK(cursor_next(&left, &word) && cursor_next(&right, &other));
            CHECK(word.count == other.count &&
                  compare(word.bytes, word.length, other.bytes, other.length) == 0);
            const bool in_order =
                !i || compare(last.bytes, last.length, word.bytes, word.length) < 0;
            CHECK(order == BY_COUNT && i && word.count != last.count ? word.count < last.count
                                                                     : in_order);
            total += word.count;
            last = word;
            if (word.bytes == word.buffer)
                last.bytes = memcpy(buffer, word.buffer, sizeof buffer);
        }
        CHECK(!cursor_next(&left, &word) && !cursor_next(&right, &other));
    }
    CHECK(total == 2 * a->total);
    /* A sorted table can be added to. */
    for (size_t i = 0; i < 40; i++)
        CHECK(table_add(a, (const uint8_t *)"0123456789012345678901234567890123456789", i, 1));
    CHECK(a->total == b->total + 40 && table_distinct(a) >= size && table_distinct(a) <= size + 40);
}

static void free_answer(struct answer *answer)
{
    table_free(&answer->words);
    table_free(&answer->pieces);
    free(answer->foreign.bytes);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t length)
{
    struct answer whole, parts;
    uint8_t sizes[8];
    if (length < 1 + sizeof sizes)
        return 0;
    const bool unicode = data[0] & 1, repeats = data[0] & 2, with_icu = data[0] & 4;
    const struct machine *const *const all = machines(), *const *other = all;
    for (unsigned steps = data[0] >> 3; steps; steps--)
        other = other[1] ? other + 1 : all;
    memcpy(sizes, data + 1, sizeof sizes);
    data += 1 + sizeof sizes;
    length -= 1 + sizeof sizes;
    /* Long pieces and full tables are out of a small input's reach, so it is repeated. */
    const size_t times = repeats && length ? 1 + 20000 / length : 1;
    uint8_t *const text = malloc(times * length + 1);
    CHECK(text);
    for (size_t i = 0; i < times; i++)
        memcpy(text + i * length, data, length);
    count(text, times * length, NULL, 0, LARGE, all[0], unicode, with_icu, &whole);
    count(text, times * length, sizes, sizeof sizes, SMALL, *other, unicode, with_icu, &parts);
    same_tables(&whole.words, &parts.words);
    same_tables(&whole.pieces, &parts.pieces);
    CHECK(whole.invalid == parts.invalid);
    CHECK(compare(whole.foreign.bytes, whole.foreign.length, parts.foreign.bytes,
                  parts.foreign.length) == 0);
    free_answer(&whole);
    free_answer(&parts);
    free(text);
    return 0;
}

#ifdef STANDALONE
int main(int count, char **arguments)
{
    static const char *const parts[] = {
        "a", "B", "z", "word", "0", "42", "_", ".", "'", ":", ",", ";", "-", " ", "\n", "\t",
        "\xc3\xa9", "\xce\xa3", "\xcf\x83", "\xe2\x80\x99", "\xe2\x80\x9c", "\xd7\x90", "\"",
        "\xe6\x97\xa5", "\xea\xb0\x80", "\xed\x95\x9c", "\xe2\x80\x8d", "\xf0\x9f\x98\x80",
        "\xcc\x81", "\xcc\x96", "\xe2\x80\xaf", "\xf0\x90\x90\x80", "\xff", "\xe2\x80", "\xf0\x9f",
        "\xc2\x85", "\xed\xa0\x80", "\xd0\xaf", "incomprehensibilities",
    };
    const time_t end = time(NULL) + (count > 1 ? atoi(arguments[1]) : 20);
    unsigned long runs = 0;
    if (count > 2)
        state ^= (uint64_t)atoll(arguments[2]) * 0x9E3779B97F4A7C15u;
    for (; time(NULL) < end; runs++) {
        uint8_t input[3000];
        const size_t length = runs % 10 ? random_number() % 200 : random_number() % sizeof input;
        const size_t kinds = runs % 3 ? sizeof parts / sizeof *parts : 16;
        const size_t favourite = random_number() % kinds;
        size_t filled = 0;
        for (; filled < 9 && filled < length; filled++)
            input[filled] = (uint8_t)random_number();
        while (filled < length) {
            const char *const part = parts[runs % 5 || random_number() % 8 == 0 ? random_number() % kinds : favourite];
            for (const char *c = part; *c && filled < length; c++)
                input[filled++] = (uint8_t)*c;
            if (runs % 7 == 0 && filled < length)
                input[filled++] = (uint8_t)random_number();
        }
        LLVMFuzzerTestOneInput(input, length);
    }
    printf("%lu runs without a finding\n", runs);
    return 0;
}
#endif
