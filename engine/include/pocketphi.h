/* pocketphi engine: the one surface between the C++ core and everything else.
 *
 * Python (ctypes), the phone and the browser reach the engine through this header only. The engine
 * reads no files and parses nothing: the caller maps a model file, validates it, and hands over
 * tensors by name. No function throws, none keeps a pointer to an argument struct, and every handle
 * is freed by the function of its own name.
 *
 * Threads: a pp_model is read-only and may be shared. A pp_engine, its sessions and its steps belong
 * to one caller thread at a time; the engine runs its own workers inside pp_step.
 *
 * Same bits: logits depend only on the model, the tokens before a position, and nothing else. The
 * number of threads, the mix of items in a step, the way a prompt is cut into steps, and the
 * instruction set never change a bit. docs/engine.md states the arithmetic. */
#ifndef POCKETPHI_H_
#define POCKETPHI_H_

#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

#if defined(_WIN32)
#define PP_API __declspec(dllexport)
#else
#define PP_API __attribute__((visibility("default")))
#endif

/* Bumped whenever a struct or a function below changes. */
#define PP_ABI_VERSION 3u

typedef enum {
  PP_OK = 0,
  PP_INVALID = 1,   /* an argument, a shape or a name is wrong: pp_last_error() says which */
  PP_MEMORY = 2,    /* an allocation failed, or the page budget is used up */
  PP_CANCELLED = 3, /* the cancel flag was set; the sessions are as before the call */
  PP_UNSUPPORTED = 4 /* the instruction set asked for is not on this machine */
} pp_status;

/* Stored weight formats. `group` consecutive columns share a scale (and a minimum).
 *   Q4   w = (q - 8) * scale        q in 0..15     groups 32, 64, 128
 *   Q4M  w = q * scale + minimum    q in 0..15     groups 32, 64, 128
 *   Q8   w = (q - 128) * scale      q in 0..255    groups 16, 32, 64, 128
 *   Q8M  w = q * scale + minimum    q in 0..255    groups 16, 32, 64, 128
 *   BF16, F16: one value each, group 0.   F32: vectors only (norms, rope).
 * docs/format.md gives the packed layout byte for byte; pocketphi/packing.py defines it. */
typedef enum {
  PP_F32 = 0,
  PP_F16 = 1,
  PP_BF16 = 2,
  PP_Q4 = 3,
  PP_Q4M = 4,
  PP_Q8 = 5,
  PP_Q8M = 6
} pp_format;

/* Instruction sets, in rising order. AUTO takes the best this machine has. */
typedef enum {
  PP_ISA_AUTO = 0,
  PP_ISA_SCALAR = 1,
  PP_ISA_AVX2 = 2,
  PP_ISA_AVX512 = 3, /* AVX-512 F, BW, VL, DQ and VNNI */
  PP_ISA_AMX = 4     /* the former and AMX-INT8 */
} pp_isa;

/* What a decoder is made of. Names follow the published Phi-3 config. */
typedef struct {
  uint32_t struct_size; /* sizeof(pp_config) */
  uint32_t hidden_size;
  uint32_t intermediate_size;
  uint32_t num_hidden_layers;
  uint32_t num_attention_heads;
  uint32_t num_key_value_heads;
  uint32_t head_dim;
  uint32_t vocab_size;
  uint32_t max_position_embeddings;
  uint32_t original_max_position_embeddings; /* LongRoPE's border; 0 = one table for all lengths */
  uint32_t sliding_window; /* keys a query sees, itself included; 0 = all */
  uint32_t tie_word_embeddings; /* 1: the head is model.embed_tokens.weight */
  float rms_norm_eps;
  float rope_attention_factor; /* multiplies cos and sin */
} pp_config;

