// SPDX-License-Identifier: Apache-2.0
// test/api/c_api.cpp — the C API gives what the engine gives, says what went wrong, and takes options old and new.
#include <algorithm>
#include <atomic>
#include <cmath>
#include <cstddef>
#include <cstring>
#include <filesystem>
#include <thread>

#include "api/preprocess.h"
#include "data/decode.h"
#include "data/labels.h"
#include "engine/core/backend.h"
#include "engine/ops/ops.h"
#include "test/api/client.h"
#include "test/api/weights.h"
#include "test/support/catch.h"
#include "test/weights_tools/files.h"
#include "zoo/zoo.h"

extern "C" const char* fovea_test_c99(const char* name, const char* weights, const char* photo, fovea_class* best,
                                      size_t* count);

using namespace fovea_test;
namespace fs = std::filesystem;

namespace {

// The engine's own answer, an image after the other.
std::vector<float> by_engine(const std::vector<float>& images) {
  const auto model = fovea::zoo::create(kNet);
  fovea::zoo::load_weights(*model, weights_of(kNet));
  fovea::Session session = fovea::zoo::compile(*model);
  std::vector<float> out;
  for (size_t at = 0; at < images.size(); at += kImage) {
    const fovea::Tensor one = fovea::from(std::span<const float>(images.data() + at, kImage), {1, 3, kEdge, kEdge});
    const fovea::Tensor logits = session.run(one);
    const auto values = logits.data<float>();
    out.insert(out.end(), values.begin(), values.end());
  }
  return out;
}

}  // namespace

TEST_CASE("C: statuses have a code and a message, and what was asked for stays untouched", "[api]") {
  CHECK(fovea_status_code(nullptr) == FOVEA_OK);
  CHECK(fovea_status_message(nullptr) == std::string());
  const auto env = new_env();
  auto* const untouched = reinterpret_cast<fovea_model*>(&fovea_version);
  fovea_model* model = untouched;
  auto o = model_options("resnet5O", "none.safetensors");
  const auto fails = [&](int32_t code, const char* text) {
    const Said said = fovea_model_load(env.get(), &o, &model);
    CHECK(said.code == code);
    CHECK_THAT(said.message, contains_text(text));
    CHECK(model == untouched);
  };
  fails(FOVEA_NOT_FOUND, "resnet50");
  o.name = kNet;
  fails(FOVEA_NOT_FOUND, "none.safetensors");
  const std::string text = scratch_folder() + "/weights.pth", of_another = weights_of("test_vit.r160_in1k");
  fovea::test::write_file(text, "no weights at all");
  o.weights = text.c_str();
  fails(FOVEA_BAD_FORMAT, "weights.pth");
  o.weights = of_another.c_str();
  fails(FOVEA_BAD_WEIGHTS, "test_vit");
  o.weights = nullptr;
  o.name = nullptr;
  fails(FOVEA_INVALID_ARGUMENT, "name");
  o.struct_size = 0;
  fails(FOVEA_INVALID_ARGUMENT, "struct_size");
  CHECK(Said(fovea_model_load(nullptr, &o, &model)).code == FOVEA_INVALID_ARGUMENT);
  CHECK(Said(fovea_model_load(env.get(), nullptr, &model)).code == FOVEA_INVALID_ARGUMENT);
  CHECK(Said(fovea_model_load(env.get(), &o, nullptr)).code == FOVEA_INVALID_ARGUMENT);
  CHECK(Said(fovea_session_create(nullptr, nullptr, nullptr)).code == FOVEA_INVALID_ARGUMENT);
  fovea_status_free(nullptr);
  fovea_env_free(nullptr);
  fovea_model_free(nullptr);
  fovea_session_free(nullptr);
  fovea_cancel_free(nullptr);
}

