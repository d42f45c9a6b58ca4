/*
 * Random operations on few names, which stand for directories, files and links
 * by turns: the writers are in each other's way all the time.
 */
#include <stdio.h>
#include <string.h>

#include "random.h"
#include "workload.h"

enum { PATH_SIZE = 256, DEPTH = 5 };

enum operation {
    CHAIN,
    MKDIR,
    CREATE,
    APPEND,
    UNLINK,
    RMDIR,
    RENAME,
    LEAVE,
    ENTER,
    SYMLINK,
    FIFO,
    REMOVE,
    SWAP,
    LINK,
    EXCHANGE,
    TRADE, /* with what is outside */
    TIDY,  /* empties what is outside */
    OPERATIONS
};

static const unsigned char mixed[OPERATIONS] = {
    [CHAIN] = 14,  [MKDIR] = 12,   [CREATE] = 16, [APPEND] = 4,  [UNLINK] = 8, [RMDIR] = 6,
    [RENAME] = 22, [LEAVE] = 3,    [ENTER] = 4,   [SYMLINK] = 3, [FIFO] = 1,   [REMOVE] = 2,
    [SWAP] = 4,    [EXCHANGE] = 8, [TRADE] = 2,   [TIDY] = 1};
static const unsigned char moving[OPERATIONS] = {
    [CHAIN] = 10, [CREATE] = 8, [RENAME] = 60,  [LEAVE] = 6,
    [ENTER] = 8,  [SWAP] = 8,   [EXCHANGE] = 8, [TRADE] = 2};
static const unsigned char churning[OPERATIONS] = {
    [CHAIN] = 40, [CREATE] = 10, [RMDIR] = 10, [UNLINK] = 5, [RENAME] = 5, [REMOVE] = 30};
static const unsigned char linking[OPERATIONS] = {
    [CHAIN] = 14, [CREATE] = 16, [UNLINK] = 8, [RENAME] = 22, [LEAVE] = 3,
    [ENTER] = 4,  [REMOVE] = 3,  [SWAP] = 4,   [LINK] = 20,   [TIDY] = 1};

static void pick_path(struct share *share, const char *top, unsigned names, unsigned least,
                      char *path)
{
    unsigned depth = least + random_below(&share->random, DEPTH + 1 - least);
    int length = sprintf(path, "%s", top);

    for (unsigned i = 0; i < depth; i++)
        length += sprintf(path + length, "/n%u", random_below(&share->random, names));
}

static void swap(struct share *share, const char *a, const char *b)
{
    char third[PATH_SIZE];

    snprintf(third, sizeof(third), "tree/third%u", share->writer);
    if (!move(a, third))
        return;
    move(b, a);
    if (!move(third, b))
        remove_tree(third);
}

static void trade(struct share *share, const char *inside, const char *outside)
{
    if (random_below(&share->random, 2))
        exchange(inside, outside);
    else
        exchange(outside, inside);
}

static void make_chain(char *path)
{
    make_directories(path);
    strcat(path, "/f");
    make_file(path);
}

static void operate(struct share *share, enum operation operation, unsigned names)
{
    char a[PATH_SIZE], b[PATH_SIZE], outside[PATH_SIZE];

    pick_path(share, "tree", names, 1, a);
    pick_path(share, "tree", names, 1, b);
    snprintf(outside, sizeof(outside), "outside/o%u", random_below(&share->random, names));
    switch (operation) {
    case CHAIN:
        make_chain(a);
        break;
    case MKDIR:
        make_directory(a);
        break;
    case CREATE:
        make_file(a);
        break;
    case APPEND:
        append_file(a);
        break;
    case UNLINK:
        remove_file(a);
        break;
    case RMDIR:
        remove_directory(a);
        break;
    case RENAME:
        move(a, b);
        break;
    case LEAVE:
        move(a, outside);
        break;
    case ENTER:
        move(outside, a);
        break;
    case SYMLINK:
        make_symlink(random_below(&share->random, 2) ? "." : "../n0", a);
        break;
    case FIFO:
        make_fifo(a);
        break;
    case REMOVE:
        remove_tree(a);
        break;
    case SWAP:
        swap(share, a, b);
        break;
    case LINK:
        make_link(a, b);
        break;
    case EXCHANGE:
        exchange(a, b);
        break;
    case TRADE:
        trade(share, a, outside);
        break;
    default:
        remove_tree(outside);
        break;
    }
}

static void run(struct share *share, const unsigned char *weights, unsigned names)
{
    unsigned whole = 0;

    for (unsigned i = 0; i < OPERATIONS; i++)
        whole += weights[i];
    for (unsigned i = 0; i < share->operations; i++) {
        unsigned at = random_below(&share->random, whole);
        unsigned operation = 0;
        while (at >= weights[operation])
            at -= weights[operation++];
        operate(share, (enum operation)operation, names);
    }
}

void mixer_run(struct share *share)
{
    run(share, mixed, 4);
}

void moves_run(struct share *share)
{
    run(share, moving, 3);
}

void churn_run(struct share *share)
{
    run(share, churning, 2);
}

void links_run(struct share *share)
{
    run(share, linking, 4);
}
