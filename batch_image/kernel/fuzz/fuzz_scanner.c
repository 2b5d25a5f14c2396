/* Fuzz target (libFuzzer): counts the input twice, in other chunks, with other vector code and
 * with little memory, and wants the same answer. Sanitizers watch the rest.
 *
 * Without libFuzzer, -DSTANDALONE makes a program with random inputs of its own:
 * `fuzz_scanner SECONDS`. See run.sh. */
#include "../scanner.h"

#include "fuzz.h"

enum { SMALL = 300000, LARGE = 1 << 30 };

/* ---- a stand-in for ICU: segments of three code points, text doubled instead of lowered ---- */

struct stand_in {
    const uint16_t *text;
    int32_t length, at;
};

static void *stand_in_open(int type, const char *locale, const uint16_t *text, int32_t length,
                           int *status)
{
    struct stand_in *const breaker = malloc(sizeof *breaker);
    CHECK(breaker && type == 1 && !*locale && *status <= 0);
    *breaker = (struct stand_in){text, length, 0};
    return breaker;
}

static void stand_in_text(void *breaker, const uint16_t *text, int32_t length, int *status)
{
    CHECK(*status <= 0);
    *(struct stand_in *)breaker = (struct stand_in){text, length, 0};
}

static int32_t stand_in_next(void *breaker)
{
    struct stand_in *const self = breaker;
    if (self->at >= self->length)
        return -1;
    for (int i = 0; i < 3 && self->at < self->length; i++) {
        const bool pair = (self->text[self->at] & 0xFC00) == 0xD800;
        CHECK(!pair || (self->at + 1 < self->length &&
                        (self->text[self->at + 1] & 0xFC00) == 0xDC00));
        self->at += pair ? 2 : 1;
    }
    return self->at;
}

static int32_t copy(uint16_t *to, int32_t room, const uint16_t *text, int32_t length, int times)
{
    CHECK(length >= 0 && length * times <= room);
    for (int i = 0; i < times; i++)
        memcpy(to + i * length, text, (size_t)length * sizeof *text);
    return length * times;
}

static int32_t stand_in_lower(uint16_t *to, int32_t room, const uint16_t *text, int32_t length,
                              const char *locale, int *status)
{
    CHECK(!*locale && *status <= 0);
    return copy(to, room, text, length, 2);
}

static int32_t stand_in_normalize(const void *form, const uint16_t *text, int32_t length,
                                  uint16_t *to, int32_t room, int *status)
{
    CHECK(form && *status <= 0);
    return copy(to, room, text, length, 1);
}

static const struct icu_functions STAND_IN = {
    stand_in_open, free, stand_in_text, stand_in_next, stand_in_lower, stand_in_normalize, "NFC",
};

/* ---- counting ---- */

struct answer {
    struct table words, pieces;
    struct buffer foreign;
    uint64_t invalid;
};

static void add_all(struct table *to, struct table *from)
{
    const size_t count = table_distinct(from);
    struct entry *const entries = table_sorted(from, false);
    CHECK(entries);
    for (size_t i = 0; i < count; i++) {
        uint8_t buffer[16];
        size_t length;
        uint64_t times;
        const uint8_t *const word =
            table_word(from, entries[i].reference, buffer, &length, &times);
        CHECK(table_add(to, word, length, times));
    }
    free(entries);
    CHECK(table_clear(from));
}

static void take(struct scanner *scanner, struct answer *answer)
{
    struct buffer *const from = &scanner->foreign, *const to = &answer->foreign;
    add_all(&answer->words, scanner->words);
    if (!scanner->icu)
        add_all(&answer->pieces, &scanner->pieces);
    to->bytes = realloc(to->bytes, to->length + from->length + 1);
    CHECK(to->bytes);
    if (from->length)
        memcpy(to->bytes + to->length, from->bytes, from->length);
    to->length += from->length;
    from->length = 0;
}

/* Chunk sizes come from `sizes`, in turn. */
static void count(const uint8_t *text, size_t length, const uint8_t *sizes, size_t turns,
                  size_t memory, bool portable, bool unicode, bool with_icu,
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
    if (portable)
        scanner->classify = portable_classifier();
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
static void same_tables(const struct table *a, const struct table *b)
{
    const size_t size = table_distinct(a);
    uint64_t total = 0;
    CHECK(size == table_distinct(b) && a->total == b->total);
    for (int by_count = 0; by_count < 2; by_count++) {
        struct entry *const left = table_sorted(a, by_count), *const right = table_sorted(b, by_count);
        uint8_t before[2][16], buffer[2][16];
        const uint8_t *last = NULL;
        size_t last_length = 0;
        uint64_t last_times = UINT64_MAX;
        CHECK(left && right);
        for (size_t i = 0; i < size; i++) {
            size_t lengths[2];
            uint64_t times[2];
            const uint8_t *word = table_word(a, left[i].reference, buffer[0], &lengths[0], &times[0]);
            const uint8_t *other =
                table_word(b, right[i].reference, buffer[1], &lengths[1], &times[1]);
            CHECK(times[0] == times[1] && compare(word, lengths[0], other, lengths[1]) == 0);
            const bool in_order =
                !last || compare(last, last_length, word, lengths[0]) < 0;
            CHECK(by_count ? times[0] < last_times || (times[0] == last_times && in_order) : in_order);
            total += times[0];
            if (word == buffer[0]) {
                memcpy(before[0], word, 16);
                word = before[0];
            }
            last = word;
            last_length = lengths[0];
            last_times = times[0];
        }
        free(left);
        free(right);
    }
    CHECK(total == 2 * a->total);
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
    memcpy(sizes, data + 1, sizeof sizes);
    data += 1 + sizeof sizes;
    length -= 1 + sizeof sizes;
    /* Long pieces and full tables are out of a small input's reach, so it is repeated. */
    const size_t times = repeats && length ? 1 + 20000 / length : 1;
    uint8_t *const text = malloc(times * length + 1);
    CHECK(text);
    for (size_t i = 0; i < times; i++)
        memcpy(text + i * length, data, length);
    count(text, times * length, NULL, 0, LARGE, false, unicode, with_icu, &whole);
    count(text, times * length, sizes, sizeof sizes, SMALL, true, unicode, with_icu, &parts);
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
