/* SPDX-License-Identifier: Apache-2.0 */
/* api/fovea.h — fovea for programs of any language: image models, from pixels or files to answers.
 *
 * Four kinds of handles, each made from the one before and freed by its own function (which takes NULL, too):
 *
 *   fovea_env      what the program decides once: log, allocator, number of threads
 *   fovea_model    an architecture with weights, how it wants its images, and what its classes are called
 *   fovea_session  the model compiled for running: one thread at a time; fovea_session_fork() gives others theirs
 *   fovea_cancel   a flag that ends loading, compiling or running early
 *
 * A handle keeps what it was made from alive: they may be freed in any order.
 *
 * Errors. Functions that can fail return a fovea_status*: NULL is success, anything else says what went wrong and is
 * freed by fovea_status_free(). On failure nothing is leaked and what the caller passed to be filled in is as it was;
 * the handle can be used again. No exception, signal, abort() or exit() comes out of the library. Handles are checked
 * for NULL, not for having been freed.
 *
 * Threads. env, model and cancel may be used by any number of threads at once. A session is for one at a time: a call
 * while another one lasts fails with FOVEA_INVALID_ARGUMENT. A status belongs to who was given it; there is no
 * thread-local last error. Callbacks may come from any thread, also several at once.
 *
 * Structs of options begin with struct_size, and zero means the default everywhere else: FOVEA_INIT(x) sets both. So
 * programs go on working with libraries that know more options. Structs without struct_size never change.
 *
 * Text is UTF-8 and ends with a zero byte. What is passed in is copied unless it says otherwise; pointers that come out
 * live as long as the handle that gave them, unless it says otherwise.
 *
 * What the library does to its host: it starts threads when work is first shared out, keeps them asleep when there is
 * none, and never ends them (it cannot be unloaded: dlclose() leaves it in place). It installs no signal handlers,
 * changes neither locale nor umask nor working directory, prints nothing, and leaves the calling thread's
 * floating-point modes as they were. Environment variables are read by fovea_env_create() and by looking for published
 * weights, which are in the caches of other programs. After fork() the child may go on using what it has, on one
 * thread, if no other thread was inside of fovea at that moment.
 */
#ifndef FOVEA_H
#define FOVEA_H

#include <stddef.h>
#include <stdint.h>
#include <string.h>

#if defined(__GNUC__)
#define FOVEA_API __attribute__((visibility("default")))
#else
#define FOVEA_API
#endif

