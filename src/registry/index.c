/*
 * Pages of 512 slots, 9 bits of the key each: leaves hold values, inner pages
 * hold pages. Each page carries its height, so the root pointer alone says how
 * deep the index is, and a reader never sees a root with another's height.
 *
 *   I1  A page is filled before the release store that links it, and found by
 *       an acquire load: a reader sees what it held then.
 *   I2  Growing puts a new root above the old one, which stays as it is: a
 *       reader that has the old root finds there all that it could find.
 *   I3  An emptied page is unlinked and freed after a grace period. A reader
 *       in it finds zeros: absent, which was true when the last was cleared.
 *       While it is empty and in quarantine nothing is set in it: the writer
 *       cannot reach it any more and makes another.
 *
 * Checked by tests/unit/test_index.c and tests/stress/stress_path.c.
 */
#include "registry/index.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>

#include "rcu.h"

enum {
    PAGE_BITS = 9,
    PAGE_SLOTS = 1 << PAGE_BITS,
    HEIGHT_MAX = 7, /* 8 levels of 9 bits hold a 64-bit key */
};

struct tn__index_page {
    struct tn__rcu_head rcu;
    uint32_t height; /* constant; 0: a leaf */
    uint32_t used;   /* under the lock: slots that are not 0 */
};

struct leaf {
    struct tn__index_page page;
    _Atomic uint32_t values[PAGE_SLOTS];
};

struct inner {
    struct tn__index_page page;
    _Atomic(struct tn__index_page *) pages[PAGE_SLOTS];
};

/* The two casts; `page` comes first in both. */
static struct leaf *as_leaf(struct tn__index_page *page)
{
    return tn__container_of(page, struct leaf, page);
}

static struct inner *as_inner(struct tn__index_page *page)
{
    return tn__container_of(page, struct inner, page);
}

static uint32_t slot_of(uint64_t key, uint32_t height)
{
    return (uint32_t)(key >> (height * PAGE_BITS)) & (PAGE_SLOTS - 1);
}

/* Whether a root of that height reaches the key. */
static bool reaches(uint32_t height, uint64_t key)
{
    return height == HEIGHT_MAX || !(key >> ((height + 1) * PAGE_BITS));
}

static struct tn__index_page *new_page(uint32_t height)
{
    void *memory = calloc(1, height ? sizeof(struct inner) : sizeof(struct leaf));
    struct tn__index_page *page = memory;

    if (page)
        page->height = height;
    return page;
}

static void free_page(struct tn__rcu_head *head)
{
    free(tn__container_of(head, struct tn__index_page, rcu));
}

void tn__index_init(struct tn__index *index)
{
    tn__store(&index->root, NULL, relaxed);
}

/* Recursion is as deep as the index: 8. */
static void free_all(struct tn__index_page *page)
{
    if (!page)
        return;
    for (uint32_t i = 0; page->height && i < PAGE_SLOTS; i++)
        free_all(tn__load(&as_inner(page)->pages[i], relaxed));
    free(page);
}

void tn__index_done(struct tn__index *index)
{
    free_all(tn__load(&index->root, relaxed));
    tn__store(&index->root, NULL, relaxed);
}

/* I2 */
static struct tn__index_page *grow(struct tn__index *index, uint64_t key)
{
    struct tn__index_page *root = tn__load(&index->root, relaxed);

    if (!root) {
        uint32_t height = 0;

        while (!reaches(height, key))
            height++;
        root = new_page(height);
        if (root)
            tn__store(&index->root, root, release);
        return root;
    }
    while (!reaches(root->height, key)) {
        struct tn__index_page *above = new_page(root->height + 1);

        if (!above)
            return NULL;
        above->used = 1;
        tn__store(&as_inner(above)->pages[0], root, relaxed);
        tn__store(&index->root, above, release);
        root = above;
    }
    return root;
}

/* Unlinks and frees the empty pages on the way to the key. I3 */
static void trim(struct tn__index *index, uint64_t key)
{
    struct tn__index_page *way[HEIGHT_MAX + 1];
    struct tn__index_page *page = tn__load(&index->root, relaxed);
    size_t depth = 0;

    if (!page || !reaches(page->height, key))
        return;
    while (page) {
        way[depth++] = page;
        page = page->height ? tn__load(&as_inner(page)->pages[slot_of(key, page->height)], relaxed)
                            : NULL;
    }
    while (depth && !way[depth - 1]->used) {
        page = way[--depth];
        if (depth) {
            struct tn__index_page *above = way[depth - 1];

            tn__store(&as_inner(above)->pages[slot_of(key, above->height)], NULL, release);
            above->used--;
        } else {
            tn__store(&index->root, NULL, release);
        }
        tn__rcu_call(&page->rcu, free_page);
    }
}

