// Publish, subscribe, requests, queues, headers and drain with both NATS clients for node.
// SPDX-License-Identifier: Apache-2.0
import assert from "node:assert/strict";
import test from "node:test";
import * as old from "nats";
import * as current from "@nats-io/transport-node";

const servers = process.env.LEAT_NATS;
const bytes = (text) => new TextEncoder().encode(text);
const text = (message) => new TextDecoder().decode(message.data);

for (const [name, client] of [["nats", old], ["@nats-io/transport-node", current]]) {
    const dial = (options = {}) => client.connect({ servers, ...options });

    test(`${name}: publish and subscribe`, async () => {
        const nc = await dial({ name: "unit" });
        assert.equal(nc.info.headers, true);
        const sub = nc.subscribe("js.*.x", { max: 100 });
        for (let i = 0; i < 100; i++) nc.publish(`js.${i}.x`, bytes(String(i)));
        let count = 0;
        for await (const message of sub) {
            assert.equal(message.subject, `js.${count}.x`);
            assert.equal(text(message), String(count));
            count++;
        }
        assert.equal(count, 100);
        await nc.close();
    });

    test(`${name}: requests, headers, no responders`, async () => {
        const service = await dial();
        service.subscribe("js.echo", {
            callback: (_, message) => message.respond(message.data, { headers: message.headers }),
        });
        await service.flush();
        const nc = await dial();
        const headers = client.headers();
        headers.append("Two", "1");
        headers.append("Two", "2");
        const answer = await nc.request("js.echo", bytes("hi"), { timeout: 10000, headers });
        assert.equal(text(answer), "hi");
        assert.deepEqual(answer.headers.values("Two"), ["1", "2"]);
        await assert.rejects(nc.request("js.nobody", bytes("x"), { timeout: 10000 }),
            (error) => /503|no responders/i.test(`${error.code} ${error.message}`));
        await service.close();
        await nc.close();
    });

    test(`${name}: queue groups and drain`, async () => {
        const members = await Promise.all([dial(), dial(), dial()]);
        const counts = [0, 0, 0];
        members.forEach((member, i) =>
            member.subscribe("js.work", { queue: "q", callback: () => counts[i]++ }));
        await Promise.all(members.map((member) => member.flush()));
        const nc = await dial();
        for (let i = 0; i < 300; i++) nc.publish("js.work", bytes("x"));
        await nc.flush();
        await Promise.all(members.map((member) => member.drain()));
        assert.equal(counts.reduce((a, b) => a + b), 300);
        await nc.close();
    });

    test(`${name}: a megabyte`, async () => {
        const nc = await dial();
        const sub = nc.subscribe("js.big", { max: 1 });
        const payload = new Uint8Array(1 << 20).fill(7);
        nc.publish("js.big", payload);
        for await (const message of sub) assert.deepEqual(message.data, payload);
        await nc.close();
    });
}