TEST_CASE("C: options of a caller who knows less, and of one who knows more", "[api]") {
  const auto env = new_env();
  const std::string weights = weights_of(kNet);
  auto old = model_options(kNet, weights);
  old.struct_size = offsetof(fovea_model_options, data);
  old.classes = 17;                                // behind what it says that there is
  load(env.get(), old);
  struct {
    fovea_model_options known;
    int64_t later[2];
  } newer{model_options(kNet, weights), {0, 0}};
  newer.known.struct_size = sizeof newer;
  load(env.get(), newer.known);
  newer.later[1] = 1;
  fovea_model* none = nullptr;
  CHECK(Said(fovea_model_load(env.get(), &newer.known, &none)).code == FOVEA_UNSUPPORTED);
  const auto model = load(env.get(), kNet);
  fovea_model_info info{};
  info.struct_size = offsetof(fovea_model_info, tag);
  REQUIRE(Said(fovea_model_get_info(model.get(), &info)));
  CHECK(info.architecture == std::string("test_resnet"));
  CHECK(info.tag == nullptr);
  CHECK(info.parameters == 0);
}

TEST_CASE("C: what is known of a model", "[api]") {
  const Ready r;
  auto info = init<fovea_model_info>();
  REQUIRE(Said(fovea_model_get_info(r.model.get(), &info)));
  CHECK(info.name == std::string(kNet));
  CHECK(info.tag == std::string("r160_in1k"));
  CHECK(info.weights == weights_of(kNet));
  CHECK(info.license == std::string("apache-2.0"));
  const auto model = fovea::zoo::create(kNet);
  int64_t parameters = 0;
  for (const auto& p : model->named_parameters()) parameters += p.tensor().numel();
  CHECK(info.parameters == parameters);
  CHECK(info.classes == kClasses);
  CHECK(info.height == kEdge);
  CHECK(info.features == model->head_hidden_size());
  REQUIRE(info.levels == static_cast<int32_t>(model->feature_info().size()));
  for (int32_t i = 0; i < info.levels; ++i) {
    auto level = init<fovea_level>();
    REQUIRE(Said(fovea_model_get_level(r.model.get(), i, &level)));
    CHECK(level.channels == model->feature_info()[static_cast<size_t>(i)].channels);
    CHECK(level.reduction == model->feature_info()[static_cast<size_t>(i)].reduction);
    CHECK(level.module == model->feature_info()[static_cast<size_t>(i)].module);
  }
  auto level = init<fovea_level>();
  CHECK(Said(fovea_model_get_level(r.model.get(), info.levels, &level)).code == FOVEA_NOT_FOUND);
  std::vector<std::string> names;
  const auto add = [](void* to, const char* name) { static_cast<std::vector<std::string>*>(to)->emplace_back(name); };
  REQUIRE(Said(fovea_env_models(r.env.get(), "test_res*", 1, add, &names)));
  CHECK(names == fovea::zoo::list({.patterns = {"test_res*"}, .tags = true}));
  CHECK(std::count(names.begin(), names.end(), kNet) == 1);
}

TEST_CASE("C: weights from files, read or mapped, and from memory give the same bits", "[api]") {
  const std::vector<float> x = pixels(kImage, 1);
  const std::vector<float> want = by_engine(x);
  const auto env = new_env();
  const std::string path = weights_of(kNet);
  std::vector<std::byte> bytes = bytes_of_file(path);
  auto o = model_options(kNet, path);
  const auto logits = [&](bool overwrite = false) {
    const auto model = load(env.get(), o);
    if (overwrite) std::fill(bytes.begin(), bytes.end(), std::byte{0xFF});
    const auto session = compile(model.get());
    return run(session.get(), images_of(x.data(), 1, 3, kEdge, kEdge));
  };
  CHECK(logits() == want);
  o.map_files = 1;
  CHECK(logits() == want);
  o.weights = nullptr;
  o.data = bytes.data();
  o.data_size = bytes.size();
  o.borrow_data = 1;
  CHECK(logits() == want);
  o.borrow_data = 0;
  CHECK(logits(true) == want);
  o.weights = path.c_str();
  fovea_model* none = nullptr;
  CHECK(Said(fovea_model_load(env.get(), &o, &none)).code == FOVEA_INVALID_ARGUMENT);
}

