// SPDX-License-Identifier: Apache-2.0
// api/session.cpp — fovea_session: what the C API says about running a model, and about what came out.
#include <chrono>
#include <cstring>

#include "api/calibration.h"
#include "api/options.h"
#include "api/pixels.h"
#include "api/runner.h"
#include "api/status.h"
#include "engine/core/backend.h"
#include "engine/core/out_of_memory.h"
#include "engine/core/strided_copy.h"
#include "engine/ops/ops.h"

using namespace fovea;
using namespace fovea::capi;
using Clock = std::chrono::steady_clock;
using Outputs = RunnerOptions::Outputs;

struct fovea_session {
  Runner runner;
  std::shared_ptr<const Classifier> classifier;    // null: its outputs are no logits
  data::DecodeOptions decode;
  Flag cancel;
  std::string device;

  std::atomic<bool> busy{false};
  Tensor batch;                                    // the images of the last run_images() of several
  std::span<const Tensor> results;                 // of the last run; empty: there was none, or it failed
  std::vector<double> step_seconds;
  std::vector<std::string> ops;                    // names of steps, for who asks
  fovea_timings timings{};
};

namespace {

// One call at a time.
class Holding {
 public:
  explicit Holding(fovea_session* session) : session_(given(session, "session")) {
    if (session_.busy.exchange(true, std::memory_order_acquire))
      throw Error(Error::Kind::argument, "a session was used by two threads at once",
                  "fovea_session_fork() gives each thread one of its own");
  }
  ~Holding() { session_.busy.store(false, std::memory_order_release); }
  Holding(const Holding&) = delete;
  Holding& operator=(const Holding&) = delete;
  fovea_session* operator->() const { return &session_; }
  fovea_session& operator*() const { return session_; }

