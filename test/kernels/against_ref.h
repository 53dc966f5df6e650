// SPDX-License-Identifier: Apache-2.0
// test/kernels/against_ref.h — the same ops on ref and on cpu alone, with every instruction set and several threads.
#pragma once
#include <functional>

#include "engine/core/backend.h"
#include "engine/core/threads.h"
#include "kernels/cpu/isa/processor.h"
#include "test/kernels/instruction_sets.h"
#include "test/support/catch.h"
#include "test/support/check_op.h"

namespace fovea::test {

/// f runs on ref, then on cpu alone with every instruction set and with one and three threads, which give the same
/// bits.
inline void check_against_ref(const std::function<Tensors()>& f, double tolerance = 1e-6) {
  Tensors expected;
  {
    const UseBackend ref("ref");
    expected = f();
  }
  const int before = threads();
  for (const kernels::cpu::Processor* kind : processors_by_loops()) {
    const kernels::cpu::UseProcessor use(*kind);
    Tensors one;
    for (int n : {1, 3}) {
      clear_plan_cache();
      set_threads(n);
      const UseBackend cpu("cpu");
      const Tensors got = f();
      REQUIRE(got.size() == expected.size());
      for (size_t i = 0; i < got.size(); ++i) {
        INFO(kind->name << " threads " << n << " result " << i);
        CHECK(got[i].shape() == expected[i].shape());
        CHECK(relative_error(values_of(got[i]), values_of(expected[i])) <= tolerance);
        if (n > 1) CHECK(relative_error(values_of(got[i]), values_of(one[i])) == 0);    // of equal NaN, too
      }
      one = got;
    }
  }
  set_threads(before);
  clear_plan_cache();
}

}  // namespace fovea::test
