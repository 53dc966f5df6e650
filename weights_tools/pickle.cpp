// SPDX-License-Identifier: Apache-2.0
#include "weights_tools/pickle.h"

#include <algorithm>
#include <array>
#include <bit>
#include <charconv>
#include <unordered_map>
#include <unordered_set>

#include "engine/core/error.h"

namespace fovea {
namespace {
using Kind = PickleValue::Kind;

// Named and numbered as in Python's pickletools.
// clang-format off
enum Op : uint8_t {
  MARK = '(', STOP = '.', POP = '0', POP_MARK = '1', BINFLOAT = 'G', INT = 'I', BININT = 'J', BININT1 = 'K', LONG = 'L',
  BININT2 = 'M', NONE = 'N', BINPERSID = 'Q',
  REDUCE = 'R', BINSTRING = 'T', SHORT_BINSTRING = 'U', BINUNICODE = 'X', APPEND = 'a', BUILD = 'b', GLOBAL = 'c',
  EMPTY_DICT = '}', APPENDS = 'e', BINGET = 'h', LONG_BINGET = 'j', EMPTY_LIST = ']', EMPTY_TUPLE = ')', BINPUT = 'q',
  LONG_BINPUT = 'r', SETITEM = 's', TUPLE = 't', SETITEMS = 'u', PROTO = 0x80, NEWOBJ = 0x81, TUPLE1 = 0x85,
  TUPLE2 = 0x86, TUPLE3 = 0x87, NEWTRUE = 0x88, NEWFALSE = 0x89, LONG1 = 0x8a, LONG4 = 0x8b, BINBYTES = 'B',
  SHORT_BINBYTES = 'C', SHORT_BINUNICODE = 0x8c, BINUNICODE8 = 0x8d, BINBYTES8 = 0x8e, EMPTY_SET = 0x8f,
  ADDITEMS = 0x90, FROZENSET = 0x91, NEWOBJ_EX = 0x92, STACK_GLOBAL = 0x93, MEMOIZE = 0x94, FRAME = 0x95,
  BYTEARRAY8 = 0x96
};
// clang-format on
constexpr uint8_t kHighestProtocol = 5;
constexpr size_t kMaxMarks = 1000;   // containers within containers while they are being built
constexpr size_t kMaxName = 1024;    // characters of a module or class

// "torch.hub.load"; where the name has dots itself, "torch:hub.load": Python goes from attribute to attribute then.
std::string full_name(const PickleValue& global) {
  return cat(global.text, global.name().find('.') == std::string_view::npos ? "." : ":", global.name());
}

class Machine {
 public:
  Machine(Bytes b, const std::string& what, const PickleOptions& options)
      : in_(b, what),
        what_(what),
        options_(options),
        most_(options.max_memory + b.size()) {}

  Pickle run() {
    for (bool more = true; more;) {
      op_at_ = in_.at();
      const auto op = in_.read<uint8_t>();
      more = scalar(op) || container(op) || memory(op) || call(op) || last(op);
    }
    out_.size = in_.at();
    return std::move(out_);
  }

 private:
  [[noreturn]] void fail(const std::string& problem) const {
    std::string suspects;
    for (const std::string& g : out_.globals)
      if (is_suspicious_global(g)) suspects += cat(suspects.empty() ? "" : ", ", g);
    throw Error(Error::Kind::format, cat(what_, ": at byte ", op_at_, " of the pickle, ", problem),
                suspects.empty()
                    ? ""
                    : cat("it asks for ", suspects, ", which checkpoints have no use for; fovea ran nothing"));
  }

  // Every opcode is paid for by a byte of the file, what it leaves behind is counted here.
  void spend(uint64_t bytes) {
    if ((spent_ += bytes) > most_) fail(cat("its values take more than ", most_, " bytes of memory"));
  }
  // Room for `more` values at the end, growing by halves at least.
  void grow(std::vector<PickleValue*>& items, size_t more) {
    const size_t needed = items.size() + more;
    if (needed <= items.capacity()) return;
    const size_t room = std::max(needed, items.capacity() + items.capacity() / 2);
    spend((room - items.capacity()) * sizeof(PickleValue*));
    items.reserve(room);
  }

