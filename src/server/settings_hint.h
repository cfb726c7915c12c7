// Words for keys of the configuration that are not taken: where they belong, or what was meant.
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "server/conf.h"

/* Whether Kafka has a setting of that name for brokers, and Leat has not. */
bool server_settings_hint_is_absent(struct slice name);

/* Each says with file, line and column why a key is not taken, and is ERR_INVALID. */

/* At the top level: a setting of Kafka's belongs into the block kafka. */
enum err server_settings_hint_top(const struct server_conf_pair *pair, struct diag *diag);
/* In the block kafka: a key of the top level belongs outside; one that Kafka has and Leat has not
 * is called so, with what stands in its place and the others like it further down in the block. */
enum err server_settings_hint_kafka(const struct server_conf_pair *pair, struct diag *diag);
/* In the topic of that name; known: the names that a topic takes. */
enum err server_settings_hint_topic(const struct server_conf_pair *pair, struct slice topic,
                                    const struct slice *known, size_t count, struct diag *diag);