TEST_CASE("C: a config.json beside the weights names the model and its classes", "[api]") {
  const std::string folder = scratch_folder(), weights = folder + "/model.safetensors";
  fs::copy(weights_of(kNet), weights);
  std::string names;
  for (int i = 0; i < kClasses; ++i) names += (i ? ", \"kind " : "\"kind ") + std::to_string(i) + "\"";
  fovea::test::write_file(folder + "/config.json", "{\"architecture\": \"test_resnet\", \"label_names\": [" + names +
                                                       "], \"pretrained_cfg\": {\"tag\": \"r160_in1k\"}}");
  const auto env = new_env();
  const auto model = load(env.get(), model_options(nullptr, weights));
  auto info = init<fovea_model_info>();
  REQUIRE(Said(fovea_model_get_info(model.get(), &info)));
  CHECK(info.name == std::string(kNet));
  const auto session = compile(model.get());
  CHECK(fovea_session_label(session.get(), 7) == std::string("kind 7"));
  CHECK(fovea_session_label(session.get(), 1000) == nullptr);
  CHECK(fovea_session_label(session.get(), -1) == nullptr);
  const std::string lines = folder + "/labels.txt";
  fovea::test::write_file(lines, "one\ntwo\n");
  auto o = model_options(kNet, weights);
  o.labels = lines.c_str();
  const auto other = load(env.get(), o);
  fovea_session* none = nullptr;
  const Said said = fovea_session_create(other.get(), nullptr, &none);
  CHECK(said.code == FOVEA_INVALID_ARGUMENT);
  CHECK_THAT(said.message, contains_text("2 labels") && contains_text("1000 classes"));
}

