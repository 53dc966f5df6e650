// SPDX-License-Identifier: Apache-2.0
// api/model.cpp — fovea_model: what the C API says about loading and describing models.
#include <cstring>
#include <map>

#include "api/loaded_model.h"
#include "api/options.h"
#include "api/status.h"
#include "engine/core/backend.h"

using namespace fovea;
using namespace fovea::capi;

// Texts stay where they are once somebody asked for them.
struct fovea_model::Texts {
  const char* keep(std::string_view text) { return all.emplace(std::string(text), 0).first->first.c_str(); }
  std::mutex mutex;
  std::map<std::string, int, std::less<>> all;
};

namespace {

std::shared_ptr<const MappedFile> in_memory(const fovea_model_options& o) {
  if (!o.data) return nullptr;
  const Bytes bytes(static_cast<const std::byte*>(o.data), o.data_size);
  if (o.borrow_data) return MappedFile::in_memory(bytes, "the weights", nullptr);
  const std::shared_ptr<Storage> copy = allocate(cpu(), bytes.size());
  std::memcpy(copy->data, bytes.data(), bytes.size());
  return MappedFile::in_memory({copy->data, bytes.size()}, "the weights", copy);
}

zoo::ModelOptions settings_of(const fovea_model_options& o) {
  zoo::ModelOptions out;
  if (o.classes < -1 || o.channels < 0 || o.height < 0 || o.width < 0 || (o.height == 0) != (o.width == 0))
    throw Error(Error::Kind::argument, cat("a model of ", o.classes, " classes for images of ", o.channels,
                                           " channels, ", o.height, " x ", o.width));
  if (o.classes) out.num_classes = std::max(o.classes, 0);
  if (o.channels) out.in_chans = o.channels;
  if (o.height) out.img_size = {o.height, o.width};
  if (o.settings_count) given(o.settings, "settings");
  for (size_t i = 0; i < o.settings_count; ++i) {
    const char *const name = o.settings[2 * i], *const value = o.settings[2 * i + 1];
    out.set.emplace_back(&given(name, "the name of a setting"), &given(value, "the value of a setting"));
  }
  return out;
}

ModelRequest request_of(const fovea_model_options& o) {
  if (o.data && o.weights) throw Error(Error::Kind::argument, "weights from a file and from memory");
  return {.name = text_or_empty(o.name),
          .weights = text_or_empty(o.weights),
          .labels = text_or_empty(o.labels),
          .plan_cache = text_or_empty(o.plan_cache),
          .in_memory = in_memory(o),
          .access = o.map_files ? FileAccess::map : FileAccess::read,
          .options = settings_of(o)};
}

fovea_model_info described(const zoo::ImageModel& m, const std::string& weights, fovea_model::Texts& texts) {
  const zoo::PretrainedCfg& row = m.pretrained_cfg();
  fovea_model_info out{};
  out.name = texts.keep(m.full_name());
  out.architecture = texts.keep(m.architecture());
  out.tag = texts.keep(m.tag());
  out.weights = texts.keep(weights);
  out.license = texts.keep(row.license);
  out.origin = texts.keep(row.origin_url);
  for (const NamedParameter& p : m.named_parameters()) out.parameters += p.tensor().numel();
  out.classes = m.num_classes();
  out.channels = m.input_size()[0];
  out.height = m.input_size()[1];
  out.width = m.input_size()[2];
  out.features = m.head_hidden_size();
  std::copy(row.mean.begin(), row.mean.end(), out.mean);
  std::copy(row.std.begin(), row.std.end(), out.std);
  out.crop_pct = row.crop_pct;
  out.crop_mode = texts.keep(row.crop_mode);
  out.interpolation = texts.keep(row.interpolation);
  return out;
}

}  // namespace

extern "C" {

fovea_status* fovea_model_load(fovea_env* env, const fovea_model_options* options, fovea_model** model) {
  return guarded([&] {
    fovea_model*& out = given(model, "model");
    const std::shared_ptr<const Env>& e = given(env, "env").env;
    const fovea_model_options o = read_options(&given(options, "options"));
    const OnBehalf behalf(*e, e->threads, flag_of(o.cancel));
    auto made = std::make_unique<fovea_model>();
    made->model = std::make_shared<LoadedModel>(e, request_of(o));
    made->texts = std::make_unique<fovea_model::Texts>();
    out = made.release();
  });
}

void fovea_model_free(fovea_model* model) { delete model; }

fovea_status* fovea_model_get_info(fovea_model* model, fovea_model_info* info) {
  return guarded([&] {
    LoadedModel& m = *given(model, "model").model;
    fovea_model_info& out = given(info, "info");
    const OnBehalf behalf(m.env(), m.env().threads, nullptr);
    const std::lock_guard lock(model->texts->mutex);
    fill_in(out, m.look([&](zoo::ImageModel& image_model) {
      fovea_model_info all = described(image_model, m.weights(), *model->texts);
      all.levels = static_cast<int32_t>(image_model.feature_info().size());
      return all;
    }));
  });
}

fovea_status* fovea_model_get_level(fovea_model* model, int32_t level, fovea_level* out) {
  return guarded([&] {
    LoadedModel& m = *given(model, "model").model;
    fovea_level& to = given(out, "out");
    const OnBehalf behalf(m.env(), m.env().threads, nullptr);
    const std::lock_guard lock(model->texts->mutex);
    fill_in(to, m.look([&](zoo::ImageModel& image_model) {
      const std::vector<zoo::FeatureInfo>& all = image_model.feature_info();
      if (level < 0 || level >= static_cast<int32_t>(all.size()))
        throw Error(Error::Kind::not_found, cat("no level ", level, ": ", image_model.full_name(), " has ", all.size()));
      const zoo::FeatureInfo& f = all[static_cast<size_t>(level)];
      fovea_level one{};
      one.channels = f.channels;
      one.reduction = f.reduction;
      one.module = model->texts->keep(f.module);
      return one;
    }));
  });
}

}