  PickleValue& make(Kind k) {
    spend(sizeof(PickleValue));
    PickleValue& v = out_.values.emplace_back();
    v.kind = k;
    return v;
  }
  bool push(PickleValue& v) {
    grow(stack_, 1);
    stack_.push_back(&v);
    return true;
  }
  // None, the truth values, bytes and the empty tuple are made once: nothing can be put into them.
  bool push_shared(size_t which, Kind k, int64_t n = 0) {
    PickleValue*& v = shared_[which];
    if (!v) {
      v = &make(k);
      v->integer = n;
    }
    return push(*v);
  }
  bool push_boolean(bool b) { return push_shared(b ? kTrue : kFalse, Kind::boolean, b); }
  bool push_integer(int64_t n) {
    if (n >= 0 && static_cast<size_t>(n) < kFalse) return push_shared(static_cast<size_t>(n), Kind::integer, n);
    PickleValue& v = make(Kind::integer);
    v.integer = n;
    return push(v);
  }
  bool push_text(Kind k, uint64_t length) {
    PickleValue& v = make(k);
    v.text = text_of(in_.take(length));
    return push(v);
  }
  size_t floor() const { return marks_.empty() ? 0 : marks_.back(); }
  PickleValue& pop() {
    if (stack_.size() <= floor()) fail("it takes a value from an empty stack");
    PickleValue* v = stack_.back();
    stack_.pop_back();
    return *v;
  }
  PickleValue& top() {
    if (stack_.size() <= floor()) fail("it takes a value from an empty stack");
    return *stack_.back();
  }
  // The values since the last MARK, which goes too.
  std::vector<PickleValue*> pop_to_mark() {
    if (marks_.empty()) fail("it goes back to a mark that is not there");
    std::vector<PickleValue*> items(stack_.begin() + static_cast<std::ptrdiff_t>(marks_.back()), stack_.end());
    stack_.resize(marks_.back());
    marks_.pop_back();
    return items;
  }

  bool push_big(std::string_view text) {
    PickleValue& v = make(Kind::big_integer);
    v.text = text;
    return push(v);
  }
  bool push_long(size_t n) {
    const Bytes b = in_.take(n);
    if (n > 8) return push_big(text_of(b));
    uint64_t bits = n && (b[n - 1] & std::byte{0x80}) != std::byte{0} ? ~uint64_t{0} : 0;  // two's complement
    for (size_t i = n; i-- > 0;) bits = bits << 8 | static_cast<uint64_t>(b[i]);
    return push_integer(static_cast<int64_t>(bits));
  }
  // Integers as protocols 0 and 1 write them: "12", "12L", and "01" for True.
  bool push_decimal(std::string_view line, bool is_long) {
    if (!is_long && (line == "00" || line == "01")) return push_boolean(line == "01");
    std::string_view text = line;
    if (is_long && text.ends_with('L')) text.remove_suffix(1);
    const size_t sign = text.starts_with('-') ? 1 : 0;
    int64_t n = 0;
    const auto [end, problem] = std::from_chars(text.data(), text.data() + text.size(), n);
    if (text.size() == sign || text.find_first_not_of("0123456789", sign) != text.npos)
      fail(cat("the integer '", line.substr(0, 60), "'"));
    return problem == std::errc{} && end == text.data() + text.size() ? push_integer(n) : push_big(text);
  }

  bool scalar(uint8_t op) {
    switch (op) {
      case NONE: return push_shared(kNone, Kind::none);
      case NEWTRUE: return push_boolean(true);
      case NEWFALSE: return push_boolean(false);
      case INT: return push_decimal(in_.line(), false);
      case LONG: return push_decimal(in_.line(), true);
      case BININT: return push_integer(static_cast<int32_t>(in_.read<uint32_t>()));
      case BININT1: return push_integer(in_.read<uint8_t>());
      case BININT2: return push_integer(in_.read<uint16_t>());
      case LONG1: return push_long(in_.read<uint8_t>());
      case LONG4: return push_long(in_.read<uint32_t>());
      case BINFLOAT: {
        uint64_t bits = 0;
        for (std::byte b : in_.take(8)) bits = bits << 8 | static_cast<uint64_t>(b);
        PickleValue& v = make(Kind::real);
        v.real = std::bit_cast<double>(bits);
        return push(v);
      }
      case SHORT_BINUNICODE:
      case SHORT_BINSTRING: return push_text(Kind::text, in_.read<uint8_t>());
      case BINUNICODE:
      case BINSTRING: return push_text(Kind::text, in_.read<uint32_t>());
      case BINUNICODE8: return push_text(Kind::text, in_.read<uint64_t>());
      case SHORT_BINBYTES: return push_text(Kind::bytes, in_.read<uint8_t>());
      case BINBYTES: return push_text(Kind::bytes, in_.read<uint32_t>());
      case BINBYTES8:
      case BYTEARRAY8: return push_text(Kind::bytes, in_.read<uint64_t>());
      default: return false;
    }
  }