TEST_CASE("C: tensors of any number and strides, into the caller's memory or borrowed", "[api]") {
  constexpr size_t kMost = 9;
  const std::vector<float> x = pixels(kMost * kImage, 2);
  const std::vector<float> want = by_engine(x);
  const auto env = new_env();
  const auto model = load(env.get(), kNet);
  auto o = init<fovea_session_options>();
  o.threads = 4;
  const auto session = compile(model.get(), o);
  for (const int64_t n : {1, 2, 3, 4, 9}) {
    INFO("batch of " << n);
    const std::vector<float> first(want.begin(), want.begin() + n * kClasses);
    CHECK(run(session.get(), images_of(x.data(), n, 3, kEdge, kEdge)) == first);
  }
  std::vector<float> last(3 * kImage), padded(2 * (kImage + 64));
  for (size_t i = 0; i < 3; ++i)
    for (size_t p = 0; p < kEdge * kEdge; ++p)
      for (size_t c = 0; c < 3; ++c) last[i * kImage + 3 * p + c] = x[i * kImage + c * kEdge * kEdge + p];
  fovea_tensor channels_last = images_of(last.data(), 3, 3, kEdge, kEdge);
  const int64_t strides[] = {kImage, 1, 3 * kEdge, 3};
  std::copy(strides, strides + 4, channels_last.strides);
  CHECK(run(session.get(), channels_last) == std::vector<float>(want.begin(), want.begin() + 3 * kClasses));
  for (size_t i = 0; i < 2; ++i) std::copy_n(x.data() + i * kImage, kImage, padded.data() + i * (kImage + 64));
  fovea_tensor apart = images_of(padded.data(), 2, 3, kEdge, kEdge);
  const int64_t gaps[] = {kImage + 64, kEdge * kEdge, kEdge, 1};
  std::copy(gaps, gaps + 4, apart.strides);
  CHECK(run(session.get(), apart) == std::vector<float>(want.begin(), want.begin() + 2 * kClasses));

  std::vector<float> mine(2 * kClasses * 2, -7);   // every other element
  fovea_tensor room{};
  room.data = mine.data();
  room.dtype = FOVEA_F32;
  room.rank = 2;
  room.shape[0] = 2;
  room.shape[1] = kClasses;
  room.strides[0] = 2 * kClasses;
  room.strides[1] = 2;
  const fovea_tensor two = images_of(x.data(), 2, 3, kEdge, kEdge);
  REQUIRE(Said(fovea_session_run(session.get(), &two, &room, 1)));
  for (size_t i = 0; i < 2 * kClasses; ++i) {
    REQUIRE(mine[2 * i] == want[i]);
    REQUIRE(mine[2 * i + 1] == -7);
  }
  room.shape[1] = kClasses - 1;
  CHECK(Said(fovea_session_run(session.get(), &two, &room, 1)).code == FOVEA_SHAPE_MISMATCH);
  room.shape[0] = 3;
  CHECK(Said(fovea_session_run(session.get(), &two, &room, 1)).code == FOVEA_SHAPE_MISMATCH);
  CHECK(Said(fovea_session_run(session.get(), &two, &room, 2)).code == FOVEA_INVALID_ARGUMENT);
  const fovea_tensor small = images_of(x.data(), 1, 3, kEdge, kEdge / 2);
  const Said said = fovea_session_run(session.get(), &small, nullptr, 0);
  CHECK(said.code == FOVEA_SHAPE_MISMATCH);
  CHECK_THAT(said.message, contains_text("more_sizes"));
  fovea_tensor wrong = two;
  wrong.dtype = FOVEA_U8;
  CHECK(Said(fovea_session_run(session.get(), &wrong, nullptr, 0)).code == FOVEA_SHAPE_MISMATCH);
  wrong = two;
  wrong.strides[0] = INT64_MAX;                    // beyond all memory
  wrong.strides[3] = 1;
  CHECK(Said(fovea_session_run(session.get(), &wrong, nullptr, 0)).code == FOVEA_SHAPE_MISMATCH);
  wrong = two;
  wrong.shape[0] = INT64_MAX / 4;
  CHECK(Said(fovea_session_run(session.get(), &wrong, nullptr, 0)).code == FOVEA_SHAPE_MISMATCH);
  wrong = two;
  wrong.rank = 9;
  CHECK(Said(fovea_session_run(session.get(), &wrong, nullptr, 0)).code == FOVEA_INVALID_ARGUMENT);
  wrong = two;
  wrong.data = nullptr;
  CHECK(Said(fovea_session_run(session.get(), &wrong, nullptr, 0)).code == FOVEA_INVALID_ARGUMENT);
  CHECK(run(session.get(), two) == std::vector<float>(want.begin(), want.begin() + 2 * kClasses));
}

TEST_CASE("C: any number of threads gives the same bits", "[api][slow]") {
  const std::vector<float> x = pixels(9 * kImage, 3);
  const auto env = new_env();
  const auto model = load(env.get(), kNet);
  int compared = 0;
  for (const int32_t dtype : {FOVEA_F32, FOVEA_BF16}) {
    std::vector<float> first;
    for (const int threads : {1, 2, 3, 4, 8}) {
      auto o = init<fovea_session_options>();
      o.threads = threads;
      o.dtype = dtype;
      const auto session = compile(model.get(), o);
      for (int i = 0; i < 20; ++i, ++compared) {
        const int64_t n = i % 10 ? 1 : 9;
        std::vector<float> logits = run(session.get(), images_of(x.data(), n, 3, kEdge, kEdge));
        if (first.empty()) first = logits;
        CHECK(logits == std::vector<float>(first.begin(), first.begin() + n * kClasses));
      }
    }
  }
  WARN(compared << " runs by 1, 2, 3, 4 and 8 threads, alone and in a batch: the same bits");
}

