/* One kind of change, many times; and the table of all workloads. */
#include <stdio.h>
#include <string.h>

#include "random.h"
#include "workload.h"

enum { PATH_SIZE = 256 };

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

/* Two names of one small tree change what they stand for at once, while files are made below. */
void exchange_run(struct share *share)
{
    char one[PATH_SIZE], other[PATH_SIZE];

    for (unsigned i = 0; i < share->operations; i++) {
        char *paths[] = {one, other};
        for (unsigned j = 0; j < 2; j++) {
            unsigned name = random_below(&share->random, 27);
            snprintf(paths[j], PATH_SIZE, "tree/d%u/e%u/f%u", name % 3, name / 3 % 3, name / 9);
            for (unsigned depth = random_below(&share->random, 3); depth; depth--)
                *strrchr(paths[j], '/') = '\0';
        }
        switch (random_below(&share->random, 12)) {
        case 0:
        case 1:
        case 2:
            make_directories(one);
            break;
        case 3:
        case 4:
        case 5:
            make_file(one);
            break;
        case 6:
            remove_tree(one);
            break;
        default:
            exchange(one, other);
            break;
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

const struct workload workloads[] = {
    {"mixer", "all tree operations, at random", mixer_run, NULL, true},
    {"moves", "mostly moves of directories and files", moves_run, NULL, true},
    {"churn", "the same few names made and removed", churn_run, NULL, true},
    {"links", "as the mixer, with hard links", links_run, NULL, false},
    {"chains", "mkdir -p r/a/b/c && touch r/a/b/c/f", chains_run, NULL, true},
    {"swap", "directories that change places, with files made below", swap_run, NULL, true},
    {"exchange", "directories and files exchanged in one step", exchange_run, NULL, true},
    {"border", "directories that move out and in", border_run, NULL, true},
    {"thousand", "the same as chains, by mkdir and touch", NULL, NULL, true},
    {"unpack", "tar x of a source tree, also over what is there", NULL, "tar", true},
    {"copy", "cp -r and cp -a, also of what just changes", NULL, NULL, true},
    {"remove", "rm -rf of trees that are still being made", NULL, NULL, true},
    {"mv", "mv of large directories, also out and in", NULL, NULL, true},
    {"git", "git clone, and git checkout between distant commits", NULL, "git", false},
    {"rsync", "rsync, with its temporary names", NULL, "rsync", false},
    {"npm", "deep trees, put together aside and renamed, as npm install does", NULL, NULL, true},
    {"editors", "how editors save: vim, emacs, sed -i, rename over, in place", NULL, NULL, true},
    {NULL, NULL, NULL, NULL, false},
};