  bool make_of(Kind k, const std::vector<PickleValue*>& items) {
    PickleValue& v = make(k);
    grow(v.items, items.size());
    v.items.assign(items.begin(), items.end());
    return push(v);
  }
  bool make_tuple(size_t n) {
    std::vector<PickleValue*> items(n);
    for (size_t i = n; i-- > 0;) items[i] = &pop();
    return make_of(Kind::tuple, items);
  }
  bool fill(Kind wanted, const char* opcode, const std::vector<PickleValue*>& items) {
    PickleValue& v = top();
    if (!v.is(wanted) && !v.is(Kind::object)) fail(cat(opcode, " on ", describe(v), "; it takes a ", name_of(wanted)));
    if (wanted == Kind::dict) {
      if (items.size() % 2 != 0) fail("a key without a value");
      for (size_t i = 0; i < items.size(); i += 2)
        if (const Kind k = items[i]->kind; k == Kind::list || k == Kind::dict || k == Kind::set)
          fail(cat("a ", name_of(k), " as the key of a dict"));
    }
    grow(v.items, items.size());
    v.items.insert(v.items.end(), items.begin(), items.end());
    return true;
  }

  bool container(uint8_t op) {
    switch (op) {
      case MARK:
        if (marks_.size() == kMaxMarks) fail(cat("it nests deeper than ", kMaxMarks, " levels"));
        marks_.push_back(stack_.size());
        return true;
      case EMPTY_TUPLE: return push_shared(kNoItems, Kind::tuple);
      case EMPTY_LIST: return push(make(Kind::list));
      case EMPTY_DICT: return push(make(Kind::dict));
      case EMPTY_SET: return push(make(Kind::set));
      case TUPLE1: return make_tuple(1);
      case TUPLE2: return make_tuple(2);
      case TUPLE3: return make_tuple(3);
      case TUPLE: return make_of(Kind::tuple, pop_to_mark());
      case FROZENSET: return make_of(Kind::set, pop_to_mark());
      case APPEND: {
        PickleValue& v = pop();
        return fill(Kind::list, "APPEND", {&v});
      }
      case APPENDS: {
        const auto items = pop_to_mark();
        return fill(Kind::list, "APPENDS", items);
      }
      case ADDITEMS: {
        const auto items = pop_to_mark();
        return fill(Kind::set, "ADDITEMS", items);
      }
      case SETITEM: {
        PickleValue &v = pop(), &key = pop();
        return fill(Kind::dict, "SETITEM", {&key, &v});
      }
      case SETITEMS: {
        const auto items = pop_to_mark();
        return fill(Kind::dict, "SETITEMS", items);
      }
      default: return false;
    }
  }

  bool remember(uint64_t index) {
    constexpr size_t kEntry = 64;  // what the map needs for one
    const auto [it, added] = memo_.insert_or_assign(index, &top());
    if (added) spend(kEntry);
    return true;
  }
  bool recall(uint64_t index) {
    const auto it = memo_.find(index);
    if (it == memo_.end()) fail(cat("it recalls value ", index, ", which was not stored"));
    return push(*it->second);
  }
  // Pickles of tuples that hold themselves throw away what they have put on the stack.
  bool drop() {
    if (!marks_.empty() && stack_.size() == marks_.back()) marks_.pop_back();
    else pop();
    return true;
  }
  bool memory(uint8_t op) {
    switch (op) {
      case BINPUT: return remember(in_.read<uint8_t>());
      case LONG_BINPUT: return remember(in_.read<uint32_t>());
      case MEMOIZE: return remember(memo_.size());
      case BINGET: return recall(in_.read<uint8_t>());
      case LONG_BINGET: return recall(in_.read<uint32_t>());
      case POP: return drop();
      case POP_MARK: return pop_to_mark(), true;
      default: return false;
    }
  }

