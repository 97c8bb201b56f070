// The real disk: system calls relative to a folder that stays open, so that a renamed parent or a changed
// working directory cannot redirect them. A handle is the file descriptor itself.
//
// Some descriptors are kept in reserve, so that a process whose clients hold all the others can still write its files: an open
// that fails for want of one gives one of them up, and a close takes one back.
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <sys/uio.h>
#include <sys/utsname.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <cstdio>
#include <mutex>
#include <vector>

#include "disk/disk.hpp"
#include "disk/disk_trouble.hpp"

namespace slipstream {
namespace {

// Repeats a system call that a signal interrupted; gives its result or -errno.
template <typename Call>
auto without_interruption(Call call) -> decltype(call()) {
  for (;;) {
    auto result = call();
    if (result >= 0) return result;
    if (errno != EINTR) return (decltype(result))-errno;
  }
}

// From Linux 5.8 on, syncfs() tells of writes that failed since its descriptor was opened; before, it says that all is well.
bool syncfs_tells_of_failures() {
  utsname name;
  unsigned major = 0, minor = 0;
  if (::uname(&name) != 0 || sscanf(name.release, "%u.%u", &major, &minor) != 2) return false;
  return major > 5 || (major == 5 && minor >= 8);
}

constexpr size_t kReservedDescriptors = 8;

class DescriptorReserve {
 public:
  DescriptorReserve() { refill(kReservedDescriptors); }
  DescriptorReserve(const DescriptorReserve&) = delete;
  ~DescriptorReserve() {
    for (int fd : reserved_) ::close(fd);
  }

  // Repeats `open` with a descriptor of the reserve where there is no other.
  template <typename Open>
  int opened(Open open) {
    int fd = open();
    if (trouble_of(std::min(fd, 0)) != DiskTrouble::no_descriptors) return fd;
    std::lock_guard lock(mutex_);
    if (reserved_.empty()) return fd;
    ::close(reserved_.back());
    reserved_.pop_back();
    missing_ = true;
    return open();
  }
  void give_up() {
    std::lock_guard lock(mutex_);
    for (int fd : reserved_) ::close(fd);
    reserved_.clear();
    missing_ = false;  // they do not come back
  }
  // A descriptor was closed.
  void refill(size_t most = 1) {
    if (!missing_) return;
    std::lock_guard lock(mutex_);
    for (size_t n = 0; n < most && reserved_.size() < kReservedDescriptors; n++) {
      int fd = ::open("/dev/null", O_RDONLY | O_CLOEXEC);
      if (fd < 0) return;
      reserved_.push_back(fd);
    }
    missing_ = reserved_.size() < kReservedDescriptors;
  }

 private:
  std::mutex mutex_;
  std::vector<int> reserved_;
  std::atomic<bool> missing_{true};
};

class RealDisk final : public Disk {
 public:
  explicit RealDisk(const std::string& root) {
    root_ = without_interruption([&] { return ::open(root.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC); });
  }
  ~RealDisk() override {
    if (root_ >= 0) ::close(root_);
  }

  int open(const std::string& path, int mode) override {
    int flags = O_CLOEXEC | (mode & ~(kOpenRead | kOpenSparing) ? O_RDWR : O_RDONLY);
    if (mode & kOpenCreate) flags |= O_CREAT;
    if (mode & kOpenExclusive) flags |= O_CREAT | O_EXCL;
    if (mode & kOpenTruncate) flags |= O_TRUNC;
    auto open = [&] { return at_root([&] { return ::openat(root_, path.c_str(), flags, 0644); }); };
    return mode & kOpenSparing ? open() : reserve_.opened(open);
  }

  // Not repeated on EINTR: Linux has released the descriptor already.
  int close(int handle) override {
    int result = ::close(handle) == 0 || errno == EINTR ? 0 : -errno;
    reserve_.refill();
    return result;
  }

  ssize_t pread(int handle, void* to, size_t n, uint64_t offset) override {
    size_t done = 0;
    while (done < n) {
      ssize_t r = without_interruption(
          [&] { return ::pread(handle, (char*)to + done, n - done, (off_t)(offset + done)); });
      if (r < 0) return r;
      if (r == 0) break;
      done += (size_t)r;
    }
    return (ssize_t)done;
  }

  // A range that is partly in memory comes back short before it fails, so the rest is asked for again: end of
  // file answers 0, a missing page -EAGAIN.
  ssize_t pread_nowait(int handle, void* to, size_t n, uint64_t offset) override {
    if (nowait_unsupported_.load(std::memory_order_relaxed)) return pread(handle, to, n, offset);
    size_t done = 0;
    while (done < n) {
      iovec piece{(char*)to + done, n - done};
      ssize_t r = without_interruption(
          [&] { return ::preadv2(handle, &piece, 1, (off_t)(offset + done), RWF_NOWAIT); });
      if (r == -EOPNOTSUPP || r == -ENOSYS || r == -EINVAL) {
        nowait_unsupported_.store(true, std::memory_order_relaxed);
        return pread(handle, to, n, offset);
      }
      if (r < 0) return r;
      if (r == 0) break;
      done += (size_t)r;
    }
    return (ssize_t)done;
  }

