// SPDX-License-Identifier: Apache-2.0
// hub/transport.h — one HTTP request and its answer, without redirects or second attempts; curl.cpp has the real one.
#pragma once
#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "weights_tools/bytes.h"

namespace fovea::hub {

struct Request {
  std::string url;
  bool head = false;                 // HEAD instead of GET
  std::vector<std::string> headers;  // "Range: bytes=5-"
  int connect_ms = 10'000, stall_ms = 10'000;
};

struct Reply {
  int status = 0;                                              // 0: there was none
  std::vector<std::pair<std::string, std::string>> headers{};  // names in lower case
  std::string problem{};  // why nothing came, or why it broke off; empty: it came to its end
  std::string_view header(std::string_view name) const {  // the last of that name; "" when absent
    for (size_t i = headers.size(); i-- > 0;)
      if (headers[i].first == name) return headers[i].second;
    return {};
  }
};

/// Takes the bytes of an answer as they come.
class Body {
 public:
  virtual ~Body() = default;
  /// The status and headers are known by now. False ends the request, whose problem then is "not wanted".
  virtual bool take(const Reply& head, Bytes piece) = 0;
};

class Transport {
 public:
  virtual ~Transport() = default;
  virtual Reply run(const Request& request, Body& body) = 0;
};

/// The network, which is loaded with the first request. Throws Error(unsupported) where it was left out of the build or
/// libcurl is not on this machine.
std::unique_ptr<Transport> network();

}  // namespace fovea::hub