/* The leaf of the key, made if it is not there. */
static struct leaf *make_leaf(struct tn__index *index, uint64_t key)
{
    struct tn__index_page *page = grow(index, key);

    while (page && page->height) {
        _Atomic(struct tn__index_page *) *slot = &as_inner(page)->pages[slot_of(key, page->height)];
        struct tn__index_page *below = tn__load(slot, relaxed);

        if (!below) {
            below = new_page(page->height - 1);
            if (below) {
                tn__store(slot, below, release); /* I1 */
                page->used++;
            }
        }
        page = below;
    }
    return page ? as_leaf(page) : NULL;
}

int tn__index_set_locked(struct tn__index *index, uint64_t key, uint32_t value)
{
    assert(value);
    struct leaf *leaf = make_leaf(index, key);

    if (!leaf) {
        trim(index, key);
        return -ENOMEM;
    }
    _Atomic uint32_t *slot = &leaf->values[slot_of(key, 0)];

    if (!tn__load(slot, relaxed))
        leaf->page.used++;
    tn__store(slot, value, release);
    return 0;
}

static struct leaf *find_leaf(const struct tn__index *index, uint64_t key)
{
    struct tn__index_page *page = tn__load(&index->root, acquire);

    if (!page || !reaches(page->height, key))
        return NULL;
    while (page && page->height)
        page = tn__load(&as_inner(page)->pages[slot_of(key, page->height)], acquire);
    return page ? as_leaf(page) : NULL;
}

void tn__index_clear_locked(struct tn__index *index, uint64_t key)
{
    struct leaf *leaf = find_leaf(index, key);

    if (!leaf || !tn__load(&leaf->values[slot_of(key, 0)], relaxed))
        return;
    tn__store(&leaf->values[slot_of(key, 0)], 0, release);
    if (!--leaf->page.used)
        trim(index, key);
}

uint32_t tn__index_get_rcu(const struct tn__index *index, uint64_t key)
{
    struct leaf *leaf = find_leaf(index, key);

    return leaf ? tn__load(&leaf->values[slot_of(key, 0)], acquire) : 0;
}

/* The first slot from `slot` on that is not 0, or PAGE_SLOTS. */
static uint32_t next_slot(struct tn__index_page *page, uint32_t slot)
{
    for (; slot < PAGE_SLOTS; slot++) {
        if (page->height ? tn__load(&as_inner(page)->pages[slot], relaxed) != NULL
                         : tn__load(&as_leaf(page)->values[slot], relaxed) != 0)
            break;
    }
    return slot;
}

enum seek { SEEK_FOUND, SEEK_AGAIN, SEEK_NONE };

/*
 * Goes down towards *key; on the way *key moves up to the first key of the next
 * slot in use. AGAIN: the page at which it stopped holds nothing more, and *key
 * is the first one after it (or a page was unlinked, and *key stands).
 */
static enum seek seek(struct tn__index_page *page, uint64_t *key, uint32_t *ret_value)
{
    while (page) {
        uint32_t shift = page->height * PAGE_BITS;
        uint32_t wanted = slot_of(*key, page->height);
        uint32_t slot = next_slot(page, wanted);

        if (slot == PAGE_SLOTS) {
            shift += PAGE_BITS;
            *key = shift < 64 ? ((*key >> shift) + 1) << shift : 0;
            return *key ? SEEK_AGAIN : SEEK_NONE;
        }
        if (slot != wanted)
            *key = ((*key >> shift) + (slot - wanted)) << shift;
        if (!page->height) {
            uint32_t value = tn__load(&as_leaf(page)->values[slot], acquire);

            if (value) {
                *ret_value = value;
                return SEEK_FOUND;
            }
            continue; /* cleared since: on from the same key */
        }
        page = tn__load(&as_inner(page)->pages[slot], acquire);
    }
    return SEEK_AGAIN;
}

bool tn__index_next_rcu(const struct tn__index *index, uint64_t *key, uint32_t *ret_value)
{
    uint64_t at = *key;
    enum seek result;

    do {
        struct tn__index_page *root = tn__load(&index->root, acquire);

        if (!root || !reaches(root->height, at))
            return false;
        result = seek(root, &at, ret_value);
    } while (result == SEEK_AGAIN);
    if (result == SEEK_FOUND)
        *key = at;
    return result == SEEK_FOUND;
}
