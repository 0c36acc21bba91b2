/* Logits of llama.cpp for the chunks of a text, for benchmarks/quality.py.
 *
 *   cc -O2 -I LLAMA_CPP/include -I LLAMA_CPP/ggml/include llama_logits.c -L BUILD/bin -lllama -Wl,-rpath,BUILD/bin
 *   llama_logits MODEL.gguf THREADS CONTEXT TOKENS.i32 LOGITS.f32
 *
 * Every run of CONTEXT tokens is a sequence of its own; all its positions are written, row by row. */
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#include "llama.h"

static void quiet(enum ggml_log_level level, const char* text, void* user) {
  (void)user;
  if (level >= GGML_LOG_LEVEL_ERROR) fputs(text, stderr);
}

static int fail(const char* what) {
  fprintf(stderr, "llama_logits: %s\n", what);
  return 1;
}

int main(int count, char** words) {
  if (count != 6) return fail("usage: MODEL.gguf THREADS CONTEXT TOKENS.i32 LOGITS.f32");
  const int threads = atoi(words[2]);
  const int context = atoi(words[3]);
  FILE* in = fopen(words[4], "rb");
  FILE* out = fopen(words[5], "wb");
  if (in == NULL || out == NULL || context < 1) return fail("cannot open the files");

  llama_log_set(quiet, NULL);
  llama_backend_init();
  struct llama_model* model = llama_model_load_from_file(words[1], llama_model_default_params());
  if (model == NULL) return fail("cannot load the model");
  struct llama_context_params options = llama_context_default_params();
  options.n_ctx = options.n_batch = options.n_ubatch = (uint32_t)context;
  options.n_threads = options.n_threads_batch = threads;
  struct llama_context* llama = llama_init_from_model(model, options);
  if (llama == NULL) return fail("cannot make a context");
  const size_t vocab = (size_t)llama_vocab_n_tokens(llama_model_get_vocab(model));

  struct llama_batch batch = llama_batch_init(context, 0, 1);
  int32_t* tokens = malloc((size_t)context * sizeof *tokens);
  while (tokens != NULL && fread(tokens, sizeof *tokens, (size_t)context, in) == (size_t)context) {
    llama_memory_clear(llama_get_memory(llama), true);
    batch.n_tokens = context;
    for (int i = 0; i < context; ++i) {
      batch.token[i] = tokens[i];
      batch.pos[i] = i;
      batch.n_seq_id[i] = 1;
      batch.seq_id[i][0] = 0;
      batch.logits[i] = 1;
    }
    if (llama_decode(llama, batch) != 0) return fail("cannot decode");
    for (int i = 0; i < context; ++i) {
      if (fwrite(llama_get_logits_ith(llama, i), sizeof(float), vocab, out) != vocab) return fail("cannot write");
    }
  }
  return fclose(out) == 0 ? 0 : fail("cannot write");
}
