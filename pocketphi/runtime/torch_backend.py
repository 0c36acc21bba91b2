"""A torch decoder as a `Backend`: checkpoints answer the same requests as packed files.

Only this module of `runtime` imports torch, so only callers that want it do. Answers are drawn by the
engine's own sampler and end by the same rules as everywhere (`runtime.writer`); only the logits come from
torch. Requests of similar length share a batch, padded on the right; a row that is done leaves it. In single
precision a batch changes nothing but the last bits of a sum, which no greedy choice of a trained model hangs on.
"""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Literal, Self

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from pocketphi.chat import ChatTemplate, template_by_name
from pocketphi.errors import UserError
from pocketphi.formats.folder_source import open_folder_source
from pocketphi.formats.pocket import open_pocket
from pocketphi.formats.source import chat_settings
from pocketphi.model.checkpoint import load_checkpoint, load_pocket
from pocketphi.model.decoder import Decoder
from pocketphi.runtime.backend import Capabilities, GenerateRequest, GenerateResult, ScoreRequest, ScoreResult
from pocketphi.runtime.requests import RequestReader
from pocketphi.runtime.sampling import score
from pocketphi.runtime.writer import Writer
from pocketphi.tokenizer import Tokenizer

Precision = Literal["bf16", "fp32"]
_SMALL_MODEL = 8_000_000
"""Weights below which threads spend more time on waiting for each other than on work. Beside other processes a
million weights answered eight times as fast on one thread as on two."""


