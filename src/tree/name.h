/*
 * Names as the three words of a node (node.h has the layout): packing,
 * hashing, comparing, reading back.
 */
#ifndef TN_TREE_NAME_H
#define TN_TREE_NAME_H

#include <endian.h>
#include <string.h>

#include "rcu.h"
#include "tree/node.h"

/* A name that does not lie in its node. Constant; freed after a grace period. */
struct tn__node_text {
    struct tn__rcu_head rcu;
    uint32_t length;
    char bytes[];
};

/* A name to look for: the words as in a node, but word 0 is 0 when it is long. */
struct tn__name {
    uint64_t word[3];
    const char *text;
    size_t length;
};

/* A name that was read out of a node. */
struct tn__name_piece {
    const char *text; /* room, or the node's text: valid as long as that is */
    size_t length;
    char room[TN__NODE_INLINE + 1];
};

static inline uint64_t tn__name_load8(const char *bytes)
{
    uint64_t word;

    memcpy(&word, bytes, sizeof(word));
    return le64toh(word);
}

static inline void tn__name_store8(char *bytes, uint64_t word)
{
    word = htole64(word);
    memcpy(bytes, &word, sizeof(word));
}

/* High and low half of the product, folded. */
static inline uint64_t tn__name_mix(uint64_t a, uint64_t b)
{
#ifdef __SIZEOF_INT128__
    __extension__ typedef unsigned __int128 wide;
    wide product = (wide)a * b;

    return (uint64_t)product ^ (uint64_t)(product >> 64);
#else
    uint64_t low = (a & UINT32_MAX) * (b & UINT32_MAX), high = (a >> 32) * (b >> 32);
    uint64_t cross = (a >> 32) * (b & UINT32_MAX) ^ (a & UINT32_MAX) * (b >> 32);

    return low ^ high ^ (cross << 32 | cross >> 32);
#endif
}

/* Of 24 bytes and more. */
static inline uint64_t tn__name_text_hash(const uint64_t seed[3], const char *text, size_t length)
{
    const char *end = text + length;
    uint64_t hash = seed[0] ^ length;

    for (; end - text > 16; text += 16)
        hash = tn__name_mix(tn__name_load8(text) ^ seed[1], tn__name_load8(text + 8) ^ hash);
    return tn__name_mix(tn__name_load8(end - 16) ^ seed[2], tn__name_load8(end - 8) ^ hash);
}

/* 1 to 7 bytes as the low bytes of a word, without reading beyond them. */
static inline uint64_t tn__name_load_short(const char *text, size_t length)
{
    const unsigned char *byte = (const unsigned char *)text;

    if (length < 4) {
        size_t middle = length / 2, last = length - 1;

        return (uint64_t)byte[0] | (uint64_t)byte[middle] << (8 * middle) |
               (uint64_t)byte[last] << (8 * last);
    }
    uint32_t low, high;

    memcpy(&low, text, sizeof(low));
    memcpy(&high, text + length - 4, sizeof(high));
    return le32toh(low) | (uint64_t)le32toh(high) << (8 * (length - 4));
}

/* length >= 1. Bytes 0-6 go to word 0 above the tag, 7-14 to word 1, 15-22 to word 2. */
static inline void tn__name_pack(struct tn__name *name, const uint64_t seed[3], const char *text,
                                 size_t length)
{
    name->text = text;
    name->length = length;
    name->word[1] = name->word[2] = 0;
    if (TN__UNLIKELY(length > TN__NODE_INLINE)) {
        name->word[0] = 0;
        name->word[1] = tn__name_text_hash(seed, text, length);
        name->word[2] = (uint64_t)length << 1;
        return;
    }
    uint64_t tag = (uint64_t)length << 1 | 1;

    if (length < 8) {
        name->word[0] = tn__name_load_short(text, length) << 8 | tag;
        return;
    }
    name->word[0] = tn__name_load8(text) << 8 | tag;
    if (length <= 15) {
        name->word[1] = tn__name_load8(text + length - 8) >> (8 * (15 - length));
        return;
    }
    name->word[1] = tn__name_load8(text + 7);
    name->word[2] = tn__name_load8(text + length - 8) >> (8 * (23 - length));
}

static inline uint32_t tn__name_hash(const uint64_t seed[3], uint32_t parent,
                                     const uint64_t word[3])
{
    uint64_t hash = tn__name_mix(word[0] ^ seed[0], word[1] ^ seed[1]);

    return (uint32_t)tn__name_mix(hash ^ parent, word[2] ^ seed[2]);
}

static inline bool tn__name_is_inline(uint64_t word0)
{
    return word0 & 1;
}

static inline size_t tn__name_inline_length(uint64_t word0)
{
    return (size_t)(word0 & 0xff) >> 1;
}

static inline struct tn__node_text *tn__name_text(uint64_t word0)
{
    return (struct tn__node_text *)(uintptr_t)word0;
}

/* The hash under which the node is in its chain. Lock held. */
static inline uint32_t tn__name_node_hash(const uint64_t seed[3], const struct tn__node *node)
{
    uint64_t word[3] = {tn__load(&node->name[0], relaxed), tn__load(&node->name[1], relaxed),
                        tn__load(&node->name[2], relaxed)};

    if (!tn__name_is_inline(word[0]))
        word[0] = 0;
    return tn__name_hash(seed, tn__load(&node->parent, relaxed), word);
}

/* May answer wrongly while the node moves; reads no freed memory then. */
static inline bool tn__name_matches(const struct tn__node *node, uint32_t parent,
                                    const struct tn__name *name)
{
    if (tn__load(&node->parent, acquire) != parent)
        return false;
    uint64_t word0 = tn__load(&node->name[0], acquire);

    if (tn__load(&node->name[1], acquire) != name->word[1] ||
        tn__load(&node->name[2], acquire) != name->word[2])
        return false;
    if (tn__name_is_inline(word0) || name->word[0])
        return word0 == name->word[0];
    const struct tn__node_text *text = tn__name_text(word0);

    return text->length == name->length && !memcmp(text->bytes, name->text, name->length);
}

/* Torn words give a wrong name while the node moves, of a length that fits all the same. */
static inline void tn__name_read(const struct tn__node *node, struct tn__name_piece *piece)
{
    uint64_t word0 = tn__load(&node->name[0], acquire);

    if (TN__LIKELY(tn__name_is_inline(word0))) {
        tn__name_store8(piece->room, word0 >> 8);
        tn__name_store8(piece->room + 7, tn__load(&node->name[1], acquire));
        tn__name_store8(piece->room + 15, tn__load(&node->name[2], acquire));
        piece->text = piece->room;
        piece->length = tn__name_inline_length(word0);
    } else {
        piece->text = tn__name_text(word0)->bytes;
        piece->length = tn__name_text(word0)->length;
    }
}

#endif
