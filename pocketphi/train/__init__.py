"""Training: pretraining in phases, supervised fine-tuning and preference optimization, on one loop.

A stage here is a loss and a source of batches; `loop.py` does the rest. Importing this package imports nothing;
its modules import torch.
"""
