// SPDX-License-Identifier: Apache-2.0
// test/zoo/allocations.cpp — a compiled model allocates nothing while it runs, and its answers are the same bits each
// time.
#include "engine/core/threads.h"
#include "engine/graph/batch_session.h"
#include "engine/graph/calibration.h"
#include "test/support/allocations.h"
#include "test/support/catch.h"
#include "test/support/check_op.h"
#include "test/support/members.h"
#include "zoo/zoo.h"

namespace fovea::zoo {

namespace {

template <class AnySession>
void check_quiet(AnySession& session, const Tensor& images) {
  const std::vector<double> first = test::values_of(session.run_borrowed(images)[0]);
  const test::Allocations seen = test::allocated_by([&] {
    for (int i = 0; i < 5; ++i) session.run_borrowed(images);
  });
  CHECK(seen.count == 0);
  CHECK(test::values_of(session.run_borrowed(images)[0]) == first);
}

// One member of each family.
void check_members(const Target& target) {
  for (const Member& m : members()) {
    INFO(m.name);
    auto model = create(m.name, m.options);
    model->materialise(3);
    const auto height = static_cast<int>(m.images[2]), width = static_cast<int>(m.images[3]);
    Session session = compile(*model, {.height = height, .width = width, .target = target});
    check_quiet(session, test::filled("image", session.inputs()[0].shape));
  }
}

}  // namespace

TEST_CASE("runs of compiled models allocate nothing and repeat their bits", "[zoo][slow]") {
  const UseThreads two(2);
  check_members({});
}

TEST_CASE("so do runs in bf16", "[zoo][slow][bf16]") {
  const UseThreads two(2);
  check_members({.dtype = DType::bf16});
}

TEST_CASE("so do images side by side", "[zoo][slow]") {
  const UseThreads two(2);
  auto model = create("test_efficientnet");
  model->materialise(3);
  BatchSession session(compile(*model, {.target = {.threads = 1}}));
  const Tensor images = test::filled("images", {6, 3, 160, 160});
  session.run_borrowed(images);                    // with one more, every seat will have been taken
  check_quiet(session, images);
}

TEST_CASE("runs in 8-bit integers allocate nothing and repeat their bits", "[zoo][quant]") {
  const UseThreads two(2);
  for (const char* name : {"test_efficientnet", "mobilenetv3_small_050", "test_resnet"}) {
    INFO(name);
    auto model = create(name);
    model->materialise(3);
    CompileOptions o;
    Calibrator seen(trace(*model, o));
    const Tensor image = test::filled("image", compile(*model).inputs()[0].shape);
    seen.observe(image);
    o.target.calibration = std::make_shared<Calibration>(seen.result());
    Session session = compile(*model, o);
    check_quiet(session, image);
  }
}

}  // namespace fovea::zoo
