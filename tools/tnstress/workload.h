/* What is done to the tree. */
#ifndef TN_TOOLS_TNSTRESS_WORKLOAD_H
#define TN_TOOLS_TNSTRESS_WORKLOAD_H

#include <stdbool.h>
#include <stdint.h>

/* One writer's share of one round, in a process of its own, in a directory where "tree" is
 * watched and "outside" is not. */
struct share {
    uint64_t random;
    unsigned writer, writers, operations, round;
};

struct workload {
    const char *name, *help;
    void (*run)(struct share *share); /* NULL: the function of this name in scripts.sh */
    const char *tool;                 /* which the script needs, beside what any system has */
    bool check_closed;                /* each file is made by writing it */
};

/* The last one has no name. */
extern const struct workload workloads[];

/* mixer.c */
void mixer_run(struct share *share);
void moves_run(struct share *share);
void churn_run(struct share *share);
void links_run(struct share *share);
/* storm.c */
void chains_run(struct share *share);
void swap_run(struct share *share);
void exchange_run(struct share *share);
void border_run(struct share *share);
/* script.c: in the writer's process; what it changes is not known before it is over. */
void script_run(const struct workload *workload, const struct share *share);
/* Makes what the script works with, of about so many entries. 0; 77: the tool is not installed,
 * said so; or a negative errno. */
int script_prepare(const struct workload *workload, uint64_t seed, unsigned entries);

/* operation.c: each is traced if it succeeds. Paths are relative to the directory of both. */
void operation_begin(const struct share *share);
bool make_directory(const char *path);
void make_directories(char *path);
bool make_file(const char *path);
bool append_file(const char *path);
bool remove_file(const char *path);
bool remove_directory(const char *path);
void remove_tree(const char *path);
bool move(const char *from, const char *to);
bool exchange(const char *one, const char *other);
bool make_symlink(const char *target, const char *path);
bool make_fifo(const char *path);
bool make_link(const char *from, const char *to);

#endif
