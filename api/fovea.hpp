// SPDX-License-Identifier: Apache-2.0
// api/fovea.hpp — fovea.h for C++17: handles that free themselves, exceptions, containers. Header-only: what is compiled
// is the program's, what is linked is C.
//
// The classes are in an inline namespace of their own, so that a program may link the engine as well; a file that
// includes both names them fovea::v1::Model. Threads and lifetimes are as fovea.h says of the handles.
#ifndef FOVEA_HPP
#define FOVEA_HPP

#include <array>
#include <cstdint>
#include <exception>
#include <functional>
#include <memory>
#include <memory_resource>
#include <optional>
#include <stdexcept>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#if __has_include(<fovea.h>)
#include <fovea.h>
#else
#include "api/fovea.h"
#endif

namespace fovea {
inline namespace v1 {

/// What a status said.
class Error : public std::exception {
 public:
  explicit Error(fovea_status* status)
      : code_(fovea_status_code(status)), message_(status, fovea_status_free) {}
  std::int32_t code() const noexcept { return code_; }                 // FOVEA_NOT_FOUND, ...
  const char* what() const noexcept override { return fovea_status_message(message_.get()); }

 private:
  std::int32_t code_;
  std::shared_ptr<fovea_status> message_;
};

inline void check(fovea_status* status) {
  if (status) throw Error(status);
}

/// Elements that lie one behind the other in somebody else's memory.
template <class T>
class Span {
 public:
  constexpr Span() = default;
  constexpr Span(T* data, std::size_t size) : data_(data), size_(size) {}
  template <class Container, class = decltype(std::declval<Container&>().data())>
  constexpr Span(Container&& c) : data_(c.data()), size_(c.size()) {}  // NOLINT: as std::span does
  constexpr T* data() const { return data_; }
  constexpr std::size_t size() const { return size_; }
  constexpr bool empty() const { return size_ == 0; }
  constexpr T& operator[](std::size_t i) const { return data_[i]; }
  constexpr T* begin() const { return data_; }
  constexpr T* end() const { return data_ + size_; }

 private:
  T* data_ = nullptr;
  std::size_t size_ = 0;
};

namespace detail {

struct Free {
  void operator()(fovea_env* h) const { fovea_env_free(h); }
  void operator()(fovea_model* h) const { fovea_model_free(h); }
  void operator()(fovea_session* h) const { fovea_session_free(h); }
  void operator()(fovea_cancel* h) const { fovea_cancel_free(h); }
};
template <class H>
using Handle = std::unique_ptr<H, Free>;

inline const char* text_or_null(const std::string& s) { return s.empty() ? nullptr : s.c_str(); }

// What callbacks of the environment reach; kept by everything that was made of it.
struct Callbacks {
  std::function<void(std::int32_t, std::string_view)> log;
  std::pmr::memory_resource* memory = nullptr;

  static void hear(void* self, std::int32_t level, const char* message) {
    try {
      static_cast<Callbacks*>(self)->log(level, message);
    } catch (...) {}                               // nobody is there to hear it
  }
  static void* allocate(void* self, std::size_t bytes, std::size_t alignment) {
    try {
      return static_cast<Callbacks*>(self)->memory->allocate(bytes, alignment);
    } catch (...) { return nullptr; }
  }
  static void release(void* self, void* memory, std::size_t bytes, std::size_t alignment) {
    static_cast<Callbacks*>(self)->memory->deallocate(memory, bytes, alignment);
  }
};

}  // namespace detail

/// May be given to what it shall end, and asked from any thread.
class Cancel {
 public:
  Cancel() {
    fovea_cancel* made = nullptr;
    check(fovea_cancel_create(&made));
    handle_.reset(made);
  }
  void request() { fovea_cancel_request(handle_.get()); }
  void reset() { fovea_cancel_reset(handle_.get()); }
  fovea_cancel* get() const { return handle_.get(); }

 private:
  detail::Handle<fovea_cancel> handle_;
};

struct EnvironmentOptions {
  int threads = 0;
  std::int32_t log_level = FOVEA_LOG_INFO;
  std::function<void(std::int32_t level, std::string_view message)> log{};
  std::pmr::memory_resource* memory = nullptr;     // must be safe for threads, and outlive all that is made
};

class Environment {
 public:
  explicit Environment(EnvironmentOptions o = {}) : callbacks_(std::make_shared<detail::Callbacks>()) {
    callbacks_->log = std::move(o.log);
    callbacks_->memory = o.memory;
    fovea_env_options c;
    FOVEA_INIT(c);
    c.threads = o.threads;
    c.log_level = o.log_level;
    c.log_context = c.allocator_context = callbacks_.get();
    if (callbacks_->log) c.log = detail::Callbacks::hear;
    if (o.memory) {
      c.allocate = detail::Callbacks::allocate;
      c.release = detail::Callbacks::release;
    }
    fovea_env* made = nullptr;
    check(fovea_env_create(&c, &made));
    handle_.reset(made);
  }

  std::size_t trim() {
    std::size_t bytes = 0;
    check(fovea_env_trim(handle_.get(), &bytes));
    return bytes;
  }
  /// Names of models: "resnet*"; with tags: of published weights.
  std::vector<std::string> models(const std::string& pattern = {}, bool tags = false) {
    std::vector<std::string> names;
    const auto add = [](void* to, const char* name) { static_cast<std::vector<std::string>*>(to)->emplace_back(name); };
    check(fovea_env_models(handle_.get(), detail::text_or_null(pattern), tags, add, &names));
    return names;
  }
  fovea_env* get() const { return handle_.get(); }
  const std::shared_ptr<detail::Callbacks>& callbacks() const { return callbacks_; }

 private:
  std::shared_ptr<detail::Callbacks> callbacks_;   // outlives the handle
  detail::Handle<fovea_env> handle_;
};

/// As fovea_model_options; empty stands for NULL.
struct ModelOptions {
  std::string name{}, weights{};
  Span<const std::byte> data{};                    // must live as long as the model where borrow_data says so
  bool borrow_data = false, map_files = false;
  int classes = 0, channels = 0, height = 0, width = 0;
  std::string labels{};
  std::vector<std::pair<std::string, std::string>> settings{};
  std::string plan_cache{};
  const Cancel* cancel = nullptr;
};

class Model {
 public:
  Model(const Environment& env, const ModelOptions& o) : callbacks_(env.callbacks()) {
    std::vector<const char*> settings;
    for (const auto& [name, value] : o.settings) settings.insert(settings.end(), {name.c_str(), value.c_str()});
    fovea_model_options c;
    FOVEA_INIT(c);
    c.name = detail::text_or_null(o.name);
    c.weights = detail::text_or_null(o.weights);
    c.data = o.data.data();
    c.data_size = o.data.size();
    c.borrow_data = o.borrow_data;
    c.map_files = o.map_files;
    c.classes = o.classes;
    c.channels = o.channels;
    c.height = o.height;
    c.width = o.width;
    c.labels = detail::text_or_null(o.labels);
    c.settings = settings.data();
    c.settings_count = o.settings.size();
    c.plan_cache = detail::text_or_null(o.plan_cache);
    c.cancel = o.cancel ? o.cancel->get() : nullptr;
    fovea_model* made = nullptr;
    check(fovea_model_load(env.get(), &c, &made));
    handle_.reset(made);
  }

  /// Texts in it live as long as the model.
  fovea_model_info info() const {
    fovea_model_info out;
    FOVEA_INIT(out);
    check(fovea_model_get_info(handle_.get(), &out));
    return out;
  }
  fovea_level level(int i) const {
    fovea_level out;
    FOVEA_INIT(out);
    check(fovea_model_get_level(handle_.get(), i, &out));
    return out;
  }
  fovea_model* get() const { return handle_.get(); }
  const std::shared_ptr<detail::Callbacks>& callbacks() const { return callbacks_; }

 private:
  std::shared_ptr<detail::Callbacks> callbacks_;
  detail::Handle<fovea_model> handle_;
};

/// As fovea_session_options; empty stands for NULL.
struct SessionOptions {
  std::string device{};
  std::int32_t outputs = FOVEA_LOGITS;
  std::vector<std::int32_t> levels{};
  std::int32_t dtype = FOVEA_F32;
  std::string calibration{};
  int threads = 0, height = 0, width = 0, more_sizes = 0;
  bool allow_nan = false, release_weights = false, allow_truncated = false;
  std::int64_t max_pixels = 0;
  const Cancel* cancel = nullptr;
};

/// Images of the caller's; they must be there as long as it is used.
struct Image : fovea_image {
  static Image encoded(Span<const std::byte> bytes) {
    Image i;
    i.kind = FOVEA_ENCODED;
    i.data = bytes.data();
    i.size = bytes.size();
    return i;
  }
  static Image file(const char* path) {
    Image i;
    i.kind = FOVEA_FILE;
    i.data = path;
    return i;
  }
  static Image file(const std::string& path) { return file(path.c_str()); }
  static Image file(std::string&&) = delete;       // it would be gone
  /// kind: FOVEA_RGB, ...
  static Image pixels(std::int32_t kind, const void* data, int width, int height, std::int64_t pitch = 0) {
    Image i;
    i.kind = kind;
    i.data = data;
    i.width = width;
    i.height = height;
    i.pitch = pitch;
    return i;
  }

 private:
  Image() : fovea_image{} {}
};

/// A result: f32, in the session's memory until the next call with it.
class Result {
 public:
  explicit Result(const fovea_tensor& t) : tensor_(t) {}
  int rank() const { return tensor_.rank; }
  std::int64_t size(int dimension) const { return tensor_.shape[dimension]; }
  std::int64_t stride(int dimension) const { return tensor_.strides[dimension]; }
  const float* data() const { return static_cast<const float*>(tensor_.data); }
  /// Of results whose rows lie one behind the other, as logits and pooled features do.
  Span<const float> row(std::int64_t i) const {
    return {data() + i * stride(0), static_cast<std::size_t>(stride(0))};
  }
  const fovea_tensor& get() const { return tensor_; }

 private:
  fovea_tensor tensor_;
};

struct Prediction {
  std::int64_t index;
  float probability;
  std::string label;
};

class Session {
 public:
  explicit Session(const Model& model, const SessionOptions& o = {}) : callbacks_(model.callbacks()) {
    fovea_session_options c;
    FOVEA_INIT(c);
    c.device = detail::text_or_null(o.device);
    c.outputs = o.outputs;
    c.levels = o.levels.data();
    c.levels_count = o.levels.size();
    c.dtype = o.dtype;
    c.calibration = detail::text_or_null(o.calibration);
    c.threads = o.threads;
    c.height = o.height;
    c.width = o.width;
    c.more_sizes = o.more_sizes;
    c.allow_nan = o.allow_nan;
    c.release_weights = o.release_weights;
    c.max_pixels = o.max_pixels;
    c.allow_truncated = o.allow_truncated;
    c.cancel = o.cancel ? o.cancel->get() : nullptr;
    fovea_session* made = nullptr;
    check(fovea_session_create(model.get(), &c, &made));
    handle_.reset(made);
  }

  Session fork() {
    fovea_session* made = nullptr;
    check(fovea_session_fork(handle_.get(), &made));
    return Session(callbacks_, made);
  }

  /// Images that are ready: [n, channels, height, width], dense.
  std::vector<Result> run(Span<const float> images, std::int64_t n) {
    const fovea_session_info i = info();
    const std::int64_t each = std::int64_t{i.channels} * i.height * i.width;
    if (static_cast<std::int64_t>(images.size()) != n * each) throw std::length_error("run(): images are not n x channels x height x width");
    fovea_tensor t{};
    t.data = const_cast<float*>(images.data());
    t.dtype = FOVEA_F32;
    t.rank = 4;
    t.shape[0] = n;
    t.shape[1] = i.channels;
    t.shape[2] = i.height;
    t.shape[3] = i.width;
    return run(t);
  }
  std::vector<Result> run(const fovea_tensor& images) {
    std::vector<fovea_tensor> out = room();
    check(fovea_session_run(handle_.get(), &images, out.data(), out.size()));
    return {out.begin(), out.end()};
  }
  std::vector<Result> run(Span<const Image> images) {
    std::vector<fovea_tensor> out = room();
    check(fovea_session_run_images(handle_.get(), images.data(), images.size(), nullptr, out.data(), out.size()));
    return {out.begin(), out.end()};
  }
  /// What could not be read is told image by image: an Error where there is one.
  std::vector<Result> run(Span<const Image> images, std::vector<std::optional<Error>>& each) {
    std::vector<fovea_tensor> out = room();
    std::vector<fovea_status*> why(images.size(), nullptr);
    std::vector<std::optional<Error>> told(images.size());
    check(fovea_session_run_images(handle_.get(), images.data(), images.size(), why.data(), out.data(), out.size()));
    for (std::size_t i = 0; i < why.size(); ++i)
      if (why[i]) told[i].emplace(why[i]);
    each = std::move(told);
    return {out.begin(), out.end()};
  }

  /// The `k` most probable classes of a row of the last run.
  std::vector<Prediction> top(std::int64_t row, std::size_t k) {
    std::vector<fovea_class> out(k);
    check(fovea_session_top(handle_.get(), row, out.data(), &k));
    out.resize(k);
    return predictions(out);
  }
  std::vector<Prediction> classify(const Image& image, std::size_t k = 5) {
    std::vector<fovea_class> out(k);
    check(fovea_session_classify(handle_.get(), &image, out.data(), &k));
    out.resize(k);
    return predictions(out);
  }

  fovea_session_info info() const {
    fovea_session_info out;
    FOVEA_INIT(out);
    check(fovea_session_get_info(handle_.get(), &out));
    return out;
  }
  fovea_timings timings() const {
    fovea_timings out;
    FOVEA_INIT(out);
    check(fovea_session_get_timings(handle_.get(), &out));
    return out;
  }
  /// The kernels of a run, with their seconds. Texts live as long as the session.
  std::vector<fovea_step> profile() {
    check(fovea_session_profile(handle_.get()));
    std::vector<fovea_step> out(fovea_session_step_count(handle_.get()));
    for (std::size_t i = 0; i < out.size(); ++i) {
      FOVEA_INIT(out[i]);
      check(fovea_session_get_step(handle_.get(), i, &out[i]));
    }
    return out;
  }
  fovea_session* get() const { return handle_.get(); }

 private:
  Session(std::shared_ptr<detail::Callbacks> callbacks, fovea_session* made)
      : callbacks_(std::move(callbacks)), handle_(made) {}
  std::vector<fovea_tensor> room() const {
    return std::vector<fovea_tensor>(static_cast<std::size_t>(info().outputs_count));
  }
  static std::vector<Prediction> predictions(const std::vector<fovea_class>& of) {
    std::vector<Prediction> out;
    for (const fovea_class& c : of) out.push_back({c.index, c.probability, c.label});
    return out;
  }

  std::shared_ptr<detail::Callbacks> callbacks_;
  detail::Handle<fovea_session> handle_;
};

}  // namespace v1
}  // namespace fovea

#endif