/* One tensor. `name` is the published one; `data` is 64-byte aligned, stays the caller's and must
 * outlive the model (a read-only map is fine). Vectors have rows = 1.
 *
 * Expected names:
 *   model.embed_tokens.weight                              (V, D)  any matrix format
 *   lm_head.weight                                         (V, D)  absent when tied
 *   model.norm.weight                                      (1, D)  F32
 *   model.layers.N.input_layernorm.weight                  (1, D)  F32
 *   model.layers.N.post_attention_layernorm.weight         (1, D)  F32
 *   model.layers.N.self_attn.qkv_proj.weight               ((H + 2K) * E, D)
 *   model.layers.N.self_attn.o_proj.weight                 (D, H * E)
 *   model.layers.N.mlp.gate_up_proj.weight                 (2F, D)  row blocks interleaved: 32 gate, 32 up, ...
 *   model.layers.N.mlp.down_proj.weight                    (D, F)
 *   rope.inv_freq                                          (1, E / 2)  F32
 *   rope.inv_freq_long                                     (1, E / 2)  F32, when original_... > 0 */
typedef struct {
  const char* name;
  const void* data;
  uint64_t num_bytes;
  uint32_t format; /* pp_format */
  uint32_t group;
  uint32_t rows;
  uint32_t cols;
} pp_tensor;

typedef struct {
  uint32_t struct_size;
  uint32_t isa;              /* pp_isa */
  uint32_t num_threads;      /* 1..256, the caller's thread included */
  uint32_t max_batch_tokens; /* tokens per pass through the layers, 1..4096; 0 = 512 */
  uint64_t page_budget_bytes; /* most that key and value pages may take together */
  uint32_t activation_bits; /* of a quantized matrix's inputs: 8, or 16 for twice the products; 0 = 8 */
  uint32_t reserved;
} pp_engine_options;

typedef struct pp_model pp_model;     /* weights, read-only */
typedef struct pp_engine pp_engine;   /* workers, scratch memory and the page pool for one model */
typedef struct pp_session pp_session; /* one sequence: its tokens and its cached keys and values */

/* Which outputs an item wants. */
typedef enum { PP_NONE = 0, PP_LAST = 1, PP_ALL = 2 } pp_positions;

/* One session's share of a step. */
typedef struct {
  pp_session* session;
  const int32_t* tokens; /* appended to the session, in order */
  uint32_t num_tokens;   /* >= 1 */
  uint32_t logits_positions; /* pp_positions */
  uint32_t hidden_positions; /* pp_positions */
  /* The sequence counts as at least this long when LongRoPE's tables are chosen, so a prompt read in
   * several steps gets the keys that one step would give it; 0 = its length after this step. */
  uint32_t expected_length;
  float* logits; /* (1 or num_tokens, vocab_size), or null when NONE */
  float* hidden; /* (1 or num_tokens, hidden_size) after the final norm, or null when NONE */
} pp_item;

/* Called between passes while a step works, also while keys are recomputed: `done` of `total`
 * tokens. Null is fine. */
typedef void (*pp_progress)(void* user, uint64_t done, uint64_t total);

PP_API uint32_t pp_abi_version(void);
/* sizeof of: 0 pp_config, 1 pp_tensor, 2 pp_engine_options, 3 pp_item, 4 pp_sampling; 0 otherwise. */
PP_API uint64_t pp_struct_size(uint32_t which);
/* The last failure on this thread, as one line; "" if none. Valid until the next call. */
PP_API const char* pp_last_error(void);

/* The best instruction set of this machine, and a name such as "avx512". */
PP_API pp_isa pp_best_isa(void);
PP_API const char* pp_isa_name(pp_isa isa);

/* Checks every name, shape, format and byte count against the config. On failure *model is
 * untouched. */
PP_API pp_status pp_model_create(const pp_config* config, const pp_tensor* tensors, size_t num_tensors,
                                 pp_model** model);
PP_API void pp_model_free(pp_model* model); /* after its engines */

PP_API pp_status pp_engine_create(const pp_model* model, const pp_engine_options* options, pp_engine** engine);
PP_API void pp_engine_free(pp_engine* engine); /* after its sessions */
PP_API pp_isa pp_engine_isa(const pp_engine* engine);
/* Bytes that one page takes, and positions that it holds; bytes of pages in use now. */
PP_API uint64_t pp_engine_page_bytes(const pp_engine* engine);
PP_API uint32_t pp_engine_page_positions(const pp_engine* engine);
PP_API uint64_t pp_engine_pages_in_use(const pp_engine* engine);

