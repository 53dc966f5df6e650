// SPDX-License-Identifier: Apache-2.0
// data/tar_members.cpp — headers of tar archives by libarchive, which is loaded with the first archive: it brings a
// dozen libraries along, and a start that needs none pays nothing.
#include "data/tar_members.h"

#include <archive.h>
#include <archive_entry.h>
#include <dlfcn.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <exception>
#include <memory>
#include <new>

#include "engine/core/cancel.h"
#include "engine/core/error.h"

namespace fovea::data {
namespace {

struct Library {
  decltype(&archive_read_new) create;
  decltype(&archive_read_free) free;
  decltype(&archive_read_support_format_tar) take_tar;
  decltype(&archive_read_set_read_callback) on_read;
  decltype(&archive_read_set_skip_callback) on_skip;
  decltype(&archive_read_set_callback_data) set_data;
  decltype(&archive_read_open1) open;
  decltype(&archive_read_next_header) next;
  decltype(&archive_filter_bytes) consumed;
  decltype(&archive_error_string) message;
  decltype(&archive_set_error) set_error;
  decltype(&archive_entry_pathname) name;
  decltype(&archive_entry_filetype) type;
  decltype(&archive_entry_hardlink) link;
  decltype(&archive_entry_size) size;
  decltype(&archive_entry_sparse_count) holes;
};

template <class F>
void find(void* library, const char* name, F& function) {
  function = reinterpret_cast<F>(::dlsym(library, name));
  if (!function) throw Error(Error::Kind::unsupported, str_cat("libarchive on this machine has no ", name));
}

const Library& libarchive() {
  static const Library loaded = [] {
    void* library = ::dlopen("libarchive.so.13", RTLD_NOW | RTLD_LOCAL);
    if (!library)
      throw Error(Error::Kind::unsupported,
                  "tar archives need libarchive, which is not on this machine (libarchive.so.13)",
                  "install it (Debian: apt-get install libarchive13), or unpack the archive");
    Library l{};
    find(library, "archive_read_new", l.create);
    find(library, "archive_read_free", l.free);
    find(library, "archive_read_support_format_tar", l.take_tar);
    find(library, "archive_read_set_read_callback", l.on_read);
    find(library, "archive_read_set_skip_callback", l.on_skip);
    find(library, "archive_read_set_callback_data", l.set_data);
    find(library, "archive_read_open1", l.open);
    find(library, "archive_read_next_header", l.next);
    find(library, "archive_filter_bytes", l.consumed);
    find(library, "archive_error_string", l.message);
    find(library, "archive_set_error", l.set_error);
    find(library, "archive_entry_pathname", l.name);
    find(library, "archive_entry_filetype", l.type);
    find(library, "archive_entry_hardlink", l.link);
    find(library, "archive_entry_size", l.size);
    find(library, "archive_entry_sparse_count", l.holes);
    return l;
  }();
  return loaded;
}

// What libarchive asks for bytes. Exceptions wait until it has returned.
struct Input {
  const RegularFile& file;
  uint64_t at, end;
  std::array<std::byte, 16384> buffer;
  std::exception_ptr thrown{};

  static la_ssize_t read(archive* a, void* self, const void** out) {
    Input& in = *static_cast<Input*>(self);
    *out = in.buffer.data();
    try {
      const size_t got = in.file.read(
          in.at, std::span(in.buffer).first(static_cast<size_t>(std::min<uint64_t>(in.buffer.size(), in.end - in.at))));
      in.at += got;
      return static_cast<la_ssize_t>(got);
    } catch (...) {
      in.thrown = std::current_exception();
      libarchive().set_error(a, EIO, "it cannot be read");
      return ARCHIVE_FATAL;
    }
  }
  static la_int64_t skip(archive*, void* self, la_int64_t wanted) {
    Input& in = *static_cast<Input*>(self);
    const uint64_t by = std::min<uint64_t>(static_cast<uint64_t>(std::max<la_int64_t>(0, wanted)), in.end - in.at);
    in.at += by;
    return static_cast<la_int64_t>(by);
  }
};

class Archive {
 public:
  Archive(const RegularFile& file, const FilePart& part)
      : lib_(libarchive()), input_{file, part.at, part.at + part.size, {}}, start_(part.at),
        a_(lib_.create(), lib_.free) {
    if (!a_) throw std::bad_alloc();
    lib_.take_tar(a_.get());
    lib_.on_read(a_.get(), Input::read);
    lib_.on_skip(a_.get(), Input::skip);
    lib_.set_data(a_.get(), &input_);
    if (lib_.open(a_.get()) != ARCHIVE_OK) fail();
  }
  Archive(const Archive&) = delete;
  Archive& operator=(const Archive&) = delete;

  // False at the end.
  bool next(TarMember& member, bool& regular) {
    archive_entry* entry = nullptr;
    const int code = lib_.next(a_.get(), &entry);
    if (code == ARCHIVE_EOF) return false;
    if (code != ARCHIVE_OK && code != ARCHIVE_WARN) fail();
    const char* name = lib_.name(entry);
    regular = name && lib_.type(entry) == AE_IFREG && !lib_.link(entry);
    if (!regular) return true;
    const auto behind_header = static_cast<uint64_t>(lib_.consumed(a_.get(), 0));
    member = {name, start_ + behind_header, static_cast<uint64_t>(lib_.size(entry))};
    if (lib_.holes(entry) > 0)
      throw Error(Error::Kind::format, str_cat(input_.file.path(), ": ", name, " is stored without its holes"),
                  "make the archive anew without --sparse");
    return true;
  }

 private:
  [[noreturn]] void fail() const {
    if (input_.thrown) std::rethrow_exception(input_.thrown);
    const char* why = lib_.message(a_.get());
    throw Error(Error::Kind::format, str_cat(input_.file.path(), " is no tar archive that can be listed: ",
                                             why ? why : "libarchive does not say why"),
                "it may be cut off, damaged or compressed");
  }

  const Library& lib_;
  Input input_;
  uint64_t start_;
  std::unique_ptr<archive, decltype(&archive_read_free)> a_;
};

}  // namespace

bool can_read_tar() { return true; }

std::vector<TarMember> tar_members(const RegularFile& file, const FilePart& part) {
  Archive archive(file, part);
  std::vector<TarMember> out;
  TarMember member;
  for (bool regular = false; archive.next(member, regular);) {
    check_cancelled();
    if (regular) out.push_back(std::move(member));
  }
  return out;
}

}  // namespace fovea::data
