/* Masks to text and back. The input: four bytes of a mask, one of a size, and a text. */
#include <errno.h>
#include <tnotify/event.h>

#include "input.h"

static size_t format(const void *what, char *buffer, size_t size)
{
    return tn_mask_format(*(const uint32_t *)what, buffer, size);
}

static void check_mask(uint32_t mask, size_t size)
{
    char text[1024];
    uint32_t back = ~mask;
    uint32_t lowest = mask & (IN_ALL_EVENTS | IN_UNMOUNT | IN_Q_OVERFLOW | IN_IGNORED);

    check_text(format, &mask, size);
    CHECK(tn_mask_format(mask, text, sizeof(text)) < sizeof(text));
    CHECK(tn_mask_parse(text, &back) == 0 && back == mask);
    lowest &= ~lowest + 1;
    const char *name = tn_mask_name(mask);
    if (!lowest) {
        CHECK(strcmp(name, "IN_UNKNOWN") == 0);
        return;
    }
    CHECK(tn_mask_parse(name, &back) == 0 && back == lowest);
    CHECK(tn_mask_parse(name + 3, &back) == 0 && back == lowest);
}

static bool is_blank(const char *text)
{
    return !text[strspn(text, " \t\r\n")];
}

/* Each word alone means what it means among the others. */
static void check_words(const char *text, int result, uint32_t mask)
{
    char *words = strdup(text);
    char *rest = words;
    uint32_t all = 0;
    bool good = true;

    CHECK(words);
    for (char *word; (word = strsep(&rest, ",|"));) {
        uint32_t bits = 0;
        int alone = tn_mask_parse(word, &bits);
        CHECK(alone == 0 || alone == -EINVAL);
        CHECK(!is_blank(word) || alone < 0);
        const char *number = word + strspn(word, " \t\r\n");
        if (*number == '0' && alone == 0)
            CHECK(strtoull(number, NULL, 16) == bits);
        good = good && alone == 0;
        all |= bits;
    }
    CHECK(good == (result == 0));
    if (good)
        CHECK(all == mask);
    free(words);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct input input = {data, data + size};
    const uint32_t untouched = 0x12345678;
    uint32_t mask = take32(&input);

    check_mask(mask, take8(&input));
    while (!input_is_empty(&input)) {
        char *text = take_string(&input);
        uint32_t parsed = untouched;
        int result = tn_mask_parse(text, &parsed);
        CHECK(result == 0 || (result == -EINVAL && parsed == untouched));
        check_words(text, result, parsed);
        if (result == 0)
            check_mask(parsed, 0);
        free(text);
    }
    return 0;
}