PP_API pp_status pp_session_create(pp_engine* engine, pp_session** session);
PP_API void pp_session_free(pp_session* session);
/* A second session with the same tokens that shares the full pages. */
PP_API pp_status pp_session_fork(const pp_session* session, pp_session** fork);
/* Forget everything from position `length` on. */
PP_API pp_status pp_session_rewind(pp_session* session, uint64_t length);
PP_API uint64_t pp_session_length(const pp_session* session);
/* Tokens whose keys the next step of `num_tokens` must recompute because the sequence is on the
 * other side of LongRoPE's border; 0 in the usual case. */
PP_API uint64_t pp_session_stale(const pp_session* session, uint64_t num_tokens);

/* Append every item's tokens to its session and compute what it asks for. Sessions must differ.
 * A sequence whose new length lies on the other side of LongRoPE's border first recomputes its
 * cached keys, in passes of max_batch_tokens.
 *
 * `cancel`, if not null, is polled at every layer; once it is non-zero the step stops, every
 * session has the length it had before, and PP_CANCELLED is returned. On any other failure the
 * sessions are as before too. A token outside 0..vocab_size-1, a length over
 * max_position_embeddings or an exhausted page budget is an error before any work. */
PP_API pp_status pp_step(pp_engine* engine, const pp_item* items, size_t num_items, const volatile int32_t* cancel,
                         pp_progress progress, void* user);

/* How to turn logits into a token. Neutral values in brackets. */
typedef struct {
  uint32_t struct_size;
  uint32_t top_k;           /* [0] keep the k largest; 0 = all */
  float temperature;        /* 0 = greedy: the largest logit, the smallest id on a tie */
  float top_p;              /* [1] smallest set with at least this probability */
  float min_p;              /* [0] drop below min_p * largest probability */
  float repetition_penalty; /* [1] divides positive, multiplies negative logits of seen tokens */
  float frequency_penalty;  /* [0] subtracted once per occurrence */
  float presence_penalty;   /* [0] subtracted once if seen */
  uint32_t num_history;     /* tokens that count as seen */
  uint32_t num_bias;
  const int32_t* history;
  const int32_t* bias_tokens; /* logit bias: added before everything else */
  const float* bias_values;
  const uint32_t* allowed; /* bit t % 32 of word t / 32: token t is allowed; null = all */
  uint64_t seed;           /* with `counter`, names one draw: same pair, same number */
  uint64_t counter;
} pp_sampling;

/* Order: bias, allowed mask, penalties, temperature, top-k, softmax, top-p, min-p, draw. `logprob`,
 * if not null, gets the log probability of the token in the *unmodified* distribution. Logits that
 * hold a NaN or no finite value, or a mask that allows no token, are an error. */
PP_API pp_status pp_sample(const float* logits, uint32_t vocab_size, const pp_sampling* sampling, int32_t* token,
                           float* logprob);
/* log softmax of `num_rows` rows at one target each, and the arg max of each row (smallest id on a
 * tie); the outputs may be null. */
PP_API pp_status pp_score(const float* logits, uint32_t vocab_size, const int32_t* targets, size_t num_rows,
                          float* logprobs, int32_t* best);

/* What this machine can do at most, measured for about `seconds` with `num_threads`: bytes/s of a
 * read-only pass over `num_bytes` of fresh memory, and int8 multiply-adds counted as two operations
 * each, per second, in registers of instruction set `isa`. */
PP_API pp_status pp_measure_read_bandwidth(uint32_t num_threads, uint64_t num_bytes, double seconds, double* bytes_per_second);
PP_API pp_status pp_measure_int8(uint32_t num_threads, pp_isa isa, double seconds, double* ops_per_second);

/* For tests: out (T, rows) = x (T, cols) times weight, by the kernels of `isa`, one thread. */
PP_API pp_status pp_test_matmul(pp_isa isa, const pp_tensor* weight, const float* x, uint32_t num_tokens, float* out);

#ifdef __cplusplus
}
#endif
#endif /* POCKETPHI_H_ */