TEST_CASE("C: more sizes than one, and no more than were allowed", "[api]") {
  const auto env = new_env();
  const auto model = load(env.get(), kNet);
  auto o = init<fovea_session_options>();
  o.more_sizes = 2;
  const auto session = compile(model.get(), o);
  auto alone = init<fovea_session_options>();
  auto first = init<fovea_session_info>();
  REQUIRE(Said(fovea_session_get_info(session.get(), &first)));
  const int64_t one_size = first.constant_bytes;
  for (const int64_t edge : {96, 128, 64, 96, 160, 224}) {
    INFO(edge);
    const std::vector<float> x = pixels(static_cast<size_t>(2 * 3 * edge * edge), 4);
    alone.height = alone.width = static_cast<int32_t>(edge);
    const auto of_this = compile(model.get(), alone);
    const fovea_tensor t = images_of(x.data(), 2, 3, edge, edge);
    CHECK(run(session.get(), t) == run(of_this.get(), t));
    auto info = init<fovea_session_info>();
    REQUIRE(Said(fovea_session_get_info(session.get(), &info)));
    CHECK(info.height == kEdge);
    CHECK(2 * info.constant_bytes < 3 * one_size);  // packed weights are there once
  }
}

TEST_CASE("C: features and levels are the engine's", "[api]") {
  const std::vector<float> x = pixels(kImage, 5);
  const auto engine = fovea::zoo::create(kNet);
  fovea::zoo::load_weights(*engine, weights_of(kNet));
  const auto env = new_env();
  const auto model = load(env.get(), kNet);
  auto o = init<fovea_session_options>();
  o.outputs = FOVEA_FEATURES;
  const auto features = compile(model.get(), o);
  fovea_tensor pooled{};
  const fovea_tensor in = images_of(x.data(), 1, 3, kEdge, kEdge);
  REQUIRE(Said(fovea_session_run(features.get(), &in, &pooled, 1)));
  CHECK(pooled.rank == 2);
  CHECK(pooled.shape[1] == engine->head_hidden_size());
  size_t five = 5;
  fovea_class classes[5];
  CHECK(Said(fovea_session_top(features.get(), 0, classes, &five)).code == FOVEA_INVALID_ARGUMENT);

  const int32_t levels[] = {1, -1};
  o.outputs = FOVEA_LEVELS;
  o.levels = levels;
  o.levels_count = 2;
  const auto maps = compile(model.get(), o);
  fovea_tensor out[2] = {};
  REQUIRE(Said(fovea_session_run(maps.get(), &in, out, 2)));
  const auto& info = engine->feature_info();
  for (size_t i = 0; i < 2; ++i) {
    const fovea::zoo::FeatureInfo& of = i == 0 ? info[1] : info.back();
    CHECK(out[i].rank == 4);
    CHECK(out[i].shape[1] == of.channels);
    CHECK(out[i].shape[2] == kEdge / of.reduction);
  }
  std::vector<float> mine(static_cast<size_t>(out[1].shape[1] * out[1].shape[2] * out[1].shape[3]));
  const fovea::Tensor last =
      fovea::contiguous(engine->forward_intermediates(fovea::from(std::span<const float>(x), {1, 3, kEdge, kEdge}),
                                                      {.indices = {-1}})
                            .features[0]);
  fovea_tensor dense = out[1];
  dense.data = mine.data();
  std::fill(dense.strides, dense.strides + 8, 0);
  fovea_tensor both[2] = {fovea_tensor{}, dense};
  REQUIRE(Said(fovea_session_run(maps.get(), &in, both, 2)));
  for (size_t i = 0; i < mine.size(); ++i) REQUIRE(mine[i] == Approx(last.data<float>()[i]).margin(1e-4));
  const int32_t beyond[] = {17};
  o.levels = beyond;
  o.levels_count = 1;
  fovea_session* none = nullptr;
  CHECK(Said(fovea_session_create(model.get(), &o, &none)).code == FOVEA_INVALID_ARGUMENT);
}