 private:
  fovea_session& session_;
};

double since(Clock::time_point began) { return std::chrono::duration<double>(Clock::now() - began).count(); }

OnBehalf on_behalf_of(const fovea_session& s) {
  return {s.runner.model().env(), s.runner.options().target.threads, s.cancel};
}

// --- Options ---------------------------------------------------------------------------------------------------------

DType dtype_of(int32_t dtype) {
  switch (dtype) {
    case 0:
    case FOVEA_F32: return DType::none;
    case FOVEA_BF16: return DType::bf16;
    default: throw Error(Error::Kind::unsupported, str_cat("no computing in dtype ", dtype), "FOVEA_F32 or FOVEA_BF16");
  }
}

Device device_of(const char* name) {
  const Device d = name ? parse_device(name) : cpu();
  runtime_of(d);                                   // throws where there is none
  if (!is_host(d)) throw Error(Error::Kind::unsupported, str_cat("sessions on ", d, " are not there yet"));
  return d;
}

RunnerOptions runner_options(const fovea_session_options& o, LoadedModel& model) {
  RunnerOptions out;
  if (o.outputs < FOVEA_LOGITS || o.outputs > FOVEA_LEVELS || o.height < 0 || o.width < 0 || o.threads < 0 ||
      o.threads > kMostThreads || (o.height == 0) != (o.width == 0) || o.more_sizes < 0 || o.max_pixels < 0)
    throw Error(Error::Kind::argument, str_cat("outputs ", o.outputs, ", ", o.height, " x ", o.width, ", threads ",
                                           o.threads, ", more_sizes ", o.more_sizes, ", max_pixels ", o.max_pixels),
                "one of these cannot be");
  out.outputs = static_cast<Outputs>(o.outputs);
  if (o.levels_count) out.levels.assign(&given(o.levels, "levels"), o.levels + o.levels_count);
  out.target.device = device_of(o.device);
  out.target.dtype = dtype_of(o.dtype);
  out.target.threads = o.threads ? o.threads : model.env().threads;
  if (o.calibration) {
    if (out.target.dtype != DType::none) throw Error(Error::Kind::argument, "8-bit integers and another dtype");
    const std::string name = model.look([](const zoo::ImageModel& m) { return m.full_name(); });
    out.target.calibration = read_calibration(o.calibration, name);
  }
  out.height = o.height;
  out.width = o.width;
  out.more_sizes = static_cast<size_t>(o.more_sizes);
  out.allow_nan = o.allow_nan != 0;
  out.release = o.release_weights != 0;
  if (out.release && out.more_sizes && !model.cached())
    throw Error(Error::Kind::argument, "further sizes need the weights that release_weights gives up",
                "with a plan cache they are read again");
  return out;
}

std::unique_ptr<fovea_session> make_session(const std::shared_ptr<LoadedModel>& model, const fovea_session_options& o) {
  auto out = std::unique_ptr<fovea_session>(new fovea_session{.runner = Runner(model, runner_options(o, *model))});
  if (o.max_pixels) out->decode.max_pixels = o.max_pixels;
  out->decode.allow_truncated = o.allow_truncated != 0;
  out->cancel = flag_of(o.cancel);
  out->device = to_string(out->runner.options().target.device);
  if (out->runner.options().outputs != Outputs::logits) return out;
  auto classifier = std::make_shared<Classifier>(model->classifier());
  const std::string& assumed = classifier->name_classes(out->runner.results()[0].dim(1));
  if (!assumed.empty()) model->env().log(FOVEA_LOG_WARNING, assumed);
  out->classifier = std::move(classifier);
  return out;
}

// --- Tensors of the caller -------------------------------------------------------------------------------------------

DType dtype_of(const fovea_tensor& t) {
  if (t.dtype < FOVEA_F32 || t.dtype > FOVEA_U8) throw Error(Error::Kind::argument, str_cat("no dtype ", t.dtype));
  return static_cast<DType>(t.dtype);
}
static_assert(FOVEA_F32 == static_cast<int>(DType::f32) && FOVEA_BF16 == static_cast<int>(DType::bf16) &&
              FOVEA_F16 == static_cast<int>(DType::f16) && FOVEA_I64 == static_cast<int>(DType::i64) &&
              FOVEA_U8 == static_cast<int>(DType::u8));

Meta meta_of(const fovea_tensor& t, const char* what) {
  if (t.rank < 0 || t.rank > Dims::kMax) throw Error(Error::Kind::argument, str_cat(what, " has rank ", t.rank));
  Meta m = make_meta(dtype_of(t), Shape(t.shape, t.shape + t.rank));
  bool any = false;
  int64_t last = 0;                                // the last element's place
  for (int i = 0; i < t.rank; ++i) {
    constexpr int64_t kMost = int64_t{1} << 48;    // more than any machine can address
    any = any || t.strides[i] != 0;
    int64_t reach = 0;
    if (t.shape[i] < 1 || t.strides[i] < 0 || __builtin_mul_overflow(t.shape[i] - 1, t.strides[i], &reach) ||
        __builtin_add_overflow(last, reach, &last) || last > kMost)
      throw Error(Error::Kind::shape, str_cat(what, " has a size of ", t.shape[i], " and a stride of ", t.strides[i]));
  }
  if (any) m.strides = Strides(t.strides, t.strides + t.rank);
  return m;
}

Tensor images_of(const fovea_tensor& t) {
  const Meta m = meta_of(t, "images");
  if (m.dtype != DType::f32) throw Error(Error::Kind::shape, str_cat("images are ", m), "they must be f32");
  if (!t.data) throw Error(Error::Kind::argument, "the images' data are NULL");
  const Tensor whole = wrap(t.data, m.dtype, {span_of(m)});
  return view_of(whole, m.shape, m.strides, 0);
}

fovea_tensor described(const Tensor& t) {
  fovea_tensor out{};
  out.data = t.bytes();
  out.dtype = static_cast<int32_t>(t.dtype());
  out.rank = t.rank();
  std::copy(t.shape().begin(), t.shape().end(), out.shape);
  std::copy(t.meta().strides.begin(), t.meta().strides.end(), out.strides);
  return out;
}

// Before anything runs: has the caller room for what will come?
void check_room(const fovea_session& s, int64_t n, const fovea_tensor* results, size_t count) {
  const std::vector<Meta> all = s.runner.results();
  if (count > all.size())
    throw Error(Error::Kind::argument, str_cat(count, " results were asked for, the session has ", all.size()));
  if (count) given(results, "results");
  for (size_t i = 0; i < count; ++i) {
    if (!results[i].data) continue;
    const Meta theirs = meta_of(results[i], "a result");
    if (theirs.dtype != all[i].dtype || theirs.rank() != all[i].rank() || theirs.dim(0) != n)
      throw Error(Error::Kind::shape, str_cat("result ", i, " is ", all[i], " an image, there is room for ", theirs));
  }
}

void give_results(std::span<const Tensor> from, fovea_tensor* to, size_t count) {
  for (size_t i = 0; i < count; ++i) {
    if (!to[i].data) continue;
    const Meta theirs = meta_of(to[i], "a result");
    if (theirs.shape != from[i].shape())
      throw Error(Error::Kind::shape, str_cat("result ", i, " is ", from[i].meta(), ", there is room for ", theirs));
  }
  for (size_t i = 0; i < count; ++i) {
    if (to[i].data)
      copy_strided(from[i].meta(), from[i].bytes(), meta_of(to[i], "a result"), static_cast<std::byte*>(to[i].data));
    else to[i] = described(from[i]);
  }
}

void run(fovea_session& s, const Tensor& images, fovea_tensor* results, size_t count) {
  const double at_creation = s.runner.seconds_compiling();               // no part of this run, where it is the first
  const Clock::time_point began = Clock::now();
  s.results = s.runner.run(images);
  s.timings.prepare = s.runner.seconds_compiling();
  s.timings.run = since(began) - (s.timings.prepare - at_creation);
  s.runner.forget_seconds_compiling();
  give_results(s.results, results, count);
}

// --- Images of the caller --------------------------------------------------------------------------------------------

struct Read {
  double decode = 0, transform = 0;
  std::exception_ptr why_not;
};

// f32[n, C, H, W], side by side on the session's threads. What cannot be read is black, and told in `read`.
class Reader {
 public:
  Reader(const fovea_session& s, const fovea_image* images, size_t n)
      : session_(s),
        images_(images),
        config_(s.classifier ? s.classifier->config()
                             : s.runner.model().look([](const zoo::ImageModel& m) { return eval_config(m); })),
        read(n) {
    const Meta in = s.runner.input();
    config_.input_size = {static_cast<int>(in.dim(1)), static_cast<int>(in.dim(2)), static_cast<int>(in.dim(3))};
  }

