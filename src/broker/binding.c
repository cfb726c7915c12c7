// What nats.subjects may be, and that no two topics are bound to one subject.
// SPDX-License-Identifier: Apache-2.0
#include "broker/binding.h"

#include <stdlib.h>

#include "base/subject.h"
#include "broker/owner.h"

#define TEXT_SIZE_MAX ((size_t)32 << 10) /* of the whole list: Kafka's string is not longer */

/* A topic's binding, in force or about to be. */
struct binding_claim {
    struct list node; /* in owner.bindings */
    struct uuid id;
    struct broker_binding *binding;
};

struct broker_binding *broker_binding_ref(struct broker_binding *binding)
{
    if (binding)
        atomic_fetch_add_explicit(&binding->refs, 1, memory_order_relaxed);
    return binding;
}

void broker_binding_unref(struct broker_binding *binding)
{
    if (!binding || atomic_fetch_sub_explicit(&binding->refs, 1, memory_order_acq_rel) != 1)
        return;
    free(binding->filters);
    free(binding->text);
    free(binding);
}

static struct slice first_token(struct slice subject)
{
    struct slice token = SLICE_NULL;
    (void)subject_token_next(&subject, &token);
    return token;
}

bool broker_binding_is_reserved(struct slice subject)
{
    if (subject.size == 0 || (subject.data[0] != '$' && subject.data[0] != '_'))
        return false;
    struct slice first = first_token(subject);
    return slice_equal_text(first, "$JS") || slice_equal_text(first, "$SYS") ||
           slice_equal_text(first, "_INBOX");
}

/* --- reading ---------------------------------------------------------------------------------- */

static struct slice trim(struct slice text)
{
    while (text.size > 0 && (text.data[0] == ' ' || text.data[0] == '\t'))
        text = slice_make(text.data + 1, text.size - 1);
    while (text.size > 0 && (text.data[text.size - 1] == ' ' || text.data[text.size - 1] == '\t'))
        text.size--;
    return text;
}

static struct slice list_next(struct slice *rest)
{
    const uint8_t *comma = memchr(rest->data, ',', rest->size);
    struct slice part = slice_make(rest->data, comma ? (size_t)(comma - rest->data) : rest->size);
    size_t used = part.size + (comma ? 1 : 0);
    *rest = slice_make(rest->data + used, rest->size - used);
    return trim(part);
}

static enum err complain(struct diag *diag, struct slice filter, const char *words)
{
    diag_set(diag, BROKER_BINDING_NAME ": '%.*s' %s", (int)MIN(filter.size, (size_t)80),
             (const char *)filter.data, words);
    return ERR_INVALID;
}

static bool has_control(struct slice filter)
{
    for (size_t i = 0; i < filter.size; i++)
        if (filter.data[i] <= ' ' || filter.data[i] == 0x7f)
            return true;
    return false;
}

static enum err check_filter(struct slice filter, struct diag *diag)
{
    if (filter.size > BROKER_BINDING_FILTER_SIZE_MAX)
        return complain(diag, filter, "is longer than 256 bytes");
    if (has_control(filter) || !subject_is_valid(filter))
        return complain(diag, filter, "is no subject");
    if (broker_binding_is_reserved(filter))
        return complain(diag, filter, "is a server's own: $JS.>, $SYS.> and _INBOX.> are");
    return ERR_OK;
}

/* Filters under construction; they point into texts that outlive it. */
struct draft {
    struct slice filters[BROKER_BINDING_FILTERS_MAX];
    size_t count;
};

static enum err draft_add(struct draft *draft, struct slice filter, struct diag *diag)
{
    enum err err = check_filter(filter, diag);
    if (err)
        return err;
    for (size_t i = 0; i < draft->count; i++)
        if (subject_collide(draft->filters[i], filter))
            return complain(diag, filter, "overlaps with another one of the list");
    if (draft->count == BROKER_BINDING_FILTERS_MAX)
        return complain(diag, filter, "is one too many: a topic has at most 256");
    draft->filters[draft->count++] = filter;
    return ERR_OK;
}

static enum err draft_add_list(struct draft *draft, struct slice text, struct diag *diag)
{
    enum err err = ERR_OK;
    while (text.size > 0 && !err)
        err = draft_add(draft, list_next(&text), diag);
    return err;
}

static void draft_remove(struct draft *draft, struct slice filter)
{
    size_t kept = 0;
    for (size_t i = 0; i < draft->count; i++)
        if (!slice_equal(draft->filters[i], filter))
            draft->filters[kept++] = draft->filters[i];
    draft->count = kept;
}

static struct broker_binding *draft_finish(const struct draft *draft)
{
    struct broker_binding *binding = calloc(1, sizeof(*binding));
    size_t size = 0;
    for (size_t i = 0; i < draft->count; i++)
        size += draft->filters[i].size + 1;
    if (!binding)
        return NULL;
    atomic_init(&binding->refs, 1);
    binding->count = draft->count;
    binding->filters = calloc(draft->count, sizeof(*binding->filters));
    binding->text = malloc(size);
    if (!binding->filters || !binding->text) {
        broker_binding_unref(binding);
        return NULL;
    }
    char *at = binding->text;
    for (size_t i = 0; i < draft->count; i++) {
        size_t filter_size = draft->filters[i].size;
        memcpy(at, draft->filters[i].data, filter_size);
        binding->filters[i] = slice_make(at, filter_size);
        at += filter_size;
        *at++ = i + 1 < draft->count ? ',' : '\0';
    }
    return binding;
}