class TorchBackend:
    """Scores and generates with `model`, where its weights are.

    Args:
        template: writes prompts that are conversations.
        stop_ids: tokens that end an answer.
        bos_id: the token that every sequence starts with, if the model wants one.
        batch_size: sequences in one step.
        precision: `bf16` computes under autocast; the weights stay as they are.
    """

    def __init__(
        self,
        model: Decoder,
        tokenizer: Tokenizer,
        *,
        template: ChatTemplate,
        stop_ids: frozenset[int],
        bos_id: int | None = None,
        batch_size: int = 64,
        precision: Precision = "fp32",
    ) -> None:
        if batch_size < 1:
            raise UserError(f"`batch_size` is `{batch_size}`", hint="give 1 or more")
        self.model = model
        self.batch_size = batch_size
        self.precision = precision
        self._is_small = sum(weight.numel() for weight in model.parameters()) < _SMALL_MODEL
        self._reader = RequestReader(
            tokenizer=tokenizer,
            template=template,
            bos_id=bos_id,
            stop_ids=stop_ids,
            context=model.config.max_position_embeddings,
        )

    @classmethod
    def open(
        cls,
        path: Path,
        *,
        device: torch.device | str = "cpu",
        batch_size: int = 64,
        precision: Precision = "fp32",
        template: str | None = None,
    ) -> Self:
        """Load a model folder, or a `.pocket` file with the weights that its codes stand for.

        Args:
            template: a built-in chat template by name, instead of the model's own.

        Raises:
            UserError: `path` is damaged, or no model that pocketphi runs.
        """
        if path.is_dir():
            source = open_folder_source(path)
            model, tokenizer = load_checkpoint(path, device=device), source.tokenizer
            chat = chat_settings(source, template, f"`{path}`")
        else:
            file = open_pocket(path)
            model, tokenizer, chat = (
                load_pocket(path, device=device),
                Tokenizer.from_json(file.tokenizer_json),
                file.chat,
            )
        return cls(
            model,
            tokenizer,
            template=template_by_name(template or chat.template),
            stop_ids=frozenset(chat.stop_token_ids),
            bos_id=chat.bos_token_id,
            batch_size=batch_size,
            precision=precision,
        )

    @property
    def capabilities(self) -> Capabilities:
        return Capabilities(logits=True, logprobs=True, grammar=False, max_context=self._reader.context)

    def length(self, request: ScoreRequest | GenerateRequest) -> int:
        """Tokens of a prompt, or of context and continuation."""
        return self._reader.length(request)

    def score(self, requests: Sequence[ScoreRequest]) -> list[ScoreResult]:
        """Log likelihoods, in the order of the requests. Raises `UserError` if one does not fit."""
        pairs = self._reader.scored(requests)
        results = [ScoreResult(logprob=0.0, num_tokens=0, is_greedy=True)] * len(requests)
        # Choices of one token after one context read the same tokens: one row serves them all.
        rows: dict[tuple[int, ...], list[int]] = {}
        for index, (context, rest) in enumerate(pairs):
            if rest:
                rows.setdefault((*context, *rest[:-1]), []).append(index)
        sequences = list(rows)
        with self._computing():
            for batch in self._batches({place: len(sequence) for place, sequence in enumerate(sequences)}):
                hidden = self._read([sequences[place] for place in batch])
                for row, place in enumerate(batch):
                    for index in rows[sequences[place]]:
                        context, rest = pairs[index]
                        wanted = hidden[row, len(context) - 1 : len(sequences[place])]
                        logprobs, best = score(_floats(self.model.logits(wanted)), rest)
                        results[index] = ScoreResult(
                            logprob=float(logprobs.sum(dtype=np.float64)),
                            num_tokens=len(rest),
                            is_greedy=bool((best == np.asarray(rest)).all()),
                        )
        return results

    def generate(self, requests: Sequence[GenerateRequest]) -> list[GenerateResult]:
        """Answers, in the order of the requests. Raises `UserError` if a prompt does not fit."""
        prompts = [self._reader.prompt(request) for request in requests]
        writers = [self._reader.writer(request, prompt) for request, prompt in zip(requests, prompts, strict=True)]
        with self._computing():
            for batch in self._batches({index: len(prompt) for index, prompt in enumerate(prompts)}):
                longest = max(len(prompts[index]) + requests[index].max_tokens for index in batch)
                self._write(
                    [prompts[index] for index in batch],
                    [writers[index] for index in batch],
                    min(longest, self._reader.context),
                )
        results = []
        for writer in writers:
            assert writer.stop_reason is not None
            results.append(
                GenerateResult(text=writer.text, num_tokens=len(writer.tokens), stop_reason=writer.stop_reason)
            )
        return results

    def _write(self, prompts: Sequence[Sequence[int]], writers: Sequence[Writer], max_length: int) -> None:
        """Drive a batch of writers until each has stopped."""
        cache = self.model.new_cache(len(prompts), max_length)
        lengths = [len(prompt) for prompt in prompts]
        hidden = self.model(self._padded(prompts), cache=cache, lengths=lengths)
        last = hidden[torch.arange(len(prompts)), torch.tensor(lengths, device=hidden.device) - 1]
        while True:
            for writer, logits in zip(writers, _floats(self.model.logits(last)), strict=True):
                writer.push(logits)
            rows = [row for row, writer in enumerate(writers) if writer.stop_reason is None]
            if not rows:
                return
            if len(rows) < len(writers):
                cache.keep(rows)
                writers = [writers[row] for row in rows]
            last = self.model(self._padded([writer.tokens[-1:] for writer in writers]), cache=cache)[:, -1]

    def _read(self, sequences: Sequence[Sequence[int]]) -> Tensor:
        """(B, T, D) hidden states of sequences padded on the right."""
        ids = self._padded(sequences)
        positions = None
        if self.model.config.rope.is_long:
            # A sequence turns by its own length, so its padding must not count: it becomes documents of one token.
            places = torch.arange(ids.shape[1], device=ids.device)
            lengths = torch.tensor([len(sequence) for sequence in sequences], device=ids.device)
            positions = torch.where(places < lengths[:, None], places, 0)
        hidden: Tensor = self.model(ids, positions)
        return hidden

    def _padded(self, sequences: Sequence[Sequence[int]]) -> Tensor:
        width = max(map(len, sequences))
        rows = [[*sequence, *[0] * (width - len(sequence))] for sequence in sequences]
        return torch.tensor(rows, dtype=torch.long, device=self.model.device)

    def _batches(self, lengths: dict[int, int]) -> Iterator[list[int]]:
        """Indices of requests, those of similar length together."""
        order = sorted(lengths, key=lengths.__getitem__)
        for start in range(0, len(order), self.batch_size):
            yield order[start : start + self.batch_size]

    @contextmanager
    def _computing(self) -> Iterator[None]:
        """Without gradients, in the precision asked for, on as many threads as pay."""
        before = torch.get_num_threads()
        if self._is_small:
            torch.set_num_threads(1)
        try:
            with (
                torch.inference_mode(),
                torch.autocast(self.model.device.type, torch.bfloat16, enabled=self.precision == "bf16"),
            ):
                yield
        finally:
            torch.set_num_threads(before)


def _floats(logits: Tensor) -> NDArray[np.float32]:
    floats: NDArray[np.float32] = logits.float().cpu().numpy()
    return floats
