"""A byte-level tokenizer of ours as the hub's library runs it: what published programs would encode with."""

import tokenizers
from tokenizers import AddedToken, decoders, models
from transformers import PreTrainedTokenizerFast

from pocketphi.tokenizer import Tokenizer
from pocketphi.tokenizer.splitting import splitter


def hub_tokenizer(ours: Tokenizer) -> PreTrainedTokenizerFast:
    """The same vocabulary, merges and rule for words."""
    vocabulary = ours.vocabulary
    assert vocabulary.kind == "byte"
    special = {token.id for token in vocabulary.special}
    tokens = {token: index for index, token in enumerate(vocabulary.tokens)}
    library = tokenizers.Tokenizer(models.BPE(tokens, list(vocabulary.merges), ignore_merges=vocabulary.whole_words))
    library.pre_tokenizer = splitter(vocabulary.split)
    library.decoder = decoders.ByteLevel()
    library.add_special_tokens([AddedToken(vocabulary.tokens[index], special=True) for index in sorted(special)])
    end = vocabulary.tokens[vocabulary.eos_ids[0]]
    found = PreTrainedTokenizerFast(tokenizer_object=library, eos_token=end, pad_token=end)
    assert all(found.convert_tokens_to_ids(vocabulary.tokens[index]) == index for index in special)
    return found