static enum err draft_change(struct draft *draft, const struct broker_binding *now,
                             const struct broker_setting_change *change, struct diag *diag)
{
    struct slice rest = change->value;
    enum broker_setting_op op = change->op;
    bool keeps = op == BROKER_SETTING_APPEND || op == BROKER_SETTING_SUBTRACT;
    for (size_t i = 0; keeps && now && i < now->count; i++)
        draft->filters[draft->count++] = now->filters[i];
    if (op == BROKER_SETTING_DELETE || !rest.data)
        return ERR_OK;
    while (op == BROKER_SETTING_SUBTRACT && rest.size > 0)
        draft_remove(draft, list_next(&rest));
    return op == BROKER_SETTING_SUBTRACT ? ERR_OK : draft_add_list(draft, trim(rest), diag);
}

enum err broker_binding_change(struct broker_binding **binding,
                               const struct broker_setting_change *change, struct diag *diag)
{
    struct broker_binding *after = NULL;
    if (change->value.size > TEXT_SIZE_MAX) {
        diag_set(diag, BROKER_BINDING_NAME ": the value is longer than %zu bytes", TEXT_SIZE_MAX);
        return ERR_INVALID;
    }
    struct draft *draft = calloc(1, sizeof(*draft));
    enum err err = draft ? draft_change(draft, *binding, change, diag) : ERR_NO_MEMORY;
    if (!err && draft->count > 0) {
        after = draft_finish(draft);
        err = after ? ERR_OK : ERR_NO_MEMORY;
    }
    free(draft);
    if (err)
        return err;
    broker_binding_unref(*binding);
    *binding = after;
    return ERR_OK;
}

/* --- claims ----------------------------------------------------------------------------------- */

static enum err check_view(struct slice prefix, struct slice filter, struct diag *diag)
{
    if (prefix.data && slice_equal(first_token(filter), prefix))
        return complain(diag, filter, "leads into the subjects of topics themselves");
    return ERR_OK;
}

static enum err check_against(const struct binding_claim *claim,
                              const struct broker_binding *binding, struct diag *diag)
{
    for (size_t i = 0; i < claim->binding->count; i++) {
        for (size_t k = 0; k < binding->count; k++) {
            if (!subject_collide(claim->binding->filters[i], binding->filters[k]))
                continue;
            diag_set(diag, BROKER_BINDING_NAME ": '%.*s' overlaps with '%.*s' of another topic",
                     (int)MIN(binding->filters[k].size, (size_t)80),
                     (const char *)binding->filters[k].data,
                     (int)MIN(claim->binding->filters[i].size, (size_t)80),
                     (const char *)claim->binding->filters[i].data);
            return ERR_INVALID;
        }
    }
    return ERR_OK;
}

enum err broker_binding_check_among(const struct list *claims, struct slice view_prefix,
                                    const struct uuid *id, const struct broker_binding *binding,
                                    struct diag *diag)
{
    size_t total = binding ? binding->count : 0;
    for (size_t i = 0; binding && i < binding->count; i++) {
        enum err err = check_view(view_prefix, binding->filters[i], diag);
        if (err)
            return err;
    }
    if (!binding)
        return ERR_OK;
    list_for_each (node, claims) {
        const struct binding_claim *claim = LIST_ENTRY(node, struct binding_claim, node);
        bool is_own = uuid_equal(&claim->id, id);
        enum err err = is_own ? ERR_OK : check_against(claim, binding, diag);
        if (err)
            return err;
        total += is_own ? 0 : claim->binding->count;
    }
    if (total <= BROKER_BINDING_TOTAL_MAX)
        return ERR_OK;
    diag_set(diag, BROKER_BINDING_NAME ": more than %d subjects are bound in all",
             BROKER_BINDING_TOTAL_MAX);
    return ERR_INVALID;
}

enum err broker_binding_check(struct core *core, const struct uuid *id,
                              const struct broker_binding *binding, struct diag *diag)
{
    return broker_binding_check_among(&broker_owner_of(core)->bindings,
                                      broker_core(core)->broker->view_prefix, id, binding, diag);
}

enum err broker_binding_take(struct core *core, const struct uuid *id,
                             struct broker_binding *binding, struct diag *diag)
{
    enum err err = broker_binding_check(core, id, binding, diag);
    return err ? err : broker_binding_claim(core, id, binding);
}

enum err broker_binding_claim_among(struct list *claims, const struct uuid *id,
                                    struct broker_binding *binding)
{
    if (!binding)
        return ERR_OK;
    struct binding_claim *claim = malloc(sizeof(*claim));
    if (!claim)
        return ERR_NO_MEMORY;
    claim->id = *id;
    claim->binding = broker_binding_ref(binding);
    list_push_back(claims, &claim->node);
    return ERR_OK;
}

enum err broker_binding_claim(struct core *core, const struct uuid *id,
                              struct broker_binding *binding)
{
    return broker_binding_claim_among(&broker_owner_of(core)->bindings, id, binding);
}

static void claim_free(struct binding_claim *claim)
{
    list_remove(&claim->node);
    broker_binding_unref(claim->binding);
    free(claim);
}

void broker_binding_release(struct core *core, const struct uuid *id,
                            const struct broker_binding *binding)
{
    list_for_each (node, &broker_owner_of(core)->bindings) {
        struct binding_claim *claim = LIST_ENTRY(node, struct binding_claim, node);
        if (claim->binding != binding || !uuid_equal(&claim->id, id))
            continue;
        claim_free(claim);
        return;
    }
}

void broker_binding_free_claims(struct list *claims)
{
    struct list *node;
    while ((node = list_first(claims)))
        claim_free(LIST_ENTRY(node, struct binding_claim, node));
}

void broker_binding_listen(struct core *core,
                           void (*changed)(void *arg, const struct broker_topic *before,
                                           const struct broker_topic *after),
                           void *arg)
{
    struct broker_core *here = broker_core(core);
    here->topic_rebound = changed;
    here->topic_rebound_arg = arg;
}
