// Reading the journal back. The log is the chain of files that marks link; it ends at the first bytes that
// are not a valid record. Whether that end is a torn tail or damage is judged by what lies behind it
// (journal_format.hpp).
#pragma once
#include <deque>
#include <functional>
#include <string>

#include "log/journal_files.hpp"

namespace slipstream {

struct RecoveredEnd {
  uint64_t used = 0;
};  // bytes of records in the log's last file

// On success everything reported is on stable storage, `log` holds the chain, nothing readable is left behind
// its end, and files behind it are spares. On failure (false, `error`) nothing has been changed.
bool recover_log(Disk& disk, JournalFiles& files, std::deque<JournalFile>& log, const KeyRing* keys, RecoveredEnd& end,
                 const std::function<void(const JournalRecord&)>& record, std::string& error);

// Reports the records of files of a log in use, up to position `to`, without changing anything (Journal::read_back).
bool read_log_back(Disk& disk, JournalFiles& files, std::deque<JournalFile>& log, const KeyRing* keys, uint64_t to,
                   const std::function<void(const JournalRecord&)>& record, std::string& passed, std::string& error);

}  // namespace slipstream
