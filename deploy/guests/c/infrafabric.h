/* The world of a sandboxed task, for C without a library. A guest defines `if_run`; everything else stands here. */
#ifndef INFRAFABRIC_H
#define INFRAFABRIC_H

typedef unsigned char if_u8;
typedef unsigned int if_u32;
typedef unsigned long long if_u64;

typedef struct {
  const void *at;
  if_u32 length;
} if_bytes;

/* The guest's own function: returns its output, or sets *error to a text of its own. */
static if_bytes if_run(if_bytes input, const char **error);

#define IF_WORLD(interface, name) \
  __attribute__((import_module("infrafabric:task/" interface "@0.1.0"), import_name(name)))
#define IF_EXPORT(name) __attribute__((export_name(name)))

enum { IF_DEBUG, IF_INFO, IF_WARN, IF_ERROR };

IF_WORLD("log", "write") void if_log_bytes(if_u32 level, const void *text, if_u32 length);
IF_WORLD("random", "word") if_u64 if_random(void);
IF_WORLD("clock", "now") if_u64 if_now(void);

/* What a call to the world gave: `error` is 0 for a value, 1 for the text of a refusal. */
typedef struct {
  if_u32 error;
  const void *at;
  if_u32 length;
} if_answer;

IF_WORLD("events", "emit")
void if_emit_bytes(const void *name, if_u32 name_length, const void *body, if_u32 body_length, if_answer *answer);
IF_WORLD("kv", "get") void if_kv_get_bytes(const void *key, if_u32 key_length, if_answer *answer);
IF_WORLD("kv", "put")
void if_kv_put_bytes(const void *key, if_u32 key_length, const void *value, if_u32 length, if_answer *answer);
IF_WORLD("actors", "ask")
void if_ask_bytes(const void *actor, if_u32 actor_length, const void *event, if_u32 event_length, if_answer *answer);

static if_u32 if_length(const char *text) {
  if_u32 length = 0;
  while (text[length]) length++;
  return length;
}

static inline void if_log(if_u32 level, const char *text) { if_log_bytes(level, text, if_length(text)); }

static inline if_answer if_emit(const char *name, const char *json) {
  if_answer answer;
  if_emit_bytes(name, if_length(name), json, if_length(json), &answer);
  return answer;
}

static inline if_answer if_kv_get(const char *key) {
  if_answer answer;
  if_kv_get_bytes(key, if_length(key), &answer);
  return answer;
}

static inline if_answer if_kv_put(const char *key, if_bytes value) {
  if_answer answer;
  if_kv_put_bytes(key, if_length(key), value.at, value.length, &answer);
  return answer;
}

static inline if_answer if_ask(const char *actor, const char *json) {
  if_answer answer;
  if_ask_bytes(actor, if_length(actor), json, if_length(json), &answer);
  return answer;
}

/* Nothing is freed: every run has an instance of its own. */
extern if_u8 __heap_base;
static if_u8 *if_free = &__heap_base;

static void *if_alloc(if_u32 size, if_u32 align) {
  if_u32 place = ((if_u32)if_free + align - 1) & ~(align - 1);
  if_u32 end = place + size;
  if (end < place) __builtin_trap();
  if_u32 room = __builtin_wasm_memory_size(0) * 65536u;
  if (end > room && __builtin_wasm_memory_grow(0, (end - room) / 65536u + 1) == (if_u32)-1) __builtin_trap();
  if_free = (if_u8 *)end;
  return (void *)place;
}

IF_EXPORT("cabi_realloc") void *cabi_realloc(void *old, if_u32 old_size, if_u32 align, if_u32 size) {
  if_u8 *made = if_alloc(size, align);
  for (if_u32 i = 0; i < old_size && i < size; i++) made[i] = ((if_u8 *)old)[i];
  return made;
}

IF_EXPORT("run") if_answer *if_run_exported(const void *input, if_u32 length) {
  static if_answer answer;
  const char *error = 0;
  if_bytes output = if_run((if_bytes){input, length}, &error);
  answer.error = error != 0;
  answer.at = error ? error : output.at;
  answer.length = error ? if_length(error) : output.length;
  return &answer;
}

#endif
