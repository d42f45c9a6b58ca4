/**
 * @file
 * @brief Version, and what the other headers need of the compiler.
 */
#ifndef TNOTIFY_VERSION_H
#define TNOTIFY_VERSION_H

/**
 * @defgroup version Version
 * @brief Which tnotify this is, and what the other headers need of the compiler.
 * @{
 */

/** @brief First number of the version of these headers: changes break programs. */
#define TN_VERSION_MAJOR 0
/** @brief Second number: additions. */
#define TN_VERSION_MINOR 1
/** @brief Third number: repairs. */
#define TN_VERSION_PATCH 0
/** @brief The version of these headers as text. */
#define TN_VERSION "0.1.0"

/** @brief Marks what the library exports. */
#define TN_EXPORT __attribute__((visibility("default")))

#ifdef __cplusplus
#define TN_BEGIN_DECLS extern "C" {
#define TN_END_DECLS   }
#else
/** @brief Opens declarations with C linkage. */
#define TN_BEGIN_DECLS
/** @brief Closes what @ref TN_BEGIN_DECLS opened. */
#define TN_END_DECLS
#endif

#ifdef __cplusplus
extern "C++" {
/** @cond */
template <typename T>
constexpr T tn_sized_init() noexcept
{
    T value{};
    value.size = sizeof(T);
    return value;
}
/** @endcond */
}
#define TN_SIZED_INIT(type) tn_sized_init<type>()
#else
/**
 * @brief Initial value of a struct that has a `size`: the size alone, the rest zero.
 *
 * The `TN_…_INIT` macros are made of it. In C it stands only in an
 * initialisation, in C++ anywhere.
 *
 * @param type  The struct's type.
 */
#define TN_SIZED_INIT(type)                                                                        \
    {                                                                                              \
        .size = sizeof(type)                                                                       \
    }
#endif

TN_BEGIN_DECLS

/**
 * @brief The version of the library that the program runs with.
 *
 * @return Static text such as "0.1.0". It differs from @ref TN_VERSION when the
 *         program was compiled with other headers.
 *
 * @threadsafe
 * @nonblocking
 * @incallback{Allowed}
 * @asyncsignalsafe
 */
TN_EXPORT const char *tn_version(void);

TN_END_DECLS

/** @} */

#endif