  bool push_global(std::string_view module, std::string_view name) {
    if (module.size() > kMaxName || name.size() > kMaxName)
      fail(cat("the name of a class takes ", std::max(module.size(), name.size()), " characters"));
    PickleValue& v = make(Kind::global);
    v.text = module;
    v.name_start = name.data();
    v.name_size = static_cast<uint32_t>(name.size());
    if (seen_.insert(full_name(v)).second) {
      spend(4 * (module.size() + name.size()));
      out_.globals.push_back(full_name(v));
      if (options_.seen) options_.seen->push_back(full_name(v));
    }
    if (options_.strict && !is_expected(v))
      fail(cat("it asks for ", full_name(v), ", which strict reading does not allow"));
    return push(v);
  }
  static bool is_expected(const PickleValue& v) {
    const std::string_view module = v.text;
    return (module == "torch" || module.starts_with("torch.") || module == "collections" ||
            full_name(v) == "_codecs.encode" || full_name(v) == "argparse.Namespace" ||
            full_name(v) == "builtins.set" || full_name(v) == "__builtin__.set") &&
           !is_suspicious_global(full_name(v));
  }

  // Dict-like classes become dicts at once; any other call stays what it is: a name and its arguments.
  bool reduce() {
    PickleValue &args = pop(), &callee = pop();
    if (!callee.is(Kind::global))
      fail(cat("REDUCE calls ", describe(callee), "; only a class or function can be called"));
    if (!args.is(Kind::tuple)) fail(cat("REDUCE passes ", describe(args), "; arguments are a tuple"));
    const bool dict_like =
        callee.text == "collections" &&
        (callee.name() == "OrderedDict" || callee.name() == "Counter" || callee.name() == "defaultdict");
    PickleValue& v = make(dict_like ? Kind::dict : Kind::object);
    v.ordered = dict_like;
    if (!dict_like) put(v, {&callee, &args});
    else if (!args.items.empty()) add_pairs(v, *args.items.back());
    return push(v);
  }
  void add_pairs(PickleValue& dict, const PickleValue& from) {
    grow(dict.items, from.items.size() * (from.is(Kind::list) ? 2 : 1));
    if (from.is(Kind::dict)) dict.items.assign(from.items.begin(), from.items.end());
    if (!from.is(Kind::list)) return;
    for (const PickleValue* pair : from.items) {
      if ((!pair->is(Kind::tuple) && !pair->is(Kind::list)) || pair->items.size() != 2)
        fail(cat("a dict made of ", describe(*pair)));
      dict.items.insert(dict.items.end(), pair->items.begin(), pair->items.end());
    }
  }
  void put(PickleValue& object, std::initializer_list<PickleValue*> items) {
    grow(object.items, items.size());
    object.items.insert(object.items.end(), items.begin(), items.end());
  }
  bool new_object(bool with_names) {
    if (with_names && !pop().is(Kind::dict)) fail("NEWOBJ_EX passes arguments by name that are no dict");
    PickleValue &args = pop(), &made = pop();
    if (!made.is(Kind::global)) fail(cat("NEWOBJ makes an object of ", describe(made), "; that takes a class"));
    if (!args.is(Kind::tuple)) fail(cat("NEWOBJ passes ", describe(args), "; arguments are a tuple"));
    PickleValue& v = make(Kind::object);
    put(v, {&made, &args});
    return push(v);
  }
  bool build() {
    PickleValue &state = pop(), &v = top();
    if (!v.is(Kind::object) && !(v.is(Kind::dict) && v.ordered))
      fail(cat("BUILD on ", describe(v), ", which takes no state"));
    if (v.is(Kind::object)) put(v, {&state});
    return true;
  }
  // torch's persistent ids: a storage; or, in pickles of whole modules, a class with its source text.
  bool persistent() {
    PickleValue& id = pop();
    const auto& items = id.items;
    if (options_.plain_ids && (id.is(Kind::text) || id.is(Kind::integer))) {
      PickleValue& v = make(Kind::storage);
      grow(v.items, 1);
      v.items.push_back(&id);
      return push(v);
    }
    if (!id.is(Kind::tuple) || items.empty() || !items[0]->is(Kind::text))
      fail(cat("the persistent id is ", describe(id), ", not that of a storage"));
    if (items[0]->text == "module" && items.size() == 4 && items[1]->is(Kind::global)) return push(*items[1]);
    if (items[0]->text != "storage" || items.size() < 5 || items.size() > 6)
      fail(cat("a persistent id of '", items[0]->text, "', not of a storage"));
    if (!items[1]->is(Kind::global) || !items[2]->is(Kind::text) || !items[4]->is(Kind::integer))
      fail("a storage's persistent id that is not (type, key, location, number of elements)");
    if (items[4]->integer < 0) fail(cat("a storage of ", items[4]->integer, " elements"));
    PickleValue& v = make(Kind::storage);
    grow(v.items, items.size() - 1);
    v.items.assign(items.begin() + 1, items.end());
    out_.storages.push_back(&v);
    return push(v);
  }