TEST_CASE("C: the most probable classes, by name", "[api]") {
  const Ready r;
  const std::vector<float> x = pixels(2 * kImage, 6);
  fovea_class best[7];
  size_t count = 7;
  CHECK(Said(fovea_session_top(r.session.get(), 0, best, &count)).code == FOVEA_INVALID_ARGUMENT);
  const std::vector<float> logits = run(r.session.get(), images_of(x.data(), 2, 3, kEdge, kEdge));
  for (const int64_t row : {0, 1}) {
    count = 7;
    REQUIRE(Said(fovea_session_top(r.session.get(), row, best, &count)));
    REQUIRE(count == 7);
    const float* of = logits.data() + row * kClasses;
    double sum = 0;
    for (int i = 0; i < kClasses; ++i) sum += std::exp(static_cast<double>(of[i]));
    for (size_t i = 0; i < count; ++i) {
      CHECK(static_cast<double>(best[i].probability) == Approx(std::exp(static_cast<double>(of[best[i].index])) / sum));
      CHECK(best[i].label == std::string(fovea::data::label(static_cast<int>(best[i].index))));
      if (i) CHECK(of[best[i].index] <= of[best[i - 1].index]);
    }
    CHECK(of[best[0].index] == *std::max_element(of, of + kClasses));
  }
  CHECK(Said(fovea_session_top(r.session.get(), 2, best, &count)).code == FOVEA_INVALID_ARGUMENT);
  std::vector<fovea_class> all(1200);
  count = all.size();
  REQUIRE(Said(fovea_session_top(r.session.get(), 0, all.data(), &count)));
  CHECK(count == kClasses);
}

TEST_CASE("C: a program in C99 classifies a photo", "[api]") {
  if (!fovea::data::can_decode()) return;
  const Ready r;
  fovea_class best[5], same[5];
  size_t count = 5, five = 5;
  const std::string weights = weights_of(kNet), rocket = photo("rocket.jpg");
  CHECK(fovea_test_c99(kNet, weights.c_str(), rocket.c_str(), best, &count) == std::string());
  const fovea_image image = file(rocket);
  REQUIRE(Said(fovea_session_classify(r.session.get(), &image, same, &five)));
  REQUIRE(count == five);
  for (size_t i = 0; i < 5; ++i) {
    CHECK(best[i].index == same[i].index);
    CHECK(best[i].probability == same[i].probability);
  }
  CHECK_THAT(std::string(fovea_test_c99("resnet", weights.c_str(), "", best, &count)), contains_text("resnet"));
}

TEST_CASE("C: a plan cache finds what another model compiled, and reads no weights then", "[api]") {
  const std::vector<float> x = pixels(kImage, 9);
  const std::string folder = scratch_folder() + "/plans", weights = scratch_folder() + "/model.safetensors";
  fs::copy(weights_of(kNet), weights);
  fs::last_write_time(weights, fs::file_time_type::clock::now() - std::chrono::hours(1));
  const auto env = new_env();
  auto o = model_options(kNet, weights);
  o.plan_cache = folder.c_str();
  std::vector<float> first;
  for (const int32_t expected : {0, 1, 1}) {
    const auto model = load(env.get(), o);
    const auto session = compile(model.get());
    auto info = init<fovea_session_info>();
    REQUIRE(Said(fovea_session_get_info(session.get(), &info)));
    CHECK(info.from_cache == expected);
    const std::vector<float> logits = run(session.get(), images_of(x.data(), 1, 3, kEdge, kEdge));
    if (first.empty()) first = logits;
    CHECK(logits == first);
    CHECK(fovea_session_label(session.get(), 3) == std::string(fovea::data::label(3)));
    auto bf16 = init<fovea_session_options>();     // another plan of the same model
    bf16.dtype = FOVEA_BF16;
    const auto other = compile(model.get(), bf16);
    REQUIRE(Said(fovea_session_get_info(other.get(), &info)));
    CHECK(info.from_cache == expected);
  }
  CHECK(first == by_engine(x));
  fs::permissions(folder, fs::perms::all);         // others could write there
  const auto model = load(env.get(), o);
  const auto session = compile(model.get());
  auto info = init<fovea_session_info>();
  REQUIRE(Said(fovea_session_get_info(session.get(), &info)));
  CHECK(info.from_cache == 0);
}

