// Why a publish is refused: codes and texts of nats-server's table; a test holds them against slipstream/protocol/errors.json.
#pragma once
#include "stream.hpp"

namespace slipstream {

inline constexpr PublishError
    kSealed{400, 10109, "invalid operation on sealed stream"},
    kWrongStream{400, 10060, "expected stream does not match"},
    kWrongSequence{400, 10071, nullptr},
    kWrongMsgId{400, 10070, nullptr},
    kMsgTooLarge{400, 10054, "message size exceeds maximum allowed"},
    kHeaderTooLarge{400, 10097, "header size exceeds maximum allowed of 64k"},
    kTtlInvalid{400, 10165, "invalid per-message TTL"},
    kTtlDisabled{400, 10166, "per-message TTL is disabled"},
    kNotCounter{400, 10168, "message counters is disabled"},
    kBatchDisabled{400, 10174, "atomic publish is disabled"},
    kBatchSequenceMissing{400, 10175, "atomic publish sequence is missing"},
    kBatchIncomplete{400, 10176, "atomic publish batch is incomplete"},
    kBatchUnsupportedHeader{400, 10177, nullptr},
    kBatchIdInvalid{400, 10179, "atomic publish batch ID is invalid"},
    kRequiredLevel{412, 10185, "JetStream minimum api level required"},
    kSchedulesDisabled{400, 10188, "message schedules is disabled"},
    kSchedulePattern{400, 10189, "message schedules pattern is invalid"},
    kScheduleTarget{400, 10190, "message schedules target is invalid"},
    kScheduleTtl{400, 10191, "message schedules invalid per-message TTL"},
    kScheduleRollup{400, 10192, "message schedules invalid rollup"},
    kBatchWrongSequence{400, 10164, "wrong last sequence"},
    kBatchTooLarge{400, 10199, nullptr},
    kBatchCommitInvalid{400, 10200, "atomic publish batch commit is invalid"},
    kBatchDuplicate{400, 10201, "atomic publish batch contains duplicate message id"},
    kScheduleSource{400, 10203, "message schedules source is invalid"},
    kFastDisabled{400, 10205, "batch publish is disabled"},
    kFastPatternInvalid{400, 10206, "batch publish pattern is invalid"},
    kFastIdInvalid{400, 10207, "batch publish ID is invalid"},
    kFastIdUnknown{400, 10208, "batch publish ID unknown"},
    kTooManyBatches{429, 10210, "atomic publish too many inflight"},
    kTooManyFastBatches{429, 10211, "batch publish too many inflight"},
    kScheduler{400, 10212, "message schedules invalid scheduler"},
    kScheduleZone{400, 10223, "message schedules time zone is invalid"},
    kSourceHeader{400, 10227, "message stream source header is not allowed"},
    kExpectedSubjectAlone{400, 10193, "missing sequence for expected last sequence per subject"},
    kRollup{500, 10111, nullptr},
    kMaxMessages{503, 10077, "maximum messages exceeded"},
    kMaxBytes{503, 10077, "maximum bytes exceeded"},
    kMaxPerSubject{503, 10077, "maximum messages per subject exceeded"},
    kTooManyRequests{429, 10167, "too many requests"},
    kStoreFailed{503, 10077, "the store of this server has failed"},
    kStorageFull{500, 10047, "insufficient storage resources available"};

}  // namespace slipstream
