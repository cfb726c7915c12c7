// INFO: what the server says of itself, to each connection.
// SPDX-License-Identifier: Apache-2.0
#include <arpa/inet.h>

#include "nats/conn.h"

#define ID_BYTES 35 /* prefix, 32 random bytes, checksum */

/* CRC-16 with polynomial 0x1021 (XMODEM), which the names of servers end with. */
static uint16_t crc16(struct slice bytes)
{
    uint16_t crc = 0;
    for (size_t i = 0; i < bytes.size; i++) {
        crc = (uint16_t)(crc ^ (bytes.data[i] << 8));
        for (unsigned bit = 0; bit < 8; bit++)
            crc = (uint16_t)(crc & 0x8000 ? (crc << 1) ^ 0x1021 : crc << 1);
    }
    return crc;
}

void nats_info_make_id(struct nats *nats, const uint8_t random[32])
{
    static const char digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZ234567";
    uint8_t bytes[ID_BYTES] = {13 << 3}; /* begins with 'N' */
    memcpy(bytes + 1, random, 32);
    uint16_t crc = crc16(slice_make(bytes, 33));
    bytes[33] = (uint8_t)crc;
    bytes[34] = (uint8_t)(crc >> 8);
    for (size_t i = 0; i < NATS_ID_SIZE; i++) {
        size_t bit = i * 5;
        unsigned pair = (unsigned)bytes[bit / 8] << 8;
        if (bit / 8 + 1 < ID_BYTES)
            pair |= bytes[bit / 8 + 1];
        nats->id[i] = digits[(pair >> (11 - bit % 8)) & 31];
    }
    nats->id[NATS_ID_SIZE] = '\0';
}

static void address_text(const struct sockaddr_storage *address, char out[INET6_ADDRSTRLEN])
{
    const void *bytes = &((const struct sockaddr_in *)address)->sin_addr;
    int family = address->ss_family;
    if (family == AF_INET6) {
        const struct sockaddr_in6 *v6 = (const struct sockaddr_in6 *)address;
        bytes = &v6->sin6_addr;
        if (IN6_IS_ADDR_V4MAPPED(&v6->sin6_addr)) {
            bytes = &v6->sin6_addr.s6_addr[12];
            family = AF_INET;
        }
    }
    if (!inet_ntop(family, bytes, out, INET6_ADDRSTRLEN))
        out[0] = '\0';
}

void nats_info_send(struct nats_conn *conn, bool is_connect_info)
{
    const struct nats *nats = conn->home->nats;
    const struct nats_config *config = conn->config;
    char client_ip[INET6_ADDRSTRLEN];
    address_text(conn_peer_address(conn->conn), client_ip);
    struct slice id = slice_make(nats->id, NATS_ID_SIZE);
    struct wire_nats_info info = {
        .server_id = id,
        .server_name = config->server_name.data ? config->server_name : id,
        .version = SLICE_LITERAL(NATS_VERSION),
        .proto = 1,
        .go = slice_text(nats->options.software),
        .host = slice_text(nats->host),
        .port = nats->port,
        .headers = !config->no_headers,
        .auth_required = nats_config_needs_login(config) && !config->no_auth_user,
        .max_payload = config->payload_size_max,
        .client_id = conn->id,
        .client_ip = slice_text(client_ip),
        .ldm = conn->home->is_lame,
        .connect_info = is_connect_info,
        .remote_account = is_connect_info ? SLICE_LITERAL("$G") : SLICE_NULL,
    };
    struct text text;
    text_init(&text);
    wire_nats_json_info_encode(&info, &text);
    if (text.failed)
        conn_abort(conn->conn, CONN_CLOSED_MEMORY);
    else
        (void)conn_write(conn->conn, text_slice(&text));
    text_deinit(&text);
}

void nats_info_set_address(struct nats *nats, const struct sockaddr_storage *address)
{
    address_text(address, nats->host);
    nats->port =
        ntohs(address->ss_family == AF_INET6 ? ((const struct sockaddr_in6 *)address)->sin6_port
                                             : ((const struct sockaddr_in *)address)->sin_port);
}

void nats_info_client_ip(const struct nats_conn *conn, char out[INET6_ADDRSTRLEN])
{
    address_text(conn_peer_address(conn->conn), out);
}
