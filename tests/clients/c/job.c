// A short real job with the C client: stream, publish with ids, pull, confirmed ack, KV.
// Run with the server's address as the only argument; ends with an error at the first surprise.
#include <nats/nats.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static void demand(int ok, const char* what) {
  if (ok) return;
  fprintf(stderr, "not true: %s\n", what);
  exit(1);
}
#define DEMAND(x) demand(x, #x)

static void check(natsStatus status, const char* call) {
  if (status == NATS_OK) return;
  fprintf(stderr, "%s: %s\n", call, natsStatus_GetText(status));
  nats_PrintLastErrorStack(stderr);
  exit(1);
}
#define CHECK(call) check(call, #call)

static void publish(jsCtx* js, int number, bool again) {
  char id[32], body[32];
  snprintf(id, sizeof id, "order-%d", number);
  snprintf(body, sizeof body, "coffee %d", number);
  jsPubOptions options;
  CHECK(jsPubOptions_Init(&options));
  options.MsgId = id;
  jsPubAck* ack = NULL;
  CHECK(js_Publish(&ack, js, "orders.new", body, (int)strlen(body), &options, NULL));
  DEMAND((int)ack->Sequence == number);
  DEMAND(ack->Duplicate == again);
  jsPubAck_Destroy(ack);
}

static void pull(jsCtx* js) {
  natsSubscription* subscription = NULL;
  CHECK(js_PullSubscribe(&subscription, js, "orders.new", "barista", NULL, NULL, NULL));
  natsMsgList list;
  CHECK(natsSubscription_Fetch(&list, subscription, 10, 5000, NULL));
  DEMAND(list.Count == 10);
  for (int i = 0; i < list.Count; i++) {
    jsMsgMetaData* meta = NULL;
    CHECK(natsMsg_GetMetaData(&meta, list.Msgs[i]));
    DEMAND((int)meta->Sequence.Stream == i + 1);
    jsMsgMetaData_Destroy(meta);
    CHECK(natsMsg_AckSync(list.Msgs[i], NULL, NULL));
  }
  natsMsgList_Destroy(&list);
  jsConsumerInfo* consumer = NULL;
  CHECK(js_GetConsumerInfo(&consumer, js, "ORDERS", "barista", NULL, NULL));
  DEMAND(consumer->NumPending == 0 && consumer->NumAckPending == 0 && consumer->AckFloor.Stream == 10);
  jsConsumerInfo_Destroy(consumer);
  CHECK(natsSubscription_Unsubscribe(subscription));
  natsSubscription_Destroy(subscription);
}

static void key_value(jsCtx* js) {
  kvConfig config;
  CHECK(kvConfig_Init(&config));
  config.Bucket = "settings";
  config.History = 5;
  kvStore* bucket = NULL;
  CHECK(js_CreateKeyValue(&bucket, js, &config));
  uint64_t first = 0, second = 0;
  CHECK(kvStore_PutString(&first, bucket, "color", "blue"));
  CHECK(kvStore_UpdateString(&second, bucket, "color", "green", first));
  DEMAND(second == first + 1);
  uint64_t stale = 0;
  DEMAND(kvStore_UpdateString(&stale, bucket, "color", "red", first) != NATS_OK);
  kvEntry* entry = NULL;
  CHECK(kvStore_Get(&entry, bucket, "color"));
  DEMAND(strcmp(kvEntry_ValueString(entry), "green") == 0);
  kvEntry_Destroy(entry);
  kvEntryList history;
  CHECK(kvStore_History(&history, bucket, "color", NULL));
  DEMAND(history.Count == 2);
  kvEntryList_Destroy(&history);
  CHECK(kvStore_Delete(bucket, "color"));
  DEMAND(kvStore_Get(&entry, bucket, "color") == NATS_NOT_FOUND);
  kvStore_Destroy(bucket);
}

int main(int count, char** words) {
  DEMAND(count == 2);
  natsConnection* connection = NULL;
  jsCtx* js = NULL;
  CHECK(natsConnection_ConnectTo(&connection, words[1]));
  CHECK(natsConnection_JetStream(&js, connection, NULL));
  jsStreamConfig config;
  CHECK(jsStreamConfig_Init(&config));
  const char* subjects[] = {"orders.>"};
  config.Name = "ORDERS";
  config.Subjects = subjects;
  config.SubjectsLen = 1;
  CHECK(js_AddStream(NULL, js, &config, NULL, NULL));
  for (int number = 1; number <= 10; number++) publish(js, number, false);
  publish(js, 10, true);
  pull(js);
  key_value(js);
  jsCtx_Destroy(js);
  natsConnection_Destroy(connection);
  nats_Close();
  puts("done");
  return 0;
}
