/* Prints what the kernel makes of the text on its standard input, so that one processor's answer can
 * be compared with another's: `count_words MACHINE`, after which the words with their counts come,
 * the pieces that are left to ICU, the long ones, and how many bytes were no UTF-8. */
#include "scan/scanner.h"

#include "fuzz.h"

enum { CHUNK = 100003 };

static void print(struct table *table)
{
    struct cursor cursor;
    struct word word;
    CHECK(cursor_start(&cursor, table, BY_WORD));
    while (cursor_next(&cursor, &word)) {
        fwrite(word.bytes, 1, word.length, stdout);
        printf("\t%llu\n", (unsigned long long)word.count);
    }
    puts("");
}

int main(int count, char **arguments)
{
    static uint8_t chunk[CHUNK];
    const uint64_t key[2] = {0x243F6A8885A308D3, 0x13198A2E03707344};
    const struct machine *const *machine = machines();
    struct table words;
    size_t length, used;
    while (*machine && count > 1 && strcmp((*machine)->name, arguments[1]) != 0)
        machine++;
    if (!*machine) {
        fprintf(stderr, "%s: no such machine here\n", arguments[1]);
        return 2;
    }
    CHECK(table_init(&words, key, SIZE_MAX));
    struct scanner *const scanner = scanner_new(&words, key, NULL);
    CHECK(scanner);
    scanner->machine = *machine;
    scanner->unicode = true;
    while ((length = fread(chunk, 1, sizeof chunk, stdin)) > 0)
        CHECK(scanner_feed(scanner, chunk, length, &used) == SCAN_DONE);
    CHECK(scanner_finish(scanner) == SCAN_DONE);
    print(&words);
    print(&scanner->pieces);
    fwrite(scanner->foreign.bytes, 1, scanner->foreign.length, stdout);
    printf("\n%llu\n", (unsigned long long)scanner->invalid);
    scanner_free(scanner);
    table_free(&words);
    return 0;
}
