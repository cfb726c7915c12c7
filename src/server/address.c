// Parses addresses to listen on and to advertise; looks up no names.
// SPDX-License-Identifier: Apache-2.0
#include "server/address.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <stdio.h>

enum limit { HOST_SIZE_MAX = 255 };

static enum err complain(struct diag *diag, struct slice text, const char *words)
{
    diag_set(diag, "'%.*s': %s", (int)MIN(text.size, 300), (const char *)text.data, words);
    return ERR_INVALID;
}

/* Takes "NAME://" off the front. */
static enum err skip_protocol(struct slice *text, struct diag *diag)
{
    const uint8_t *mark = text->size > 3 ? memmem(text->data, text->size, "://", 3) : NULL;
    if (!mark)
        return ERR_OK;
    struct slice protocol = slice_make(text->data, (size_t)(mark - text->data));
    if (!slice_equal_text(protocol, "PLAINTEXT")) {
        complain(diag, *text, "only PLAINTEXT listeners exist in Leat so far");
        return ERR_UNSUPPORTED;
    }
    *text = slice_make(mark + 3, text->size - protocol.size - 3);
    return ERR_OK;
}

/* Splits at the last ':'; brackets around the host go. */
static enum err split(struct slice text, struct slice *out_host, uint16_t *out_port,
                      struct diag *diag)
{
    const uint8_t *colon = text.size > 0 ? memrchr(text.data, ':', text.size) : NULL;
    size_t host_size = colon ? (size_t)(colon - text.data) : 0;
    struct slice port_text = colon ? slice_make(colon + 1, text.size - host_size - 1) : text;
    uint64_t port;
    if (!text_parse_u64(port_text, &port) || port > UINT16_MAX)
        return complain(diag, text, "a port from 0 to 65535 must follow the last ':'");
    struct slice host = slice_make(text.data, host_size);
    bool is_bracketed = host.size > 1 && host.data[0] == '[' && host.data[host.size - 1] == ']';
    if (is_bracketed)
        host = slice_make(host.data + 1, host.size - 2);
    else if (host.size > 0 && memchr(host.data, ':', host.size))
        return complain(diag, text, "an IPv6 address stands in brackets: [::1]:9092");
    if (host.size > HOST_SIZE_MAX || (host.size > 0 && memchr(host.data, 0, host.size)))
        return complain(diag, text, "this is no host name");
    *out_host = colon ? host : SLICE_NULL;
    *out_port = (uint16_t)port;
    return ERR_OK;
}

enum err server_address_parse(struct slice text, struct server_address *out, struct diag *diag)
{
    struct slice host;
    struct slice rest = text;
    uint16_t port;
    enum err err = skip_protocol(&rest, diag);
    if (!err)
        err = split(rest, &host, &port, diag);
    if (err)
        return err;
    char name[HOST_SIZE_MAX + 1] = "127.0.0.1";
    if (host.data && (host.size == 0 || slice_equal_text(host, "*")))
        snprintf(name, sizeof(name), "0.0.0.0");
    else if (host.data && !slice_equal_text(host, "localhost"))
        snprintf(name, sizeof(name), "%.*s", (int)host.size, (const char *)host.data);
    struct server_address address = {0};
    struct sockaddr_in *v4 = (struct sockaddr_in *)&address.socket;
    struct sockaddr_in6 *v6 = (struct sockaddr_in6 *)&address.socket;
    if (inet_pton(AF_INET, name, &v4->sin_addr) == 1) {
        v4->sin_family = AF_INET;
        v4->sin_port = htons(port);
        address.socket_size = sizeof(*v4);
    } else if (inet_pton(AF_INET6, name, &v6->sin6_addr) == 1) {
        v6->sin6_family = AF_INET6;
        v6->sin6_port = htons(port);
        address.socket_size = sizeof(*v6);
    } else {
        return complain(diag, text, "the address to listen on must be numeric or 'localhost'");
    }
    *out = address;
    return ERR_OK;
}

enum err server_address_parse_name(struct slice text, struct arena *arena, struct slice *out_host,
                                   uint16_t *out_port, struct diag *diag)
{
    struct slice host;
    struct slice rest = text;
    uint16_t port;
    enum err err = skip_protocol(&rest, diag);
    if (!err)
        err = split(rest, &host, &port, diag);
    if (err)
        return err;
    if (host.size == 0 || port == 0 || slice_equal_text(host, "0.0.0.0") ||
        slice_equal_text(host, "::"))
        return complain(diag, text, "clients need a host name or address and a port");
    struct slice copy = arena_copy(arena, host);
    if (!copy.data)
        return ERR_NO_MEMORY;
    *out_host = copy;
    *out_port = port;
    return ERR_OK;
}

void server_address_add(struct text *text, const struct sockaddr_storage *address)
{
    char name[INET6_ADDRSTRLEN] = "?";
    if (address->ss_family == AF_INET) {
        const struct sockaddr_in *v4 = (const struct sockaddr_in *)address;
        inet_ntop(AF_INET, &v4->sin_addr, name, sizeof(name));
        text_add_format(text, "%s:%u", name, ntohs(v4->sin_port));
    } else {
        const struct sockaddr_in6 *v6 = (const struct sockaddr_in6 *)address;
        inet_ntop(AF_INET6, &v6->sin6_addr, name, sizeof(name));
        text_add_format(text, "[%s]:%u", name, ntohs(v6->sin6_port));
    }
}

uint16_t server_address_port(const struct sockaddr_storage *address)
{
    return ntohs(address->ss_family == AF_INET6 ? ((const struct sockaddr_in6 *)address)->sin6_port
                                                : ((const struct sockaddr_in *)address)->sin_port);
}
