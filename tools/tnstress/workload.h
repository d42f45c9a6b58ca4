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
    void (*run)(struct share *share);
    bool check_closed; /* each file is made by writing it */
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
void border_run(struct share *share);
void copy_run(struct share *share);
void unpack_run(struct share *share);
void remove_run(struct share *share);
void mv_run(struct share *share);

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
bool make_symlink(const char *target, const char *path);
bool make_fifo(const char *path);
bool make_link(const char *from, const char *to);
void run_command(const char *const *arguments);

#endif
