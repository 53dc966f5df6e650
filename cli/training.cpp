// SPDX-License-Identifier: Apache-2.0
#include "cli/training.h"

#include <unistd.h>

#include <filesystem>

#include "api/preprocess.h"
#include "data/dataset.h"
#include "engine/core/error.h"
#include "engine/core/temporary.h"
#include "train/class_map.h"
#include "zoo/family.h"

namespace fovea::cli {
namespace {

std::atomic<bool> interrupted{false};
static_assert(std::atomic<bool>::is_always_lock_free);     // or a handler could not set it

void take_interrupt(int signal) {
  if (!interrupted.exchange(true)) return;
  remove_temporaries();
  ::_exit(128 + signal);
}

constexpr int kSignals[] = {SIGINT, SIGTERM};

std::vector<float> floats(const std::vector<double>& values) { return {values.begin(), values.end()}; }

}  // namespace

zoo::ModelOptions model_options(const InputOptions& o, const std::string& name) {
  zoo::ModelOptions out;
  out.num_classes = o.num_classes;
  out.in_chans = o.in_chans;
  if (!o.input_size.empty() && !o.in_chans) out.in_chans = o.input_size[0];
  if (o.img_size) out.img_size = {*o.img_size, *o.img_size};
  else if (!o.input_size.empty()) out.img_size = {o.input_size[1], o.input_size[2]};
  if (out.img_size && !zoo::create(name)->family().accepts.img_size) out.img_size.reset();
  if (!o.global_pool.empty()) out.global_pool = o.global_pool;
  for (const std::string& entry : o.model_kwargs) {
    const size_t equals = entry.find('=');
    if (equals == entry.npos)
      throw Error(Error::Kind::argument, str_cat("--model-kwargs ", entry), "each is name=value");
    out.set.emplace_back(entry.substr(0, equals), entry.substr(equals + 1));
  }
  return out;
}

data::EvalConfig eval_config(const zoo::ImageModel& model, const InputOptions& o) {
  data::EvalConfig c = fovea::eval_config(model);
  if (!o.input_size.empty()) c.input_size = {o.input_size[0], o.input_size[1], o.input_size[2]};
  if (o.in_chans) c.input_size[0] = *o.in_chans;
  if (o.img_size) c.input_size[1] = c.input_size[2] = *o.img_size;
  if (!o.mean.empty()) c.mean = floats(o.mean);
  if (!o.std.empty()) c.std = floats(o.std);
  // rows have means of three channels: one channel gets their mean
  for (std::vector<float>* v : {&c.mean, &c.std})
    if (c.input_size[0] == 1 && v->size() == 3) *v = {((*v)[0] + (*v)[1] + (*v)[2]) / 3};
  if (!o.interpolation.empty()) c.interpolation = data::parse_filter(o.interpolation);
  if (o.crop_pct) c.crop_pct = static_cast<float>(*o.crop_pct);
  if (!o.crop_mode.empty()) c.crop_mode = data::parse_crop_mode(o.crop_mode);
  return c;
}

std::unique_ptr<data::Reader> open_images(const InputOptions& o, const std::string& root, const std::string& split,
                                          const std::vector<std::string>& classes) {
  namespace fs = std::filesystem;
  data::DatasetOptions d{.split = split,
                         .class_map = classes,
                         .input_key = o.input_key,
                         .target = {.key = o.target_key, .multihot = data::is_multihot(o.target_format)}};
  if (!o.class_map.empty()) {
    const fs::path below = fs::path(root) / o.class_map;   // timm looks there, too
    d.class_map = train::read_class_map(fs::exists(o.class_map) || !fs::exists(below) ? o.class_map : below.string());
  }
  return data::open_dataset(o.dataset, root, d);
}

FirstInterrupt::FirstInterrupt() {
  interrupted = false;
  struct sigaction now {};
  now.sa_handler = take_interrupt;
  for (size_t i = 0; i < 2; ++i) {
    ::sigaction(kSignals[i], nullptr, &before_[i]);
    if (before_[i].sa_handler != SIG_IGN) ::sigaction(kSignals[i], &now, nullptr);
  }
}
FirstInterrupt::~FirstInterrupt() {
  for (size_t i = 0; i < 2; ++i) ::sigaction(kSignals[i], &before_[i], nullptr);
}
const std::atomic<bool>& FirstInterrupt::flag() { return interrupted; }

}  // namespace fovea::cli