  Tensor one() { return transformed(0); }
  void all(const Tensor& batch) {
    const auto n = static_cast<int64_t>(read.size());
    const size_t bytes = static_cast<size_t>(batch.meta().bytes() / n);
    on_host_threads(n, 1, [&](int64_t first, int64_t last) {
      const FloatingModes modes;
      const OnBehalf behalf = on_behalf_of(session_);
      for (int64_t i = first; i < last; ++i)
        std::memcpy(batch.bytes() + static_cast<size_t>(i) * bytes, transformed(static_cast<size_t>(i)).bytes(), bytes);
    });
  }

 private:
  Tensor transformed(size_t i) {
    check_cancelled();
    Read& r = read[i];
    const Clock::time_point began = Clock::now();
    data::Image image;
    try {
      image = read_pixels(images_[i], session_.decode, read.size() == 1 ? "the image" : str_cat("image ", i));
    } catch (const OutOfMemory&) {
      throw;
    } catch (const Error&) {
      r.why_not = std::current_exception();
      image = data::make_image(config_.input_size[2], config_.input_size[1], config_.input_size[0]);
    }
    r.decode = since(began);
    const Clock::time_point decoded = Clock::now();
    Tensor out = data::eval_transform(image, config_);
    r.transform = since(decoded);
    return out;
  }

