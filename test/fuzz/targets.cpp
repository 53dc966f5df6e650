// SPDX-License-Identifier: Apache-2.0
#include "test/fuzz/targets.h"

#include <sys/stat.h>

#include <algorithm>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <stdexcept>
#include <string>

#include "data/csv_images.h"
#include "data/decode.h"
#include "data/idx.h"
#include "data/tar_index.h"
#include "data/web_dataset.h"
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

// Readers of data sets take paths: a folder of this process, which goes away with it.
class Folder {
 public:
  Folder() {
    std::string path = (std::filesystem::temp_directory_path() / "fovea-fuzz-XXXXXX").string();
    if (!::mkdtemp(path.data())) throw std::runtime_error("no folder for the fuzzers");
    path_ = path;
  }
  ~Folder() {
    std::error_code failed;
    std::filesystem::remove_all(path_, failed);
  }
  std::string operator/(const char* name) const { return path_ + "/" + name; }
  std::string write(const char* name, std::string_view content) const {
    const std::string path = *this / name;
    std::ofstream(path, std::ios::binary) << content;
    return path;
  }

 private:
  std::string path_;
};
const Folder& folder() {
  static const Folder one;
  return one;
}

// What every reader promises of the samples that it lists.
void want_samples(const data::Reader& r) {
  want(r.size() > 0, "a data set without samples");
  for (size_t i = 0; i < r.size(); ++i) {
    want(!r.name(i).empty(), "a sample without a name");
    want(r.multi_label() || r.labels(i).size() == 1, "a sample of another number of classes than one");
    for (const int64_t label : r.labels(i))
      want(label >= 0 && label < static_cast<int64_t>(r.classes().size()), "a sample of a class that there is not");
  }
}

// Lines behind the first one, of an archive of 4096 bytes.
void tar_index(Bytes b) {
  constexpr uint64_t kSize = 4096;
  const std::string archive = folder().write("a.tar", std::string(kSize, '\0'));
  struct stat s {};
  if (::stat(archive.c_str(), &s) != 0) throw std::runtime_error("no archive");
  folder().write("a.tar.fovea-index",
                 str_cat("fovea tar index 1 ", kSize, ' ', static_cast<int64_t>(s.st_mtim.tv_sec), ' ',
                         static_cast<int64_t>(s.st_mtim.tv_nsec), '\n', text_of(b)));
  expect_error([&] {
    const data::TarListing all = data::list_tar(archive, true);
    const auto inside = [&](const std::vector<data::TarMember>& members) {
      for (const data::TarMember& m : members)
        want(m.at <= kSize && m.size <= kSize - m.at, "a member that is not in its archive");
    };
    inside(all.members);
    for (const data::TarListing::Inner& inner : all.inner) inside(inner.members);
  });
}

// u16 size of the images' file, which may be gzip, and the labels' behind it.
void idx(Bytes b) {
  const std::string_view all = text_of(b), rest = all.substr(std::min<size_t>(2, all.size()));
  const size_t size = all.size() < 2 ? 0
                                     : std::min<size_t>(rest.size(), static_cast<uint8_t>(all[0]) +
                                                                         256u * static_cast<uint8_t>(all[1]));
  const std::string images = folder().write("images", rest.substr(0, size)),
                    labels = folder().write("labels", rest.substr(size));
  expect_error([&] {
    const data::IdxImages r(data::IdxFiles{images, labels});
    want_samples(r);
    want(r.read(r.size() - 1).pixels.width > 0, "an image without a size");
  });
}

// The files that a table names are not opened.
void csv_images(Bytes b) {
  const std::string table = folder().write("t.csv", text_of(b));
  for (const data::CsvOptions& o : {data::CsvOptions{}, data::CsvOptions{.target = {.key = "", .multihot = true}},
                                    data::CsvOptions{.target = {.key = "b", .multihot = false}},
                                    data::CsvOptions{.target = {.key = "a,b", .multihot = false}}})
    expect_error([&] { want_samples(data::CsvImages(table, o)); });
}

// A shard.
void web_shard(Bytes b) {
  folder().write("w.tar", text_of(b));
  for (const data::WebOptions& o : {data::WebOptions{}, data::WebOptions{.target = {.key = "a", .multihot = false}},
                                    data::WebOptions{.target = {.key = "a", .multihot = true}},
                                    data::WebOptions{.target = {.key = "a,b/c", .multihot = false}}})
    expect_error([&] {
      const data::WebDataset r(folder() / "", "w.tar", o);
      want_samples(r);
      for (size_t i = 0; i < r.size(); ++i) r.read(i);
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
                                   {"image", image},
                                   {"tar_index", tar_index},
                                   {"idx", idx},
                                   {"csv_images", csv_images},
                                   {"web_shard", web_shard}};

}  // namespace

std::span<const FuzzTarget> fuzz_targets() { return kTargets; }

}  // namespace fovea::test
