// SPDX-License-Identifier: Apache-2.0
// test/api/images.cpp — images through the C API: pixels of every order, NV12, encoded ones, and those that are broken.
#include <algorithm>
#include <cmath>

#include "api/preprocess.h"
#include "data/decode.h"
#include "test/api/client.h"
#include "test/api/weights.h"
#include "test/support/catch.h"
#include "zoo/zoo.h"

using namespace fovea_test;

TEST_CASE("C: images as pixels of every order", "[api]") {
  const Ready r;
  constexpr int kWidth = 190, kHeight = 171;
  fovea::data::Image image = fovea::data::make_image(kWidth, kHeight, 3);
  const std::vector<float> noise = pixels(image.pixels.size(), 8);
  for (size_t i = 0; i < noise.size(); ++i) image.pixels[i] = static_cast<uint8_t>(127.5f + 127.5f * noise[i]);
  const auto model = fovea::zoo::create(kNet);
  const auto logits_of = [&](const fovea::data::Image& i) {
    const fovea::Tensor x = fovea::preprocess(*model, i);
    return run(r.session.get(), images_of(x.data<float>().data(), 1, 3, kEdge, kEdge));
  };
  const std::vector<float> want = logits_of(image);
  struct Order {
    int32_t kind;
    size_t bytes, red, green, blue;
  };
  for (const Order& o : {Order{FOVEA_RGB, 3, 0, 1, 2}, Order{FOVEA_BGR, 3, 2, 1, 0}, Order{FOVEA_RGBA, 4, 0, 1, 2},
                         Order{FOVEA_BGRA, 4, 2, 1, 0}})
    for (const size_t gap : {0, 5}) {
      const size_t pitch = kWidth * o.bytes + gap;
      std::vector<uint8_t> rows(pitch * kHeight, 99);
      for (size_t y = 0; y < kHeight; ++y)
        for (size_t x = 0; x < kWidth; ++x) {
          const uint8_t* from = image.row(static_cast<int>(y)) + 3 * x;
          uint8_t* to = rows.data() + y * pitch + x * o.bytes;
          to[o.red] = from[0], to[o.green] = from[1], to[o.blue] = from[2];
        }
      fovea_image in{};
      in.kind = o.kind;
      in.data = rows.data();
      in.width = kWidth;
      in.height = kHeight;
      in.pitch = gap ? static_cast<int64_t>(pitch) : 0;
      CHECK(run_image(r.session.get(), in) == want);
      in.pitch = -static_cast<int64_t>(pitch);     // bottom-up
      in.data = rows.data() + (kHeight - 1) * pitch;
      fovea::data::Image flipped = image;
      for (int y = 0; y < kHeight; ++y) std::copy_n(image.row(kHeight - 1 - y), image.pitch(), flipped.row(y));
      CHECK(run_image(r.session.get(), in) == logits_of(flipped));
    }
  const fovea::data::Image grey = fovea::data::to_grey(image);
  fovea_image in{};
  in.kind = FOVEA_GREY;
  in.data = grey.pixels.data();
  in.width = kWidth;
  in.height = kHeight;
  CHECK(run_image(r.session.get(), in) == logits_of(fovea::data::to_rgb(grey)));
  in.pitch = kWidth - 1;
  CHECK(Said(fovea_session_run_images(r.session.get(), &in, 1, nullptr, nullptr, 0)).code == FOVEA_INVALID_ARGUMENT);
  for (const int64_t pitch : {INT64_MIN, INT64_MAX}) {
    in.pitch = pitch;
    CHECK(Said(fovea_session_run_images(r.session.get(), &in, 1, nullptr, nullptr, 0)).code == FOVEA_INVALID_ARGUMENT);
  }
  in.pitch = 0;
  in.width = -1;
  CHECK(Said(fovea_session_run_images(r.session.get(), &in, 1, nullptr, nullptr, 0)).code == FOVEA_INVALID_ARGUMENT);
  in.width = kWidth;
  in.kind = 77;
  CHECK(Said(fovea_session_run_images(r.session.get(), &in, 1, nullptr, nullptr, 0)).code == FOVEA_INVALID_ARGUMENT);
  in.kind = FOVEA_GREY;
  in.reserved[2] = 1;
  CHECK(Said(fovea_session_run_images(r.session.get(), &in, 1, nullptr, nullptr, 0)).code == FOVEA_UNSUPPORTED);
}