  ssize_t pwrite(int handle, const void* from, size_t n, uint64_t offset) override {
    size_t done = 0;
    while (done < n) {
      ssize_t r = without_interruption(
          [&] { return ::pwrite(handle, (const char*)from + done, n - done, (off_t)(offset + done)); });
      if (r < 0) return r;
      if (r == 0) return -EIO;
      done += (size_t)r;
    }
    return (ssize_t)done;
  }

  int sync(int handle) override {
    return without_interruption([&] { return ::fdatasync(handle); });
  }
  int truncate(int handle, uint64_t size) override {
    return without_interruption([&] { return ::ftruncate(handle, (off_t)size); });
  }
  int64_t size(int handle) override {
    struct stat st;
    return ::fstat(handle, &st) == 0 ? (int64_t)st.st_size : -errno;
  }
  int rename(const std::string& from, const std::string& to) override {
    return at_root([&] { return ::renameat(root_, from.c_str(), root_, to.c_str()); });
  }
  int unlink(const std::string& path) override {
    return at_root([&] { return ::unlinkat(root_, path.c_str(), 0); });
  }
  int make_folder(const std::string& path) override {
    int r = at_root([&] { return ::mkdirat(root_, path.c_str(), 0755); });
    if (r != -EEXIST) return r;
    struct stat st;
    if (::fstatat(root_, path.c_str(), &st, 0) != 0) return -errno;
    return S_ISDIR(st.st_mode) ? 0 : -ENOTDIR;
  }
  int remove_folder(const std::string& path) override {
    return at_root([&] { return ::unlinkat(root_, path.c_str(), AT_REMOVEDIR); });
  }

  int sync_folder(const std::string& path) override {
    int folder = open_folder(path);
    if (folder < 0) return folder;
    int r = without_interruption([&] { return ::fsync(folder); });
    close(folder);
    return r;
  }

  int allocate(int handle, uint64_t size) override {
    return without_interruption([&] { return ::fallocate(handle, 0, 0, (off_t)size); });
  }
  int space(Space& space) override {
    struct statvfs found;
    int r = at_root([&] { return ::fstatvfs(root_, &found); });
    if (r < 0) return r;
    space = {found.f_blocks * found.f_frsize, found.f_bavail * found.f_frsize};
    return 0;
  }
  int sync_everything() override {
    static const bool tells = syncfs_tells_of_failures();
    return tells ? at_root([&] { return ::syncfs(root_); }) : -ENOSYS;
  }

  void give_up_reserve() override { reserve_.give_up(); }

  int list(const std::string& path, std::vector<std::string>& names) override {
    names.clear();
    int folder = open_folder(path);
    if (folder < 0) return folder;
    DIR* entries = ::fdopendir(folder);
    if (!entries) {
      int e = errno;
      close(folder);
      return -e;
    }
    int result = 0;
    for (;;) {
      errno = 0;  // readdir tells the end from an error only by errno
      dirent* entry = ::readdir(entries);
      if (!entry) {
        result = -errno;
        break;
      }
      std::string name = entry->d_name;
      if (name != "." && name != "..") names.push_back(std::move(name));
    }
    ::closedir(entries);
    reserve_.refill();
    std::sort(names.begin(), names.end());
    return result;
  }

  int lock(const std::string& path) override {
    int handle = open(path, kOpenWrite | kOpenCreate);
    if (handle < 0) return handle;
    int r = without_interruption([&] { return ::flock(handle, LOCK_EX | LOCK_NB); });
    if (r == 0) return handle;
    close(handle);
    return r;
  }

 private:
  template <typename Call>
  int at_root(Call call) {
    return root_ < 0 ? root_ : without_interruption(call);
  }

  int open_folder(const std::string& path) {
    const char* name = path.empty() ? "." : path.c_str();
    return reserve_.opened([&] { return at_root([&] { return ::openat(root_, name, O_RDONLY | O_DIRECTORY | O_CLOEXEC); }); });
  }

  DescriptorReserve reserve_;
  int root_;  // descriptor of the store folder, or -errno of opening it: every operation then answers that
  std::atomic<bool> nowait_unsupported_{false};
};

}  // namespace

Disk* new_real_disk(const std::string& root) { return new RealDisk(root); }

}  // namespace slipstream
