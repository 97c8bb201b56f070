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
    kIncrementMissing{400, 10169, "message counter increment is missing"},
    kIncrementWithPayload{400, 10170, "message counter has payload"},
    kIncrementInvalid{400, 10171, "message counter increment is invalid"},
    kCounterBroken{400, 10172, "message counter is broken"},
    kSchedulesDisabled{400, 10188, "message schedules is disabled"},
    kBatchDisabled{400, 10174, "atomic publish is disabled"},
    kSourceHeader{400, 10227, "message stream source header is not allowed"},
    kExpectedSubjectAlone{400, 10193, "missing sequence for expected last sequence per subject"},
    kRollup{500, 10111, nullptr},
    kMaxMessages{503, 10077, "maximum messages exceeded"},
    kMaxBytes{503, 10077, "maximum bytes exceeded"},
    kMaxPerSubject{503, 10077, "maximum messages per subject exceeded"},
    kTooManyRequests{429, 10167, "too many requests"},
    kStoreFailed{503, 10077, "the store of this server has failed"},
    kStorageFull{500, 10047, "insufficient storage resources available"},
    kServerLimit{503, 10023, "insufficient resources"},
    kAccountLimit{400, 10002, "resource limits exceeded for account"};

}  // namespace slipstream