TEST_CASE("C: a model for grey images takes colour, and says which mean it lacks", "[api]") {
  const auto env = new_env();
  const std::string weights = weights_of(kNet);
  auto o = model_options(kNet, weights);           // whose first convolution is made to fit
  o.channels = 1;
  std::vector<uint8_t> rgb(3 * 200 * 180);
  for (size_t i = 0; i < rgb.size(); ++i) rgb[i] = static_cast<uint8_t>(i * 7919);
  fovea_image in{};
  in.kind = FOVEA_RGB;
  in.data = rgb.data();
  in.width = 200;
  in.height = 180;
  {
    const char* const three[] = {"mean", "0.4,0.5,0.6"};
    o.settings = three;
    o.settings_count = 1;
    const auto model = load(env.get(), o);
    const auto session = compile(model.get());
    const Said said = fovea_session_run_images(session.get(), &in, 1, nullptr, nullptr, 0);
    CHECK(said.code == FOVEA_INVALID_ARGUMENT);
    CHECK_THAT(said.message, contains_text("mean has 3 values"));
  }
  const char* const settings[] = {"mean", "0.5", "std", "0.25"};
  o.settings = settings;
  o.settings_count = 2;
  const auto model = load(env.get(), o);
  const auto session = compile(model.get());
  fovea::zoo::ModelOptions wanted{.in_chans = 1};
  wanted.set = {{"mean", "0.5"}, {"std", "0.25"}};
  const auto engine = fovea::zoo::create(kNet, wanted);
  fovea::data::Image image = fovea::data::make_image(200, 180, 3);
  image.pixels = rgb;
  const fovea::Tensor x = fovea::preprocess(*engine, image);
  CHECK(run_image(session.get(), in) ==
        run(session.get(), images_of(x.data<float>().data(), 1, 1, kEdge, kEdge)));
}

TEST_CASE("C: NV12 of the three colour spaces", "[api]") {
  const Ready r;
  constexpr int kSide = 161;                       // odd: the last chroma serves one pixel
  constexpr int kHalf = (kSide + 1) / 2;
  struct Space {
    int32_t colour;
    double kr, kb, black, scale, chroma;
  };
  for (const Space& s : {Space{FOVEA_BT601, 0.299, 0.114, 16, 255.0 / 219, 255.0 / 224},
                         Space{FOVEA_BT709, 0.2126, 0.0722, 16, 255.0 / 219, 255.0 / 224},
                         Space{FOVEA_BT601_FULL, 0.299, 0.114, 0, 1, 1}}) {
    std::vector<uint8_t> luma(kSide * kSide), chroma(2 * kHalf * kHalf);
    for (size_t i = 0; i < luma.size(); ++i) luma[i] = static_cast<uint8_t>(40 + (i * 7) % 170);
    for (size_t i = 0; i < chroma.size(); ++i) chroma[i] = static_cast<uint8_t>(90 + (i * 13) % 80);
    fovea::data::Image rgb = fovea::data::make_image(kSide, kSide, 3);
    for (int y = 0; y < kSide; ++y)
      for (int x = 0; x < kSide; ++x) {
        const double light = s.scale * (luma[static_cast<size_t>(y * kSide + x)] - s.black);
        const size_t at = static_cast<size_t>(y / 2 * 2 * kHalf + x / 2 * 2);
        const double u = s.chroma * (chroma[at] - 128), v = s.chroma * (chroma[at + 1] - 128);
        const double red = light + 2 * (1 - s.kr) * v, blue = light + 2 * (1 - s.kb) * u;
        const double green = (light - s.kr * red - s.kb * blue) / (1 - s.kr - s.kb);
        const double all[] = {red, green, blue};
        for (int c = 0; c < 3; ++c)
          rgb.row(y)[3 * x + c] = static_cast<uint8_t>(std::lround(std::clamp(all[c], 0.0, 255.0)));
      }
    fovea_image in{};
    in.kind = FOVEA_NV12;
    in.colour = s.colour;
    in.data = luma.data();
    in.chroma = chroma.data();
    in.width = in.height = kSide;
    const auto model = fovea::zoo::create(kNet);
    const fovea::Tensor x = fovea::preprocess(*model, rgb);
    const std::vector<float> want = run(r.session.get(), images_of(x.data<float>().data(), 1, 3, kEdge, kEdge));
    const std::vector<float> got = run_image(r.session.get(), in);
    const float most = *std::max_element(want.begin(), want.end());
    for (size_t i = 0; i < want.size(); ++i) REQUIRE(std::abs(got[i] - want[i]) < 0.02f * std::abs(most));
    in.chroma = nullptr;
    CHECK(Said(fovea_session_run_images(r.session.get(), &in, 1, nullptr, nullptr, 0)).code == FOVEA_INVALID_ARGUMENT);
  }
}

