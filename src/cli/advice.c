// Explains advertised addresses and full disks.
// SPDX-License-Identifier: Apache-2.0
#include "cli/advice.h"

#include "base/text.h"
#include "cli/stamp.h"

#define USABLE_PERCENT_MIN   10
#define USABLE_PERCENT_ALARM 2

bool cli_advice_is_loopback(const char *host)
{
    return strncmp(host, "127.", 4) == 0 || strcmp(host, "::1") == 0 ||
           strcmp(host, "localhost") == 0 || strcmp(host, "ip6-localhost") == 0;
}

static bool is_wildcard(const char *host)
{
    return strcmp(host, "0.0.0.0") == 0 || strcmp(host, "::") == 0 || *host == '\0';
}

static void add_setting(const struct cli_advice_case *found, struct text *fix)
{
    bool bracket = strchr(found->dialled.host, ':') != NULL;
    text_add_format(fix,
                    "on the server, set in the kafka block of leat.conf: advertised.listeners: "
                    "\"PLAINTEXT://%s%s%s:%s\" and restart it (or leave advertised.listeners "
                    "out: then leatd answers with the address that a client dialled)",
                    bracket ? "[" : "", found->dialled.host, bracket ? "]" : "",
                    found->dialled.port);
}

static void explain(const struct cli_advice_case *found, struct text *what)
{
    bool near = cli_advice_is_loopback(found->dialled.host);
    if (is_wildcard(found->host))
        text_add_text(what, "that is no address that can be dialled: it only says where to listen");
    else if (cli_advice_is_loopback(found->host) && !near)
        text_add_text(what, "that is the client's own machine, so that only clients on the "
                            "server's machine find it");
    else if (found->err == ERR_NOT_FOUND)
        text_add_text(what, "that name is not known here; perhaps it is that of a container or "
                            "of a machine in another network");
    else if (found->err == ERR_CLOSED)
        text_add_text(what, "nobody listens there; perhaps the port is mapped to another one");
    else if (found->err == ERR_TIMEOUT)
        text_add_text(what, "nothing comes back; perhaps a firewall is between, or it is an "
                            "address of another network");
    else if (found->other_cluster)
        text_add_text(what, "another cluster answers there");
    else
        text_add_text(what, found->words ? found->words : "it cannot be used");
}

enum cli_advice_level cli_advice_address(const struct cli_advice_case *found, struct text *what,
                                         struct text *fix)
{
    bool bad_words = is_wildcard(found->host) || (cli_advice_is_loopback(found->host) &&
                                                  !cli_advice_is_loopback(found->dialled.host));
    bool bracket = strchr(found->host, ':') != NULL;
    text_add_format(what, "advertises %s%s%s:%d", bracket ? "[" : "", found->host,
                    bracket ? "]" : "", found->port);
    if (!found->err && !found->other_cluster && !bad_words) {
        text_add_text(what, ", which answers");
        return CLI_ADVICE_OK;
    }
    text_add_text(what, ": ");
    explain(found, what);
    text_add_text(what, ". A client connects, is sent there, and fails");
    add_setting(found, fix);
    return CLI_ADVICE_PROBLEM;
}

enum cli_advice_level cli_advice_disk(int64_t total, int64_t usable, struct text *what,
                                      struct text *fix)
{
    if (total <= 0 || usable < 0) {
        text_add_text(what, "does not say how full it is");
        return CLI_ADVICE_OK;
    }
    int64_t percent = usable / MAX(total / 100, 1);
    text_add_text(what, "has ");
    cli_stamp_add_size(what, usable);
    text_add_text(what, " of ");
    cli_stamp_add_size(what, total);
    text_add_text(what, " left");
    if (percent >= USABLE_PERCENT_MIN)
        return CLI_ADVICE_OK;
    text_add_text(fix, "delete what is not needed (leat topic list shows sizes), shorten retention "
                       "(leat topic config TOPIC retention.ms=3d), or give it a larger disk");
    return percent < USABLE_PERCENT_ALARM ? CLI_ADVICE_PROBLEM : CLI_ADVICE_WARNING;
}
