// The file that makes a folder a store, and the one that a server locks while it uses the store.
#pragma once

namespace slipstream {

constexpr const char* kStoreMarker = "slipstream.store";
constexpr const char* kStoreMarkerText = "slipstream store, format 1\n";
constexpr const char* kStoreLock = "LOCK";

}  // namespace slipstream
