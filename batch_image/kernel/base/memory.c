#define _GNU_SOURCE /* mremap */
#include "base/memory.h"

#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#ifdef __linux__
#include <sys/mman.h>

#ifdef SMALL_TABLES /* so that a fuzzer sees both kinds of memory */
enum { PAGES_FROM = 1 << 14 };
#else
enum { PAGES_FROM = 1 << 20 };
#endif

static bool has_pages(size_t size)
{
    return size >= PAGES_FROM;
}

/* Pages that are used all over are better huge. */
static void *of_pages(void *pages, size_t size)
{
    if (pages == MAP_FAILED)
        return NULL;
#ifdef MADV_HUGEPAGE
    madvise(pages, size, MADV_HUGEPAGE);
#endif
    return pages;
}

static void *new_pages(size_t size)
{
    const int flags = MAP_PRIVATE | MAP_ANONYMOUS;
    return of_pages(mmap(NULL, size, PROT_READ | PROT_WRITE, flags, -1, 0), size);
}

static void *grow_pages(void *memory, size_t old, size_t size)
{
    return of_pages(mremap(memory, old, size, MREMAP_MAYMOVE), size);
}

static void free_pages(void *memory, size_t size)
{
    munmap(memory, size);
}
#else
static bool has_pages(size_t size)
{
    (void)size;
    return false;
}

static void *new_pages(size_t size)
{
    return calloc(size, 1);
}

static void *grow_pages(void *memory, size_t old, size_t size)
{
    (void)old;
    return realloc(memory, size);
}

static void free_pages(void *memory, size_t size)
{
    (void)size;
    free(memory);
}
#endif

void *memory_new(size_t size)
{
    return has_pages(size) ? new_pages(size) : calloc(size, 1);
}

void memory_free(void *memory, size_t size)
{
    if (memory && has_pages(size))
        free_pages(memory, size);
    else
        free(memory);
}

void *memory_enlarge(void *memory, size_t old, size_t size)
{
    if (has_pages(old))
        return grow_pages(memory, old, size);
    if (has_pages(size)) {
        void *const pages = new_pages(size);
        if (pages) {
            memcpy(pages, memory, old);
            free(memory);
        }
        return pages;
    }
    uint8_t *const grown = realloc(memory, size);
    if (grown)
        memset(grown + old, 0, size - old);
    return grown;
}
