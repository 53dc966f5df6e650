// SPDX-License-Identifier: Apache-2.0
#include "test/fuzz/targets.h"

#include <stdexcept>

#include "data/decode.h"
#include "engine/core/error.h"
#include "hub/names.h"
#include "weights_tools/foreign.h"
#include "weights_tools/npz.h"
#include "weights_tools/open_weights.h"
#include "weights_tools/pickle.h"
#include "weights_tools/safe_name.h"
#include "weights_tools/safetensors.h"
#include "weights_tools/sharded.h"
#include "weights_tools/torch_checkpoint.h"
#include "weights_tools/torch_tar.h"
#include "weights_tools/zip.h"
#include "zoo/hub_config.h"

namespace fovea::test {
namespace {

void want(bool condition, const char* what) {
  if (!condition) throw std::logic_error(what);
}

template <class F>
void expect_error(const F& f) {
  try {
    f();
  } catch (const Error& e) {
    want(e.kind() != Error::Kind::internal, e.what());
    want(!e.summary().empty(), "an error without words");
  }
}

std::shared_ptr<const MappedFile> file_of(Bytes content) { return MappedFile::in_memory(content, "it", nullptr); }

// Every element of what was read, so that a wrong place shows.
void touch(const StateDict& tensors) {
  constexpr int64_t kMost = 1 << 20;
  for (const auto& [name, t] : tensors) {
    if (foreign_kind(t) || t.numel() == 0 || t.numel() > kMost) continue;
    const Tensor rows = dense(t);
    static volatile unsigned sum = 0;  // or nobody would read
    for (const std::byte b : Bytes(rows.bytes(), static_cast<size_t>(rows.meta().bytes())))
      sum = sum + static_cast<unsigned>(b);
  }
}

void safetensors(Bytes b) {
  expect_error([&] { touch(read_safetensors(file_of(b))); });
}
void torch_zip(Bytes b) {
  expect_error([&] {
    const Zip zip = Zip::open(file_of(b), {.check_crc = b.size() % 2 == 0});
    if (is_torch_zip(zip)) touch(read_torch_zip(zip, {.ema = b.size() % 4 < 2}));
    for (const ZipEntry& e : zip.entries()) zip.read(e);
  });
}
void torch_stream(Bytes b) {
  expect_error([&] {
    is_torch_stream(b);
    touch(read_torch_stream(file_of(b), {}));
  });
}
void torch_tar(Bytes b) {
  expect_error([&] {
    if (is_torch_tar(b)) touch(read_torch_tar(file_of(b), {}));
  });
}
void pickle(Bytes b) {
  constexpr uint64_t kLittle = 16 << 20;
  expect_error([&] {
    const Pickle p = read_pickle(b, "it", {.max_memory = kLittle});
    describe(*p.root);
    for (const std::string& name : p.globals) is_suspicious_global(name);
    want(p.size <= b.size(), "a pickle that ends behind its bytes");
  });
}
void npy(Bytes b) {
  expect_error([&] {
    const NpzEntry e = read_npy(b, "it", nullptr);
    StateDict d;
    if (e.tensor) d.set("it", e.tensor);
    touch(d);
  });
}
void npz(Bytes b) {
  expect_error([&] { touch(read_npz(Zip::open(file_of(b)))); });
}
void shard_index(Bytes b) {
  expect_error([&] {
    is_shard_index(b);
    for (const std::string& name : shards_of(*file_of(b)))
      want(is_safe_name(name), "a file name that leaves the folder");
  });
}
void any_weights(Bytes b) {
  expect_error([&] {
    if (!is_shard_index(b)) touch(open_weights(file_of(b)));
  });
}
void hub_config(Bytes b) {
  expect_error([&] {
    const zoo::HubConfig config = zoo::parse_hub_config(text_of(b), "config.json");
    want(!config.row.has_weights(), "a config that says where weights are");
  });
}
void hub_names(Bytes b) {
  const std::string_view all = text_of(b), first = all.substr(0, all.find('\n')),
                         second = first.size() < all.size() ? all.substr(first.size() + 1) : "";
  expect_error([&] { hub::file_url("https://hub", hub::parse_repo(first), second); });
  hub::shown(first);
  if (!hub::is_url(first)) return;
  const std::string next = hub::resolved(first, second);
  if (second.starts_with('/') && !second.starts_with("//"))
    want(hub::origin_of(next) == hub::origin_of(first), "a path that leads to another host");
}

constexpr data::DecodeOptions kSmall{.max_pixels = 1 << 14};

void image_header(Bytes b) {
  expect_error([&] {
    const data::ImageInfo info = data::probe(b);
    want(info.width > 0 && info.height > 0, "an image without a size");
  });
}
void image(Bytes b) {
  expect_error([&] {
    data::DecodeOptions o = kSmall;
    o.allow_truncated = b.size() % 2 == 0;
    const data::Image i = data::decode(b, o);
    want(i.width > 0 && i.height > 0, "an image without a size");
  });
}

constexpr FuzzTarget kTargets[] = {{"safetensors", safetensors},
                                   {"torch_zip", torch_zip},
                                   {"torch_stream", torch_stream},
                                   {"torch_tar", torch_tar},
                                   {"pickle", pickle},
                                   {"npy", npy},
                                   {"npz", npz},
                                   {"shard_index", shard_index},
                                   {"any_weights", any_weights},
                                   {"hub_config", hub_config},
                                   {"hub_names", hub_names},
                                   {"image_header", image_header},
                                   {"image", image}};

}  // namespace

std::span<const FuzzTarget> fuzz_targets() { return kTargets; }

}  // namespace fovea::test
