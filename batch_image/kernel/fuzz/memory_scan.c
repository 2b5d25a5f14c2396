/* Scanners, of one text and of many, each of whose allocations fails: see failing.h. */
#define _GNU_SOURCE
#include "scan/batch.h"

#include "failing.h"
#include "stand_in.h"

static uint8_t text[60000];
static size_t text_length;

static void write_text(void)
{
    static const char *const parts[] = {
        "na\xc3\xafve", "\xe6\x97\xa5\xe6\x9c\xac", "\xd0\xaf\xd0\xb7\xd1\x8b\xd0\xba",
        "x\xe2\x80\x99s", "\xf0\x9f\x98\x80", "e\xcc\x81", "\xff", "a:b", "3.14", "__",
    };
    uint8_t word[512];
    for (unsigned long number = 0; text_length < sizeof text - 20000; number++) {
        const size_t length = make_word(word, number * 31);
        const char *const part = parts[number % 10];
        memcpy(text + text_length, word, length);
        text_length += length;
        text[text_length++] = ' ';
        memcpy(text + text_length, part, strlen(part));
        text_length += strlen(part);
        memcpy(text + text_length, word, length % 11);
        text_length += length % 11;
        text[text_length++] = '\n';
    }
    for (unsigned i = 0; i < 9000; i++) /* a piece that is cut into windows */
        text[text_length++] = i % 3 ? (uint8_t)('a' + i % 26) : '.';
    text[text_length++] = ' ';
    for (unsigned i = 0; i < 3000; i++, text_length += 3) /* and one that only ICU can cut */
        memcpy(text + text_length, "\xe6\x97\xa5", 3);
}

static enum scan_result count_text(struct scanner *scanner)
{
    for (size_t done = 0, used; done < text_length; done += used) {
        const size_t chunk = done % 7 ? 5000 : 20000, rest = text_length - done;
        const enum scan_result result =
            scanner_feed(scanner, text + done, chunk < rest ? chunk : rest, &used);
        if (result != SCAN_DONE)
            return result;
    }
    return scanner_finish(scanner);
}

static uint64_t all_found(struct scanner *scanner)
{
    return digest(scanner->words) + 3 * digest(&scanner->pieces) + 7 * scanner->invalid +
           11 * scanner->foreign.length;
}

static bool scan_with_failure(long at, bool unicode, bool with_icu, uint64_t expected)
{
    const uint64_t key[2] = {3, 4};
    struct table words;
    const unsigned long before = failures;
    CHECK(table_init(&words, key, LARGE));
    left = at;
    struct icu *const icu = with_icu ? icu_new(&STAND_IN) : NULL;
    struct scanner *const scanner = icu || !with_icu ? scanner_new(&words, key, icu) : NULL;
    if (!scanner) {
        left = -1;
        if (icu)
            icu_free(icu);
        table_free(&words);
        return failed(before);
    }
    scanner->unicode = unicode;
    const enum scan_result result = count_text(scanner);
    CHECK(result != SCAN_FULL);
    if (result != SCAN_DONE) {
        size_t used;
        CHECK(failures > before);
        for (unsigned again = 0; again < 3; again++) { /* without a reset */
            CHECK(scanner_feed(scanner, text, text_length, &used) == result && !used);
            CHECK(scanner_finish(scanner) == result);
            left = -1;
            all_found(scanner);
        }
        table_clear(&words, at % 2);
        scanner->foreign.length = 0;
        scanner_reset(scanner);
        CHECK(count_text(scanner) == SCAN_DONE);
    }
    left = -1;
    /* Where ICU fails while a long piece is cut, its text is left to the caller. */
    CHECK(all_found(scanner) == expected || (with_icu && scanner->foreign.length));
    scanner_free(scanner);
    table_free(&words);
    return failed(before);
}

static uint64_t scan(bool unicode, bool with_icu)
{
    const uint64_t key[2] = {3, 4};
    struct table words;
    CHECK(table_init(&words, key, LARGE));
    struct scanner *const scanner =
        scanner_new(&words, key, with_icu ? icu_new(&STAND_IN) : NULL);
    scanner->unicode = unicode;
    CHECK(count_text(scanner) == SCAN_DONE);
    const uint64_t found = all_found(scanner);
    scanner_free(scanner);
    table_free(&words);
    return found;
}

/* ---- many texts ---- */

enum { TEXTS = 12 };

/* The sum of what is said of each text, and of the words of all. */
static uint64_t batch(struct scanner *scanner, struct table *total, bool *all)
{
    struct batch_text texts[TEXTS] = {{0}};
    uint64_t sum = 0;
    size_t done;
    for (size_t i = 0; i < TEXTS; i++)
        texts[i] = (struct batch_text){.bytes = text + 997 * i, .length = 100 * i};
    *all = batch_count(scanner, texts, TEXTS, ':', total, &done) && done == TEXTS;
    for (size_t i = 0; i < TEXTS; i++) {
        for (size_t at = 0; at < texts[i].lines.length; at++)
            sum = sum * 31 + texts[i].lines.bytes[at];
        sum += texts[i].words + 3 * texts[i].distinct + 5 * texts[i].invalid;
        free(texts[i].lines.bytes);
    }
    CHECK(!table_distinct(scanner->words) && !scanner->filled);
    return sum + digest(total);
}

static bool batch_with_failure(long at, uint64_t *expected)
{
    const uint64_t key[2] = {7, 8};
    struct table words, total;
    const unsigned long before = failures;
    bool all;
    CHECK(table_init(&words, key, LARGE) && table_init(&total, key, LARGE));
    struct scanner *const scanner = scanner_new(&words, key, icu_new(&STAND_IN));
    CHECK(scanner);
    scanner->unicode = true;
    left = at;
    uint64_t found = batch(scanner, &total, &all);
    left = -1;
    if (!all) {
        CHECK(failures > before);
        table_clear(&total, false);
        found = batch(scanner, &total, &all);
    }
    CHECK(all && (!*expected || found == *expected));
    *expected = found;
    scanner_free(scanner);
    table_free(&words);
    table_free(&total);
    return failed(before);
}

int main(int argc, char **argv)
{
    (void)argv;
    all_others = argc > 1;
    long at = 0;
    write_text();
    for (unsigned kind = 0; kind < 4; kind++) {
        const bool unicode = kind & 1, with_icu = kind & 2;
        const uint64_t expected = scan(unicode, with_icu);
        for (at = 0; scan_with_failure(at, unicode, with_icu, expected); at++)
            ;
        CHECK(at > 50);
    }
    uint64_t expected = 0;
    CHECK(!batch_with_failure(-1, &expected));
    for (at = 0; batch_with_failure(at, &expected); at++)
        ;
    CHECK(at > 50);
    report();
    return 0;
}