  const fovea_session& session_;
  const fovea_image* images_;
  data::EvalConfig config_;

 public:
  std::vector<Read> read;
};

fovea_status* status_of(const std::exception_ptr& why) {
  return why ? guarded([&] { std::rethrow_exception(why); }) : nullptr;
}

// The batch that the session keeps, for as many images again.
const Tensor& batch_for(fovea_session& s, int64_t n) {
  Meta m = s.runner.input();
  m.shape[0] = n;
  if (!s.batch || s.batch.shape() != m.shape) {
    s.batch = {};
    s.batch = empty(m.shape);
  }
  return s.batch;
}

void run_images(fovea_session& s, const fovea_image* images, size_t n, fovea_status** each, fovea_tensor* results,
                size_t count) {
  const Clock::time_point began = Clock::now();
  s.results = {};
  if (n == 0) throw Error(Error::Kind::argument, "no images");
  given(images, "images");
  check_room(s, static_cast<int64_t>(n), results, count);
  const OnBehalf behalf = on_behalf_of(s);
  Reader reader(s, images, n);
  Tensor input;
  if (n == 1) input = reader.one();
  else reader.all(input = batch_for(s, static_cast<int64_t>(n)));
  s.timings = {};
  for (const Read& r : reader.read) {
    s.timings.decode += r.decode;
    s.timings.transform += r.transform;
  }
  for (const Read& r : reader.read)
    if (r.why_not && !each) std::rethrow_exception(r.why_not);
  run(s, input, results, count);
  s.timings.total = since(began);
  for (size_t i = 0; each && i < n; ++i) each[i] = status_of(reader.read[i].why_not);
}

}  // namespace

extern "C" {

fovea_status* fovea_session_create(fovea_model* model, const fovea_session_options* options, fovea_session** session) {
  return guarded([&] {
    fovea_session*& out = given(session, "session");
    const std::shared_ptr<LoadedModel>& m = given(model, "model").model;
    const fovea_session_options o = read_options(options);
    const OnBehalf behalf(m->env(), o.threads > 0 ? o.threads : m->env().threads, flag_of(o.cancel));
    out = make_session(m, o).release();
  });
}

void fovea_session_free(fovea_session* session) { delete session; }

fovea_status* fovea_session_fork(fovea_session* session, fovea_session** fork) {
  return guarded([&] {
    fovea_session*& out = given(fork, "fork");
    const Holding s(session);
    const OnBehalf behalf = on_behalf_of(*s);
    auto made = std::unique_ptr<fovea_session>(new fovea_session{.runner = s->runner.fork()});
    made->classifier = s->classifier;
    made->decode = s->decode;
    made->cancel = s->cancel;
    made->device = s->device;
    out = made.release();
  });
}

fovea_status* fovea_session_run(fovea_session* session, const fovea_tensor* images, fovea_tensor* results,
                                size_t count) {
  return guarded([&] {
    const Holding s(session);
    const Clock::time_point began = Clock::now();
    s->results = {};
    const Tensor input = images_of(given(images, "images"));
    if (input.rank() == 0) throw Error(Error::Kind::shape, "images have rank 0");
    check_room(*s, input.dim(0), results, count);
    const OnBehalf behalf = on_behalf_of(*s);
    s->timings = {};
    run(*s, input, results, count);
    s->timings.total = since(began);
  });
}

fovea_status* fovea_session_run_images(fovea_session* session, const fovea_image* images, size_t n,
                                       fovea_status** each, fovea_tensor* results, size_t count) {
  return guarded([&] {
    const Holding s(session);
    run_images(*s, images, n, each, results, count);
  });
}

}