TEST_CASE("C: weights may be released once they are packed; forks go on", "[api]") {
  const std::vector<float> x = pixels(kImage, 10);
  const auto env = new_env();
  auto model = load(env.get(), kNet);
  auto o = init<fovea_session_options>();
  o.release_weights = 1;
  auto session = compile(model.get(), o);
  fovea_session* none = nullptr;
  const Said said = fovea_session_create(model.get(), nullptr, &none);
  CHECK(said.code == FOVEA_INVALID_ARGUMENT);
  CHECK_THAT(said.message, contains_text("fork"));
  fovea_session* made = nullptr;
  REQUIRE(Said(fovea_session_fork(session.get(), &made)));
  const Owned<fovea_session> fork(made);
  model.reset();
  const fovea_tensor in = images_of(x.data(), 1, 3, kEdge, kEdge);
  const std::vector<float> logits = run(session.get(), in);
  session.reset();
  CHECK(run(fork.get(), in) == logits);
  CHECK(logits == by_engine(x));
  CHECK(fovea_session_label(fork.get(), 0) == std::string(fovea::data::label(0)));
}

TEST_CASE("C: cancelling ends loading, compiling and runs, and everything can be used again", "[api]") {
  const std::vector<float> x = pixels(kImage, 11);
  fovea_cancel* flag = nullptr;
  REQUIRE(Said(fovea_cancel_create(&flag)));
  const auto env = new_env();
  const std::string weights = weights_of(kNet);
  auto o = model_options(kNet, weights);
  o.cancel = flag;
  fovea_cancel_request(flag);
  fovea_model* none = nullptr;
  CHECK(Said(fovea_model_load(env.get(), &o, &none)).code == FOVEA_CANCELLED);
  fovea_cancel_reset(flag);
  const auto model = load(env.get(), o);
  auto s = init<fovea_session_options>();
  s.cancel = flag;
  s.threads = 2;
  fovea_cancel_request(flag);
  fovea_session* no_session = nullptr;
  CHECK(Said(fovea_session_create(model.get(), &s, &no_session)).code == FOVEA_CANCELLED);
  fovea_cancel_reset(flag);
  const auto session = compile(model.get(), s);
  const std::vector<float> many = pixels(8 * kImage, 12);
  const fovea_tensor one = images_of(x.data(), 1, 3, kEdge, kEdge), eight = images_of(many.data(), 8, 3, kEdge, kEdge);
  const std::vector<float> logits = run(session.get(), one);
  fovea_cancel_request(flag);
  CHECK(Said(fovea_session_run(session.get(), &one, nullptr, 0)).code == FOVEA_CANCELLED);
  CHECK(Said(fovea_session_run(session.get(), &eight, nullptr, 0)).code == FOVEA_CANCELLED);
  fovea_cancel_reset(flag);
  CHECK(run(session.get(), one) == logits);
  // while it runs
  std::atomic<bool> going = false;
  std::thread other([&] {
    while (!going) std::this_thread::yield();
    fovea_cancel_request(flag);
  });
  int32_t code = FOVEA_OK;
  for (int i = 0; i < 100000 && code == FOVEA_OK; ++i) {
    going = true;
    code = Said(fovea_session_run(session.get(), &eight, nullptr, 0)).code;
  }
  other.join();
  CHECK(code == FOVEA_CANCELLED);
  fovea_cancel_free(flag);
  CHECK(Said(fovea_session_run(session.get(), &one, nullptr, 0)).code == FOVEA_CANCELLED);
}

