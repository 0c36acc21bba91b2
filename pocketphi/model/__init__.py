"""The decoder in PyTorch: what training changes and evaluation asks.

`Decoder` is the dense Phi-3 decoder, Llama-shaped models too, under the published names; `initialise` gives
it its first weights, `save_checkpoint` and `load_checkpoint` keep it as a Hugging Face folder, and
`load_pocket` reads a packed file back so that it can be trained. Importing this package imports torch.
"""

from pocketphi.model.cache import KeyValueCache
from pocketphi.model.checkpoint import load_checkpoint, load_pocket, save_checkpoint
from pocketphi.model.decoder import Decoder
from pocketphi.model.initialise import initialise

__all__ = ["Decoder", "KeyValueCache", "initialise", "load_checkpoint", "load_pocket", "save_checkpoint"]
