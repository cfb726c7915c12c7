// Tests of /healthz: what makes the server unwell, and that the reason is told.
// SPDX-License-Identifier: Apache-2.0
#include "server/pages_fixture.h"

static void ask_fn(struct core *core, void *arg)
{
    struct behind *behind = arg;
    struct admin_call call = {behind};
    for (size_t i = 0; i < SERVER_PAGES_COUNT; i++) {
        const struct admin_page *page = &behind->pages.pages[i];
        if (strcmp(page->path, "/healthz") == 0)
            page->fn(page->arg, SLICE_NULL, &call);
    }
}

static void assert_health(struct behind *behind, int status, const char *words)
{
    behind->status = 0;
    fixture_on(behind->f, 0, ask_fn, behind);
    assert_int_equal(behind->status, status);
    if (!strstr(behind->body, words))
        fail_msg("'%s' lacks '%s'", behind->body, words);
}

static void the_reason_of_being_unwell_is_told(void **state)
{
    struct behind behind = {.f = fixture_new(2)};
    struct server_pages_options options = {
        .reactor = behind.f->reactor,
        .broker = behind.f->broker,
        .draining = &behind.draining,
        .starting = &behind.starting,
    };
    server_pages_init(&behind.pages, &options);
    assert_int_equal(fixture_create(behind.f, 0, "a", 1), ERR_OK);
    assert_int_equal(fixture_create(behind.f, 0, "b", 3), ERR_OK);
    assert_health(&behind, 200, "{\"status\":\"ok\"}");
    const struct broker_topic *topic = fixture_find(behind.f, 0, "b");
    atomic_store(&topic->partitions[2]->offline, true);
    assert_health(&behind, 503, "partitions are offline");
    atomic_store(&topic->partitions[2]->offline, false);
    broker_topic_unref(topic);
    assert_health(&behind, 200, "ok");
    atomic_store(&lacks_space, true);
    assert_health(&behind, 503, "disk is full");
    atomic_store(&lacks_space, false);
    behind.starting = true;
    assert_health(&behind, 503, "starting");
    behind.draining = true;
    assert_health(&behind, 503, "draining");
    fixture_free(behind.f);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_reason_of_being_unwell_is_told),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
