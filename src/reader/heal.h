/*
 * One add's tree, compared with what is there now; see heal.c.
 */
#ifndef TN_SRC_READER_HEAL_H
#define TN_SRC_READER_HEAL_H

#include "reader/entries.h"
#include "reader/rescan.h"

/* A directory that is not where the tree has it. */
struct tn__lost {
    uint32_t node;
    uint32_t seen;   /* where it is, if it moved; else 0 */
    uint32_t cookie; /* of its move */
    bool arrived;    /* and has its place again */
    bool held;       /* so that it is not freed; it is in no list */
    char *src;       /* its old path; NULL: no memory, or gone */
};

/* The first move ahead of a directory, by its key. */
struct tn__first_move {
    uint64_t key;
    size_t order;
    struct tn__raw from; /* its departure; without a name: not known */
};

struct tn__heal {
    struct tn__reader *reader;
    struct tn__rescan rescan;
    const struct tn__add *add;
    uint32_t *seen_of;     /* by node: where it has its place; 0: nowhere */
    struct tn__lost *lost; /* children before their parents */
    size_t lost_count, lost_capacity;
    struct tn__first_move *moves; /* by key */
    size_t move_count, move_capacity;
    struct tn__ids unseen; /* watches of directories that stayed by rule 3 */
    struct tn__ids dead;   /* of these, those whose end was lost */
    struct tn__entries entries;
    bool again; /* when more was committed: the walk missed something */
};

/* judge.c: rules 2 to 4. What a walk has seen gets its fate, and what is lost is found. 0 or
 * -ENOMEM. */
int tn__heal_judge(struct tn__heal *heal);
/* sighting.c: 0 or -ENOMEM. And what is noted of a key; NULL: it does not move. */
int tn__sighting_note_moves(struct tn__heal *heal);
const struct tn__first_move *tn__sighting_first_move(const struct tn__heal *heal, uint64_t key);

/* The first record ahead about a node's place. 1, 0: none, or -ENOMEM. */
int tn__heal_name_ahead(const struct tn__heal *heal, uint32_t node, struct tn__raw *ret_raw);
/* The add's node for the directory of a key; 0: none. */
uint32_t tn__heal_node_of_key_locked(struct tn__heal *heal, uint64_t key);

static inline bool tn__seen_has_place(const struct tn__seen *seen)
{
    return seen->fate == TN__FATE_STAYED || seen->fate == TN__FATE_KEPT ||
           seen->fate == TN__FATE_MOVED;
}

#endif
