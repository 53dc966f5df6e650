// SPDX-License-Identifier: Apache-2.0
#include "bench/work.h"

#include <cstdio>
#include <cstring>

#include "api/plain_integers.h"
#include "engine/autograd/autograd.h"
#include "engine/core/error.h"
#include "engine/graph/calibration.h"
#include "engine/ops/ops.h"
#include "nn/fuse.h"
#include "train/optim/rules.h"
#include "weights_tools/mapped_file.h"
#include "zoo/registry.h"

namespace fovea::bench {
namespace {

// The given raw f32 file, or noise.
Tensor make_input(const std::string& path, const Shape& s) {
  if (path.empty()) return randn(s, 1);
  const std::shared_ptr<const MappedFile> file = MappedFile::open(path);
  const std::span<const std::byte> bytes = file->bytes();
  if (static_cast<int64_t>(bytes.size()) != numel(s) * 4)
    throw Error(Error::Kind::argument,
                str_cat(path, " holds ", bytes.size(), " bytes; an input of f32", s, " has ", numel(s) * 4));
  std::vector<float> values(bytes.size() / 4);
  std::memcpy(values.data(), bytes.data(), bytes.size());
  return from<float>(values, s);
}

}  // namespace

Work::Work(const WorkOptions& o) : options_(o), model_(zoo::create(o.model, model_options())) {
  const auto [channels, height, width] = model_->input_size();
  input_ = make_input(o.input, {o.batch, channels, height, width});
  if (!o.train && !o.eager) {
    compile();
    return;
  }
  load();
  if (o.train) {
    prepare_training();
    return;
  }
  model_->eval();
  if (o.dtype == "int8") throw Error(Error::Kind::unsupported, "int8 is what compiling makes", "leave out --eager");
  if (const DType dtype = parse_dtype(o.dtype); dtype != DType::f32) model_->to(dtype);
}

// Families that are built for one size are built for this one; for others it is what their row says.
zoo::ModelOptions Work::model_options() const {
  zoo::ModelOptions o;
  const int size = options_.img_size;
  if (size == 0) return o;
  const zoo::Entry* entry = zoo::find_entry(options_.model.substr(0, options_.model.find('.')));
  if (entry && entry->family->accepts.img_size) o.img_size = {size, size};
  else o.set.emplace_back("img_size", str_cat(size, ",", size));
  return o;
}

void Work::load() {
  if (options_.weights.empty()) model_->materialise();
  else
    for (const std::string& line : zoo::load_weights(*model_, options_.weights).adapted)
      std::fprintf(stderr, "note: %s: %s\n", options_.weights.c_str(), line.c_str());
  if (options_.reparam) fuse(*model_);
}

void Work::compile() {
  side_by_side_ = BatchSession::suits(options_.batch);
  model_->eval();
  zoo::CompileOptions o{.batch = side_by_side_ ? 1 : options_.batch};
  std::optional<Graph> graph;                      // traced without the weights
  if (options_.cache) {
    if (options_.weights.empty() || (options_.dtype == "int8" && !options_.calibration))
      throw Error(Error::Kind::argument, "the plan cache is for models with weights (and int8 with a calibration)",
                  "name files: --weights, --calibration");
    o.target = target();
    graph = zoo::trace(*model_, o);
    cache_.emplace(*model_, model_options(), *graph, options_.weights, o.target);
    if (std::optional<Session> found = cache_->load()) {
      take(std::move(*found));
      from_cache_ = true;
      return;
    }
  }
  load();
  o.target = target();
  if (!graph || !zoo::fill_traced(*graph, *model_)) graph = zoo::trace(*model_, o);
  zoo::give_up_tensors(*model_);
  take(fovea::compile(std::move(*graph), o.target));
}

void Work::take(Session s) {
  if (const std::string note = note_of_plain_integers(s); !note.empty())
    std::fprintf(stderr, "note: %s\n", note.c_str());
  if (side_by_side_) batch_ = BatchSession(std::move(s));
  else session_ = std::move(s);
}

void Work::keep() {
  if (cache_ && !from_cache_) cache_->store(session());
}

// What to compile for. Without given ranges int8 takes those that the one input of this bench shows: right for timing.
Target Work::target() {
  Target t{.threads = side_by_side_ ? 1 : 0, .without = options_.without};
  if (options_.dtype == "bf16") t.dtype = DType::bf16;
  if (options_.dtype != "int8") return t;
  t.calibration = options_.calibration;
  if (t.calibration) return t;
  Calibrator seen(zoo::trace(*model_, {.batch = options_.batch}));
  seen.observe(input_);
  t.calibration = std::make_shared<Calibration>(seen.result());
  return t;
}

void Work::prepare_training() {
  if (options_.dtype != "f32")
    throw Error(Error::Kind::unsupported, str_cat("training in ", options_.dtype), "leave out --dtype");
  model_->train().set_requires_grad();
  const Tensor classes = affine(arange(0, options_.batch), 7, 0);
  targets_ = binary(classes, full({}, model_->num_classes(), DType::i64), Binary::remainder);
  optimizer_ = std::make_unique<train::Optimizer>(train::rule("momentum"), *model_, 0.01, 1e-4);
  step_ = std::make_unique<train::Step>(*model_, *optimizer_);
  if (!options_.eager) step_->compile({.without = options_.without});
}

Tensor Work::operator()() {
  if (step_) return scalar((*step_)({input_, targets_}));
  if (side_by_side_) return batch_.run_borrowed(input_)[0];
  if (!options_.eager) return session_.run_borrowed(input_)[0];
  const NoGrad no_grad;
  const Tensor image = cast(contiguous(input_, Memory::channels_last), parse_dtype(options_.dtype));
  return contiguous(cast((*model_)(image), DType::f32));
}

Session& Work::session() {
  if (options_.eager)
    throw Error(Error::Kind::unsupported, "only a compiled model has steps to look at", "leave out --eager");
  if (step_) {
    const Tensor batch[] = {input_, targets_};
    return step_->session(batch);
  }
  return side_by_side_ ? batch_.slice() : session_;
}

int64_t Work::arena_bytes() { return side_by_side_ ? batch_.arena_bytes() : session().arena_bytes(); }

std::vector<double> Work::profile() {
  Session& compiled = session();
  const Tensor in[] = {side_by_side_ ? contiguous(slice(input_, 0, 0, 1)) : input_, targets_};
  return step_ ? step_->profile(in) : compiled.profile(std::span(in).first(1));
}

std::vector<double> time_ms(Work& work, int runs) {
  std::vector<double> ms;
  for (int i = 0; i < runs; ++i) {
    const double start = now();
    work();
    ms.push_back((now() - start) * 1e3);
  }
  return ms;
}

}  // namespace fovea::bench