namespace {

void top(const fovea_session& s, int64_t row, fovea_class* classes, size_t* count) {
  if (!s.classifier) throw Error(Error::Kind::argument, "a session of features was asked for classes");
  if (s.results.empty()) throw Error(Error::Kind::argument, "classes were asked for before a run");
  const Tensor& logits = s.results[0];
  if (row < 0 || row >= logits.dim(0))
    throw Error(Error::Kind::argument, str_cat("row ", row, " was asked for, the last run had ", logits.dim(0)));
  given(count, "count");
  if (*count == 0) return;
  given(classes, "classes");
  const size_t most = std::min(*count, static_cast<size_t>(logits.dim(1)));
  const OnBehalf behalf = on_behalf_of(s);
  const std::vector<Guess> best = s.classifier->best(slice(logits, 0, row, row + 1), static_cast<int64_t>(most));
  for (size_t i = 0; i < best.size(); ++i)
    classes[i] = {best[i].index, s.classifier->name_of(best[i].index).c_str(), best[i].prob, 0};
  *count = best.size();
}

}  // namespace

extern "C" {

fovea_status* fovea_session_top(fovea_session* session, int64_t row, fovea_class* classes, size_t* count) {
  return guarded([&] {
    const Holding s(session);
    top(*s, row, classes, count);
  });
}

fovea_status* fovea_session_classify(fovea_session* session, const fovea_image* image, fovea_class* classes,
                                     size_t* count) {
  return guarded([&] {
    const Holding s(session);
    run_images(*s, image, 1, nullptr, nullptr, 0);
    top(*s, 0, classes, count);
  });
}

const char* fovea_session_label(fovea_session* session, int64_t index) {
  const Classifier* const c = session ? session->classifier.get() : nullptr;
  if (!c || index < 0 || index >= c->classes()) return nullptr;
  return c->name_of(index).c_str();
}

fovea_status* fovea_session_get_timings(fovea_session* session, fovea_timings* timings) {
  return guarded([&] {
    const Holding s(session);
    fill_in(given(timings, "timings"), s->timings);
  });
}

fovea_status* fovea_session_profile(fovea_session* session) {
  return guarded([&] {
    const Holding s(session);
    const OnBehalf behalf = on_behalf_of(*s);
    s->results = {};
    s->step_seconds = s->runner.profile();
  });
}

size_t fovea_session_step_count(fovea_session* session) { return session ? session->runner.steps().size() : 0; }

fovea_status* fovea_session_get_step(fovea_session* session, size_t index, fovea_step* step) {
  return guarded([&] {
    const Holding s(session);
    const std::vector<StepInfo>& all = s->runner.steps();
    if (index >= all.size())
      throw Error(Error::Kind::not_found, str_cat("no step ", index, ": there are ", all.size()));
    const StepInfo& of = all[index];
    if (s->ops.empty())
      for (const StepInfo& i : all) s->ops.emplace_back(i.op);
    fovea_step out{};
    out.scope = of.scope.c_str();
    out.op = s->ops[index].c_str();
    out.kernel = of.plan.c_str();
    out.bytes = of.bytes;
    out.flops = of.flops;
    out.seconds = index < s->step_seconds.size() ? s->step_seconds[index] : 0;
    fill_in(given(step, "step"), out);
  });
}

fovea_status* fovea_session_get_info(fovea_session* session, fovea_session_info* info) {
  return guarded([&] {
    const Holding s(session);
    const Meta in = s->runner.input();
    fovea_session_info out{};
    out.device = s->device.c_str();
    out.threads = s->runner.options().target.threads;
    out.outputs_count = static_cast<int32_t>(s->runner.results().size());
    out.channels = static_cast<int32_t>(in.dim(1));
    out.height = static_cast<int32_t>(in.dim(2));
    out.width = static_cast<int32_t>(in.dim(3));
    out.from_cache = s->runner.from_cache();
    out.working_bytes = s->runner.working_bytes();
    out.constant_bytes = s->runner.constant_bytes();
    fill_in(given(info, "info"), out);
  });
}

}