TEST_CASE("C: results that are no numbers are not given as results", "[api]") {
  const Ready r;
  std::vector<float> x = pixels(kImage, 13);
  x[17] = std::nanf("");
  const fovea_tensor in = images_of(x.data(), 1, 3, kEdge, kEdge);
  const Said said = fovea_session_run(r.session.get(), &in, nullptr, 0);
  CHECK(said.code == FOVEA_NOT_FINITE);
  CHECK_THAT(said.message, contains_text("image"));
  auto o = init<fovea_session_options>();
  o.allow_nan = 1;
  const auto lenient = compile(r.model.get(), o);
  const std::vector<float> logits = run(lenient.get(), in);
  CHECK(std::isnan(logits[0]));
}

TEST_CASE("C: the kernels of a session, with their times", "[api]") {
  const Ready r;
  REQUIRE(Said(fovea_session_profile(r.session.get())));
  const size_t n = fovea_session_step_count(r.session.get());
  REQUIRE(n > 10);
  double seconds = 0;
  int64_t flops = 0;
  bool convolves = false;
  for (size_t i = 0; i < n; ++i) {
    auto step = init<fovea_step>();
    REQUIRE(Said(fovea_session_get_step(r.session.get(), i, &step)));
    CHECK_FALSE(std::string(step.kernel).empty());
    convolves = convolves || step.op == std::string("conv");
    seconds += step.seconds;
    flops += step.flops;
  }
  CHECK(convolves);
  CHECK(seconds > 0);
  CHECK(flops > 1000000);
  auto step = init<fovea_step>();
  CHECK(Said(fovea_session_get_step(r.session.get(), n, &step)).code == FOVEA_NOT_FOUND);
}

TEST_CASE("C: what is not there is an error, not something else", "[api]") {
  const Ready r;
  auto o = init<fovea_session_options>();
  fovea_session* none = nullptr;
  const auto code = [&] { return Said(fovea_session_create(r.model.get(), &o, &none)).code; };
  o.device = "cuda";
  CHECK(code() == FOVEA_UNSUPPORTED);
  o.device = "toaster";
  CHECK(code() == FOVEA_INVALID_ARGUMENT);
  o.device = nullptr;
  o.dtype = FOVEA_I8;
  CHECK(code() == FOVEA_UNSUPPORTED);
  o.dtype = 0;
  o.outputs = 9;
  CHECK(code() == FOVEA_INVALID_ARGUMENT);
  o.outputs = 0;
  for (const int32_t threads : {-1, 5000}) {
    o.threads = threads;
    CHECK(code() == FOVEA_INVALID_ARGUMENT);
  }
  o.threads = 0;
  o.outputs = 0;
  o.calibration = "none.json";
  CHECK(code() == FOVEA_IO_ERROR);
  CHECK(none == nullptr);
}

TEST_CASE("C: the table has all functions, for the versions that there were", "[api]") {
  CHECK(fovea_get_api(0) == nullptr);
  CHECK(fovea_get_api(FOVEA_API_VERSION + 1) == nullptr);
  const fovea_api* t = fovea_get_api(FOVEA_API_VERSION);
  REQUIRE(t != nullptr);
  CHECK(t->struct_size == sizeof(fovea_api));
  CHECK(t->version() == std::string(fovea_version()));
  CHECK(t->status_code == fovea_status_code);
  CHECK(t->model_load == fovea_model_load);
  CHECK(t->session_run_images == fovea_session_run_images);
  CHECK(t->session_get_info == fovea_session_get_info);
  const auto* entries = reinterpret_cast<void* const*>(reinterpret_cast<const char*>(t) + sizeof(size_t));
  for (size_t i = 0; i < (sizeof(fovea_api) - sizeof(size_t)) / sizeof(void*); ++i) CHECK(entries[i] != nullptr);
}
