// Edit distance with swaps of neighbours.
// SPDX-License-Identifier: Apache-2.0
#include "base/nearest.h"

#define WORD_SIZE_MAX 64

static uint8_t lower(uint8_t c)
{
    return c >= 'A' && c <= 'Z' ? (uint8_t)(c + 32) : c;
}

size_t nearest_distance(struct slice a, struct slice b)
{
    size_t rows[3][WORD_SIZE_MAX + 1];
    size_t a_size = MIN(a.size, WORD_SIZE_MAX);
    size_t b_size = MIN(b.size, WORD_SIZE_MAX);
    for (size_t j = 0; j <= b_size; j++)
        rows[0][j] = j;
    for (size_t i = 1; i <= a_size; i++) {
        size_t *now = rows[i % 3];
        const size_t *last = rows[(i - 1) % 3];
        now[0] = i;
        for (size_t j = 1; j <= b_size; j++) {
            bool same = lower(a.data[i - 1]) == lower(b.data[j - 1]);
            size_t best = last[j - 1] + (same ? 0 : 1);
            best = MIN(best, MIN(last[j], now[j - 1]) + 1);
            bool swapped = i > 1 && j > 1 && lower(a.data[i - 1]) == lower(b.data[j - 2]) &&
                           lower(a.data[i - 2]) == lower(b.data[j - 1]);
            now[j] = swapped ? MIN(best, rows[(i - 2) % 3][j - 2] + 1) : best;
        }
    }
    return rows[a_size % 3][b_size];
}

void nearest_init(struct nearest *nearest, struct slice word)
{
    /* A third of the letters may be wrong, and one always. */
    *nearest =
        (struct nearest){.word = word, .distance = MAX(MIN(word.size, WORD_SIZE_MAX) / 3, 1) + 1};
}

void nearest_offer(struct nearest *nearest, struct slice candidate)
{
    size_t distance = nearest_distance(nearest->word, candidate);
    bool begins = nearest->word.size >= 3 && candidate.size > nearest->word.size &&
                  memcmp(candidate.data, nearest->word.data, nearest->word.size) == 0;
    if (begins)
        distance = MIN(distance, 1);
    if (distance < nearest->distance) {
        nearest->distance = distance;
        nearest->best = candidate;
    }
}
