"""The HTTP API of OpenAI's shape: what requests look like, how they become jobs (`plan`), and what is answered."""

from pocketphi.serve.openai.app import create_app
from pocketphi.serve.openai.served import ServedModel, ServeOptions

__all__ = ["ServeOptions", "ServedModel", "create_app"]
