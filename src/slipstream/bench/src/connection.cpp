#include "connection.hpp"

#include <cerrno>
#include <fcntl.h>
#include <netdb.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <stdexcept>
#include <sys/socket.h>
#include <system_error>
#include <unistd.h>

namespace slipstream::load {

namespace {

constexpr int kHandshakeTimeoutMs = 10'000;

[[noreturn]] void fail(const std::string& what, int error) {
  throw std::runtime_error(what + ": " + std::system_category().message(error));
}

std::string json_text(string_view text) {
  std::string quoted = "\"";
  for (char c : text) {
    if (c == '"' || c == '\\') quoted += '\\';
    if ((unsigned char)c < 0x20) throw std::runtime_error("a control character in the credentials");
    quoted += c;
  }
  return quoted + "\"";
}

std::string connect_line(const ServerAddress& server) {
  std::string line =
      "CONNECT {\"verbose\":false,\"pedantic\":false,\"echo\":true,\"headers\":true,\"no_responders\":true,"
      "\"protocol\":1,\"lang\":\"slipstream-bench\",\"version\":\"1\",\"name\":\"slipstream bench\"";
  if (!server.user.empty())
    line += ",\"user\":" + json_text(server.user) + ",\"pass\":" + json_text(server.password);
  if (!server.token.empty()) line += ",\"auth_token\":" + json_text(server.token);
  return line + "}\r\n";
}

}  // namespace

Connection::~Connection() {
  if (fd_ >= 0) close(fd_);
}

void Connection::connect_socket(const ServerAddress& server) {
  addrinfo hints{}, *found = nullptr;
  hints.ai_socktype = SOCK_STREAM;
  const int code = getaddrinfo(server.host.c_str(), std::to_string(server.port).c_str(), &hints, &found);
  if (code != 0) throw std::runtime_error(server.host + ": " + gai_strerror(code));
  int error = ECONNREFUSED;
  for (addrinfo* a = found; a && fd_ < 0; a = a->ai_next) {
    const int fd = socket(a->ai_family, a->ai_socktype | SOCK_CLOEXEC, a->ai_protocol);
    if (fd >= 0 && connect(fd, a->ai_addr, a->ai_addrlen) == 0)
      fd_ = fd;
    else
      error = errno;
    if (fd >= 0 && fd != fd_) close(fd);
  }
  freeaddrinfo(found);
  if (fd_ < 0) fail("cannot connect to " + server.host + ":" + std::to_string(server.port), error);
  const int on = 1;
  if (setsockopt(fd_, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on) != 0) fail("TCP_NODELAY", errno);
}

void Connection::send_blocking(string_view text) {
  while (!text.empty()) {
    const ssize_t n = send(fd_, text.data(), text.size(), MSG_NOSIGNAL);
    if (n < 0 && errno == EINTR) continue;
    if (n < 0) fail("send", errno);
    text.remove_prefix((size_t)n);
  }
}

Frame Connection::read_blocking(Buffer& scratch, FrameKind wanted, std::string& kept) {
  Frame result;
  bool found = false;
  while (!found) {
    pollfd ready{fd_, POLLIN, 0};
    if (poll(&ready, 1, kHandshakeTimeoutMs) == 0)
      throw std::runtime_error("the server does not answer the handshake");
    char* room = splitter.room(scratch, 64 << 10);
    const ssize_t n = recv(fd_, room, 64 << 10, 0);
    if (n < 0 && errno == EINTR) continue;
    if (n < 0) fail("recv", errno);
    if (n == 0) throw std::runtime_error("the server closed the connection during the handshake");
    const bool whole = splitter.received(scratch, (size_t)n, [&](const Frame& frame) {
      if (frame.kind == FrameKind::error) throw std::runtime_error("-ERR" + std::string(frame.text));
      if (frame.kind != wanted) return;
      kept = frame.text;
      result.kind = frame.kind;
      found = true;
    });
    if (!whole) throw std::runtime_error("not a NATS server: its first line is no INFO");
  }
  return result;
}

void Connection::open(const ServerAddress& server, string_view subscriptions) {
  connect_socket(server);
  Buffer scratch;
  std::string text;
  read_blocking(scratch, FrameKind::info, text);
  if (text.find("\"tls_required\":true") != std::string::npos)
    throw std::runtime_error("the server requires TLS, which this load generator does not speak");
  send_blocking(connect_line(server) + std::string(subscriptions) + "PING\r\n");
  read_blocking(scratch, FrameKind::pong, text);
  if (fcntl(fd_, F_SETFL, fcntl(fd_, F_GETFL) | O_NONBLOCK) != 0) fail("O_NONBLOCK", errno);
}

Connection::Sent Connection::flush() {
  for (;;) {
    const bool from_block = !block_.empty();
    const string_view rest = from_block ? block_ : out.view().substr(sent_);
    if (rest.empty()) break;
    const ssize_t n = send(fd_, rest.data(), rest.size(), MSG_NOSIGNAL);
    if (n < 0 && errno == EINTR) continue;
    if (n < 0) return errno == EAGAIN ? Sent::blocked : Sent::closed;
    if (from_block)
      block_.remove_prefix((size_t)n);
    else
      sent_ += (size_t)n;
  }
  out.clear();
  sent_ = 0;
  return Sent::all;
}

}  // namespace slipstream::load
