// A short real job with the official JavaScript client: stream, publish with ids, pull, ack, KV, object.
// Run with the server's address as the only argument; ends with an error at the first surprise.
import assert from "node:assert/strict";
import { connect, nuid } from "@nats-io/transport-node";
import { AckPolicy, jetstream, jetstreamManager } from "@nats-io/jetstream";
import { Kvm } from "@nats-io/kv";
import { Objm } from "@nats-io/obj";

const connection = await connect({ servers: process.argv[2] });
const manager = await jetstreamManager(connection);
const client = jetstream(connection);

await manager.streams.add({ name: "ORDERS", subjects: ["orders.>"] });
for (let number = 1; number <= 10; number++) {
  const ack = await client.publish(`orders.${number % 2}`, `coffee ${number}`, { msgID: `order-${number}` });
  assert.deepEqual([ack.stream, ack.seq, ack.duplicate], ["ORDERS", number, false]);
}
const again = await client.publish("orders.0", "coffee 10", { msgID: "order-10" });
assert.deepEqual([again.seq, again.duplicate], [10, true]);

await manager.consumers.add("ORDERS", { durable_name: "even", ack_policy: AckPolicy.Explicit, filter_subject: "orders.0" });
const even = await client.consumers.get("ORDERS", "even");
const seen = [];
for await (const message of await even.fetch({ max_messages: 5, expires: 5000 })) {
  seen.push(message.seq);
  assert.ok(await message.ackAck());
}
assert.deepEqual(seen, [2, 4, 6, 8, 10]);
const state = await even.info();
assert.deepEqual([state.num_pending, state.num_ack_pending, state.ack_floor.stream_seq], [0, 0, 10]);

const ordered = await client.consumers.get("ORDERS");
const all = [];
const messages = await ordered.consume();
for await (const message of messages) {
  all.push(message.string());
  if (all.length === 10) break;
}
assert.equal(all[9], "coffee 10");

const bucket = await new Kvm(connection).create("settings", { history: 5 });
const first = await bucket.put("color", "blue");
const second = await bucket.update("color", "green", first);
await assert.rejects(bucket.update("color", "red", first), "a stale revision");
assert.equal((await bucket.get("color")).string(), "green");
const history = [];
for await (const entry of await bucket.history({ key: "color" })) history.push(entry.revision);
assert.deepEqual(history, [first, second]);
const watch = await bucket.watch({ key: "size" });
await bucket.put("size", "large");
for await (const entry of watch) {
  assert.equal(entry.string(), "large");
  break;
}
await bucket.delete("color");
assert.equal((await bucket.get("color")).operation, "DEL");

const store = await new Objm(connection).create("files");
const content = new Uint8Array(300_000).map((_, position) => position % 251);
const put = await store.putBlob({ name: "picture " + nuid.next() }, content);
assert.equal(put.size, content.length);
assert.deepEqual(await store.getBlob(put.name), content);
await store.link("shortcut", await store.info(put.name));
assert.deepEqual(await store.getBlob("shortcut"), content);

await connection.close();
console.log("done");