  bool call(uint8_t op) {
    switch (op) {
      case GLOBAL: {
        const auto module = in_.line(), name = in_.line();
        return push_global(module, name);
      }
      case STACK_GLOBAL: {
        PickleValue &name = pop(), &module = pop();
        if (!name.is(Kind::text) || !module.is(Kind::text))
          fail(cat("a class named by ", describe(module), " and ", describe(name)));
        return push_global(module.text, name.text);
      }
      case REDUCE: return reduce();
      case NEWOBJ: return new_object(false);
      case NEWOBJ_EX: return new_object(true);
      case BUILD: return build();
      case BINPERSID: return persistent();
      default: return false;
    }
  }

  // What remains: the frame of the whole. False ends the run.
  bool last(uint8_t op) {
    if (op == PROTO) {
      if (const auto version = in_.read<uint8_t>(); version > kHighestProtocol)
        fail(cat("pickle protocol ", static_cast<int>(version), " is unknown"));
      return true;
    }
    if (op == FRAME) {
      if (const auto length = in_.read<uint64_t>(); length > in_.left())
        fail(cat("a frame of ", length, " bytes, but ", in_.left(), " are left"));
      return true;
    }
    if (op != STOP)
      fail(cat("opcode ", show_bytes(bytes_of(std::string(1, static_cast<char>(op)))),
               " is not one that checkpoints use"));
    out_.root = &pop();
    if (!marks_.empty() || !stack_.empty()) fail("values are left over at the end");
    return false;
  }

