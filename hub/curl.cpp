// SPDX-License-Identifier: Apache-2.0
// hub/curl.cpp — the network by libcurl, which is loaded with the first request: a start that needs none pays nothing.
#include <curl/curl.h>
#include <dlfcn.h>

#include <cctype>
#include <exception>

#include "engine/core/cancel.h"
#include "hub/transport.h"

namespace fovea::hub {
namespace {

// What is used of libcurl. It stays loaded: libraries that it loads itself do not like to go.
struct Library {
  decltype(&curl_global_init) global_init;
  decltype(&curl_easy_init) easy_init;
  decltype(&curl_easy_setopt) setopt;
  decltype(&curl_easy_perform) perform;
  decltype(&curl_easy_cleanup) cleanup;
  decltype(&curl_easy_strerror) strerror;
  decltype(&curl_slist_append) append;
  decltype(&curl_slist_free_all) free_all;
};

template <class F>
void find(void* library, const char* name, F& function) {
  function = reinterpret_cast<F>(::dlsym(library, name));
  if (!function) throw Error(Error::Kind::unsupported, str_cat("libcurl on this machine has no ", name));
}

const Library& curl() {
  static const Library loaded = [] {
    void* library = nullptr;
    for (const char* name : {"libcurl.so.4", "libcurl-gnutls.so.4"})
      if (!library) library = ::dlopen(name, RTLD_NOW | RTLD_LOCAL);
    if (!library)
      throw Error(Error::Kind::unsupported, "downloads need libcurl, which is not on this machine (libcurl.so.4)",
                  "install it (Debian: apt-get install libcurl4), or fetch the file with another program and name it");
    Library l{};
    find(library, "curl_global_init", l.global_init);
    find(library, "curl_easy_init", l.easy_init);
    find(library, "curl_easy_setopt", l.setopt);
    find(library, "curl_easy_perform", l.perform);
    find(library, "curl_easy_cleanup", l.cleanup);
    find(library, "curl_easy_strerror", l.strerror);
    find(library, "curl_slist_append", l.append);
    find(library, "curl_slist_free_all", l.free_all);
    if (l.global_init(CURL_GLOBAL_ALL) != CURLE_OK) throw Error(Error::Kind::unsupported, "libcurl does not start");
    return l;
  }();
  return loaded;
}

// One request while it runs. Exceptions of its callbacks wait until libcurl has returned.
struct Exchange {
  Body& body;
  Reply reply{};
  bool unwanted = false;
  std::exception_ptr thrown{};

  void take_header(std::string_view line) {
    while (!line.empty() && std::isspace(static_cast<unsigned char>(line.back()))) line.remove_suffix(1);
    if (line.starts_with("HTTP/")) {  // of a further answer: 100 Continue, a proxy's
      reply.headers.clear();
      const size_t space = line.find(' ');
      reply.status = space == line.npos ? 0 : std::atoi(std::string(line.substr(space + 1)).c_str());
      return;
    }
    const size_t colon = line.find(':');
    if (colon == line.npos) return;
    std::string name(line.substr(0, colon));
    for (char& c : name) c = static_cast<char>(std::tolower(static_cast<unsigned char>(c)));
    std::string_view value = line.substr(colon + 1);
    while (!value.empty() && std::isspace(static_cast<unsigned char>(value.front()))) value.remove_prefix(1);
    reply.headers.emplace_back(std::move(name), value);
  }
  bool take_body(Bytes piece) {
    check_cancelled();
    return body.take(reply, piece);
  }
  // What a callback returns for `size` bytes: another number ends the request.
  size_t guarded(size_t size, auto&& take) {
    try {
      unwanted = !take();
    } catch (...) {
      thrown = std::current_exception();
      unwanted = true;
    }
    return unwanted ? size + 1 : size;
  }
};

size_t on_header(char* data, size_t one, size_t count, void* to) {
  auto& exchange = *static_cast<Exchange*>(to);
  return exchange.guarded(one * count, [&] { return exchange.take_header({data, one * count}), true; });
}

size_t on_body(char* data, size_t one, size_t count, void* to) {
  auto& exchange = *static_cast<Exchange*>(to);
  return exchange.guarded(one * count, [&] { return exchange.take_body(bytes_of({data, one * count})); });
}

class Curl final : public Transport {
 public:
  Curl() : lib_(curl()), easy_(lib_.easy_init()) {
    if (!easy_) throw Error(Error::Kind::unsupported, "libcurl does not start");
  }
  ~Curl() override { lib_.cleanup(easy_); }
  Curl(const Curl&) = delete;
  Curl& operator=(const Curl&) = delete;

  Reply run(const Request& request, Body& body) override {
    check_cancelled();
    Exchange now{.body = body};
    curl_slist* headers = nullptr;
    for (const std::string& h : request.headers) headers = lib_.append(headers, h.c_str());
    char text[CURL_ERROR_SIZE] = "";
    set(CURLOPT_URL, request.url.c_str());
    set(CURLOPT_HTTPHEADER, headers);
    set(CURLOPT_ERRORBUFFER, text);
    set(CURLOPT_NOBODY, request.head ? 1L : 0L);
    if (!request.head) set(CURLOPT_HTTPGET, 1L);
    constexpr long kPiece = 512 << 10;
    set(CURLOPT_BUFFERSIZE, kPiece);
    set(CURLOPT_NOSIGNAL, 1L);
    set(CURLOPT_FOLLOWLOCATION, 0L);
    if (lib_.setopt(easy_, CURLOPT_PROTOCOLS_STR, "http,https") != CURLE_OK)  // since 7.85
      set(static_cast<CURLoption>(181), 3L);  // CURLOPT_PROTOCOLS: CURLPROTO_HTTP | CURLPROTO_HTTPS
    set(CURLOPT_CONNECTTIMEOUT_MS, static_cast<long>(request.connect_ms));
    set(CURLOPT_LOW_SPEED_LIMIT, 1L);  // bytes a second
    set(CURLOPT_LOW_SPEED_TIME, static_cast<long>((request.stall_ms + 999) / 1000));
    set(CURLOPT_HEADERFUNCTION, on_header);
    set(CURLOPT_HEADERDATA, &now);
    set(CURLOPT_WRITEFUNCTION, on_body);
    set(CURLOPT_WRITEDATA, &now);
    const CURLcode code = lib_.perform(easy_);
    lib_.free_all(headers);
    set(CURLOPT_HTTPHEADER, nullptr);
    set(CURLOPT_ERRORBUFFER, nullptr);
    if (now.thrown) std::rethrow_exception(now.thrown);
    if (now.unwanted) now.reply.problem = "not wanted";
    else if (code != CURLE_OK) now.reply.problem = *text ? text : lib_.strerror(code);
    return std::move(now.reply);
  }

 private:
  template <class T>
  void set(CURLoption option, T value) {
    lib_.setopt(easy_, option, value);
  }
  const Library& lib_;
  CURL* easy_;
};

}  // namespace

std::unique_ptr<Transport> network() { return std::make_unique<Curl>(); }

}  // namespace fovea::hub
