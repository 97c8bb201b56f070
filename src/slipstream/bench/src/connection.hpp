// One client connection: blocking while it introduces itself, non-blocking afterwards. Output is either
// appended to `out` or, for publishers, a long-lived block that is sent as it lies.
#pragma once
#include <string>

#include "bytes/bytes.hpp"
#include "client_frames.hpp"

namespace slipstream::load {

struct ServerAddress {
  std::string host;
  int port = 4222;
  std::string user, password, token;
};

class Connection {
 public:
  Connection() = default;
  Connection(const Connection&) = delete;
  Connection& operator=(const Connection&) = delete;
  ~Connection();

  // Connects, sends CONNECT and `subscriptions` (whole SUB lines), and returns when the server has answered a
  // PING after them. Throws std::runtime_error with the server's -ERR or the system's reason.
  void open(const ServerAddress& server, string_view subscriptions);

  enum class Sent : uint8_t { all, blocked, closed };
  Sent flush();  // sends the block, then `out`

  int fd() const { return fd_; }
  bool nothing_to_send() const { return block_.empty() && sent_ == out.size(); }
  void set_block(string_view block) { block_ = block; }  // whole frames that stay where they are until sent

  Buffer out;
  FrameSplitter splitter;

 private:
  void connect_socket(const ServerAddress& server);
  void send_blocking(string_view text);
  Frame read_blocking(Buffer& scratch, FrameKind wanted, std::string& kept);

  int fd_ = -1;
  size_t sent_ = 0;  // of `out`
  string_view block_;
};

}  // namespace slipstream::load
