/* Bytes to records: what decode accepts can be written again to the same bytes. */
#include <errno.h>
#include <sys/inotify.h>

#include "input.h"
#include "reader/decode.h"

/* The record at `at`, written from what was decoded; what stands behind a name's NUL is free. */
static void check_record(const uint8_t *bytes, size_t at, size_t end, const struct tn__raw *raw)
{
    struct inotify_event head = {
        .wd = (int)raw->key,
        .mask = raw->mask,
        .cookie = raw->cookie,
        .len = (uint32_t)(end - at - sizeof(head)),
    };

    CHECK(memcmp(&head, bytes + at, sizeof(head)) == 0);
    CHECK(raw->key == (uint64_t)(int64_t)head.wd);
    CHECK(!raw->name == !raw->name_length);
    if (head.len > 0 && !raw->name)
        CHECK(bytes[at + sizeof(head)] == '\0');
    if (!raw->name)
        return;
    CHECK((const uint8_t *)raw->name == bytes + at + sizeof(head));
    CHECK(raw->name_length < head.len && strlen(raw->name) == raw->name_length);
}

static void check_refusal(const uint8_t *bytes, size_t size, size_t at)
{
    struct inotify_event head;

    if (size - at < sizeof(head))
        return;
    memcpy(&head, bytes + at, sizeof(head));
    CHECK(head.len > size - at - sizeof(head) ||
          (head.len > 0 && !memchr(bytes + at + sizeof(head), 0, head.len)));
}

static void decode_all(const uint8_t *bytes, size_t size)
{
    size_t offset = 0, before = 0;
    struct tn__raw raw = {.mask = 1, .cookie = 2, .name = "untouched", .name_length = 3};
    int result;

    while ((result = tn__decode(bytes, size, &offset, &raw)) == 1) {
        CHECK(offset >= before + sizeof(struct inotify_event) && offset <= size);
        check_record(bytes, before, offset, &raw);
        before = offset;
    }
    CHECK(offset == before && (result == 0 || result == -EBADMSG));
    if (result == 0)
        CHECK(offset == size);
    else
        check_refusal(bytes, size, offset);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    /* At another alignment, and in memory that ends with the bytes. */
    size_t shift = size > 0 ? data[0] % 8 : 0;
    uint8_t *moved = malloc(size + shift + 1);

    CHECK(moved);
    decode_all(data, size);
    memcpy(moved + 1 + shift, data, size);
    decode_all(moved + 1 + shift, size);
    free(moved);
    return 0;
}
