"""Running a quantized model: the native engine, sessions, sampling, memory, measuring. Imports no torch."""
