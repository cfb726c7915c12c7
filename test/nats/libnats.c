// Core NATS through nats.c: publish, subscribe, requests, queues, headers, unsubscribe, drain.
// SPDX-License-Identifier: Apache-2.0
#include <nats/nats.h>
#include <stdio.h>
#include <string.h>

#define TIMEOUT_MS 10000

#define MUST(call)                                                                                 \
    do {                                                                                           \
        natsStatus status = (call);                                                                \
        if (status != NATS_OK) {                                                                   \
            printf("%s:%d: %s: %s\n", __FILE__, __LINE__, #call, natsStatus_GetText(status));      \
            return 1;                                                                              \
        }                                                                                          \
    } while (0)

#define MUST_BE(condition)                                                                         \
    do {                                                                                           \
        if (!(condition)) {                                                                        \
            printf("%s:%d: %s\n", __FILE__, __LINE__, #condition);                                 \
            return 1;                                                                              \
        }                                                                                          \
    } while (0)

static void echo(natsConnection *nc, natsSubscription *sub, natsMsg *msg, void *arg)
{
    natsConnection_Publish(nc, natsMsg_GetReply(msg), natsMsg_GetData(msg),
                           natsMsg_GetDataLength(msg));
    natsMsg_Destroy(msg);
}

static int publish_and_subscribe(natsConnection *nc)
{
    natsSubscription *sub = NULL;
    natsMsg *msg = NULL;
    MUST(natsConnection_SubscribeSync(&sub, nc, "c.>"));
    for (int i = 0; i < 1000; i++) {
        char subject[32];
        snprintf(subject, sizeof(subject), "c.%d", i);
        MUST(natsConnection_PublishString(nc, subject, subject));
    }
    for (int i = 0; i < 1000; i++) {
        char subject[32];
        snprintf(subject, sizeof(subject), "c.%d", i);
        MUST(natsSubscription_NextMsg(&msg, sub, TIMEOUT_MS));
        MUST_BE(strcmp(natsMsg_GetSubject(msg), subject) == 0);
        MUST_BE(natsMsg_GetDataLength(msg) == (int)strlen(subject));
        natsMsg_Destroy(msg);
    }
    MUST(natsSubscription_AutoUnsubscribe(sub, 1001));
    MUST(natsConnection_PublishString(nc, "c.x", "last"));
    MUST(natsConnection_PublishString(nc, "c.x", "too many"));
    MUST(natsSubscription_NextMsg(&msg, sub, TIMEOUT_MS));
    natsMsg_Destroy(msg);
    MUST_BE(natsSubscription_NextMsg(&msg, sub, 100) == NATS_MAX_DELIVERED_MSGS);
    natsSubscription_Destroy(sub);
    return 0;
}

static int requests(natsConnection *nc, natsConnection *other)
{
    natsSubscription *sub = NULL;
    natsMsg *msg = NULL;
    MUST(natsConnection_QueueSubscribe(&sub, other, "c-echo", "q", echo, NULL));
    MUST(natsConnection_Flush(other));
    for (int i = 0; i < 100; i++) {
        MUST(natsConnection_RequestString(&msg, nc, "c-echo", "ping", TIMEOUT_MS));
        MUST_BE(natsMsg_GetDataLength(msg) == 4);
        natsMsg_Destroy(msg);
    }
    MUST_BE(natsConnection_RequestString(&msg, nc, "c-nobody", "x", TIMEOUT_MS) ==
            NATS_NO_RESPONDERS);
    MUST(natsSubscription_Drain(sub));
    MUST(natsSubscription_WaitForDrainCompletion(sub, TIMEOUT_MS));
    natsSubscription_Destroy(sub);
    return 0;
}

static int headers(natsConnection *nc)
{
    natsSubscription *sub = NULL;
    natsMsg *msg = NULL;
    const char *value = NULL;
    MUST(natsConnection_SubscribeSync(&sub, nc, "c-headers"));
    MUST(natsMsg_Create(&msg, "c-headers", NULL, "body", 4));
    MUST(natsMsgHeader_Set(msg, "Name", "value"));
    MUST(natsConnection_PublishMsg(nc, msg));
    natsMsg_Destroy(msg);
    MUST(natsSubscription_NextMsg(&msg, sub, TIMEOUT_MS));
    MUST(natsMsgHeader_Get(msg, "Name", &value));
    MUST_BE(strcmp(value, "value") == 0 && natsMsg_GetDataLength(msg) == 4);
    natsMsg_Destroy(msg);
    natsSubscription_Destroy(sub);
    return 0;
}

int main(int argc, char **argv)
{
    natsConnection *nc = NULL;
    natsConnection *other = NULL;
    MUST_BE(argc == 2);
    MUST(natsConnection_ConnectTo(&nc, argv[1]));
    MUST(natsConnection_ConnectTo(&other, argv[1]));
    if (publish_and_subscribe(nc) || requests(nc, other) || headers(nc))
        return 1;
    natsConnection_Destroy(other);
    natsConnection_Destroy(nc);
    nats_Close();
    return 0;
}
