// The named classes of bytes in regular expressions: Perl's, POSIX's and Unicode's.
// SPDX-License-Identifier: Apache-2.0
#include "base/regex_class.h"

struct named {
    const char *name;
    const char *ranges; /* pairs of first and last */
};

void regex_class_add(struct regex_set *set, uint8_t first, uint8_t last)
{
    for (unsigned byte = first; byte <= last; byte++)
        set->bits[byte >> 6] |= UINT64_C(1) << (byte & 63);
}

void regex_class_merge(struct regex_set *set, const struct regex_set *other, bool negate)
{
    for (unsigned i = 0; i < 4; i++)
        set->bits[i] |= negate ? ~other->bits[i] : other->bits[i];
}

void regex_class_fold(struct regex_set *set)
{
    for (uint8_t lower = 'a'; lower <= 'z'; lower++) {
        uint8_t upper = (uint8_t)(lower - 'a' + 'A');
        if (regex_set_has(set, lower) || regex_set_has(set, upper)) {
            regex_class_add(set, lower, lower);
            regex_class_add(set, upper, upper);
        }
    }
}

static struct regex_set set_of(const char *ranges)
{
    struct regex_set set = {{0}};
    for (; ranges[0] && ranges[1]; ranges += 2)
        regex_class_add(&set, (uint8_t)ranges[0], (uint8_t)ranges[1]);
    return set;
}

bool regex_class_perl(uint8_t letter, struct regex_set *out)
{
    const char *ranges;
    switch (letter | 0x20) {
    case 'd':
        ranges = "09";
        break;
    case 's':
        ranges = "\t\n\f\r  ";
        break;
    case 'w':
        ranges = "09AZ__az";
        break;
    default:
        return false;
    }
    struct regex_set set = set_of(ranges);
    *out = (struct regex_set){{0}};
    regex_class_merge(out, &set, !(letter & 0x20));
    return true;
}

static bool look_up(const struct named *table, size_t count, struct slice name,
                    struct regex_set *out)
{
    for (size_t i = 0; i < count; i++) {
        if (slice_equal_text(name, table[i].name)) {
            *out = set_of(table[i].ranges);
            return true;
        }
    }
    return false;
}

bool regex_class_posix(struct slice name, struct regex_set *out)
{
    static const struct named table[] = {
        {"alnum", "09AZaz"},
        {"alpha", "AZaz"},
        {"ascii", "\1\x7f"},
        {"blank", "\t\t  "},
        {"cntrl", "\1\x1f\x7f\x7f"},
        {"digit", "09"},
        {"graph", "!~"},
        {"lower", "az"},
        {"print", " ~"},
        {"punct", "!/:@[`{~"},
        {"space", "\t\r  "},
        {"upper", "AZ"},
        {"word", "09AZ__az"},
        {"xdigit", "09AFaf"},
    };
    if (!look_up(table, COUNT_OF(table), name, out))
        return false;
    if (slice_equal_text(name, "ascii") || slice_equal_text(name, "cntrl"))
        regex_class_add(out, 0, 0);
    return true;
}

bool regex_class_unicode(struct slice name, struct regex_set *out)
{
    static const struct named table[] = {
        {"Any", "\1\x7f"},
        {"L", "AZaz"},
        {"Lu", "AZ"},
        {"Ll", "az"},
        {"Lt", ""},
        {"Lm", ""},
        {"Lo", ""},
        {"M", ""},
        {"Mn", ""},
        {"Mc", ""},
        {"Me", ""},
        {"N", "09"},
        {"Nd", "09"},
        {"Nl", ""},
        {"No", ""},
        {"P", "!#%*,/:;?@[]__{{}}"},
        {"Pc", "__"},
        {"Pd", "--"},
        {"Ps", "(([[{{"},
        {"Pe", "))]]}}"},
        {"Pi", ""},
        {"Pf", ""},
        {"Po", "!#%'**,,./:;?@\\\\"},
        {"S", "$$++<>^^``||~~"},
        {"Sm", "++<>||~~"},
        {"Sc", "$$"},
        {"Sk", "^^``"},
        {"So", ""},
        {"Z", "  "},
        {"Zs", "  "},
        {"Zl", ""},
        {"Zp", ""},
        {"C", "\1\x1f\x7f\x7f"},
        {"Cc", "\1\x1f\x7f\x7f"},
        {"Cf", ""},
        {"Co", ""},
        {"Cs", ""},
        {"Latin", "AZaz"},
        {"Greek", ""},
        {"Cyrillic", ""},
        {"Han", ""},
        {"Hiragana", ""},
        {"Katakana", ""},
        {"Hangul", ""},
        {"Arabic", ""},
        {"Hebrew", ""},
        {"Thai", ""},
        {"Devanagari", ""},
        {"Armenian", ""},
        {"Georgian", ""},
        {"Common", "\1@[`{\x7f"},
    };
    if (!look_up(table, COUNT_OF(table), name, out))
        return false;
    if (slice_equal_text(name, "Any") || slice_equal_text(name, "C") ||
        slice_equal_text(name, "Cc") || slice_equal_text(name, "Common"))
        regex_class_add(out, 0, 0);
    return true;
}
