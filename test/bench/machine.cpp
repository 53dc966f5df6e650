// SPDX-License-Identifier: Apache-2.0
// test/bench/machine.cpp — the roofline's arithmetic on a machine of known speed, and that real ones can be measured.
#include "bench/machine.h"

#include <algorithm>
#include <bit>
#include <cmath>
#include <cstring>

#include "bench/loops.h"
#include "engine/core/threads.h"
#include "kernels/cpu/isa/processor.h"
#include "test/support/amx_emulator.h"
#include "test/support/catch.h"

using namespace fovea;
using namespace fovea::bench;
using fovea::test::AmxEmulator;

namespace {

// 100 GFLOP/s in f32, 400 in bf16; 80 GB/s of up to 1 MB, 20 of more.
Machine known() {
  Machine m;
  m.peaks = {{"slow", DType::f32, 25e9}, {"fast", DType::f32, 100e9}, {"wide", DType::bf16, 400e9}};
  m.bandwidths = {{1'000'000, 80e9, 60e9}, {100'000'000, 20e9, 10e9}};
  return m;
}

StepInfo step(int64_t flops, int64_t bytes, DType t = DType::f32) {
  StepInfo s;
  s.flops = flops;
  s.bytes = bytes;
  s.in = {make_meta(t, {1})};
  return s;
}

}  // namespace

TEST_CASE("a roofline is the slower of products and bytes", "[bench]") {
  const Machine m = known();
  CHECK(m.peak(DType::f32) == 100e9);
  CHECK(m.peak(DType::bf16) == 400e9);
  CHECK(m.peak(DType::f16) == 100e9);              // no loop of its own: as f32
  CHECK(m.bandwidth(1'000'000) == 80e9);
  CHECK(m.bandwidth(1'000'001) == 20e9);
  CHECK(m.bandwidth(int64_t{1} << 40) == 20e9);
  CHECK(m.least_seconds(step(1'000'000'000, 1000)) == Approx(0.01));
  CHECK(m.least_seconds(step(1'000'000'000, 1000, DType::bf16)) == Approx(0.0025));
  CHECK(m.least_seconds(step(1000, 800'000)) == Approx(1e-5));
  CHECK(m.least_seconds(step(0, 20'000'000)) == Approx(1e-3));
  CHECK(Machine{}.least_seconds(step(1000, 1000)) == 0);
  CHECK_FALSE(Machine{}.measured());
}

TEST_CASE("the roof is that of the widest instructions", "[bench]") {
  Machine m = known();
  m.peaks = {{"sse2", DType::f32, 50e9}, {"avx2", DType::f32, 100e9}};
  REQUIRE(m.roof(DType::f32));
  CHECK(m.roof(DType::f32)->name == "avx2");
  CHECK(m.roof(DType::i8)->name == "avx2");        // no loop of its own
  CHECK_FALSE(Machine{}.roof(DType::f32));
  m.peaks = {{"sse2", DType::f32, 90e9}, {"avx2", DType::f32, 60e9}};          // somebody else was busy meanwhile
  order_peaks(m.peaks);
  CHECK(m.peak(DType::f32) == 90e9);
  CHECK(m.roof(DType::f32)->name == "avx2");
  CHECK_FALSE(m.peaks[1].settled);
  CHECK(m.peaks[0].settled);
  m.peaks = {{"avx2", DType::f32, 100e9}, {"avx512", DType::f32, 99.5e9}};     // as quick, on some processors
  order_peaks(m.peaks);
  CHECK(m.peaks[1].settled);
}

TEST_CASE("a peak has settled when several tries agree", "[bench]") {
  CHECK(peak_of("a", DType::f32, {50e9, 99e9, 100e9, 99.5e9}).flops == 100e9);
  CHECK(peak_of("a", DType::f32, {50e9, 99e9, 100e9, 99.5e9}).settled);
  CHECK_FALSE(peak_of("a", DType::f32, {50e9, 60e9, 100e9, 99.5e9}).settled);
  CHECK_FALSE(peak_of("a", DType::f32, {100e9}).settled);
}

TEST_CASE("loops of every supported instruction set compute", "[bench]") {
  REQUIRE(!supported_loops().empty());
  CHECK(supported_loops()[0]->dtype == DType::f32);
  for (const Loop* l : supported_loops()) {
    INFO(l->name);
    CHECK(l->flops > 0);
    const float value = l->run(1000);
    CHECK(std::isfinite(value));
    CHECK(value != 0);
  }
}

// Each round adds 32 products of halves, or 64 of ones, to every sum.
TEST_CASE("loops over AMX's tiles compute, on a processor that has none, too", "[bench]") {
  const AmxEmulator emulator;
  if (!kernels::cpu::processor().bf16) return;
  for (const Loop& l : known_loops()) {
    if (std::string_view(l.name) == "amx_bf16") CHECK(l.run(3) == 24);
    if (std::string_view(l.name) == "amx_int8") CHECK(std::bit_cast<int32_t>(l.run(3)) == 192);
  }
}

TEST_CASE("reading all bytes reads all bytes", "[bench]") {
  alignas(64) std::byte data[4096] = {};
  CHECK(read_all(data, sizeof data) == 0);
  uint64_t seen = 0;                               // whichever word changes, some of what is returned does
  for (size_t i = 0; i < sizeof data; i += 512) {
    std::memset(data, 0, sizeof data);
    data[i] = std::byte{1};
    seen += read_all(data, sizeof data) != 0;
  }
  CHECK(seen == sizeof data / 512);
}

TEST_CASE("this machine can be measured, with as many threads as are allowed", "[bench][slow]") {
  const UseThreads one(1);
  Machine m = this_machine();
  CHECK(!m.cpu.empty());
  CHECK(m.processors >= 1);
  CHECK_FALSE(m.measured());
  Progress progress;
  measure(m, progress);
  CHECK(m.threads == 1);
  REQUIRE(m.peaks.size() == supported_loops().size());
  for (const Peak& p : m.peaks) CHECK(p.flops > 1e8);
  REQUIRE(m.bandwidths.size() > 3);
  for (size_t i = 0; i < m.bandwidths.size(); ++i) {
    CHECK(m.bandwidths[i].read > 1e8);
    CHECK(m.bandwidths[i].copy > 1e8);
    if (i == 0) continue;
    CHECK(m.bandwidths[i].bytes > m.bandwidths[i - 1].bytes);
    CHECK(m.bandwidths[i].best() <= m.bandwidths[i - 1].best());
  }
}
