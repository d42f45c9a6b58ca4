/* One kind of change, many times, and the tools that people unpack, copy and move with. */
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "random.h"
#include "workload.h"

enum { PATH_SIZE = 256, TREE_SIZE = 60 };

/* mkdir -p r/a/b/c && touch r/a/b/c/f */
void chains_run(struct share *share)
{
    char path[PATH_SIZE];

    for (unsigned i = 0; i < share->operations; i++) {
        snprintf(path, sizeof(path), "tree/r%u-%u-%u/a/b/c", share->round, share->writer, i);
        make_directories(path);
        strcat(path, "/f");
        make_file(path);
    }
}

/* Directories change places through a third name while files are made below them. */
void swap_run(struct share *share)
{
    char path[PATH_SIZE], third[PATH_SIZE];

    snprintf(third, sizeof(third), "tree/t%u", share->writer);
    make_directory("tree/a");
    make_directory("tree/b");
    for (unsigned i = 0; i < share->operations; i++) {
        const char *side = random_below(&share->random, 2) ? "a" : "b";
        unsigned name = random_below(&share->random, 16);
        snprintf(path, sizeof(path), "tree/%s/d%u/f%u", side, name % 4, name);
        if (i % 4 == share->writer % 4) {
            move("tree/a", third);
            move("tree/b", "tree/a");
            move(third, "tree/b");
        } else if (random_below(&share->random, 3) == 0) {
            remove_file(path);
        } else {
            *strrchr(path, '/') = '\0';
            make_directory(path);
            path[strlen(path)] = '/';
            make_file(path);
        }
    }
}

/* Trees go out and come in again, and are changed on both sides. */
void border_run(struct share *share)
{
    char in[32], out[32], file[PATH_SIZE];

    for (unsigned i = 0; i < share->operations; i++) {
        unsigned name = random_below(&share->random, 3);
        snprintf(in, sizeof(in), "tree/d%u", name);
        snprintf(out, sizeof(out), "outside/d%u", random_below(&share->random, 3));
        const char *side = random_below(&share->random, 2) ? in : out;
        snprintf(file, sizeof(file), "%s/a/b/f%u", side, random_below(&share->random, 8));
        switch (random_below(&share->random, 4)) {
        case 0:
            if (!move(in, out))
                move(out, in);
            break;
        case 1:
            if (!move(out, in))
                move(in, out);
            break;
        case 2:
            remove_file(file);
            break;
        default:
            *strrchr(file, '/') = '\0';
            make_directories(file);
            file[strlen(file)] = '/';
            make_file(file);
            break;
        }
    }
}

/* A tree to copy and to unpack, beside the watched one. */
static void make_source(const struct share *share, char *ret_path)
{
    char path[2 * PATH_SIZE];

    snprintf(ret_path, PATH_SIZE, "source%u", share->writer);
    if (access(ret_path, F_OK) == 0)
        return;
    for (unsigned i = 0; i < TREE_SIZE; i++) {
        snprintf(path, sizeof(path), "%s/a%u/b%u/c%u", ret_path, i % 5, i % 11, i % 3);
        make_directories(path);
        snprintf(path + strlen(path), sizeof(path) - strlen(path), "/f%u", i);
        make_file(path);
    }
    make_symlink("a0", "source0/link");
}

void copy_run(struct share *share)
{
    char source[PATH_SIZE], target[PATH_SIZE];

    make_source(share, source);
    for (unsigned i = 0; i < share->operations; i += 3 * TREE_SIZE) {
        snprintf(target, sizeof(target), "tree/copy%u-%u-%u", share->round, share->writer, i);
        run_command((const char *const[]){"cp", "-r", source, target, NULL});
    }
}

void unpack_run(struct share *share)
{
    char source[PATH_SIZE], target[PATH_SIZE], archive[PATH_SIZE];

    make_source(share, source);
    snprintf(archive, sizeof(archive), "source%u.tar", share->writer);
    run_command((const char *const[]){"tar", "cf", archive, source, NULL});
    for (unsigned i = 0; i < share->operations; i += 3 * TREE_SIZE) {
        snprintf(target, sizeof(target), "tree/unpacked%u", random_below(&share->random, 6));
        make_directory(target);
        run_command((const char *const[]){"tar", "xf", archive, "-C", target, NULL});
    }
}

void remove_run(struct share *share)
{
    char source[PATH_SIZE], target[PATH_SIZE];

    make_source(share, source);
    for (unsigned i = 0; i < share->operations; i += 6 * TREE_SIZE) {
        snprintf(target, sizeof(target), "tree/removed%u", random_below(&share->random, 2));
        run_command((const char *const[]){"cp", "-r", source, target, NULL});
        run_command((const char *const[]){"rm", "-rf", target, NULL});
    }
}

void mv_run(struct share *share)
{
    char source[PATH_SIZE], from[PATH_SIZE], to[PATH_SIZE];

    make_source(share, source);
    snprintf(from, sizeof(from), "tree/m%u", share->writer);
    run_command((const char *const[]){"cp", "-r", source, from, NULL});
    for (unsigned i = 0; i < share->operations; i += 10) {
        snprintf(from, sizeof(from), "tree/m%u", random_below(&share->random, 4));
        snprintf(to, sizeof(to), "tree/m%u", random_below(&share->random, 4));
        if (random_below(&share->random, 2))
            snprintf(from + strlen(from), PATH_SIZE - strlen(from), "/a%u",
                     random_below(&share->random, 5));
        run_command((const char *const[]){"mv", from, to, NULL});
    }
}

const struct workload workloads[] = {
    {"mixer", "all tree operations, at random", mixer_run, true},
    {"moves", "mostly moves of directories and files", moves_run, true},
    {"churn", "the same few names made and removed", churn_run, true},
    {"links", "as the mixer, with hard links", links_run, false},
    {"chains", "mkdir -p r/a/b/c && touch r/a/b/c/f", chains_run, true},
    {"swap", "directories that change places, with files made below", swap_run, true},
    {"border", "directories that move out and in", border_run, true},
    {"copy", "cp -r", copy_run, true},
    {"unpack", "tar x, also over what is there", unpack_run, true},
    {"remove", "cp -r, rm -rf", remove_run, true},
    {"mv", "mv of large directories", mv_run, true},
    {NULL, NULL, NULL, false},
};
