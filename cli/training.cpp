// SPDX-License-Identifier: Apache-2.0
#include "cli/training.h"

#include <unistd.h>

#include "api/preprocess.h"
#include "engine/core/error.h"
#include "engine/core/temporary.h"

namespace fovea::cli {
namespace {

volatile std::sig_atomic_t interrupts = 0;

void count_interrupt(int signal) {
  if (interrupts > 0) {
    remove_temporaries();
    ::_exit(128 + signal);
  }
  interrupts = 1;
}

constexpr int kSignals[] = {SIGINT, SIGTERM};

std::vector<float> floats(const std::vector<double>& values) { return {values.begin(), values.end()}; }

}  // namespace

zoo::ModelOptions model_options(const InputOptions& o) {
  zoo::ModelOptions out;
  out.num_classes = o.num_classes;
  out.in_chans = o.in_chans;
  if (!o.input_size.empty()) {
    out.in_chans = o.input_size[0];
    out.img_size = {o.input_size[1], o.input_size[2]};
  }
  if (o.img_size) out.img_size = {*o.img_size, *o.img_size};
  if (!o.global_pool.empty()) out.global_pool = o.global_pool;
  for (const std::string& entry : o.model_kwargs) {
    const size_t equals = entry.find('=');
    if (equals == entry.npos)
      throw Error(Error::Kind::argument, cat("--model-kwargs ", entry), "each is name=value");
    out.set.emplace_back(entry.substr(0, equals), entry.substr(equals + 1));
  }
  return out;
}

data::EvalConfig eval_config(const zoo::ImageModel& model, const InputOptions& o) {
  data::EvalConfig c = fovea::eval_config(model);
  if (!o.input_size.empty()) c.input_size = {o.input_size[0], o.input_size[1], o.input_size[2]};
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

std::vector<std::string> class_map(const InputOptions& o) {
  return o.class_map.empty() ? std::vector<std::string>() : data::read_class_map(o.class_map);
}

FirstInterrupt::FirstInterrupt() {
  interrupts = 0;
  struct sigaction now {};
  now.sa_handler = count_interrupt;
  for (size_t i = 0; i < 2; ++i) {
    ::sigaction(kSignals[i], nullptr, &before_[i]);
    if (before_[i].sa_handler != SIG_IGN) ::sigaction(kSignals[i], &now, nullptr);
  }
}
FirstInterrupt::~FirstInterrupt() {
  for (size_t i = 0; i < 2; ++i) ::sigaction(kSignals[i], &before_[i], nullptr);
}
bool FirstInterrupt::came() { return interrupts > 0; }

}  // namespace fovea::cli