#ifdef __cplusplus
extern "C" {
#endif

/** The version of this header. Functions are only added, never changed: a library serves all versions up to its own. */
#define FOVEA_API_VERSION 1

/** Makes a struct of options say nothing: all zero, but struct_size. */
#define FOVEA_INIT(options) (memset(&(options), 0, sizeof(options)), (void)((options).struct_size = sizeof(options)))

typedef struct fovea_status fovea_status;
typedef struct fovea_env fovea_env;
typedef struct fovea_model fovea_model;
typedef struct fovea_session fovea_session;
typedef struct fovea_cancel fovea_cancel;

/* --- Status ------------------------------------------------------------------------------------------------------ */

enum {
  FOVEA_OK = 0,
  FOVEA_INVALID_ARGUMENT = 1, /* a value that cannot be, or a session in use */
  FOVEA_SHAPE_MISMATCH = 2,   /* tensors whose shapes or types do not fit */
  FOVEA_NOT_FOUND = 3,        /* a model, tag, file or class that does not exist */
  FOVEA_BAD_FORMAT = 4,       /* bytes that are not what they claim to be */
  FOVEA_BAD_WEIGHTS = 5,      /* weights that do not fit the model, or hold NaN */
  FOVEA_UNSUPPORTED = 6,      /* nothing in this library can do this */
  FOVEA_IO_ERROR = 7,         /* the operating system said no */
  FOVEA_OUT_OF_MEMORY = 8,
  FOVEA_CANCELLED = 9,
  FOVEA_NOT_FINITE = 10,      /* results with NaN or infinity; fovea_session_options.allow_nan takes them */
  FOVEA_INTERNAL = 100        /* a bug in fovea */
};

/** One of the above; FOVEA_OK for NULL. */
FOVEA_API int32_t fovea_status_code(const fovea_status* status);
/** What is wrong, and in further lines what would help; "" for NULL. Lives as long as the status. */
FOVEA_API const char* fovea_status_message(const fovea_status* status);
FOVEA_API void fovea_status_free(fovea_status* status);

/** The library's version: "0.1.0". Lives for ever. */
FOVEA_API const char* fovea_version(void);

/* --- Environment ------------------------------------------------------------------------------------------------- */

enum { FOVEA_LOG_INFO = 0, FOVEA_LOG_WARNING = 1 };

typedef struct fovea_env_options {
  size_t struct_size;
  int32_t threads; /* of sessions that do not say; 0: FOVEA_THREADS, else what affinity and cgroup quotas leave */
  int32_t log_level; /* the least level that log() hears */
  /** What was assumed, adapted or left out. NULL: nobody wants to know. Must not call fovea. */
  void (*log)(void* context, int32_t level, const char* message);
  void* log_context;
  /**
   * Where the large pieces of memory come from: weights, packed weights, working memory and results. Both or neither.
   * `allocate` returns NULL where it has none. Called from any thread; `release` until all handles are freed.
   */
  void* (*allocate)(void* context, size_t bytes, size_t alignment);
  void (*release)(void* context, void* memory, size_t bytes, size_t alignment);
  void* allocator_context;
} fovea_env_options;

/** `options` may be NULL. A program may have several. */
FOVEA_API fovea_status* fovea_env_create(const fovea_env_options* options, fovea_env** env);
FOVEA_API void fovea_env_free(fovea_env* env);
/** Gives back memory that all environments of the process keep only for reuse; the bytes, where `bytes` is not NULL. */
FOVEA_API fovea_status* fovea_env_trim(fovea_env* env, size_t* bytes);
/**
 * Calls `each` with the names of all models that match `pattern` (wildcards; NULL: all), in natural order. `tags` not 0:
 * the names of published weights, "resnet50.a1_in1k". A name lives until `each` returns.
 */
FOVEA_API fovea_status* fovea_env_models(fovea_env* env, const char* pattern, int32_t tags,
                                         void (*each)(void* context, const char* name), void* context);

/* --- Cancelling -------------------------------------------------------------------------------------------------- */

FOVEA_API fovea_status* fovea_cancel_create(fovea_cancel** cancel);
FOVEA_API void fovea_cancel_free(fovea_cancel* cancel);
/**
 * What was given this flag ends with FOVEA_CANCELLED soon, and so does whatever begins, until fovea_cancel_reset(). Does
 * nothing that a signal handler must not do.
 */
FOVEA_API void fovea_cancel_request(fovea_cancel* cancel);
FOVEA_API void fovea_cancel_reset(fovea_cancel* cancel);

/* --- Model ------------------------------------------------------------------------------------------------------- */

typedef struct fovea_model_options {
  size_t struct_size;
  /** A name of `fovea models`, with or without tag. NULL: as a config.json beside the weights says. */
  const char* name;
  /** A file: safetensors, torch checkpoint, npz. NULL, and no `data`: published ones that are on this machine. */
  const char* weights;
  const void* data; /* the bytes of such a file instead */
  size_t data_size;
  int32_t borrow_data; /* not 0: `data` stays as it is until model and sessions are freed, and is not copied */
  /**
   * Not 0: files are mapped instead of read. Starts are quicker and processes share the memory, but a file that
   * somebody cuts off while it is used ends this process (SIGBUS), and one that is written to changes what is computed.
   */
  int32_t map_files;
  int32_t classes;  /* 0: as the weights have; -1: no classifier; another number than theirs is an error */
  int32_t channels; /* of images: 0: as the model's; 1 or 3 */
  int32_t height, width; /* the model is built for; 0: as published */
  /** A file of labels (a label a line, or JSON), or "none". NULL: config.json beside the weights, else ImageNet's. */
  const char* labels;
  /** Further settings of the architecture: pairs of name and value, settings_count pairs. */
  const char* const* settings;
  size_t settings_count;
  /**
   * A folder for compiled sessions, made where it is missing. Sessions are looked for there first, and compiled and
   * kept there if they are not found; weights are read only once they are needed. Its files are mapped, whatever
   * map_files says; folder and files that others can write are not used. NULL: no cache.
   */
  const char* plan_cache;
  fovea_cancel* cancel; /* ends loading; may be NULL */
} fovea_model_options;

/** All but `name` or `weights` may be left out. Without a plan cache, weights have been read when it returns. */
FOVEA_API fovea_status* fovea_model_load(fovea_env* env, const fovea_model_options* options, fovea_model** model);
FOVEA_API void fovea_model_free(fovea_model* model);

/** What is known of a model. The library fills in what the caller's struct_size has room for. */
typedef struct fovea_model_info {
  size_t struct_size;
  const char* name;         /* "resnet50.a1_in1k" */
  const char* architecture; /* "resnet50" */
  const char* tag;          /* "a1_in1k"; "" without */
  const char* weights;      /* the file; "" for those from memory */
  const char* license;      /* of the published weights; "" where timm says nothing */
  const char* origin;       /* where they come from, an address; may be "" */
  int64_t parameters;
  int32_t classes; /* as the weights say once they are read; 0: no classifier */
  int32_t channels, height, width; /* of images */
  int32_t features;      /* channels of pooled features */
  int32_t levels;        /* how many feature maps there are */
  float mean[3], std[3]; /* of pixels from 0 to 1 */
  float crop_pct;
  const char* crop_mode;     /* "center", "squash" or "border" */
  const char* interpolation; /* "bicubic", ... */
} fovea_model_info;
FOVEA_API fovea_status* fovea_model_get_info(fovea_model* model, fovea_model_info* info);

/** The feature map of level 0, 1, ... */
typedef struct fovea_level {
  size_t struct_size;
  int32_t channels, reduction; /* reduction: the image's size over the map's */
  const char* module;          /* "layer2" */
} fovea_level;
FOVEA_API fovea_status* fovea_model_get_level(fovea_model* model, int32_t level, fovea_level* out);

/* --- Session ----------------------------------------------------------------------------------------------------- */

enum { FOVEA_F32 = 1, FOVEA_BF16 = 3, FOVEA_F16 = 4, FOVEA_I64 = 5, FOVEA_I32 = 6, FOVEA_I8 = 7, FOVEA_U8 = 8 };
enum {
  FOVEA_LOGITS = 0,   /* [n, classes] */
  FOVEA_FEATURES = 1, /* [n, features]: pooled, in front of the classifier */
  FOVEA_LEVELS = 2    /* a map [n, channels, height, width] for each level asked for, from the first to the last */
};

typedef struct fovea_session_options {
  size_t struct_size;
  const char* device; /* NULL or "cpu". There is no falling back: what this library cannot use is an error */
  int32_t outputs;    /* FOVEA_LOGITS, ... */
  const int32_t* levels; /* of FOVEA_LEVELS, negative ones from the end; levels_count of them; none: all */
  size_t levels_count;
  int32_t dtype; /* computes in FOVEA_F32 (or 0) or FOVEA_BF16; inputs and outputs are f32 whatever it says */
  const char* calibration; /* computes in 8-bit integers: a file of `fovea quantize`; NULL: does not */
  int32_t threads; /* for all of a run, decoding included; 0: as the environment says */
  int32_t height, width; /* of images, where it differs from the model's and the architecture takes other sizes */
  /** How many further sizes of images may be compiled, as they come, and kept (the last used ones). 0: none */
  int32_t more_sizes;
  int32_t allow_nan; /* not 0: results that are not finite are results; else they are FOVEA_NOT_FINITE */
  /**
   * Not 0: the model gives up its weights once they are packed, so that there is one copy in memory. Further sessions
   * come from fovea_session_fork(), or the weights are read again where there is a plan cache.
   */
  int32_t release_weights;
  int64_t max_pixels;       /* of images to decode: larger ones are refused by their headers; 0: 178,956,970 */
  int32_t allow_truncated;  /* not 0: what a cut-off JPEG or PNG still holds is taken, the rest is grey or black */
  fovea_cancel* cancel; /* ends compiling and runs; may be NULL. Copied: it may be freed */
} fovea_session_options;

/** Compiles, or takes from the model's plan cache. `options` may be NULL. */
FOVEA_API fovea_status* fovea_session_create(fovea_model* model, const fovea_session_options* options,
                                             fovea_session** session);
FOVEA_API void fovea_session_free(fovea_session* session);
/** Shares packed weights with `session`, which must not run meanwhile; has working memory of its own. */
FOVEA_API fovea_status* fovea_session_fork(fovea_session* session, fovea_session** fork);

/**
 * A tensor in the caller's memory or, as a result, in the session's. Strides are in elements; all strides zero: dense,
 * the last dimension innermost.
 */
typedef struct fovea_tensor {
  void* data;
  int32_t dtype;
  int32_t rank;
  int64_t shape[8];
  int64_t strides[8];
} fovea_tensor;

/**
 * Runs on images that are ready: f32 [n, channels, height, width], normalised; any n. They are read where they lie if
 * they are dense or channels-last, else copied first. Fills in `count` results, the first ones of the session's. A result
 * whose data is NULL then describes the session's memory, which the next call with this session overwrites; else it must
 * say what is wanted (dtype f32, the result's rank and shape), and the values are written to data, by its strides.
 */
FOVEA_API fovea_status* fovea_session_run(fovea_session* session, const fovea_tensor* images, fovea_tensor* results,
                                          size_t count);

enum {
  FOVEA_ENCODED = 0, /* the bytes of a JPEG, PNG, WebP, BMP, GIF or TIFF file: data, size */
  FOVEA_FILE = 1,    /* the path of one: data */
  FOVEA_RGB = 2,     /* rows of pixels, 8 bits a channel: data, pitch, width, height */
  FOVEA_BGR = 3,
  FOVEA_RGBA = 4, /* the last channel is left out */
  FOVEA_BGRA = 5,
  FOVEA_GREY = 6,
  FOVEA_NV12 = 7 /* a plane of Y at data, pitch; one of U and V in turns, half as high and wide, at chroma, chroma_pitch */
};
enum { FOVEA_BT601 = 0, FOVEA_BT709 = 1, FOVEA_BT601_FULL = 2 }; /* what Y, U and V mean; full: as JPEG has it */

/** An image in the caller's memory, which is only read, and only during the call. All other fields are zero. */
typedef struct fovea_image {
  int32_t kind;
  int32_t colour; /* of FOVEA_NV12 */
  const void* data;
  size_t size; /* of FOVEA_ENCODED, in bytes */
  int32_t width, height;
  int64_t pitch; /* bytes from a row to the next; 0: rows without gaps */
  const void* chroma;
  int64_t chroma_pitch;
  int64_t reserved[4];
} fovea_image;

/**
 * Decodes, resizes, crops and normalises `n` images as the model wants them, side by side on the session's threads, and
 * runs. Row i of each result is of image i. `each`: NULL: the first image that cannot be read fails the call. Else it
 * has room for n statuses, one an image, NULL for good ones, each the caller's to free; a row of an image that could not
 * be read is of a black one. Results as in fovea_session_run(); `count` may be 0.
 */
FOVEA_API fovea_status* fovea_session_run_images(fovea_session* session, const fovea_image* images, size_t n,
                                                 fovea_status** each, fovea_tensor* results, size_t count);

/** A class that was seen. */
typedef struct fovea_class {
  int64_t index;
  const char* label; /* "tabby, tabby cat", or "class 3" where nobody says; lives as long as the session or its model */
  float probability;
  int32_t reserved;
} fovea_class;

/** The most probable classes of row `row` of the last run, of FOVEA_LOGITS: as many as *count at most, which becomes how
 * many there are. */
FOVEA_API fovea_status* fovea_session_top(fovea_session* session, int64_t row, fovea_class* classes, size_t* count);
/** Both in one: what is on one image? */
FOVEA_API fovea_status* fovea_session_classify(fovea_session* session, const fovea_image* image, fovea_class* classes,
                                               size_t* count);
/** What a class is called; NULL where there is no such class. */
FOVEA_API const char* fovea_session_label(fovea_session* session, int64_t index);

/** Of the last run, in seconds. Decoding and transforming: the sum over all images, whatever ran side by side. */
typedef struct fovea_timings {
  size_t struct_size;
  double decode, transform, run, total;
  double prepare; /* of what was compiled for it, the session's creation included where it is the first run */
} fovea_timings;
FOVEA_API fovea_status* fovea_session_get_timings(fovea_session* session, fovea_timings* timings);

/** A kernel of the session, in the order in which they run. */
typedef struct fovea_step {
  size_t struct_size;
  const char* scope;  /* "layer1.0.conv1" */
  const char* op;     /* "conv" */
  const char* kernel; /* "cpu:conv avx512" */
  int64_t bytes, flops; /* of one image */
  double seconds;     /* of the last fovea_session_profile(); 0 before */
} fovea_step;
/** Runs one image of zeros, kernel by kernel with a clock between. */
FOVEA_API fovea_status* fovea_session_profile(fovea_session* session);
FOVEA_API size_t fovea_session_step_count(fovea_session* session);
FOVEA_API fovea_status* fovea_session_get_step(fovea_session* session, size_t index, fovea_step* step);

/** What a session is like. */
typedef struct fovea_session_info {
  size_t struct_size;
  const char* device; /* that it runs on */
  int32_t threads;
  int32_t outputs_count;
  int32_t channels, height, width; /* of images */
  int32_t from_cache; /* not 0: it came from the plan cache */
  int64_t working_bytes, constant_bytes; /* of its own; shared by all forks */
} fovea_session_info;
FOVEA_API fovea_status* fovea_session_get_info(fovea_session* session, fovea_session_info* info);

/* --- All of it as a table, for programs that look the library up at run time ------------------------------------- */

/** New functions come at the end. struct_size says how many there are. */
typedef struct fovea_api {
  size_t struct_size;
  int32_t (*status_code)(const fovea_status*);
  const char* (*status_message)(const fovea_status*);
  void (*status_free)(fovea_status*);
  const char* (*version)(void);
  fovea_status* (*env_create)(const fovea_env_options*, fovea_env**);
  void (*env_free)(fovea_env*);
  fovea_status* (*env_trim)(fovea_env*, size_t*);
  fovea_status* (*env_models)(fovea_env*, const char*, int32_t, void (*)(void*, const char*), void*);
  fovea_status* (*cancel_create)(fovea_cancel**);
  void (*cancel_free)(fovea_cancel*);
  void (*cancel_request)(fovea_cancel*);
  void (*cancel_reset)(fovea_cancel*);
  fovea_status* (*model_load)(fovea_env*, const fovea_model_options*, fovea_model**);
  void (*model_free)(fovea_model*);
  fovea_status* (*model_get_info)(fovea_model*, fovea_model_info*);
  fovea_status* (*model_get_level)(fovea_model*, int32_t, fovea_level*);
  fovea_status* (*session_create)(fovea_model*, const fovea_session_options*, fovea_session**);
  void (*session_free)(fovea_session*);
  fovea_status* (*session_fork)(fovea_session*, fovea_session**);
  fovea_status* (*session_run)(fovea_session*, const fovea_tensor*, fovea_tensor*, size_t);
  fovea_status* (*session_run_images)(fovea_session*, const fovea_image*, size_t, fovea_status**, fovea_tensor*, size_t);
  fovea_status* (*session_top)(fovea_session*, int64_t, fovea_class*, size_t*);
  fovea_status* (*session_classify)(fovea_session*, const fovea_image*, fovea_class*, size_t*);
  const char* (*session_label)(fovea_session*, int64_t);
  fovea_status* (*session_get_timings)(fovea_session*, fovea_timings*);
  fovea_status* (*session_profile)(fovea_session*);
  size_t (*session_step_count)(fovea_session*);
  fovea_status* (*session_get_step)(fovea_session*, size_t, fovea_step*);
  fovea_status* (*session_get_info)(fovea_session*, fovea_session_info*);
} fovea_api;

/** The table for programs that were built with this FOVEA_API_VERSION; NULL where the library is older. Lives for ever. */
FOVEA_API const fovea_api* fovea_get_api(uint32_t version);

#ifdef __cplusplus
}
#endif

#endif
