// Compares passwords, plain and hashed.
// SPDX-License-Identifier: Apache-2.0
#include "security/password.h"

#include <crypt.h>
#include <stdlib.h>

#define HASH_SIZE 60

static bool is_digit(uint8_t byte)
{
    return byte >= '0' && byte <= '9';
}

bool security_password_is_hash(struct slice stored)
{
    const uint8_t *text = stored.data;
    return stored.size >= 7 && text[0] == '$' && text[1] == '2' &&
           memchr("abxy", text[2], 4) != NULL && text[3] == '$' && is_digit(text[4]) &&
           is_digit(text[5]) && text[6] == '$';
}

/* Looks at every byte of given, wherever the first difference is. */
static bool is_same(struct slice stored, struct slice given)
{
    volatile uint8_t difference = stored.size != given.size;
    for (size_t i = 0; i < given.size; i++)
        difference |= given.data[i] ^ (stored.size > 0 ? stored.data[i % stored.size] : 0);
    return difference == 0;
}

static bool is_hashed_from(struct slice stored, struct slice given)
{
    char setting[HASH_SIZE + 1];
    char phrase[SECURITY_PASSWORD_SIZE_MAX + 1];
    if (stored.size != HASH_SIZE || given.size > SECURITY_PASSWORD_SIZE_MAX)
        return false;
    if (given.size > 0 && memchr(given.data, 0, given.size))
        return false;
    memcpy(setting, stored.data, HASH_SIZE);
    setting[HASH_SIZE] = '\0';
    if (given.size > 0)
        memcpy(phrase, given.data, given.size);
    phrase[given.size] = '\0';
    struct crypt_data *data = calloc(1, sizeof(*data));
    if (!data)
        return false;
    const char *hash = crypt_rn(phrase, setting, data, (int)sizeof(*data));
    bool is_right = hash && is_same(stored, slice_text(hash));
    explicit_bzero(phrase, sizeof(phrase));
    explicit_bzero(data, sizeof(*data));
    free(data);
    return is_right;
}

bool security_password_check(struct slice stored, struct slice given)
{
    if (security_password_is_hash(stored))
        return is_hashed_from(stored, given);
    return is_same(stored, given);
}