  ByteReader in_;
  const std::string& what_;
  const PickleOptions& options_;
  uint64_t most_, spent_ = 0;  // bytes of memory
  size_t op_at_ = 0;
  enum Shared : size_t { kFalse = 256, kTrue, kNone, kNoItems, kShared };  // after the integers up to 255
  std::array<PickleValue*, kShared> shared_{};
  std::vector<PickleValue*> stack_;
  std::vector<size_t> marks_;
  std::unordered_map<uint64_t, PickleValue*> memo_;
  std::unordered_set<std::string> seen_;
  Pickle out_;
};
}  // namespace

bool PickleValue::is_global(std::string_view module, std::string_view global_name) const {
  return kind == Kind::global && text == module && name() == global_name;
}

const PickleValue* PickleValue::find(std::string_view key) const {
  if (kind != Kind::dict) return nullptr;
  for (size_t i = items.size(); i >= 2; i -= 2)
    if (items[i - 2]->is(Kind::text) && items[i - 2]->text == key) return items[i - 1];
  return nullptr;
}

std::string_view name_of(PickleValue::Kind k) {
  constexpr std::string_view kNames[] = {"None",  "bool", "integer", "float", "integer", "text",   "bytes",
                                         "tuple", "list", "set",     "dict",  "class",   "object", "storage"};
  return kNames[static_cast<size_t>(k)];
}

std::string describe(const PickleValue& v) {
  switch (v.kind) {
    case Kind::none: return "None";
    case Kind::boolean: return v.integer ? "True" : "False";
    case Kind::integer: return cat("the integer ", v.integer);
    case Kind::real: return cat("the number ", v.real);
    case Kind::text: return cat("the text '", v.text.substr(0, 60), "'");
    case Kind::global: return cat("the class or function ", full_name(v));
    case Kind::object: return cat("the result of ", full_name(*v.items[0]));
    default: return cat("a ", name_of(v.kind));
  }
}

Pickle read_pickle(Bytes b, const std::string& what, const PickleOptions& options) {
  return Machine(b, what, options).run();
}

bool is_suspicious_global(std::string_view full_name) {
  if (full_name.find(':') != full_name.npos) return true;
  // Modules of which everything is suspicious, and single functions of others.
  constexpr std::string_view kModules[] = {"os",
                                           "posix",
                                           "nt",
                                           "ntpath",
                                           "posixpath",
                                           "sys",
                                           "subprocess",
                                           "commands",
                                           "popen2",
                                           "pty",
                                           "shutil",
                                           "socket",
                                           "ssl",
                                           "ctypes",
                                           "_ctypes",
                                           "importlib",
                                           "imp",
                                           "runpy",
                                           "pkgutil",
                                           "code",
                                           "codeop",
                                           "pickle",
                                           "_pickle",
                                           "cPickle",
                                           "dill",
                                           "cloudpickle",
                                           "marshal",
                                           "types",
                                           "inspect",
                                           "multiprocessing",
                                           "concurrent",
                                           "asyncio",
                                           "_posixsubprocess",
                                           "signal",
                                           "threading",
                                           "_thread",
                                           "webbrowser",
                                           "urllib",
                                           "urllib2",
                                           "http",
                                           "httplib",
                                           "requests",
                                           "aiohttp",
                                           "ftplib",
                                           "smtplib",
                                           "telnetlib",
                                           "xmlrpc",
                                           "tempfile",
                                           "fileinput",
                                           "platform",
                                           "timeit",
                                           "pdb",
                                           "bdb",
                                           "trace",
                                           "profile",
                                           "cProfile",
                                           "doctest",
                                           "pydoc",
                                           "unittest",
                                           "distutils",
                                           "setuptools",
                                           "pip",
                                           "venv",
                                           "ensurepip",
                                           "idlelib",
                                           "atexit",
                                           "functools",
                                           "operator",
                                           "_operator",
                                           "linecache",
                                           "site",
                                           "sysconfig",
                                           "torch.hub",
                                           "torch._inductor",
                                           "torch.utils.cpp_extension",
                                           "torch.utils.bottleneck",
                                           "torch.utils.collect_env",
                                           "torch.distributed.elastic",
                                           "torch._dynamo",
                                           "torch.fx.experimental",
                                           "numpy.testing",
                                           "numpy.f2py",
                                           "numpy.distutils",
                                           "numpy.lib.npyio"};
  constexpr std::string_view kSafeBuiltins[] = {"set",    "frozenset", "bytearray", "complex", "list", "dict",
                                                "tuple",  "int",       "float",     "bool",    "str",  "bytes",
                                                "object", "slice",     "range",     "unicode", "long", "xrange"};
  constexpr std::string_view kNames[] = {
      "torch.load",  "torch.jit.load",    "torch.serialization.load", "torch.storage._load_from_bytes",
      "numpy.load",  "torch.compile",     "torch.ops.load_library",   "torch.jit.script",
      "joblib.load", "pandas.read_pickle"};
  for (std::string_view module : {std::string_view("builtins."), std::string_view("__builtin__.")}) {
    if (!full_name.starts_with(module)) continue;
    const std::string_view name = full_name.substr(module.size());
    return std::find(std::begin(kSafeBuiltins), std::end(kSafeBuiltins), name) == std::end(kSafeBuiltins);
  }
  for (std::string_view module : kModules)
    if (full_name.starts_with(module) && full_name.size() > module.size() && full_name[module.size()] == '.')
      return true;
  return std::find(std::begin(kNames), std::end(kNames), full_name) != std::end(kNames);
}

}  // namespace fovea