TEST_CASE("C: encoded images and files, and those that cannot be read", "[api]") {
  if (!fovea::data::can_decode()) return;
  const Ready r;
  const auto model = fovea::zoo::create(kNet);
  const std::string coffee = photo("coffee.png"), rocket = photo("rocket.jpg");
  const std::vector<std::byte> bytes = bytes_of_file(rocket);
  const auto logits_of = [&](const std::string& path) {
    const fovea::Tensor x = fovea::preprocess(*model, fovea::data::read_image(path));
    return run(r.session.get(), images_of(x.data<float>().data(), 1, 3, kEdge, kEdge));
  };
  const std::vector<float> of_coffee = logits_of(coffee), of_rocket = logits_of(rocket);
  CHECK(run_image(r.session.get(), file(coffee)) == of_coffee);
  CHECK(run_image(r.session.get(), encoded(bytes)) == of_rocket);
  auto timings = init<fovea_timings>();
  REQUIRE(Said(fovea_session_get_timings(r.session.get(), &timings)));
  CHECK(timings.decode > 0);
  CHECK(timings.transform > 0);
  CHECK(timings.run > 0);
  CHECK(timings.total >= timings.decode + timings.transform + timings.run);

  const std::string gone = scratch_folder() + "/gone.jpg";
  const std::vector<std::byte> half(bytes.begin(), bytes.begin() + static_cast<int64_t>(bytes.size() / 2));
  const fovea_image images[] = {file(coffee), file(gone), encoded(bytes), encoded(half), file(coffee)};
  fovea_tensor out{};
  Said said = fovea_session_run_images(r.session.get(), images, 5, nullptr, &out, 1);
  CHECK(said.code == FOVEA_IO_ERROR);
  CHECK_THAT(said.message, contains_text("gone.jpg"));
  CHECK(out.data == nullptr);
  fovea_status* each[5] = {};
  REQUIRE(Said(fovea_session_run_images(r.session.get(), images, 5, each, &out, 1)));
  const std::vector<float> logits = values_of(out);
  const int32_t codes[] = {FOVEA_OK, FOVEA_IO_ERROR, FOVEA_OK, FOVEA_BAD_FORMAT, FOVEA_OK};
  for (size_t i = 0; i < 5; ++i) {
    CHECK(fovea_status_code(each[i]) == codes[i]);
    const std::vector<float> row(logits.begin() + static_cast<int64_t>(i) * kClasses,
                                 logits.begin() + static_cast<int64_t>(i + 1) * kClasses);
    if (!each[i]) CHECK(row == (i == 2 ? of_rocket : of_coffee));
    fovea_status_free(each[i]);
  }
  auto o = init<fovea_session_options>();
  o.allow_truncated = 1;
  const auto lenient = compile(r.model.get(), o);
  CHECK(Said(fovea_session_run_images(lenient.get(), &images[3], 1, nullptr, nullptr, 0)));
  o.max_pixels = 1000;
  const auto strict = compile(r.model.get(), o);
  CHECK(Said(fovea_session_run_images(strict.get(), images, 1, nullptr, nullptr, 0)).code == FOVEA_BAD_FORMAT);
}
